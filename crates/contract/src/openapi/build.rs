//! From a document to its operations: every fault of it is told here.

use std::collections::HashMap;
use std::sync::Arc;

use http::Method;
use jsonschema::Draft;
use serde_json::{Map, Value, json};

use super::body::{Encoding, Media};
use super::document::{At, Document};
use super::operation::{Contract, Operation, OperationId, RequestBody, Response, Status, origin};
use super::parameter::Parameter;
use super::shape::Shape;
use super::translate::{Direction, Translator};
use super::tree::Tree;
use super::{OpenApi, OpenApiOptions};
use crate::fault::Fault;
use crate::schema::Schema;
use crate::violation::Place;

const METHODS: [(&str, Method); 8] = [
    ("get", Method::GET),
    ("put", Method::PUT),
    ("post", Method::POST),
    ("delete", Method::DELETE),
    ("options", Method::OPTIONS),
    ("head", Method::HEAD),
    ("patch", Method::PATCH),
    ("trace", Method::TRACE),
];

pub(super) fn build(document: &Document, options: &OpenApiOptions) -> Result<OpenApi, Vec<Fault>> {
    let mut builder = Builder {
        document,
        options,
        requests: Parts::new(document, Direction::Request),
        answers: Parts::new(document, Direction::Response),
        faults: Vec::new(),
    };
    let mut tree = Tree::default();
    let mut paths = Vec::new();
    for (template, item) in document.root().each_of("paths") {
        if template.starts_with("x-") {
            continue;
        }
        match (tree.add(template, paths.len()), document.follow(item.clone())) {
            (Ok(names), Ok(item)) => paths.push(builder.path(template, &names, &item)),
            (Err(message), _) => builder.faults.push(Fault::new(item.pointer, message)),
            (_, Err(fault)) => builder.faults.push(fault),
        }
    }
    let Builder { requests, answers, mut faults, .. } = builder;
    let requests = requests.finish(&mut faults);
    let answers = if options.responses { answers.finish(&mut faults) } else { None };
    let Some(requests) = requests.filter(|_| faults.is_empty()) else { return Err(faults) };
    let finish = |path: usize, place: usize, (method, parsed): (Method, Parsed)| {
        let operation = Operation {
            id: OperationId { path, place },
            name: parsed.name,
            parameters: requests.shape_parameters(parsed.parameters),
            body: parsed.body.map(|body| RequestBody { media: requests.shape_media(body.media), ..body }),
            responses: match &answers {
                Some(answers) => parsed.responses.into_iter().map(|it| answers.shape_response(it)).collect(),
                None => Vec::new(),
            },
            refuses_unknown: options.refuse_unknown,
            requests: Arc::clone(&requests.contract),
            answers: answers.as_ref().map(|answers| Arc::clone(&answers.contract)),
        };
        (method, operation)
    };
    let finish_path = |(path, list): (usize, Vec<(Method, Parsed)>)| {
        list.into_iter().enumerate().map(|(place, parsed)| finish(path, place, parsed)).collect()
    };
    let paths = paths.into_iter().enumerate().map(finish_path).collect();
    Ok(OpenApi { bases: bases(document, options), tree, paths })
}

/// Where the paths of the document begin; without any `servers`, at the root.
fn bases(document: &Document, options: &OpenApiOptions) -> Vec<String> {
    let mut bases: Vec<String> = match &options.base {
        Some(base) => vec![base.clone()],
        None => document.root().each_of("servers").iter().map(|(_, server)| server_path(server)).collect(),
    };
    if bases.is_empty() {
        bases.push(String::new());
    }
    for base in &mut bases {
        base.truncate(base.trim_end_matches('/').len());
    }
    bases.sort_by_key(|base| std::cmp::Reverse(base.len()));
    bases.dedup();
    bases
}

/// The path of a server's address, its variables at their defaults.
fn server_path(server: &At<'_>) -> String {
    let mut url = server.text("url").unwrap_or_default().to_owned();
    for (name, variable) in server.each_of("variables") {
        url = url.replace(&format!("{{{name}}}"), variable.text("default").unwrap_or_default());
    }
    let behind =
        url.split_once("://").map_or(url.as_str(), |(_, rest)| rest.find('/').map_or("", |at| &rest[at..]));
    let path = behind.split(['?', '#']).next().unwrap_or_default();
    if path.starts_with('/') { path.to_owned() } else { String::new() }
}

