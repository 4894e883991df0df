//! Which gateways count together over a Redis: each says there every second that it is there, and learns how many do.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use redis::{Cmd, cmd};

use crate::config::Cluster;

/// The gateways of a fleet, as far as this one knows.
#[derive(Debug)]
pub(super) struct Fleet {
    /// Gateways that there are at least, as the operator says.
    least: u64,
    /// What outlives configurations.
    me: Arc<Member>,
}

#[derive(Debug)]
struct Member {
    /// Its name among them, drawn at random.
    name: String,
    /// Whether anything is counted together.
    is_counted: AtomicBool,
    /// How many there are, as far as was heard.
    size: AtomicU64,
    heard: Mutex<Heard>,
}

/// What was heard of how many there are: in the span of time that goes on, and in the one before. Each server says how many have told it that
/// they are there, and one that has just come back, or that some cannot reach, knows fewer than there are.
#[derive(Debug, Default)]
struct Heard {
    /// When the span began.
    since: Option<Instant>,
    most: u64,
    most_before: u64,
}

/// How long a number is at least believed when only lower ones are heard after it; twice that at most. By then all have told a server that
/// they can reach.
const BELIEVED_FOR: Duration = Duration::from_secs(5);

impl Fleet {
    pub(super) fn new(config: &Cluster, before: Option<&Self>) -> Self {
        let me = before.map_or_else(|| Arc::new(Member::new()), |before| Arc::clone(&before.me));
        let least = config.gateways.map_or(1, u64::from);
        Self { least, me }
    }

    /// From now on this gateway is one of them.
    pub(super) fn join(&self) {
        self.me.is_counted.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_counted(&self) -> bool {
        self.me.is_counted.load(Ordering::Relaxed)
    }

    /// The command that says under this name that this gateway is there, and asks how many are.
    pub(super) fn presence(&self, name: &str) -> Option<Cmd> {
        self.is_counted().then(|| {
            let mut command = cmd("EVAL");
            command.arg(PRESENCE).arg(1).arg(name).arg(&self.me.name);
            command
        })
    }

    /// Some server has said how many there are. While none says anything, the last number holds.
    pub(super) fn heard(&self, gateways: u64, now: Instant) {
        // Nothing in there panics half-way.
        let mut heard = self.me.heard.lock().unwrap_or_else(PoisonError::into_inner);
        self.me.size.store(heard.most_with(gateways, now), Ordering::Relaxed);
    }

    /// How many there are, this one among them.
    pub(super) fn size(&self) -> u64 {
        self.me.size.load(Ordering::Relaxed).max(self.least)
    }

    pub(super) fn reading(&self) -> Option<u64> {
        self.is_counted().then(|| self.size())
    }
}

impl Member {
    fn new() -> Self {
        let mut name = [0; 8];
        // Gateways without any randomness would count as one.
        let _ = getrandom::fill(&mut name);
        let name = format!("{:016x}", u64::from_be_bytes(name));
        Self { name, is_counted: AtomicBool::new(false), size: AtomicU64::new(1), heard: Mutex::default() }
    }
}

impl Heard {
    /// The greatest number of late, with this one.
    fn most_with(&mut self, gateways: u64, now: Instant) -> u64 {
        let took = self.since.map_or(Duration::MAX, |since| now.saturating_duration_since(since));
        if took >= BELIEVED_FOR {
            // Before a silence all holds that was heard.
            let is_next = took < 2 * BELIEVED_FOR;
            self.most_before = if is_next { self.most } else { self.most.max(self.most_before) };
            (self.since, self.most) = (Some(now), 0);
        }
        self.most = self.most.max(gateways);
        self.most.max(self.most_before)
    }
}

const PRESENCE: &str = include_str!("fleet.lua");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_gateways_are_believed_at_once_and_fewer_when_nobody_has_said_otherwise_for_a_while() {
        let (began, mut heard) = (Instant::now(), Heard::default());
        let mut most = |millis, gateways| heard.most_with(gateways, began + Duration::from_millis(millis));
        assert_eq!([most(0, 3), most(1, 1), most(1000, 4), most(1001, 2)], [3, 3, 4, 4]);
        // One server knows of fewer than another, for as long as it likes.
        for second in 2..60 {
            assert_eq!([most(second * 1000, 2), most(second * 1000 + 1, 4)], [4, 4]);
        }
        // One has left: first the one who counts misses it, then all believe it.
        let said = [60, 62, 64, 66, 68, 70].map(|second| most(second * 1000, 3));
        assert_eq!((said[0], said[2], said[5]), (4, 4, 3), "{said:?}");
        // After a silence, even one that began with such a word, the first is of a server that has only just heard of us.
        assert_eq!([most(76_000, 2), most(200_000, 1), most(204_000, 1), most(206_000, 1)], [3, 3, 3, 1]);
    }
}
