//! JSON in which no name stands twice and nothing nests too deeply: of two readers, each could believe another one of
//! the two names, and the one behind us might not survive the depth.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::fault::Fault;
use crate::violation::quote;

/// How deep arrays and objects may stand in each other. JSON in use seldom passes ten.
pub(crate) const MAX_DEPTH: usize = 64;

/// Reads one value and nothing behind it, in which arrays and objects stand in each other at most so deep. `serde_json` itself stops at
/// 127.
///
/// The error is a sentence for whoever wrote the text.
pub fn read_json(bytes: &[u8], depth: usize) -> Result<Value, serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    Strict::new(depth).deserialize(&mut reader).and_then(|value| reader.end().map(|()| value))
}

/// The same, as deep as messages may be.
pub(crate) fn read(bytes: &[u8]) -> Result<Value, String> {
    read_json(bytes, MAX_DEPTH).map_err(|error| error.to_string())
}

/// Reads a contract: JSON, or YAML of one document.
pub(crate) fn read_contract(bytes: &[u8]) -> Result<Value, Vec<Fault>> {
    let text = std::str::from_utf8(bytes).map_err(|_| vec![Fault::new("", "is not UTF-8 text")])?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let value = if text.trim_start().starts_with(['{', '[']) {
        read(text.as_bytes()).map_err(|error| format!("is not JSON: {error}"))
    } else {
        let options = serde_saphyr::options! { with_snippet: false, strict_booleans: true };
        serde_saphyr::with_deserializer_from_str_with_options(text, options, |reader| {
            Strict::new(MAX_DEPTH).deserialize(reader)
        })
        .map_err(|error| format!("is not YAML: {error}"))
    };
    value.map_err(|message| vec![Fault::new("", message)])
}

/// A value in which others may stand so deep.
#[derive(Clone, Copy)]
struct Strict {
    left: usize,
    most: usize,
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Strict {
    fn new(most: usize) -> Self {
        Self { left: most, most }
    }

    fn deeper<E: Error>(self) -> Result<Self, E> {
        let deeper = self.left.checked_sub(1).map(|left| Self { left, ..self });
        deeper.ok_or_else(|| E::custom(format_args!("nested deeper than {} levels", self.most)))
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON without repeated names")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("a number without bounds"))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(inner)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            if object.contains_key(&name) {
                return Err(A::Error::custom(format_args!("the name \"{}\" stands twice", quote(&name))));
            }
            let value = members.next_value_seed(inner)?;
            object.insert(name, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn json_is_read_to_the_letter() {
        let cases: [(&str, Option<Value>); 14] = [
            (r#"{"a":[1,-2,3.5,"x",null,true]}"#, Some(json!({"a": [1, -2, 3.5, "x", null, true]}))),
            (" 1 ", Some(json!(1))),
            (r#""é""#, Some(json!("é"))),
            ("18446744073709551615", Some(json!(u64::MAX))),
            ("", None),
            ("{} {}", None),
            ("[1,]", None),
            ("{'a':1}", None),
            ("NaN", None),
            ("1e400", None),
            ("01", None),
            (r#"{"a":1,"a":2}"#, None),
            (r#"[{"b":{"a":1,"\u0061":2}}]"#, None),
            ("\"\\ud800\"", None),
        ];
        for (text, expected) in cases {
            assert_eq!(read(text.as_bytes()).ok(), expected, "{text}");
        }
        assert!(read(b"\"\xff\"").is_err());
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(read(nested(MAX_DEPTH).as_bytes()).is_ok());
        assert!(read(nested(MAX_DEPTH + 1).as_bytes()).unwrap_err().contains("deeper than 64 levels"));
        assert!(read(nested(100_000).as_bytes()).is_err());
        assert!(read("{\"a\":".repeat(100_000).as_bytes()).is_err());
    }

    #[test]
    fn contracts_are_json_or_yaml_without_repeated_names() {
        let read = |text: &str| read_contract(text.as_bytes());
        assert_eq!(
            read("a: 1\nb: {200: yes, c: [1.5, x]}\n").unwrap(),
            json!({"a": 1, "b": {"200": "yes", "c": [1.5, "x"]}})
        );
        assert_eq!(read("\u{feff}{\"a\": 1}").unwrap(), json!({"a": 1}));
        assert_eq!(read("a: &x {b: 1}\nc: *x\n").unwrap(), json!({"a": {"b": 1}, "c": {"b": 1}}));
        for wrong in ["a: 1\na: 2\n", "{\"a\":1,\"a\":2}", "a: [", "--- 1\n--- 2\n", "{"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
