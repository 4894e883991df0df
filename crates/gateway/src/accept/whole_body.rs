//! Request bodies that a policy has to see whole. They stay in the client's buffer, which grows with what has come and not with
//! what was announced.

use std::future::poll_fn;
use std::io;
use std::task::{Poll, ready};
use std::time::Instant;

use http::StatusCode;
use http1::{
    BodyDecoder, BodyFault, Fields, Framing, Known, Piece, RequestHead, ResponseHead, encode_interim,
};

use super::client::Client;
use super::h2::head;
use super::pace::Pace;
use crate::clock;
use crate::worker::Worker;

/// Why a body could not be read whole.
#[derive(Debug)]
pub enum Unread {
    /// The client closed the connection.
    Gone,
    /// Nothing came for too long.
    TimedOut,
    /// It is longer than asked for.
    TooLong,
    /// Its framing is malformed.
    Malformed(BodyFault),
}

/// How much is waited for, and until when.
struct Wait {
    most: u64,
    due: Instant,
    pace: Pace,
    /// Bytes that have come, framing among them.
    count: u64,
}

impl Client {
    /// The body of the request, after [`Self::read_whole_body`].
    pub fn whole_body(&self, request: &RequestHead) -> &[u8] {
        let filled = self.input.filled();
        match request.framing {
            Framing::None => b"",
            Framing::Length(length) => filled.get(..length as usize).unwrap_or(filled),
            Framing::Chunked | Framing::UntilClose => filled,
        }
    }

    /// Reads the request's body of at most so many bytes. One that came in chunks has a length afterwards; its trailers
    /// are dropped.
    pub async fn read_whole_body(
        &mut self,
        worker: &Worker,
        request: &mut RequestHead,
        most: u64,
        due: Instant,
    ) -> Result<(), Unread> {
        match request.framing {
            Framing::None => return Ok(()),
            Framing::Length(length) if length > most => return Err(Unread::TooLong),
            _ => {}
        }
        if request.expects_continue && !self.has_whole_body(request) {
            self.deadline.set(due.min(clock::now() + self.listener().body_timeout));
            self.invite(worker).await.map_err(|_| Unread::Gone)?;
        }
        // The service gets the body at once, and is not to ask for it.
        request.expects_continue = false;
        request.fields.remove(Known::Expect);
        let mut wait = Wait {
            most,
            due,
            pace: Pace::new(self.listener().body_timeout, self.listener().body_rate),
            count: 0,
        };
        match request.framing {
            Framing::Chunked if !self.stream.is_message() => {
                let length = self.unwrap_chunks(worker, &mut wait).await?;
                request.framing = Framing::Length(length);
            }
            _ => {
                while !self.is_read(request) {
                    let count = self.read_more(worker, &mut wait).await?;
                    if self.stream.is_message() {
                        if count == 0 {
                            break;
                        }
                        if self.input.filled().len() as u64 > most {
                            return Err(Unread::TooLong);
                        }
                    } else if count == 0 {
                        return Err(Unread::Gone);
                    }
                }
            }
        }
        Ok(())
    }

    /// Whether nothing more is to come; unlike [`Self::has_whole_body`], whatever trailers there are.
    fn is_read(&self, request: &RequestHead) -> bool {
        let length = self.input.filled().len() as u64;
        !self.stream.is_message() && matches!(request.framing, Framing::Length(whole) if length >= whole)
    }

    /// Takes the data out of its chunks.
    async fn unwrap_chunks(&mut self, worker: &Worker, wait: &mut Wait) -> Result<u64, Unread> {
        let (mut decoder, mut trailers) = (BodyDecoder::new(Framing::Chunked), Fields::new());
        let mut body = Vec::new();
        loop {
            match decoder.decode(self.input.filled(), &mut trailers).map_err(Unread::Malformed)? {
                Piece::Data { skip, length } => {
                    if (body.len() + length) as u64 > wait.most {
                        return Err(Unread::TooLong);
                    }
                    body.extend_from_slice(&self.input.filled()[skip..skip + length]);
                    self.input.consume(skip + length);
                }
                Piece::End { consumed } => {
                    self.input.consume(consumed);
                    self.input.put_before(&body);
                    return Ok(body.len() as u64);
                }
                Piece::More { consumed } => {
                    self.input.consume(consumed);
                    if self.read_more(worker, wait).await? == 0 {
                        return Err(Unread::Gone);
                    }
                }
            }
        }
    }

    /// Reads what there is, at least a byte; none where the stream has ended.
    async fn read_more(&mut self, worker: &Worker, wait: &mut Wait) -> Result<usize, Unread> {
        if self.input.space(&worker.buffers).is_empty() {
            // One byte beyond what may come shows that it is too long.
            let most = usize::try_from(wait.most).unwrap_or(usize::MAX).saturating_add(1);
            let length = self.input.filled().len();
            self.input.grow(length.saturating_mul(2).min(most.max(length + 1)));
        }
        self.deadline.set(wait.due.min(wait.pace.wait(clock::now(), wait.count)));
        poll_fn(|context| match self.stream.poll_read(context, self.input.space(&worker.buffers)) {
            Poll::Ready(Ok(count)) => {
                self.input.fill(count);
                wait.count += count as u64;
                Poll::Ready(Ok(count))
            }
            Poll::Ready(Err(_)) => Poll::Ready(Err(Unread::Gone)),
            Poll::Pending => {
                ready!(self.deadline.poll_passed(context));
                Poll::Ready(Err(Unread::TimedOut))
            }
        })
        .await
    }

    /// Gives leave to send the body (RFC 9110, section 10.1.1).
    async fn invite(&mut self, worker: &Worker) -> io::Result<()> {
        if let Some(mut message) = self.stream.as_message() {
            let head = ResponseHead { status: StatusCode::CONTINUE, ..ResponseHead::default() };
            return message.send_interim(head::write_interim(&head)).map_err(io::Error::other);
        }
        encode_interim(self.outbox.bytes(&worker.buffers), StatusCode::CONTINUE, "", &Fields::new());
        self.flush_in_time().await
    }
}
