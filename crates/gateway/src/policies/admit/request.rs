//! `request`: how large a body may be, and of which types.

use http::StatusCode;
use http1::{Framing, Known};

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
}

impl Request {
    /// Compiles the configuration; nothing when it limits nothing.
    pub fn build(config: &RequestPolicy) -> Option<Self> {
        let max_body = config.max_body.map_or(u64::MAX, Size::bytes);
        let content_types: Vec<String> = config.content_types.iter().map(|media| media.0.clone()).collect();
        (max_body < u64::MAX || !content_types.is_empty()).then_some(Self { max_body, content_types })
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

impl Policy for Request {
    fn name(&self) -> &'static str {
        "request"
    }

    fn stage(&self) -> Stage {
        Stage::Admit
    }

    fn on_request(&self, exchange: &mut Exchange) -> Step<'_> {
        exchange.max_body = self.max_body;
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
        clauses.join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_types_match_without_their_parameters_and_in_any_case() {
        let policy =
            Request { max_body: 10, content_types: vec!["application/json".into(), "image/*".into()] };
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
