//! Which certificate a client gets: by the name that it asks for (SNI, RFC 6066, section 3), and by the signatures that
//! it understands.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{SignatureAlgorithm, SignatureScheme};

use super::certificate::Served;

/// The certificates of a listener by name.
#[derive(Debug, Default)]
pub(super) struct Resolver {
    exact: HashMap<Box<str>, Keys>,
    /// Without the `*.` in front.
    wildcard: HashMap<Box<str>, Keys>,
    /// For a name that none fits, and for clients that give none.
    default: Keys,
}

/// Certificates for one name, one for each kind of key, in the order in which they are preferred.
type Keys = Vec<Arc<CertifiedKey>>;

impl Resolver {
    /// The certificates in the order of the configuration, with the places of those that no client can ever get.
    pub(super) fn new(served: &[Served]) -> (Self, Vec<usize>) {
        let mut resolver = Self::default();
        let mut unused = Vec::new();
        for (place, Served { key, certificate }) in served.iter().enumerate() {
            let mut is_used = place == 0;
            for name in &certificate.names {
                let (names, name) = match name.strip_prefix("*.") {
                    Some(rest) => (&mut resolver.wildcard, rest),
                    None => (&mut resolver.exact, name.as_str()),
                };
                is_used |= add(names.entry(name.into()).or_default(), key);
            }
            if !is_used {
                unused.push(place);
            }
        }
        if let Some(first) = served.first() {
            // With its twins, which have another kind of key for the same name.
            let twins = first.certificate.names.first().and_then(|name| resolver.for_name(name));
            resolver.default = match twins {
                Some(twins) if twins.iter().any(|twin| Arc::ptr_eq(twin, &first.key)) => twins.to_vec(),
                _ => vec![Arc::clone(&first.key)],
            };
        }
        (resolver, unused)
    }

    /// The certificates for a name, or those for clients that give none.
    fn candidates(&self, name: Option<&str>) -> &[Arc<CertifiedKey>] {
        name.and_then(|name| self.for_name(name)).unwrap_or(&self.default)
    }

    fn for_name(&self, name: &str) -> Option<&[Arc<CertifiedKey>]> {
        let name = name.strip_suffix('.').unwrap_or(name);
        let name = if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            Cow::Owned(name.to_ascii_lowercase())
        } else {
            Cow::Borrowed(name)
        };
        // `*` stands for one label, the first (RFC 9525, section 6.3). A certificate's own `*.` comes here, too.
        let found = self.exact.get(&*name).or_else(|| self.wildcard.get(name.split_once('.')?.1));
        found.map(Vec::as_slice)
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        choose(self.candidates(hello.server_name()), hello.signature_schemes()).map(Arc::clone)
    }
}

/// The first whose signatures the client understands.
fn choose<'k>(keys: &'k [Arc<CertifiedKey>], schemes: &[SignatureScheme]) -> Option<&'k Arc<CertifiedKey>> {
    match keys {
        // Without a choice the handshake itself finds out.
        [only] => Some(only),
        several => several.iter().find(|one| one.key.choose_scheme(schemes).is_some()),
    }
}

/// Adds a certificate for a name, unless there is one with the same kind of key already.
fn add(keys: &mut Keys, key: &Arc<CertifiedKey>) -> bool {
    let kind = key.key.algorithm();
    if keys.iter().any(|known| known.key.algorithm() == kind) {
        return false;
    }
    // RSA last: its signatures cost the server many times as much.
    let place = if kind == SignatureAlgorithm::RSA { keys.len() } else { 0 };
    keys.insert(place, Arc::clone(key));
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::testing::{Kind, served};

    #[test]
    fn a_client_gets_the_certificate_for_the_name_it_asks_for() {
        let all = [
            served(&["first.test"], Kind::Ecdsa),
            served(&["*.wild.test", "wild.test"], Kind::Ecdsa),
            served(&["exact.wild.test"], Kind::Ecdsa),
            served(&["late.test", "first.test"], Kind::Ecdsa),
        ];
        let (resolver, unused) = Resolver::new(&all);
        assert!(unused.is_empty());
        for (name, expected) in [
            (None, 0),
            (Some("first.test"), 0),
            (Some("FIRST.test"), 0),
            (Some("other.test"), 0),
            (Some("wild.test"), 1),
            (Some("a.wild.test"), 1),
            (Some("A.Wild.Test"), 1),
            (Some("a.b.wild.test"), 0),
            (Some("exact.wild.test"), 2),
            (Some("late.test"), 3),
            (Some("test"), 0),
            (Some(""), 0),
        ] {
            let keys = resolver.candidates(name);
            assert_eq!(keys.len(), 1);
            assert!(Arc::ptr_eq(&keys[0], &all[expected].key), "{name:?}");
        }
    }

    #[test]
    fn of_two_kinds_of_keys_the_client_gets_one_that_it_understands() {
        let rsa = [SignatureScheme::RSA_PSS_SHA256, SignatureScheme::RSA_PKCS1_SHA256];
        let ecdsa = [SignatureScheme::ECDSA_NISTP256_SHA256];
        let both = [rsa[0], ecdsa[0]];
        for order in [[Kind::Rsa, Kind::Ecdsa], [Kind::Ecdsa, Kind::Rsa]] {
            let all = order.map(|kind| served(&["a.test"], kind));
            let (resolver, unused) = Resolver::new(&all);
            assert!(unused.is_empty());
            for name in [Some("a.test"), None] {
                let keys = resolver.candidates(name);
                for (schemes, expected) in [
                    (&rsa[..], SignatureAlgorithm::RSA),
                    (&ecdsa[..], SignatureAlgorithm::ECDSA),
                    (&both[..], SignatureAlgorithm::ECDSA),
                ] {
                    assert_eq!(choose(keys, schemes).map(|key| key.key.algorithm()), Some(expected));
                }
                assert!(choose(keys, &[SignatureScheme::ED448]).is_none());
            }
        }
    }

    #[test]
    fn a_certificate_that_nobody_can_get_is_noticed() {
        let all = [
            served(&["a.test"], Kind::Ecdsa),
            served(&["a.test"], Kind::Ecdsa),
            served(&[], Kind::Ecdsa),
            served(&["*.a.test"], Kind::Ecdsa),
        ];
        assert_eq!(Resolver::new(&all).1, [1, 2]);
        let nameless = [served(&[], Kind::Ecdsa)];
        let (resolver, unused) = Resolver::new(&nameless);
        assert!(unused.is_empty() && resolver.candidates(Some("any.test")).len() == 1);
    }
}
