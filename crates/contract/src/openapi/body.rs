//! Bodies: which of the types that the document lists one has, and the value that it is judged as.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::headers::Headers;
use super::shape::Shape;
use crate::violation::{Kind, Place, Violation, Violations, join, quote};
use crate::{form, json, multipart};

/// How many of the types that are accepted are told.
const MAX_LISTED: usize = 8;

/// What a stream of events is (the HTML standard, section 9.2): messages of their own, and not one text.
const EVENT_STREAM: &str = "text/event-stream";

/// One type of body.
#[derive(Debug)]
pub(super) struct Media {
    /// `application/json`, `text/*` or `*/*`, in lower case, without parameters.
    pub(super) range: String,
    pub(super) part: Option<usize>,
    pub(super) shape: Shape,
    pub(super) encoding: HashMap<String, Encoding>,
}

/// How a field of a form is written, where the document says so.
#[derive(Debug, Default)]
pub(super) struct Encoding {
    /// Media types, in lower case.
    pub(super) types: Vec<String>,
    pub(super) delimiter: Option<&'static str>,
}

/// The type of a message without parameters, in lower case.
pub(super) fn essence(headers: &dyn Headers) -> Option<String> {
    let value = content_type(headers)?;
    Some(value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
}

/// The only `Content-Type`: of two, each reader could believe another one.
pub(super) fn content_type(headers: &dyn Headers) -> Option<&str> {
    let (mut first, mut count) = (None, 0);
    headers.each("content-type", &mut |value| {
        first = first.or(Some(value));
        count += 1;
    });
    std::str::from_utf8(first.filter(|_| count == 1)?).ok()
}

/// The most specific of the types that take this one.
pub(super) fn choose<'m>(list: &'m [Media], essence: &str) -> Option<&'m Media> {
    let group = essence.split('/').next().unwrap_or_default();
    let rank = |media: &Media| match media.range.as_str() {
        range if range == essence => Some(0),
        "*/*" => Some(2),
        range => range.strip_suffix("/*").filter(|range| *range == group).map(|_| 1),
    };
    list.iter()
        .filter_map(|media| Some((rank(media)?, media)))
        .min_by_key(|(rank, _)| *rank)
        .map(|(_, media)| media)
}

/// The violation of a body whose type is not listed.
pub(super) fn not_listed(list: &[Media], essence: Option<&str>) -> Violation {
    let listed: Vec<&str> = list.iter().take(MAX_LISTED).map(|media| media.range.as_str()).collect();
    let more = if list.len() > MAX_LISTED { ", …" } else { "" };
    let problem =
        if essence.is_some() { "is of another type than" } else { "has no content type; accepted is" };
    let message = format!("{problem} {}{more}", listed.join(", "));
    Violation::body("", message).of_kind(Kind::ContentType)
}

impl Media {
    /// Whether anything is said of what is in a body of this type. One that never ends is not read.
    pub(super) fn is_read(&self, essence: &str) -> bool {
        let is_json = essence == "application/json" || essence.ends_with("+json");
        let is_form = essence == "application/x-www-form-urlencoded" || essence == "multipart/form-data";
        let is_text = essence.starts_with("text/") && essence != EVENT_STREAM && !self.shape.binary;
        is_json || self.part.is_some() && (is_form || is_text)
    }

    /// The value that a body of this type is judged as; none where no schema looks at it.
    pub(super) fn read(
        &self,
        essence: &str,
        headers: &dyn Headers,
        body: &[u8],
        violations: &mut Violations,
    ) -> Option<Value> {
        let is_json = essence == "application/json" || essence.ends_with("+json");
        let value = if is_json {
            // Judged even where no schema asks for it: what claims to be JSON must be.
            json::read(body).map(Some).map_err(|error| format!("is not JSON: {error}"))
        } else if essence == "application/x-www-form-urlencoded" {
            self.form(body, violations)
        } else if essence == "multipart/form-data" {
            self.multipart(headers, body, violations)
        } else if essence.starts_with("text/") && essence != EVENT_STREAM && !self.shape.binary {
            let text = std::str::from_utf8(body).map_err(|_| "is not UTF-8 text".to_owned());
            text.map(|text| Some(self.shape.value(text)))
        } else {
            Ok(None)
        };
        value.unwrap_or_else(|message| {
            violations.push(Violation::body("", message));
            None
        })
    }

