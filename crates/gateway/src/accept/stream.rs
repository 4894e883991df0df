//! A connection's bytes, whatever carries them, polled through a shared reference so that both directions of an
//! exchange can be driven by one task.

use std::cell::{Cell, RefCell, RefMut};
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use h2::Reason;
use http::HeaderMap;
use rustix::io::Errno;
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsStream;

use super::h2::MessageStream;

/// A byte stream to a client or a service.
#[derive(Debug)]
pub struct Stream {
    // Borrowed only within one call, never across a wait: a borrow cannot fail.
    carrier: RefCell<Carrier>,
}

/// What a stream is made of.
#[derive(Debug)]
enum Carrier {
    Socket(Socket),
    // On the heap: a connection in clear does not carry the state of an encrypted one.
    Tls(Box<TlsStream<Socket>>),
    Message(Box<MessageStream>),
}

/// A connected socket.
#[derive(Debug)]
pub struct Socket {
    family: Family,
    /// Whether the next write goes to the kernel without waiting for its event.
    is_impatient: Cell<bool>,
}

#[derive(Debug)]
enum Family {
    /// Over an IP network.
    Tcp(TcpStream),
    /// Within this machine.
    Unix(UnixStream),
}

impl Stream {
    /// A connection in clear.
    pub fn new(socket: impl Into<Socket>) -> Self {
        Self::of(Carrier::Socket(socket.into()))
    }

    /// A connection whose handshake is done.
    pub fn tls(stream: impl Into<TlsStream<Socket>>) -> Self {
        Self::of(Carrier::Tls(Box::new(stream.into())))
    }

    /// One message's way there and back on an HTTP/2 connection.
    pub fn message(message: MessageStream) -> Self {
        Self::of(Carrier::Message(Box::new(message)))
    }

    fn of(carrier: Carrier) -> Self {
        Self { carrier: RefCell::new(carrier) }
    }

    /// The HTTP/2 message, if it is one: its heads do not travel among its bytes.
    pub fn as_message(&self) -> Option<RefMut<'_, MessageStream>> {
        RefMut::filter_map(self.carrier.borrow_mut(), |carrier| match carrier {
            Carrier::Message(message) => Some(&mut **message),
            _ => None,
        })
        .ok()
    }

    /// Whether it is an HTTP/2 message.
    pub fn is_message(&self) -> bool {
        matches!(&*self.carrier.borrow(), Carrier::Message(_))
    }

    /// The trailers behind an HTTP/2 message that has been read to its end.
    pub fn take_trailers(&self) -> Option<HeaderMap> {
        self.as_message().and_then(|mut message| message.take_trailers())
    }

    /// Reads what is there into `space`; zero is the end of the stream. On a socket a short read leaves nothing behind, so the
    /// next call waits for the kernel's event without asking it again.
    pub fn poll_read(&self, context: &mut Context<'_>, space: &mut [u8]) -> Poll<io::Result<usize>> {
        match &mut *self.carrier.borrow_mut() {
            Carrier::Socket(socket) => read(socket, context, space),
            Carrier::Tls(tls) => read(&mut **tls, context, space),
            Carrier::Message(message) => message.poll_read(context, space),
        }
    }

    /// Waits until a read would find data or the end, without a buffer; on a socket without a system call too.
    pub fn poll_readable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self.carrier.borrow_mut() {
            Carrier::Socket(socket) => socket.poll_read_ready(context),
            // What comes need not be data for us: the next session's ticket, or new keys.
            Carrier::Tls(tls) => Pin::new(&mut **tls).poll_fill_buf(context).map_ok(drop),
            Carrier::Message(message) => message.poll_readable(context),
        }
    }

    /// Writes at once if the stream takes anything. What it took may still have to be flushed.
    pub fn poll_write(&self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut *self.carrier.borrow_mut() {
            Carrier::Socket(socket) => Pin::new(socket).poll_write(context, bytes),
            Carrier::Tls(tls) => Pin::new(&mut **tls).poll_write(context, bytes),
            Carrier::Message(message) => message.poll_send(context, bytes, false),
        }
    }

    /// Writes several slices with one system call.
    pub fn poll_write_vectored(
        &self,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut *self.carrier.borrow_mut() {
            Carrier::Socket(socket) => Pin::new(socket).poll_write_vectored(context, slices),
            Carrier::Tls(tls) => Pin::new(&mut **tls).poll_write_vectored(context, slices),
            Carrier::Message(message) => {
                let first = slices.iter().find(|slice| !slice.is_empty());
                message.poll_send(context, first.map_or(&[], |slice| slice), false)
            }
        }
    }

    /// Makes the next write ask the kernel even if it has not said that there is space: it says so when half of what may
    /// wait unsent is gone, which a slow reader takes long for. Over HTTP/2 the other side's window says what it takes.
    pub fn write_impatiently(&self) {
        match &*self.carrier.borrow() {
            Carrier::Socket(socket) => socket.is_impatient.set(true),
            Carrier::Tls(tls) => tls.get_ref().0.is_impatient.set(true),
            Carrier::Message(_) => {}
        }
    }

    /// Writes what the stream took and still holds: encrypted records. Of a socket the kernel holds everything.
    pub fn poll_flush(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self.carrier.borrow_mut() {
            Carrier::Tls(tls) => Pin::new(&mut **tls).poll_flush(context),
            Carrier::Socket(_) | Carrier::Message(_) => Poll::Ready(Ok(())),
        }
    }

    /// Tells the other side that nothing more comes, and goes on reading.
    pub fn poll_shutdown(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self.carrier.borrow_mut() {
            Carrier::Socket(socket) => Pin::new(socket).poll_shutdown(context),
            Carrier::Tls(tls) => Pin::new(&mut **tls).poll_shutdown(context),
            Carrier::Message(message) => message.poll_send(context, &[], true).map_ok(drop),
        }
    }

    /// Makes closing send a reset, so that the other side cannot take what it got for a whole message. Of the reason only
    /// HTTP/2 has a word.
    pub fn reset_on_close(&self, reason: Reason) {
        match &mut *self.carrier.borrow_mut() {
            Carrier::Socket(socket) => socket.reset_on_close(),
            Carrier::Tls(tls) => tls.get_ref().0.reset_on_close(),
            Carrier::Message(message) => message.reset_at_end(reason),
        }
    }

    /// Takes [`Self::reset_on_close`] back: what was written is all there is.
    pub fn close_in_order(&self) {
        match &mut *self.carrier.borrow_mut() {
            Carrier::Socket(socket) => socket.close_in_order(),
            Carrier::Tls(tls) => tls.get_ref().0.close_in_order(),
            Carrier::Message(message) => drop(message.take_reset()),
        }
    }
}

