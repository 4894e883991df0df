//! A connection's socket, whatever it is made of, polled through a shared reference so that both directions of an
//! exchange can be driven by one task.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A byte stream to a client or a service.
#[derive(Debug)]
pub struct Stream {
    // Borrowed only within one call to `poll_*`, never across one: a borrow cannot fail.
    socket: RefCell<TcpStream>,
}

impl Stream {
    /// Wraps a connected socket.
    pub fn new(socket: TcpStream) -> Self {
        Self { socket: RefCell::new(socket) }
    }

    /// Reads what is there into `space`; zero is the end of the stream. A short read leaves nothing behind, so the
    /// next call waits for the kernel's event without asking it again.
    pub fn poll_read(&self, context: &mut Context<'_>, space: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(space);
        match Pin::new(&mut *self.socket.borrow_mut()).poll_read(context, &mut buffer) {
            Poll::Ready(Ok(())) => Poll::Ready(Ok(buffer.filled().len())),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Waits until a read would find data or the end, without a system call and without a buffer.
    pub fn poll_readable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.borrow().poll_read_ready(context)
    }

    /// Writes at once if the socket takes anything.
    pub fn poll_write(&self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.socket.borrow_mut()).poll_write(context, bytes)
    }

    /// Writes several slices with one system call.
    pub fn poll_write_vectored(
        &self,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.socket.borrow_mut()).poll_write_vectored(context, slices)
    }

    /// Tells the other side that nothing more comes, and goes on reading.
    pub fn poll_shutdown(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.socket.borrow_mut()).poll_shutdown(context)
    }

    /// Makes closing send a reset, so that the other side cannot take what it got for a whole message.
    pub fn reset_on_close(&self) {
        // It can only fail on a socket that is already gone.
        let _ = self.socket.borrow().set_zero_linger();
    }
}
