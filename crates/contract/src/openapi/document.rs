//! The text of an OpenAPI document, and references within it.

use serde_json::Value;

use crate::fault::Fault;
use crate::json;
use crate::schema::resolve;
use crate::violation::quote;

/// How many references may lead to one another.
const MAX_HOPS: usize = 32;

/// Which language its schemas are in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    /// A dialect of its own, near draft 5 of JSON Schema.
    V30,
    /// JSON Schema 2020-12.
    V31,
}

#[derive(Debug)]
pub(super) struct Document {
    pub(super) root: Value,
    pub(super) version: Version,
}

/// A value of the document with the place where it stands.
#[derive(Clone, Debug)]
pub(super) struct At<'d> {
    pub(super) value: &'d Value,
    pub(super) pointer: String,
}

impl Document {
    pub(super) fn read(text: &[u8]) -> Result<Self, Vec<Fault>> {
        let root = json::read_contract(text)?;
        let version = match root.get("openapi") {
            Some(Value::String(version)) => version.clone(),
            // `3.0` and `3.1` are numbers in YAML.
            Some(Value::Number(version)) => version.to_string(),
            _ if root.get("swagger").is_some() => {
                let message =
                    "is a Swagger 2.0 document: only OpenAPI 3.0 and 3.1 are read, and converters exist";
                return Err(vec![Fault::new("/swagger", message)]);
            }
            _ => return Err(vec![Fault::new("", "is no OpenAPI document: it has no `openapi: 3.1.0`")]),
        };
        let version = match version.split('.').take(2).collect::<Vec<_>>()[..] {
            ["3", "0"] => Version::V30,
            ["3", "1"] => Version::V31,
            _ => {
                let message = format!("is version {} of OpenAPI: 3.0 and 3.1 are read", quote(&version));
                return Err(vec![Fault::new("/openapi", message)]);
            }
        };
        if let Some(dialect) = root.get("jsonSchemaDialect").and_then(Value::as_str) {
            let known = [
                "https://json-schema.org/draft/2020-12/schema",
                "https://spec.openapis.org/oas/3.1/dialect/",
            ];
            if !known.iter().any(|known| dialect.starts_with(known)) {
                let message =
                    "names a dialect that is not known: that of OpenAPI 3.1 and JSON Schema 2020-12 are";
                return Err(vec![Fault::new("/jsonSchemaDialect", message)]);
            }
        }
        Ok(Self { root, version })
    }

    pub(super) fn root(&self) -> At<'_> {
        At { value: &self.root, pointer: String::new() }
    }

    /// What stands at a place, or where the reference that stands there leads.
    pub(super) fn follow<'d>(&'d self, place: At<'d>) -> Result<At<'d>, Fault> {
        let begun = place.pointer.clone();
        let mut place = place;
        for _ in 0..MAX_HOPS {
            let Some(reference) = place.value.get("$ref").and_then(Value::as_str) else { return Ok(place) };
            place = self.target(reference, &place.pointer)?;
        }
        Err(Fault::new(begun, "refers to itself"))
    }

    /// Where a reference leads that stands at this pointer.
    pub(super) fn target(&self, reference: &str, pointer: &str) -> Result<At<'_>, Fault> {
        let fault = |text: &str| {
            Fault::new(format!("{pointer}/$ref"), format!("refers to `{}`{text}", quote(reference)))
        };
        if !reference.starts_with('#') {
            return Err(fault(": only references within the file are followed"));
        }
        let (value, pointer) =
            resolve(&self.root, reference).ok_or_else(|| fault(", which is not in this file"))?;
        Ok(At { value, pointer })
    }
}

impl<'d> At<'d> {
    /// A member, where it is there.
    pub(super) fn get(&self, name: &str) -> Option<Self> {
        let value = self.value.get(name)?;
        Some(At { value, pointer: crate::violation::join(&self.pointer, name) })
    }

    /// A text among the members.
    pub(super) fn text(&self, name: &str) -> Option<&'d str> {
        self.value.get(name)?.as_str()
    }

    /// Whether a member is `true`.
    pub(super) fn is(&self, name: &str) -> bool {
        self.value.get(name) == Some(&Value::Bool(true))
    }

    /// All members of the object, or all items of the list.
    pub(super) fn each(&self) -> Vec<(&'d str, Self)> {
        let at = |name: &str| crate::violation::join(&self.pointer, name);
        match self.value {
            Value::Object(object) => {
                object.iter().map(|(name, value)| (name.as_str(), At { value, pointer: at(name) })).collect()
            }
            Value::Array(items) => items
                .iter()
                .enumerate()
                .map(|(i, value)| ("", At { value, pointer: at(&i.to_string()) }))
                .collect(),
            _ => Vec::new(),
        }
    }

    /// All members of a member, or all items of it.
    pub(super) fn each_of(&self, name: &str) -> Vec<(&'d str, Self)> {
        self.get(name).map(|member| member.each()).unwrap_or_default()
    }
}
