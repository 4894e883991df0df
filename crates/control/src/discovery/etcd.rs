//! Endpoints in etcd, by its HTTP/JSON gateway: all keys under a prefix are read at one revision, and what changes after it is
//! watched. When that is lost, or the history that is needed has been compacted, it begins anew.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use gateway::config::values::{HttpUrl, Secret};
use gateway::tls::ClientTls;
use gateway::upstream::balance::MAX_ENDPOINTS;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Method, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde::Deserialize;
use serde_json::json;

use super::Pauses;
use super::list;
use super::report::{Found, Report};
use crate::client::{self, Question};
use crate::plain::plain;
use gateway::outside::Answer;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// After this long without a word all keys are read again: a watch may have been lost on the way without anybody noticing.
const QUIET: Duration = Duration::from_mins(1);
/// A watch that lasts this long, or tells of a change, works: one that is begun may end at once, again and again.
const LASTS: Duration = Duration::from_secs(5);
/// Bytes of one message of a watch.
const MOST_MESSAGE: usize = 16 * 1024 * 1024;
/// Has the cluster end a watch at a member that has lost its leader.
const HAS_LEADER: HeaderName = HeaderName::from_static("grpc-metadata-hasleader");

/// A search under one prefix.
pub(super) struct Etcd<'e> {
    urls: &'e [HttpUrl],
    /// Which of them is asked.
    place: usize,
    prefix: &'e str,
    login: Option<&'e (String, Secret)>,
    tls: Option<&'e Arc<ClientTls>>,
    /// What the last login gave.
    token: Option<HeaderValue>,
}

/// What the keys hold, at one revision.
struct Keys {
    endpoints: BTreeMap<Vec<u8>, Found>,
    revision: u64,
}

/// An answer to `/v3/kv/range`.
#[derive(Deserialize)]
struct Range {
    header: Header,
    #[serde(default)]
    kvs: Vec<KeyValue>,
    #[serde(default)]
    more: bool,
}

#[derive(Deserialize)]
struct Header {
    revision: String,
}

#[derive(Deserialize)]
struct KeyValue {
    key: String,
    #[serde(default)]
    value: String,
}

/// A message of `/v3/watch`.
#[derive(Deserialize)]
struct Message {
    result: Option<Watched>,
    error: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Watched {
    #[serde(default)]
    events: Vec<Event>,
    #[serde(default)]
    canceled: bool,
    #[serde(default)]
    cancel_reason: String,
    compact_revision: Option<String>,
}

#[derive(Deserialize)]
struct Event {
    /// `DELETE`, or nothing.
    #[serde(default, rename = "type")]
    kind: String,
    kv: KeyValue,
}

/// Why a watch is over.
#[derive(Debug)]
enum End {
    /// Nothing was heard for long: all keys are to be read again.
    Quiet,
    /// The history that it needs is gone: all keys are to be read again, which is no fault of anybody's.
    Compacted,
    /// Something failed.
    Failed(String),
}

impl<'e> Etcd<'e> {
    pub(super) fn new(
        urls: &'e [HttpUrl],
        prefix: &'e str,
        login: Option<&'e (String, Secret)>,
        tls: Option<&'e Arc<ClientTls>>,
    ) -> Self {
        Self { urls, place: 0, prefix, login, tls, token: None }
    }

    /// Reads and watches as long as it is wanted.
    pub(super) async fn search(mut self, report: &mut Report) {
        let mut pauses = Pauses::new();
        // Members that failed one after another: only when all have, there is nobody to ask.
        let mut failures = 0;
        loop {
            let (end, has_worked) = self.read_and_watch(report).await;
            if has_worked {
                pauses.reset();
                failures = 0;
            }
            match end {
                End::Quiet => {}
                End::Compacted => pauses.rest().await,
                End::Failed(why) => {
                    failures += 1;
                    let why = format!("{}: {why}", self.urls[self.place]);
                    self.token = None;
                    self.place = (self.place + 1) % self.urls.len();
                    if failures >= self.urls.len() {
                        failures = 0;
                        report.failed(&why);
                        pauses.rest().await;
                    } else {
                        Pauses::breathe().await;
                    }
                }
            }
        }
    }

    /// Until the watch is over; whether it has worked.
    async fn read_and_watch(&mut self, report: &mut Report) -> (End, bool) {
        let mut keys = match self.read().await {
            Ok(keys) => keys,
            Err(why) => return (End::Failed(why), false),
        };
        // The watch begins where the reading ended, so that nothing is missed in between.
        let mut stream = match self.watch(keys.revision + 1).await {
            Ok(stream) => stream,
            Err(why) => return (End::Failed(why), false),
        };
        let begun = Instant::now();
        keys.tell(report);
        let mut has_told = false;
        let mut text = Vec::new();
        loop {
            match next(&mut stream, &mut text, &mut keys).await {
                Ok(true) => {
                    has_told = true;
                    keys.tell(report);
                }
                Ok(false) => {}
                Err(end) => return (end, has_told || begun.elapsed() >= LASTS),
            }
        }
    }

