//! `tollgate explain`: the walk of one request, without sending it.

use std::path::{Path, PathBuf};
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
    #[arg(value_parser = method)]
    method: Method,
    /// Its URL, `http://api.example.com/users/7?debug=1`, or only the path; `host:port` for CONNECT
    #[arg(value_parser = url)]
    url: Uri,
    /// The same as `-c`, as `check` takes it
    #[arg(conflicts_with = "config", hide = true)]
    file: Option<PathBuf>,
    /// The configuration [default: tollgate.yaml]
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A header of the request, `name: value`; as many as there are
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE", value_parser = header)]
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Explain {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        self.check_form()?;
        let head = self.head();
        let snapshot = Origin::file(self.file.or(self.config)).compile_and_show()?.snapshot;
        terminal::show(&snapshot.explain(&head));
        Ok(ExitCode::SUCCESS)
    }

    /// CONNECT asks for a host and a port, and nothing else does (RFC 9110, section 9.3.6).
    fn check_form(&self) -> Result<(), Failure> {
        let url = &self.url;
        let is_authority = url.scheme().is_none() && url.authority().is_some();
        if self.method == Method::CONNECT {
            return match url.authority() {
                Some(authority) if is_authority && authority.port().is_some() => Ok(()),
                Some(authority) => {
                    let port = authority.port_u16().unwrap_or(443);
                    let host = authority.host();
                    Err(Failure::misuse(format!(
                        "CONNECT asks for a host and a port; did you mean `tollgate explain CONNECT {host}:{port}`?"
                    )))
                }
                None => Err(Failure::misuse(
                    "CONNECT asks for a host and a port, not for a path, as in `tollgate explain CONNECT example.com:443`",
                )),
            };
        }
        if is_authority {
            return Err(Failure::misuse(format!(
                "`{url}` is neither a URL nor a path; did you mean `http://{url}/` or `/{url}`?"
            )));
        }
        Ok(())
    }

    /// The head that a client would send, so that it takes the same way as a request from outside.
    fn head(&self) -> Vec<u8> {
        let target = match self.url.authority() {
            Some(authority) if self.method == Method::CONNECT => authority.as_str(),
            _ => self.url.path_and_query().map_or("/", PathAndQuery::as_str),
        };
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

/// A method as HTTP spells it: they are case-sensitive (RFC 9110, section 9.1).
fn method(text: &str) -> Result<Method, String> {
    const USUAL: [Method; 9] = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
        Method::OPTIONS,
        Method::CONNECT,
        Method::TRACE,
    ];
    if Path::new(text).extension().is_some_and(|extension| extension == "yaml" || extension == "yml") {
        return Err("the file comes last, as in `tollgate explain GET /users/7 tollgate.yaml`".to_owned());
    }
    if text.contains('/') {
        return Err("the method comes first, as in `tollgate explain GET /users/7`".to_owned());
    }
    match USUAL.iter().find(|usual| usual.as_str().eq_ignore_ascii_case(text)) {
        Some(usual) if usual.as_str() != text => {
            Err(format!("methods are written in capitals; did you mean `{usual}`?"))
        }
        _ => text.parse().map_err(|_| "expected a method such as GET".to_owned()),
    }
}

/// A URL, a path, or the host and port of CONNECT; which of them is checked once the method is known.
fn url(text: &str) -> Result<Uri, String> {
    const WHAT: &str =
        "expected a URL such as http://api.example.com/users/7, or a path that begins with `/`";
    text.parse().map_err(|_| {
        if text.contains(|c: char| c.is_whitespace()) {
            return format!("{WHAT}; a space is written %20");
        }
        let is_without_scheme = !text.contains("://") && format!("http://{text}").parse::<Uri>().is_ok();
        match text.split_once('/') {
            Some((host, _)) if is_without_scheme && (host == "localhost" || host.contains(['.', ':'])) => {
                format!("{WHAT}; did you mean `http://{text}`?")
            }
            Some(_) if is_without_scheme => format!("{WHAT}; did you mean `/{text}`?"),
            _ => WHAT.to_owned(),
        }
    })
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
            let explain = Explain { headers: vec![header(field).unwrap()], ..explain("GET", url) };
            assert_eq!(String::from_utf8(explain.head()).unwrap(), expected);
        }
    }

    fn explain(name: &str, target: &str) -> Explain {
        Explain {
            method: method(name).unwrap(),
            url: url(target).unwrap(),
            file: None,
            config: None,
            headers: Vec::new(),
        }
    }

    #[test]
    fn connect_asks_for_a_host_and_a_port_and_nothing_else_does() {
        let head = explain("CONNECT", "example.com:443").head();
        assert_eq!(head, b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n");
        for (method, url, advice) in [
            ("CONNECT", "example.com:443", None),
            ("CONNECT", "example.com", Some("CONNECT example.com:443`?")),
            ("CONNECT", "http://example.com:80/", Some("CONNECT example.com:80`?")),
            ("CONNECT", "/", Some("not for a path")),
            ("GET", "/", None),
            ("GET", "http://example.com", None),
            ("GET", "example.com:443", Some("did you mean `http://example.com:443/`")),
            ("GET", "users", Some("or `/users`?")),
        ] {
            let told = explain(method, url).check_form().err().map(|failure| failure.to_string());
            let is_as_expected = match (&told, advice) {
                (Some(told), Some(advice)) => told.contains(advice),
                (told, advice) => told.is_none() && advice.is_none(),
            };
            assert!(is_as_expected, "{method} {url}: {told:?}");
        }
    }

    #[test]
    fn a_slip_in_the_method_or_the_url_is_answered_with_what_was_meant() {
        for (complaint, advice) in [
            (method("get").unwrap_err(), "did you mean `GET`?"),
            (method("Delete").unwrap_err(), "did you mean `DELETE`?"),
            (method("/users").unwrap_err(), "the method comes first"),
            (method("etc/tollgate.yaml").unwrap_err(), "the file comes last"),
            (method("G T").unwrap_err(), "such as GET"),
            (url("users/7").unwrap_err(), "did you mean `/users/7`?"),
            (url("localhost:8080/users").unwrap_err(), "did you mean `http://localhost:8080/users`?"),
            (url("/a b").unwrap_err(), "%20"),
            (url("").unwrap_err(), "expected a URL"),
        ] {
            assert!(complaint.contains(advice), "{complaint}");
        }
        assert_eq!(method("PURGE").unwrap().as_str(), "PURGE");
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
