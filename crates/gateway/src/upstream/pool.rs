//! A worker's connections to one endpoint: in use, idle, and the requests that wait for one.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use crate::accept::{Buffer, Outbox, Stream};

/// Requests that may wait for a connection of one endpoint, per worker.
const QUEUE_LENGTH: usize = 1000;

/// A connection to an endpoint. It belongs to one exchange or to the pool's idle list.
#[derive(Debug)]
pub struct Connection {
    /// The socket.
    pub stream: Stream,
    /// What was read from it.
    pub input: Buffer,
    /// What is to be written to it.
    pub outbox: Outbox,
    /// Whether it has served a request before: then a failure may only mean that it went stale.
    pub reused: bool,
    idle_since: Option<Instant>,
}

impl Connection {
    /// Wraps a fresh socket.
    pub fn new(stream: Stream) -> Self {
        Self { stream, input: Buffer::default(), outbox: Outbox::default(), reused: false, idle_since: None }
    }

    /// Whether the endpoint closed it, or sent what nobody asked for, while it was idle. No system call.
    fn is_spent(&self) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        self.stream.poll_readable(&mut context).is_ready()
    }
}

/// How many connections to keep, each figure for one worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolLimits {
    /// Connections in use at once.
    pub in_use: usize,
    /// Connections kept idle.
    pub idle: usize,
    /// How long one is kept idle.
    pub idle_for: Duration,
}

/// The connections of one worker to one endpoint.
#[derive(Debug)]
pub struct Pool {
    limits: Cell<PoolLimits>,
    idle: RefCell<Vec<Connection>>,
    in_use: Cell<usize>,
    queue: RefCell<VecDeque<Rc<Waiter>>>,
}

#[derive(Debug, Default)]
struct Waiter {
    granted: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

/// The queue of a pool is full.
#[derive(Debug)]
pub struct QueueFull;

impl Pool {
    /// An empty pool.
    pub fn new(limits: PoolLimits) -> Self {
        Self {
            limits: Cell::new(limits),
            idle: RefCell::default(),
            in_use: Cell::new(0),
            queue: RefCell::default(),
        }
    }

    /// Changes the limits, as a reload does.
    pub fn set_limits(&self, limits: PoolLimits) {
        self.limits.set(limits);
    }

    /// Whether a request would get a connection without waiting.
    pub fn has_room(&self) -> bool {
        self.in_use.get() < self.limits.get().in_use
    }

    /// Waits for leave to use one connection, in order of arrival.
    pub async fn slot(self: &Rc<Self>) -> Result<Slot, QueueFull> {
        if self.has_room() {
            self.in_use.set(self.in_use.get() + 1);
            return Ok(Slot { pool: Rc::clone(self) });
        }
        if self.queue.borrow().len() >= QUEUE_LENGTH {
            return Err(QueueFull);
        }
        let waiter = Rc::new(Waiter::default());
        self.queue.borrow_mut().push_back(Rc::clone(&waiter));
        let place = Place { pool: self, waiter };
        poll_fn(|context| {
            if place.waiter.granted.get() {
                return Poll::Ready(());
            }
            *place.waiter.waker.borrow_mut() = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
        // From here the slot, not the place, gives the leave back.
        place.waiter.granted.set(false);
        Ok(Slot { pool: Rc::clone(self) })
    }

    /// The connection that was used last and is still alive; stale ones are dropped on the way.
    pub fn take_idle(&self) -> Option<Connection> {
        loop {
            let mut connection = self.idle.borrow_mut().pop()?;
            if !connection.is_spent() {
                connection.reused = true;
                return Some(connection);
            }
        }
    }

    /// Keeps a connection that can serve another request. Its buffers must have been released.
    pub fn keep(&self, mut connection: Connection) {
        let limits = self.limits.get();
        let mut idle = self.idle.borrow_mut();
        if idle.len() < limits.idle && !limits.idle_for.is_zero() {
            connection.idle_since = Some(crate::clock::now());
            idle.push(connection);
        }
    }

    /// Closes connections that were idle for too long or that the endpoint closed.
    pub fn sweep(&self, now: Instant) {
        let idle_for = self.limits.get().idle_for;
        self.idle.borrow_mut().retain(|connection| {
            let is_old =
                connection.idle_since.is_some_and(|since| now.saturating_duration_since(since) >= idle_for);
            !is_old && !connection.is_spent()
        });
    }

    /// Connections that wait for a request.
    pub fn idle_count(&self) -> usize {
        self.idle.borrow().len()
    }

    fn give_back(&self) {
        if let Some(waiter) = self.queue.borrow_mut().pop_front() {
            // The leave passes from hand to hand, so `in_use` stays as it is.
            waiter.granted.set(true);
            if let Some(waker) = waiter.waker.borrow_mut().take() {
                waker.wake();
            }
        } else {
            self.in_use.set(self.in_use.get() - 1);
        }
    }
}

/// Leave to use one connection; dropping it lets the next request in.
#[derive(Debug)]
pub struct Slot {
    pool: Rc<Pool>,
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.pool.give_back();
    }
}

/// A place in the queue; a request that gives up leaves it.
struct Place<'a> {
    pool: &'a Pool,
    waiter: Rc<Waiter>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if self.waiter.granted.get() {
            self.pool.give_back();
        } else {
            self.pool.queue.borrow_mut().retain(|waiter| !Rc::ptr_eq(waiter, &self.waiter));
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn pool(in_use: usize) -> Rc<Pool> {
        Rc::new(Pool::new(PoolLimits { in_use, idle: 4, idle_for: Duration::from_mins(1) }))
    }

    fn poll<F: Future>(future: &mut std::pin::Pin<Box<F>>) -> Poll<F::Output> {
        future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn requests_get_their_slots_in_order_of_arrival() {
        let pool = pool(1);
        let Poll::Ready(Ok(first)) = poll(&mut Box::pin(pool.slot())) else { panic!("free at first") };
        let mut second = Box::pin(pool.slot());
        let mut third = Box::pin(pool.slot());
        assert!(poll(&mut second).is_pending());
        assert!(poll(&mut third).is_pending());
        drop(first);
        assert!(poll(&mut third).is_pending());
        let Poll::Ready(Ok(slot)) = poll(&mut second) else { panic!("the second was next") };
        drop(slot);
        assert!(poll(&mut third).is_ready());
    }

    #[test]
    fn a_request_that_gives_up_frees_its_place() {
        let pool = pool(1);
        let Poll::Ready(Ok(first)) = poll(&mut Box::pin(pool.slot())) else { panic!("free at first") };
        let mut second = Box::pin(pool.slot());
        let mut third = Box::pin(pool.slot());
        assert!(poll(&mut second).is_pending());
        assert!(poll(&mut third).is_pending());
        drop(first);
        drop(second);
        assert!(poll(&mut third).is_ready(), "a granted place that was left goes to the next");
        drop(third);
        assert_eq!(pool.in_use.get(), 0);
    }

    #[test]
    fn a_full_queue_says_so() {
        let pool = pool(0);
        let mut waiting: Vec<_> = (0..QUEUE_LENGTH).map(|_| Box::pin(pool.slot())).collect();
        for request in &mut waiting {
            assert!(poll(request).is_pending());
        }
        assert!(matches!(poll(&mut Box::pin(pool.slot())), Poll::Ready(Err(QueueFull))));
    }
}
