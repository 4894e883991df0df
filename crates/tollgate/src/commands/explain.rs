//! `tollgate explain`: the walk of one request, without sending it.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use http::{HeaderName, HeaderValue, Method, Request, Uri};

use super::Failure;
use crate::origin::Origin;
use crate::terminal;

/// Show which route a request would take and why, without sending it
#[derive(Args)]
pub(crate) struct Explain {
    /// Its method
    method: Method,
    /// Its URL, `http://api.example.com/users/7?debug=1`, or only the path
    url: Uri,
    /// The configuration [default: tollgate.yaml]
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A header of the request, `name: value`; as many as there are
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE", value_parser = header)]
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Explain {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        let snapshot = Origin::file(self.config).compile_and_show()?.snapshot;
        let mut request = Request::new(());
        *request.method_mut() = self.method;
        *request.uri_mut() = self.url;
        request.headers_mut().extend(self.headers);
        terminal::show(&snapshot.explain(&request));
        Ok(ExitCode::SUCCESS)
    }
}

/// `name: value`, and `name:value`. Spaces around the value do not belong to it (RFC 9110, section 5.5).
fn header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text.split_once(':').ok_or("expected `name: value`")?;
    let name = name.parse().map_err(|_| format!("`{name}` is no name of a header"))?;
    let value =
        value.trim().parse().map_err(|_| "the value has characters that no header may have".to_owned())?;
    Ok((name, value))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_a_name_a_colon_and_a_value() {
        let cases: &[(&str, Option<(&str, &str)>)] = &[
            ("X-Region: eu", Some(("x-region", "eu"))),
            ("x-region:eu", Some(("x-region", "eu"))),
            ("Link: <https://example.com>", Some(("link", "<https://example.com>"))),
            ("X-Empty:", Some(("x-empty", ""))),
            ("X-Region", None),
            ("X Region: eu", None),
            (": eu", None),
            ("X-Region: a\nb", None),
        ];
        for (text, expected) in cases {
            let parsed = header(text).ok();
            let parsed = parsed.as_ref().map(|(name, value)| (name.as_str(), value.to_str().unwrap()));
            assert_eq!(parsed, *expected, "{text:?}");
        }
    }
}
