//! Answers that somebody has to see whole before the client gets any of them. They stay in the service's buffer, which grows
//! with what has come and not with what was announced, and then go their usual way ([`super::relay`]).

use std::future::poll_fn;
use std::task::{Context, Poll, ready};

use h2::Reason;
use http::StatusCode;
use http1::{BodyDecoder, Fields, Framing, Piece};

use super::call::Called;
use super::relay::{Broken, Patience, poll_request};
use crate::accept::{Buffer, Client, Share};
use crate::clock;
use crate::exchange::{Exchange, Failed};
use crate::refusal::{Refusal, Stage, UpstreamCause};
use crate::worker::Worker;

/// Why an answer could not be held.
pub enum Unheld {
    /// It is longer than asked for.
    TooLong,
    /// Other answers take all the room there is.
    NoRoom,
    /// It did not come to its end.
    Broken(Failed),
}

/// A body that is being held.
struct Holding {
    most: usize,
    framing: Framing,
    decoder: BodyDecoder,
    /// What was in chunks.
    unwrapped: Vec<u8>,
    share: Share,
    /// Bytes that have come, framing among them.
    count: u64,
}

/// Why it stops.
enum Stopped {
    TooLong,
    NoRoom,
    Broken(Broken),
}

impl From<Broken> for Stopped {
    fn from(broken: Broken) -> Self {
        Self::Broken(broken)
    }
}

/// Waits for an answer's body of at most so many bytes, which is at the front of its connection's input then. Its length is
/// known afterwards, and its trailers are dropped.
pub async fn hold(
    worker: &Worker,
    client: &mut Client,
    exchange: &mut Exchange,
    called: &mut Called,
    most: u64,
) -> Result<Share, Unheld> {
    // A message of HTTP/2 has an end of its own.
    let framing = called.leg.connection.incoming(exchange.response.framing);
    if matches!(exchange.response.framing, Framing::Length(length) if length > most) {
        return Err(Unheld::TooLong);
    }
    let mut holding = Holding {
        most: usize::try_from(most).unwrap_or(usize::MAX),
        framing,
        decoder: BodyDecoder::new(framing),
        unwrapped: Vec::new(),
        share: Share::new(&worker.kept),
        count: 0,
    };
    let mut patience = Patience::new(called.due, called.timeouts.idle);
    let held = poll_fn(|context| {
        loop {
            let result = holding.poll(context, worker, called);
            if result.is_ready() {
                return result;
            }
            if let Poll::Ready(broken) = poll_request(context, worker, client, called, false) {
                return Poll::Ready(Err(broken.into()));
            }
            let progress = holding.count + called.leg.body.progress();
            ready!(patience.poll_last_try(context, client, called, progress))?;
        }
    })
    .await;
    let length = match held {
        Ok(length) => length as u64,
        Err(Stopped::TooLong) => return Err(Unheld::TooLong),
        Err(Stopped::NoRoom) => return Err(Unheld::NoRoom),
        Err(Stopped::Broken(broken)) => return Err(Unheld::Broken(failed(&broken, called))),
    };
    let connection = &mut called.leg.connection;
    connection.input.put_before(&holding.unwrapped);
    connection.stream.take_trailers();
    exchange.response.framing = if length == 0 { Framing::None } else { Framing::Length(length) };
    exchange.response.content_length = Some(length);
    Ok(holding.share)
}

impl Holding {
    /// Reads on; ready with the body's length when it is whole.
    fn poll(
        &mut self,
        context: &mut Context<'_>,
        worker: &Worker,
        called: &mut Called,
    ) -> Poll<Result<usize, Stopped>> {
        let connection = &mut called.leg.connection;
        loop {
            let length = match self.framing {
                Framing::Chunked => {
                    while let Some(is_end) = self.unwrap(&mut connection.input)? {
                        if is_end {
                            return Poll::Ready(Ok(self.unwrapped.len()));
                        }
                    }
                    self.unwrapped.len()
                }
                _ => connection.input.filled().len(),
            };
            match self.framing {
                Framing::None => return Poll::Ready(Ok(0)),
                Framing::Length(whole) if length as u64 >= whole => return Poll::Ready(Ok(whole as usize)),
                Framing::UntilClose if length > self.most => return Poll::Ready(Err(Stopped::TooLong)),
                _ => {}
            }
            self.make_room(&mut connection.input, worker)?;
            let space = connection.input.space(&worker.buffers);
            match ready!(connection.stream.poll_read(context, space)) {
                Ok(0) if self.framing == Framing::UntilClose => return Poll::Ready(Ok(length)),
                Ok(0) | Err(_) => return Poll::Ready(Err(truncated())),
                Ok(count) => {
                    connection.input.fill(count);
                    self.count += count as u64;
                }
            }
        }
    }

    /// Takes the next piece out of its chunk: nothing when more has to come, true when that was all.
    fn unwrap(&mut self, input: &mut Buffer) -> Result<Option<bool>, Stopped> {
        let piece = self.decoder.decode(input.filled(), &mut Fields::new()).map_err(|_| truncated())?;
        match piece {
            Piece::Data { skip, length } => {
                if self.unwrapped.len() + length > self.most {
                    return Err(Stopped::TooLong);
                }
                if !self.share.cover(self.unwrapped.len() + length) {
                    return Err(Stopped::NoRoom);
                }
                self.unwrapped.extend_from_slice(&input.filled()[skip..skip + length]);
                input.consume(skip + length);
                Ok(Some(false))
            }
            Piece::End { consumed } => {
                input.consume(consumed);
                Ok(Some(true))
            }
            Piece::More { consumed } => {
                input.consume(consumed);
                Ok(None)
            }
        }
    }

    /// Sees to it that there is space for at least a byte.
    fn make_room(&mut self, input: &mut Buffer, worker: &Worker) -> Result<(), Stopped> {
        if !input.space(&worker.buffers).is_empty() {
            return Ok(());
        }
        // One byte beyond what may come shows that it is too long.
        let length = input.filled().len();
        let size = length.saturating_mul(2).min(self.most.saturating_add(1).max(length + 1));
        if !self.share.cover(self.unwrapped.len() + size) {
            return Err(Stopped::NoRoom);
        }
        input.grow(size);
        Ok(())
    }
}

fn truncated() -> Stopped {
    Stopped::Broken(Broken::Service(Reason::INTERNAL_ERROR))
}

/// What the client gets in place of an answer that did not come to its end, of which it has seen nothing.
fn failed(broken: &Broken, called: &Called) -> Failed {
    let (status, code, cause) = match broken {
        Broken::Gone => return Failed::Gone,
        Broken::TimedOut if clock::now() >= called.due => {
            (StatusCode::GATEWAY_TIMEOUT, "total_timeout", "its answer did not end in time")
        }
        Broken::TimedOut => (StatusCode::GATEWAY_TIMEOUT, "upstream_idle_timeout", "its answer paused"),
        _ => (StatusCode::BAD_GATEWAY, "upstream_truncated", "its answer broke off"),
    };
    let detail = format!("service {} did not bring its answer to an end", called.service());
    let mut refusal = Refusal::new(status, code, Stage::Call, detail);
    refusal.upstream = Some(Box::new(UpstreamCause {
        service: called.service().to_owned(),
        endpoint: called.leg.picked.endpoint.spec.url.to_string(),
        cause: cause.to_owned(),
    }));
    refusal.into()
}
