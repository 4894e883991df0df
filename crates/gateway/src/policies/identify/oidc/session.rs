//! A session: who has logged in, and until when that holds.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::provider::Tokens;
use crate::config;
use crate::identity::Identity;
use crate::identity::claims::{ClaimNames, find};

/// What a cookie keeps of a login. Names are short, as every request carries them; times are seconds since the Unix epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Session {
    /// What the provider says of the user, as far as it is kept.
    #[serde(rename = "c")]
    pub(super) claims: Map<String, Value>,
    /// The scopes that it has granted.
    #[serde(rename = "g")]
    pub(super) granted: String,
    /// When the user logged in.
    #[serde(rename = "b")]
    pub(super) began: u64,
    /// When it was closed into a cookie last.
    #[serde(rename = "u")]
    pub(super) used: u64,
    /// When the provider is to be asked again.
    #[serde(rename = "e", default, skip_serializing_if = "Option::is_none")]
    pub(super) renew_at: Option<u64>,
    /// What it is asked with.
    #[serde(rename = "r", default, skip_serializing_if = "Option::is_none")]
    pub(super) refresh: Option<String>,
    /// What services get.
    #[serde(rename = "a", default, skip_serializing_if = "Option::is_none")]
    pub(super) access: Option<String>,
}

/// What sessions of a way are like.
#[derive(Debug)]
pub(super) struct Terms {
    idle: u64,
    max: u64,
    names: ClaimNames,
    claims: Vec<String>,
    keeps_access: bool,
}

impl Terms {
    pub(super) fn new(config: &config::Oidc) -> Self {
        Self {
            idle: config.session.idle.as_secs().max(1),
            max: config.session.max.as_secs().max(1),
            // An application logs nobody in.
            names: ClaimNames {
                scopes: config.scopes_claim.clone(),
                user: config.user_claim.clone(),
                app: String::new(),
                apps: HashMap::new(),
            },
            claims: config.claims.clone(),
            keeps_access: config.token == config::AccessToken::Pass,
        }
    }

    /// The session that begins with these tokens.
    pub(super) fn begin(
        &self,
        claims: &Map<String, Value>,
        tokens: Tokens,
        asked: &str,
        now: u64,
    ) -> Session {
        Session {
            claims: self.kept(claims),
            granted: tokens.scope.unwrap_or_else(|| asked.to_owned()),
            began: now,
            used: now,
            renew_at: renew_at(tokens.lifetime, now),
            refresh: tokens.refresh,
            access: self.keeps_access.then_some(tokens.access),
        }
    }

    /// The same session with new tokens, of which the provider need not give all anew.
    pub(super) fn renew(
        &self,
        old: &Session,
        claims: Option<&Map<String, Value>>,
        tokens: Tokens,
        now: u64,
    ) -> Session {
        Session {
            claims: claims.map_or_else(|| old.claims.clone(), |claims| self.kept(claims)),
            granted: tokens.scope.unwrap_or_else(|| old.granted.clone()),
            began: old.began,
            used: now,
            renew_at: renew_at(tokens.lifetime, now),
            refresh: tokens.refresh.or_else(|| old.refresh.clone()),
            access: self.keeps_access.then_some(tokens.access),
        }
    }

    /// The claims that are looked at later; of one within another, the outer.
    fn kept(&self, claims: &Map<String, Value>) -> Map<String, Value> {
        let named = [SUBJECT, &self.names.user, &self.names.scopes].into_iter();
        let named = named.chain(self.claims.iter().map(String::as_str));
        let names =
            named.map(
                |name| {
                    if claims.contains_key(name) { name } else { name.split('.').next().unwrap_or(name) }
                },
            );
        names.filter_map(|name| Some((name.to_owned(), claims.get(name)?.clone()))).collect()
    }

    /// Who it is about; nobody where that could not be written into a field or a line.
    pub(super) fn identity(&self, session: &Session) -> Option<Identity> {
        let mut claims = session.claims.clone();
        if find(&claims, &self.names.scopes).is_none() {
            claims.insert(self.names.scopes.clone(), Value::String(session.granted.clone()));
        }
        self.names.identity(claims).filter(|identity| !identity.user.is_empty())
    }

    /// When it is over.
    fn end(&self, session: &Session) -> u64 {
        (session.used + self.idle).min(session.began + self.max)
    }

    pub(super) fn is_over(&self, session: &Session, now: u64) -> bool {
        // One from the future is not ours, or of a clock that was far off.
        now >= self.end(session) || session.used > now + MOST_AHEAD
    }

    /// When its use has to be written down, which is not done each time.
    fn touch_at(&self, session: &Session) -> u64 {
        session.used + (self.idle / 10).max(1)
    }

    pub(super) fn is_to_be_touched(&self, session: &Session, now: u64) -> bool {
        now >= self.touch_at(session)
    }