    async fn read(&mut self) -> Result<Keys, String> {
        if let (None, Some((name, password))) = (&self.token, self.login) {
            let answer = self
                .post("/v3/auth/authenticate", &json!({ "name": name, "password": password.expose() }))
                .await?;
            let answer: serde_json::Value = parse(&answer.body)?;
            let token = answer["token"].as_str().and_then(|token| HeaderValue::from_str(token).ok());
            let mut token = token.ok_or("its answer to the login has no token")?;
            token.set_sensitive(true);
            self.token = Some(token);
        }
        let range = json!({
            "key": STANDARD.encode(self.prefix),
            "range_end": STANDARD.encode(end_of(self.prefix.as_bytes())),
            "limit": (MAX_ENDPOINTS + 1).to_string(),
        });
        let range: Range = parse(&self.post("/v3/kv/range", &range).await?.body)?;
        if range.more {
            return Err(format!("there are more than {MAX_ENDPOINTS} keys under its prefix"));
        }
        let revision = range.header.revision.parse().map_err(|_| "its answer has no revision")?;
        let mut keys = Keys { endpoints: BTreeMap::new(), revision };
        range.kvs.iter().try_for_each(|pair| keys.put(pair))?;
        Ok(keys)
    }

    /// Everything from this revision on, as a stream of messages.
    async fn watch(&self, revision: u64) -> Result<Incoming, String> {
        let body = json!({ "create_request": {
            "key": STANDARD.encode(self.prefix),
            "range_end": STANDARD.encode(end_of(self.prefix.as_bytes())),
            "start_revision": revision.to_string(),
        }});
        let question = self.question("/v3/watch", &body);
        let begun = tokio::time::timeout(PATIENCE, client::begin(&question)).await;
        let answer = begun.unwrap_or_else(|_| Err(format!("no watch within {PATIENCE:?}")))?;
        if answer.status() != StatusCode::OK {
            return Err(format!("its answer to a watch is {}", answer.status()));
        }
        Ok(answer.into_body())
    }

    async fn post(&self, path: &str, body: &serde_json::Value) -> Result<Answer, String> {
        let answer = client::ask(&self.question(path, body), PATIENCE).await?;
        if answer.status == StatusCode::OK {
            Ok(answer)
        } else {
            Err(format!("it answered {}", client::told(&answer)))
        }
    }

    fn question<'q>(&'q self, path: &'q str, body: &serde_json::Value) -> Question<'q> {
        let mut question = Question::new(Method::POST, &self.urls[self.place], path, self.tls);
        question.body = Bytes::from(body.to_string());
        question.fields.push((CONTENT_TYPE, HeaderValue::from_static("application/json")));
        question.fields.push((HAS_LEADER, HeaderValue::from_static("true")));
        question.fields.extend(self.token.clone().map(|token| (AUTHORIZATION, token)));
        question
    }
}

/// The next piece of a watch. Whether it changed anything.
async fn next(stream: &mut Incoming, text: &mut Vec<u8>, keys: &mut Keys) -> Result<bool, End> {
    let frame = match tokio::time::timeout(QUIET, stream.frame()).await {
        Err(_) => return Err(End::Quiet),
        Ok(None) => return Err(End::Failed("it ended the watch".to_owned())),
        Ok(Some(Err(error))) => return Err(End::Failed(error.to_string())),
        Ok(Some(Ok(frame))) => frame,
    };
    text.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
    if text.len() > MOST_MESSAGE {
        return Err(End::Failed("a message of the watch is too long".to_owned()));
    }
    keys.follow(text)
}

impl Keys {
    /// Takes the whole messages at the beginning of what has come. Whether they changed anything.
    fn follow(&mut self, text: &mut Vec<u8>) -> Result<bool, End> {
        let mut is_changed = false;
        let mut messages = serde_json::Deserializer::from_slice(text).into_iter::<Message>();
        let mut taken = 0;
        while let Some(message) = messages.next() {
            let message = match message {
                Ok(message) => message,
                Err(error) if error.is_eof() => break,
                Err(error) => {
                    let error = plain(&error.to_string());
                    return Err(End::Failed(format!("its watch is not understood: {error}")));
                }
            };
            taken = messages.byte_offset();
            is_changed |= self.apply(message)?;
        }
        text.drain(..taken);
        Ok(is_changed)
    }

    fn apply(&mut self, message: Message) -> Result<bool, End> {
        if let Some(error) = message.error {
            let why = plain(error["message"].as_str().unwrap_or("without a reason"));
            return Err(End::Failed(format!("it ended the watch: {why}")));
        }
        let Some(watched) = message.result else { return Ok(false) };
        // The history is gone that lies between the reading and the watch.
        if watched.compact_revision.is_some_and(|revision| revision != "0") {
            return Err(End::Compacted);
        }
        if watched.canceled {
            return Err(End::Failed(format!("it ended the watch: {}", plain(&watched.cancel_reason))));
        }
        for event in &watched.events {
            let done = if event.kind == "DELETE" { self.delete(&event.kv) } else { self.put(&event.kv) };
            done.map_err(End::Failed)?;
        }
        Ok(!watched.events.is_empty())
    }

