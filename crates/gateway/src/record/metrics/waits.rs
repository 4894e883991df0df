//! Requests that wait for their turn at a limit, as one worker counts them for a route.

use std::time::Instant;

use super::{Counter, RouteMetrics};
use crate::clock;

/// Counts of waits.
#[derive(Debug, Default)]
pub(super) struct Waits {
    pub(super) begun: Counter,
    pub(super) ended: Counter,
    pub(super) micros: Counter,
}

/// A request that waits, counted as one until it is dropped.
#[derive(Debug)]
pub struct Wait<'m> {
    waits: &'m Waits,
    since: Instant,
}

impl RouteMetrics {
    /// Counts a request that begins to wait for its turn.
    pub fn begin_wait(&self) -> Wait<'_> {
        self.waits.begun.add(1);
        Wait { waits: &self.waits, since: clock::now() }
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        let waited = clock::now().saturating_duration_since(self.since);
        self.waits.ended.add(1);
        self.waits.micros.add(waited.as_micros() as u64);
    }
}
