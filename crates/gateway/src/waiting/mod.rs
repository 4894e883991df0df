//! Requests that wait for their turn, over all workers: for one of those under way to end ([`Gates`]), or for the time at which the
//! next may go ([`Lines`]). Both outlive snapshots.
//!
//! Who need not wait takes no lock that others hold for longer than a look at a table, and mostly none at all. Who waits is one
//! entry of a [queue](queue), and leaves it when its future is dropped, at whatever moment; those behind move up.

mod gates;
mod lines;
mod queue;
mod shares;

pub use gates::{Crowded, Entry, Gates, Held, MOST_UNDER_WAY, Terms, Waiting};
pub use lines::{Level, Lines, Place, Way};

use std::sync::Arc;

use crate::buckets::Buckets;

/// Who waits in a process, made when the first limit needs it.
#[derive(Debug, Clone, Default)]
pub struct Waits {
    gates: Option<Arc<Gates>>,
    lines: Option<Arc<Lines>>,
}

impl Waits {
    /// The requests that are under way, and those that wait for one to end.
    pub fn gates(&mut self) -> Arc<Gates> {
        Arc::clone(self.gates.get_or_insert_default())
    }

    /// The requests that wait for the time at which they may go, by these buckets, of which a process has one table.
    pub fn lines(&mut self, buckets: &Arc<Buckets>) -> Arc<Lines> {
        let lines = self.lines.get_or_insert_with(|| Arc::new(Lines::new(Arc::clone(buckets))));
        Arc::clone(lines)
    }
}
