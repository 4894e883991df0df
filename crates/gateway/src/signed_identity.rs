//! What services are told of callers so that they can verify it: a token of a short life that the gateway has signed (RFC 7515, 7519).
//!
//! Nothing is signed for each request: a worker tells one service of one caller by the same token for half of its life.

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Map, Value, json};
use zeroize::Zeroize as _;

use crate::config::values::Secret;
use crate::identity::{Found, Identity, Own};
use crate::recent::Recent;

/// What the field is called.
pub const FIELD: &[u8] = b"X-Tollgate-Identity";

/// Signs what services are told.
#[derive(Debug)]
pub struct Signer {
    key: Key,
    /// The head of every token, in base64url.
    head: Box<str>,
    issuer: Box<str>,
    /// Seconds.
    valid_for: u64,
    /// What verifies its tokens, and those of keys that came before or come after it: a JWK set.
    keys: Box<str>,
}

/// Tokens that a worker has signed lately, each for a caller and a service.
#[derive(Debug, Default)]
pub struct Tokens(Recent<(Caller, Arc<str>), Signed>);

#[derive(Debug, Clone)]
struct Signed {
    token: Rc<str>,
    /// Held, so that no other caller can come to stand where this one stands.
    _caller: Option<Rc<Own>>,
}

/// Who was found, by where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Caller {
    Key(u32),
    Own(*const Own),
}

/// A key to sign with.
enum Key {
    Ed25519(Ed25519KeyPair),
    P256(Box<EcdsaKeyPair>),
    Shared(Box<hmac::Key>),
}

/// A shared secret is at least so long (RFC 7518, section 3.2).
const SHORTEST_SECRET: usize = 32;

impl Signer {
    /// Signs with the first of these keys. The number is that of one which cannot be used, with the reason.
    pub fn new(keys: &[Secret], issuer: &str, valid_for: u64) -> Result<Option<Self>, (usize, String)> {
        let read = keys.iter().map(|secret| Key::read(secret.expose())).enumerate();
        let read = read.map(|(number, key)| key.map_err(|why| (number, why)));
        let keys: Vec<Key> = read.collect::<Result<_, _>>()?;
        let set: Vec<Value> = keys.iter().filter_map(Key::public).collect();
        let Some(key) = keys.into_iter().next() else { return Ok(None) };
        let mut head = Map::new();
        head.insert("typ".to_owned(), "JWT".into());
        head.insert("alg".to_owned(), key.algorithm().into());
        if let Some(Value::Object(public)) = key.public() {
            head.extend(public.get("kid").map(|id| ("kid".to_owned(), id.clone())));
        }
        let head = URL_SAFE_NO_PAD.encode(Value::Object(head).to_string()).into();
        let keys = json!({ "keys": set }).to_string().into();
        Ok(Some(Self { key, head, issuer: issuer.into(), valid_for, keys }))
    }

    /// What verifies its tokens, as a JWK set (RFC 7517). A shared secret is not in it.
    pub fn public_keys(&self) -> &str {
        &self.keys
    }

    /// The token that tells this service of that caller from now on, in seconds since the Unix epoch.
    fn sign(&self, identity: &Identity, service: &str, now: u64) -> Option<String> {
        let mut claims = Map::new();
        let mut says = |name: &str, value: Value| claims.insert(name.to_owned(), value);
        says("iss", (*self.issuer).into());
        says("aud", service.into());
        let scopes = identity.scope_list();
        let told =
            [("sub", &*identity.user), ("app", &identity.app), ("plan", &identity.plan), ("scope", scopes)];
        for (name, value) in told.into_iter().filter(|(_, value)| !value.is_empty()) {
            says(name, value.into());
        }
        says("iat", now.into());
        says("exp", (now + self.valid_for).into());
        let mut token = String::from(&*self.head);
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(Value::Object(claims).to_string(), &mut token);
        let signature = self.key.sign(token.as_bytes())?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Some(token)
    }
}

