//! `jwt`: a token that somebody else has signed, as `Authorization: Bearer …`.

mod issuer;
mod key;
mod key_set;
mod token;

use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

pub use self::issuer::Issuer;
use self::key::Key;
pub use self::key_set::{COOLDOWN, Description, KeySet, KeySets, KeySource, PATIENCE, Unverified};
use self::token::KEY_UNKNOWN;
pub use self::token::{Demands, Verified};
use super::{Authenticator, Finding, Means, bearer};
use crate::clock;
use crate::config::{self, Algorithm, Config, Fault, Faults, KeysAt, Located, read_named};
use crate::exchange::Exchange;
use crate::identity::claims::ClaimNames;
use crate::identity::{Identity, Own, Proofs};
use crate::outside::Peer;
use http1::RequestHead;

/// Bytes of a file with keys.
const MAX_FILE: u64 = 1024 * 1024;

/// The compiled way.
#[derive(Debug)]
pub struct Jwt {
    name: Box<str>,
    keys: Keys,
    demands: Demands,
    claims: ClaimNames,
    pass: bool,
}

/// The keys of an issuer.
#[derive(Debug)]
enum Keys {
    /// As they were in a file.
    Fixed(Vec<Key>),
    /// As the issuer publishes them.
    Published(Arc<KeySet>),
}

impl Jwt {
    /// Compiles the configuration and reads the keys, where they are in a file; what is wrong with those is reported.
    pub fn build(
        name: &str,
        jwt: &config::Jwt,
        config: &Config,
        means: &Means<'_>,
        faults: &mut Faults,
    ) -> Option<Self> {
        let keys = match &jwt.jwks {
            KeysAt::File(file) => Keys::Fixed(read_keys(file, &jwt.algorithms, faults)?),
            KeysAt::Url(url) | KeysAt::Discovered(url) => {
                let peer = Peer { url: url.value.clone(), tls: means.tls.get(name).cloned() };
                let issuer = matches!(jwt.jwks, KeysAt::Discovered(_)).then(|| jwt.issuer.first());
                let issuer = issuer.flatten().map(|issuer| issuer.as_str().into());
                let source = KeySource { peer: Arc::new(peer), issuer, refresh: *jwt.refresh };
                Keys::Published(means.key_sets.at(source))
            }
        };
        Some(Self {
            name: name.into(),
            keys,
            demands: Demands {
                algorithms: jwt.algorithms.clone(),
                issuers: jwt.issuer.clone(),
                audiences: jwt.audience.clone(),
                leeway: jwt.leeway.as_secs_f64(),
                required: jwt.required.clone(),
            },
            claims: ClaimNames::new(&jwt.scopes_claim, &jwt.user_claim, &jwt.app_claim, config),
            pass: jwt.pass,
        })
    }

    fn verify(&self, token: &[u8], keys: &[Key], now: f64) -> Result<(Identity, f64), &'static str> {
        let Verified { claims, until, .. } = self.demands.verify(token, keys, now)?;
        Ok((self.claims.identity(claims).ok_or("token_claims")?, until))
    }

    /// Whose token this is, as far as the keys that are known now say it.
    fn owner(&self, proofs: &Proofs, token: &[u8]) -> Result<Rc<Own>, &'static str> {
        let now = clock::unix_ms() as f64 / 1000.0;
        match &self.keys {
            Keys::Fixed(keys) => proofs.owner(&self.name, 0, token, now, || self.verify(token, keys, now)),
            Keys::Published(set) => {
                let known = set.known();
                // What a key has proved that is withdrawn is proved no longer.
                proofs
                    .owner(&self.name, known.generation, token, now, || self.verify(token, &known.keys, now))
            }
        }
    }

    /// Waits for the key that a token is signed by, which may be new.
    async fn wait_for_key(&self, proofs: Rc<Proofs>, set: &KeySet, token: Vec<u8>) -> Finding<'_> {
        match set.verify_anew(&token, || self.owner(&proofs, &token)).await {
            Ok(own) => Ok(own).into(),
            Err(Unverified::Wrong(code)) => Finding::Refused(code),
            Err(Unverified::Unavailable) => Finding::Unavailable("keys_unavailable"),
        }
    }
}

fn read_keys(file: &Located<PathBuf>, algorithms: &[Algorithm], faults: &mut Faults) -> Option<Vec<Key>> {
    let text = faults.take(read_named(file, MAX_FILE))?;
    let keys = key::read_set(&text, algorithms).map_err(|why| {
        let message = format!("{} cannot be used: {why}", file.value.display());
        Fault::error("bad_keys", file.span, message)
    });
    faults.take(keys)
}

impl Authenticator for Jwt {
    fn identify<'w>(&'w self, exchange: &Exchange, _body: Option<&[u8]>) -> Finding<'w> {
        let Some(token) = bearer(&exchange.request) else { return Finding::Nothing };
        match (self.owner(&exchange.live.proofs, token), &self.keys) {
            (Err(KEY_UNKNOWN), Keys::Published(set)) => Finding::Wait(Box::pin(self.wait_for_key(
                Rc::clone(&exchange.live.proofs),
                set,
                token.to_vec(),
            ))),
            (result, _) => result.into(),
        }
    }

    fn strip(&self, request: &mut RequestHead) {
        if !self.pass {
            super::strip_bearer(request);
        }
    }

    fn challenge(&self, realm: &str, is_wrong: bool) -> Vec<String> {
        vec![super::bearer_challenge(realm, is_wrong)]
    }

    fn explain(&self) -> String {
        let algorithms: Vec<&str> =
            self.demands.algorithms.iter().map(|algorithm| algorithm.as_str()).collect();
        format!(
            "a bearer token of {}, signed by {}",
            self.demands.issuers.join(" or "),
            algorithms.join(", ")
        )
    }
}

/// Reads what came as a token, and as a set of keys. For the fuzz target.
#[doc(hidden)]
pub fn is_refused(bytes: &[u8]) -> bool {
    const KEYS: &[u8] =
        br#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
    let algorithms = vec![Algorithm::EdDSA, Algorithm::RS256, Algorithm::ES256, Algorithm::HS256];
    let _ = key::read_set(bytes, &algorithms);
    let keys = key::read_set(KEYS, &algorithms).unwrap_or_default();
    let demands =
        Demands { algorithms, issuers: Vec::new(), audiences: None, leeway: 0.0, required: Vec::new() };
    demands.verify(bytes, &keys, 0.0).is_err()
}

#[cfg(test)]
mod tests;
