//! The token of the admin listener: whether a caller has it, told in a time that does not depend on how much
//! of it was right.

use std::hint::black_box;
use std::sync::{Mutex, PoisonError};

use gateway::config::values::Secret;

/// The admin token, if one is configured. A reload may replace it.
#[derive(Default)]
pub struct Token(Mutex<Option<Secret>>);

impl Token {
    /// The configured token; `None` lets everyone in, which is for loopback only.
    pub fn new(token: Option<Secret>) -> Self {
        Self(Mutex::new(token))
    }

    /// Takes the token of a new configuration.
    pub fn replace(&self, token: Option<Secret>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = token;
    }

    /// Whether the value of `Authorization` carries the token (RFC 6750, section 2.1). Always, where none is configured.
    pub fn accepts(&self, authorization: Option<&[u8]>) -> bool {
        let token = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(expected) = token.as_ref().map(Secret::expose) else { return true };
        authorization.and_then(bearer).is_some_and(|given| is_same(given, expected.as_bytes()))
    }
}

/// What follows the scheme `Bearer`, whose case does not matter (RFC 9110, section 11.1).
fn bearer(authorization: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = authorization.split_at_checked(b"bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| rest.trim_ascii())
}

/// Compares every byte given, whatever the first ones were.
fn is_same(given: &[u8], expected: &[u8]) -> bool {
    let mut difference = usize::from(given.len() != expected.len() || expected.is_empty());
    for (byte, wanted) in given.iter().zip(expected.iter().cycle()) {
        difference |= usize::from(byte ^ wanted);
        difference = black_box(difference);
    }
    difference == 0
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::parse(text).unwrap()
    }

    #[test]
    fn only_the_whole_token_is_accepted() {
        let cases: &[(Option<&str>, Option<&str>, bool)] = &[
            (None, None, true),
            (None, Some("Bearer whatever"), true),
            (Some("s3cret"), None, false),
            (Some("s3cret"), Some("Bearer s3cret"), true),
            (Some("s3cret"), Some("bearer s3cret"), true),
            (Some("s3cret"), Some("BEARER  s3cret"), true),
            (Some("s3cret"), Some("Basic s3cret"), false),
            (Some("s3cret"), Some("s3cret"), false),
            (Some("s3cret"), Some("Bearer"), false),
            (Some("s3cret"), Some("Bearer "), false),
            (Some("s3cret"), Some("Bearer s3cre"), false),
            (Some("s3cret"), Some("Bearer s3cret2"), false),
            (Some("s3cret"), Some("Bearer s3crets3cret"), false),
            (Some("s3cret"), Some("Bearer S3cret"), false),
        ];
        for (token, authorization, accepted) in cases {
            let token = Token::new(token.map(secret));
            assert_eq!(token.accepts(authorization.map(str::as_bytes)), *accepted, "{authorization:?}");
        }
    }

    #[test]
    fn a_replaced_token_no_longer_opens() {
        let token = Token::new(Some(secret("old")));
        token.replace(Some(secret("new")));
        assert!(!token.accepts(Some(b"Bearer old")));
        assert!(token.accepts(Some(b"Bearer new")));
    }
}
