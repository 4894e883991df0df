//! The manual is made from the comments on the model's types, so that it cannot fall behind them.
//! `UPDATE_DOCS=1 cargo test -p tollgate-gateway --test config_schema` writes `docs/reference.md` anew.
#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Map, Value};

#[test]
fn the_reference_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference.md");
    let text = Manual::of(&gateway::config::schema()).text;
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &text).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == text, "docs/reference.md is out of date: run this test with UPDATE_DOCS=1");
}

/// The manual under construction: one section for each kind of map, then the kinds of values.
struct Manual<'s> {
    definitions: &'s Map<String, Value>,
    text: String,
}

impl<'s> Manual<'s> {
    fn of(schema: &'s Value) -> Self {
        let mut manual =
            Self { definitions: schema["$defs"].as_object().unwrap(), text: INTRODUCTION.to_owned() };
        manual.section("The file", schema);
        let (maps, values): (Vec<_>, Vec<_>) =
            manual.definitions.iter().partition(|(_, definition)| properties(definition).is_some());
        for (name, definition) in maps {
            manual.section(&heading(name), definition);
        }
        let (words, values): (Vec<_>, Vec<_>) =
            values.into_iter().partition(|(_, definition)| definition.get("type").is_none());
        for (name, definition) in words {
            manual.section(&heading(name), definition);
        }
        manual.text.push_str("## Values\n\n| value | how it is written |\n| --- | --- |\n");
        for (name, definition) in values {
            let _ = writeln!(manual.text, "| {} | {} |", heading(name), description(definition));
        }
        manual
    }

    fn section(&mut self, title: &str, definition: &Value) {
        let _ = write!(self.text, "## {title}\n\n{}\n\n", description(definition));
        if let Some(properties) = properties(definition) {
            self.keys(title, definition, properties);
        }
        for choices in ["oneOf", "anyOf"] {
            let choices = definition.get(choices).and_then(Value::as_array);
            let words: Vec<String> = choices.into_iter().flatten().filter_map(Self::word).collect();
            if !words.is_empty() {
                let _ = writeln!(self.text, "{}\n", words.join("\n"));
            }
        }
    }

    fn keys(&mut self, title: &str, definition: &Value, properties: &Map<String, Value>) {
        let policies = self.definitions["Policies"]["properties"].as_object().unwrap();
        let inherits = title != "Policies" && policies.keys().all(|policy| properties.contains_key(policy));
        let required = map_of(definition).and_then(|map| map.get("required")).and_then(Value::as_array);
        self.text.push_str("| key | takes | what it does |\n| --- | --- | --- |\n");
        for (key, property) in properties {
            if inherits && policies.contains_key(key) {
                continue;
            }
            let must = required.is_some_and(|required| required.iter().any(|name| name == key));
            let must = if must { " (required)" } else { "" };
            let takes = self.takes(property);
            let _ = writeln!(self.text, "| `{key}`{must} | {takes} | {} |", description(property));
        }
        if let Some(values) =
            map_of(definition).and_then(|map| map.get("additionalProperties")).filter(|v| v.is_object())
        {
            let _ = writeln!(
                self.text,
                "| any other name | {} | {} |",
                self.takes(values),
                self.described(values)
            );
        }
        self.text.push('\n');
        if inherits {
            self.text.push_str("And any of the [policies](#policies).\n\n");
        }
    }

    /// A value among a fixed few, as a list item.
    fn word(choice: &Value) -> Option<String> {
        if let Some(words) = choice.get("enum").and_then(Value::as_array) {
            let words: Vec<String> =
                words.iter().map(|word| format!("- `{}`", word.as_str().unwrap())).collect();
            return Some(words.join("\n"));
        }
        if let Some(word) = choice.get("const").and_then(Value::as_str) {
            return Some(format!("- `{word}`: {}", description(choice)));
        }
        if choice.get("oneOf").is_some() {
            let words = choice["oneOf"].as_array().unwrap().iter().filter_map(Self::word);
            return Some(words.collect::<Vec<_>>().join("\n"));
        }
        let key = choice.get("required").and_then(Value::as_array).filter(|keys| keys.len() == 1)?;
        let described = description(choice);
        let key = key[0].as_str().unwrap();
        (!described.is_empty()).then(|| format!("- `{{ {key}: … }}`: {described}"))
    }

    /// What a key takes, in a few words with links.
    fn takes(&self, schema: &Value) -> String {
        if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
            let name = reference.trim_start_matches("#/$defs/");
            let simple =
                self.definitions[name].get("type").is_some() && properties(&self.definitions[name]).is_none();
            let anchor =
                if simple { "values".to_owned() } else { heading(name).to_lowercase().replace(' ', "-") };
            return format!("[{}](#{anchor})", heading(name).to_lowercase());
        }
        if let Some(choices) = schema.get("anyOf").or(schema.get("oneOf")).and_then(Value::as_array) {
            if let Some(items) = choices.iter().find(|choice| choice["type"] == "array") {
                return format!("list of {}", self.takes(&items["items"]));
            }
            return choices.iter().map(|choice| self.takes(choice)).collect::<Vec<_>>().join(" or ");
        }
        if let Some(word) = schema.get("const").and_then(Value::as_str) {
            return format!("`{word}`");
        }
        let kind = schema.get("type").map(|kind| kind.as_array().map_or(kind, |kinds| &kinds[0]));
        match kind.and_then(Value::as_str) {
            Some("object") => match schema.get("additionalProperties").filter(|values| values.is_object()) {
                Some(values) => format!("map of names to {}", self.takes(values)),
                None => "map".to_owned(),
            },
            Some("integer") => "number".to_owned(),
            Some("boolean") => "`true` or `false`".to_owned(),
            _ => "text".to_owned(),
        }
    }

    fn described(&self, schema: &Value) -> String {
        let name = schema
            .get("$ref")
            .and_then(Value::as_str)
            .map(|reference| reference.trim_start_matches("#/$defs/"));
        name.map(|name| description(&self.definitions[name])).unwrap_or_default()
    }
}

/// The part of a definition that is a map with fixed keys.
fn map_of(definition: &Value) -> Option<&Value> {
    let choices = definition.get("anyOf").and_then(Value::as_array);
    std::iter::once(definition)
        .chain(choices.into_iter().flatten())
        .find(|one| one.get("properties").is_some())
}

fn properties(definition: &Value) -> Option<&Map<String, Value>> {
    map_of(definition)?.get("properties")?.as_object()
}

fn description(schema: &Value) -> String {
    schema.get("description").and_then(Value::as_str).unwrap_or_default().replace('|', "\\|")
}

/// `RequestPolicy` as `Request policy`.
fn heading(name: &str) -> String {
    let mut words = String::new();
    for (index, character) in name.chars().enumerate() {
        if character.is_uppercase() && index > 0 {
            words.push(' ');
            words.extend(character.to_lowercase());
        } else {
            words.push(character);
        }
    }
    words
}

const INTRODUCTION: &str = "<!-- Made from the comments in crates/gateway/src/config; change them there. -->
# Configuration reference

Every key that this version serves. `tollgate schema` prints the same as a JSON Schema for editors; the
[guide](configuration.md) shows how the parts go together.

A list of one may be written without its brackets. `${env:NAME}` and `${file:path}` may stand in any value.

";
