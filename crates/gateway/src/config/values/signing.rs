//! What signatures cover, and where the fleet keeps what it has seen of them.

use std::fmt;

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo};

/// A part of a request that a signature covers (RFC 9421, sections 2.1 and 2.2): a field in lower case, or a derived component.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Component(Box<str>);

impl Component {
    /// Its name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Reads the name of a field or of a derived component of requests, without parameters.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.starts_with('@') {
            if DERIVED.contains(&text) {
                return Ok(Self(text.into()));
            }
            return Err(format!("expected a field, or one of {}", DERIVED.join(", ")));
        }
        if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err("signatures name fields in lower case".to_owned());
        }
        super::header_name(text).map(|name| Self(name.as_str().into()))
    }
}

impl fmt::Display for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The derived components of requests that have no parameters.
const DERIVED: [&str; 7] =
    ["@method", "@target-uri", "@authority", "@scheme", "@request-target", "@path", "@query"];

/// Where a Redis is. Without credentials, which have keys of their own.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisUrl {
    address: ConnectionAddr,
    database: i64,
}

impl RedisUrl {
    /// Reads `redis://`, `rediss://` (with TLS) or `unix:` and a path.
    pub fn parse(text: &str) -> Result<Self, String> {
        const WHAT: &str =
            "expected the URL of a Redis, such as redis://127.0.0.1:6379, rediss://… or unix:/run/redis.sock";
        if let Some(path) = text.strip_prefix("unix:") {
            let is_path = path.starts_with('/') && !path.contains(['\0', '?']);
            let address = ConnectionAddr::Unix(path.into());
            return if is_path { Ok(Self { address, database: 0 }) } else { Err(WHAT.to_owned()) };
        }
        if !text.starts_with("redis://") && !text.starts_with("rediss://") {
            return Err(WHAT.to_owned());
        }
        if text.contains('@') {
            return Err("this URL has no user: `user` and `password` are keys of their own".to_owned());
        }
        if text.contains(['?', '#']) {
            return Err("this URL ends with host and port, or with the number of a database".to_owned());
        }
        let info = text.into_connection_info().map_err(|_| WHAT)?;
        Ok(Self { address: info.addr().clone(), database: info.redis_settings().db() })
    }

    /// How to connect as this user, with this password.
    pub fn connection(&self, user: Option<&str>, password: Option<&str>) -> Option<ConnectionInfo> {
        let info = self.address.clone().into_connection_info().ok()?;
        let mut settings = info.redis_settings().clone().set_db(self.database).set_skip_set_lib_name();
        if let Some(user) = user {
            settings = settings.set_username(user);
        }
        if let Some(password) = password {
            settings = settings.set_password(password);
        }
        Some(info.set_redis_settings(settings))
    }
}

impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.address {
            ConnectionAddr::TcpTls { .. } => write!(f, "rediss://{}", self.address)?,
            ConnectionAddr::Unix(path) => return write!(f, "unix:{}", path.display()),
            _ => write!(f, "redis://{}", self.address)?,
        }
        if self.database == 0 { Ok(()) } else { write!(f, "/{}", self.database) }
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_redis_is_where_its_url_says() {
        for (text, shown) in [
            ("redis://127.0.0.1:6379", "redis://127.0.0.1:6379"),
            ("redis://127.0.0.1", "redis://127.0.0.1:6379"),
            ("redis://redis.internal:7000/3", "redis://redis.internal:7000/3"),
            ("rediss://redis.internal", "rediss://redis.internal:6379"),
            ("unix:/run/redis.sock", "unix:/run/redis.sock"),
        ] {
            assert_eq!(RedisUrl::parse(text).unwrap().to_string(), shown, "{text}");
            assert!(RedisUrl::parse(text).unwrap().connection(None, Some("secret")).is_some());
        }
        for wrong in [
            "",
            "127.0.0.1:6379",
            "http://127.0.0.1",
            "redis://:secret@127.0.0.1",
            "redis://",
            "unix:run/redis.sock",
        ] {
            assert!(RedisUrl::parse(wrong).is_err(), "{wrong}");
            assert!(!RedisUrl::parse(wrong).unwrap_err().contains("secret"));
        }
    }

    #[test]
    fn a_component_is_a_field_or_derived() {
        for good in ["@method", "@query", "content-digest", "x-tenant"] {
            assert_eq!(Component::parse(good).unwrap().as_str(), good);
        }
        for wrong in ["", "@status", "@query-param", "Content-Digest", "a b", "@"] {
            assert!(Component::parse(wrong).is_err(), "{wrong}");
        }
    }
}
