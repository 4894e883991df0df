//! `jwt`: a token that somebody else has signed, as `Authorization: Bearer …`.

mod json;
mod key;
mod token;

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::rc::Rc;

use aws_lc_rs::digest::{Context, SHA256};
use http1::{Known, RequestHead};
use serde_json::{Map, Value};

use super::{Authenticator, Finding, bearer};
use crate::clock;
use crate::config::values::Scope;
use crate::config::{self, Algorithm, Config, Fault, Faults};
use crate::exchange::Exchange;
use crate::identity::{Found, Identity, Own};
use token::{Demands, Verified, find};

/// Bytes of a file with keys.
const MAX_FILE: u64 = 1024 * 1024;
/// Bytes of a user's name.
const LONGEST_USER: usize = 1024;

/// The compiled way.
#[derive(Debug)]
pub struct Jwt {
    name: Box<str>,
    demands: Demands,
    scopes_claim: String,
    user_claim: String,
    app_claim: String,
    /// The plans of the applications that are known.
    apps: HashMap<Box<str>, Box<str>>,
    pass: bool,
}

impl Jwt {
    /// Compiles the configuration and reads the keys; what is wrong with those is reported.
    pub fn build(name: &str, jwt: &config::Jwt, config: &Config, faults: &mut Faults) -> Option<Self> {
        let shown = jwt.jwks.value.display();
        let mut text = Vec::new();
        let read = File::open(&jwt.jwks.value)
            .and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut text))
            .map_err(|error| {
                Fault::error("unreadable_file", jwt.jwks.span, format!("cannot read {shown}: {error}"))
            });
        let keys = read.and_then(|_| {
            let keys = key::read_set(&text, &jwt.algorithms);
            keys.map_err(|why| {
                Fault::error("bad_keys", jwt.jwks.span, format!("{shown} cannot be used: {why}"))
            })
        });
        let keys = match keys {
            Ok(keys) => keys,
            Err(fault) => {
                faults.push(fault);
                return None;
            }
        };
        let plan = |app: &config::App| app.plan.as_ref().map_or("", |plan| &plan.value).into();
        Some(Self {
            name: name.into(),
            demands: Demands {
                keys,
                algorithms: jwt.algorithms.clone(),
                issuers: jwt.issuer.clone(),
                audiences: jwt.audience.clone(),
                leeway: jwt.leeway.as_secs_f64(),
                required: jwt.required.clone(),
            },
            scopes_claim: jwt.scopes_claim.clone(),
            user_claim: jwt.user_claim.clone(),
            app_claim: jwt.app_claim.clone(),
            apps: config.apps.iter().map(|(name, app)| (name.as_str().into(), plan(app))).collect(),
            pass: jwt.pass,
        })
    }

    /// Who the claims are about; nobody where that could not be written into a field or a line.
    fn identity(&self, claims: Map<String, Value>) -> Option<Identity> {
        let text = |name: &str| find(&claims, name).and_then(Value::as_str).unwrap_or_default();
        let user = text(&self.user_claim);
        if user.len() > LONGEST_USER || user.contains(char::is_control) {
            return None;
        }
        let scopes: Vec<Box<str>> = match find(&claims, &self.scopes_claim) {
            Some(Value::String(scopes)) => of_words(scopes.split(' ')),
            // One with a space in it would pass for two.
            Some(Value::Array(scopes)) => of_words(scopes.iter().filter_map(Value::as_str)),
            _ => Vec::new(),
        };
        let mut identity = Identity::with_scopes(scopes);
        identity.user = user.into();
        if let Some((app, plan)) = self.apps.get_key_value(text(&self.app_claim)) {
            (identity.app, identity.plan) = (app.clone(), plan.clone());
        }
        identity.claims = Some(Value::Object(claims));
        Some(identity)
    }

    fn verify(&self, exchange: &Exchange, token: &[u8]) -> Result<Rc<Own>, &'static str> {
        let now = clock::unix_ms() as f64 / 1000.0;
        let digest = self.digest(token);
        let tokens = &exchange.live.tokens;
        if let Some(known) = tokens.get(&digest, now) {
            return Ok(known);
        }
        let Verified { claims, until } = self.demands.verify(token, now)?;
        let identity = self.identity(claims).ok_or("token_claims")?;
        let own = Rc::new(Own { identity, way: self.name.clone() });
        tokens.keep(digest, until, Rc::clone(&own));
        Ok(own)
    }

    /// What stands for a token that this way has verified: another may not have.
    fn digest(&self, token: &[u8]) -> [u8; 32] {
        let mut context = Context::new(&SHA256);
        context.update(self.name.as_bytes());
        context.update(b"\0");
        context.update(token);
        let mut digest = [0; 32];
        digest.copy_from_slice(context.finish().as_ref());
        digest
    }
}

/// Those that are scopes.
fn of_words<'w>(words: impl Iterator<Item = &'w str>) -> Vec<Box<str>> {
    words.filter(|word| Scope::parse(word).is_ok()).map(Into::into).collect()
}

impl Authenticator for Jwt {
    fn identify(&self, exchange: &Exchange) -> Finding {
        let mut sent = exchange.request.fields.get_all(Known::Authorization).filter_map(bearer);
        let Some(token) = sent.next() else { return Finding::Nothing };
        if sent.next().is_some() {
            return Finding::Refused("token_malformed");
        }
        match self.verify(exchange, token) {
            Ok(own) => Finding::Caller(Found::Own(own)),
            Err(code) => Finding::Refused(code),
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
        Demands { keys, algorithms, issuers: Vec::new(), audiences: None, leeway: 0.0, required: Vec::new() };
    demands.verify(bytes, 0.0).is_err()
}

#[cfg(test)]
mod tests;
