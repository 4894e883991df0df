//! One HTTP/2 stream as a stream of bytes: the body of a message in each direction, with its head before and its
//! trailers behind it.
//!
//! The windows of both sides are joined: the peer gets leave to send as its bytes are taken from here, and what is to be
//! sent is taken only as far as the peer's window allows.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use h2::client::{ResponseFuture, SendRequest};
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Request, Response, response};

/// A message's way there and back.
#[derive(Debug)]
pub struct MessageStream {
    sender: Sender,
    receiver: Receiver,
    /// The reset that is to follow what was sent, in the place of an end.
    last: Option<Reason>,
}

/// The way out.
enum Sender {
    /// A server's, before the head of its answer.
    Answer(SendResponse<Bytes>),
    /// A client's, before the head of its request.
    Request(SendRequest<Bytes>),
    Body(SendStream<Bytes>),
    /// All is sent; the handle still hears of resets.
    Ended(SendStream<Bytes>),
    Gone,
}

/// The way in.
#[derive(Debug)]
enum Receiver {
    /// Nothing comes before a request has left.
    Idle,
    /// A client's, before the head of the answer.
    Head(ResponseFuture),
    Body {
        stream: RecvStream,
        chunk: Bytes,
    },
    Ended(Option<HeaderMap>),
}

impl std::fmt::Debug for Sender {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Answer(_) => "Answer",
            Self::Request(_) => "Request",
            Self::Body(_) => "Body",
            Self::Ended(_) => "Ended",
            Self::Gone => "Gone",
        })
    }
}

impl MessageStream {
    /// A server's end: the request's body comes in, the answer is to go out.
    pub fn serving(body: RecvStream, answer: SendResponse<Bytes>) -> Self {
        Self {
            sender: Sender::Answer(answer),
            receiver: Receiver::Body { stream: body, chunk: Bytes::new() },
            last: None,
        }
    }

    /// A client's end, before its request.
    pub fn calling(request: SendRequest<Bytes>) -> Self {
        Self { sender: Sender::Request(request), receiver: Receiver::Idle, last: None }
    }

    /// Sends the head of a request.
    pub fn send_request(&mut self, head: Request<()>, is_whole: bool) -> Result<(), h2::Error> {
        let Sender::Request(request) = &mut self.sender else { return Ok(()) };
        let (answer, body) = request.send_request(head, is_whole)?;
        self.sender = if is_whole { Sender::Ended(body) } else { Sender::Body(body) };
        self.receiver = Receiver::Head(answer);
        Ok(())
    }

    /// The head of the answer, an interim one or the final one.
    pub fn poll_answer(&mut self, context: &mut Context<'_>) -> Poll<Result<response::Parts, h2::Error>> {
        let Receiver::Head(answer) = &mut self.receiver else { return Poll::Pending };
        if let Poll::Ready(Some(interim)) = answer.poll_informational(context) {
            return Poll::Ready(interim.map(|interim| interim.into_parts().0));
        }
        let (head, stream) = ready!(Pin::new(answer).poll(context))?.into_parts();
        self.receiver = Receiver::Body { stream, chunk: Bytes::new() };
        Poll::Ready(Ok(head))
    }

    /// From here on no end of the message is told: the stream is reset in its place, once this is [taken](Self::take_reset)
    /// up.
    pub fn reset_at_end(&mut self, reason: Reason) {
        self.last.get_or_insert(reason);
    }

    /// The reset that the stream is to end with.
    pub fn take_reset(&mut self) -> Option<Reason> {
        self.last.take()
    }

    /// Sends an interim answer.
    pub fn send_interim(&mut self, head: Response<()>) -> Result<(), h2::Error> {
        match &mut self.sender {
            Sender::Answer(answer) => answer.send_informational(head),
            _ => Ok(()),
        }
    }

    /// Sends the head of an answer.
    pub fn send_answer(&mut self, head: Response<()>, is_whole: bool) -> Result<(), h2::Error> {
        let Sender::Answer(answer) = &mut self.sender else { return Ok(()) };
        let body = answer.send_response(head, is_whole && self.last.is_none())?;
        self.sender = if is_whole { Sender::Ended(body) } else { Sender::Body(body) };
        Ok(())
    }

    /// Whether the other side sends nothing more and all of it has been read.
    pub fn is_read(&self) -> bool {
        match &self.receiver {
            Receiver::Body { stream, chunk } => chunk.is_empty() && stream.is_end_stream(),
            Receiver::Ended(_) => true,
            Receiver::Idle | Receiver::Head(_) => false,
        }
    }

