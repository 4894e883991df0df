//! One operation of a document: what its requests and its answers must be like.

use std::sync::Arc;

use http::StatusCode;
use serde_json::{Map, Value};

use super::body::{self, Media};
use super::headers::Headers;
use super::parameter::{self, Parameter, Source};
use crate::form;
use crate::schema::{Part, Schema};
use crate::violation::{Kind, Place, Violation, Violations};

/// A request, as it came.
#[derive(Clone, Copy)]
pub struct RequestView<'r> {
    /// The texts of the path's names, as [`OpenApi::find`](super::OpenApi::find) gave them.
    pub path: &'r [(String, &'r str)],
    /// What stands behind the `?`; empty where there is none.
    pub query: &'r str,
    /// Its headers.
    pub headers: &'r dyn Headers,
    /// Its body, whole; none, or one without a byte, where it has none.
    pub body: Option<&'r [u8]>,
}

/// An answer, as it came.
#[derive(Clone, Copy)]
pub struct ResponseView<'r> {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: &'r dyn Headers,
    /// Its body, whole; none where it was not kept, or has none: it is not judged then.
    pub body: Option<&'r [u8]>,
}

/// What one method of one path takes and answers.
#[derive(Debug)]
pub struct Operation {
    pub(super) name: String,
    pub(super) parameters: Vec<Parameter>,
    pub(super) body: Option<RequestBody>,
    pub(super) responses: Vec<Response>,
    pub(super) refuses_unknown: bool,
    pub(super) requests: Arc<Contract>,
    pub(super) answers: Option<Arc<Contract>>,
}

#[derive(Debug)]
pub(super) struct RequestBody {
    pub(super) required: bool,
    pub(super) media: Vec<Media>,
}

#[derive(Debug)]
pub(super) struct Response {
    pub(super) status: Status,
    pub(super) headers: Vec<Parameter>,
    pub(super) media: Vec<Media>,
}

/// Which statuses an answer is for; the more specific ones first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Status {
    Exactly(u16),
    /// `2XX`: those that begin with this digit.
    Hundred(u16),
    Default,
}

/// The schemas of all parts of all messages that go one way.
#[derive(Debug)]
pub(super) struct Contract {
    pub(super) schema: Schema,
    /// The name of each part among the properties of the schema.
    pub(super) parts: Vec<(String, Part)>,
    /// Where each definition stands in the document.
    pub(super) origins: Vec<String>,
}

impl Operation {
    /// Its `operationId`, or its method and path.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether a request's body is looked at.
    pub fn needs_request_body(&self) -> bool {
        self.body.is_some() || self.refuses_unknown
    }

    /// Whether an answer's body is looked at.
    pub fn needs_response_body(&self) -> bool {
        self.responses.iter().any(|response| !response.media.is_empty())
    }

    /// All that is wrong with a request.
    pub fn check_request(&self, request: &RequestView<'_>) -> Violations {
        let mut violations = Violations::default();
        let mut values = Vec::with_capacity(self.parameters.len() + 1);
        self.read_parameters(request, &mut values, &mut violations);
        let body = request.body.filter(|body| !body.is_empty());
        match (&self.body, body) {
            (Some(listed), Some(body)) => {
                read_body(&listed.media, request.headers, body, &mut values, &mut violations);
            }
            (Some(listed), None) if listed.required => violations.push(Violation::body("", "is missing")),
            (None, Some(_)) if self.refuses_unknown => {
                violations.push(Violation::body("", "is not expected here"));
            }
            _ => {}
        }
        self.requests.judge(values, &mut violations);
        violations
    }

    /// All that is wrong with an answer.
    pub fn check_response(&self, answer: &ResponseView<'_>) -> Violations {
        let mut violations = Violations::default();
        let Some(contract) = &self.answers else { return violations };
        let status = answer.status.as_u16();
        let is_for = |response: &&Response| match response.status {
            Status::Exactly(listed) => listed == status,
            Status::Hundred(digit) => status / 100 == digit,
            Status::Default => true,
        };
        let Some(listed) = self.responses.iter().find(is_for) else {
            let message = format!("status {status} is not among those that the contract lists");
            violations.push(Violation::body("", message).of_kind(Kind::Status));
            return violations;
        };
        let mut values = Vec::new();
        for header in &listed.headers {
            take(header, header.header(answer.headers), &mut values, &mut violations);
        }
        if let Some(body) = answer.body.filter(|_| !listed.media.is_empty()) {
            read_body(&listed.media, answer.headers, body, &mut values, &mut violations);
        }
        contract.judge(values, &mut violations);
        violations
    }

