//! From a schema to a validator: which drafts, formats and regular expressions there are, and what is told of a schema
//! that cannot be used.

use std::sync::LazyLock;

use jsonschema::error::ValidationErrorKind;
use jsonschema::{Draft, PatternOptions, ValidationError, ValidationOptions, Validator};
use serde_json::{Value, json};

use super::graph::{has_ids, resolve};
use crate::fault::Fault;
use crate::violation::{push_name, quote};

/// The largest program of one regular expression, in bytes.
const REGEX_SIZE: usize = 2 * 1024 * 1024;

/// The longest text that `format: regex` reads: compiling what a caller sends costs more than matching it.
const LONGEST_REGEX: usize = 512;

/// What `format: regex` means, before it is bounded.
static REGEX: LazyLock<Option<Validator>> = LazyLock::new(|| {
    jsonschema::options().should_validate_formats(true).build(&json!({ "format": "regex" })).ok()
});

/// The draft that a schema names; 2020-12 where it names none.
pub(crate) fn draft(schema: &Value) -> Result<Draft, Fault> {
    let Some(named) = schema.get("$schema") else { return Ok(Draft::Draft202012) };
    let known = named.as_str().map(|uri| {
        let uri = uri.strip_suffix('#').unwrap_or(uri);
        uri.strip_prefix("https://").or_else(|| uri.strip_prefix("http://")).unwrap_or(uri)
    });
    match known {
        Some("json-schema.org/draft/2020-12/schema") => Ok(Draft::Draft202012),
        Some("json-schema.org/draft/2019-09/schema") => Ok(Draft::Draft201909),
        Some("json-schema.org/draft-07/schema") => Ok(Draft::Draft7),
        _ => Err(Fault::new(
            "/$schema",
            "names a dialect that is not known: https://json-schema.org/draft/2020-12/schema, \
             https://json-schema.org/draft/2019-09/schema and http://json-schema.org/draft-07/schema are",
        )),
    }
}

/// Keywords of which a schema has one, unless it says which dialect it is in.
const KEYWORDS: &[&str] = &[
    "additionalProperties",
    "allOf",
    "anyOf",
    "const",
    "contains",
    "definitions",
    "description",
    "enum",
    "format",
    "if",
    "items",
    "maxLength",
    "maximum",
    "minLength",
    "minimum",
    "not",
    "oneOf",
    "pattern",
    "patternProperties",
    "prefixItems",
    "properties",
    "propertyNames",
    "required",
    "title",
    "type",
    "uniqueItems",
];

/// Another kind of file would be a schema that says nothing, and takes everything.
pub(super) fn check_kind(schema: &Value) -> Result<(), Fault> {
    let Some(object) = schema.as_object().filter(|object| !object.is_empty()) else { return Ok(()) };
    if object.contains_key("openapi") || object.contains_key("swagger") {
        return Err(Fault::new("", "is an OpenAPI document, and no JSON Schema"));
    }
    if object.keys().any(|name| name.starts_with('$') || KEYWORDS.contains(&name.as_str())) {
        return Ok(());
    }
    Err(Fault::new("", "is no JSON Schema: it has neither `$schema` nor a keyword such as `type`"))
}

/// Prepares a schema. Nothing is fetched: a reference out of it is a fault.
pub(crate) fn build(schema: &Value, draft: Draft) -> Result<Validator, Fault> {
    options(draft).build(schema).map_err(|error| fault(schema, &error))
}

fn options(draft: Draft) -> ValidationOptions<'static> {
    let patterns = PatternOptions::regex().size_limit(REGEX_SIZE).dfa_size_limit(REGEX_SIZE);
    jsonschema::options()
        .offline()
        .with_draft(draft)
        .should_validate_formats(true)
        .should_ignore_unknown_formats(true)
        .with_pattern_options(patterns)
        .with_format("regex", |text: &str| {
            text.len() <= LONGEST_REGEX
                && REGEX.as_ref().is_none_or(|regex| regex.is_valid(&Value::String(text.to_owned())))
        })
        .with_format("byte", is_base64)
}

/// Base64 with its padding (RFC 4648 section 4), which is what `format: byte` means in OpenAPI 3.0.
fn is_base64(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    text.len().is_multiple_of(4)
        && text.len() - body.len() <= 2
        && body.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'+' || b == b'/')
}

/// The sentence for the author of a schema.
fn fault(schema: &Value, error: &ValidationError<'_>) -> Fault {
    let pointer = error.instance_path().as_str().to_owned();
    match error.kind() {
        ValidationErrorKind::Referencing(reference) => unresolved(schema, &reference.to_string()),
        ValidationErrorKind::Format { format } if format == "regex" => {
            let pattern = pointer.rsplit('/').next().unwrap_or_default().to_owned();
            let pattern = error.instance().as_str().map_or(pattern, str::to_owned);
            Fault::new(
                pointer,
                format!(
                    "`{}` is no regular expression that is matched in linear time: look-around and \
                     back-references are not supported, and what repeats may not grow too large",
                    quote(&pattern)
                ),
            )
        }
        ValidationErrorKind::AnyOf { .. } if pointer.ends_with("/type") => Fault::new(
            pointer,
            "is no type: array, boolean, integer, null, number, object, string, or a list of them",
        ),
        _ => {
            let text = error.masked_with("this").to_string();
            Fault::new(pointer, format!("is not what a schema has here: {text}"))
        }
    }
}

/// A reference that leads nowhere, or out of the file.
fn unresolved(schema: &Value, error: &str) -> Fault {
    let mut found = Vec::new();
    find_references(schema, &mut String::new(), &mut found);
    let dead = found.iter().find(|(_, target)| match target.strip_prefix('#') {
        // Names and identifiers are resolved by what the error quotes.
        Some(pointer) if pointer.is_empty() || pointer.starts_with('/') => {
            resolve(schema, target).is_none() && !has_ids(schema)
        }
        Some(_) => error.contains(target.trim_start_matches('#')),
        None => error.contains(target.split('#').next().unwrap_or(target)),
    });
    match dead {
        Some((pointer, target)) if target.starts_with('#') => {
            Fault::new(pointer.as_str(), format!("refers to `{}`, which is not in this file", quote(target)))
        }
        Some((pointer, target)) => Fault::new(
            pointer.as_str(),
            format!("refers to `{}`: only references within the file are followed", quote(target)),
        ),
        None => Fault::new("", format!("a reference leads nowhere: {error}")),
    }
}

/// Every reference in a schema with the place where it stands.
fn find_references(value: &Value, pointer: &mut String, found: &mut Vec<(String, String)>) {
    let length = pointer.len();
    let mut inside = |name: &str, value: &Value| {
        push_name(pointer, name);
        match value {
            Value::String(target) if matches!(name, "$ref" | "$dynamicRef" | "$recursiveRef") => {
                found.push((pointer.clone(), target.clone()));
            }
            value => find_references(value, pointer, found),
        }
        pointer.truncate(length);
    };
    match value {
        Value::Object(object) => object.iter().for_each(|(name, value)| inside(name, value)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, item)| inside(&index.to_string(), item));
        }
        _ => {}
    }
}
