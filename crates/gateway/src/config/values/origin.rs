//! Where pages come from, as browsers say it in `Origin`.

use std::fmt;

use super::network::{Host, default_port, parse_port};

/// Origins of pages (RFC 6454): one of them, all below a name, those without a name, or any.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum OriginPattern {
    /// `*`: any.
    Any,
    /// `null`: pages that have none of their own, such as files and frames in a sandbox.
    Null,
    /// `https://app.example.com`, as browsers spell it.
    Exact(String),
    /// `https://*.example.com`: every name below another.
    Below {
        /// `https://`.
        scheme: String,
        /// `.example.com`, with its port where that is not the scheme's own.
        end: String,
    },
}

impl OriginPattern {
    /// Reads an origin; what browsers would spell otherwise gets their spelling.
    pub fn parse(text: &str) -> Result<Self, String> {
        const WHAT: &str =
            "expected an origin, as in https://app.example.com, https://*.example.com, \"null\" or \"*\"";
        match text {
            "*" => return Ok(Self::Any),
            "null" => return Ok(Self::Null),
            _ => {}
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            let is_only_the_scheme_missing = Self::parse(&format!("https://{text}")).is_ok();
            let complaint = if is_only_the_scheme_missing {
                "an origin begins with its scheme, as in https://app.example.com"
            } else {
                WHAT
            };
            return Err(complaint.to_owned());
        };
        let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
        if !is_scheme {
            return Err(WHAT.to_owned());
        }
        if rest.contains(['/', '?', '#', '@']) {
            return Err(
                "an origin is a scheme, a host and a port: no user and no path, not even a `/` at its end"
                    .to_owned(),
            );
        }
        let scheme = scheme.to_ascii_lowercase();
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => {
                let port = parse_port(port).filter(|port| *port > 0).ok_or(WHAT)?;
                (host, Some(port).filter(|port| usual_port(&scheme) != Some(*port)))
            }
            _ => (rest, None),
        };
        let port = port.map(|port| format!(":{port}")).unwrap_or_default();
        if let Some(name) = host.strip_prefix("*.") {
            let Some(Host::Name(name)) = Host::parse(name) else { return Err(STAR.to_owned()) };
            return Ok(Self::Below { scheme: format!("{scheme}://"), end: format!(".{name}{port}") });
        }
        if host.contains('*') {
            return Err(STAR.to_owned());
        }
        let host = Host::parse(host).ok_or(WHAT)?;
        Ok(Self::Exact(format!("{scheme}://{host}{port}")))
    }
}

impl fmt::Display for OriginPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Null => f.write_str("null"),
            Self::Exact(origin) => f.write_str(origin),
            Self::Below { scheme, end } => write!(f, "{scheme}*{end}"),
        }
    }
}

/// The port that browsers leave out.
fn usual_port(scheme: &str) -> Option<u16> {
    matches!(scheme, "http" | "https").then(|| default_port(scheme == "https"))
}

const STAR: &str = "`*` stands for names below another, as in https://*.example.com, or alone for any origin";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn origins_get_the_spelling_of_browsers() {
        for (text, expected) in [
            ("*", "*"),
            ("null", "null"),
            ("https://App.Example.com", "https://app.example.com"),
            ("HTTPS://app.example.com:443", "https://app.example.com"),
            ("http://localhost:80", "http://localhost"),
            ("http://localhost:443", "http://localhost:443"),
            ("https://[2001:DB8::1]:8443", "https://[2001:db8::1]:8443"),
            ("https://*.Example.com", "https://*.example.com"),
            ("https://*.example.com:8443", "https://*.example.com:8443"),
            ("capacitor://localhost", "capacitor://localhost"),
        ] {
            assert_eq!(OriginPattern::parse(text).unwrap().to_string(), expected, "{text}");
        }
        for text in [
            "",
            "app.example.com",
            "https://",
            "https://app.example.com/",
            "https://app.example.com/a",
            "https://user@app.example.com",
            "https://app.example.com:0",
            "https://app.example.com:x",
            "https://*",
            "https://*.",
            "https://app.*.com",
            "https://*app.example.com",
            "https://*.127.0.0.1",
            "://a",
            "1a://b",
        ] {
            assert!(OriginPattern::parse(text).is_err(), "{text}");
        }
    }
}
