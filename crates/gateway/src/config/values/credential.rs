//! What keys are made of.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};

/// The name of a key: what tells it from others, and no secret.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(String);

impl KeyId {
    /// The name itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Takes up to 64 letters, digits, `-` and `_`: no `.`, which ends it in `id.secret`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if (1..=64).contains(&text.len()) && text.bytes().all(is_plain) {
            Ok(Self(text.to_owned()))
        } else {
            Err("expected up to 64 letters, digits, `-` and `_`".to_owned())
        }
    }
}

/// The SHA-256 of a secret. Good for secrets that nobody can guess, such as 32 random bytes, and for no others.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyHash([u8; 32]);

impl KeyHash {
    /// That of this secret.
    pub fn of(secret: &str) -> Self {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, secret.as_bytes()).as_ref());
        Self(hash)
    }

    /// Its bytes, to compare in constant time.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Reads `sha256:` and 64 hexadecimal digits.
    pub fn parse(text: &str) -> Result<Self, String> {
        const WHAT: &str = "expected `sha256:` and 64 hexadecimal digits";
        let digits = text.strip_prefix("sha256:").filter(|digits| digits.len() == 64).ok_or(WHAT)?;
        let (pairs, _) = digits.as_bytes().as_chunks::<2>();
        let mut hash = [0; 32];
        for (byte, pair) in hash.iter_mut().zip(pairs) {
            let digit = |place: usize| char::from(pair[place]).to_digit(16).ok_or(WHAT);
            *byte = (digit(0)? << 4 | digit(1)?) as u8;
        }
        Ok(Self(hash))
    }
}

impl fmt::Display for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyHash(…)")
    }
}

/// What a caller may do, in a word (RFC 6749, section 3.3).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Scope(String);

impl Scope {
    /// The word.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Takes visible ASCII but `"` and `\`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let is_good = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\');
        if !text.is_empty() && text.bytes().all(is_good) {
            Ok(Self(text.to_owned()))
        } else {
            Err("expected one word of visible characters without `\"` and `\\`".to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_hash_is_that_of_the_secret_and_shows_in_no_debug_output() {
        let text = "sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae";
        let hash = KeyHash::parse(text).unwrap();
        assert_eq!(hash, KeyHash::of("foo"));
        assert_eq!(hash.to_string(), text);
        assert_eq!(KeyHash::parse(&text.to_uppercase().replacen("SHA256", "sha256", 1)).unwrap(), hash);
        assert!(!format!("{hash:?}").contains("2c26"));
        for wrong in ["", "sha256:", &text[7..], &text[..70], "sha512:00", &text.replace('a', "g")] {
            assert!(KeyHash::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn names_of_keys_and_scopes_are_plain_words() {
        for good in ["a", "mob-ro", "A_1", &"x".repeat(64)] {
            assert_eq!(KeyId::parse(good).unwrap().as_str(), good);
        }
        for wrong in ["", "a.b", "a b", "\u{e9}", "a/b", &"x".repeat(65)] {
            assert!(KeyId::parse(wrong).is_err(), "{wrong}");
        }
        for good in ["read", "orders:read", "https://api.example.com/x#y"] {
            assert_eq!(Scope::parse(good).unwrap().as_str(), good);
        }
        for wrong in ["", "a b", "a\"", "a\\", "\u{7f}", "caf\u{e9}"] {
            assert!(Scope::parse(wrong).is_err(), "{wrong}");
        }
    }
}
