//! `validate`: whether a request, and the answer to it, is what a JSON Schema or an OpenAPI document says.

use std::path::PathBuf;

use contract::{
    Found, Headers, Kind, OpenApi, OpenApiOptions, Operation, RequestView, ResponseBody, Schema, Violation,
    Violations,
};
use http::{Method, StatusCode};
use http1::{Fields, Framing, Known, RequestHead, ResponseHead};

use crate::config::{CheckResponse, Fault, Faults, Located, Unknown, ValidatePolicy, read_named};
use crate::exchange::Exchange;
use crate::outcome::Violated;
use crate::policies::{Policy, Review, Step};
use crate::refusal::{Refusal, Stage};

/// Bytes of a schema or a document: the largest that are published have 12 MB.
const MAX_FILE: u64 = 32 * 1024 * 1024;

/// How many things that are wrong with an answer the log tells in words.
const TOLD: usize = 5;

/// The compiled policy.
#[derive(Debug)]
pub struct Validate {
    by: By,
    answers: CheckResponse,
    /// Bytes of a body that is looked at.
    max_body: u64,
}

#[derive(Debug)]
enum By {
    Schema(Schema),
    Document(OpenApi),
}

/// What an operation may not find in a document.
type Sought<'o, 'p> = Result<(&'o Operation, Vec<(String, &'p str)>), Box<Refusal>>;

/// Header fields of a request.
struct View<'f>(&'f Fields);

impl Validate {
    /// Compiles the configuration and reads its file; nothing where that has faults, which are reported.
    pub fn build(config: &ValidatePolicy, faults: &mut Faults) -> Option<Self> {
        let by = match (&config.body, &config.openapi) {
            (Some(file), _) => By::Schema(read(file, faults, Schema::read)?),
            (None, Some(file)) => {
                let options = OpenApiOptions {
                    base: config.base.clone(),
                    refuse_unknown: config.unknown == Unknown::Refuse,
                    responses: config.response != CheckResponse::Off,
                };
                By::Document(read(file, faults, |text| OpenApi::read(text, &options))?)
            }
            (None, None) => return None,
        };
        Some(Self { by, answers: config.response, max_body: config.max_body.bytes() })
    }

