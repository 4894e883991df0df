//! JSON about callers: an object in which no name stands twice, as of two readers each could believe another one of the two.

use serde_json::{Map, Value};

/// How deep arrays and objects may stand in each other.
const MAX_DEPTH: usize = 127;

/// Reads an object without repeated names, and nothing behind it.
pub(crate) fn object(bytes: &[u8]) -> Option<Map<String, Value>> {
    match contract::read_json(bytes, MAX_DEPTH) {
        Ok(Value::Object(object)) => Some(object),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stands_once_at_any_depth() {
        for good in ["{}", r#"{"a":1,"b":{"a":[1.5,null,true,"x",-2]}}"#, r#" {"a":{"b":1},"c":{"b":2}} "#] {
            let plain: Value = serde_json::from_str(good).expect("it is JSON");
            assert_eq!(object(good.as_bytes()).map(Value::Object), Some(plain));
        }
        let deep = format!("{{\"a\":{}1{}}}", "[".repeat(200), "]".repeat(200));
        for bad in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"{"a":[{"b":1,"b":1}]}"#,
            "[]",
            "1",
            "",
            "{}{}",
            r#"{"a":1,}"#,
            "{\"a\":\"\u{0}\"}",
            "{\"a\":1e999}",
            &deep,
        ] {
            assert_eq!(object(bad.as_bytes()), None, "{bad}");
        }
    }
}
