//! Moves one body from one connection to another, whatever the framing on either side.
//!
//! At most one read buffer and a small outbox are held per direction: nothing is read while something waits to be
//! written, so a slow reader slows the writer down and not our memory.

use std::io::{self, IoSlice};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use http1::{BodyDecoder, BodyFault, Fields, Framing, Piece, encode_chunk_head, encode_last_chunk};

use super::buffer::{Buffer, Buffers, Outbox};
use super::h2::{MessageStream, head};
use super::stream::Stream;
use super::tap::Tap;
use crate::identity;
use crate::translate::base64_stream::Base64Fault;
use crate::translate::grpc_web::Transform;

/// Pieces up to this size are copied behind the head or the chunk's size and go out in one plain write; longer
/// ones are written from where they were read.
const COPY_LIMIT: usize = 8 * 1024;
/// Above this nothing more is collected in the outbox before it is written.
const OUTBOX_LIMIT: usize = 16 * 1024;
/// A body that has moved this much gets a large buffer.
const LONG_BODY: u64 = 32 * 1024;
const CRLF: &[u8] = b"\r\n";

/// Which side a pump waits for, and so who is to blame when time runs out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Where the body comes from.
    Source,
    /// Where it goes.
    Sink,
}

/// Why a body could not be moved whole.
#[derive(Debug)]
pub enum Trouble {
    /// The source's connection failed.
    Read(io::Error),
    /// The source ended before the body did.
    Truncated,
    /// The source's framing is malformed.
    Malformed(BodyFault),
    /// The body is longer than allowed.
    TooLarge,
    /// The body cannot be translated.
    Untranslatable(Base64Fault),
    /// The sink's connection failed.
    Write(io::Error),
}

/// One body on its way.
#[derive(Debug)]
pub struct Pump {
    decoder: BodyDecoder,
    chunked: bool,
    trailers: Fields,
    /// What the body becomes on the way.
    transform: Option<Box<Transform>>,
    /// Who takes the body down as it passes by.
    tap: Option<Rc<Tap>>,
    /// Bytes at the front of the source's buffer that are data to be written in place.
    in_place: usize,
    /// Whether anything was taken from the source.
    is_begun: bool,
    /// Whether the last read took all the space that there was.
    is_fast: bool,
    /// Bytes of CRLF still to be written behind them.
    crlf: usize,
    ended: bool,
    /// What is wrong with the source, told once all that came before it is written.
    trouble: Option<Trouble>,
    limit: u64,
    moved: u64,
    written: u64,
    waits_for: Side,
}

/// The two ends of a pump.
#[derive(Debug)]
pub struct Ends<'a> {
    /// Where the body comes from.
    pub source: &'a Stream,
    /// What was read from it.
    pub input: &'a mut Buffer,
    /// Where it goes.
    pub sink: &'a Stream,
    /// What stands before it: the head, or frames.
    pub outbox: &'a mut Outbox,
    /// The worker's buffers.
    pub buffers: &'a Buffers,
}

impl Pump {
    /// A pump for a body framed as `incoming` at its source and `outgoing` at its sink. More than `limit` bytes
    /// are an error.
    pub fn new(incoming: Framing, outgoing: Framing, limit: u64) -> Self {
        Self {
            decoder: BodyDecoder::new(incoming),
            chunked: outgoing == Framing::Chunked,
            trailers: Fields::new(),
            transform: None,
            tap: None,
            in_place: 0,
            is_begun: false,
            is_fast: false,
            crlf: 0,
            ended: incoming == Framing::None,
            trouble: None,
            limit,
            moved: 0,
            written: 0,
            waits_for: Side::Source,
        }
    }

    /// Makes the body another on the way.
    pub fn set_transform(&mut self, transform: Transform) {
        self.transform = Some(Box::new(transform));
    }

    /// Has the body taken down as it passes by, if somebody wants that.
    pub fn set_tap(&mut self, tap: Option<Rc<Tap>>) {
        self.tap = tap;
    }

    /// The trailers, once the body has ended; also those that became a part of it.
    pub fn trailers(&self) -> &Fields {
        self.transform.as_ref().and_then(|transform| transform.trailers()).unwrap_or(&self.trailers)
    }

    /// Whether the body becomes another on the way.
    pub fn is_translated(&self) -> bool {
        self.transform.is_some()
    }