impl Tokens {
    /// The token that tells this service of the caller who was found.
    pub fn token(
        &self,
        signer: &Signer,
        (found, identity): (&Found, &Identity),
        service: &Arc<str>,
        now: f64,
    ) -> Option<Rc<str>> {
        let (caller, own) = match found {
            Found::Key { key, .. } => (Caller::Key(*key), None),
            Found::Own(own) => (Caller::Own(Rc::as_ptr(own)), Some(Rc::clone(own))),
        };
        let key = (caller, Arc::clone(service));
        if let Some(known) = self.0.get(&key, now) {
            return Some(known.token);
        }
        let token: Rc<str> = signer.sign(identity, service, now as u64)?.into();
        let half = signer.valid_for as f64 / 2.0;
        self.0.keep(key, now + half, Signed { token: Rc::clone(&token), _caller: own });
        Some(token)
    }
}

impl Key {
    /// A private key in PEM, of Ed25519 or P-256, or else a shared secret.
    fn read(secret: &str) -> Result<Self, String> {
        if !secret.trim_start().starts_with("-----BEGIN ") {
            if secret.len() < SHORTEST_SECRET {
                return Err(format!(
                    "this is no private key in PEM, and a shared secret has at least {SHORTEST_SECRET} bytes"
                ));
            }
            return Ok(Self::Shared(Box::new(hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()))));
        }
        let mut der = PrivateKeyDer::from_pem_slice(secret.as_bytes())
            .map_err(|_| "this is PEM, but holds no private key that is not encrypted".to_owned())?;
        let ed25519 = Ed25519KeyPair::from_pkcs8(der.secret_der()).map(Self::Ed25519);
        let key = ed25519.or_else(|_| {
            EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_FIXED_SIGNING, der.secret_der())
                .map(|key| Self::P256(Box::new(key)))
        });
        der.zeroize();
        key.map_err(|_| "this private key is neither of Ed25519 nor of P-256".to_owned())
    }

    fn algorithm(&self) -> &'static str {
        match self {
            Self::Ed25519(_) => "EdDSA",
            Self::P256(_) => "ES256",
            Self::Shared(_) => "HS256",
        }
    }

    /// What verifies its signatures, as a JWK, whose name is its thumbprint (RFC 7638).
    fn public(&self) -> Option<Value> {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        // Of its members in the order of their names the thumbprint is made.
        let mut jwk = match self {
            Self::Ed25519(key) => {
                json!({ "crv": "Ed25519", "kty": "OKP", "x": encode(key.public_key().as_ref()) })
            }
            Self::P256(key) => {
                // Behind the byte that says so, the two coordinates (SEC 1, section 2.3.3).
                let (x, y) = key.public_key().as_ref().get(1..)?.split_at_checked(32)?;
                json!({ "crv": "P-256", "kty": "EC", "x": encode(x), "y": encode(y) })
            }
            Self::Shared(_) => return None,
        };
        let thumbprint = encode(digest(&SHA256, jwk.to_string().as_bytes()).as_ref());
        for (name, value) in [("use", "sig"), ("alg", self.algorithm()), ("kid", &thumbprint)] {
            jwk[name] = value.into();
        }
        Some(jwk)
    }

    fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Ed25519(key) => Some(key.sign(message).as_ref().to_vec()),
            Self::P256(key) => Some(key.sign(&SystemRandom::new(), message).ok()?.as_ref().to_vec()),
            Self::Shared(key) => Some(hmac::sign(key, message).as_ref().to_vec()),
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.algorithm())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};

    use super::*;

    /// The private key of RFC 8037, appendix A.1.
    const ED: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g