    /// Reads some of the body; zero is its end, behind which the trailers are.
    pub fn poll_read(&mut self, context: &mut Context<'_>, space: &mut [u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_readable(context))?;
        let Receiver::Body { stream, chunk } = &mut self.receiver else { return Poll::Ready(Ok(0)) };
        let count = chunk.len().min(space.len());
        chunk.copy_to_slice(&mut space[..count]);
        // It fails only for more than was received.
        let _ = stream.flow_control().release_capacity(count);
        Poll::Ready(Ok(count))
    }

    /// Waits until there is something to read, or the end.
    pub fn poll_readable(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Receiver::Body { stream, chunk } = &mut self.receiver else { return Poll::Ready(Ok(())) };
        while chunk.is_empty() {
            if let Some(data) = ready!(stream.poll_data(context)) {
                *chunk = data.map_err(io::Error::other)?;
                continue;
            }
            let trailers = ready!(stream.poll_trailers(context)).map_err(io::Error::other)?;
            self.receiver = Receiver::Ended(trailers);
            break;
        }
        Poll::Ready(Ok(()))
    }

    /// Whether there are trailers behind the body, which has been read.
    pub fn has_trailers(&self) -> bool {
        matches!(self.receiver, Receiver::Ended(Some(_)))
    }

    /// The trailers, once the body has been read.
    pub fn take_trailers(&mut self) -> Option<HeaderMap> {
        match &mut self.receiver {
            Receiver::Ended(trailers) => trailers.take(),
            _ => None,
        }
    }

    /// Sends what the window allows of the bytes, and the end behind them if they are the last and all fit.
    pub fn poll_send(
        &mut self,
        context: &mut Context<'_>,
        bytes: &[u8],
        is_last: bool,
    ) -> Poll<io::Result<usize>> {
        let Sender::Body(body) = &mut self.sender else {
            let is_wrong = !bytes.is_empty() || matches!(self.sender, Sender::Gone);
            return Poll::Ready(if is_wrong { Err(io::ErrorKind::BrokenPipe.into()) } else { Ok(0) });
        };
        if bytes.is_empty() {
            if is_last {
                self.end(None)?;
            }
            return Poll::Ready(Ok(0));
        }
        if body.capacity() < bytes.len() {
            body.reserve_capacity(bytes.len());
        }
        let mut room = body.capacity();
        while room == 0 {
            room = match ready!(body.poll_capacity(context)) {
                Some(room) => room.map_err(io::Error::other)?,
                None => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            };
        }
        let count = room.min(bytes.len());
        let is_last = is_last && count == bytes.len();
        let tells_end = is_last && self.last.is_none();
        body.send_data(Bytes::copy_from_slice(&bytes[..count]), tells_end).map_err(io::Error::other)?;
        if is_last {
            self.close();
        }
        Poll::Ready(Ok(count))
    }

    /// Ends the body, with trailers if there are any.
    pub fn end(&mut self, trailers: Option<HeaderMap>) -> io::Result<()> {
        let Sender::Body(body) = &mut self.sender else { return Ok(()) };
        match trailers {
            _ if self.last.is_some() => Ok(()),
            Some(trailers) => body.send_trailers(trailers),
            None => body.send_data(Bytes::new(), true),
        }
        .map_err(io::Error::other)?;
        self.close();
        Ok(())
    }

    fn close(&mut self) {
        self.sender = match std::mem::replace(&mut self.sender, Sender::Gone) {
            Sender::Body(body) => Sender::Ended(body),
            other => other,
        };
    }

    /// Ready when the other side wants nothing more of this stream: it reset it, or its connection is gone.
    pub fn poll_gone(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match &mut self.sender {
            Sender::Answer(answer) => answer.poll_reset(context).map(drop),
            Sender::Body(body) | Sender::Ended(body) => body.poll_reset(context).map(drop),
            Sender::Request(_) => Poll::Pending,
            Sender::Gone => Poll::Ready(()),
        }
    }

    /// Resets the stream (RFC 9113, section 6.4).
    pub fn reset(&mut self, reason: Reason) {
        match std::mem::replace(&mut self.sender, Sender::Gone) {
            Sender::Answer(mut answer) => answer.send_reset(reason),
            Sender::Body(mut body) | Sender::Ended(mut body) => body.send_reset(reason),
            Sender::Request(_) | Sender::Gone => {}
        }
    }
}
