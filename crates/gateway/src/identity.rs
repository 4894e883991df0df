//! Who calls: an application or a user, what they were granted, and how they proved it.

pub(crate) mod claims;
pub(crate) mod json;
mod proofs;
mod signers;

use std::collections::HashMap;
use std::rc::Rc;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use http::{HeaderName, HeaderValue};
use http1::Fields;
use serde_json::Value as Json;

use crate::clock;
use crate::config::values::{KeyHash, Scope};
use crate::config::{App, AppKey, Config};
use crate::expression::IdentityFacts;
pub use proofs::{Proof, Proofs, Verdict, digest};

pub use signers::{Signer, Signers};

/// What all fields that tell services of callers begin with. Whoever sends one from outside is not believed.
const PREFIX: &[u8] = b"x-tollgate-";

/// A caller. An empty text is one that is not known.
#[derive(Debug, Clone, Default)]
pub struct Identity {
    /// The application.
    pub app: Box<str>,
    /// The person, or whatever else acts through it.
    pub user: Box<str>,
    /// What the application may use.
    pub plan: Box<str>,
    /// What was granted.
    pub scopes: Box<[Box<str>]>,
    /// The same, one behind the other.
    scope_list: Box<str>,
    /// The id of the key that proved it.
    pub key: Box<str>,
    /// What else a token says.
    pub claims: Option<Json>,
}

/// Who was found to call, for as long as an exchange lasts.
#[derive(Debug, Clone)]
pub enum Found {
    /// The owner of a key of the configuration: its place in [`Callers`], and that of the way that found it. Nothing is counted
    /// or copied for it.
    Key {
        /// The key's place.
        key: u32,
        /// The way's place.
        way: u32,
    },
    /// Somebody whom the configuration does not hold, or holds no longer.
    Own(Rc<Own>),
}

/// An identity that belongs to one exchange.
#[derive(Debug)]
pub struct Own {
    /// Who it is.
    pub identity: Identity,
    /// The name of the way that found it.
    pub way: Box<str>,
    /// What else the service is told, in the words of who vouches for it.
    pub fields: Vec<(HeaderName, HeaderValue)>,
    /// Cookies that go to the client with whatever answer.
    pub cookies: Vec<String>,
}

impl Own {
    /// An identity that the way of this name has found.
    pub fn new(identity: Identity, way: &str) -> Self {
        Self { identity, way: way.into(), fields: Vec::new(), cookies: Vec::new() }
    }
}

/// The callers that a configuration knows.
#[derive(Debug, Default)]
pub struct Callers {
    /// The names of the ways to find out who calls.
    ways: Vec<Box<str>>,
    keys: Vec<Key>,
    by_id: HashMap<Box<str>, u32>,
}

#[derive(Debug)]
struct Key {
    hash: KeyHash,
    /// Seconds since the Unix epoch from which on it is refused.
    expires: u64,
    identity: Identity,
}

/// Why a key proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyFault {
    /// No key has this id and this secret. Which of the two is wrong is nobody's business.
    Unknown,
    /// It was one.
    Expired,
}

impl Identity {
    /// Somebody of whom nothing is known but what was granted.
    pub fn with_scopes(scopes: Vec<Box<str>>) -> Self {
        Self { scope_list: scopes.join(" ").into(), scopes: scopes.into(), ..Self::default() }
    }

    fn of_key(app: &App, key: &AppKey) -> Self {
        Self {
            app: app.name.value.as_str().into(),
            plan: app.plan_name().into(),
            key: key.id.value.as_str().into(),
            ..Self::with_scopes(key.scopes.iter().map(|scope| Scope::as_str(scope).into()).collect())
        }
    }

    /// What was granted, with spaces between.
    pub fn scope_list(&self) -> &str {
        &self.scope_list
    }

    /// What expressions see of it.
    pub fn facts(&self) -> IdentityFacts<'_> {
        IdentityFacts {
            app: &self.app,
            user: &self.user,
            plan: &self.plan,
            scopes: &self.scopes,
            claims: self.claims.as_ref(),
        }
    }

    /// Tells a service of it.
    pub fn write_fields(&self, fields: &mut Fields) {
        let told: [(&[u8], &str); 4] = [
            (b"X-Tollgate-App", &self.app),
            (b"X-Tollgate-User", &self.user),
            (b"X-Tollgate-Plan", &self.plan),
            (b"X-Tollgate-Scopes", &self.scope_list),
        ];
        for (name, value) in told {
            if !value.is_empty() {
                fields.append_named(name, value.as_bytes());
            }
        }
    }
}

/// Removes what only the gateway says of callers. Services that get fields as variables cannot tell `_` from `-`.
pub fn remove_claimed(fields: &mut Fields) {
    if fields.iter().any(|field| field.known.is_none() && is_ours(field.name)) {
        fields.retain(|field| field.known.is_some() || !is_ours(field.name));
    }
}

fn is_ours(name: &[u8]) -> bool {
    let same =
        |(byte, ours): (&u8, &u8)| byte.to_ascii_lowercase() == *ours || (*ours == b'-' && *byte == b'_');
    name.len() > PREFIX.len() && name.iter().zip(PREFIX).all(same)
}

impl Callers {
    /// Those of this configuration.
    pub fn new(config: &Config) -> Self {
        let ways = config.auth.keys().map(|name| name.as_str().into()).collect();
        let mut callers = Self { ways, ..Self::default() };
        for (app, key) in keys_of(config) {
            let Some(hash) = key.digest() else { continue };
            let expires = key.expires.as_ref().map_or(u64::MAX, |date| date.value.unix_seconds());
            callers.by_id.insert(key.id.value.as_str().into(), callers.keys.len() as u32);
            callers.keys.push(Key { hash, expires, identity: Identity::of_key(app, key) });
        }
        callers
    }

