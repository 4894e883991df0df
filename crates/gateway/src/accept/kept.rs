//! How much of its memory a worker gives to bodies of answers that policies look at: thousands may be under way at once.

use std::cell::Cell;
use std::rc::Rc;

/// Bytes of such bodies on one worker. A single one may have more, if its route allows that.
const MOST: usize = 64 * 1024 * 1024;

/// What is kept on one worker.
#[derive(Debug, Default)]
pub struct Kept {
    bytes: Cell<usize>,
}

/// One body's share of it, given back when it is dropped.
#[derive(Debug)]
pub struct Share {
    of: Rc<Kept>,
    bytes: usize,
}

impl Share {
    /// A share of nothing yet.
    pub fn new(of: &Rc<Kept>) -> Self {
        Self { of: Rc::clone(of), bytes: 0 }
    }

    /// Makes it one of at least so many bytes; false when there is no room for them.
    #[must_use]
    pub fn cover(&mut self, bytes: usize) -> bool {
        let others = self.of.bytes.get() - self.bytes;
        if bytes > self.bytes {
            if others > 0 && others.saturating_add(bytes) > MOST {
                return false;
            }
            self.of.bytes.set(others + bytes);
            self.bytes = bytes;
        }
        true
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.of.bytes.set(self.of.bytes.get() - self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_share_what_there_is_and_one_alone_may_be_longer() {
        let kept = Rc::new(Kept::default());
        let mut first = Share::new(&kept);
        assert!(first.cover(MOST + 1));
        assert!(first.cover(3), "it covers that already");
        let mut second = Share::new(&kept);
        assert!(!second.cover(1));
        drop(first);
        assert!(second.cover(MOST - 1));
        let mut third = Share::new(&kept);
        assert!(third.cover(1));
        assert!(!third.cover(2));
        drop((second, third));
        assert_eq!(kept.bytes.get(), 0);
    }
}
