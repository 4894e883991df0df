//! Who calls: an application or a user, what they were granted, and how they proved it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{Context, SHA256};
use http1::Fields;
use serde_json::Value as Json;

use crate::clock;
use crate::config::values::{KeyHash, Scope, Secret};
use crate::config::{App, Config};
use crate::expression::IdentityFacts;

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
    /// What services are told it by besides, as `Authorization: Bearer …`.
    pub token: Option<Secret>,
    /// Cookies that go to the client with whatever answer.
    pub cookies: Vec<String>,
}

impl Own {
    /// One that is told to services in the usual way, and to the client in none.
    pub fn new(identity: Identity, way: &str) -> Self {
        Self { identity, way: way.into(), token: None, cookies: Vec::new() }
    }
}

/// Proofs that a worker has verified, so that each is once: tokens and certificates. It knows the latest thousand or two; what has
/// ended is no longer one.
#[derive(Debug, Default)]
pub struct Proofs(RefCell<Generations>);

/// When the young are too many they become the old, and the old are forgotten: one that is used stays.
#[derive(Debug, Default)]
struct Generations {
    young: HashMap<[u8; 32], Kept>,
    old: HashMap<[u8; 32], Kept>,
}

#[derive(Debug, Clone)]
struct Kept {
    /// Seconds since the Unix epoch.
    until: f64,
    own: Rc<Own>,
}

/// Proofs of one generation.
const MOST_PROOFS: usize = 1000;

impl Proofs {
    /// Whose proof this is in the way of that name: as it was verified before, or as `verify` finds, who also says until when
    /// it holds. Times are seconds since the Unix epoch. What was verified by keys of another generation counts no more.
    pub fn owner(
        &self,
        way: &str,
        generation: u64,
        proof: &[u8],
        now: f64,
        verify: impl FnOnce() -> Result<(Identity, f64), &'static str>,
    ) -> Result<Rc<Own>, &'static str> {
        self.own(way, generation, proof, now, || {
            verify().map(|(identity, until)| (Own::new(identity, way), until))
        })
    }

    /// The same, where the owner is more than an identity.
    pub fn own(
        &self,
        way: &str,
        generation: u64,
        proof: &[u8],
        now: f64,
        verify: impl FnOnce() -> Result<(Own, f64), &'static str>,
    ) -> Result<Rc<Own>, &'static str> {
        // What one way has verified another may not have.
        let mut context = Context::new(&SHA256);
        for part in [way.as_bytes(), b"\0", &generation.to_le_bytes(), proof] {
            context.update(part);
        }
        let mut digest = [0; 32];
        digest.copy_from_slice(context.finish().as_ref());
        if let Some(known) = self.get(&digest, now) {
            return Ok(known);
        }
        let (own, until) = verify()?;
        let own = Rc::new(own);
        self.keep(digest, until, Rc::clone(&own));
        Ok(own)
    }

    /// Whose this is, if it was verified and still holds.
    fn get(&self, digest: &[u8; 32], now: f64) -> Option<Rc<Own>> {
        let mut generations = self.0.borrow_mut();
        if let Some(known) = generations.young.get(digest) {
            return (now < known.until).then(|| Rc::clone(&known.own));
        }
        let known = generations.old.remove(digest).filter(|known| now < known.until)?;
        let own = Rc::clone(&known.own);
        generations.add(*digest, known);
        Some(own)
    }

    /// Keeps one until then.
    fn keep(&self, digest: [u8; 32], until: f64, own: Rc<Own>) {
        self.0.borrow_mut().add(digest, Kept { until, own });
    }
}

impl Generations {
    fn add(&mut self, digest: [u8; 32], kept: Kept) {
        if self.young.len() >= MOST_PROOFS {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(digest, kept);
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

    fn of_key(app: &App, key: &crate::config::AppKey) -> Self {
        Self {
            app: app.name.value.as_str().into(),
            plan: app.plan_name().into(),
            key: key.id.value.as_str().into(),
            ..Self::with_scopes(key.scopes.iter().map(|scope| Scope::as_str(scope).into()).collect())
        }
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
        for (app, key) in config.apps.values().flat_map(|app| app.keys.iter().map(move |key| (app, key))) {
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
            (Some(_), Some(key)) if is_right && clock::unix_ms() / 1000 >= key.expires => {
                Err(KeyFault::Expired)
            }
            (Some(place), Some(_)) if is_right => Ok(place),
            _ => Err(KeyFault::Unknown),
        }
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
    fn a_proof_is_known_until_it_ends_or_too_many_others_came() {
        let proofs = Proofs::default();
        let own = || Rc::new(Own::new(Identity::default(), ""));
        let digest = |number: usize| {
            let mut digest = [0; 32];
            digest[..8].copy_from_slice(&number.to_le_bytes());
            digest
        };
        proofs.keep(digest(0), 10.0, own());
        assert!(proofs.get(&digest(0), 9.9).is_some());
        assert!(proofs.get(&digest(0), 10.0).is_none());
        assert!(proofs.get(&digest(1), 9.0).is_none());
        for number in 1..10 * MOST_PROOFS {
            proofs.keep(digest(number), 10.0, own());
            // One that is used stays.
            assert!(proofs.get(&digest(0), 9.0).is_some(), "{number}");
        }
        assert!(proofs.get(&digest(1), 9.0).is_none());
        let generations = proofs.0.borrow();
        assert!(generations.young.len() + generations.old.len() <= 2 * MOST_PROOFS);
    }

    #[test]
    fn an_identity_outlasts_its_configuration() {
        let known = callers(APPS);
        let found = Found::Key { key: known.key("web.foo").unwrap(), way: 0 };
        let kept = known.detach(&found).unwrap();
        assert_eq!(&*Callers::default().identity(&kept).unwrap().app, "web");
    }
}