    fn read_parameters<'o>(
        &'o self,
        request: &RequestView<'_>,
        values: &mut Vec<(usize, &'o Place, Value)>,
        violations: &mut Violations,
    ) {
        let whole = |place: fn(Box<str>) -> Place, message| Violation::new(place("*".into()), "", message);
        let query = form::pairs(request.query).unwrap_or_else(|message| {
            violations.push(whole(Place::Query, message));
            Vec::new()
        });
        let has_cookies = self.parameters.iter().any(|parameter| matches!(parameter.place, Place::Cookie(_)));
        let cookies = if has_cookies { parameter::cookies(request.headers) } else { Ok(Vec::new()) };
        let cookies = cookies.unwrap_or_else(|message| {
            violations.push(whole(Place::Cookie, message));
            Vec::new()
        });
        let mut read = vec![false; query.len()];
        let mut source = Source {
            path: request.path,
            query: &query,
            headers: request.headers,
            cookies: &cookies,
            read: &mut read,
        };
        for parameter in &self.parameters {
            take(parameter, parameter.read(&mut source), values, violations);
        }
        if self.refuses_unknown {
            for (pair, _) in query.iter().zip(&read).filter(|(_, read)| !**read) {
                let place = Place::Query(pair.name.as_str().into());
                violations.push(Violation::new(place, "", "is not expected here"));
            }
        }
    }
}

impl Contract {
    /// Judges all parts of a message at once, and those that are refused one by one.
    fn judge(&self, values: Vec<(usize, &Place, Value)>, violations: &mut Violations) {
        let mut message = Map::with_capacity(values.len());
        let mut places = Vec::with_capacity(values.len());
        for (part, place, value) in values {
            places.push((part, place));
            message.insert(self.parts[part].0.clone(), value);
        }
        let mut message = Value::Object(message);
        if self.schema.accepts(&message) {
            return;
        }
        for (part, place) in places {
            let (name, node) = &self.parts[part];
            let Some(value) = message.get_mut(name).map(Value::take) else { continue };
            let alone = Value::Object(Map::from_iter([(name.clone(), value)]));
            if !self.schema.accepts(&alone) {
                let before = violations.len();
                self.schema.explain(*node, &alone[name], place, violations);
                violations.rename_schemas(before, |schema| self.origin(schema));
            }
        }
    }

    /// Where in the document something stands that is at this place among the definitions.
    pub(super) fn origin(&self, schema: &str) -> Option<String> {
        origin(&self.origins, schema)
    }
}

/// `/$defs/3/minimum` as a place in the document.
pub(super) fn origin(origins: &[String], schema: &str) -> Option<String> {
    let rest = schema.strip_prefix("/$defs/")?;
    let (name, rest) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    Some(format!("{}{rest}", origins.get(name.parse::<usize>().ok()?)?))
}

/// Adds the value of a parameter, or what is wrong with its text.
fn take<'o>(
    parameter: &'o Parameter,
    read: Result<Option<Value>, String>,
    values: &mut Vec<(usize, &'o Place, Value)>,
    violations: &mut Violations,
) {
    match (read, parameter.part) {
        (Ok(Some(value)), Some(part)) => values.push((part, &parameter.place, value)),
        (Ok(None), _) if parameter.required => {
            violations.push(Violation::new(parameter.place.clone(), "", "is missing"));
        }
        (Err(message), _) => violations.push(Violation::new(parameter.place.clone(), "", message)),
        (Ok(_), _) => {}
    }
}

fn read_body(
    media: &[Media],
    headers: &dyn Headers,
    body: &[u8],
    values: &mut Vec<(usize, &Place, Value)>,
    violations: &mut Violations,
) {
    let essence = body::essence(headers);
    let chosen = essence.as_deref().and_then(|essence| Some((essence, body::choose(media, essence)?)));
    let Some((essence, media)) = chosen else {
        violations.push(body::not_listed(media, essence.as_deref()));
        return;
    };
    let value = media.read(essence, headers, body, violations);
    if let (Some(value), Some(part)) = (value, media.part) {
        values.push((part, &Place::Body, value));
    }
}
