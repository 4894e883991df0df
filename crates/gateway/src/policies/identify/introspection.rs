//! `introspection`: a token that means nothing by itself; who has given it out says what it is worth (RFC 7662).

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, StatusCode};
use http1::RequestHead;
use serde_json::{Map, Value};

use super::{Authenticator, Finding, Means, bearer};
use crate::clock;
use crate::config::{self, Config};
use crate::exchange::Exchange;
use crate::identity::claims::{ClaimNames, names_one};
use crate::identity::{Own, Verdict, digest, json};
use crate::outside::{Outside, Peer, Question, client_credentials, form_encode};

/// Bytes of a token that is asked for.
const LONGEST: usize = 16 * 1024;

/// The compiled way.
#[derive(Debug)]
pub struct Introspection {
    name: Box<str>,
    peer: Arc<Peer>,
    outside: Arc<Outside>,
    /// What the gateway proves itself with.
    credentials: HeaderValue,
    patience: Duration,
    cache: Duration,
    negative: Duration,
    issuers: Vec<String>,
    audiences: Option<Vec<String>>,
    claims: ClaimNames,
    pass: bool,
}

impl Introspection {
    /// Compiles the configuration.
    pub fn build(name: &str, config: &config::Introspection, all: &Config, means: &Means<'_>) -> Self {
        Self {
            name: name.into(),
            peer: Arc::new(Peer { url: config.url.value.clone(), tls: means.tls.get(name).cloned() }),
            outside: Arc::clone(means.outside),
            credentials: client_credentials(&config.client_id, config.client_secret.expose()),
            patience: *config.timeout,
            cache: *config.cache,
            negative: *config.negative_cache,
            issuers: config.issuer.clone(),
            audiences: config.audience.clone(),
            claims: ClaimNames::new(&config.scopes_claim, &config.user_claim, &config.app_claim, all),
            pass: config.pass,
        }
    }

    /// What is said of a token, and until when that holds.
    async fn ask(&self, token: Vec<u8>) -> Result<(Verdict, f64), &'static str> {
        let answer = self.outside.ask(self.question(&token)).await.map_err(|_| UNAVAILABLE)?;
        if answer.status != StatusCode::OK {
            return Err(UNAVAILABLE);
        }
        let claims = json::object(&answer.body).ok_or(UNAVAILABLE)?;
        Ok(self.judge(claims, seconds()))
    }

    fn question(&self, token: &[u8]) -> Question {
        let mut question = Question::new(&self.peer, Method::POST, self.patience);
        question.fields = vec![
            (AUTHORIZATION, self.credentials.clone()),
            (ACCEPT, HeaderValue::from_static("application/json")),
            (CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded")),
        ];
        let mut form = "token=".to_owned();
        form_encode(&String::from_utf8_lossy(token), &mut form);
        form.push_str("&token_type_hint=access_token");
        question.body = Bytes::from(form);
        question
    }

    /// What is said of the token, and until when that is believed, in seconds since the Unix epoch.
    fn judge(&self, claims: Map<String, Value>, now: f64) -> (Verdict, f64) {
        let refused = |code| (Err(code), now + self.negative.as_secs_f64());
        let time = |name: &str| claims.get(name).and_then(Value::as_f64).filter(|time| time.is_finite());
        if claims.get("active") != Some(&Value::Bool(true)) {
            return refused("token_inactive");
        }
        let expires = time("exp").unwrap_or(f64::INFINITY);
        if now >= expires {
            return refused("token_expired");
        }
        if time("nbf").is_some_and(|since| now < since) {
            return refused("token_too_early");
        }
        let issuer = claims.get("iss").and_then(Value::as_str);
        if !self.issuers.is_empty() && !self.issuers.iter().any(|known| issuer == Some(known)) {
            return refused("token_issuer");
        }
        if let Some(audiences) = &self.audiences
            && !names_one(claims.get("aud"), audiences)
        {
            return refused("token_audience");
        }
        match self.claims.identity(claims) {
            Some(identity) => {
                let own = Own::new(identity, &self.name);
                (Ok(Rc::new(own)), expires.min(now + self.cache.as_secs_f64()))
            }
            None => refused("token_claims"),
        }
    }
}

impl Authenticator for Introspection {
    fn identify<'w>(&'w self, exchange: &Exchange, _body: Option<&[u8]>) -> Finding<'w> {
        let Some(token) = bearer(&exchange.request) else { return Finding::Nothing };
        // What is no token (RFC 6750, section 2.1) is nobody's, and not worth a question.
        if token.is_empty() || token.len() > LONGEST || !token.iter().all(u8::is_ascii_graphic) {
            return Finding::Refused("token_malformed");
        }
        let proof = digest(&self.name, 0, token);
        if let Some(known) = exchange.live.proofs.known(&proof, seconds()) {
            return known.into();
        }
        let (proofs, token) = (Rc::clone(&exchange.live.proofs), token.to_vec());
        Finding::Wait(Box::pin(async move {
            match proofs.found_once(proof, self.ask(token)).await {
                Ok(verdict) => verdict.into(),
                Err(code) => Finding::Unavailable(code),
            }
        }))
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
        format!("a bearer token that {} vouches for", self.peer.url)
    }
}

fn seconds() -> f64 {
    clock::unix_ms() as f64 / 1000.0
}

const UNAVAILABLE: &str = "introspection_unavailable";
