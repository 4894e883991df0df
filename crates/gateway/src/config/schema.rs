//! The JSON Schema of the language (draft 2020-12), for editors; made from the model's types and their comments.

use std::sync::OnceLock;

use schemars::transform::RecursiveTransform;
use schemars::{Schema, generate::SchemaSettings, json_schema};
use serde_json::{Value, json};

use super::model::Config;

/// The JSON Schema of the whole language that this version serves.
pub fn schema() -> Value {
    static SCHEMA: OnceLock<Value> = OnceLock::new();
    SCHEMA.get_or_init(generate).clone()
}

fn generate() -> Value {
    let settings = SchemaSettings::draft2020_12()
        .with_transform(RecursiveTransform(no_null))
        .with_transform(RecursiveTransform(closed))
        .with_transform(RecursiveTransform(one_or_many))
        .with_transform(RecursiveTransform(scalars))
        .with_transform(RecursiveTransform(one_line));
    let mut schema = settings.into_generator().into_root_schema_for::<Config>();
    schema.insert("title".to_owned(), "Tollgate configuration".into());
    schema.to_value()
}

/// Keys are left out, never null: an empty value is a mistake.
fn no_null(schema: &mut Schema) {
    let null = json!({ "type": "null" });
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|kind| kind != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            schema.insert("type".to_owned(), only);
        }
    }
    let Some(Value::Array(choices)) = schema.get_mut("anyOf") else {
        return;
    };
    choices.retain(|choice| *choice != null);
    if let [Value::Object(only)] = choices.as_slice() {
        let only = only.clone();
        schema.remove("anyOf");
        for (key, value) in only {
            if schema.get(&key).is_none() {
                schema.insert(key, value);
            }
        }
    }
}

/// Maps with fixed keys take no others.
fn closed(schema: &mut Schema) {
    let fixed = schema.get("properties").is_some();
    if fixed && schema.get("additionalProperties").is_none() {
        schema.insert("additionalProperties".to_owned(), false.into());
    }
}

/// A list of one may be written without its brackets.
fn one_or_many(schema: &mut Schema) {
    let Some(Value::Object(properties)) = schema.get_mut("properties") else {
        return;
    };
    for property in properties.values_mut().filter_map(Value::as_object_mut) {
        if property.get("type").is_some_and(|kind| kind == "array") {
            let items = property.remove("items").unwrap_or(json!(true));
            property.remove("type");
            property.insert("anyOf".to_owned(), json!([items, { "type": "array", "items": items }]));
        }
    }
}

/// Numbers may come from outside, `${env:…}`, and the values of headers need no quotes when they look like numbers.
fn scalars(schema: &mut Schema) {
    if schema.get("type").is_some_and(|kind| kind == "integer") {
        schema.insert("type".to_owned(), json!(["integer", "string"]));
        schema.insert("pattern".to_owned(), "\\$\\{".into());
        schema.remove("format");
    }
    if schema.get("additionalProperties").is_some_and(|values| *values == json!({ "type": "string" })) {
        let scalar = json!({ "type": ["string", "number", "boolean"] });
        schema.insert("additionalProperties".to_owned(), scalar);
    }
}

/// Comments are wrapped for the source code, not for the reader of a tooltip.
fn one_line(schema: &mut Schema) {
    if let Some(Value::String(text)) = schema.get_mut("description") {
        *text = text.replace('\n', " ");
    }
}

/// A map that one text may stand for.
pub(super) fn or_text(schema: &mut Schema) {
    or(schema, vec![json!({ "type": "string" })]);
}

/// A map that one number may stand for.
pub(super) fn or_integer(schema: &mut Schema) {
    or(schema, vec![json!({ "type": ["integer", "string"] })]);
}

/// A map that one number, with or without a fraction, may stand for.
pub(super) fn or_number(schema: &mut Schema) {
    or(schema, vec![json!({ "type": ["number", "string"] })]);
}

