//! What a text may stand for: parameters and form fields are texts, and their schemas speak of numbers and lists.

use std::collections::HashMap;

use serde_json::{Map, Value};

/// How deep shapes are known: forms and parameters do not nest further.
const MAX_DEPTH: usize = 3;

/// The types that a schema allows, as far as a text needs to know.
#[derive(Clone, Debug, Default)]
pub(super) struct Shape {
    integer: bool,
    number: bool,
    boolean: bool,
    null: bool,
    string: bool,
    array: bool,
    object: bool,
    items: Option<Box<Shape>>,
    properties: HashMap<String, Shape>,
    /// Members beyond these are spoken of.
    open: bool,
    /// Not text: its bytes are not looked at.
    pub(super) binary: bool,
}

impl Shape {
    /// The shape of a schema among these.
    pub(super) fn of(schema: &Value, schemas: &Map<String, Value>) -> Self {
        let mut shape = Self::default();
        shape.add(schema, schemas, 0, 0);
        shape
    }

    pub(super) fn is_array(&self) -> bool {
        self.array && !self.is_scalar()
    }

    pub(super) fn is_object(&self) -> bool {
        self.object && !self.array && !self.is_scalar()
    }

    pub(super) fn has_property(&self, name: &str) -> bool {
        self.properties.contains_key(name)
    }

    /// Whether members are taken that have no schema of their own.
    pub(super) fn is_open(&self) -> bool {
        self.open
    }

    pub(super) fn property(&self, name: &str) -> Option<&Shape> {
        self.properties.get(name)
    }

    pub(super) fn item(&self) -> Option<&Shape> {
        self.items.as_deref()
    }

    /// The value that a text stands for; the text itself where it stands for nothing else.
    pub(super) fn value(&self, text: &str) -> Value {
        let number = (self.integer || self.number).then(|| number(text)).flatten();
        match text {
            "true" if self.boolean => Value::Bool(true),
            "false" if self.boolean => Value::Bool(false),
            "" if self.null => Value::Null,
            _ => number.unwrap_or_else(|| text.into()),
        }
    }

    /// The value of a text that may have a shape.
    pub(super) fn value_of(shape: Option<&Self>, text: &str) -> Value {
        shape.map_or_else(|| text.into(), |shape| shape.value(text))
    }

    fn is_scalar(&self) -> bool {
        self.integer || self.number || self.boolean || self.string
    }

    fn add(&mut self, schema: &Value, schemas: &Map<String, Value>, depth: usize, hops: usize) {
        let Some(schema) = schema.as_object().filter(|_| hops < 16) else { return };
        if let Some(name) = schema.get("$ref").and_then(Value::as_str)
            && let Some(target) = schemas.get(name.trim_start_matches("#/$defs/"))
        {
            self.add(target, schemas, depth, hops + 1);
        }
        let types = match schema.get("type") {
            Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).collect(),
            Some(Value::String(name)) => vec![name.as_str()],
            _ => Vec::new(),
        };
        for name in types {
            match name {
                "integer" => self.integer = true,
                "number" => self.number = true,
                "boolean" => self.boolean = true,
                "null" => self.null = true,
                "string" => self.string = true,
                "array" => self.array = true,
                _ => self.object = true,
            }
        }
        self.binary |= schema.get("format").is_some_and(|format| format == "binary");
        self.open |= schema.get("additionalProperties").is_some_and(|others| others != &Value::Bool(false));
        for keyword in ["allOf", "anyOf", "oneOf"] {
            for part in schema.get(keyword).and_then(Value::as_array).into_iter().flatten() {
                self.add(part, schemas, depth, hops + 1);
            }
        }
        if depth == MAX_DEPTH {
            return;
        }
        if let Some(items) = schema.get("items") {
            self.items.get_or_insert_default().add(items, schemas, depth + 1, 0);
        }
        for (name, property) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            self.properties.entry(name.clone()).or_default().add(property, schemas, depth + 1, 0);
        }
    }
}

/// A number as JSON writes it.
fn number(text: &str) -> Option<Value> {
    let begins = text.as_bytes().first().is_some_and(|b| b.is_ascii_digit() || *b == b'-');
    let ends = text.as_bytes().last().is_some_and(u8::is_ascii_digit);
    if !begins || !ends {
        return None;
    }
    serde_json::from_str(text).ok().map(Value::Number)
}
