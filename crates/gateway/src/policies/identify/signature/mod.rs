//! `signature`: HTTP Message Signatures (RFC 9421).

mod base;
mod structured;

use std::collections::HashMap;

use aws_lc_rs::digest::{SHA256, SHA512, digest};
use aws_lc_rs::hmac;
use aws_lc_rs::signature::{self, ParsedPublicKey};
use http1::{Framing, RequestHead};
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject;

use super::{Authenticator, EXPIRED, Finding, MALFORMED_SIGNATURE, STALE_SIGNATURE, WRONG_SIGNATURE};
use crate::clock;
use crate::config::values::{Component, Scope, Size};
use crate::config::{self, Config, Fault, Faults, SignatureAlgorithm, SignatureKey, read_named};
use crate::exchange::Exchange;
use crate::identity::{Callers, Found, Identity, Signers};
use crate::shared::Nonces;
use base::View;
use structured::{Bare, InnerList, byte_sequences, inner_lists};

/// Bytes of a file with a key.
const MAX_FILE: u64 = 64 * 1024;
/// Bytes that a nonce may have.
const NONCE: std::ops::RangeInclusive<usize> = 8..=128;

/// The compiled way.
#[derive(Debug)]
pub struct Signature {
    name: Box<str>,
    /// Its place among the ways of the configuration.
    way: u32,
    algorithms: Vec<SignatureAlgorithm>,
    components: Vec<Component>,
    window: u64,
    tag: Option<String>,
    label: Option<String>,
    signers: Signers,
    keys: HashMap<Box<str>, PublicKey>,
    nonces: Nonces,
    max_body: u64,
    pass: bool,
}

/// A public key, and who signs with the other half.
#[derive(Debug)]
struct PublicKey {
    algorithm: SignatureAlgorithm,
    key: ParsedPublicKey,
    owner: Identity,
}

/// What a request says of its signature.
#[derive(Debug)]
struct Sent {
    covered: InnerList,
    signature: Vec<u8>,
}

/// What must be known of a signature before it is verified.
#[derive(Debug)]
struct Terms<'s> {
    key_id: &'s str,
    nonce: &'s str,
    /// Seconds since the Unix epoch from which on it is no longer taken.
    until: u64,
}

impl Signature {
    /// Compiles the configuration and reads the keys; what is wrong with those is reported.
    pub fn build(
        (name, way): (&str, u32),
        config: &config::Signature,
        nonces: Nonces,
        all: &Config,
        faults: &mut Faults,
    ) -> Option<Self> {
        let mut keys = HashMap::new();
        let mut is_good = true;
        for (id, key) in &config.keys {
            match faults.take(read_key(id, key, &config.algorithms, all)) {
                Some(read) => drop(keys.insert(id.as_str().into(), read)),
                None => is_good = false,
            }
        }
        is_good.then(|| Self {
            name: name.into(),
            way,
            algorithms: config.algorithms.clone(),
            components: config.components.clone(),
            window: config.window.as_secs(),
            tag: config.tag.clone(),
            label: config.label.clone(),
            signers: Signers::new(all, hmac::HMAC_SHA256),
            keys,
            nonces,
            max_body: Size::bytes(config.max_body),
            pass: config.pass,
        })
    }

