//! The bytes under an HTTP/2 connection: those that were read before it was known to be one, then the stream's.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Guard;
use crate::accept::Stream;
use crate::clock;

/// What `h2` reads from and writes to.
#[derive(Debug)]
pub(super) struct Wire {
    stream: Stream,
    /// What was read already, and how much of it has been passed on.
    begun: Vec<u8>,
    passed: usize,
    guard: Rc<RefCell<Guard>>,
}

impl Wire {
    /// A wire that begins with bytes that were read already.
    pub(super) fn new(stream: Stream, begun: Vec<u8>, guard: Rc<RefCell<Guard>>) -> Self {
        Self { stream, begun, passed: 0, guard }
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
        let mut guard = wire.guard.borrow_mut();
        if guard.watch(&buffer.filled()[before..], clock::now()).is_err() || guard.fault().is_some() {
            // Nothing more is read. The connection's task, which is being polled, looks at the guard next and ends it.
            buffer.set_filled(before);
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(self.stream.poll_write(context, bytes))?;
        self.guard.borrow_mut().wrote(&bytes[..written]);
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(self.stream.poll_write_vectored(context, slices))?;
        let mut guard = self.guard.borrow_mut();
        let mut left = written;
        for slice in slices {
            let count = left.min(slice.len());
            guard.wrote(&slice[..count]);
            left -= count;
        }
        Poll::Ready(Ok(written))
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
