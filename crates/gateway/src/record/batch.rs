//! Lines on their way from a worker to the thread that writes them. Wherever a batch ends, its lines are accounted for
//! and its memory goes back to the worker it came from.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Emptied buffers that may wait for their worker.
const SPARE: usize = 4;
/// A buffer that grew beyond this, for the sake of some very long line, is not kept.
const LARGEST_KEPT: usize = 256 * 1024;

/// A buffer of whole lines. Dropping it counts those that were not written as lost.
#[derive(Debug)]
pub(super) struct Batch {
    bytes: Vec<u8>,
    unwritten: u64,
    lost: Lost,
    back: SyncSender<Vec<u8>>,
}

impl Batch {
    /// A batch of that many lines, whose buffer goes `back`.
    pub(super) fn new(bytes: Vec<u8>, lines: u64, lost: Lost, back: SyncSender<Vec<u8>>) -> Self {
        Self { bytes, unwritten: lines, lost, back }
    }

    /// The lines.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Says how many of the lines could not be written.
    pub(super) fn set_unwritten(&mut self, lines: u64) {
        self.unwritten = lines;
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        self.lost.add(self.unwritten);
        let mut bytes = std::mem::take(&mut self.bytes);
        if bytes.capacity() <= LARGEST_KEPT {
            bytes.clear();
            // The worker may have spare buffers enough, or may be gone.
            let _ = self.back.try_send(bytes);
        }
    }
}

/// The way back of a worker's buffers. Neither end ever waits at it, so neither takes a lock.
pub(super) fn way_back() -> (SyncSender<Vec<u8>>, Receiver<Vec<u8>>) {
    sync_channel(SPARE)
}

/// How many lines one log has lost.
#[derive(Debug, Clone, Default)]
pub(in crate::record) struct Lost(Arc<AtomicU64>);

impl Lost {
    /// Lines lost so far.
    pub(in crate::record) fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Whether nobody else can add to it any more.
    pub(in crate::record) fn is_final(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }

    /// Adds to them.
    pub(in crate::record) fn add(&self, lines: u64) {
        if lines > 0 {
            self.0.fetch_add(lines, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_batch_that_is_dropped_on_its_way_counts_its_lines_and_gives_its_buffer_back() {
        let lost = Lost::default();
        let (back, spare) = way_back();
        let (full, inbox) = sync_channel(2);
        let bytes = b"one\ntwo\n".to_vec();
        let address = bytes.as_ptr();
        full.send(Batch::new(bytes, 2, lost.clone(), back)).unwrap();
        // As when the thread ends between its last look and the end of the channel.
        drop(inbox);
        assert_eq!(lost.count(), 2);
        let returned = spare.try_recv().unwrap();
        assert_eq!((returned.as_ptr(), returned.len()), (address, 0));
    }

    #[test]
    fn what_was_written_is_not_lost() {
        let lost = Lost::default();
        let mut batch = Batch::new(b"one\ntwo\nthree\n".to_vec(), 3, lost.clone(), way_back().0);
        batch.set_unwritten(1);
        drop(batch);
        assert_eq!(lost.count(), 1);
    }

    #[test]
    fn neither_too_many_buffers_nor_too_large_ones_are_kept() {
        let (back, spare) = way_back();
        for length in [LARGEST_KEPT + 1, 8, 8, 8, 8, 8, 8] {
            drop(Batch::new(vec![b'\n'; length], 0, Lost::default(), back.clone()));
        }
        let kept: Vec<_> = spare.try_iter().map(|buffer| buffer.capacity()).collect();
        assert_eq!(kept, [8; SPARE]);
    }
}
