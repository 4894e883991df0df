//! What is said to the provider, and what is believed of what it says.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::digest::{SHA256, SHA384, SHA512, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, StatusCode};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::super::{Issuer, ProviderDescription, Unverified, VerifiedToken};
use super::attempt::Attempt;
use super::session::SUBJECT;
use crate::clock;
use crate::config::values::{HttpUrl, Secret};
use crate::config::{Algorithm, ClientAuth};
use crate::notice::notice;
use crate::outside::{Outside, Peer, Question, client_credentials, form_encode};

/// How long an answer is waited for.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);
/// Seconds between two words to the operator.
const QUIET: u64 = 10;
/// Characters of a reason.
const LONGEST_REASON: usize = 300;
/// Bytes of a provider's word that the operator is told.
const LONGEST_WORD: usize = 64;

/// The provider, and who the gateway is to it.
#[derive(Debug)]
pub(super) struct Provider {
    /// The way that asks it.
    pub(super) way: Box<str>,
    /// When the operator was told of something last.
    pub(super) told: AtomicU64,
    pub(super) issuer: Issuer,
    pub(super) name: Box<str>,
    pub(super) peer: Arc<Peer>,
    pub(super) client_id: Box<str>,
    pub(super) secret: Option<Secret>,
    pub(super) auth: ClientAuth,
}

/// What the provider gives for a code or a refresh token.
pub(super) struct Tokens {
    pub(super) id: Option<String>,
    pub(super) access: String,
    pub(super) refresh: Option<String>,
    /// Seconds that the access token holds.
    pub(super) lifetime: Option<u64>,
    pub(super) scope: Option<String>,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tokens(…)")
    }
}

/// Why the provider gives nothing.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// It cannot be reached, or has trouble of its own.
    Unavailable(String),
    /// It says no to what it was shown.
    Refused(String),
    /// What it says is not to be believed.
    Wrong(String),
}

/// What comes from the token endpoint (RFC 6749, section 5.1, and `OpenID` Connect Core 1.0, section 3.1.3.3).
#[derive(Deserialize)]
struct Granted {
    access_token: String,
    token_type: String,
    id_token: Option<String>,
    refresh_token: Option<String>,
    expires_in: Option<Value>,
    scope: Option<String>,
}

/// What comes instead (RFC 6749, section 5.2).
#[derive(Default, Deserialize)]
struct Refused {
    #[serde(default)]
    error: String,
}

impl Provider {
    /// Exchanges the code for tokens; the claims of the user who has logged in.
    pub(super) async fn redeem(
        &self,
        outside: &Outside,
        attempt: &Attempt,
        code: &str,
    ) -> Result<(Map<String, Value>, Tokens), Failure> {
        let mut form = Form::new("grant_type=authorization_code");
        form.add("code=", code);
        form.add("redirect_uri=", &attempt.redirect);
        form.add("code_verifier=", &attempt.verifier);
        let granted = self.ask(outside, form).await?;
        let Some(id_token) = &granted.id_token else {
            return Err(Failure::Wrong("it gave no ID token".to_owned()));
        };
        let verified = self.verify(id_token, &granted.access_token, Some(&attempt.nonce)).await?;
        Ok((verified.claims, granted.into()))
    }

    /// Exchanges a refresh token for new tokens, and new claims where the provider sends any.
    pub(super) async fn refresh(
        &self,
        outside: &Outside,
        refresh: &str,
        subject: &str,
    ) -> Result<(Option<Map<String, Value>>, Tokens), Failure> {
        let mut form = Form::new("grant_type=refresh_token");
        form.add("refresh_token=", refresh);
        let granted = self.ask(outside, form).await?;
        let claims = match &granted.id_token {
            None => None,
            Some(token) => Some(self.verify(token, &granted.access_token, None).await?.claims),
        };
        // Core 1.0, section 12.2: it stays the same user.
        if claims.as_ref().is_some_and(|claims| claims.get(SUBJECT).and_then(Value::as_str) != Some(subject))
        {
            return Err(Failure::Wrong("its new ID token is another user's".to_owned()));
        }
        Ok((claims, granted.into()))
    }

    /// Tells the operator what has failed and why, but not without end.
    pub(super) fn tell(&self, what: &str, why: &str) {
        let now = clock::unix_seconds();
        let last = self.told.load(Ordering::Relaxed);
        let is_mine = now >= last + QUIET
            && self.told.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if is_mine {
            let why: String =
                why.chars().filter(|letter| !letter.is_control()).take(LONGEST_REASON).collect();
            notice(format_args!("auth {}: {what}: {}: {why}", self.way, self.name));
        }
    }

