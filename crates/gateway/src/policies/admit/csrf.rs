//! `csrf`: refuses what a page of another origin makes a browser send in the name of whoever looks at it.
//!
//! Browsers say themselves where a request comes from, in fields that no page can set (Fetch Metadata; RFC 6454). No token and no state
//! is needed for that.

use http::{Method, StatusCode};
use http1::{Known, RequestHead};

use crate::config::Csrf as Configured;
use crate::exchange::Exchange;
use crate::origins::{self, Origins};
use crate::policies::{Policy, Step};
use crate::refusal::{Refusal, Stage};

/// The compiled policy.
#[derive(Debug)]
pub struct Csrf {
    /// Besides the request's own.
    origins: Origins,
    summary: Box<str>,
}

impl Csrf {
    /// Compiles the configuration.
    pub fn new(config: &Configured) -> Self {
        Self { origins: Origins::new(&config.origins), summary: config.to_string().into() }
    }

    fn lets_through(&self, request: &RequestHead, is_tls: bool) -> bool {
        if is_harmless(request) {
            return true;
        }
        let origin = origins::of(request);
        let is_listed = || origin.is_some_and(|origin| self.origins.contain(origin));
        // The browser has compared them itself, whatever names and ports lie between it and the gateway.
        if let Some(site) = request.fields.get_named(b"Sec-Fetch-Site") {
            return matches!(site, b"same-origin" | b"none") || is_listed();
        }
        let allows = |origin: &[u8]| origins::is_own(origin, request, is_tls) || self.origins.contain(origin);
        if let Some(origin) = origin {
            return allows(origin);
        }
        match request.fields.get(Known::Referer) {
            Some(referer) => allows(origins::of_url(referer)),
            // No browser leaves out all three. Without a cookie nobody's name is on it either.
            None => !request.fields.contains(Known::Cookie),
        }
    }
}

/// Whether it changes nothing (RFC 9110, section 9.2.1). What opens a WebSocket does, and its answer is no secret to any page.
fn is_harmless(request: &RequestHead) -> bool {
    let is_safe = matches!(request.method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE);
    is_safe && request.upgrade.is_empty()
}

impl Policy for Csrf {
    fn name(&self) -> &'static str {
        "csrf"
    }

    fn stage(&self) -> Stage {
        Stage::Admit
    }

    fn on_request(&self, exchange: &mut Exchange) -> Step<'_> {
        if self.lets_through(&exchange.request, exchange.is_tls()) {
            return Step::Continue;
        }
        let detail = "a page of another origin sends this in the name of whoever looks at it";
        Step::refuse(Refusal::new(StatusCode::FORBIDDEN, "csrf_refused", Stage::Admit, detail))
    }

    fn explain(&self) -> String {
        format!("changes and WebSockets from {}", self.summary)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::config::values::OriginPattern;

    #[test]
    fn only_pages_that_may_can_change_something() {
        let origins = vec![OriginPattern::parse("https://app.example.com").unwrap()];
        let csrf = Csrf::new(&Configured { origins });
        let cases: [(&[(&str, &str)], bool); 18] = [
            (&[], true),
            (&[("Cookie", "s=1")], false),
            (&[("Sec-Fetch-Site", "same-origin"), ("Cookie", "s=1")], true),
            (&[("Sec-Fetch-Site", "none")], true),
            (&[("Sec-Fetch-Site", "same-site"), ("Origin", "https://other.api.test")], false),
            (&[("Sec-Fetch-Site", "cross-site"), ("Origin", "https://evil.test")], false),
            (&[("Sec-Fetch-Site", "cross-site"), ("Origin", "https://api.test")], false),
            (&[("Sec-Fetch-Site", "cross-site"), ("Origin", "https://app.example.com")], true),
            (&[("Sec-Fetch-Site", "cross-site")], false),
            (&[("Origin", "https://api.test")], true),
            (&[("Origin", "http://api.test")], false),
            (&[("Origin", "https://app.example.com")], true),
            (&[("Origin", "null")], false),
            (&[("Origin", "https://api.test"), ("Origin", "https://evil.test")], false),
            (&[("Origin", "https://evil.test"), ("Referer", "https://api.test/")], false),
            (&[("Referer", "https://api.test/form?x"), ("Cookie", "s=1")], true),
            (&[("Referer", "https://evil.test/?https://api.test/")], false),
            (&[("Referer", "")], false),
        ];
        for (fields, passes) in cases {
            let mut request = RequestHead { authority: "api.test".to_owned(), ..RequestHead::default() };
            for (name, value) in fields {
                request.fields.append_named(name.as_bytes(), value.as_bytes());
            }
            assert!(csrf.lets_through(&request, true), "GET {fields:?}");
            request.method = Method::POST;
            assert_eq!(csrf.lets_through(&request, true), passes, "POST {fields:?}");
            request.method = Method::GET;
            request.upgrade = "websocket".to_owned();
            assert_eq!(csrf.lets_through(&request, true), passes, "a WebSocket, {fields:?}");
        }
    }
}
