//! Takes down a body as it passes by, for a copy of its request.

use std::cell::RefCell;
use std::rc::Rc;

use tokio::sync::oneshot;

/// A body of known length that is taken down. What it waits for is told when the body is whole, and learns that it will not be
/// when the last handle is dropped.
#[derive(Debug)]
pub struct Tap {
    length: usize,
    taken: RefCell<Taken>,
}

#[derive(Debug)]
struct Taken {
    bytes: Vec<u8>,
    done: Option<oneshot::Sender<Vec<u8>>>,
}

impl Tap {
    /// One for a body of so many bytes, which its maker has bounded, and where that comes out.
    pub fn new(length: usize) -> (Rc<Self>, oneshot::Receiver<Vec<u8>>) {
        let (done, whole) = oneshot::channel();
        let taken = RefCell::new(Taken { bytes: Vec::new(), done: Some(done) });
        (Rc::new(Self { length, taken }), whole)
    }

    /// Takes down the next bytes.
    pub fn take(&self, bytes: &[u8]) {
        let mut taken = self.taken.borrow_mut();
        if taken.done.is_none() {
            return;
        }
        taken.bytes.extend_from_slice(bytes);
        if taken.bytes.len() >= self.length {
            let whole = std::mem::take(&mut taken.bytes);
            if let Some(done) = taken.done.take() {
                // Whoever waited may have given up.
                let _ = done.send(whole);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_comes_out_when_it_is_whole_and_not_before() {
        let (tap, mut whole) = Tap::new(5);
        tap.take(b"ab");
        tap.take(b"cd");
        assert!(whole.try_recv().is_err());
        tap.take(b"e");
        tap.take(b"more");
        assert_eq!(whole.try_recv().as_deref(), Ok(&b"abcde"[..]));
        let (tap, whole) = Tap::new(2);
        tap.take(b"a");
        drop(tap);
        assert!(whole.blocking_recv().is_err(), "it will never be whole");
    }
}
