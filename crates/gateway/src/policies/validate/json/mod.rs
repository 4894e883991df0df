//! `request.json`: how much there may be in a JSON body. It is looked at behind `authorize`: nothing is held in memory for who may not
//! call.

pub mod scan;

use http::StatusCode;
use http1::{Framing, Known, RequestHead};

use crate::config::values::Size;
use crate::config::{JsonLimits as Configured, RequestPolicy};
use crate::exchange::Exchange;
use crate::policies::{Policy, Step};
use crate::refusal::{Refusal, Stage};
use scan::{JsonFault, JsonLimits};

/// The compiled policy.
#[derive(Debug)]
pub struct Json {
    limits: JsonLimits,
    /// Bytes of a body that is looked at; longer ones are refused.
    most: u64,
}

impl Json {
    /// Compiles the configuration; nothing when it asks for nothing of JSON.
    pub fn build(config: &RequestPolicy) -> Option<Self> {
        let Configured { depth, keys, array, string, values } = config.json?;
        let limits = JsonLimits { depth, keys, array, string: string.bytes(), values };
        Some(Self { limits, most: config.max_body.map_or(Configured::USUAL_BODY, Size::bytes) })
    }

    fn judge(&self, body: &[u8]) -> Step<'_> {
        // Some clients say what a body would be, and send none.
        if body.is_empty() {
            return Step::Continue;
        }
        let limits = &self.limits;
        let detail = match scan::scan(body, limits) {
            Ok(()) => return Step::Continue,
            Err(JsonFault::Malformed) => {
                let detail = "the body is no JSON, although its content type says so".to_owned();
                return refuse(StatusCode::BAD_REQUEST, "json_malformed", detail);
            }
            Err(JsonFault::Depth) => {
                format!("arrays and objects may lie {} deep in each other", limits.depth)
            }
            Err(JsonFault::Keys) => format!("an object may have {} members", limits.keys),
            Err(JsonFault::Array) => format!("an array may have {} elements", limits.array),
            Err(JsonFault::String) => format!("a string may have {} bytes", limits.string),
            Err(JsonFault::Values) => format!("there may be {} values in all", limits.values),
        };
        refuse(StatusCode::PAYLOAD_TOO_LARGE, "json_too_large", detail)
    }
}

impl Policy for Json {
    fn name(&self) -> &'static str {
        "request"
    }

    fn stage(&self) -> Stage {
        Stage::Validate
    }

    fn on_request(&self, exchange: &mut Exchange) -> Step<'_> {
        let request = &exchange.request;
        if request.framing == Framing::None || !is_json(request) {
            return Step::Continue;
        }
        // What cannot be looked at is not let through unseen.
        if request
            .fields
            .get_all(Known::ContentEncoding)
            .any(|coding| !coding.eq_ignore_ascii_case(b"identity"))
        {
            let detail = "JSON is looked at here: send it without Content-Encoding".to_owned();
            return refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, "json_encoded", detail);
        }
        Step::body(self.most, |_, body| self.judge(body))
    }

    fn explain(&self) -> String {
        let JsonLimits { depth, keys, array, string, values } = self.limits;
        format!(
            "JSON up to {} bytes, {depth} deep, {keys} members in an object, {array} elements in an array, strings up to {string} bytes, \
             {values} values",
            self.most
        )
    }
}

fn refuse<'p>(status: StatusCode, code: &'static str, detail: String) -> Step<'p> {
    Step::refuse(Refusal::new(status, code, Stage::Validate, detail))
}

/// Whether the body is said to be JSON (RFC 8259, section 11; RFC 6839, section 3.1).
fn is_json(request: &RequestHead) -> bool {
    let content_type = request.fields.get(Known::ContentType).unwrap_or_default();
    let media = content_type.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    let ends_in =
        |end: &[u8]| media.len() > end.len() && media[media.len() - end.len()..].eq_ignore_ascii_case(end);
    ends_in(b"/json") || ends_in(b"+json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_told_by_its_content_type() {
        for (content_type, expected) in [
            ("application/json", true),
            ("Application/JSON; charset=utf-8", true),
            ("application/problem+json", true),
            ("application/vnd.shop.v2+json;q=1", true),
            ("application/jsonp", false),
            ("application/x-ndjson", false),
            ("text/plain", false),
            ("", false),
        ] {
            let mut request = RequestHead::default();
            request.fields.append(Known::ContentType, content_type.as_bytes());
            assert_eq!(is_json(&request), expected, "{content_type}");
        }
    }
}
