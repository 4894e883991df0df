//! A worker's connections to one endpoint: in use, idle, and the requests that wait for one.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use http1::Framing;

use super::queue::{Queue, Waiter};
use super::session::Lease;
use crate::accept::{Buffer, Outbox, Stream};
use crate::clock;

/// Idle connections beyond `idle` are closed when they were not used for this long. A burst of requests needs many at
/// once, again and again: closing what it leaves at once would open as many for the next.
const GRACE: Duration = Duration::from_secs(1);

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
    /// Its place on an HTTP/2 connection that it shares with others.
    pub lease: Option<Lease>,
    /// What the pool's generation was when it was opened.
    pub generation: u64,
    idle_since: Option<Instant>,
}

impl Connection {
    /// Wraps a fresh socket.
    pub fn new(stream: Stream) -> Self {
        Self {
            stream,
            input: Buffer::default(),
            outbox: Outbox::default(),
            reused: false,
            lease: None,
            generation: 0,
            idle_since: None,
        }
    }

    /// How an answer's body is delimited where it is read: a message of HTTP/2 has an end of its own.
    pub fn incoming(&self, framing: Framing) -> Framing {
        if framing != Framing::None && self.stream.is_message() {
            return Framing::UntilClose;
        }
        framing
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
    /// Connections in use at once; also bounds those in use and idle together.
    pub in_use: usize,
    /// Connections kept idle. More are kept only while they are used; none at all if it is zero.
    pub idle: usize,
    /// How long one is kept idle.
    pub idle_for: Duration,
    /// Requests that may wait for one.
    pub queue: usize,
    /// How long each waits at most.
    pub queue_for: Duration,
}

/// The connections of one worker to one endpoint.
#[derive(Debug)]
pub struct Pool {
    limits: Cell<PoolLimits>,
    generation: Cell<u64>,
    /// The one used last stands last, so they stand in the order of their age.
    idle: RefCell<Vec<Connection>>,
    in_use: Cell<usize>,
    queue: Queue,
}

/// The queue of a pool is full.
#[derive(Debug)]
pub struct QueueFull;

impl Pool {
    /// An empty pool.
    pub fn new(limits: PoolLimits) -> Self {
        Self {
            limits: Cell::new(limits),
            generation: Cell::new(0),
            idle: RefCell::default(),
            in_use: Cell::new(0),
            queue: Queue::default(),
        }
    }

    /// Changes the limits, as a reload does.
    pub fn set_limits(&self, limits: PoolLimits) {
        self.limits.set(limits);
    }

    /// The limits now.
    pub fn limits(&self) -> PoolLimits {
        self.limits.get()
    }

    /// Whether a request would get a connection without waiting.
    pub fn has_room(&self) -> bool {
        self.in_use.get() < self.limits.get().in_use
    }

    /// Leave to use one connection, if there is room for it.
    pub fn try_slot(self: &Rc<Self>) -> Option<Slot> {
        if !self.has_room() {
            return None;
        }
        self.in_use.set(self.in_use.get() + 1);
        Some(Slot { pool: Rc::clone(self) })
    }

    /// Waits for leave to use one connection.
    pub async fn slot(self: &Rc<Self>) -> Result<Slot, QueueFull> {
        if let Some(slot) = self.try_slot() {
            return Ok(slot);
        }
        if self.queue.len() >= self.limits.get().queue {
            return Err(QueueFull);
        }
        let waiter = self.queue.join(clock::now());
        let place = Place { pool: self, waiter, is_left: Cell::new(false) };
        poll_fn(|context| {
            if place.waiter.is_granted() {
                return Poll::Ready(());
            }
            place.waiter.wake(context.waker());
            Poll::Pending
        })
        .await;
        // From here the slot, not the place, gives the leave back.
        place.is_left.set(true);
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
        let is_wanted = limits.idle > 0 && !limits.idle_for.is_zero();
        // Nobody opens one while one idles, so these and those in use are `in_use` at most. Slots say nothing here: one may
        // have been granted to a request that is about to take an idle connection.
        if is_wanted && connection.generation == self.generation.get() && idle.len() < limits.in_use {
            connection.idle_since = Some(clock::now());
            idle.push(connection);
        }
    }

    /// Closes connections that were idle for too long, that nobody needs beyond the number to keep, or that the endpoint
    /// closed.
    pub fn sweep(&self, now: Instant) {
        let limits = self.limits.get();
        let mut idle = self.idle.borrow_mut();
        idle.retain(|connection| !connection.is_spent());
        let surplus = idle.len().saturating_sub(limits.idle);
        let mut place = 0;
        idle.retain(|connection| {
            place += 1;
            let bound = if place <= surplus { GRACE.min(limits.idle_for) } else { limits.idle_for };
            connection.idle_since.is_none_or(|since| now.saturating_duration_since(since) < bound)
        });
    }

    /// Closes all that idle, and those in use when they come back.
    pub fn clear(&self) {
        self.generation.set(self.generation.get() + 1);
        self.idle.borrow_mut().clear();
    }

    /// Which connections are kept: those opened since the pool was cleared.
    pub fn generation(&self) -> u64 {
        self.generation.get()
    }

