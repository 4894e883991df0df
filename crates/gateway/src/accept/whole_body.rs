//! Request bodies that a policy has to see, whole or as far as it looks. They stay in the client's buffer, which grows with what
//! has come and not with what was announced.

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

/// Bytes of framing that are kept beside as many bytes again as are looked at.
const FRAMING: u64 = 4096;

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

/// What was read of a body.
enum Read {
    /// All of it.
    Whole,
    /// This, and more follows: all is in the buffer as it came.
    Start(Vec<u8>),
}

/// How much is waited for, and until when.
struct Wait {
    /// Bytes of the body.
    most: u64,
    /// Whether what came stays as it came when it is longer.
    keeps: bool,
    due: Instant,
    pace: Pace,
    /// Bytes that have come, framing among them.
    count: u64,
}

impl Wait {
    /// Bytes that the buffer may take for it.
    fn room(&self) -> u64 {
        // One byte beyond what may come shows that it is too long; chunks that stay as they came are framed as well.
        self.most.saturating_add(if self.keeps { self.most.saturating_add(FRAMING) } else { 1 })
    }
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
        if matches!(request.framing, Framing::Length(length) if length > most) {
            return Err(Unread::TooLong);
        }
        match self.read_body(worker, request, most, due, false).await? {
            Read::Whole => Ok(()),
            Read::Start(_) => Err(Unread::TooLong),
        }
    }

    /// Reads so many bytes of the request's body, or all of it where it is shorter: then nothing comes back, and it is as after
    /// [`Self::read_whole_body`]. A longer one can be sent on as if nobody had looked.
    pub async fn read_start_of_body(
        &mut self,
        worker: &Worker,
        request: &mut RequestHead,
        most: u64,
        due: Instant,
    ) -> Result<Option<Vec<u8>>, Unread> {
        match self.read_body(worker, request, most, due, true).await? {
            Read::Whole => Ok(None),
            Read::Start(start) => Ok(Some(start)),
        }
    }

    async fn read_body(
        &mut self,
        worker: &Worker,
        request: &mut RequestHead,
        most: u64,
        due: Instant,
        keeps: bool,
    ) -> Result<Read, Unread> {
        if request.framing == Framing::None {
            return Ok(Read::Whole);
        }
        if request.expects_continue && !self.has_whole_body(request) {
            self.deadline.set(due.min(clock::now() + self.listener().body_timeout));
            self.invite(worker).await.map_err(|_| Unread::Gone)?;
        }
        // The service gets the body at once, and is not to ask for it.
        request.expects_continue = false;
        request.fields.remove(Known::Expect);
        let pace = Pace::new(self.listener().body_timeout, self.listener().body_rate);
        let mut wait = Wait { most, keeps, due, pace, count: 0 };
        if request.framing == Framing::Chunked && !self.stream.is_message() {
            return self.unwrap_chunks(worker, request, &mut wait).await;
        }
        loop {
            let filled = self.input.filled();
            let is_longer = match request.framing {
                Framing::Length(length) if !self.stream.is_message() => length > most,
                // Some of a message may have been read ahead, and all of it.
                _ => filled.len() as u64 > most,
            };
            if let Some(start) = filled.get(..most as usize).filter(|_| is_longer) {
                return Ok(Read::Start(start.to_vec()));
            }
            if self.is_read(request) {
                return Ok(Read::Whole);
            }
            if self.read_more(worker, &mut wait).await? == 0 {
                return if self.stream.is_message() { Ok(Read::Whole) } else { Err(Unread::Gone) };
            }
        }
    }

    /// Whether nothing more is to come; unlike [`Self::has_whole_body`], whatever trailers there are.
    fn is_read(&self, request: &RequestHead) -> bool {
        let length = self.input.filled().len() as u64;
        !self.stream.is_message() && matches!(request.framing, Framing::Length(whole) if length >= whole)
    }

    /// Takes the data out of its chunks.
    async fn unwrap_chunks(
        &mut self,
        worker: &Worker,
        request: &mut RequestHead,
        wait: &mut Wait,
    ) -> Result<Read, Unread> {
        let (mut decoder, mut trailers) = (BodyDecoder::new(Framing::Chunked), Fields::new());
        let mut body = Vec::new();
        // Bytes of the buffer that have been looked at.
        let mut seen = 0;
        loop {
            let input = &self.input.filled()[seen..];
            match decoder.decode(input, &mut trailers).map_err(Unread::Malformed)? {
                Piece::Data { skip, length } => {
                    let data = &input[skip..skip + length];
                    let room = wait.most as usize - body.len();
                    body.extend_from_slice(&data[..length.min(room)]);
                    if length > room {
                        return Ok(Read::Start(body));
                    }
                    seen += skip + length;
                }
                Piece::End { consumed } => {
                    self.input.consume(seen + consumed);
                    self.input.put_before(&body);
                    request.framing = Framing::Length(body.len() as u64);
                    return Ok(Read::Whole);
                }
                Piece::More { consumed } => {
                    seen += consumed;
                    if !wait.keeps {
                        self.input.consume(std::mem::take(&mut seen));
                    } else if seen as u64 >= wait.room() {
                        return Ok(Read::Start(body));
                    }
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
            let length = self.input.filled().len();
            let room = usize::try_from(wait.room()).unwrap_or(usize::MAX);
            self.input.grow(length.saturating_mul(2).min(room.max(length + 1)));
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