    async fn ask(&self, outside: &Outside, mut form: Form) -> Result<Granted, Failure> {
        let Some(description) = self.issuer.description().await else {
            return Err(Failure::Unavailable("it has not described itself".to_owned()));
        };
        let mut question = Question::new(&self.token_endpoint(&description)?, Method::POST, PATIENCE);
        match (&self.secret, self.auth) {
            (Some(secret), ClientAuth::Basic) => {
                let credentials = client_credentials(&self.client_id, secret.expose());
                question.fields.push((AUTHORIZATION, credentials));
            }
            (Some(secret), ClientAuth::Post) => {
                form.add("client_id=", &self.client_id);
                form.add("client_secret=", secret.expose());
            }
            (None, _) => form.add("client_id=", &self.client_id),
        }
        question.fields.push((CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded")));
        question.fields.push((ACCEPT, HeaderValue::from_static("application/json")));
        question.body = Bytes::from(form.text);
        let answer = outside.ask(question).await.map_err(Failure::Unavailable)?;
        if answer.status == StatusCode::OK {
            let granted = serde_json::from_slice::<Granted>(&answer.body);
            let granted = granted.map_err(|_| Failure::Wrong("its answer holds no tokens".to_owned()))?;
            let is_known =
                granted.token_type.eq_ignore_ascii_case("bearer") && is_field(&granted.access_token);
            return if is_known {
                Ok(granted)
            } else {
                Err(Failure::Wrong("its access token is none to bear".to_owned()))
            };
        }
        let refused = serde_json::from_slice::<Refused>(&answer.body).unwrap_or_default();
        let why = format!("it answered {} {}", answer.status.as_u16(), word(&refused.error));
        match answer.status.as_u16() {
            429 | 500.. => Err(Failure::Unavailable(why)),
            _ => Err(Failure::Refused(why)),
        }
    }

    fn token_endpoint(&self, description: &ProviderDescription) -> Result<Arc<Peer>, Failure> {
        let Some(endpoint) = &description.token_endpoint else {
            return Err(Failure::Wrong("it describes no token endpoint".to_owned()));
        };
        let url = self.peer.trusted(endpoint).map_err(Failure::Wrong)?;
        Ok(Arc::new(Peer { url, tls: self.peer.tls.clone() }))
    }

    /// A page of the provider to which a browser is sent, ready for parameters.
    pub(super) fn page(&self, url: &str) -> Result<Form, String> {
        let parsed = HttpUrl::parse(url)?;
        if !url.bytes().all(|byte| byte.is_ascii_graphic()) || url.contains('#') {
            return Err("it names a page that is no plain URL".to_owned());
        }
        if self.peer.url.is_tls() && !parsed.is_tls() {
            return Err(format!("it names {parsed}, which is not encrypted"));
        }
        Ok(Form::new(url))
    }

    /// The ID token, which is for us and for this login (Core 1.0, section 3.1.3.7).
    async fn verify(&self, token: &str, access: &str, nonce: Option<&str>) -> Result<VerifiedToken, Failure> {
        let verified = self.issuer.verify(token.as_bytes()).await.map_err(|why| match why {
            Unverified::Wrong(code) => Failure::Wrong(format!("its ID token is refused: {code}")),
            Unverified::Unavailable => Failure::Unavailable("its keys are not known".to_owned()),
        })?;
        match check(&verified, &self.client_id, access, nonce) {
            Ok(()) => Ok(verified),
            Err(what) => Err(Failure::Wrong(format!("its ID token is refused: {what}"))),
        }
    }
}

/// What is asked of an ID token besides what is of every token.
fn check(
    verified: &VerifiedToken,
    client_id: &str,
    access: &str,
    nonce: Option<&str>,
) -> Result<(), &'static str> {
    let claims = &verified.claims;
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    if text(SUBJECT).is_none_or(str::is_empty) {
        return Err("it names no user");
    }
    if !claims.contains_key("iat") {
        return Err("it does not say when it was made");
    }
    let has_many = claims.get("aud").and_then(Value::as_array).is_some_and(|audiences| audiences.len() > 1);
    if (claims.contains_key("azp") || has_many) && text("azp") != Some(client_id) {
        return Err("it is for another client");
    }
    if nonce.is_some() && text("nonce") != nonce {
        return Err("it belongs to another login");
    }
    if let Some(hash) = claims.get(ACCESS_HASH)
        && hash.as_str() != Some(&half_hash(verified.algorithm, access))
    {
        return Err("it belongs to another access token");
    }
    Ok(())
}

/// The left half of a hash (Core 1.0, section 3.1.3.6), by the function that the signature has; that of Ed25519 is SHA-512.
fn half_hash(algorithm: Algorithm, text: &str) -> String {
    let function = match algorithm {
        Algorithm::HS256 | Algorithm::RS256 | Algorithm::PS256 | Algorithm::ES256 => &SHA256,
        Algorithm::HS384 | Algorithm::RS384 | Algorithm::PS384 | Algorithm::ES384 => &SHA384,
        Algorithm::HS512 | Algorithm::RS512 | Algorithm::PS512 | Algorithm::ES512 | Algorithm::EdDSA => {
            &SHA512
        }
    };
    let hash = digest(function, text.as_bytes());
    let hash = hash.as_ref();
    URL_SAFE_NO_PAD.encode(&hash[..hash.len() / 2])
}

impl From<Granted> for Tokens {
    fn from(granted: Granted) -> Self {
        let lifetime = granted.expires_in.and_then(|seconds| match seconds {
            Value::Number(seconds) => seconds.as_f64().map(|seconds| seconds as u64),
            // Some send it as a text.
            Value::String(seconds) => seconds.parse().ok(),
            _ => None,
        });
        Self {
            id: granted.id_token,
            access: granted.access_token,
            refresh: granted.refresh_token,
            lifetime: lifetime.map(|seconds| seconds.min(MOST_LIFETIME)),
            scope: granted.scope,
        }
    }
}

/// Pairs of names and values, behind each other.
pub(super) struct Form {
    pub(super) text: String,
}

impl Form {
    /// One that begins so: with a pair, or with a URL.
    fn new(first: &str) -> Self {
        Self { text: first.to_owned() }
    }