    fn form(&self, body: &[u8], violations: &mut Violations) -> Result<Option<Value>, String> {
        let text = std::str::from_utf8(body).map_err(|_| "is not UTF-8 text")?;
        let mut fields = Fields { media: self, object: Map::new(), violations };
        for pair in form::pairs(text)? {
            let delimiter = self.encoding.get(&pair.name).and_then(|encoding| encoding.delimiter);
            let raws: Vec<&str> = match delimiter {
                Some(delimiter) => pair.raw.split(delimiter).collect(),
                None => vec![&pair.raw],
            };
            for raw in raws.into_iter().take(form::MAX_PAIRS) {
                match form::decode(raw) {
                    Some(text) => fields.add_text(&pair.name, &text, false),
                    None => fields.tell(&pair.name, "is not percent-encoded UTF-8"),
                }
            }
        }
        Ok(Some(Value::Object(fields.object)))
    }

    fn multipart(
        &self,
        headers: &dyn Headers,
        body: &[u8],
        violations: &mut Violations,
    ) -> Result<Option<Value>, String> {
        let content_type = content_type(headers).unwrap_or_default();
        let boundary = multipart::boundary(content_type).ok_or("has no boundary in its content type")?;
        let mut fields = Fields { media: self, object: Map::new(), violations };
        for part in multipart::parts(body, &boundary)? {
            let types =
                self.encoding.get(&part.name).map(|encoding| encoding.types.as_slice()).unwrap_or_default();
            let sent = if part.content_type.is_empty() { "text/plain" } else { &part.content_type };
            if !types.is_empty()
                && !part.content_type.is_empty()
                && !types.iter().any(|range| takes(range, sent))
            {
                fields.tell(&part.name, &format!("must be of the type {}", quote(&types.join(", "))));
                continue;
            }
            let is_json = sent == "application/json" || sent.ends_with("+json");
            let is_text = !part.is_file && sent.starts_with("text/");
            match std::str::from_utf8(part.body) {
                Ok(text) if is_text || is_json => fields.add_text(&part.name, text, is_json),
                _ if is_text || is_json => fields.tell(&part.name, "is not UTF-8 text"),
                // The bytes of a file are nobody's JSON: a schema can ask that it is there.
                _ => fields.add(&part.name, Value::String(String::new())),
            }
        }
        Ok(Some(Value::Object(fields.object)))
    }
}

/// The object that the fields of a form make.
struct Fields<'f> {
    media: &'f Media,
    object: Map<String, Value>,
    violations: &'f mut Violations,
}

impl Fields<'_> {
    fn add_text(&mut self, name: &str, text: &str, is_json: bool) {
        let shape = self.media.shape.property(name);
        let shape = shape.and_then(|shape| if shape.is_array() { shape.item() } else { Some(shape) });
        let types =
            self.media.encoding.get(name).map(|encoding| encoding.types.as_slice()).unwrap_or_default();
        // An object in a field is JSON, where nothing else is said.
        let is_json = is_json
            || matches!(types, [only] if only == "application/json")
            || (types.is_empty() && shape.is_some_and(Shape::is_object));
        if is_json {
            match json::read(text.as_bytes()) {
                Ok(value) => self.add(name, value),
                Err(error) => self.tell(name, &format!("is not JSON: {error}")),
            }
            return;
        }
        self.add(name, Shape::value_of(shape, text));
    }

    fn add(&mut self, name: &str, value: Value) {
        let is_list = self.media.shape.property(name).is_some_and(Shape::is_array);
        match self.object.get_mut(name) {
            None if is_list && !value.is_array() => {
                self.object.insert(name.to_owned(), Value::Array(vec![value]));
            }
            None => drop(self.object.insert(name.to_owned(), value)),
            Some(Value::Array(list)) if is_list => list.push(value),
            Some(_) => self.tell(name, "is there more than once"),
        }
    }

    fn tell(&mut self, name: &str, message: &str) {
        self.violations.push(Violation::new(Place::Body, join("", name), message));
    }
}

fn takes(range: &str, essence: &str) -> bool {
    range == "*/*"
        || range == essence
        || range.strip_suffix("/*").is_some_and(|group| essence.split('/').next() == Some(group))
}
