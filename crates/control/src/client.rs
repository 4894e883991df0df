//! Questions by HTTP/1.1: each over a connection of its own, or over one that is kept for the next.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use gateway::config::Protocols;
use gateway::config::values::HttpUrl;
use gateway::outside::Answer;
use gateway::tls::ClientTls;
use http::header::{HOST, USER_AGENT};
use http::{HeaderName, HeaderValue, Method, Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;

use crate::dial::{Dial, dial};
use crate::plain::plain;

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(3);
/// How long a connection is kept for the next question, and how many are to one place.
const IDLE_FOR: Duration = Duration::from_secs(30);
const MOST_IDLE: usize = 64;
/// Bytes of an answer.
const MOST_BODY: usize = 16 * 1024 * 1024;

/// What is asked.
pub(crate) struct Question<'q> {
    method: Method,
    url: &'q HttpUrl,
    path: &'q str,
    tls: Option<&'q Arc<ClientTls>>,
    /// Its fields, besides `Host` and `User-Agent`.
    pub(crate) fields: Vec<(HeaderName, HeaderValue)>,
    /// Its body.
    pub(crate) body: Bytes,
}

impl<'q> Question<'q> {
    /// A question without fields and body.
    pub(crate) fn new(
        method: Method,
        url: &'q HttpUrl,
        path: &'q str,
        tls: Option<&'q Arc<ClientTls>>,
    ) -> Self {
        Self { method, url, path, tls, fields: Vec::new(), body: Bytes::new() }
    }
}

/// The whole answer, if it comes within this time.
pub(crate) async fn ask(question: &Question<'_>, patience: Duration) -> Result<Answer, String> {
    let asked = tokio::time::timeout(patience, async { read(begin(question).await?, MOST_BODY).await });
    asked.await.unwrap_or_else(|_| Err(format!("no answer within {patience:?}")))
}

/// The head of the answer, its body unread. The caller bounds its time.
pub(crate) async fn begin(question: &Question<'_>) -> Result<Response<Incoming>, String> {
    send(&mut connect(question).await?, question).await.map_err(|error| error.to_string())
}

/// Connections that wait for the next question to whom they lead.
#[derive(Default)]
pub(crate) struct Pool(Mutex<HashMap<To, Vec<Idle>>>);

/// To whom a connection leads: host and port, and by which TLS.
type To = (String, Option<usize>);

struct Idle {
    sender: Sender,
    since: Instant,
}

type Sender = http1::SendRequest<Full<Bytes>>;

impl Pool {
    /// The whole answer of at most so many bytes, if it comes within this time.
    pub(crate) async fn ask(
        &self,
        question: &Question<'_>,
        most: usize,
        patience: Duration,
    ) -> Result<Answer, String> {
        let asked = tokio::time::timeout(patience, self.ask_at_leisure(question, most));
        asked.await.unwrap_or_else(|_| Err(format!("no answer within {patience:?}")))
    }

    async fn ask_at_leisure(&self, question: &Question<'_>, most: usize) -> Result<Answer, String> {
        let to = (question.url.authority().to_owned(), question.tls.map(|tls| Arc::as_ptr(tls).addr()));
        while let Some(mut sender) = self.take(&to) {
            match send(&mut sender, question).await {
                Ok(answer) => return self.finish(to, sender, answer, most).await,
                // It had been closed meanwhile: another one is asked.
                Err(error) if error.is_canceled() || error.is_incomplete_message() => {}
                Err(error) => return Err(error.to_string()),
            }
        }
        let mut sender = connect(question).await?;
        let answer = send(&mut sender, question).await.map_err(|error| error.to_string())?;
        self.finish(to, sender, answer, most).await
    }

    async fn finish(
        &self,
        to: To,
        sender: Sender,
        answer: Response<Incoming>,
        most: usize,
    ) -> Result<Answer, String> {
        let answer = read(answer, most).await?;
        let mut idle = self.idle();
        let waiting = idle.entry(to).or_default();
        if waiting.len() < MOST_IDLE {
            waiting.push(Idle { sender, since: Instant::now() });
        }
        Ok(answer)
    }

    /// The one that was used last, if it is still open.
    fn take(&self, to: &To) -> Option<Sender> {
        let mut idle = self.idle();
        // Also of those whom nobody asks any more.
        idle.retain(|_, waiting| {
            waiting.retain(|one| one.since.elapsed() < IDLE_FOR && !one.sender.is_closed());
            !waiting.is_empty()
        });
        idle.get_mut(to)?.pop().map(|one| one.sender)
    }

    fn idle(&self) -> MutexGuard<'_, HashMap<To, Vec<Idle>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The whole answer.
async fn read(answer: Response<Incoming>, most: usize) -> Result<Answer, String> {
    let (head, body) = answer.into_parts();
    let body = Limited::new(body, most).collect().await.map_err(|error| error.to_string())?;
    Ok(Answer { status: head.status, headers: head.headers, body: body.to_bytes() })
}

async fn connect(question: &Question<'_>) -> Result<Sender, String> {
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
    let (sender, connection) = handshake.map_err(|error| error.to_string())?;
    // It ends with the sender and the answer.
    tokio::spawn(connection);
    Ok(sender)
}

async fn send(sender: &mut Sender, question: &Question<'_>) -> hyper::Result<Response<Incoming>> {
    sender.ready().await?;
    let mut request = Request::new(Full::new(question.body.clone()));
    *request.method_mut() = question.method.clone();
    *request.uri_mut() = question.path.parse().unwrap_or_default();
    let headers = request.headers_mut();
    if let Ok(authority) = HeaderValue::from_str(question.url.authority()) {
        headers.insert(HOST, authority);
    }
    headers.insert(USER_AGENT, HeaderValue::from_static("tollgate"));
    for (name, value) in &question.fields {
        headers.append(name, value.clone());
    }
    sender.send_request(request).await
}

async fn dial_up(how: &Dial<'_>) -> Result<Box<dyn crate::dial::Io>, String> {
    // The certificate of who is there may be told.
    dial(how).await.map(|(socket, _)| socket).map_err(|why| plain(&why))
}

/// An answer's status, and what it says in its first words.
pub(crate) fn told(answer: &Answer) -> String {
    let words = plain(&String::from_utf8_lossy(&answer.body));
    if words.is_empty() { answer.status.to_string() } else { format!("{}: {words}", answer.status) }
}