    /// Adds a pair; the name comes with its `=`.
    pub(super) fn add(&mut self, name: &str, value: &str) {
        let is_url = self.text.contains("://") && !self.text.contains('?');
        self.text.push(if is_url { '?' } else { '&' });
        self.text.push_str(name);
        form_encode(value, &mut self.text);
    }
}

/// Whether a token can be sent in a field.
fn is_field(token: &str) -> bool {
    !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic())
}

/// An error's name as far as it is one (RFC 6749, section 5.2): what a provider sends is not to be trusted with our lines.
pub(super) fn word(text: &str) -> &str {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    if text.len() <= LONGEST_WORD && text.bytes().all(is_plain) { text } else { "" }
}

/// The claim that ties an access token to an ID token.
const ACCESS_HASH: &str = "at_hash";
/// Seconds: longer than any session.
const MOST_LIFETIME: u64 = 366 * 86400;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    fn checked(claims: &Value) -> Result<(), &'static str> {
        let claims = claims.as_object().unwrap().clone();
        let verified = VerifiedToken { claims, until: 0.0, algorithm: Algorithm::RS256 };
        check(&verified, "web", "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y", Some("n1"))
    }

    #[test]
    fn an_id_token_is_for_this_client_this_login_and_this_access_token() {
        let good = json!({ "sub": "u", "iat": 1, "aud": "web", "nonce": "n1" });
        assert_eq!(checked(&good), Ok(()));
        let with = |name: &str, value: Value| {
            let mut claims = good.clone();
            claims[name] = value;
            claims
        };
        // Core 1.0, appendix A.3.
        assert_eq!(checked(&with("at_hash", json!("77QmUPtjPfzWtF2AnpK9RQ"))), Ok(()));
        for (name, value) in [
            ("sub", json!("")),
            ("sub", json!(1)),
            ("nonce", json!("n2")),
            ("nonce", json!(null)),
            ("azp", json!("other")),
            ("azp", json!(null)),
            ("aud", json!(["web", "other"])),
            ("at_hash", json!("x")),
            ("at_hash", json!(null)),
        ] {
            assert!(checked(&with(name, value.clone())).is_err(), "{name}: {value}");
        }
        let mut many = with("aud", json!(["web", "other"]));
        many["azp"] = json!("web");
        assert_eq!(checked(&many), Ok(()));
        let mut undated = good.clone();
        undated.as_object_mut().unwrap().remove("iat");
        assert!(checked(&undated).is_err());
    }

    #[test]
    fn what_is_sent_is_encoded() {
        let mut form = Form::new("grant_type=x");
        form.add("code=", "a b&c=d/é");
        assert_eq!(form.text, "grant_type=x&code=a%20b%26c%3Dd%2F%C3%A9");
        let mut form = Form::new("https://id.example.com/auth");
        form.add("a=", "1");
        form.add("b=", "2");
        assert_eq!(form.text, "https://id.example.com/auth?a=1&b=2");
        let mut form = Form::new("https://id.example.com/auth?p=1");
        form.add("a=", "1");
        assert_eq!(form.text, "https://id.example.com/auth?p=1&a=1");
    }

    #[test]
    fn a_providers_word_is_one_or_nothing() {
        assert_eq!(word("access_denied"), "access_denied");
        for bad in ["<script>", "two words", "a\nb", &"x".repeat(65)] {
            assert_eq!(word(bad), "");
        }
    }
}
