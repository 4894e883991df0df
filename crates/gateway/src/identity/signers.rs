//! The secrets of keys, made ready to verify what was signed with them. They are held in no other form, shown nowhere, and overwritten
//! when they are let go of.

use aws_lc_rs::hmac::{Algorithm, Key};
use aws_lc_rs::rand;

use super::keys_of;
use crate::config::Config;
use crate::config::values::Secret;

/// Those of all keys of a configuration, for one algorithm.
#[derive(Debug)]
pub struct Signers {
    /// By the places of the keys. One of which only the hash is known cannot sign.
    keys: Box<[Option<Key>]>,
    /// In place of one that there is not, so that looking at its signature takes as long.
    nobody: Key,
}

/// A key to verify a signature with.
#[derive(Debug, Clone, Copy)]
pub struct Signer<'s> {
    /// The key.
    pub key: &'s Key,
    /// Its place; nothing where it is nobody's.
    pub place: Option<u32>,
}

impl Signers {
    /// Those of this configuration.
    pub fn new(config: &Config, algorithm: Algorithm) -> Self {
        let of_secret = |secret: &Secret| Key::new(algorithm, secret.expose().as_bytes());
        let keys = keys_of(config).map(|(_, key)| key.secret.as_ref().map(of_secret)).collect();
        // Where there is no randomness at all: a key that nobody was given is nobody's all the same.
        let nobody = Key::generate(algorithm, &rand::SystemRandom::new());
        Self { keys, nobody: nobody.unwrap_or_else(|_| Key::new(algorithm, b"")) }
    }

    /// The one at this place, or nobody's.
    pub fn of(&self, place: Option<u32>) -> Signer<'_> {
        let known = place.and_then(|place| self.keys.get(place as usize)?.as_ref());
        Signer { key: known.unwrap_or(&self.nobody), place: place.filter(|_| known.is_some()) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use aws_lc_rs::hmac::{self, HMAC_SHA256};

    use super::*;
    use crate::config::load_text;
    use crate::identity::Callers;

    #[test]
    fn a_key_signs_with_its_secret_and_one_without_cannot() {
        let config = load_text(
            "
apps:
  a: { keys: [ { id: hashed, hash: 'sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae' } ] }
  b: { keys: [ { id: one, secret: 'a secret of some length' }, { id: two, secret: 'another of some length' } ] }
",
        );
        let (config, _) = config.unwrap();
        let (signers, callers) = (Signers::new(&config, HMAC_SHA256), Callers::new(&config));
        for (id, secret) in [("one", "a secret of some length"), ("two", "another of some length")] {
            let tag = hmac::sign(&Key::new(HMAC_SHA256, secret.as_bytes()), b"text");
            for other in ["one", "two", "hashed", "nobody"] {
                let signer = signers.of(callers.place(other));
                assert_eq!(
                    hmac::verify(signer.key, b"text", tag.as_ref()).is_ok(),
                    other == id,
                    "{id} {other}"
                );
                assert_eq!(signer.place.is_some(), ["one", "two"].contains(&other));
            }
        }
        assert!(!format!("{signers:?}").contains("secret of"));
    }
}
