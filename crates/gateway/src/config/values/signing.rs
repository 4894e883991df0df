//! What signatures cover.

use std::fmt;

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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

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
