//! Encrypts what is kept in cookies, so that nobody else can read it, change it, or use it for something else.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Prk, Salt};
use aws_lc_rs::rand;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// What the keys of cookies are derived under: changed together with the format.
const LABEL: &[u8] = b"tollgate login cookie 1";
/// Bytes that each message's own key is derived from.
const SALT: usize = 16;
/// Bytes that prove that nothing was changed.
const TAG: usize = 16;

/// What a cookie is for: one does not pass for another.
#[derive(Debug, Clone, Copy)]
pub(super) enum Purpose {
    /// A session.
    Session,
    /// A login that has begun.
    Attempt,
    /// An ID token, for the logout.
    Hint,
}

impl Purpose {
    fn label(self) -> &'static [u8] {
        match self {
            Self::Session => b"session",
            Self::Attempt => b"attempt",
            Self::Hint => b"hint",
        }
    }
}

/// The keys of one way.
pub(super) struct Seal {
    keys: Vec<Prk>,
    /// What is closed for one client of one provider opens for no other.
    context: Vec<u8>,
}

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Seal({} keys)", self.keys.len())
    }
}

impl Seal {
    /// Closes with the first of these secrets, and opens with any.
    pub(super) fn new<'s>(secrets: impl Iterator<Item = &'s str>, context: &str) -> Self {
        let salt = Salt::new(HKDF_SHA256, LABEL);
        Self {
            keys: secrets.map(|secret| salt.extract(secret.as_bytes())).collect(),
            context: context.as_bytes().to_vec(),
        }
    }

    /// Closes a message, in letters that a cookie may have. Fails only without a source of randomness.
    pub(super) fn close(&self, purpose: Purpose, message: &[u8]) -> Option<String> {
        let mut salt = [0; SALT];
        rand::fill(&mut salt).ok()?;
        let key = self.key(self.keys.first()?, purpose, &salt)?;
        let mut sealed = message.to_vec();
        key.seal_in_place_append_tag(nonce(), Aad::empty(), &mut sealed).ok()?;
        sealed.splice(..0, salt);
        Some(URL_SAFE_NO_PAD.encode(sealed))
    }

    /// Opens what was closed for this purpose; nothing where anything is amiss.
    pub(super) fn open(&self, purpose: Purpose, sealed: &[u8]) -> Option<Vec<u8>> {
        let sealed = URL_SAFE_NO_PAD.decode(sealed).ok().filter(|sealed| sealed.len() >= SALT + TAG)?;
        let (salt, sealed) = sealed.split_first_chunk::<SALT>()?;
        self.keys.iter().find_map(|key| {
            let key = self.key(key, purpose, salt)?;
            let mut message = sealed.to_vec();
            let length = key.open_in_place(nonce(), Aad::empty(), &mut message).ok()?.len();
            message.truncate(length);
            Some(message)
        })
    }

    /// Every message has a key of its own: then no number of them is too many for one key.
    fn key(&self, key: &Prk, purpose: Purpose, salt: &[u8; SALT]) -> Option<LessSafeKey> {
        let info = [purpose.label(), b"\0", salt, &self.context];
        let derived = key.expand(&info, &AES_256_GCM).ok()?;
        Some(LessSafeKey::new(UnboundKey::from(derived)))
    }
}

/// The same each time, as no key is used twice.
fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; NONCE_LEN])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    fn seal(secrets: &[&str]) -> Seal {
        Seal::new(secrets.iter().copied(), "web of https://id.example.com/")
    }

    #[test]
    fn what_is_closed_opens_and_looks_different_each_time() {
        let seal = seal(&["one secret"]);
        let (one, other) =
            (seal.close(Purpose::Session, b"ann").unwrap(), seal.close(Purpose::Session, b"ann").unwrap());
        assert_ne!(one, other);
        assert_eq!(seal.open(Purpose::Session, one.as_bytes()).unwrap(), b"ann");
        assert!(!one.contains("ann") && one.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)));
    }

    #[test]
    fn nothing_opens_for_another_purpose_way_or_key() {
        let closed = seal(&["one secret"]).close(Purpose::Session, b"ann").unwrap();
        assert!(seal(&["one secret"]).open(Purpose::Attempt, closed.as_bytes()).is_none());
        assert!(seal(&["another"]).open(Purpose::Session, closed.as_bytes()).is_none());
        let other = Seal::new(["one secret"].into_iter(), "app of https://id.example.com/");
        assert!(other.open(Purpose::Session, closed.as_bytes()).is_none());
    }

    #[test]
    fn a_former_key_still_opens() {
        let closed = seal(&["old"]).close(Purpose::Session, b"ann").unwrap();
        assert_eq!(seal(&["new", "old"]).open(Purpose::Session, closed.as_bytes()).unwrap(), b"ann");
        let closed = seal(&["new", "old"]).close(Purpose::Session, b"ann").unwrap();
        assert!(seal(&["old"]).open(Purpose::Session, closed.as_bytes()).is_none());
    }

    #[test]
    fn not_one_changed_letter_opens() {
        let seal = seal(&["one secret"]);
        let closed = seal.close(Purpose::Session, b"ann").unwrap();
        for place in 0..closed.len() {
            for letter in [b'A', b'B', b'_', b'=', b' '] {
                let mut changed = closed.clone().into_bytes();
                if changed[place] != letter {
                    changed[place] = letter;
                    assert!(seal.open(Purpose::Session, &changed).is_none(), "{place}");
                }
            }
            assert!(seal.open(Purpose::Session, &closed.as_bytes()[..place]).is_none(), "{place}");
        }
    }

    proptest! {
        #[test]
        fn anything_comes_back_as_it_was(message: Vec<u8>, junk: Vec<u8>) {
            let seal = seal(&["one secret"]);
            let closed = seal.close(Purpose::Attempt, &message).unwrap();
            prop_assert_eq!(seal.open(Purpose::Attempt, closed.as_bytes()), Some(message));
            prop_assert_eq!(seal.open(Purpose::Attempt, &junk), None);
        }
    }
}