    /// A body that must be there, and be JSON of this schema.
    fn by_schema<'p>(&'p self, schema: &'p Schema, exchange: &Exchange) -> Step<'p> {
        let request = &exchange.request;
        if matches!(request.framing, Framing::None) {
            // What has no body by its nature is not asked for one (RFC 9110, section 9.3).
            let has_none = [Method::GET, Method::HEAD, Method::DELETE, Method::OPTIONS, Method::TRACE];
            if has_none.contains(&request.method) {
                return Step::Continue;
            }
        } else if !is_json(request.fields.get(Known::ContentType).unwrap_or_default()) {
            return Step::refuse(Refusal::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "content_type_not_allowed",
                Stage::Validate,
                "the body must be JSON, and say so in its content type",
            ));
        }
        Step::body(self.max_body, move |_, body| match schema.validate(body) {
            Ok(()) => Step::Continue,
            Err(violations) => refuse(&violations),
        })
    }

    fn by_document<'p>(&'p self, document: &'p OpenApi, exchange: &mut Exchange) -> Step<'p> {
        let request = &exchange.request;
        let (operation, path) = match find(document, request) {
            Ok(found) => found,
            Err(refusal) => return Step::Refuse(refusal),
        };
        let parameters = operation.read_request(&RequestView {
            path: &path,
            query: request.query().unwrap_or_default(),
            headers: &View(&request.fields),
            body: None,
        });
        exchange.operation = Some(operation.id());
        if self.answers == CheckResponse::Block {
            // Nobody can look into what is compressed (RFC 9110, section 12.5.3).
            exchange.request.fields.set(Known::AcceptEncoding, b"identity");
        }
        if matches!(exchange.request.framing, Framing::None) || !operation.needs_request_body() {
            return decide(&parameters.judge(&View(&exchange.request.fields), None));
        }
        Step::body(self.max_body, move |exchange, body| {
            decide(&parameters.judge(&View(&exchange.request.fields), Some(body)))
        })
    }

    /// Where answers are not only looked at: what is wrong goes no further.
    fn block<'p>(
        &self,
        exchange: &mut Exchange,
        violations: &Violations,
        body: Option<ResponseBody<'p>>,
    ) -> Option<Review<'p>> {
        if !violations.is_empty() {
            let refusal = blocked(exchange, violations.len(), tell(violations));
            return Some(Review::Refuse(Box::new(refusal)));
        }
        let Some(body) = body else {
            exchange.outcome.review = Some(VALID);
            return None;
        };
        if let Some(why) = obstacle(&exchange.response) {
            let first = format!("body: is {why}, and cannot be looked at");
            return Some(Review::Refuse(Box::new(blocked(exchange, 1, first))));
        }
        let judge = move |exchange: &mut Exchange, bytes: &[u8]| {
            let mut violations = Violations::default();
            body.check(bytes, &mut violations);
            if violations.is_empty() {
                exchange.outcome.review = Some(VALID);
                return Ok(());
            }
            Err(Box::new(blocked(exchange, violations.len(), tell(&violations))))
        };
        Some(Review::Hold(self.max_body, Box::new(judge)))
    }

    /// Where answers are only looked at.
    fn watch<'p>(
        &self,
        exchange: &mut Exchange,
        mut violations: Violations,
        body: Option<ResponseBody<'p>>,
    ) -> Option<Review<'p>> {
        let obstacle = body.as_ref().and_then(|_| obstacle(&exchange.response));
        if !violations.is_empty() {
            note(exchange, INVALID, violations.len(), tell(&violations));
        } else if body.is_none() || obstacle.is_some() {
            exchange.outcome.review = Some(obstacle.unwrap_or(VALID));
        }
        let body = body.filter(|_| obstacle.is_none())?;
        let judge = move |exchange: &mut Exchange, bytes: &[u8]| {
            body.check(bytes, &mut violations);
            match violations.len() {
                0 => exchange.outcome.review = Some(VALID),
                count => note(exchange, INVALID, count, tell(&violations)),
            }
        };
        Some(Review::Watch(self.max_body, Box::new(judge)))
    }
}

impl Policy for Validate {
    fn name(&self) -> &'static str {
        "validate"
    }

    fn stage(&self) -> Stage {
        Stage::Validate
    }

    fn on_request(&self, exchange: &mut Exchange) -> Step<'_> {
        match &self.by {
            By::Schema(schema) => self.by_schema(schema, exchange),
            By::Document(document) => self.by_document(document, exchange),
        }
    }

    fn reviews_answers(&self) -> bool {
        self.answers != CheckResponse::Off
    }

    fn review(&self, exchange: &mut Exchange) -> Option<Review<'_>> {
        let By::Document(document) = &self.by else { return None };
        let operation = exchange.operation.and_then(|id| document.operation(id));
        let response = &exchange.response;
        let Some(operation) = operation.filter(|_| response.status != StatusCode::NOT_MODIFIED) else {
            // Of what the client has already, nothing is sent (RFC 9110, section 15.4.5).
            return None;
        };
        let has_content = exchange.request.method != Method::HEAD
            && response.status != StatusCode::NO_CONTENT
            && !response.status.is_informational();
        let (violations, body) =
            operation.check_response_head(response.status, &View(&response.fields), has_content);
        match self.answers {
            CheckResponse::Off => None,
            CheckResponse::Log => self.watch(exchange, violations, body),
            CheckResponse::Block => self.block(exchange, &violations, body),
        }
    }

    fn explain(&self) -> String {
        let answers = match self.answers {
            CheckResponse::Off => "",
            CheckResponse::Log => ", answers that are not as it says are logged",
            CheckResponse::Block => ", answers that are not as it says are replaced by 502",
        };
        match &self.by {
            By::Schema(_) => format!("bodies by a JSON Schema, up to {} bytes", self.max_body),
            By::Document(document) => {
                let (count, most) = (document.len(), self.max_body);
                format!("{count} operations of a document, bodies up to {most} bytes{answers}")
            }
        }
    }
}

impl Headers for View<'_> {
    fn each<'h>(&'h self, name: &str, call: &mut dyn FnMut(&'h [u8])) {
        self.0.get_all_named(name.as_bytes()).for_each(call);
    }
}

