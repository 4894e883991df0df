//! From the schemas of a document to one JSON Schema, in which each has a name: what requests and what answers must be
//! like, as `readOnly` and `writeOnly` tell them apart.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value, json};

use super::document::{At, Document, Version};
use crate::fault::Fault;
use crate::violation::join;

/// Which of the two a schema is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Request,
    Response,
}

impl Direction {
    /// The mark on what may not stand in a message that goes this way.
    fn refused(self) -> &'static str {
        match self {
            Self::Request => "readOnly",
            Self::Response => "writeOnly",
        }
    }
}

/// Keywords of 2020-12 that say nothing about what is valid, or that lead to other documents.
const LEFT_OUT: &[&str] = &[
    "$id",
    "$schema",
    "$anchor",
    "$dynamicAnchor",
    "$comment",
    "$vocabulary",
    "$defs",
    "title",
    "description",
    "default",
    "example",
    "examples",
    "deprecated",
    "xml",
    "discriminator",
    "externalDocs",
    "readOnly",
    "writeOnly",
    "nullable",
    "contentSchema",
];

/// Keywords with one schema, with a list of them, and with named ones.
const ONE: &[&str] = &[
    "additionalProperties",
    "contains",
    "else",
    "if",
    "items",
    "not",
    "propertyNames",
    "then",
    "unevaluatedItems",
    "unevaluatedProperties",
];
const LIST: &[&str] = &["allOf", "anyOf", "oneOf", "prefixItems"];
const NAMED: &[&str] = &["dependentSchemas", "patternProperties", "properties"];

pub(super) struct Translator<'d> {
    document: &'d Document,
    direction: Direction,
    /// Where each named schema stands in the document; its number is its name.
    pub(super) origins: Vec<String>,
    known: HashMap<String, usize>,
    waiting: Vec<At<'d>>,
    schemas: Vec<Value>,
    pub(super) faults: Vec<Fault>,
}

impl<'d> Translator<'d> {
    pub(super) fn new(document: &'d Document, direction: Direction) -> Self {
        Self {
            document,
            direction,
            origins: Vec::new(),
            known: HashMap::new(),
            waiting: Vec::new(),
            schemas: Vec::new(),
            faults: Vec::new(),
        }
    }

    /// The name of a schema, by the place where it stands.
    pub(super) fn name(&mut self, schema: At<'d>) -> usize {
        if let Some(known) = self.known.get(&schema.pointer) {
            return *known;
        }
        let name = self.origins.len();
        self.known.insert(schema.pointer.clone(), name);
        self.origins.push(schema.pointer.clone());
        self.waiting.push(schema);
        name
    }

    /// All schemas that were named, and those that they refer to.
    pub(super) fn finish(&mut self) -> Map<String, Value> {
        while let Some(schema) = self.waiting.get(self.schemas.len()).cloned() {
            let translated = self.schema(&schema);
            self.schemas.push(translated);
        }
        self.schemas.iter().enumerate().map(|(name, schema)| (name.to_string(), schema.clone())).collect()
    }

    fn schema(&mut self, at: &At<'d>) -> Value {
        let Some(schema) = at.value.as_object() else {
            let is_whole = at.value.is_boolean() && self.document.version == Version::V31;
            if !is_whole && !at.value.is_boolean() {
                self.fault(&at.pointer, "is no schema");
            }
            return at.value.clone();
        };
        let mut out = Map::new();
        if let Some(reference) = schema.get("$ref") {
            match self.document.target(reference.as_str().unwrap_or_default(), &at.pointer) {
                Ok(target) => {
                    let name = self.name(target);
                    out.insert("$ref".to_owned(), json!(format!("#/$defs/{name}")));
                }
                Err(fault) => self.faults.push(fault),
            }
            // What stands beside a reference means nothing in 3.0.
            if self.document.version == Version::V30 {
                return Value::Object(out);
            }
        }
        for (keyword, value) in schema {
            let member = At { value, pointer: join(&at.pointer, keyword) };
            let keyword = keyword.as_str();
            let translated = if ONE.contains(&keyword) && !value.is_array() {
                self.schema(&member)
            } else if NAMED.contains(&keyword) {
                self.named(keyword, &member)
            } else if LIST.contains(&keyword) && value.is_array() {
                Value::Array(member.each().iter().map(|(_, item)| self.schema(item)).collect())
            } else if keyword == "$dynamicRef" {
                self.fault(&member.pointer, "is not supported in OpenAPI documents");
                continue;
            } else if keyword == "$ref" || keyword.starts_with("x-") || LEFT_OUT.contains(&keyword) {
                continue;
            } else {
                value.clone()
            };
            out.insert(keyword.to_owned(), translated);
        }
        self.forget_refused(at, &mut out);
        bound_integers(&mut out);
        if self.document.version == Version::V30 {
            from_30(schema, &mut out);
        }
        Value::Object(out)
    }

