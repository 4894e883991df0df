//! Keys to verify signatures by, as a JWK set holds them (RFC 7517, 7518 and 8037).

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{
    self, ParsedPublicKey, RsaParameters, RsaPublicKeyComponents, VerificationAlgorithm,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use crate::config::Algorithm;
use crate::identity::json;

/// Keys of one set that are looked at.
const MAX_KEYS: usize = 100;
/// A shared secret is at least so long (RFC 7518, section 3.2).
const SHORTEST_SECRET: usize = 32;

/// A key, with the algorithms that it is used with.
pub(super) struct Key {
    /// Its name in its set.
    pub(super) id: Option<Box<str>>,
    uses: Vec<(Algorithm, Verifier)>,
}

enum Verifier {
    Public(ParsedPublicKey),
    Shared(Box<hmac::Key>),
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let algorithms: Vec<Algorithm> = self.uses.iter().map(|(algorithm, _)| *algorithm).collect();
        write!(f, "Key({:?}, {algorithms:?})", self.id)
    }
}

impl Key {
    /// Whether it has signed this message in this way. A key that is for another way has not.
    pub(super) fn has_signed(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        self.uses.iter().filter(|(known, _)| *known == algorithm).any(|(_, verifier)| match verifier {
            Verifier::Public(key) => key.verify_sig(message, signature).is_ok(),
            Verifier::Shared(key) => hmac::verify(key, message, signature).is_ok(),
        })
    }

    /// Whether it can be used with this algorithm.
    pub(super) fn is_for(&self, algorithm: Algorithm) -> bool {
        self.uses.iter().any(|(known, _)| *known == algorithm)
    }
}

/// Reads the keys of a set that can be used with one of these algorithms. Others, and what is no key, are passed over, as the RFC
/// demands (section 5); the text says why there is none.
pub(super) fn read_set(bytes: &[u8], algorithms: &[Algorithm]) -> Result<Vec<Key>, String> {
    let set = json::object(bytes).ok_or("it is not a JSON object without repeated names")?;
    let Some(Value::Array(list)) = set.get("keys") else { return Err("it has no list `keys`".to_owned()) };
    if list.len() > MAX_KEYS {
        return Err(format!("it has more than {MAX_KEYS} keys"));
    }
    let keys: Vec<Key> = list
        .iter()
        .filter_map(|key| read(key.as_object()?, algorithms))
        .filter(|key| !key.uses.is_empty())
        .collect();
    if keys.is_empty() {
        return Err("it has no key that can be used with the `algorithms`".to_owned());
    }
    Ok(keys)
}

fn read(key: &Map<String, Value>, algorithms: &[Algorithm]) -> Option<Key> {
    let text = |name: &str| key.get(name).and_then(Value::as_str);
    let bytes = |name: &str| URL_SAFE_NO_PAD.decode(text(name)?).ok();
    if key.get("use").is_some_and(|of| of != "sig") {
        return None;
    }
    if let Some(operations) = key.get("key_ops")
        && !operations.as_array()?.iter().any(|operation| operation == "verify")
    {
        return None;
    }
    let is_meant = |algorithm: &Algorithm| key.get("alg").is_none_or(|of| *of == algorithm.as_str());
    let mut uses = Vec::new();
    for algorithm in algorithms.iter().copied().filter(is_meant) {
        let verifier = match text("kty")? {
            "RSA" => rsa(algorithm, &bytes("n")?, &bytes("e")?),
            "EC" => ec(algorithm, text("crv")?, &bytes("x")?, &bytes("y")?),
            "OKP" => ed(algorithm, text("crv")?, &bytes("x")?),
            "oct" => shared(algorithm, &bytes("k")?),
            _ => return None,
        };
        uses.extend(verifier.map(|verifier| (algorithm, verifier)));
    }
    Some(Key { id: text("kid").map(Into::into), uses })
}

/// RSA keys have 2048 to 8192 bits, and an exponent that does something.
fn rsa(algorithm: Algorithm, modulus: &[u8], exponent: &[u8]) -> Option<Verifier> {
    let parameters: &'static RsaParameters = match algorithm {
        Algorithm::RS256 => &signature::RSA_PKCS1_2048_8192_SHA256,
        Algorithm::RS384 => &signature::RSA_PKCS1_2048_8192_SHA384,
        Algorithm::RS512 => &signature::RSA_PKCS1_2048_8192_SHA512,
        Algorithm::PS256 => &signature::RSA_PSS_2048_8192_SHA256,
        Algorithm::PS384 => &signature::RSA_PSS_2048_8192_SHA384,
        Algorithm::PS512 => &signature::RSA_PSS_2048_8192_SHA512,
        _ => return None,
    };
    let bits = (modulus.len() * 8).saturating_sub(modulus.first()?.leading_zeros() as usize);
    let is_sound = exponent.last()? & 1 == 1 && *exponent != [1];
    if !(2048..=8192).contains(&bits) || !is_sound {
        return None;
    }
    let key = RsaPublicKeyComponents { n: modulus, e: exponent };
    key.to_parsed_public_key(parameters).ok().map(Verifier::Public)
}

fn ec(algorithm: Algorithm, curve: &str, x: &[u8], y: &[u8]) -> Option<Verifier> {
    let (parameters, length): (&'static dyn VerificationAlgorithm, usize) = match (algorithm, curve) {
        (Algorithm::ES256, "P-256") => (&signature::ECDSA_P256_SHA256_FIXED, 32),
        (Algorithm::ES384, "P-384") => (&signature::ECDSA_P384_SHA384_FIXED, 48),
        (Algorithm::ES512, "P-521") => (&signature::ECDSA_P521_SHA512_FIXED, 66),
        _ => return None,
    };
    // The uncompressed form of SEC 1, section 2.3.3.
    let point = [&[4], x, y].concat();
    let key = (x.len() == length && y.len() == length).then_some(point)?;
    ParsedPublicKey::new(parameters, key).ok().map(Verifier::Public)
}

fn ed(algorithm: Algorithm, curve: &str, x: &[u8]) -> Option<Verifier> {
    let is_ed = algorithm == Algorithm::EdDSA && curve == "Ed25519";
    is_ed.then(|| ParsedPublicKey::new(&signature::ED25519, x).ok().map(Verifier::Public))?
}

fn shared(algorithm: Algorithm, secret: &[u8]) -> Option<Verifier> {
    let algorithm = match algorithm {
        Algorithm::HS256 => hmac::HMAC_SHA256,
        Algorithm::HS384 => hmac::HMAC_SHA384,
        Algorithm::HS512 => hmac::HMAC_SHA512,
        _ => return None,
    };
    (secret.len() >= SHORTEST_SECRET).then(|| Verifier::Shared(Box::new(hmac::Key::new(algorithm, secret))))
}
