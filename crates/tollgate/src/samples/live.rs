//! Answers that do not end by themselves: server-sent events and a WebSocket that echoes.

use std::convert::Infallible;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt, stream};
use http::header::{self, HeaderMap, HeaderValue};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use super::Body;

/// How often an event comes.
const EVENT_EVERY: Duration = Duration::from_millis(200);

/// The largest WebSocket message that is echoed, in bytes; a larger one ends the connection.
const MAX_MESSAGE: usize = 1024 * 1024;

/// An event at once and one more every [`EVENT_EVERY`], until the client leaves.
pub(super) fn events(served_by: &str) -> Response<Body> {
    let mut ticks = interval(EVENT_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let served_by = served_by.to_owned();
    let events = stream::unfold((ticks, 1_u64), move |(mut ticks, number)| {
        let data = json!({ "number": number, "served_by": served_by });
        async move {
            ticks.tick().await;
            let event = format!("id: {number}\nevent: tick\ndata: {data}\n\n");
            Some((Ok::<_, Infallible>(Frame::data(Bytes::from(event))), (ticks, number + 1)))
        }
    });
    let mut response = Response::new(StreamBody::new(events).boxed_unsync());
    let fields = response.headers_mut();
    fields.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Takes up a WebSocket (RFC 6455, section 4.2) and sends every message back; none if the request is not its
/// handshake. It lasts until the client leaves or the endpoint has `ended`.
pub(super) fn echo(
    request: &mut Request<Incoming>,
    mut ended: watch::Receiver<()>,
) -> Option<Response<Body>> {
    let accept = accept_key(request.headers())?;
    let upgraded = hyper::upgrade::on(request);
    tokio::spawn(async move {
        // Without the upgrade the client has left.
        if let Ok(upgraded) = upgraded.await {
            let config = WebSocketConfig::default()
                .max_message_size(Some(MAX_MESSAGE))
                .max_frame_size(Some(MAX_MESSAGE));
            let io = TokioIo::new(upgraded);
            let socket = WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await;
            tokio::select! {
                () = echo_messages(socket) => {}
                // Nothing is ever sent: it changes when the endpoint ends.
                _ = ended.changed() => {}
            }
        }
    });
    let mut response = Response::new(Body::default());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let fields = response.headers_mut();
    fields.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    fields.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    fields.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    Some(response)
}

/// What to answer the handshake in these fields with.
fn accept_key(fields: &HeaderMap) -> Option<HeaderValue> {
    let has = |name, token: &str| {
        fields
            .get_all(name)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .any(|value| value.split(',').any(|item| item.trim().eq_ignore_ascii_case(token)))
    };
    let is_handshake = has(header::CONNECTION, "upgrade")
        && has(header::UPGRADE, "websocket")
        && has(header::SEC_WEBSOCKET_VERSION, "13");
    let key = fields.get(header::SEC_WEBSOCKET_KEY).filter(|_| is_handshake)?;
    HeaderValue::from_str(&derive_accept_key(key.as_bytes())).ok()
}

async fn echo_messages(mut socket: WebSocketStream<TokioIo<hyper::upgrade::Upgraded>>) {
    // Pings and closes are answered by the socket itself while it is read.
    while let Some(Ok(message)) = socket.next().await {
        if matches!(message, Message::Text(_) | Message::Binary(_)) && socket.send(message).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_handshake_is_complete_or_none() {
        const COMPLETE: &[(&str, &str)] = &[
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "WebSocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        let fields = |pairs: &[(&'static str, &'static str)]| -> HeaderMap {
            pairs
                .iter()
                .map(|&(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)))
                .collect()
        };
        // The example of RFC 6455, section 1.3.
        assert_eq!(accept_key(&fields(COMPLETE)).unwrap(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        for missing in 0..COMPLETE.len() {
            let mut pairs = COMPLETE.to_vec();
            let (name, _) = pairs.remove(missing);
            assert_eq!(accept_key(&fields(&pairs)), None, "without {name}");
        }
    }
}
