//! The HTTP/1.1 end towards clients: stage `parse`, request after request on one connection.
//!
//! A connection holds no buffers while it idles, and the state of an exchange lives only as long as the exchange.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, ready};
use std::time::Duration;

use http::StatusCode;
use http1::{RequestFault, parse_request};

use super::client::Client;
use super::h2;
use crate::clock;
use crate::exchange::{self, After, Exchange};
use crate::refusal::{Refusal, Stage};
use crate::worker::{OpenConnection, Worker};

/// What an HTTP/2 connection begins with, as far as no request of HTTP/1.1 does.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n";
/// How long a client may take to read a last answer while it is still sending.
const LINGER: Duration = Duration::from_secs(2);
/// When the gateway goes down, how long an idle connection may still bring a request that is already on its way.
const LAST_CALL: Duration = Duration::from_millis(500);
/// Bytes of an unwanted request that are thrown away meanwhile.
const LINGER_BYTES: usize = 8 * 1024 * 1024;

/// How reading a head ended.
enum Head {
    Complete,
    Refused(RequestFault),
    TimedOut,
    Gone,
}

/// Serves a connection until it ends, or hands it over to HTTP/2 when it begins with that protocol's preface.
pub(super) async fn serve(worker: Rc<Worker>, open: OpenConnection, mut client: Box<Client>) {
    let mut is_first = true;
    while client.wait_for_request(&worker, &open, is_first).await {
        if is_first && client.listener().protocols.http2 && client.begins_http2(&worker).await {
            return Box::pin(h2::serve(worker, open, *client)).await;
        }
        is_first = false;
        // On the heap, so that an idle connection does not carry the state of a busy one.
        let after = Box::pin(serve_one(&worker, &mut client)).await;
        match after {
            After::KeepAlive => {}
            // Closing over unread bytes would reset the connection and might destroy the answer.
            After::Close if client.input.is_empty() => {
                client.close().await;
                break;
            }
            After::Close | After::Linger => {
                Box::pin(client.linger(&worker)).await;
                break;
            }
            After::Abort => break,
        }
    }
    client.input.consume(client.input.filled().len());
    client.outbox.clear();
    client.release(&worker.buffers);
}

async fn serve_one(worker: &Worker, client: &mut Client) -> After {
    client.update();
    let mut exchange = worker.begin_exchange(client.peer());
    let head = match client.read_head(worker, &mut exchange).await {
        Head::Complete => Ok(()),
        Head::Refused(fault) => Err(Box::new(parse_refusal(fault))),
        Head::TimedOut => Err(Box::new(head_timeout())),
        Head::Gone => {
            worker.end_exchange(exchange);
            return After::Abort;
        }
    };
    let is_refused = head.is_err();
    if is_refused {
        http1::salvage_request(client.input.filled(), &mut exchange.request);
    } else {
        // A new handshake will tell whether its client may still come.
        exchange.request.persistent &= !client.origin().is_outdated(client.listener());
    }
    let after = exchange::run(worker, client, &mut exchange, head).await;
    worker.end_exchange(exchange);
    // A connection whose head could not be read ends with it.
    if is_refused && after != After::Abort { After::Linger } else { after }
}

impl Client {
    /// Waits, without buffers, until the client has sent something; false when the connection is to be closed.
    async fn wait_for_request(&mut self, worker: &Worker, open: &OpenConnection, is_first: bool) -> bool {
        if !self.input.is_empty() {
            return true;
        }
        self.release(&worker.buffers);
        let patience = if is_first { self.listener().header_timeout } else { self.listener().idle_timeout };
        self.deadline.set(clock::now() + patience);
        let mut is_registered = false;
        let mut is_last_call = false;
        poll_fn(|context| {
            if !is_registered {
                open.wake_on_drain(context.waker());
                is_registered = true;
            }
            // The buffer is taken only when there is something to put into it.
            if self.stream.poll_readable(context).is_ready() {
                match self.stream.poll_read(context, self.input.space(&worker.buffers)) {
                    Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(false),
                    Poll::Ready(Ok(count)) => {
                        self.input.fill(count);
                        return Poll::Ready(true);
                    }
                    Poll::Pending => self.input.release(&worker.buffers),
                }
            }
            if worker.is_draining() && !is_last_call {
                is_last_call = true;
                self.deadline.set(clock::now() + LAST_CALL.min(patience));
            }
            self.deadline.poll_passed(context).map(|()| false)
        })
        .await
    }