    /// The signature that a request brings for this way; nothing where it brings none.
    fn sent(&self, request: &RequestHead) -> Option<Result<Sent, &'static str>> {
        let inputs = joined(request, b"signature-input")?;
        let Some(mut inputs) = inner_lists(&inputs) else { return Some(Err(MALFORMED_SIGNATURE)) };
        // What others are to look at says nothing here.
        inputs.retain(|(label, list)| {
            let is_tag =
                |tag: &String| matches!(list.parameters.get("tag"), Some(Bare::Text(sent)) if sent == tag);
            self.label.as_ref().is_none_or(|wanted| label == wanted) && self.tag.as_ref().is_none_or(is_tag)
        });
        let (label, covered) = match (inputs.pop(), inputs.pop()) {
            (None, _) => return None,
            (Some(one), None) => one,
            _ => return Some(Err(MALFORMED_SIGNATURE)),
        };
        let found = || {
            let signatures = byte_sequences(&joined(request, b"signature")?)?;
            signatures.into_iter().find(|(known, _)| *known == label).map(|(_, signature)| signature)
        };
        Some(found().map(|signature| Sent { covered, signature }).ok_or(MALFORMED_SIGNATURE))
    }

    /// What a signature says of itself, at this time.
    fn terms<'s>(&self, sent: &'s Sent, now: u64) -> Result<Terms<'s>, &'static str> {
        let parameters = &sent.covered.parameters;
        let time = |name: &str| match parameters.get(name) {
            None => Ok(None),
            Some(Bare::Integer(seconds)) => {
                u64::try_from(*seconds).map(Some).map_err(|_| MALFORMED_SIGNATURE)
            }
            Some(_) => Err(MALFORMED_SIGNATURE),
        };
        let text = |name: &str| match parameters.get(name) {
            Some(Bare::Text(text)) => Ok(text.as_str()),
            _ => Err(MALFORMED_SIGNATURE),
        };
        let created = time("created")?.ok_or(MALFORMED_SIGNATURE)?;
        let expires = time("expires")?.unwrap_or(u64::MAX);
        let (key_id, nonce) = (text("keyid")?, text("nonce")?);
        if !NONCE.contains(&nonce.len()) {
            return Err(MALFORMED_SIGNATURE);
        }
        if now.abs_diff(created) > self.window || now >= expires {
            return Err(STALE_SIGNATURE);
        }
        Ok(Terms { key_id, nonce, until: expires.min(created + self.window + 1) })
    }

    /// Whether a signature covers what it must.
    fn is_complete(&self, covered: &InnerList, has_body: bool) -> bool {
        let covers =
            |name: &str| covered.items.iter().any(|item| item.text == name && item.parameters.0.is_empty());
        self.components.iter().all(|component| match component.as_str() {
            "content-digest" => !has_body || covers("content-digest"),
            name @ ("@path" | "@query") => covers(name) || covers("@target-uri") || covers("@request-target"),
            name @ ("@authority" | "@scheme" | "@request-target") => covers(name) || covers("@target-uri"),
            name => covers(name),
        })
    }

    /// Whose signature this is.
    fn verify(&self, callers: &Callers, sent: &Sent, key_id: &str, base: &[u8]) -> Option<Signed<'_>> {
        let named = match sent.covered.parameters.get("alg") {
            None => None,
            Some(Bare::Text(name)) => Some(name.as_str()),
            Some(_) => return None,
        };
        let is_for = |algorithm: SignatureAlgorithm| {
            self.algorithms.contains(&algorithm) && named.is_none_or(|name| name == algorithm.as_str())
        };
        if let Some(public) = self.keys.get(key_id) {
            let is_right = is_for(public.algorithm) && public.key.verify_sig(base, &sent.signature).is_ok();
            return is_right.then_some(Signed::Public(&public.owner));
        }
        // As much is done for a key that nobody has.
        let signer = self.signers.of(callers.place(key_id));
        let is_right = hmac::verify(signer.key, base, &sent.signature).is_ok();
        signer.place.filter(|_| is_right && is_for(SignatureAlgorithm::HmacSha256)).map(Signed::Key)
    }
}

/// Who has signed.
enum Signed<'s> {
    /// The owner of the key at this place.
    Key(u32),
    /// The owner of a public key.
    Public(&'s Identity),
}

impl Authenticator for Signature {
    fn identify<'w>(&'w self, exchange: &Exchange, body: Option<&[u8]>) -> Finding<'w> {
        let request = &exchange.request;
        let sent = match self.sent(request) {
            None => return Finding::Nothing,
            Some(Err(code)) => return Finding::Refused(code),
            Some(Ok(sent)) => sent,
        };
        let now = clock::unix_seconds();
        let terms = match self.terms(&sent, now) {
            Ok(terms) => terms,
            Err(code) => return Finding::Refused(code),
        };
        let has_body = request.framing != Framing::None;
        if !self.is_complete(&sent.covered, has_body) {
            return Finding::Refused("signature_incomplete");
        }
        let is_digested = sent.covered.items.iter().any(|item| item.text == "content-digest");
        let body = match body {
            None if is_digested && has_body => return Finding::Body(self.max_body),
            None => b"",
            Some(body) => body,
        };
        let Some(base) = View::new(request, exchange.is_tls()).base(&sent.covered) else {
            return Finding::Refused(MALFORMED_SIGNATURE);
        };
        let callers = &exchange.live.snapshot.callers;
        let Some(signed) = self.verify(callers, &sent, terms.key_id, &base) else {
            return Finding::Refused(WRONG_SIGNATURE);
        };
        if is_digested && !is_digest_right(request, body) {
            return Finding::Refused("digest_wrong");
        }
        let found = match signed {
            Signed::Key(key) if callers.has_expired(key) => return Finding::Refused(EXPIRED),
            Signed::Key(key) => Found::Key { key, way: self.way },
            Signed::Public(owner) => {
                let owner = || Ok((owner.clone(), f64::INFINITY));
                match exchange.live.proofs.owner(&self.name, 0, terms.key_id.as_bytes(), 0.0, owner) {
                    Ok(own) => Found::Own(own),
                    Err(code) => return Finding::Refused(code),
                }
            }
        };
        super::once(self.nonces.spend(terms.key_id, terms.nonce.as_bytes(), terms.until, now), found)
    }

    fn strip(&self, request: &mut RequestHead) {
        if !self.pass {
            request.fields.remove_named(b"signature-input");
            request.fields.remove_named(b"signature");
        }
    }

    fn challenge(&self, realm: &str, _: bool) -> Vec<String> {
        // There is no registered scheme for this.
        vec![format!("Signature realm=\"{realm}\"")]
    }

    fn explain(&self) -> String {
        let components: Vec<&str> = self.components.iter().map(Component::as_str).collect();
        let algorithms: Vec<&str> = self.algorithms.iter().map(|algorithm| algorithm.as_str()).collect();
        format!("an HTTP message signature of {} by {}", components.join(", "), algorithms.join(" or "))
    }
}

