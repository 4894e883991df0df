//! The keywords of a schema that look at one value alone, and the sentences about them.

use std::sync::Arc;

use jsonschema::Validator;
use serde_json::Value;

use crate::violation::{join, quote};

/// The longest list of allowed values that is told, in bytes.
const LONGEST_LIST: usize = 200;

/// One keyword with its value.
#[derive(Debug)]
pub(super) struct Leaf {
    pub(super) keyword: Box<str>,
    check: Check,
}

#[derive(Debug)]
enum Check {
    /// Names that must be there.
    Required(Vec<String>),
    /// Names that must be there where another one is.
    Dependent(Vec<(String, Vec<String>)>),
    /// What the validator says, and the sentence when it says no.
    Value { validator: Arc<Validator>, message: String },
}

impl Leaf {
    /// The keyword, where it is one of these; `validator` makes one of it alone.
    pub(super) fn of(
        keyword: &str,
        value: &Value,
        validator: impl FnOnce() -> Option<Arc<Validator>>,
    ) -> Option<Self> {
        let check = match keyword {
            "required" => Check::Required(names(value)?),
            "dependentRequired" | "dependencies" => {
                let lists = value.as_object()?.iter();
                Check::Dependent(
                    lists.filter_map(|(name, list)| Some((name.clone(), names(list)?))).collect(),
                )
            }
            _ => {
                let message = sentence(keyword, value)?;
                Check::Value { validator: validator()?, message }
            }
        };
        Some(Self { keyword: keyword.into(), check })
    }

    /// Whether the value is as the keyword says.
    pub(super) fn accepts(&self, value: &Value) -> bool {
        if let Check::Value { validator, .. } = &self.check {
            return validator.is_valid(value);
        }
        let mut is_whole = true;
        self.tell(value, "", &mut |_, _| is_whole = false);
        is_whole
    }

    /// Tells what is wrong with the value at this pointer.
    pub(super) fn tell(&self, value: &Value, at: &str, tell: &mut dyn FnMut(String, String)) {
        match (&self.check, value) {
            (Check::Required(names), Value::Object(object)) => {
                for name in names.iter().filter(|name| !object.contains_key(*name)) {
                    tell(join(at, name), "is missing".to_owned());
                }
            }
            (Check::Dependent(lists), Value::Object(object)) => {
                for (cause, names) in lists.iter().filter(|(cause, _)| object.contains_key(cause)) {
                    for name in names.iter().filter(|name| !object.contains_key(*name)) {
                        tell(join(at, name), format!("is missing beside \"{}\"", quote(cause)));
                    }
                }
            }
            (Check::Value { validator, message }, value) if !validator.is_valid(value) => {
                tell(at.to_owned(), message.clone());
            }
            _ => {}
        }
    }
}

fn names(value: &Value) -> Option<Vec<String>> {
    Some(value.as_array()?.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect())
}

/// What is told of a value that is not as the keyword says; none for keywords that are not of this kind.
fn sentence(keyword: &str, value: &Value) -> Option<String> {
    let bound = |text: &str| format!("must {text} {value}");
    let count = |text: &str, what: &str| {
        let plural = if value.as_u64() == Some(1) { "" } else { "s" };
        format!("must have {text} {value} {what}{plural}")
    };
    Some(match keyword {
        "type" => format!("must be {}", types(value)),
        "enum" => format!("must be one of {}", list(value.as_array()?)),
        "const" => format!("must be {}", quote(&value.to_string())),
        "minimum" => bound("be at least"),
        "maximum" => bound("be at most"),
        "exclusiveMinimum" => bound("be more than"),
        "exclusiveMaximum" => bound("be less than"),
        "multipleOf" => bound("be a multiple of"),
        "minLength" => count("at least", "character"),
        "maxLength" => count("at most", "character"),
        "minItems" => count("at least", "item"),
        "maxItems" => count("at most", "item"),
        "minProperties" => count("at least", "member"),
        "maxProperties" => count("at most", "member"),
        "uniqueItems" => "must not hold an item twice".to_owned(),
        "pattern" => format!("must match `{}`", quote(value.as_str()?)),
        "format" => format!("must be of the format {}", quote(value.as_str()?)),
        "contentEncoding" => format!("must be encoded as {}", quote(value.as_str()?)),
        "contentMediaType" => format!("must hold {}", quote(value.as_str()?)),
        _ => return None,
    })
}

fn types(value: &Value) -> String {
    let name = |value: &Value| match value.as_str() {
        Some("null") => "null".to_owned(),
        Some(name) if name.starts_with(['a', 'i', 'o']) => format!("an {name}"),
        Some(name) => format!("a {}", quote(name)),
        None => "of another type".to_owned(),
    };
    match value {
        Value::Array(list) => list.iter().map(name).collect::<Vec<_>>().join(" or "),
        value => name(value),
    }
}

fn list(values: &[Value]) -> String {
    let mut text = String::new();
    for (index, value) in values.iter().enumerate() {
        let value = quote(&value.to_string());
        if text.len() + value.len() > LONGEST_LIST {
            text.push_str(", …");
            break;
        }
        text.push_str(if index > 0 { ", " } else { "" });
        text.push_str(&value);
    }
    text
}