    async fn read_head(&mut self, worker: &Worker, exchange: &mut Exchange) -> Head {
        let limits = self.listener().head;
        self.deadline.set(exchange.started + self.listener().header_timeout);
        let mut scanned = 0;
        poll_fn(|context| {
            loop {
                if !self.input.is_empty() {
                    match parse_request(self.input.filled(), &mut scanned, &limits, &mut exchange.request) {
                        Ok(Some(length)) => {
                            self.input.consume(length);
                            return Poll::Ready(Head::Complete);
                        }
                        Ok(None) if self.input.space(&worker.buffers).is_empty() => {
                            self.input.grow(limits.head + 1);
                        }
                        Ok(None) => {}
                        Err(fault) => return Poll::Ready(Head::Refused(fault)),
                    }
                }
                match self.stream.poll_read(context, self.input.space(&worker.buffers)) {
                    Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Head::Gone),
                    Poll::Ready(Ok(count)) => self.input.fill(count),
                    Poll::Pending => return self.deadline.poll_passed(context).map(|()| Head::TimedOut),
                }
            }
        })
        .await
    }

    /// Whether the connection begins with the preface of HTTP/2 (RFC 9113, section 3.4).
    async fn begins_http2(&mut self, worker: &Worker) -> bool {
        self.deadline.set(clock::now() + self.listener().header_timeout);
        poll_fn(|context| {
            loop {
                let begun = self.input.filled();
                let length = begun.len().min(PREFACE.len());
                if begun[..length] != PREFACE[..length] {
                    return Poll::Ready(false);
                }
                if length == PREFACE.len() {
                    return Poll::Ready(true);
                }
                match self.stream.poll_read(context, self.input.space(&worker.buffers)) {
                    Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(false),
                    Poll::Ready(Ok(count)) => self.input.fill(count),
                    // What is there is then refused as a request that did not come whole.
                    Poll::Pending => return self.deadline.poll_passed(context).map(|()| false),
                }
            }
        })
        .await
    }

    /// Ends the connection; one that is encrypted says so (RFC 8446, section 6.1).
    async fn close(&mut self) {
        if self.is_tls() {
            self.deadline.set(clock::now() + LINGER);
            self.deadline.bound(poll_fn(|context| self.stream.poll_shutdown(context))).await;
        }
    }

    /// Ends the connection so that a client that is still sending can read the last answer: closing at once would
    /// reset the connection and might destroy it (RFC 9112, section 9.6).
    async fn linger(&mut self, worker: &Worker) {
        self.deadline.set(clock::now() + LINGER);
        let mut left = LINGER_BYTES;
        let mut is_shut = false;
        poll_fn(|context| {
            if !is_shut {
                if ready!(self.stream.poll_shutdown(context)).is_err() {
                    return Poll::Ready(());
                }
                is_shut = true;
            }
            loop {
                self.input.consume(self.input.filled().len());
                match self.stream.poll_read(context, self.input.space(&worker.buffers)) {
                    Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(()),
                    Poll::Ready(Ok(count)) if count < left => left -= count,
                    Poll::Ready(Ok(_)) => return Poll::Ready(()),
                    Poll::Pending => return self.deadline.poll_passed(context),
                }
            }
        })
        .await;
    }
}

fn parse_refusal(fault: RequestFault) -> Refusal {
    Refusal::new(fault.status(), fault.code(), Stage::Parse, fault.to_string())
}

fn head_timeout() -> Refusal {
    Refusal::new(
        StatusCode::REQUEST_TIMEOUT,
        "header_timeout",
        Stage::Parse,
        "the request's head did not come in time",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size_of_future<F>(_: impl FnOnce(&'static Worker, &'static mut Client) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn the_state_of_an_exchange_fits_what_the_allocator_gives_at_once() {
        // It is allocated for each request, and beyond this the allocator takes its long way.
        assert!(size_of_future(serve_one) <= 1024, "{} bytes", size_of_future(serve_one));
    }
}
