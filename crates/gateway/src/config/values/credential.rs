//! What keys are made of.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};

use crate::hexadecimal;

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
        let bytes = text.strip_prefix("sha256:").and_then(hexadecimal::decode).ok_or(WHAT)?;
        Ok(Self(bytes.try_into().map_err(|_| WHAT)?))
    }
}

impl fmt::Display for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", hexadecimal::encode(&self.0))
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

/// Names of certificates: `CN=partner-*`, `dns:*.example.com`, `uri:spiffe://example/*`, `sha256:…`. `*` stands for anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificatePattern(String);

impl CertificatePattern {
    /// Takes a part of a subject, an alternative name or a fingerprint, as the gateway writes them.
    pub fn parse(text: &str) -> Result<Self, String> {
        const WHAT: &str = "expected a part of a subject (CN=partner-*), an alternative name (dns:, uri:, email:, ip:) or sha256:";
        let pattern = match text.split_once(':') {
            Some((kind @ ("dns" | "ip"), name)) => format!("{kind}:{}", name.to_ascii_lowercase()),
            Some((kind @ ("uri" | "email"), name)) => format!("{kind}:{name}"),
            Some(("sha256", digits)) => {
                let digits = digits.replace(':', "").to_ascii_lowercase();
                if digits.len() != 64 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                    return Err("a fingerprint has 64 hexadecimal digits".to_owned());
                }
                format!("sha256:{digits}")
            }
            _ if text.split_once('=').is_some_and(|(kind, _)| !kind.is_empty()) => text.to_owned(),
            _ => return Err(WHAT.to_owned()),
        };
        match pattern.split_once(['=', ':']) {
            Some((_, name)) if name.bytes().any(|byte| byte != b'*') => Ok(Self(pattern)),
            _ => Err("a pattern that fits every certificate is none".to_owned()),
        }
    }

    /// Whether this is such a name.
    pub fn matches(&self, name: &str) -> bool {
        let mut parts = self.0.split('*');
        let first = parts.next().unwrap_or_default();
        let Some(mut rest) = name.strip_prefix(first) else { return false };
        let Some(last) = parts.next_back() else { return rest.is_empty() };
        for part in parts {
            let Some(place) = rest.find(part) else { return false };
            rest = &rest[place + part.len()..];
        }
        rest.ends_with(last)
    }
}

impl fmt::Display for CertificatePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
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
    fn a_star_stands_for_anything_within_one_name() {
        for (pattern, name, fits) in [
            ("CN=partner-*", "CN=partner-7", true),
            ("CN=partner-*", "CN=partner-", true),
            ("CN=partner-*", "cn=partner-7", false),
            ("CN=partner-*", "OU=partner-7", false),
            ("CN=a*b*c", "CN=aXbYc", true),
            ("CN=a*b*c", "CN=abc", true),
            ("CN=a*b*c", "CN=acb", false),
            ("CN=aa*aa", "CN=aaa", false),
            ("CN=a", "CN=ab", false),
            ("dns:*.Example.com", "dns:a.example.com", true),
            ("dns:*.example.com", "dns:example.com", false),
            ("uri:spiffe://example/*", "uri:spiffe://example/ns/x", true),
        ] {
            assert_eq!(CertificatePattern::parse(pattern).unwrap().matches(name), fits, "{pattern} {name}");
        }
        let digits = "AB:".repeat(32);
        let fingerprint =
            CertificatePattern::parse(&format!("sha256:{}", digits.trim_end_matches(':'))).unwrap();
        assert!(fingerprint.matches(&format!("sha256:{}", "ab".repeat(32))));
        for wrong in ["", "*", "CN=*", "dns:*", "dns:", "partner", "=x", "sha256:ab", "sha256:*", "other:x"] {
            assert!(CertificatePattern::parse(wrong).is_err(), "{wrong}");
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