impl Socket {
    /// The address that the other side connected to; none on a Unix socket.
    pub fn local_address(&self) -> Option<SocketAddr> {
        match &self.family {
            Family::Tcp(socket) => socket.local_addr().ok(),
            Family::Unix(_) => None,
        }
    }

    fn poll_read_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &self.family {
            Family::Tcp(socket) => socket.poll_read_ready(context),
            Family::Unix(socket) => socket.poll_read_ready(context),
        }
    }

    /// Writes past what the runtime knows of the socket, if that is wanted and the kernel takes anything.
    fn write_now(&self, slices: &[IoSlice<'_>]) -> Option<io::Result<usize>> {
        if !self.is_impatient.take() {
            return None;
        }
        match rustix::io::writev(self, slices) {
            Err(Errno::WOULDBLOCK | Errno::INTR) => None,
            written => Some(written.map_err(io::Error::from)),
        }
    }

    /// Makes a system call on the socket once it can be read. One that finds nothing after all is made again later.
    pub(super) async fn receive_with(
        &self,
        mut call: impl FnMut(BorrowedFd<'_>) -> io::Result<usize>,
    ) -> io::Result<usize> {
        loop {
            let received = match &self.family {
                Family::Tcp(socket) => {
                    socket.readable().await?;
                    socket.try_io(Interest::READABLE, || call(socket.as_fd()))
                }
                Family::Unix(socket) => {
                    socket.readable().await?;
                    socket.try_io(Interest::READABLE, || call(socket.as_fd()))
                }
            };
            match received {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                received => return received,
            }
        }
    }

    fn reset_on_close(&self) {
        // A Unix socket knows no reset; closing it early is an error to a reader that waits for more all the same.
        if let Family::Tcp(socket) = &self.family {
            // It can only fail on a socket that is already gone.
            let _ = socket.set_zero_linger();
        }
    }

    fn close_in_order(&self) {
        if let Family::Tcp(socket) = &self.family {
            // As above.
            let _ = rustix::net::sockopt::set_socket_linger(socket, None);
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.family {
            Family::Tcp(socket) => socket.as_fd(),
            Family::Unix(socket) => socket.as_fd(),
        }
    }
}

impl From<Family> for Socket {
    fn from(family: Family) -> Self {
        Self { family, is_impatient: Cell::new(false) }
    }
}

impl From<TcpStream> for Socket {
    fn from(socket: TcpStream) -> Self {
        Family::Tcp(socket).into()
    }
}

impl From<UnixStream> for Socket {
    fn from(socket: UnixStream) -> Self {
        Family::Unix(socket).into()
    }
}

fn read<S: AsyncRead + Unpin>(
    source: &mut S,
    context: &mut Context<'_>,
    space: &mut [u8],
) -> Poll<io::Result<usize>> {
    let mut buffer = ReadBuf::new(space);
    ready!(Pin::new(source).poll_read(context, &mut buffer))?;
    Poll::Ready(Ok(buffer.filled().len()))
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.get_mut().family {
            Family::Tcp(socket) => Pin::new(socket).poll_read(context, buffer),
            Family::Unix(socket) => Pin::new(socket).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if let Some(written) = self.write_now(&[IoSlice::new(bytes)]) {
            return Poll::Ready(written);
        }
        match &mut self.get_mut().family {
            Family::Tcp(socket) => Pin::new(socket).poll_write(context, bytes),
            Family::Unix(socket) => Pin::new(socket).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let Some(written) = self.write_now(slices) {
            return Poll::Ready(written);
        }
        match &mut self.get_mut().family {
            Family::Tcp(socket) => Pin::new(socket).poll_write_vectored(context, slices),
            Family::Unix(socket) => Pin::new(socket).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().family {
            Family::Tcp(socket) => Pin::new(socket).poll_shutdown(context),
            Family::Unix(socket) => Pin::new(socket).poll_shutdown(context),
        }
    }
}

/// As `h2` drives a connection: only ever in one task, so the cell is never borrowed twice.
impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut().carrier.get_mut() {
            Carrier::Socket(socket) => Pin::new(socket).poll_read(context, buffer),
            Carrier::Tls(tls) => Pin::new(&mut **tls).poll_read(context, buffer),
            Carrier::Message(message) => {
                let count = ready!(message.poll_read(context, buffer.initialize_unfilled()))?;
                buffer.advance(count);
                Poll::Ready(Ok(()))
            }
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Self::poll_write(&self, context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Self::poll_write_vectored(&self, context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Self::poll_flush(&self, context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Self::poll_shutdown(&self, context)
    }
}