/// An operation whose schemas are only named yet.
struct Parsed {
    name: String,
    parameters: Vec<Parameter>,
    body: Option<RequestBody>,
    responses: Vec<Response>,
}

struct Builder<'d, 'o> {
    document: &'d Document,
    options: &'o OpenApiOptions,
    requests: Parts<'d>,
    answers: Parts<'d>,
    faults: Vec<Fault>,
}

impl<'d> Builder<'d, '_> {
    fn path(&mut self, template: &str, names: &[String], item: &At<'d>) -> Vec<(Method, Parsed)> {
        let mut list = Vec::new();
        for (key, method) in METHODS {
            if let Some(operation) = item.get(key) {
                let parsed = self.operation(&method, template, names, item, &operation);
                list.push((method, parsed));
            }
        }
        list
    }

    fn operation(
        &mut self,
        method: &Method,
        template: &str,
        names: &[String],
        item: &At<'d>,
        operation: &At<'d>,
    ) -> Parsed {
        let name =
            operation.text("operationId").map_or_else(|| format!("{method} {template}"), str::to_owned);
        let mut parameters: Vec<Parameter> = Vec::new();
        for (_, place) in item.each_of("parameters").into_iter().chain(operation.each_of("parameters")) {
            let Some((parameter, at)) = self.parameter(place) else { continue };
            if matches!(parameter.place, Place::Path(_)) && !names.contains(&parameter.name) {
                let message = format!("is a parameter in the path, which `{template}` does not name");
                self.faults.push(Fault::new(at.pointer, message));
                continue;
            }
            // Those of the operation stand in the place of those of its path.
            match parameters.iter_mut().find(|known| known.place == parameter.place) {
                Some(known) => *known = parameter,
                None => parameters.push(parameter),
            }
        }
        let body = operation.get("requestBody").and_then(|body| self.follow(body)).map(|body| RequestBody {
            required: body.is("required"),
            media: self.media(&body, Direction::Request),
        });
        let responses = if self.options.responses { self.responses(operation) } else { Vec::new() };
        Parsed { name, parameters, body, responses }
    }

    fn parameter(&mut self, place: At<'d>) -> Option<(Parameter, At<'d>)> {
        let at = self.follow(place)?;
        match Parameter::of(&at) {
            Ok(parameter) => {
                let mut parameter = parameter?;
                parameter.part = Parameter::schema(&at).map(|schema| self.requests.add(schema));
                Some((parameter, at))
            }
            Err(fault) => {
                self.faults.push(fault);
                None
            }
        }
    }

    fn responses(&mut self, operation: &At<'d>) -> Vec<Response> {
        let mut list = Vec::new();
        for (status, place) in operation.each_of("responses") {
            if status.starts_with("x-") {
                continue;
            }
            let hundred = status.strip_suffix("XX").and_then(|digit| digit.parse().ok());
            let status = match (status, hundred, status.parse()) {
                ("default", ..) => Status::Default,
                (_, Some(digit @ 1..=5), _) => Status::Hundred(digit),
                (_, _, Ok(exactly @ 100..=599)) => Status::Exactly(exactly),
                _ => {
                    self.faults.push(Fault::new(place.pointer, "is no status: 200, 2XX or default"));
                    continue;
                }
            };
            let Some(response) = self.follow(place) else { continue };
            let mut headers = Vec::new();
            for (name, place) in response.each_of("headers") {
                let Some(at) = self.follow(place) else { continue };
                match Parameter::of_header(&at, name) {
                    Ok(Some(mut header)) => {
                        header.part = Parameter::schema(&at).map(|schema| self.answers.add(schema));
                        headers.push(header);
                    }
                    Ok(None) => {}
                    Err(fault) => self.faults.push(fault),
                }
            }
            list.push(Response { status, headers, media: self.media(&response, Direction::Response) });
        }
        list.sort_by_key(|response| response.status);
        list
    }

    /// The types that a body may have.
    fn media(&mut self, body: &At<'d>, direction: Direction) -> Vec<Media> {
        let mut list = Vec::new();
        for (range, media) in body.each_of("content") {
            let parts = if direction == Direction::Request { &mut self.requests } else { &mut self.answers };
            let part = media.get("schema").map(|schema| parts.add(schema));
            let encoding =
                media.each_of("encoding").into_iter().map(|(name, at)| (name.to_owned(), encoding(&at)));
            let range = range.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
            let encoding: HashMap<_, _> = encoding.collect();
            list.push(Media { range, part, shape: Shape::default(), encoding });
        }
        list
    }

    fn follow(&mut self, place: At<'d>) -> Option<At<'d>> {
        self.document.follow(place).map_err(|fault| self.faults.push(fault)).ok()
    }
}

