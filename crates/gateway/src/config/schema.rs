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

/// A map that one text, or the list in its only required key, may stand for.
pub(super) fn or_text_or_list(schema: &mut Schema) {
    let list = schema.get("required").and_then(Value::as_array).and_then(|required| required.first());
    let list = list.and_then(Value::as_str).and_then(|key| schema.get("properties")?.get(key));
    let items = list.and_then(|list| list.get("items")).cloned().unwrap_or(json!(true));
    or(schema, vec![json!({ "type": "string" }), json!({ "type": "array", "items": items })]);
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