    /// The place of the way of this name.
    pub fn way(&self, name: &str) -> Option<u32> {
        self.ways.binary_search_by(|known| (**known).cmp(name)).ok().map(|place| place as u32)
    }

    /// The place of the key that was sent as `id.secret`. Takes as long whether there is a key of this id or not, and wherever
    /// the secret differs.
    pub fn key(&self, sent: &str) -> Result<u32, KeyFault> {
        let (id, secret) = sent.split_once('.').ok_or(KeyFault::Unknown)?;
        let place = self.by_id.get(id).copied();
        let key = place.and_then(|place| self.keys.get(place as usize));
        let expected = key.map_or(&[0; 32], |key| key.hash.as_bytes());
        let is_right = verify_slices_are_equal(KeyHash::of(secret).as_bytes(), expected).is_ok();
        match (place, key) {
            (Some(_), Some(key)) if is_right && clock::unix_seconds() >= key.expires => {
                Err(KeyFault::Expired)
            }
            (Some(place), Some(_)) if is_right => Ok(place),
            _ => Err(KeyFault::Unknown),
        }
    }

    /// The place of the key of this id.
    pub fn place(&self, id: &str) -> Option<u32> {
        self.by_id.get(id).copied()
    }

    /// Whether the key at this place is refused by now.
    pub fn has_expired(&self, place: u32) -> bool {
        self.keys.get(place as usize).is_none_or(|key| clock::unix_seconds() >= key.expires)
    }

    /// Who was found.
    pub fn identity<'c>(&'c self, found: &'c Found) -> Option<&'c Identity> {
        match found {
            Found::Key { key, .. } => self.keys.get(*key as usize).map(|key| &key.identity),
            Found::Own(own) => Some(&own.identity),
        }
    }

    /// The name of the way that found it.
    pub fn way_of<'c>(&'c self, found: &'c Found) -> &'c str {
        match found {
            Found::Key { way, .. } => self.ways.get(*way as usize).map_or("", |name| name),
            Found::Own(own) => &own.way,
        }
    }

    /// The same, held by itself: for exchanges that outlast the configuration.
    pub fn detach(&self, found: &Found) -> Option<Found> {
        let identity = self.identity(found)?.clone();
        Some(Found::Own(Rc::new(Own::new(identity, self.way_of(found)))))
    }
}

/// The keys that can be used, in the order of their places.
fn keys_of(config: &Config) -> impl Iterator<Item = (&App, &AppKey)> {
    let keys = config.apps.values().flat_map(|app| app.keys.iter().map(move |key| (app, key)));
    keys.filter(|(_, key)| key.hash.is_some() || key.secret.is_some())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::config::load_text;

    fn callers(text: &str) -> Callers {
        Callers::new(&load_text(text).unwrap().0)
    }

    const APPS: &str = "
plans: { gold: {} }
apps:
  mobile:
    plan: gold
    keys:
      - { id: ro, secret: 'a secret of some length', scopes: [read, list] }
      - { id: old, secret: 'another that is expired', expires: 2020-01-01 }
  web: { keys: [ { id: web, hash: 'sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae' } ] }
";

    #[test]
    fn a_key_is_its_id_and_its_secret() {
        let callers = callers(APPS);
        let found = |sent| callers.key(sent).map(|key| callers.keys[key as usize].identity.app.to_string());
        assert_eq!(found("ro.a secret of some length"), Ok("mobile".to_owned()));
        assert_eq!(found("web.foo"), Ok("web".to_owned()));
        for wrong in [
            "",
            ".",
            "ro",
            "ro.",
            "ro.a secret of some lengt",
            "ro.a secret of some length ",
            "web.",
            "RO.a secret of some length",
            ".foo",
            "nobody.foo",
            "web.foo.",
            "ro.foo",
            "old.foo",
        ] {
            assert_eq!(found(wrong), Err(KeyFault::Unknown), "{wrong}");
        }
        assert_eq!(found("old.another that is expired"), Err(KeyFault::Expired));
    }

    #[test]
    fn services_are_told_what_is_known_and_callers_cannot_say_it() {
        let callers = callers(APPS);
        let found = Found::Key { key: callers.key("ro.a secret of some length").unwrap(), way: 0 };
        let mut fields = Fields::new();
        for name in [
            "X-Tollgate-App",
            "x-tollgate-user",
            "X_TOLLGATE_PLAN",
            "X-Tollgate_Anything",
            "x-tollgate",
            "X-Toll",
        ] {
            fields.append_named(name.as_bytes(), b"mine");
        }
        remove_claimed(&mut fields);
        callers.identity(&found).unwrap().write_fields(&mut fields);
        let told: Vec<_> =
            fields.iter().map(|field| [field.name, field.value].map(String::from_utf8_lossy)).collect();
        let expected = [
            ["x-tollgate", "mine"],
            ["X-Toll", "mine"],
            ["X-Tollgate-App", "mobile"],
            ["X-Tollgate-Plan", "gold"],
            ["X-Tollgate-Scopes", "read list"],
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn an_identity_outlasts_its_configuration() {
        let known = callers(APPS);
        let found = Found::Key { key: known.key("web.foo").unwrap(), way: 0 };
        let kept = known.detach(&found).unwrap();
        assert_eq!(&*Callers::default().identity(&kept).unwrap().app, "web");
    }
}