    /// Bytes of body that were taken from the source.
    pub fn moved(&self) -> u64 {
        self.moved
    }

    /// Whether nothing at all was taken from the source, not even framing: only then can another pump begin anew.
    pub fn is_untouched(&self) -> bool {
        !self.is_begun
    }

    /// A figure that grows whenever bytes come in or go out.
    pub fn progress(&self) -> u64 {
        self.moved + self.written
    }

    /// Whom the pump waited for when it was last polled.
    pub fn waits_for(&self) -> Side {
        self.waits_for
    }

    /// Whether all of the body has been taken from the source: what follows there is the next message.
    pub fn has_read_all(&self) -> bool {
        self.ended
    }

    /// Moves what can be moved; ready when the whole body, and all that stood before it in the outbox, is written.
    pub fn poll(&mut self, context: &mut Context<'_>, ends: &mut Ends<'_>) -> Poll<Result<(), Trouble>> {
        loop {
            let is_open = self.in_place == 0 && !self.ended && self.trouble.is_none();
            let starved = is_open
                && self.collect(ends).unwrap_or_else(|trouble| {
                    self.trouble = Some(trouble);
                    false
                });
            self.waits_for = Side::Sink;
            ready!(self.poll_flush(context, ends)).map_err(Trouble::Write)?;
            if let Some(trouble) = self.trouble.take() {
                return Poll::Ready(Err(trouble));
            }
            if self.ended {
                return Poll::Ready(Ok(()));
            }
            if starved {
                self.waits_for = Side::Source;
                ready!(self.poll_fill(context, ends))?;
            }
        }
    }

    /// Turns what was read into frames until a piece is to be written in place, the outbox is full, the body has ended, or there
    /// is nothing left to decode (true).
    fn collect(&mut self, ends: &mut Ends<'_>) -> Result<bool, Trouble> {
        while ends.outbox.rest().len() < OUTBOX_LIMIT {
            let piece =
                self.decoder.decode(ends.input.filled(), &mut self.trailers).map_err(Trouble::Malformed)?;
            match piece {
                Piece::Data { skip, length } => {
                    self.is_begun = true;
                    ends.input.consume(skip);
                    self.moved += length as u64;
                    if self.moved > self.limit {
                        return Err(Trouble::TooLarge);
                    }
                    if let Some(tap) = &self.tap {
                        tap.take(&ends.input.filled()[..length]);
                    }
                    if self.transform.is_some() {
                        self.translate(ends, length)?;
                        if self.decoder.is_done() {
                            self.end(ends);
                            return Ok(false);
                        }
                        continue;
                    }
                    let out = ends.outbox.bytes(ends.buffers);
                    if self.chunked {
                        encode_chunk_head(out, length);
                    }
                    if length > COPY_LIMIT {
                        self.in_place = length;
                        self.crlf = if self.chunked { CRLF.len() } else { 0 };
                        return Ok(false);
                    }
                    out.extend_from_slice(&ends.input.filled()[..length]);
                    ends.input.consume(length);
                    if self.chunked {
                        out.extend_from_slice(CRLF);
                    }
                    if self.decoder.is_done() {
                        self.end(ends);
                        return Ok(false);
                    }
                }
                Piece::More { consumed } => {
                    self.is_begun |= consumed > 0;
                    ends.input.consume(consumed);
                    return Ok(true);
                }
                Piece::End { consumed } => {
                    self.is_begun = true;
                    ends.input.consume(consumed);
                    self.end(ends);
                    return Ok(false);
                }
            }
        }
        Ok(false)
    }

    /// Puts what these bytes at the front of the input become into the outbox, as a chunk of its own where there are chunks.
    fn translate(&mut self, ends: &mut Ends<'_>, length: usize) -> Result<(), Trouble> {
        let Some(transform) = &mut self.transform else { return Ok(()) };
        let mut translated = Vec::new();
        transform.push(&ends.input.filled()[..length], &mut translated).map_err(Trouble::Untranslatable)?;
        ends.input.consume(length);
        self.put(ends, &translated);
        Ok(())
    }

    fn put(&mut self, ends: &mut Ends<'_>, bytes: &[u8]) {
        // A chunk of nothing would be the last one.
        if bytes.is_empty() {
            return;
        }
        let out = ends.outbox.bytes(ends.buffers);
        if self.chunked {
            encode_chunk_head(out, bytes.len());
        }
        out.extend_from_slice(bytes);
        if self.chunked {
            out.extend_from_slice(CRLF);
        }
    }

