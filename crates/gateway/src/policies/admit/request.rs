//! `request`: how large a request may be, and of which types its body.

use http::StatusCode;
use http1::{Framing, Known, RequestHead};

use crate::config::RequestPolicy;
use crate::config::values::Size;
use crate::exchange::Exchange;
use crate::policies::{Policy, Step};
use crate::refusal::{Refusal, Stage};

/// The compiled policy.
#[derive(Debug)]
pub struct Request {
    /// Bytes of body; `u64::MAX` for no limit.
    max_body: u64,
    /// Lower-case media types, or a type and `/*`; empty for any.
    content_types: Vec<String>,
    /// Of the head, where some are set.
    head: Option<HeadLimits>,
}

/// What is counted of a head.
#[derive(Debug, Clone, Copy)]
struct HeadLimits {
    /// Bytes of path and query.
    url: usize,
    headers: usize,
    /// Bytes of all names and values.
    header_size: usize,
}

impl Request {
    /// Compiles the configuration; nothing when it limits nothing.
    pub fn build(config: &RequestPolicy) -> Option<Self> {
        let max_body = config.max_body.map_or(u64::MAX, Size::bytes);
        let content_types: Vec<String> = config.content_types.iter().map(|media| media.0.clone()).collect();
        let size = |size: Option<Size>| size.map_or(usize::MAX, |size| size.bytes() as usize);
        let has_head = config.url.is_some() || config.headers.is_some() || config.header_size.is_some();
        let head = has_head.then(|| HeadLimits {
            url: size(config.url),
            headers: config.headers.map_or(usize::MAX, |headers| headers as usize),
            header_size: size(config.header_size),
        });
        let is_some = max_body < u64::MAX || !content_types.is_empty() || has_head;
        is_some.then_some(Self { max_body, content_types, head })
    }

    fn accepts(&self, content_type: &[u8]) -> bool {
        let media = content_type.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        self.content_types.is_empty()
            || self.content_types.iter().any(|accepted| match accepted.strip_suffix('*') {
                Some(prefix) => {
                    media.len() > prefix.len()
                        && media[..prefix.len()].eq_ignore_ascii_case(prefix.as_bytes())
                }
                None => media.eq_ignore_ascii_case(accepted.as_bytes()),
            })
    }
}

impl HeadLimits {
    /// What is wrong with a head, as the parser says it of the listener's limits.
    fn check(&self, request: &RequestHead) -> Result<(), Refusal> {
        // As it is routed and passed on.
        let url = request.path.len() + request.query().map_or(0, |query| query.len() + 1);
        if url > self.url {
            let detail = format!("path and query are longer than the {} bytes allowed here", self.url);
            return Err(Refusal::new(StatusCode::URI_TOO_LONG, "uri_too_long", Stage::Admit, detail));
        }
        let fields = &request.fields;
        let is_long = || {
            fields.iter().map(|field| field.name.len() + field.value.len()).sum::<usize>() > self.header_size
        };
        if fields.len() > self.headers || (self.header_size < usize::MAX && is_long()) {
            let detail = "there is more in the header fields than is allowed here";
            let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
            return Err(Refusal::new(status, "header_too_large", Stage::Admit, detail));
        }
        Ok(())
    }
}

impl Policy for Request {
    fn name(&self) -> &'static str {
        "request"
    }

    fn stage(&self) -> Stage {
        Stage::Admit
    }

    fn on_request(&self, exchange: &mut Exchange) -> Step<'_> {
        exchange.max_body = self.max_body;
        if let Some(Err(refusal)) = self.head.map(|head| head.check(&exchange.request)) {
            return Step::refuse(refusal);
        }
        match exchange.request.framing {
            Framing::None => return Step::Continue,
            Framing::Length(length) if length > self.max_body => {
                return Step::refuse(exchange.body_too_large());
            }
            _ => {}
        }
        let content_type = exchange.request.fields.get(Known::ContentType).unwrap_or_default();
        if self.accepts(content_type) {
            return Step::Continue;
        }
        Step::Refuse(Box::new(Refusal::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "content_type_not_allowed",
            Stage::Admit,
            format!("a body must have one of these content types: {}", self.content_types.join(", ")),
        )))
    }

    fn explain(&self) -> String {
        let mut clauses = Vec::new();
        if self.max_body < u64::MAX {
            clauses.push(format!("bodies up to {} bytes", self.max_body));
        }
        if !self.content_types.is_empty() {
            clauses.push(format!("content types {}", self.content_types.join(", ")));
        }
        let Some(HeadLimits { url, headers, header_size }) = self.head else { return clauses.join("; ") };
        let numbers =
            [("URLs up to", url), ("header fields up to", headers), ("bytes of them up to", header_size)];
        for (what, number) in numbers.into_iter().filter(|(_, number)| *number < usize::MAX) {
            clauses.push(format!("{what} {number}"));
        }
        clauses.join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_types_match_without_their_parameters_and_in_any_case() {
        let policy = Request {
            max_body: 10,
            content_types: vec!["application/json".into(), "image/*".into()],
            head: None,
        };
        let cases = [
            ("application/json", true),
            ("Application/JSON; charset=utf-8", true),
            ("image/png", true),
            ("image/", false),
            ("application/jsonp", false),
            ("text/plain", false),
            ("", false),
        ];
        for (content_type, accepted) in cases {
            assert_eq!(policy.accepts(content_type.as_bytes()), accepted, "{content_type}");
        }
    }
}
