//! Buffers that are borrowed while a connection works and given back while it idles.

use std::cell::RefCell;

/// The usual size of a read buffer: a head with a body of 16 KiB behind it, which programs like to send at once.
const SMALL: usize = 20 * 1024;
/// The size of a read buffer once a body has proved to be long.
const LARGE: usize = 128 * 1024;
/// How many buffers of a kind a worker keeps for the next connection.
const KEPT: usize = 256;
/// A write buffer that grew beyond this is not kept.
const OUTBOX_KEPT: usize = 64 * 1024;

/// A worker's spare buffers.
#[derive(Debug, Default)]
pub struct Buffers {
    small: RefCell<Vec<Vec<u8>>>,
    large: RefCell<Vec<Vec<u8>>>,
    outboxes: RefCell<Vec<Vec<u8>>>,
}

/// Bytes that were read and not yet used.
#[derive(Debug, Default)]
pub struct Buffer {
    // As long as its capacity and initialised once; empty while nothing is held.
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Buffer {
    /// What was read and not yet consumed.
    pub fn filled(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Drops bytes from the front.
    pub fn consume(&mut self, count: usize) {
        self.start += count;
        debug_assert!(self.start <= self.end);
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
        }
    }

    /// Room for reading, after taking memory from the pool if there is none and moving what is left to the front
    /// if it stands in the way. Empty when the buffer is full.
    pub fn space(&mut self, buffers: &Buffers) -> &mut [u8] {
        if self.bytes.is_empty() {
            self.bytes = buffers.small.borrow_mut().pop().unwrap_or_else(|| vec![0; SMALL]);
        }
        if self.end == self.bytes.len() && self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        &mut self.bytes[self.end..]
    }

    /// Counts bytes that were read into [`Self::space`].
    pub fn fill(&mut self, count: usize) {
        self.end += count;
        debug_assert!(self.end <= self.bytes.len());
    }

    /// Makes room for at least this many bytes in all, for heads longer than the buffer.
    pub fn grow(&mut self, size: usize) {
        if self.bytes.len() < size {
            self.bytes.resize(size, 0);
        }
    }

    /// Puts bytes before what was read and not yet consumed.
    pub fn put_before(&mut self, bytes: &[u8]) {
        if self.start < bytes.len() {
            let shift = bytes.len() - self.start;
            if self.bytes.len() < self.end + shift {
                self.bytes.resize(self.end + shift, 0);
            }
            self.bytes.copy_within(self.start..self.end, self.start + shift);
            self.start += shift;
            self.end += shift;
        }
        self.start -= bytes.len();
        self.bytes[self.start..self.start + bytes.len()].copy_from_slice(bytes);
    }

    /// Changes an empty buffer for a large one.
    pub fn enlarge(&mut self, buffers: &Buffers) {
        if self.is_empty() && self.bytes.len() < LARGE {
            self.release(buffers);
            self.bytes = buffers.large.borrow_mut().pop().unwrap_or_else(|| vec![0; LARGE]);
        }
    }

    /// Whether it has been enlarged.
    pub fn is_large(&self) -> bool {
        self.bytes.len() >= LARGE
    }

    /// Gives the memory back; what was not consumed is kept, and then the memory too.
    pub fn release(&mut self, buffers: &Buffers) {
        if !self.is_empty() || self.bytes.is_empty() {
            return;
        }
        let bytes = std::mem::take(&mut self.bytes);
        let pool = match bytes.len() {
            SMALL => &buffers.small,
            LARGE => &buffers.large,
            _ => return,
        };
        let mut pool = pool.borrow_mut();
        if pool.len() < KEPT {
            pool.push(bytes);
        }
    }
}

/// Bytes to be written: heads, frames, and small bodies that ride with them.
#[derive(Debug, Default)]
pub struct Outbox {
    bytes: Vec<u8>,
    written: usize,
}

impl Outbox {
    /// The vector to append to.
    pub fn bytes(&mut self, buffers: &Buffers) -> &mut Vec<u8> {
        if self.bytes.capacity() == 0 {
            self.bytes = buffers.outboxes.borrow_mut().pop().unwrap_or_else(|| Vec::with_capacity(4096));
        }
        &mut self.bytes
    }

    /// What is still to be written.
    pub fn rest(&self) -> &[u8] {
        &self.bytes[self.written..]
    }

    /// Whether nothing is left to write.
    pub fn is_empty(&self) -> bool {
        self.written == self.bytes.len()
    }

    /// Counts bytes as written.
    pub fn advance(&mut self, count: usize) {
        self.written += count;
        if self.is_empty() {
            self.clear();
        }
    }

    /// Forgets what was not written.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.written = 0;
    }

    /// Gives the memory back, if everything was written.
    pub fn release(&mut self, buffers: &Buffers) {
        if !self.is_empty() || self.bytes.capacity() == 0 {
            return;
        }
        let bytes = std::mem::take(&mut self.bytes);
        let mut pool = buffers.outboxes.borrow_mut();
        if pool.len() < KEPT && bytes.capacity() <= OUTBOX_KEPT {
            pool.push(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_released_buffer_serves_the_next_connection() {
        let buffers = Buffers::default();
        let mut first = Buffer::default();
        first.space(&buffers)[..3].copy_from_slice(b"abc");
        first.fill(3);
        first.release(&buffers);
        assert_eq!(first.filled(), b"abc", "unread bytes are kept");
        first.consume(3);
        first.release(&buffers);
        assert_eq!(buffers.small.borrow().len(), 1);
        let mut second = Buffer::default();
        assert_eq!(second.space(&buffers).len(), SMALL);
        assert!(buffers.small.borrow().is_empty());
    }

    #[test]
    fn bytes_are_put_before_the_rest() {
        for read in [3, SMALL - 1] {
            for length in [0, 2, 3, 100, SMALL, 3 * SMALL] {
                let (buffers, mut buffer) = (Buffers::default(), Buffer::default());
                buffer.space(&buffers)[..=read].fill(b'r');
                buffer.fill(read + 1);
                buffer.consume(read);
                buffer.put_before(&vec![b'b'; length]);
                assert_eq!(buffer.filled(), [vec![b'b'; length], vec![b'r']].concat(), "{read} {length}");
            }
        }
    }

    #[test]
    fn a_full_buffer_moves_what_is_left_to_the_front() {
        let buffers = Buffers::default();
        let mut buffer = Buffer::default();
        buffer.space(&buffers)[SMALL - 1] = b'z';
        buffer.fill(SMALL);
        assert!(buffer.space(&buffers).is_empty());
        buffer.consume(SMALL - 1);
        assert_eq!(buffer.space(&buffers).len(), SMALL - 1);
        assert_eq!(buffer.filled(), b"z");
    }
}