-----END PRIVATE KEY-----
";

    fn secrets(texts: &[&str]) -> Vec<Secret> {
        texts.iter().map(|text| Secret::parse(text).unwrap()).collect()
    }

    fn caller(user: &str) -> (Found, Identity) {
        let mut identity = Identity::with_scopes(vec!["read".into(), "write".into()]);
        identity.user = user.into();
        let own = Own::new(identity.clone(), "w");
        (Found::Own(Rc::new(own)), identity)
    }

    fn parts(token: &str) -> [Value; 2] {
        let mut parts = token.split('.').map(|part| URL_SAFE_NO_PAD.decode(part).unwrap());
        [(); 2].map(|()| serde_json::from_slice(&parts.next().unwrap()).unwrap())
    }

    #[test]
    fn a_token_says_who_calls_whom_and_for_how_long() {
        let signer = Signer::new(&secrets(&[ED]), "edge", 60).unwrap().unwrap();
        let (_, identity) = caller("ann");
        let token = signer.sign(&identity, "users", 1000).unwrap();
        let [head, claims] = parts(&token);
        // The name of the key is the thumbprint of RFC 8037, appendix A.3.
        let id = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k";
        assert_eq!(head, json!({ "typ": "JWT", "alg": "EdDSA", "kid": id }));
        let expected = json!({ "iss": "edge", "aud": "users", "sub": "ann", "scope": "read write", "iat": 1000, "exp": 1060 });
        assert_eq!(claims, expected);
        let set: Value = serde_json::from_str(signer.public_keys()).unwrap();
        assert_eq!((&set["keys"][0]["kid"], set["keys"][0]["d"].is_null()), (&json!(id), true));
        let (message, signature) = token.rsplit_once('.').unwrap();
        let public = URL_SAFE_NO_PAD.decode(set["keys"][0]["x"].as_str().unwrap()).unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        UnparsedPublicKey::new(&ED25519, public).verify(message.as_bytes(), &signature).unwrap();
    }

    #[test]
    fn one_token_serves_half_of_its_life_for_one_caller_and_one_service() {
        let signer = Signer::new(&secrets(&[ED]), "edge", 60).unwrap().unwrap();
        let (tokens, users, orders) = (Tokens::default(), Arc::from("users"), Arc::from("orders"));
        let [(ann, of_ann), (bob, of_bob)] = ["ann", "bob"].map(caller);
        let first = tokens.token(&signer, (&ann, &of_ann), &users, 1000.0).unwrap();
        let again = tokens.token(&signer, (&ann, &of_ann), &users, 1029.9).unwrap();
        assert!(Rc::ptr_eq(&first, &again));
        for (caller, service, now) in [
            ((&ann, &of_ann), &users, 1030.0),
            ((&ann, &of_ann), &orders, 1001.0),
            ((&bob, &of_bob), &users, 1001.0),
        ] {
            let other = tokens.token(&signer, caller, service, now).unwrap();
            assert_ne!(first, other, "{service} {now}");
        }
    }

    #[test]
    fn keys_are_of_a_few_kinds_and_shared_ones_are_published_to_nobody() {
        let shared = "a shared secret of thirty-two bytes";
        let signer = Signer::new(&secrets(&[shared, ED]), "edge", 60).unwrap().unwrap();
        assert_eq!(signer.public_keys().matches("kid").count(), 1);
        assert!(!signer.public_keys().contains("shared") && !format!("{signer:?}").contains("shared"));
        let [head, _] = parts(&signer.sign(&caller("ann").1, "users", 0).unwrap());
        assert_eq!(head, json!({ "typ": "JWT", "alg": "HS256" }));
        assert!(Signer::new(&[], "edge", 60).unwrap().is_none());
        for (wrong, why) in [
            ("too short", "at least 32 bytes"),
            ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "neither"),
            ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "no private key"),
            ("-----BEGIN PRIVATE KEY-----\n", "no private key"),
        ] {
            let (number, told) = Signer::new(&secrets(&[ED, wrong]), "edge", 60).unwrap_err();
            assert!(number == 1 && told.contains(why), "{told}");
        }
    }
}
