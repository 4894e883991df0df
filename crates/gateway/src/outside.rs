//! Questions by HTTP to others than services: to those who know callers. Workers ask, and the control plane does the talking.

use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use tokio::sync::{mpsc, oneshot};

use crate::config::values::HttpUrl;
use crate::tls::ClientTls;

/// Questions that wait to be taken up.
const MOST_WAITING: usize = 1024;

/// Who is asked.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Where.
    pub url: HttpUrl,
    /// TLS to them, if they speak it.
    pub tls: Option<Arc<ClientTls>>,
}

impl Peer {
    /// A URL that this one names: it must be as safe from those on the way.
    pub fn trusted(&self, text: &str) -> Result<HttpUrl, String> {
        let url = HttpUrl::parse(text)?;
        let is_as_safe = url.is_tls() || !self.url.is_tls();
        if url.is_tls() && self.tls.is_none() {
            return Err(format!(
                "it names {url}, and TLS is known only where the issuer's own URL is https://"
            ));
        }
        if is_as_safe { Ok(url) } else { Err(format!("it names {url}, which is not encrypted")) }
    }
}

impl PartialEq for Peer {
    fn eq(&self, other: &Self) -> bool {
        let is_same_tls = match (&self.tls, &other.tls) {
            (Some(one), Some(other)) => one.is_like(other),
            (None, None) => true,
            _ => false,
        };
        is_same_tls && self.url == other.url
    }
}

/// What is asked.
pub struct Question {
    /// Of whom: of their URL the path counts only where this has none.
    pub peer: Arc<Peer>,
    /// The method.
    pub method: Method,
    /// The path and query, where it is not the URL's.
    pub path: Option<Box<str>>,
    /// The fields, besides `Host` and `User-Agent`.
    pub fields: Vec<(HeaderName, HeaderValue)>,
    /// The body.
    pub body: Bytes,
    /// How long the answer is waited for.
    pub patience: Duration,
}

impl Question {
    /// One without fields and body, at the peer's own URL.
    pub fn new(peer: &Arc<Peer>, method: Method, patience: Duration) -> Self {
        Self { peer: Arc::clone(peer), method, path: None, fields: Vec::new(), body: Bytes::new(), patience }
    }
}

impl fmt::Debug for Question {
    /// Without fields and body, which may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.peer.url)
    }
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its fields.
    pub headers: HeaderMap,
    /// Its whole body.
    pub body: Bytes,
}

/// A question, and where its answer goes.
#[derive(Debug)]
pub struct Inquiry {
    /// What is asked.
    pub question: Question,
    /// Where the answer goes, or why there is none.
    pub reply: oneshot::Sender<Result<Answer, String>>,
}

/// The way out for questions, the same for all snapshots of a process.
#[derive(Debug)]
pub struct Outside {
    questions: mpsc::Sender<Inquiry>,
    inbox: Mutex<Option<mpsc::Receiver<Inquiry>>>,
}

impl Default for Outside {
    fn default() -> Self {
        let (questions, inbox) = mpsc::channel(MOST_WAITING);
        Self { questions, inbox: Mutex::new(Some(inbox)) }
    }
}

impl Outside {
    /// Asks, and waits for the whole answer. Fails when there is none in time, or too many questions wait.
    pub async fn ask(&self, question: Question) -> Result<Answer, String> {
        let (reply, answer) = oneshot::channel();
        self.questions
            .try_send(Inquiry { question, reply })
            .map_err(|_| "too many questions wait to be asked".to_owned())?;
        answer.await.unwrap_or_else(|_| Err("nobody asks any more".to_owned()))
    }

    /// The questions, for whoever asks them; once.
    pub fn take_inbox(&self) -> Option<mpsc::Receiver<Inquiry>> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Appends a text as a form or a query has it (RFC 6749, appendix B): letters, digits and `-._~` as they are, the rest in `%` and two
/// digits.
pub fn form_encode(text: &str, out: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

/// The field with which a client proves itself (RFC 6749, section 2.3.1): both parts are encoded as in a form.
pub fn client_credentials(client_id: &str, secret: &str) -> HeaderValue {
    let mut pair = String::new();
    form_encode(client_id, &mut pair);
    pair.push(':');
    form_encode(secret, &mut pair);
    // Of base64 nothing is refused.
    let mut field = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(pair)))
        .unwrap_or_else(|_| HeaderValue::from_static("Basic"));
    field.set_sensitive(true);
    field
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_and_credentials_are_encoded() {
        for (text, encoded) in [("a-Z_0.~", "a-Z_0.~"), ("a b+c/\u{e4}&=%", "a%20b%2Bc%2F%C3%A4%26%3D%25")] {
            let mut out = "x=".to_owned();
            form_encode(text, &mut out);
            assert_eq!(out, format!("x={encoded}"));
        }
        let field = client_credentials("web", "a:b");
        assert_eq!(field, "Basic d2ViOmElM0Fi");
        assert!(field.is_sensitive());
    }
}
