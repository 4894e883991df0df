//! `api_key`: the key of an application, sent as `id.secret`.

use std::borrow::Cow;

use http1::RequestHead;

use super::{Authenticator, EXPIRED, Finding, bearer};
use crate::config;
use crate::exchange::Exchange;
use crate::identity::{Found, KeyFault};
use crate::route::{decode_query, is_named, query_pairs};

/// The compiled way.
#[derive(Debug)]
pub struct ApiKey {
    /// Its place among the ways of the configuration.
    way: u32,
    header: Option<Box<str>>,
    query: Option<Box<str>>,
    bearer: bool,
    pass: bool,
}

/// The longest key that is looked at: an id, a dot and a secret.
const LONGEST: usize = 1024;

impl ApiKey {
    /// Compiles the configuration.
    pub fn build(config: &config::ApiKey, way: u32) -> Self {
        Self {
            way,
            header: config.header.as_ref().map(|name| name.as_str().into()),
            query: config.query.as_deref().map(Into::into),
            bearer: config.bearer,
            pass: config.pass,
        }
    }

    /// The key that a request brings, from the first place that has one. A place that has two has none that counts.
    fn sent<'r>(&self, request: &'r RequestHead, scratch: &'r mut Vec<u8>) -> Option<Cow<'r, str>> {
        let text = |value: &'r [u8]| Cow::Borrowed(std::str::from_utf8(value).unwrap_or_default());
        if let Some(name) = &self.header {
            let mut values = request.fields.get_all_named(name.as_bytes());
            if let Some(value) = values.next() {
                return Some(if values.next().is_none() { text(value) } else { Cow::Borrowed("") });
            }
        }
        if self.bearer
            && let Some(token) = bearer(request)
        {
            return Some(text(token));
        }
        let name = self.query.as_deref()?;
        let mut values = query_pairs(request.query()?).filter(|(known, _)| is_named(known, name));
        let (_, value) = values.next()?;
        Some(if values.next().is_none() { decode_query(value, scratch) } else { Cow::Borrowed("") })
    }
}

impl Authenticator for ApiKey {
    fn identify<'w>(&'w self, exchange: &Exchange, _body: Option<&[u8]>) -> Finding<'w> {
        let mut scratch = Vec::new();
        let Some(sent) = self.sent(&exchange.request, &mut scratch) else { return Finding::Nothing };
        if sent.len() > LONGEST {
            return Finding::Refused(UNKNOWN);
        }
        match exchange.live.snapshot.callers.key(&sent) {
            Ok(key) => Finding::Caller(Found::Key { key, way: self.way }),
            Err(KeyFault::Unknown) => Finding::Refused(UNKNOWN),
            Err(KeyFault::Expired) => Finding::Refused(EXPIRED),
        }
    }

    fn strip(&self, request: &mut RequestHead) {
        if self.pass {
            return;
        }
        if let Some(name) = &self.header {
            request.fields.remove_named(name.as_bytes());
        }
        if self.bearer {
            super::strip_bearer(request);
        }
        if let Some(name) = &self.query {
            remove_parameter(request, name);
        }
    }

    fn challenge(&self, realm: &str, is_wrong: bool) -> Vec<String> {
        // There is no registered scheme for keys in a place of their own.
        let mut challenges = Vec::new();
        if self.bearer {
            challenges.push(super::bearer_challenge(realm, is_wrong));
        }
        if self.header.is_some() || self.query.is_some() {
            challenges.push(format!("ApiKey realm=\"{realm}\""));
        }
        challenges
    }

    fn explain(&self) -> String {
        let places = [
            self.header.as_ref().map(|name| format!("the header {name}")),
            self.bearer.then(|| "a bearer token".to_owned()),
            self.query.as_ref().map(|name| format!("the query parameter {name}")),
        ];
        let places: Vec<String> = places.into_iter().flatten().collect();
        format!("an API key in {}", places.join(" or "))
    }
}

/// Removes a parameter from a request's query; the rest stays as it is written.
fn remove_parameter(request: &mut RequestHead, name: &str) {
    if !query_pairs(&request.query).any(|(known, _)| is_named(known, name)) {
        return;
    }
    let kept: Vec<&str> = request
        .query
        .split('&')
        .filter(|part| !is_named(part.split('=').next().unwrap_or_default(), name))
        .collect();
    request.query = kept.join("&");
    request.has_query = !request.query.is_empty();
}

const UNKNOWN: &str = "key_unknown";

#[cfg(test)]
mod tests {
    use super::super::{BEARER, behind};
    use super::*;

    #[test]
    fn a_parameter_is_removed_however_it_is_written() {
        for (query, left) in [
            ("api_key=a.b", None),
            ("x=1&api_key=a.b&y=%2F", Some("x=1&y=%2F")),
            ("api%5fkey=a.b&x", Some("x")),
            ("x=api_key", Some("x=api_key")),
            ("api_key&api_key=1&&z", Some("&z")),
        ] {
            let mut request =
                RequestHead { query: query.to_owned(), has_query: true, ..RequestHead::default() };
            remove_parameter(&mut request, "api_key");
            assert_eq!(request.query(), left, "{query}");
        }
    }

    #[test]
    fn a_bearer_token_stands_behind_its_scheme_in_any_case() {
        for (value, token) in [
            (&b"Bearer a.b"[..], Some(&b"a.b"[..])),
            (b"bearer  a.b", Some(b"a.b")),
            (b"Bearer", None),
            (b"Basic YTpi", None),
            (b"Bearera.b", None),
        ] {
            assert_eq!(behind(value, BEARER), token);
        }
    }
}
