//! Finds the service of a connection, by its `ClientHello` where names decide.

use std::future::poll_fn;
use std::task::Poll;

use http::StatusCode;

use super::record::Relay;
use super::targets::Target;
use crate::accept::Client;
use crate::accept::client_hello::{
    self, ClientHello, DECODE_ERROR, HelloFault, UNRECOGNIZED_NAME, fatal_alert,
};
use crate::refusal::Stage;
use crate::worker::Worker;

/// How reading a `ClientHello` ended.
enum Read {
    Whole(ClientHello),
    Fault(HelloFault),
    TimedOut,
    Gone,
}

/// The service that this connection leads to; nothing, once the client has been told, where there is none.
pub(super) async fn find_target(worker: &Worker, client: &mut Client, relay: &mut Relay) -> Option<Target> {
    if !client.listener().tcp.as_ref()?.want_name() {
        return client.listener().tcp.as_ref()?.find(None).cloned();
    }
    client.deadline.set(relay.started + client.listener().header_timeout);
    let read = read_hello(worker, client).await;
    // A reload may have come meanwhile.
    client.update();
    let targets = client.listener().tcp.as_ref()?;
    let refused = match read {
        Read::Whole(hello) => {
            let target = targets.find(hello.server_name.as_deref()).cloned();
            relay.is_tls = true;
            relay.server_name = hello.server_name;
            if target.is_some() {
                return target;
            }
            ("sni_unknown", StatusCode::MISDIRECTED_REQUEST, Some(UNRECOGNIZED_NAME))
        }
        Read::Fault(HelloFault::NotTls) if targets.find(None).is_some() => {
            return targets.find(None).cloned();
        }
        Read::Fault(fault) => {
            let alert = if fault == HelloFault::NotTls { None } else { Some(DECODE_ERROR) };
            (fault.code(), StatusCode::BAD_REQUEST, alert)
        }
        Read::TimedOut => ("client_hello_timeout", StatusCode::REQUEST_TIMEOUT, None),
        Read::Gone => {
            relay.is_silent = client.input.is_empty();
            ("client_gone", StatusCode::BAD_REQUEST, None)
        }
    };
    let (code, status, alert) = refused;
    relay.refused(Stage::Accept, code, status);
    if let Some(alert) = alert {
        client.send_last(worker, &fatal_alert(alert)).await;
    }
    None
}

/// Reads until the message is there whole. Its bytes stay in the client's buffer, which has room for more than it may
/// take.
async fn read_hello(worker: &Worker, client: &mut Client) -> Read {
    poll_fn(|context| {
        loop {
            let space = client.input.space(&worker.buffers);
            match client.stream.poll_read(context, space) {
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Read::Gone),
                Poll::Ready(Ok(count)) => client.input.fill(count),
                Poll::Pending => {
                    client.input.release(&worker.buffers);
                    return client.deadline.poll_passed(context).map(|()| Read::TimedOut);
                }
            }
            match client_hello::parse(client.input.filled()) {
                Ok(Some(hello)) => return Poll::Ready(Read::Whole(hello)),
                Ok(None) => {}
                Err(fault) => return Poll::Ready(Read::Fault(fault)),
            }
        }
    })
    .await
}
