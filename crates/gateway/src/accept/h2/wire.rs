//! The bytes under an HTTP/2 connection: those that were read before it was known to be one, then the stream's.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::accept::Stream;

/// What `h2` reads from and writes to.
#[derive(Debug)]
pub(super) struct Wire {
    stream: Stream,
    /// What was read already, and how much of it has been passed on.
    begun: Vec<u8>,
    passed: usize,
    seen: Rc<Seen>,
}

/// What was noticed on the wire, for the connection's task.
#[derive(Debug, Default)]
pub(super) struct Seen {
    attack: Cell<Option<&'static str>>,
}

impl Seen {
    /// The attack that ended the reading.
    pub(super) fn attack(&self) -> Option<&'static str> {
        self.attack.get()
    }
}

impl Wire {
    /// A wire that begins with bytes that were read already.
    pub(super) fn new(stream: Stream, begun: Vec<u8>) -> Self {
        Self { stream, begun, passed: 0, seen: Rc::default() }
    }

    /// What is noticed on it.
    pub(super) fn seen(&self) -> Rc<Seen> {
        Rc::clone(&self.seen)
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let wire = self.get_mut();
        let before = buffer.filled().len();
        if wire.passed < wire.begun.len() {
            let rest = &wire.begun[wire.passed..];
            let count = rest.len().min(buffer.remaining());
            buffer.put_slice(&rest[..count]);
            wire.passed += count;
            if wire.passed == wire.begun.len() {
                wire.begun = Vec::new();
                wire.passed = 0;
            }
        } else {
            ready!(Pin::new(&mut wire.stream).poll_read(context, buffer))?;
        }
        let _ = &buffer.filled()[before..];
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.stream.poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream.poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.poll_shutdown(context)
    }
}
