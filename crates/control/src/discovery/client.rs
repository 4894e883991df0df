//! A question by HTTP/1.1, over a connection of its own.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gateway::config::Protocols;
use gateway::config::values::HttpUrl;
use gateway::tls::ClientTls;
use http::header::{HOST, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;

use super::report::plain;
use crate::dial::{Dial, dial};

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(3);
/// Bytes of an answer.
const MOST_BODY: usize = 16 * 1024 * 1024;

/// What is asked.
pub(super) struct Question<'q> {
    method: Method,
    url: &'q HttpUrl,
    path: &'q str,
    tls: Option<&'q Arc<ClientTls>>,
    /// Its fields, besides `Host` and `User-Agent`.
    pub(super) fields: Vec<(HeaderName, HeaderValue)>,
    /// Its body.
    pub(super) body: Bytes,
}

/// What came back.
pub(super) struct Answer {
    /// Its status.
    pub(super) status: StatusCode,
    /// Its fields.
    pub(super) headers: HeaderMap,
    /// Its whole body.
    pub(super) body: Bytes,
}

impl<'q> Question<'q> {
    /// A question without fields and body.
    pub(super) fn new(
        method: Method,
        url: &'q HttpUrl,
        path: &'q str,
        tls: Option<&'q Arc<ClientTls>>,
    ) -> Self {
        Self { method, url, path, tls, fields: Vec::new(), body: Bytes::new() }
    }
}

/// The whole answer, if it comes within this time.
pub(super) async fn ask(question: &Question<'_>, patience: Duration) -> Result<Answer, String> {
    let asked = tokio::time::timeout(patience, async {
        let (head, body) = begin(question).await?.into_parts();
        let body = Limited::new(body, MOST_BODY).collect().await.map_err(|error| error.to_string())?;
        Ok(Answer { status: head.status, headers: head.headers, body: body.to_bytes() })
    });
    asked.await.unwrap_or_else(|_| Err(format!("no answer within {patience:?}")))
}

/// The head of the answer, its body unread. The caller bounds its time.
pub(super) async fn begin(question: &Question<'_>) -> Result<Response<Incoming>, String> {
    let Question { url, tls, .. } = question;
    let dial = Dial {
        host: url.host(),
        port: url.port(),
        proxy_protocol: None,
        tls: tls.filter(|_| url.is_tls()).map(|tls| (&**tls, url.host(), Protocols::HTTP1)),
    };
    let connecting = tokio::time::timeout(CONNECT, dial_up(&dial));
    let socket = connecting.await.unwrap_or_else(|_| Err("no connection came about in time".to_owned()))?;
    let handshake = http1::handshake(TokioIo::new(socket)).await;
    let (mut sender, connection) = handshake.map_err(|error| error.to_string())?;
    // It ends with the sender and the answer.
    tokio::spawn(connection);
    let mut request = Request::builder()
        .method(&question.method)
        .uri(question.path)
        .header(HOST, url.authority())
        .header(USER_AGENT, "tollgate-discovery");
    for (name, value) in &question.fields {
        request = request.header(name, value);
    }
    let request = request.body(Full::new(question.body.clone())).map_err(|error| error.to_string())?;
    sender.send_request(request).await.map_err(|error| error.to_string())
}

async fn dial_up(how: &Dial<'_>) -> Result<Box<dyn crate::dial::Io>, String> {
    // The certificate of who is there may be told.
    dial(how).await.map(|(socket, _)| socket).map_err(|why| plain(&why))
}

/// An answer's status, and what it says in its first words.
pub(super) fn told(answer: &Answer) -> String {
    let words = plain(&String::from_utf8_lossy(&answer.body));
    if words.is_empty() { answer.status.to_string() } else { format!("{}: {words}", answer.status) }
}
