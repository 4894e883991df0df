//! `tollgate explain`: the walk of one request, without sending it.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use http::header::HOST;
use http::uri::{Authority, PathAndQuery};
use http::{HeaderName, HeaderValue, Method, Uri};

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
        let head = self.head();
        let snapshot = Origin::file(self.config).compile_and_show()?.snapshot;
        terminal::show(&snapshot.explain(&head));
        Ok(ExitCode::SUCCESS)
    }

    /// The head that a client would send, so that it takes the same way as a request from outside.
    fn head(&self) -> Vec<u8> {
        let target = self.url.path_and_query().map_or("/", PathAndQuery::as_str);
        let mut head = format!("{} {target} HTTP/1.1\r\n", self.method).into_bytes();
        if !self.headers.iter().any(|(name, _)| name == HOST) {
            let host = self.url.authority().map_or("localhost", Authority::as_str);
            head.extend_from_slice(format!("Host: {host}\r\n").as_bytes());
        }
        for (name, value) in &self.headers {
            head.extend_from_slice(format!("{name}: ").as_bytes());
            head.extend_from_slice(value.as_bytes());
            head.extend_from_slice(b"\r\n");
        }
        head.extend_from_slice(b"\r\n");
        head
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
    fn the_head_is_what_a_client_would_send() {
        let cases = [
            (
                "http://api.example.com:81/a?b=1",
                "x: y",
                "GET /a?b=1 HTTP/1.1\r\nHost: api.example.com:81\r\nx: y\r\n\r\n",
            ),
            ("/a", "x: y", "GET /a HTTP/1.1\r\nHost: localhost\r\nx: y\r\n\r\n"),
            ("/", "Host: other", "GET / HTTP/1.1\r\nhost: other\r\n\r\n"),
        ];
        for (url, field, expected) in cases {
            let explain = Explain {
                method: Method::GET,
                url: url.parse().unwrap(),
                config: None,
                headers: vec![header(field).unwrap()],
            };
            assert_eq!(String::from_utf8(explain.head()).unwrap(), expected);
        }
    }

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