    fn end(&mut self, ends: &mut Ends<'_>) {
        identity::remove_claimed(&mut self.trailers);
        if let Some(transform) = &mut self.transform {
            let mut translated = Vec::new();
            if let Err(fault) = transform.finish(&mut self.trailers, &mut translated) {
                // Not ended: what has gone out must not look whole.
                self.trouble = Some(Trouble::Untranslatable(fault));
                return;
            }
            self.put(ends, &translated);
        }
        self.ended = true;
        if self.chunked {
            encode_last_chunk(ends.outbox.bytes(ends.buffers), &self.trailers);
        }
    }

    fn poll_flush(&mut self, context: &mut Context<'_>, ends: &mut Ends<'_>) -> Poll<io::Result<()>> {
        if let Some(mut message) = ends.sink.as_message() {
            return self.poll_flush_message(context, ends, &mut message);
        }
        loop {
            let head = ends.outbox.rest();
            if head.is_empty() && self.in_place == 0 && self.crlf == 0 {
                return ends.sink.poll_flush(context);
            }
            let mut written = if self.in_place == 0 && self.crlf == 0 {
                ready!(ends.sink.poll_write(context, head))?
            } else {
                let slices = [
                    IoSlice::new(head),
                    IoSlice::new(&ends.input.filled()[..self.in_place]),
                    IoSlice::new(&CRLF[CRLF.len() - self.crlf..]),
                ];
                ready!(ends.sink.poll_write_vectored(context, &slices))?
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += written as u64;
            let from_head = written.min(head.len());
            ends.outbox.advance(from_head);
            written -= from_head;
            let from_data = written.min(self.in_place);
            ends.input.consume(from_data);
            self.in_place -= from_data;
            self.crlf -= written - from_data;
            if self.in_place == 0 && self.crlf == 0 && self.decoder.is_done() && !self.ended {
                self.end(ends);
            }
        }
    }

    /// As [`Self::poll_flush`], into an HTTP/2 message: it has frames of its own, and its end is marked on the last of them.
    fn poll_flush_message(
        &mut self,
        context: &mut Context<'_>,
        ends: &mut Ends<'_>,
        message: &mut MessageStream,
    ) -> Poll<io::Result<()>> {
        loop {
            let collected = ends.outbox.rest();
            if !collected.is_empty() {
                let is_last = self.ended && self.in_place == 0 && self.trailers.is_empty();
                let count = ready!(message.poll_send(context, collected, is_last))?;
                ends.outbox.advance(count);
                self.written += count as u64;
            } else if self.in_place > 0 {
                let is_last = self.decoder.is_done() && self.trailers.is_empty();
                let count =
                    ready!(message.poll_send(context, &ends.input.filled()[..self.in_place], is_last))?;
                ends.input.consume(count);
                self.in_place -= count;
                self.written += count as u64;
                if self.in_place == 0 && self.decoder.is_done() && !self.ended {
                    self.end(ends);
                }
            } else {
                if self.ended {
                    message.end(head::write_trailers(&self.trailers))?;
                }
                return Poll::Ready(Ok(()));
            }
        }
    }

    fn poll_fill(&mut self, context: &mut Context<'_>, ends: &mut Ends<'_>) -> Poll<Result<(), Trouble>> {
        // What is translated is held twice for a moment.
        // A source that never fills a small buffer would only hold a large one.
        if self.is_fast && self.moved > LONG_BODY && self.transform.is_none() {
            ends.input.enlarge(ends.buffers);
        }
        let space = ends.input.space(ends.buffers);
        let count = ready!(ends.source.poll_read(context, space)).map_err(Trouble::Read)?;
        self.is_fast = count == space.len();
        if count > 0 {
            ends.input.fill(count);
        } else {
            self.decoder.finish().map_err(|_| Trouble::Truncated)?;
            self.is_begun = true;
            if let Some(trailers) = ends.source.take_trailers() {
                head::read_trailers(&trailers, &mut self.trailers).map_err(Trouble::Malformed)?;
            }
            self.end(ends);
        }
        Poll::Ready(Ok(()))
    }
}
