//! `validate`: whether a request is what a JSON Schema or an OpenAPI document says.

use std::path::PathBuf;

use contract::{Found, Headers, Kind, OpenApi, OpenApiOptions, Operation, RequestView, Schema, Violations};
use http::{Method, StatusCode};
use http1::{Fields, Framing, Known};

use crate::config::{Fault, Faults, Located, Unknown, ValidatePolicy, read_bounded};
use crate::exchange::Exchange;
use crate::policies::{Policy, Step};
use crate::refusal::{Refusal, Stage};

/// Bytes of a schema or a document: the largest that are published have 12 MB.
const MAX_FILE: u64 = 32 * 1024 * 1024;

/// The compiled policy.
#[derive(Debug)]
pub struct Validate {
    by: By,
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
                    responses: false,
                };
                By::Document(read(file, faults, |text| OpenApi::read(text, &options))?)
            }
            (None, None) => return None,
        };
        Some(Self { by, max_body: config.max_body.bytes() })
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

    fn by_document<'p>(&'p self, document: &'p OpenApi, exchange: &Exchange) -> Step<'p> {
        let operation = match find(document, exchange) {
            Ok((operation, _)) => operation,
            Err(refusal) => return Step::Refuse(refusal),
        };
        if matches!(exchange.request.framing, Framing::None) || !operation.needs_request_body() {
            return judge(document, exchange, None);
        }
        Step::body(self.max_body, move |exchange, body| judge(document, exchange, Some(body)))
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

    fn explain(&self) -> String {
        match &self.by {
            By::Schema(_) => format!("bodies by a JSON Schema, up to {} bytes", self.max_body),
            By::Document(document) => {
                format!("{} operations of a document, bodies up to {} bytes", document.len(), self.max_body)
            }
        }
    }
}

impl Headers for View<'_> {
    fn each<'h>(&'h self, name: &str, call: &mut dyn FnMut(&'h [u8])) {
        self.0.get_all_named(name.as_bytes()).for_each(call);
    }
}

fn find<'o, 'p>(document: &'o OpenApi, exchange: &'p Exchange) -> Sought<'o, 'p> {
    let request = &exchange.request;
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

fn judge<'p>(document: &OpenApi, exchange: &Exchange, body: Option<&[u8]>) -> Step<'p> {
    let (operation, path) = match find(document, exchange) {
        Ok(found) => found,
        Err(refusal) => return Step::Refuse(refusal),
    };
    let request = RequestView {
        path: &path,
        query: exchange.request.query().unwrap_or_default(),
        headers: &View(&exchange.request.fields),
        body,
    };
    let violations = operation.check_request(&request);
    if violations.is_empty() { Step::Continue } else { refuse(&violations) }
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
    let text = match read_bounded(&file.value, MAX_FILE) {
        Ok(text) => text,
        Err(error) => {
            let message = format!("cannot read {shown}: {error}");
            faults.push(Fault::error("unreadable_file", file.span, message));
            return None;
        }
    };
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
