//! Where the endpoints of a service are asked for: URLs and names with ports.

use std::fmt;

use http::Uri;
use http::uri::PathAndQuery;

use super::network::Host;

/// An `http://` or `https://` URL, with its path and query.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpUrl {
    uri: Uri,
    is_tls: bool,
    host: Host,
    port: u16,
}

impl HttpUrl {
    /// Reads a URL (RFC 9110, section 4.2) without a user.
    pub fn parse(text: &str) -> Result<Self, String> {
        const WHAT: &str = "expected a URL such as http://127.0.0.1:2379";
        let uri: Uri = text.parse().map_err(|_| WHAT)?;
        let is_tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err("this URL begins with http:// or https://".to_owned()),
        };
        if text.contains('@') {
            return Err("this URL has no user: credentials have keys of their own".to_owned());
        }
        let host = uri.host().ok_or(WHAT)?;
        let behind = uri.authority().and_then(|authority| authority.as_str().strip_prefix(host));
        let port = match behind {
            Some("") => {
                if is_tls {
                    443
                } else {
                    80
                }
            }
            _ => uri.port_u16().filter(|port| *port != 0).ok_or(WHAT)?,
        };
        Ok(Self { is_tls, host: Host::parse(host).ok_or(WHAT)?, port, uri })
    }

    /// Whether it begins with `https://`.
    pub fn is_tls(&self) -> bool {
        self.is_tls
    }

    /// Whether there is nothing behind host and port.
    pub fn is_root(&self) -> bool {
        self.uri.path() == "/" && self.uri.query().is_none()
    }

    /// Where to connect.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The port, that of the scheme where the URL has none.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Host and port as a `Host` field says them.
    pub fn authority(&self) -> &str {
        self.uri.authority().map_or("", |authority| authority.as_str())
    }

    /// The path and query.
    pub fn path(&self) -> &str {
        self.uri.path_and_query().map_or("/", PathAndQuery::as_str)
    }
}

impl fmt::Display for HttpUrl {
    /// Without the query, which may hold a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = if self.uri.path() == "/" { "" } else { self.uri.path() };
        write!(f, "{}://{}{path}", if self.is_tls { "https" } else { "http" }, self.authority())
    }
}

impl fmt::Debug for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A name and a port: `search.internal:8080`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// The name, in lower case.
    pub name: String,
    /// The port.
    pub port: u16,
}

impl HostPort {
    /// Reads a name and a port.
    pub fn parse(text: &str) -> Result<Self, String> {
        const WHAT: &str = "expected a name and a port, as in search.internal:8080";
        let (host, port) = text.rsplit_once(':').ok_or(WHAT)?;
        let is_number = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        let port = port.parse().ok().filter(|port| is_number && *port != 0).ok_or(WHAT)?;
        match Host::parse(host) {
            Some(Host::Name(name)) => Ok(Self { name, port }),
            Some(_) => Err("an address needs no look-up: write it under `endpoints`".to_owned()),
            None => Err(WHAT.to_owned()),
        }
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, self.port)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn urls_of_sources_have_a_host_and_no_user() {
        for (text, shown, path) in [
            ("http://127.0.0.1:2379", "http://127.0.0.1:2379", "/"),
            ("https://Etcd.internal/", "https://Etcd.internal", "/"),
            ("http://[::1]:8500", "http://[::1]:8500", "/"),
            ("http://inventory/hosts?key=s3cret", "http://inventory/hosts", "/hosts?key=s3cret"),
        ] {
            let url = HttpUrl::parse(text).unwrap();
            assert_eq!(url.to_string(), shown, "{text}");
            assert_eq!(url.path(), path, "{text}");
        }
        assert_eq!(HttpUrl::parse("https://a").unwrap().port(), 443);
        for text in [
            "",
            "127.0.0.1:2379",
            "etcd://a",
            "http://",
            "http://a:0",
            "http://u:p@a",
            "http://a b",
            "http://a:x",
            "http://a:",
        ] {
            assert!(HttpUrl::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_name_to_look_up_has_a_port() {
        let parsed = HostPort::parse("Search.internal:8080").unwrap();
        assert_eq!(parsed.to_string(), "search.internal:8080");
        for text in
            ["", "search", "search:", "search:0", "search:+1", "10.0.0.1:80", "[::1]:80", "a b:1", ":80"]
        {
            assert!(HostPort::parse(text).is_err(), "{text}");
        }
    }
}