    fn put(&mut self, pair: &KeyValue) -> Result<(), String> {
        let key = decode(&pair.key)?;
        // What is no endpoint is told as one whose URL is none.
        let found = list::of_value(&decode(&pair.value)?).unwrap_or_else(|_| Found::at(""));
        let found = Found { key: Some(String::from_utf8_lossy(&key).into_owned()), ..found };
        self.endpoints.insert(key, found);
        Ok(())
    }

    fn delete(&mut self, pair: &KeyValue) -> Result<(), String> {
        self.endpoints.remove(&decode(&pair.key)?);
        Ok(())
    }

    fn tell(&self, report: &mut Report) {
        let found: Vec<Found> = self.endpoints.values().cloned().collect();
        report.found(&found, true);
    }
}

/// For the fuzzer: what a watch says, read at once and in two pieces. Whether both come to the same.
pub(super) fn is_read_alike(text: &[u8], cut: usize) -> bool {
    let read = |pieces: &[&[u8]]| {
        let (mut keys, mut come) = (Keys { endpoints: BTreeMap::new(), revision: 0 }, Vec::new());
        for piece in pieces {
            come.extend_from_slice(piece);
            // What is no message at all may be seen earlier or later.
            if keys.follow(&mut come).is_err() {
                break;
            }
        }
        keys.endpoints
    };
    let (first, second) = text.split_at(cut.min(text.len()));
    read(&[text]) == read(&[first, second])
}

/// The first key behind all that begin with this prefix: etcd's ranges do not hold their end.
fn end_of(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < 0xff {
            end.push(last + 1);
            return end;
        }
    }
    // To the last key there is.
    vec![0]
}

fn decode(text: &str) -> Result<Vec<u8>, String> {
    STANDARD
        .decode(text)
        .map_err(|_| "its answer is not understood: a key or a value is no base64".to_owned())
}

fn parse<T: for<'de> Deserialize<'de>>(body: &[u8]) -> Result<T, String> {
    serde_json::from_slice(body)
        .map_err(|error| format!("its answer is not understood: {}", plain(&error.to_string())))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn keys() -> Keys {
        Keys { endpoints: BTreeMap::new(), revision: 1 }
    }

    fn message(events: &str) -> String {
        format!(r#"{{"result":{{"header":{{"revision":"7"}},"events":[{events}]}}}}"#)
    }

    fn put(key: &str, value: &str) -> String {
        format!(r#"{{"kv":{{"key":"{}","value":"{}"}}}}"#, STANDARD.encode(key), STANDARD.encode(value))
    }

    #[test]
    fn events_change_the_keys_in_the_order_they_come() {
        let mut keys = keys();
        let delete = format!(r#"{{"type":"DELETE","kv":{{"key":"{}"}}}}"#, STANDARD.encode("/a"));
        let text = format!(
            "{}\n{}\n",
            message(&[put("/a", "http://a:1"), put("/b", r#"{"url":"http://b:1","weight":3}"#)].join(",")),
            message(&[put("/b", "http://b:2"), delete].join(","))
        );
        // However the bytes arrive.
        for cut in 1..text.len() {
            let mut bytes = text.as_bytes()[..cut].to_vec();
            keys.endpoints.clear();
            assert!(keys.follow(&mut bytes).is_ok());
            bytes.extend_from_slice(&text.as_bytes()[cut..]);
            assert!(keys.follow(&mut bytes).is_ok());
            let found: Vec<_> = keys.endpoints.values().map(|one| (one.url.as_str(), one.weight)).collect();
            assert_eq!(found, [("http://b:2", 1)], "cut at {cut}");
            assert!(bytes.iter().all(u8::is_ascii_whitespace));
        }
    }

    #[test]
    fn a_watch_ends_in_one_of_two_ways() {
        let compacted = r#"{"result":{"header":{"revision":"9"},"canceled":true,"compact_revision":"8"}}"#;
        assert!(matches!(keys().follow(&mut compacted.into()), Err(End::Compacted)));
        for text in [
            r#"{"result":{"canceled":true,"cancel_reason":"no leader"}}"#,
            r#"{"error":{"grpc_code":14,"message":"no leader"}}"#,
            "<html>",
            r#"{"result":{"events":[{"kv":{"key":"!"}}]}}"#,
        ] {
            assert!(matches!(keys().follow(&mut text.into()), Err(End::Failed(_))), "{text}");
        }
        let created = r#"{"result":{"header":{"revision":"9"},"created":true}}"#;
        assert!(matches!(keys().follow(&mut created.into()), Ok(false)));
    }

    #[test]
    fn a_range_ends_behind_its_prefix() {
        for (prefix, end) in
            [(&b"/a/"[..], &b"/a0"[..]), (b"a\xff", b"b"), (b"\xff\xff", b"\0"), (b"", b"\0")]
        {
            assert_eq!(end_of(prefix), end);
        }
    }
}
