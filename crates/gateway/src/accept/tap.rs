//! Takes down a body as it passes by, for a copy of its request or for who looks at an answer.

use std::cell::RefCell;
use std::rc::Rc;

use tokio::sync::oneshot;

use super::kept::Share;

/// A body that is taken down.
#[derive(Debug)]
pub struct Tap {
    most: usize,
    taken: RefCell<Taken>,
}

#[derive(Debug)]
enum Taken {
    /// It is waited for, and is told when it is whole, or that it will not be when the last handle is dropped.
    Awaited(Vec<u8>, oneshot::Sender<Vec<u8>>),
    /// It is asked for when it has ended.
    Kept(Vec<u8>, Share),
    /// Nothing more is taken down.
    Done(Untaken),
}

/// Why there is nothing to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Untaken {
    /// It was longer than what is taken down, or somebody has it.
    TooLong,
    /// There was no room for it.
    NoRoom,
}

impl Tap {
    /// One for a body of so many bytes, which its maker has bounded, and where that comes out.
    pub fn new(length: usize) -> (Rc<Self>, oneshot::Receiver<Vec<u8>>) {
        let (done, whole) = oneshot::channel();
        let taken = RefCell::new(Taken::Awaited(Vec::new(), done));
        (Rc::new(Self { most: length, taken }), whole)
    }

    /// One for a body of unknown length, of which no more is kept than this.
    pub fn keeping(most: usize, share: Share) -> Rc<Self> {
        Rc::new(Self { most, taken: RefCell::new(Taken::Kept(Vec::new(), share)) })
    }

    /// Takes down the next bytes.
    pub fn take(&self, bytes: &[u8]) {
        let mut taken = self.taken.borrow_mut();
        match &mut *taken {
            Taken::Awaited(body, _) => {
                body.extend_from_slice(bytes);
                if body.len() >= self.most
                    && let Taken::Awaited(body, done) =
                        std::mem::replace(&mut *taken, Taken::Done(Untaken::TooLong))
                {
                    // Whoever waited may have given up.
                    let _ = done.send(body);
                }
            }
            Taken::Kept(body, share) => {
                let length = body.len() + bytes.len();
                if length > self.most {
                    *taken = Taken::Done(Untaken::TooLong);
                } else if share.cover(length) {
                    body.extend_from_slice(bytes);
                } else {
                    *taken = Taken::Done(Untaken::NoRoom);
                }
            }
            Taken::Done(_) => {}
        }
    }

    /// Lets who keeps it look at what has been taken down, which is all there was.
    pub fn look<T>(&self, look: impl FnOnce(Result<&[u8], Untaken>) -> T) -> T {
        look(match &*self.taken.borrow() {
            Taken::Kept(body, _) | Taken::Awaited(body, _) => Ok(body),
            Taken::Done(why) => Err(*why),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::kept::Kept;
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

    #[test]
    fn no_more_of_a_body_is_kept_than_somebody_looks_at() {
        let tap = Tap::keeping(4, Share::new(&Rc::new(Kept::default())));
        tap.look(|body| assert_eq!(body, Ok(&b""[..])));
        tap.take(b"ab");
        tap.take(b"cd");
        tap.look(|body| assert_eq!(body, Ok(&b"abcd"[..])));
        tap.take(b"e");
        tap.look(|body| assert_eq!(body, Err(Untaken::TooLong)));
    }
}
