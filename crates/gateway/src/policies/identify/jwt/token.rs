//! A signed token (RFC 7515 and 7519): its parts, its signature, and the claims that bound it.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::key::Key;
use crate::config::Algorithm;
use crate::identity::claims::{find, names_one};
use crate::identity::json;

/// Bytes of a token that is looked at.
const LONGEST: usize = 16 * 1024;

/// What a token must be.
#[derive(Debug)]
pub struct Demands {
    /// How it may be signed.
    pub algorithms: Vec<Algorithm>,
    /// Who may have.
    pub issuers: Vec<String>,
    /// Whom it is for; nothing where anybody may be meant.
    pub audiences: Option<Vec<String>>,
    /// Seconds by which clocks may differ.
    pub leeway: f64,
    /// Claims that it has besides `exp`.
    pub required: Vec<String>,
}

/// The claims of a token that is what it must be, and when it ends.
#[derive(Debug)]
pub struct Verified {
    /// What it says.
    pub claims: Map<String, Value>,
    /// Seconds since the Unix epoch from which on it is refused, leeway included.
    pub until: f64,
    /// How it is signed.
    pub algorithm: Algorithm,
}

impl Demands {
    /// Verifies a token by these keys at this time, in seconds since the Unix epoch; the code of what it lacks.
    pub(super) fn verify(&self, token: &[u8], keys: &[Key], now: f64) -> Result<Verified, &'static str> {
        let (claims, algorithm) = self.verify_signature(token, keys)?;
        let until = self.check(&claims, now)?;
        Ok(Verified { claims, until, algorithm })
    }

    /// The claims, once it is known who says them: before that nothing of them is read.
    fn verify_signature(
        &self,
        token: &[u8],
        keys: &[Key],
    ) -> Result<(Map<String, Value>, Algorithm), &'static str> {
        if token.len() > LONGEST {
            return Err(MALFORMED);
        }
        let mut parts = token.split(|byte| *byte == b'.');
        let (Some(head), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(MALFORMED);
        };
        let decode = |part: &[u8]| URL_SAFE_NO_PAD.decode(part).map_err(|_| MALFORMED);
        let header = json::object(&decode(head)?).ok_or(MALFORMED)?;
        let message = &token[..head.len() + b".".len() + payload.len()];
        let (payload, signature) = (decode(payload)?, decode(signature)?);
        let algorithm = self.algorithm(&header)?;
        let key_id = match header.get("kid") {
            None => None,
            Some(Value::String(id)) => Some(id.as_str()),
            Some(_) => return Err(MALFORMED),
        };
        // One that names its key is verified by that alone.
        let is_named = |key: &&Key| key_id.is_none_or(|id| key.id.as_deref() == Some(id));
        let mut keys = keys.iter().filter(is_named).filter(|key| key.is_for(algorithm)).peekable();
        if keys.peek().is_none() {
            return Err(KEY_UNKNOWN);
        }
        if signature.is_empty() || !keys.any(|key| key.has_signed(algorithm, message, &signature)) {
            return Err("token_signature");
        }
        Ok((json::object(&payload).ok_or(MALFORMED)?, algorithm))
    }

    /// How it says that it is signed, where that is one of the ways in which it may be.
    fn algorithm(&self, header: &Map<String, Value>) -> Result<Algorithm, &'static str> {
        // What must be understood is not, whatever it is (RFC 7515, section 4.1.11).
        if header.contains_key("crit") {
            return Err("token_critical");
        }
        // Tokens for another purpose are signed by the same keys (RFC 8725, section 3.11).
        let is_known_type = match header.get("typ") {
            None => true,
            Some(Value::String(kind)) => {
                let kind = kind.strip_prefix("application/").unwrap_or(kind);
                ["jwt", "at+jwt"].iter().any(|known| kind.eq_ignore_ascii_case(known))
            }
            Some(_) => false,
        };
        if !is_known_type {
            return Err("token_type");
        }
        let named = header.get("alg").and_then(Value::as_str).and_then(Algorithm::of);
        named.filter(|algorithm| self.algorithms.contains(algorithm)).ok_or("token_algorithm")
    }

    fn check(&self, claims: &Map<String, Value>, now: f64) -> Result<f64, &'static str> {
        let time = |name: &str| match claims.get(name) {
            None => Ok(None),
            Some(value) => value.as_f64().filter(|seconds| seconds.is_finite()).map(Some).ok_or(CLAIMS),
        };
        let expires = time("exp")?.ok_or(CLAIMS)?;
        let until = expires + self.leeway;
        if now >= until {
            return Err("token_expired");
        }
        for name in ["nbf", "iat"] {
            if time(name)?.is_some_and(|since| now + self.leeway < since) {
                return Err("token_too_early");
            }
        }
        let issuer = claims.get("iss").and_then(Value::as_str).ok_or("token_issuer")?;
        if !self.issuers.iter().any(|known| known == issuer) {
            return Err("token_issuer");
        }
        if let Some(audiences) = &self.audiences
            && !names_one(claims.get("aud"), audiences)
        {
            return Err("token_audience");
        }
        if self.required.iter().any(|name| find(claims, name).is_none_or(Value::is_null)) {
            return Err(CLAIMS);
        }
        Ok(until)
    }
}

/// The name of the key that a token says it is signed by; empty where it names none, or is none.
pub(super) fn key_name(token: &[u8]) -> String {
    let head = token.split(|byte| *byte == b'.').next().unwrap_or_default();
    let header = URL_SAFE_NO_PAD.decode(head).ok().and_then(|head| json::object(&head));
    match header.and_then(|mut header| header.remove("kid")) {
        Some(Value::String(name)) if name.len() <= LONGEST_NAME => name,
        _ => String::new(),
    }
}

/// Bytes of a key's name.
const LONGEST_NAME: usize = 256;
/// The code of a token that is signed by a key that is not known.
pub(super) const KEY_UNKNOWN: &str = "token_key_unknown";
const MALFORMED: &str = "token_malformed";
const CLAIMS: &str = "token_claims";