    /// Until when nothing has to be done for it.
    pub(super) fn settled_until(&self, session: &Session) -> u64 {
        let renew_at = session.renew_at.filter(|_| session.refresh.is_some()).unwrap_or(u64::MAX);
        self.end(session).min(self.touch_at(session)).min(renew_at)
    }
}

impl Session {
    /// The token to ask the provider with, once that is due.
    pub(super) fn due(&self, now: u64) -> Option<&str> {
        self.refresh.as_deref().filter(|_| self.renew_at.is_some_and(|at| now >= at))
    }

    /// Whom it is about, in the provider's words.
    pub(super) fn subject(&self) -> &str {
        self.claims.get(SUBJECT).and_then(Value::as_str).unwrap_or_default()
    }
}

/// Some time before the tokens end, so that services do not see them end.
fn renew_at(lifetime: Option<u64>, now: u64) -> Option<u64> {
    let lifetime = lifetime?;
    Some(now + lifetime.saturating_sub(60).max(lifetime * 3 / 4).min(lifetime))
}

/// The claim that names the user for good (`OpenID` Connect Core 1.0, section 5.7).
pub(super) const SUBJECT: &str = "sub";
/// Seconds by which the clocks of gateways that share a host may differ.
const MOST_AHEAD: u64 = 300;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;
    use crate::config::load_text;

    const NOW: u64 = 1_700_000_000;

    fn terms(more: &str) -> Terms {
        let text = format!(
            "auth: {{ login: {{ oidc: {{ issuer: https://id.example.com/, client_id: web, client_secret: a-secret-of-some-length, \
             redirect: /callback, session: {{ idle: 10m, max: 1h }}, {more} }} }} }}\n\
             services: {{ a: 'http://127.0.0.1:1' }}\n\
             routes: [ {{ match: /, to: a, access: login }} ]"
        );
        let config = load_text(&text).unwrap().0;
        Terms::new(config.auth["login"].oidc.as_deref().unwrap())
    }

    fn tokens() -> Tokens {
        Tokens {
            id: Some("it".into()),
            access: "at".into(),
            refresh: Some("rt".into()),
            lifetime: Some(400),
            scope: Some("openid read".into()),
        }
    }

    fn claims() -> Map<String, Value> {
        let claims =
            json!({ "sub": "u1", "name": "Ann", "nonce": "n", "iss": "x", "realm": { "roles": ["a", "b"] } });
        claims.as_object().unwrap().clone()
    }

    #[test]
    fn a_session_ends_unused_or_in_the_end() {
        let terms = terms("");
        let session = terms.begin(&claims(), tokens(), "", NOW);
        assert!(!terms.is_over(&session, NOW + 599));
        assert!(terms.is_over(&session, NOW + 600));
        let used = Session { used: NOW + 3500, ..session.clone() };
        assert!(!terms.is_over(&used, NOW + 3599));
        assert!(terms.is_over(&used, NOW + 3600));
        assert!(terms.is_over(&session, NOW - 301));
    }

    #[test]
    fn its_use_is_written_down_now_and_then_and_tokens_are_renewed_before_they_end() {
        let terms = terms("");
        let session = terms.begin(&claims(), tokens(), "", NOW);
        assert_eq!(terms.settled_until(&session), NOW + 60);
        assert!(terms.is_to_be_touched(&session, NOW + 60) && !terms.is_to_be_touched(&session, NOW + 59));
        assert_eq!((session.due(NOW + 339), session.due(NOW + 340)), (None, Some("rt")));
        let bare = Session { refresh: None, ..session };
        assert_eq!(bare.due(NOW + 400), None);
    }

    #[test]
    fn only_what_is_looked_at_is_kept_and_tells_who_it_is() {
        let terms = terms("claims: [name, absent], scopes_claim: realm.roles");
        let session = terms.begin(&claims(), tokens(), "", NOW);
        let kept: Vec<_> = session.claims.keys().cloned().collect();
        assert_eq!(kept, ["sub", "realm", "name"]);
        assert_eq!(session.access, None);
        let identity = terms.identity(&session).unwrap();
        assert_eq!((&*identity.user, identity.scopes.len()), ("u1", 2));
    }

    #[test]
    fn scopes_are_those_granted_where_no_claim_says_them() {
        let terms = terms("token: pass, user_claim: name");
        let session = terms.begin(&claims(), tokens(), "", NOW);
        assert_eq!(session.access.as_deref(), Some("at"));
        let identity = terms.identity(&session).unwrap();
        assert_eq!((&*identity.user, &*identity.scopes[1]), ("Ann", "read"));
        let nobody = Session { claims: Map::new(), ..session };
        assert!(terms.identity(&nobody).is_none());
    }
}
