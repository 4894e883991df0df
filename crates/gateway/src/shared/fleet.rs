//! Which gateways count together over a Redis: each says there every second that it is there, and learns how many do.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

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
    /// How many there were when that was last heard.
    heard: AtomicU64,
}

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

    pub(super) fn heard(&self, gateways: u64) {
        self.me.heard.store(gateways, Ordering::Relaxed);
    }

    /// How many there are, this one among them.
    pub(super) fn size(&self) -> u64 {
        self.me.heard.load(Ordering::Relaxed).max(self.least)
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
        Self { name, is_counted: AtomicBool::new(false), heard: AtomicU64::new(1) }
    }
}

const PRESENCE: &str = include_str!("fleet.lua");
