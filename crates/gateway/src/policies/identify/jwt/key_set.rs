//! Keys that an issuer publishes: fetched by the control plane, again and again, and kept as long as there are no better ones.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, ArcSwapOption};
use serde::Deserialize;
use tokio::sync::{Notify, watch};

use super::key::{Key, read_set};
use super::token::{KEY_UNKNOWN, key_name};
use crate::config::Algorithm;
use crate::outside::Peer;
use crate::record::KeySetReading;

/// The least time between two questions to an issuer. A key that is not known yet is waited for so long, and a question.
pub const COOLDOWN: Duration = Duration::from_secs(2);
/// How long an issuer's answer is waited for.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// Requests that wait for one set's keys, in the whole process.
const MOST_WAITING: usize = 1000;
/// Names that are remembered as those of no key.
const MOST_ABSENT: usize = 10_000;

/// Where an issuer's keys are.
#[derive(Debug, Clone, PartialEq)]
pub struct KeySource {
    /// At which URL.
    pub peer: Arc<Peer>,
    /// The issuer, if that URL is of its description, which says where the keys are (`OpenID` Connect Discovery 1.0).
    pub issuer: Option<Box<str>>,
    /// How often they are fetched.
    pub refresh: Duration,
}

/// What an issuer says of itself, as far as it is used (`OpenID` Connect Discovery 1.0, section 3).
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Description {
    /// Who it is.
    pub issuer: String,
    /// Where its keys are.
    pub jwks_uri: String,
    /// Where browsers log in.
    pub authorization_endpoint: Option<String>,
    /// Where codes are exchanged for tokens.
    pub token_endpoint: Option<String>,
    /// Where browsers log out.
    pub end_session_endpoint: Option<String>,
    /// Whether it says who it is when it sends a browser back (RFC 9207).
    #[serde(default)]
    pub authorization_response_iss_parameter_supported: bool,
}

/// The keys of one issuer.
#[derive(Debug)]
pub struct KeySet {
    source: KeySource,
    description: ArcSwapOption<Description>,
    known: ArcSwap<Known>,
    /// How often they were asked for, whatever came of it, and how often that has failed.
    asked: watch::Sender<u64>,
    failures: AtomicU64,
    /// Whether the last question was answered, and since when not.
    failing_since: Mutex<Option<Instant>>,
    wanted: Notify,
    waiting: AtomicUsize,
    absent: Mutex<Absent>,
    /// Whether somebody fetches them.
    keeper: Mutex<bool>,
}

/// Keys as they were when they changed last.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) keys: Vec<Key>,
    /// How often they have changed; before the first answer, never.
    pub(super) generation: u64,
    text: Vec<u8>,
}

/// Names of keys that the answer of that number did not have.
#[derive(Debug, Default)]
struct Absent {
    asked: u64,
    names: HashSet<Box<str>>,
}

/// Why a token counts for nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unverified {
    /// It is not what it must be; the code says why.
    Wrong(&'static str),
    /// The issuer's keys are not known, and it does not answer.
    Unavailable,
}

/// What a keyholder may be, where it is not us: a secret that is published is none.
const PUBLIC: &[Algorithm] = &[
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::ES512,
    Algorithm::EdDSA,
];

impl KeySet {
    fn new(source: KeySource) -> Self {
        Self {
            source,
            description: ArcSwapOption::empty(),
            known: ArcSwap::default(),
            asked: watch::Sender::new(0),
            failures: AtomicU64::new(0),
            failing_since: Mutex::default(),
            wanted: Notify::new(),
            waiting: AtomicUsize::new(0),
            absent: Mutex::default(),
            keeper: Mutex::default(),
        }
    }

    /// Where they are.
    pub fn source(&self) -> &KeySource {
        &self.source
    }

    /// Whether the caller is to fetch them from now on: the first one is.
    pub fn is_mine_to_keep(&self) -> bool {
        !std::mem::replace(&mut *lock(&self.keeper), true)
    }

    /// Takes what the issuer says of itself.
    pub fn described(&self, description: Description) {
        self.description.store(Some(Arc::new(description)));
    }

    /// What the issuer says of itself, once it has.
    pub(super) fn description(&self) -> Option<Arc<Description>> {
        self.description.load_full()
    }

    /// Takes what the issuer has answered. Whether they are others than before; or why they are not believed.
    pub fn answered(&self, text: &[u8]) -> Result<bool, String> {
        let known = self.known.load();
        let is_new = known.text != text;
        if is_new {
            let keys = read_set(text, PUBLIC)?;
            let generation = known.generation + 1;
            self.known.store(Arc::new(Known { keys, generation, text: text.to_vec() }));
        }
        *lock(&self.failing_since) = None;
        self.asked.send_modify(|asked| *asked += 1);
        Ok(is_new)
    }