/// All lines of a field as one.
fn joined(request: &RequestHead, name: &[u8]) -> Option<Vec<u8>> {
    let mut lines = request.fields.get_all_named(name);
    let mut all = lines.next()?.to_vec();
    for line in lines {
        all.extend_from_slice(b", ");
        all.extend_from_slice(line);
    }
    Some(all)
}

/// Whether `Content-Digest` (RFC 9530) is that of the body, by every algorithm that is known here, and one at least.
fn is_digest_right(request: &RequestHead, body: &[u8]) -> bool {
    let digests = joined(request, b"content-digest").and_then(|field| byte_sequences(&field));
    let mut known = 0;
    let is_right = digests.into_iter().flatten().all(|(name, sent)| {
        let algorithm = match name.as_str() {
            "sha-256" => &SHA256,
            "sha-512" => &SHA512,
            _ => return true,
        };
        known += 1;
        digest(algorithm, body).as_ref() == sent
    });
    is_right && known > 0
}

/// Reads a public key; which kind it is says how it signs.
fn read_key(
    id: &str,
    key: &SignatureKey,
    algorithms: &[SignatureAlgorithm],
    all: &Config,
) -> Result<PublicKey, Fault> {
    let (path, span) = (key.file.value.display(), key.file.span);
    let fault = |code, message| Fault::error(code, span, message);
    let bytes = read_named(&key.file, MAX_FILE)?;
    let der = SubjectPublicKeyInfoDer::from_pem_slice(&bytes)
        .map_err(|_| fault("bad_keys", format!("{path} holds no public key (PEM, `BEGIN PUBLIC KEY`)")))?;
    let (algorithm, key_of_file) = parse_key(&der).ok_or_else(|| {
        fault("bad_keys", format!("the key in {path} is neither Ed25519 nor ECDSA on P-256"))
    })?;
    if !algorithms.contains(&algorithm) {
        let message =
            format!("the key in {path} is for {}, which is not among `algorithms`", algorithm.as_str());
        return Err(fault("bad_keys", message));
    }
    if all.apps.values().flat_map(|app| &app.keys).any(|known| known.id.value.as_str() == id) {
        let message = format!("a key under `apps` is named {id}, too: `keyid` could mean either");
        return Err(fault("bad_keys", message));
    }
    let mut owner =
        Identity::with_scopes(key.scopes.iter().map(|scope| Scope::as_str(scope).into()).collect());
    owner.app = key.app.value.as_str().into();
    owner.plan = all.apps.get(&key.app.value).map_or("", config::App::plan_name).into();
    owner.key = id.into();
    Ok(PublicKey { algorithm, key: key_of_file, owner })
}

fn parse_key(der: &[u8]) -> Option<(SignatureAlgorithm, ParsedPublicKey)> {
    let kinds: [(SignatureAlgorithm, &'static dyn signature::VerificationAlgorithm); 2] = [
        (SignatureAlgorithm::Ed25519, &signature::ED25519),
        (SignatureAlgorithm::EcdsaP256Sha256, &signature::ECDSA_P256_SHA256_FIXED),
    ];
    kinds.into_iter().find_map(|(kind, algorithm)| Some((kind, ParsedPublicKey::new(algorithm, der).ok()?)))
}

/// Reads what came as a description of signatures, and as signatures. For the fuzz target.
#[doc(hidden)]
pub fn is_read_alike(bytes: &[u8]) -> bool {
    let _ = byte_sequences(bytes);
    inner_lists(bytes).into_iter().flatten().all(|(label, list)| {
        let mut written = format!("{label}=");
        list.write(&mut written);
        inner_lists(written.as_bytes()) == Some(vec![(label, list)])
    })
}

#[cfg(test)]
mod tests;