fn encoding(at: &At<'_>) -> Encoding {
    let types = at.text("contentType").unwrap_or_default().split(',');
    let types = types.map(|it| it.trim().to_ascii_lowercase()).filter(|it| !it.is_empty()).collect();
    let is_exploded = at.value.get("explode").and_then(Value::as_bool);
    let delimiter = match at.text("style") {
        Some("spaceDelimited") if is_exploded != Some(true) => Some("+"),
        Some("pipeDelimited") if is_exploded != Some(true) => Some("|"),
        _ if is_exploded == Some(false) => Some(","),
        _ => None,
    };
    Encoding { types, delimiter }
}

/// The schemas of what goes one way, as they are found.
struct Parts<'d> {
    translator: Translator<'d>,
    /// The definition of each part.
    names: Vec<usize>,
}

/// The schemas of what goes one way, prepared.
struct Ready {
    contract: Arc<Contract>,
    definitions: Map<String, Value>,
    names: Vec<usize>,
}

impl<'d> Parts<'d> {
    fn new(document: &'d Document, direction: Direction) -> Self {
        Self { translator: Translator::new(document, direction), names: Vec::new() }
    }

    fn add(&mut self, schema: At<'d>) -> usize {
        self.names.push(self.translator.name(schema));
        self.names.len() - 1
    }

    /// Makes one schema of all: prepared once, however often one refers to another.
    fn finish(mut self, faults: &mut Vec<Fault>) -> Option<Ready> {
        let definitions = self.translator.finish();
        let found = self.translator.faults;
        if !found.is_empty() {
            // Both directions meet the same ones.
            faults.extend(found.into_iter().filter(|fault| !faults.contains(fault)).collect::<Vec<_>>());
            return None;
        }
        let parts: Map<String, Value> = (0..)
            .zip(&self.names)
            .map(|(part, name): (usize, _)| (part.to_string(), json!({ "$ref": format!("#/$defs/{name}") })))
            .collect();
        let root = json!({ "$defs": definitions, "properties": parts });
        let origins = self.translator.origins;
        match Schema::of(&root, Draft::Draft202012) {
            Ok(schema) => {
                let node = |part: usize| Some((part.to_string(), schema.part(&[&part.to_string()])?));
                let parts = (0..self.names.len()).filter_map(node).collect();
                let contract = Arc::new(Contract { schema, parts, origins });
                Some(Ready { contract, definitions, names: self.names })
            }
            Err(fault) => {
                let pointer = origin(&origins, &fault.pointer).unwrap_or(fault.pointer);
                faults.push(Fault::new(pointer, fault.message));
                None
            }
        }
    }
}

impl Ready {
    fn shape(&self, part: Option<usize>) -> Shape {
        let schema = part.and_then(|part| self.definitions.get(&self.names[part].to_string()));
        schema.map(|schema| Shape::of(schema, &self.definitions)).unwrap_or_default()
    }

    fn shape_parameters(&self, mut list: Vec<Parameter>) -> Vec<Parameter> {
        for parameter in &mut list {
            parameter.shape = self.shape(parameter.part);
        }
        // Objects whose members are pairs of their own take what no other parameter is called.
        list.sort_by_key(Parameter::takes_the_rest);
        list
    }

    fn shape_media(&self, list: Vec<Media>) -> Vec<Media> {
        list.into_iter().map(|media| Media { shape: self.shape(media.part), ..media }).collect()
    }

    fn shape_response(&self, response: Response) -> Response {
        Response {
            headers: self.shape_parameters(response.headers),
            media: self.shape_media(response.media),
            ..response
        }
    }
}