/// A map that one text, or the list in its only required key, or else in its first, may stand for.
pub(super) fn or_text_or_list(schema: &mut Schema) {
    let required = schema.get("required").and_then(Value::as_array).and_then(|required| required.first());
    let properties = schema.get("properties").and_then(Value::as_object);
    let first = || properties.and_then(|properties| properties.keys().next()).map(String::as_str);
    let key = required.and_then(Value::as_str).or_else(first);
    let list = key.and_then(|key| properties?.get(key));
    let items = list.and_then(|list| list.get("items")).cloned().unwrap_or(json!(true));
    or(schema, vec![json!({ "type": "string" }), json!({ "type": "array", "items": items })]);
}

/// A map that the word `dev` may stand for.
pub(super) fn or_dev(schema: &mut Schema) {
    or(schema, vec![json!({ "const": "dev" })]);
}

/// A map that the word `true` may stand for.
pub(super) fn or_true(schema: &mut Schema) {
    or(schema, vec![json!({ "const": true })]);
}

/// How a version is chosen: three words, two of them with a map for a name of one's own.
pub(super) fn or_version_words(schema: &mut Schema) {
    or(schema, vec![json!({ "enum": ["path", "header", "media_type"] })]);
}

fn or(schema: &mut Schema, mut choices: Vec<Value>) {
    let mut whole = json_schema!({});
    std::mem::swap(schema, &mut whole);
    let description = whole.remove("description");
    choices.push(whole.to_value());
    if let Some(description) = description {
        schema.insert("description".to_owned(), description);
    }
    schema.insert("anyOf".to_owned(), Value::Array(choices));
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::BTreeSet;

    use super::*;
    use crate::config::model::ALL_KEYS;
    use crate::config::values::Duration;

    #[test]
    fn the_schema_and_the_reader_know_the_same_keys() {
        let schema = schema();
        for (name, keys) in ALL_KEYS {
            let definition = if *name == "Config" { &schema } else { &schema["$defs"][*name] };
            assert!(definition.is_object(), "the schema has no {name}");
            let mut found = BTreeSet::new();
            collect_properties(definition, &mut found);
            let known: BTreeSet<String> = keys.all().map(str::to_owned).collect();
            assert_eq!(found, known, "{name}: schema on the left, reader on the right");
        }
    }

    #[test]
    fn every_map_of_the_schema_has_a_reader() {
        let schema = schema();
        for (name, definition) in schema["$defs"].as_object().unwrap() {
            let mut found = BTreeSet::new();
            collect_properties(definition, &mut found);
            assert!(
                found.is_empty() || ALL_KEYS.iter().any(|(known, _)| known == name),
                "{name} is not in the list of keys"
            );
        }
    }

    #[test]
    fn every_key_is_described_with_its_default() {
        fn walk(value: &Value, path: &str) {
            if let Some(properties) = value.get("properties").and_then(Value::as_object) {
                for (key, property) in properties {
                    let described = property.get("description").or(value.get("description"));
                    let described = described.and_then(Value::as_str).unwrap_or_default();
                    assert!(!described.is_empty(), "{path}/{key} has no description");
                    if let Some(default) = property.get("default") {
                        let told =
                            described.split("Default: `").nth(1).and_then(|rest| rest.split('`').next());
                        let told = told.unwrap_or_default().trim_matches(['[', ']']);
                        assert!(
                            same_value(told, default),
                            "{path}/{key}: {told} is not the default, {default}"
                        );
                    }
                }
            }
            match value {
                Value::Object(map) => {
                    map.iter().for_each(|(key, value)| walk(value, &format!("{path}/{key}")));
                }
                Value::Array(list) => list.iter().for_each(|value| walk(value, path)),
                _ => {}
            }
        }
        walk(&schema(), "");
    }

    /// Whether a text of the manual means this value.
    fn same_value(text: &str, value: &Value) -> bool {
        let value = match value {
            Value::Array(items) if items.len() == 1 => &items[0],
            other => other,
        };
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let duration = |text: &str| Duration::parse(text).ok();
        text == value || duration(text).is_some_and(|told| duration(&value) == Some(told))
    }

    /// The keys of a map, or of all maps among which there is a choice.
    fn collect_properties(schema: &Value, found: &mut BTreeSet<String>) {
        if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
            found.extend(properties.keys().cloned());
        }
        for choices in ["anyOf", "oneOf"] {
            for choice in schema.get(choices).and_then(Value::as_array).into_iter().flatten() {
                collect_properties(choice, found);
            }
        }
    }
}
