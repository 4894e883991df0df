//! One operation of a document: what its requests and its answers must be like.

use std::sync::Arc;

use http::StatusCode;
use serde_json::{Map, Value};

use super::body::{self, Media};
use super::headers::{ContentType, Headers};
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

/// Which of a document's operations one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OperationId {
    /// Its path's number.
    pub(super) path: usize,
    /// Its place among those of the path.
    pub(super) place: usize,
}

/// The parameters of a request, read and not yet judged: its body may still be on its way.
#[derive(Debug)]
pub struct Parameters<'o> {
    operation: &'o Operation,
    values: Vec<(usize, &'o Place, Value)>,
    violations: Violations,
}

/// How the body of an answer is judged whose head has been.
#[derive(Debug)]
pub struct ResponseBody<'o> {
    contract: &'o Contract,
    /// None where there should be no body at all.
    media: Option<&'o Media>,
    content_type: String,
}

/// What one method of one path takes and answers.
#[derive(Debug)]
pub struct Operation {
    pub(super) id: OperationId,
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

    /// Which one it is: see [`OpenApi::operation`](super::OpenApi::operation).
    pub fn id(&self) -> OperationId {
        self.id
    }

    /// All that is wrong with a request.
    pub fn check_request(&self, request: &RequestView<'_>) -> Violations {
        self.read_request(request).judge(request.headers, request.body)
    }

    /// Reads the parameters of a request, whatever body it has.
    pub fn read_request(&self, request: &RequestView<'_>) -> Parameters<'_> {
        let mut violations = Violations::default();
        let mut values = Vec::with_capacity(self.parameters.len() + 1);
        self.read_parameters(request, &mut values, &mut violations);
        Parameters { operation: self, values, violations }
    }

    /// All that is wrong with an answer.
    pub fn check_response(&self, answer: &ResponseView<'_>) -> Violations {
        let (mut violations, rest) =
            self.check_response_head(answer.status, answer.headers, answer.body.is_some());
        if let (Some(rest), Some(body)) = (rest, answer.body) {
            rest.check(body, &mut violations);
        }
        violations
    }

    /// All that is wrong with an answer's head, and how its body is judged, if it has content that is looked at. One
    /// without content has no body by its nature, as that to HEAD.
    pub fn check_response_head(
        &self,
        status: StatusCode,
        headers: &dyn Headers,
        has_content: bool,
    ) -> (Violations, Option<ResponseBody<'_>>) {
        let mut violations = Violations::default();
        let Some(contract) = &self.answers else { return (violations, None) };
        let status = status.as_u16();
        let is_for = |response: &&Response| match response.status {
            Status::Exactly(listed) => listed == status,
            Status::Hundred(digit) => status / 100 == digit,
            Status::Default => true,
        };
        let Some(listed) = self.responses.iter().find(is_for) else {
            let message = format!("status {status} is not among those that the contract lists");
            violations.push(Violation::body("", message).of_kind(Kind::Status));
            return (violations, None);
        };
        let mut values = Vec::new();
        for header in &listed.headers {
            take(header, header.header(headers), &mut values, &mut violations);
        }
        contract.judge(values, &mut violations);
        if !has_content {
            return (violations, None);
        }
        let content_type = body::content_type(headers).unwrap_or_default().to_owned();
        let rest = |media| Some(ResponseBody { contract, media, content_type });
        if listed.media.is_empty() {
            return (violations, if self.refuses_unknown { rest(None) } else { None });
        }
        match choose(&listed.media, headers) {
            Ok((essence, media)) if media.is_read(&essence) => (violations, rest(Some(media))),
            Ok(_) => (violations, None),
            Err(violation) => {
                violations.push(violation);
                (violations, None)
            }
        }
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

impl Parameters<'_> {
    /// All that is wrong with the request, with this body, whole; none, or one without a byte, where it has none.
    pub fn judge(self, headers: &dyn Headers, body: Option<&[u8]>) -> Violations {
        let Self { operation, mut values, mut violations } = self;
        let body = body.filter(|body| !body.is_empty());
        match (&operation.body, body) {
            (Some(listed), Some(body)) => match choose(&listed.media, headers) {
                Ok((essence, media)) => {
                    let value = media.read(&essence, headers, body, &mut violations);
                    values.extend(value.zip(media.part).map(|(value, part)| (part, &Place::Body, value)));
                }
                Err(violation) => violations.push(violation),
            },
            (Some(listed), None) if listed.required => violations.push(Violation::body("", "is missing")),
            (None, Some(_)) if operation.refuses_unknown => {
                violations.push(Violation::body("", "is not expected here"));
            }
            _ => {}
        }
        operation.requests.judge(values, &mut violations);
        violations
    }
}

impl ResponseBody<'_> {
    /// Adds all that is wrong with the body, which is whole.
    pub fn check(&self, body: &[u8], violations: &mut Violations) {
        let Some(media) = self.media else {
            if !body.is_empty() {
                violations.push(Violation::body("", "is not expected here"));
            }
            return;
        };
        let headers = ContentType(&self.content_type);
        let essence = body::essence(&headers).unwrap_or_default();
        let value = media.read(&essence, &headers, body, violations);
        let values = value.zip(media.part).map(|(value, part)| (part, &Place::Body, value));
        self.contract.judge(values.into_iter().collect(), violations);
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

/// The type of a body and what is listed for it, or that nothing is.
fn choose<'m>(media: &'m [Media], headers: &dyn Headers) -> Result<(String, &'m Media), Violation> {
    let essence = body::essence(headers);
    let chosen = essence.as_deref().and_then(|essence| body::choose(media, essence));
    match (essence, chosen) {
        (Some(essence), Some(chosen)) => Ok((essence, chosen)),
        (essence, _) => Err(body::not_listed(media, essence.as_deref())),
    }
}