    /// Connections that wait for a request.
    pub fn idle_count(&self) -> usize {
        self.idle.borrow().len()
    }

    fn give_back(&self) {
        // The leave passes from hand to hand, so `in_use` stays as it is.
        if !self.queue.grant(self.limits.get().queue_for, clock::now()) {
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
    /// Whether the request has its slot, and nothing is left to do for the place.
    is_left: Cell<bool>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if self.is_left.get() {
            return;
        }
        if self.waiter.is_granted() {
            self.pool.give_back();
        } else {
            self.pool.queue.leave(&self.waiter);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    /// Keeps this many connections, taken and given back at once, and returns their other ends.
    async fn use_at_once(pool: &Rc<Pool>, count: usize) -> Vec<TcpStream> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut taken = Vec::new();
        let mut ends = Vec::new();
        for _ in 0..count {
            let Ok(slot) = pool.slot().await else { panic!("the queue is not full") };
            let connection = if let Some(connection) = pool.take_idle() {
                connection
            } else {
                let socket = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
                ends.push(listener.accept().await.unwrap().0);
                Connection::new(Stream::new(socket))
            };
            taken.push((connection, slot));
        }
        crate::clock::refresh();
        for (connection, slot) in taken {
            pool.keep(connection);
            drop(slot);
        }
        ends
    }

    fn run(test: impl Future<Output = ()>) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
    }

    #[test]
    fn what_a_burst_leaves_serves_the_next_and_goes_when_none_comes() {
        run(async {
            let pool = pool(16);
            let first = use_at_once(&pool, 10).await;
            assert_eq!((first.len(), pool.idle_count()), (10, 10));
            pool.sweep(crate::clock::now() + GRACE / 2);
            let second = use_at_once(&pool, 10).await;
            assert_eq!((second.len(), pool.idle_count()), (0, 10), "none is opened anew");
            pool.sweep(crate::clock::now() + GRACE);
            assert_eq!(pool.idle_count(), 4);
        });
    }

    #[test]
    fn the_connections_used_least_recently_go_first() {
        run(async {
            let pool = pool(16);
            let _first = use_at_once(&pool, 10).await;
            let start = crate::clock::now();
            while crate::clock::refresh() < start + Duration::from_millis(20) {
                tokio::task::yield_now().await;
            }
            let _second = use_at_once(&pool, 7).await;
            let recently = crate::clock::now();
            pool.sweep(recently + GRACE.checked_sub(Duration::from_millis(10)).unwrap());
            assert_eq!(pool.idle_count(), 7, "those in use of late stay, more than `idle` as they are");
            pool.sweep(recently + GRACE);
            assert_eq!(pool.idle_count(), 4);
            assert!(pool.idle.borrow().iter().all(|connection| connection.idle_since == Some(recently)));
            pool.sweep(recently + Duration::from_mins(1));
            assert_eq!(pool.idle_count(), 0);
        });
    }

    #[test]
    fn connections_in_use_and_idle_are_never_more_than_the_bound() {
        run(async {
            let pool = pool(8);
            let _ends = use_at_once(&pool, 8).await;
            assert_eq!((pool.in_use.get(), pool.idle_count()), (0, 8));
            pool.set_limits(PoolLimits { in_use: 6, ..pool.limits.get() });
            let _ends = use_at_once(&pool, 6).await;
            assert_eq!(pool.idle_count(), 6, "a lower bound is kept from the next use on");
        });
    }

    #[test]
    fn nothing_is_kept_where_nothing_is_to_be_kept() {
        run(async {
            for (idle, idle_for) in [(0, 60), (4, 0)] {
                let pool = pool(8);
                let idle_for = Duration::from_secs(idle_for);
                pool.set_limits(PoolLimits { in_use: 8, idle, idle_for, ..pool.limits.get() });
                let _ends = use_at_once(&pool, 3).await;
                assert_eq!(pool.idle_count(), 0);
            }
        });
    }

    #[test]
    fn a_connection_that_its_endpoint_closed_is_swept_and_does_not_count() {
        run(async {
            let pool = pool(16);
            let mut ends = use_at_once(&pool, 6).await;
            drop(ends.drain(..3));
            let start = crate::clock::refresh();
            while pool.idle_count() > 3 && crate::clock::refresh() < start + Duration::from_secs(10) {
                tokio::task::yield_now().await;
                pool.sweep(start);
            }
            pool.sweep(start + 2 * GRACE);
            assert_eq!(pool.idle_count(), 3);
        });
    }

    fn pool(in_use: usize) -> Rc<Pool> {
        let (idle_for, queue_for) = (Duration::from_mins(1), Duration::from_secs(2));
        Rc::new(Pool::new(PoolLimits { in_use, idle: 4, idle_for, queue: 1000, queue_for }))
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
        let mut waiting: Vec<_> = (0..pool.limits().queue).map(|_| Box::pin(pool.slot())).collect();
        for request in &mut waiting {
            assert!(poll(request).is_pending());
        }
        assert!(matches!(poll(&mut Box::pin(pool.slot())), Poll::Ready(Err(QueueFull))));
    }
}