    /// The issuer has not answered, or is not believed. Whether that is news; what is known stays.
    pub fn failed(&self, now: Instant) -> bool {
        self.failures.fetch_add(1, Ordering::Relaxed);
        let is_news = {
            let mut since = lock(&self.failing_since);
            let is_news = since.is_none();
            since.get_or_insert(now);
            is_news
        };
        self.asked.send_modify(|asked| *asked += 1);
        is_news
    }

    /// How many keys there are.
    pub fn count(&self) -> usize {
        self.known.load().keys.len()
    }

    /// Ready when a key is asked for that is not there.
    pub async fn wanted(&self) {
        self.wanted.notified().await;
    }

    pub(super) fn known(&self) -> arc_swap::Guard<Arc<Known>> {
        self.known.load()
    }

    /// Verifies once more a token whose key was not known: it may be new, and is waited for.
    pub(super) async fn verify_anew<T>(
        &self,
        token: &[u8],
        verify: impl FnOnce() -> Result<T, &'static str>,
    ) -> Result<T, Unverified> {
        let name = key_name(token);
        self.look_for(&name).await?;
        let result = verify();
        if matches!(result, Err(KEY_UNKNOWN)) {
            self.note_absent(&name);
        }
        result.map_err(Unverified::Wrong)
    }

    /// Waits for the issuer's next answer, as a key of this name is not known; not where the last answer has shown that there
    /// is none.
    async fn look_for(&self, name: &str) -> Result<(), Unverified> {
        let mut asked = self.asked.subscribe();
        let before = *asked.borrow_and_update();
        {
            let mut absent = lock(&self.absent);
            if absent.asked != before {
                *absent = Absent { asked: before, names: HashSet::new() };
            }
            if absent.names.contains(name) {
                return Err(Unverified::Wrong(KEY_UNKNOWN));
            }
        }
        self.next_answer(&mut asked).await
    }

    /// Waits for the issuer's next answer.
    async fn next_answer(&self, asked: &mut watch::Receiver<u64>) -> Result<(), Unverified> {
        let _place = Place::take(&self.waiting).ok_or(Unverified::Unavailable)?;
        self.wanted.notify_one();
        let answer = tokio::time::timeout(COOLDOWN + PATIENCE, asked.changed()).await;
        let is_answered = matches!(answer, Ok(Ok(()))) && lock(&self.failing_since).is_none();
        if is_answered { Ok(()) } else { Err(Unverified::Unavailable) }
    }

    /// What the issuer says of itself, waiting for it where it has not said it yet.
    pub(super) async fn look_for_description(&self) -> Option<Arc<Description>> {
        let mut asked = self.asked.subscribe();
        asked.borrow_and_update();
        if let Some(known) = self.description() {
            return Some(known);
        }
        // Even where its keys could not be had then, it may have described itself.
        let _ = self.next_answer(&mut asked).await;
        self.description()
    }

    /// Remembers that the last answer has no key of this name.
    fn note_absent(&self, name: &str) {
        let asked = *self.asked.borrow();
        let mut absent = lock(&self.absent);
        if absent.asked != asked {
            *absent = Absent { asked, names: HashSet::new() };
        }
        if absent.names.len() < MOST_ABSENT {
            absent.names.insert(name.into());
        }
    }

    fn reading(&self, now: Instant) -> KeySetReading {
        let since = *lock(&self.failing_since);
        KeySetReading {
            source: self.source.peer.url.to_string().into(),
            keys: self.count(),
            failing_for: since.map(|since| now.saturating_duration_since(since)),
            failures: self.failures.load(Ordering::Relaxed),
        }
    }
}

/// A place among those that wait.
struct Place<'s>(&'s AtomicUsize);

impl<'s> Place<'s> {
    fn take(waiting: &'s AtomicUsize) -> Option<Self> {
        let place = Self(waiting);
        (waiting.fetch_add(1, Ordering::Relaxed) < MOST_WAITING).then_some(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The sets that the snapshots of a process use: one that stays in use keeps its keys.
#[derive(Debug, Default)]
pub struct KeySets(Mutex<Vec<Weak<KeySet>>>);

impl KeySets {
    /// The set at that source.
    pub fn at(&self, source: KeySource) -> Arc<KeySet> {
        let mut sets = lock(&self.0);
        sets.retain(|set| set.strong_count() > 0);
        if let Some(known) = sets.iter().filter_map(Weak::upgrade).find(|set| set.source == source) {
            return known;
        }
        let set = Arc::new(KeySet::new(source));
        sets.push(Arc::downgrade(&set));
        set
    }

    /// Those in use.
    pub fn all(&self) -> Vec<Arc<KeySet>> {
        lock(&self.0).iter().filter_map(Weak::upgrade).collect()
    }

    /// How they stand.
    pub fn readings(&self, now: Instant) -> Vec<KeySetReading> {
        self.all().iter().map(|set| set.reading(now)).collect()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