fn find<'o, 'p>(document: &'o OpenApi, request: &'p RequestHead) -> Sought<'o, 'p> {
    match document.find(&request.method, &request.path) {
        Found::Operation(operation, path) => Ok((operation, path)),
        Found::NoMethod(methods) => {
            let allow: Vec<&str> = methods.iter().map(|method| method.as_str()).collect();
            let detail = "the description of this API has the path, but not for this method";
            let refusal =
                Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "operation_unknown", Stage::Validate, detail);
            Err(Box::new(refusal.with_field(Known::Allow, allow.join(", "))))
        }
        Found::NoPath => {
            let detail = "the description of this API has no such path";
            Err(Box::new(Refusal::new(StatusCode::NOT_FOUND, "operation_unknown", Stage::Validate, detail)))
        }
    }
}

fn decide<'p>(violations: &Violations) -> Step<'p> {
    if violations.is_empty() { Step::Continue } else { refuse(violations) }
}

fn refuse<'p>(violations: &Violations) -> Step<'p> {
    let has = |kind: Kind| violations.iter().any(|violation| violation.kind == kind);
    let (status, code, what) = if has(Kind::Parameter) {
        (StatusCode::BAD_REQUEST, "parameter_invalid", "the request is")
    } else if has(Kind::ContentType) {
        (StatusCode::UNSUPPORTED_MEDIA_TYPE, "content_type_not_allowed", "the body's type is")
    } else {
        (StatusCode::BAD_REQUEST, "body_invalid", "the body is")
    };
    let detail = format!("{what} not as the API describes it: `errors` says where and why");
    let mut refusal = Refusal::new(status, code, Stage::Validate, detail);
    violations.write_errors(&mut refusal.errors);
    Step::refuse(refusal)
}

/// Why nobody can look into the body of an answer: it is compressed, or a part of one (RFC 9110, section 15.3.7).
fn obstacle(response: &ResponseHead) -> Option<&'static str> {
    let mut codings = response.fields.get_all_named(b"content-encoding");
    if !codings.all(|coding| coding.eq_ignore_ascii_case(b"identity")) {
        return Some("encoded");
    }
    (response.status == StatusCode::PARTIAL_CONTENT).then_some("partial")
}

/// What the client gets in place of an answer: nothing of what was in it.
fn blocked(exchange: &mut Exchange, count: usize, first: String) -> Refusal {
    note(exchange, BLOCKED, count, first);
    let detail = "the service's answer is not as the API describes it";
    Refusal::new(StatusCode::BAD_GATEWAY, "response_invalid", Stage::Validate, detail)
}

fn note(exchange: &mut Exchange, result: &'static str, count: usize, first: String) {
    exchange.outcome.review = Some(result);
    exchange.outcome.violations = Some(Box::new(Violated { count, first }));
}

/// The first things that are wrong, in words.
fn tell(violations: &Violations) -> String {
    let first: Vec<String> = violations.iter().take(TOLD).map(Violation::to_string).collect();
    first.join("; ")
}

/// What comes of a look at an answer, in the metrics: it is as the document says.
const VALID: &str = "valid";
/// It is not, and was passed on.
const INVALID: &str = "invalid";
/// It is not, and was not.
const BLOCKED: &str = "blocked";

/// Whether a content type is JSON's own or one of the `+json` family (RFC 6839).
fn is_json(content_type: &[u8]) -> bool {
    let media = content_type.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    let media = media.to_ascii_lowercase();
    media == b"application/json" || (media.contains(&b'/') && media.ends_with(b"+json"))
}

fn read<T>(
    file: &Located<PathBuf>,
    faults: &mut Faults,
    prepare: impl FnOnce(&[u8]) -> Result<T, Vec<contract::Fault>>,
) -> Option<T> {
    let shown = file.value.display();
    let text = faults.take(read_named(file, MAX_FILE))?;
    let found = match prepare(&text) {
        Ok(prepared) => return Some(prepared),
        Err(found) => found,
    };
    for fault in &found {
        let message = match fault.pointer.as_str() {
            "" => format!("{shown}: {}", fault.message),
            pointer => format!("{shown}, at {pointer}: {}", fault.message),
        };
        faults.push(Fault::error("bad_contract", file.span, message));
    }
    None
}
