//! What is told shortly before a drain is over, so that it can end in order: WebSockets and calls of gRPC.

use std::cell::{Cell, RefCell};
use std::task::{Context, Waker};
use std::time::Duration;

/// How long before the end of a drain it is; a quarter of the drain's time when that is less.
pub const FAREWELL: Duration = Duration::from_secs(1);

/// Those of a worker who are to be told when it goes down.
#[derive(Debug, Default)]
pub struct Farewells {
    wakers: RefCell<slab::Slab<Waker>>,
    is_said: Cell<bool>,
}

/// A place among those who are told.
#[derive(Debug)]
pub(super) struct Place<'f> {
    farewells: &'f Farewells,
    key: Option<usize>,
}

impl Farewells {
    /// Tells all of them, and those that come from now on.
    pub fn say(&self) {
        self.is_said.set(true);
        for (_, waker) in &*self.wakers.borrow() {
            waker.wake_by_ref();
        }
    }

    pub(super) fn place(&self) -> Place<'_> {
        Place { farewells: self, key: None }
    }
}

impl Place<'_> {
    /// Whether it is time to end; if not, the task is woken when it is.
    pub(super) fn is_told(&mut self, context: &Context<'_>) -> bool {
        let mut wakers = self.farewells.wakers.borrow_mut();
        match self.key {
            Some(key) => wakers[key].clone_from(context.waker()),
            None => self.key = Some(wakers.insert(context.waker().clone())),
        }
        self.farewells.is_said.get()
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.farewells.wakers.borrow_mut().remove(key);
        }
    }
}