    /// Schemas by name; properties that may not go this way refuse everything.
    fn named(&mut self, keyword: &str, at: &At<'d>) -> Value {
        if !at.value.is_object() {
            return at.value.clone();
        }
        let mut out = Map::new();
        for (name, property) in at.each() {
            let schema = if keyword == "properties" && self.is_refused(&property) {
                json!({ "not": {}, self.direction.refused(): true })
            } else {
                self.schema(&property)
            };
            out.insert(name.to_owned(), schema);
        }
        Value::Object(out)
    }

    /// Whether a property is marked as one of the other direction, itself or where it refers to.
    fn is_refused(&self, property: &At<'d>) -> bool {
        let mark = self.direction.refused();
        let target = self.document.follow(property.clone());
        (self.document.version == Version::V31 && property.is(mark))
            || target.is_ok_and(|target| target.is(mark))
    }

    /// What may not be there is not asked for either, whichever of the schemas that apply together asks.
    fn forget_refused(&self, at: &At<'d>, out: &mut Map<String, Value>) {
        let mut refused = HashSet::new();
        self.collect_refused(at, &mut refused, 0);
        if refused.is_empty() {
            return;
        }
        let forget = |schema: &mut Map<String, Value>| {
            if let Some(Value::Array(required)) = schema.get_mut("required") {
                required.retain(|name| name.as_str().is_none_or(|name| !refused.contains(name)));
            }
        };
        forget(out);
        if let Some(Value::Array(parts)) = out.get_mut("allOf") {
            parts.iter_mut().filter_map(Value::as_object_mut).for_each(forget);
        }
    }

    fn collect_refused(&self, at: &At<'d>, refused: &mut HashSet<&'d str>, depth: usize) {
        let Ok(at) = self.document.follow(at.clone()) else { return };
        let properties = at.each_of("properties");
        refused.extend(
            properties.iter().filter(|(_, property)| self.is_refused(property)).map(|(name, _)| *name),
        );
        if depth < 4 {
            at.each_of("allOf").iter().for_each(|(_, part)| self.collect_refused(part, refused, depth + 1));
        }
    }

    fn fault(&mut self, pointer: &str, message: &str) {
        self.faults.push(Fault::new(pointer, message));
    }
}

/// `format: int32` and `int64` are bounds of integers, which JSON Schema's formats cannot be.
fn bound_integers(out: &mut Map<String, Value>) {
    let bounds = match out.get("format").and_then(Value::as_str) {
        Some("int32") => json!({ "minimum": i32::MIN, "maximum": i32::MAX }),
        Some("int64") => json!({ "minimum": i64::MIN, "maximum": i64::MAX }),
        _ => return,
    };
    match out.entry("allOf").or_insert_with(|| json!([])) {
        Value::Array(list) => list.push(bounds),
        _ => return,
    }
    out.remove("format");
}

/// What the dialect of 3.0 says in its own way.
fn from_30(schema: &Map<String, Value>, out: &mut Map<String, Value>) {
    for (bound, exclusive) in [("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")] {
        match out.get(exclusive) {
            Some(Value::Bool(true)) => {
                out.remove(exclusive);
                if let Some(limit) = out.remove(bound) {
                    out.insert(exclusive.to_owned(), limit);
                }
            }
            Some(Value::Bool(false)) => drop(out.remove(exclusive)),
            _ => {}
        }
    }
    // Null beside a type; an `enum` has to list it itself.
    if schema.get("nullable") == Some(&Value::Bool(true))
        && let Some(Value::String(name)) = out.get("type")
    {
        let both = json!([name, "null"]);
        out.insert("type".to_owned(), both);
    }
}
