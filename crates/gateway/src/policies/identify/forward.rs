//! `forward`: somebody else decides, who is asked about every request.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Method, StatusCode};
use http1::RequestHead;

use super::{Authenticator, Finding, Means};
use crate::answer::StaticAnswer;
use crate::config;
use crate::exchange::Exchange;
use crate::identity::{Found, Identity, Own};
use crate::outside::{Answer, Outside, Peer, Question};

/// Bytes of an answer that is passed on to the client.
const LONGEST_BODY: usize = 64 * 1024;
/// What of a refusal reaches the client.
const PASSED_BACK: [HeaderName; 6] = [
    http::header::WWW_AUTHENTICATE,
    http::header::LOCATION,
    http::header::SET_COOKIE,
    http::header::CONTENT_TYPE,
    http::header::CACHE_CONTROL,
    http::header::RETRY_AFTER,
];

/// The compiled way.
#[derive(Debug)]
pub struct Forward {
    name: Box<str>,
    peer: Arc<Peer>,
    outside: Arc<Outside>,
    pass: Vec<HeaderName>,
    keep: Vec<HeaderName>,
    user: Option<HeaderName>,
    patience: Duration,
}

impl Forward {
    /// Compiles the configuration.
    pub fn build(name: &str, config: &config::Forward, means: &Means<'_>) -> Self {
        Self {
            name: name.into(),
            peer: Arc::new(Peer { url: config.url.value.clone(), tls: means.tls.get(name).cloned() }),
            outside: Arc::clone(means.outside),
            pass: config.pass.clone(),
            keep: config.keep.clone(),
            user: config.user.clone(),
            patience: *config.timeout,
        }
    }

    /// The question about a request: its head, without its body.
    fn question(&self, exchange: &Exchange) -> Question {
        let request = &exchange.request;
        let mut question = Question::new(&self.peer, Method::GET, self.patience);
        let mut add = |name: HeaderName, value: &[u8]| {
            question.fields.extend(HeaderValue::from_bytes(value).ok().map(|value| (name, value)));
        };
        for name in &self.pass {
            for value in request.fields.get_all_named(name.as_str().as_bytes()) {
                add(name.clone(), value);
            }
        }
        let mut target = request.path.clone();
        if let Some(query) = request.query() {
            target.push('?');
            target.push_str(query);
        }
        let ip = exchange.caller.ip.to_string();
        let scheme: &[u8] = if exchange.is_tls() { b"https" } else { b"http" };
        let told: [(&'static str, &[u8]); 6] = [
            ("x-forwarded-method", request.method.as_str().as_bytes()),
            ("x-forwarded-proto", scheme),
            ("x-forwarded-host", request.authority.as_bytes()),
            ("x-forwarded-uri", target.as_bytes()),
            ("x-forwarded-for", ip.as_bytes()),
            ("x-request-id", exchange.id.as_bytes()),
        ];
        for (name, value) in told {
            add(HeaderName::from_static(name), value);
        }
        question
    }

    fn judge(&self, answer: Result<Answer, String>) -> Finding<'_> {
        let Ok(answer) = answer else { return Finding::Unavailable(UNAVAILABLE) };
        if answer.status.is_success() {
            return Finding::Caller(Found::Own(Rc::new(self.owner(&answer))));
        }
        if answer.status.is_server_error() || answer.status.is_informational() {
            return Finding::Unavailable(UNAVAILABLE);
        }
        Finding::Respond(Arc::new(passed_back(&answer)))
    }

    fn owner(&self, answer: &Answer) -> Own {
        let mut identity = Identity::with_scopes(Vec::new());
        let user = self.user.as_ref().and_then(|name| answer.headers.get(name)?.to_str().ok());
        identity.user = user.unwrap_or_default().into();
        let mut own = Own::new(identity, &self.name);
        for name in &self.keep {
            let values = answer.headers.get_all(name);
            own.fields.extend(values.iter().map(|value| (name.clone(), value.clone())));
        }
        own
    }
}

/// What the client gets of a refusal.
fn passed_back(answer: &Answer) -> StaticAnswer {
    let status = match answer.status {
        // Nothing of it is the client's to have where it is no answer to a request of its own.
        StatusCode::NOT_MODIFIED => StatusCode::FORBIDDEN,
        status => status,
    };
    let mut back = StaticAnswer::empty(status);
    for name in &PASSED_BACK {
        for value in answer.headers.get_all(name) {
            back.fields.push((name.as_str().into(), value.as_bytes().into()));
        }
    }
    if answer.body.len() <= LONGEST_BODY {
        back.body = answer.body.to_vec().into();
    }
    back
}

impl Authenticator for Forward {
    fn identify<'w>(&'w self, exchange: &Exchange, _body: Option<&[u8]>) -> Finding<'w> {
        let question = self.question(exchange);
        Finding::Wait(Box::pin(async move { self.judge(self.outside.ask(question).await) }))
    }

    /// Not what proves it, which others may have given out, but what only the answer may say.
    fn strip(&self, request: &mut RequestHead) {
        self.keep.iter().for_each(|name| request.fields.remove_named(name.as_str().as_bytes()));
    }

    fn challenge(&self, _realm: &str, _is_wrong: bool) -> Vec<String> {
        Vec::new()
    }

    fn explain(&self) -> String {
        format!("what {} allows", self.peer.url)
    }
}

const UNAVAILABLE: &str = "authority_unavailable";

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;

    #[test]
    fn a_refusal_reaches_the_client_without_what_is_not_its_business() {
        let mut headers = HeaderMap::new();
        for (name, value) in [("location", "/login"), ("set-cookie", "a=1"), ("x-internal", "secret")] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        let answer = Answer { status: StatusCode::FOUND, headers, body: "go".into() };
        let back = passed_back(&answer);
        assert_eq!((back.status, &*back.body), (StatusCode::FOUND, &b"go"[..]));
        let names: Vec<&str> = back.fields.iter().map(|(name, _)| &**name).collect();
        assert_eq!(names, ["location", "set-cookie"]);
    }
}
