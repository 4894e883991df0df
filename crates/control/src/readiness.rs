//! Whether the gateway should get traffic, and which configuration it serves: what `/readyz` says.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::certificates::{Certificates, Expiry};

/// The longest error text that is kept; a file full of faults repeats itself.
const ERROR_LIMIT: usize = 16 * 1024;

/// What the gateway says about itself. Shared by the admin listener, the reloader and the drain.
#[derive(Default)]
pub struct Readiness(Mutex<State>);

#[derive(Default)]
struct State {
    is_draining: bool,
    /// How many processes have served since the first was started: one, and one for each upgrade.
    process: u64,
    /// Zero before the first configuration.
    generation: u64,
    loaded_at: Option<SystemTime>,
    refused: Option<Refused>,
    certificates: Certificates,
}

struct Refused {
    at: SystemTime,
    error: String,
}

impl Readiness {
    /// Not ready: no configuration has been loaded yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Which process this is since the first was started, from 1: an upgrade of the binary counts.
    pub fn set_process(&self, generation: u64) {
        self.state().process = generation;
    }

    /// A configuration is in force; what was refused before it is forgotten. Returns its generation, from 1.
    pub fn loaded(&self, now: SystemTime) -> u64 {
        let mut state = self.state();
        state.generation += 1;
        state.loaded_at = Some(now);
        state.refused = None;
        state.generation
    }

    /// A configuration was refused; the one before it stays in force.
    pub fn refused(&self, error: &str, now: SystemTime) {
        let end = error.floor_char_boundary(ERROR_LIMIT);
        self.state().refused = Some(Refused { at: now, error: error[..end].to_owned() });
    }

    /// The gateway is stopping: balancers in front of it should turn away. There is no way back.
    pub fn draining(&self) {
        self.state().is_draining = true;
    }

    /// These certificates are in force. `has_clear`: some listener needs none.
    pub fn serves(&self, certificates: Vec<Expiry>, has_clear: bool) {
        self.state().certificates.replace(certificates, has_clear);
    }

    /// What is to be said of certificates that expire soon: 30 and 14 days ahead once, from 3 days on once a day.
    pub fn reminders(&self, now: SystemTime) -> Vec<String> {
        self.state().certificates.remind(unix(now))
    }

    /// Whether new traffic should come.
    pub fn is_ready(&self, now: SystemTime) -> bool {
        let state = self.state();
        !state.is_draining && state.generation > 0 && !state.certificates.are_all_expired(unix(now))
    }

    /// The generation of the configuration in force; zero before the first.
    pub fn generation(&self) -> u64 {
        self.state().generation
    }

    /// The body of `/readyz`. The error quotes lines of the configuration, so it is `shown` only to those who may
    /// read them.
    pub(crate) fn body(&self, now: SystemTime, is_error_shown: bool) -> Value {
        let state = self.state();
        let now = unix(now);
        let status = match (state.is_draining, state.generation) {
            (true, _) => "draining",
            (false, 0) => "starting",
            (false, _) if state.certificates.are_all_expired(now) => "expired",
            (false, _) if state.certificates.is_any_expired(now) => "degraded",
            (false, _) => "ready",
        };
        let reload = match &state.refused {
            Some(refused) => json!({
                "result": "refused",
                "at": unix(refused.at),
                "error": if is_error_shown { &refused.error } else { "shown to those who send the admin token" },
            }),
            None if state.generation > 1 => json!({ "result": "ok", "at": state.loaded_at.map(unix) }),
            None => Value::Null,
        };
        json!({
            "status": status,
            "process": { "pid": std::process::id(), "generation": state.process },
            "config": {
                "generation": state.generation,
                "loaded_at": state.loaded_at.map(unix),
                "reload": reload,
            },
            "certificates": state.certificates.body(now, is_error_shown),
        })
    }

    /// A panic elsewhere cannot leave the state half-written: every change is a few stores.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whole seconds since 1970.
fn unix(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn it_is_ready_from_the_first_configuration_until_the_drain() {
        let readiness = Readiness::new();
        assert!(!readiness.is_ready(at(1)));
        assert_eq!(readiness.body(at(1), true)["status"], "starting");
        readiness.loaded(at(1));
        assert!(readiness.is_ready(at(1)));
        assert_eq!(readiness.body(at(1), true)["config"]["reload"], Value::Null);
        readiness.draining();
        assert!(!readiness.is_ready(at(1)));
        assert_eq!(readiness.body(at(1), true)["status"], "draining");
    }

    #[test]
    fn a_refused_configuration_leaves_the_old_one_in_force_until_a_good_one_comes() {
        let readiness = Readiness::new();
        readiness.loaded(at(10));
        readiness.refused("tollgate.yaml:3:5: unknown key", at(20));
        assert!(readiness.is_ready(at(1)));
        let body = readiness.body(at(1), true);
        assert_eq!(body["config"]["generation"], 1);
        assert_eq!(body["config"]["loaded_at"], 10);
        assert_eq!(body["config"]["reload"]["at"], 20);
        assert_eq!(body["config"]["reload"]["error"], "tollgate.yaml:3:5: unknown key");
        assert!(!readiness.body(at(1), false).to_string().contains("unknown key"));

        assert_eq!(readiness.loaded(at(30)), 2);
        assert_eq!(readiness.body(at(1), true)["config"]["reload"], json!({ "result": "ok", "at": 30 }));
    }

    #[test]
    fn an_expired_certificate_degrades_and_only_the_last_one_makes_unready() {
        let expiry = |name: &str, not_after| Expiry {
            name: name.to_owned(),
            file: String::new(),
            fingerprint: name.to_owned(),
            not_after,
            faces_clients: true,
        };
        let readiness = Readiness::new();
        readiness.loaded(at(1));
        readiness.serves(vec![expiry("a", 10), expiry("b", 20)], false);
        for (now, status, is_ready) in [(5, "ready", true), (15, "degraded", true), (25, "expired", false)] {
            assert_eq!(readiness.body(at(now), true)["status"], status);
            assert_eq!(readiness.is_ready(at(now)), is_ready);
        }
        assert_eq!(readiness.reminders(at(25)).len(), 2);
        assert!(readiness.reminders(at(26)).is_empty());
    }

    #[test]
    fn an_endless_error_is_cut_between_characters() {
        let readiness = Readiness::new();
        readiness.refused(&"ü".repeat(ERROR_LIMIT), at(1));
        let body = readiness.body(at(1), true);
        assert_eq!(body["config"]["reload"]["error"].as_str().map(str::len), Some(ERROR_LIMIT));
    }
}
