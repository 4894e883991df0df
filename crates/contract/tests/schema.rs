//! What is told of values that a schema refuses, and of schemas that cannot be used.

#![allow(clippy::unwrap_used)]

use contract::{MAX_VIOLATIONS, Schema};
use proptest::prelude::*;
use serde_json::{Value, json};

/// A schema of the draft that it names, or of the one that is usual.
fn schema(schema: &Value) -> Schema {
    let mut schema = schema.clone();
    if let Some(object) = schema.as_object_mut() {
        let usual = json!("https://json-schema.org/draft/2020-12/schema");
        object.entry("$schema").or_insert(usual);
    }
    Schema::read(schema.to_string().as_bytes()).unwrap()
}

fn told(schema: &Schema, value: &str) -> Vec<(String, String)> {
    let violations = schema.validate(value.as_bytes()).err().unwrap_or_default();
    violations.iter().map(|one| (one.pointer.clone(), one.message.clone())).collect()
}

#[test]
fn every_violation_is_told_with_its_place() {
    let order = schema(&json!({
        "type": "object",
        "required": ["id", "items"],
        "additionalProperties": false,
        "properties": {
            "id": {"type": "string", "format": "uuid"},
            "items": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/item"}},
            "state": {"enum": ["new", "paid"]}
        },
        "$defs": {"item": {
            "type": "object",
            "required": ["price"],
            "properties": {"price": {"type": "number", "exclusiveMinimum": 0}, "a/b": {"pattern": "^[a-z]+$"}}
        }}
    }));
    assert_eq!(told(&order, r#"{"id":"1b4e28ba-2fa1-11d2-883f-0016d3cca427","items":[{"price":1}]}"#), []);
    let pair = |pointer: &str, message: &str| (pointer.to_owned(), message.to_owned());
    assert_eq!(
        told(&order, r#"{"items":[{"price":"1"},{"price":0,"a/b":"X"},{}],"state":"gone","extra":1}"#),
        [
            pair("/id", "is missing"),
            pair("/items/0/price", "must be a number"),
            pair("/items/1/price", "must be more than 0"),
            pair("/items/1/a~1b", "must match `^[a-z]+$`"),
            pair("/items/2/price", "is missing"),
            pair("/state", "must be one of \"new\", \"paid\""),
            pair("/extra", "is not allowed here"),
        ]
    );
    assert_eq!(told(&order, "[]"), [pair("", "must be an object")]);
    assert_eq!(
        told(&order, r#"{"id":1,"id":2}"#)[0].1,
        "is not JSON: the name \"id\" stands twice at line 1 column 12"
    );
    let violations = order.validate(b"{\"items\":[]}").unwrap_err();
    let schemas: Vec<_> = violations.iter().map(|one| one.schema.as_str()).collect();
    assert_eq!(schemas, ["/required", "/properties/items/minItems"]);
}

#[test]
fn every_keyword_has_its_sentence() {
    let cases: [(Value, Value, &str, &str); 31] = [
        (json!({"type": ["integer", "null"]}), json!("x"), "", "must be an integer or null"),
        (json!({"const": "a"}), json!("b"), "", "must be \"a\""),
        (json!({"minimum": 3}), json!(2), "", "must be at least 3"),
        (json!({"maximum": 3}), json!(4), "", "must be at most 3"),
        (json!({"exclusiveMaximum": 3}), json!(3), "", "must be less than 3"),
        (json!({"multipleOf": 0.01}), json!(0.005), "", "must be a multiple of 0.01"),
        (json!({"minLength": 1}), json!(""), "", "must have at least 1 character"),
        (json!({"maxLength": 2}), json!("abc"), "", "must have at most 2 characters"),
        (json!({"maxItems": 1}), json!([1, 2]), "", "must have at most 1 item"),
        (json!({"uniqueItems": true}), json!([1, 1]), "", "must not hold an item twice"),
        (json!({"minProperties": 2}), json!({}), "", "must have at least 2 members"),
        (json!({"maxProperties": 0}), json!({"a": 1}), "", "must have at most 0 members"),
        (json!({"format": "date"}), json!("2024-02-30"), "", "must be of the format date"),
        (json!({"format": "email"}), json!("nobody"), "", "must be of the format email"),
        (json!({"not": {"type": "null"}}), json!(null), "", "is what it must not be"),
        (
            json!({"contains": {"type": "null"}}),
            json!([1]),
            "",
            "must hold at least 1 of the items that its schema asks for",
        ),
        (
            json!({"contains": true, "maxContains": 1}),
            json!([1, 2]),
            "",
            "must hold at most 1 of the items that its schema asks for",
        ),
        (
            json!({"propertyNames": {"maxLength": 1}}),
            json!({"ab": 1}),
            "/ab",
            "has a name that is not allowed",
        ),
        (json!({"dependentRequired": {"a": ["b"]}}), json!({"a": 1}), "/b", "is missing beside \"a\""),
        (json!({"dependentSchemas": {"a": {"required": ["b"]}}}), json!({"a": 1}), "/b", "is missing"),
        (json!({"patternProperties": {"^x": {"type": "null"}}}), json!({"xy": 1}), "/xy", "must be null"),
        (
            json!({"prefixItems": [true, {"type": "null"}], "items": false}),
            json!([1, null, 2]),
            "/2",
            "is not allowed here",
        ),
        (
            json!({"anyOf": [{"type": "string"}, {"type": "null"}]}),
            json!(1),
            "",
            "is as none of the 2 forms say that are allowed",
        ),
        (
            json!({"anyOf": [{"type": "string", "minLength": 2}, {"type": "null"}]}),
            json!("a"),
            "",
            "must have at least 2 characters",
        ),
        (
            json!({"oneOf": [true, {"type": "null"}]}),
            json!(null),
            "",
            "is as 2 of the 2 forms say, and may be only one",
        ),
        (
            json!({"oneOf": [
                {"properties": {"kind": {"const": "cat"}, "lives": {"type": "integer"}}},
                {"properties": {"kind": {"const": "dog"}, "lives": {"const": 1}}}
            ]}),
            json!({"kind": "cat", "lives": "nine"}),
            "/lives",
            "must be an integer",
        ),
        (
            json!({"if": {"type": "string"}, "then": {"minLength": 2}}),
            json!("a"),
            "",
            "must have at least 2 characters",
        ),
        (json!({"if": {"type": "string"}, "else": {"type": "null"}}), json!(1), "", "must be null"),
        (
            json!({"properties": {"a": true}, "unevaluatedProperties": false}),
            json!({"a": 1, "b": 2}),
            "/b",
            "is not allowed here",
        ),
        (
            json!({"allOf": [{"properties": {"a": true}}], "unevaluatedProperties": {"type": "null"}}),
            json!({"a": 1, "b": 2}),
            "/b",
            "must be null",
        ),
        (
            json!({"prefixItems": [true], "unevaluatedItems": false}),
            json!([1, 2]),
            "",
            "is not as its schema says",
        ),
    ];
    for (text, value, pointer, message) in cases {
        let found = told(&schema(&text), &value.to_string());
        assert_eq!(found, [(pointer.to_owned(), message.to_owned())], "{text}");
    }
}

#[test]
fn the_draft_decides_what_a_schema_means() {
    let draft7 = "http://json-schema.org/draft-07/schema#";
    let draft2019 = "https://json-schema.org/draft/2019-09/schema";
    let pairs = json!({"items": [{"type": "string"}, {"type": "null"}], "additionalItems": false});
    for draft in [draft7, draft2019] {
        let mut text = pairs.clone();
        text["$schema"] = json!(draft);
        let found = told(&schema(&text), "[1,null,2]");
        let pointers: Vec<_> = found.iter().map(|(pointer, _)| pointer.as_str()).collect();
        assert_eq!(pointers, ["/0", "/2"], "{draft}");
    }
    // What stands beside a reference counts from 2019-09 on.
    let beside = json!({"$defs": {"a": true}, "$ref": "#/$defs/a", "type": "null"});
    for (draft, refused) in [(draft7, false), (draft2019, true)] {
        let mut text = beside.clone();
        text["$schema"] = json!(draft);
        assert_eq!(!told(&schema(&text), "1").is_empty(), refused, "{draft}");
    }
    let old = json!({"$schema": draft7, "dependencies": {"a": ["b"], "c": {"required": ["d"]}}});
    assert_eq!(told(&schema(&old), r#"{"a":1,"c":1}"#).len(), 2);
}

#[test]
fn faults_of_a_schema_are_told_to_its_author() {
    let cases = [
        (
            json!({"$ref": "http://example.com/a.json"}),
            "/$ref",
            "only references within the file are followed",
        ),
        (json!({"items": {"$ref": "file:///etc/passwd"}}), "/items/$ref", "only references within the file"),
        (json!({"properties": {"a": {"$ref": "b.json#/x"}}}), "/properties/a/$ref", "refers to `b.json#/x`"),
        (json!({"items": {"$ref": "#/$defs/none"}}), "/items/$ref", "which is not in this file"),
        (json!({"$ref": "#nowhere"}), "/$ref", "refers to `#nowhere`"),
        (json!({"pattern": "(?=a)b"}), "/pattern", "look-around and back-references are not supported"),
        (json!({"items": {"pattern": "(a)\\1"}}), "/items/pattern", "`(a)\\1` is no regular expression"),
        (json!({"pattern": "((a{1000}){1000}){1000}"}), "/pattern", "may not grow too large"),
        (json!({"patternProperties": {"(": {}}}), "/patternProperties/(", "`(` is no regular expression"),
        (json!({"properties": {"a": {"type": "strin"}}}), "/properties/a/type", "is no type: array, boolean"),
        (
            json!({"properties": {"a": {"minLength": -1}}}),
            "/properties/a/minLength",
            "is not what a schema has here",
        ),
        (
            json!({"$schema": "http://json-schema.org/draft-04/schema#"}),
            "/$schema",
            "a dialect that is not known",
        ),
        (json!({"$schema": 7}), "/$schema", "a dialect that is not known"),
        (json!({"openapi": "3.1.0"}), "", "is an OpenAPI document"),
        (json!({"paths": {}, "routes": []}), "", "is no JSON Schema"),
        (json!(3), "", "is not what a schema has here"),
    ];
    for (text, pointer, message) in cases {
        let faults = Schema::read(text.to_string().as_bytes()).unwrap_err();
        assert_eq!(faults[0].pointer, pointer, "{text}: {}", faults[0]);
        assert!(faults[0].message.contains(message), "{text}: {}", faults[0]);
    }
    assert!(Schema::read(b"type: string\nminLength: 2\n").unwrap().validate(b"\"a\"").is_err());
    for text in ["", "{", "type: [", "\u{0}"] {
        assert!(Schema::read(text.as_bytes()).is_err(), "{text:?}");
    }
}

#[test]
fn an_explanation_does_not_grow_with_what_is_sent() {
    let branching = schema(&json!({"anyOf": [
        {"properties": {"a": {"$ref": "#"}}, "required": ["x"]},
        {"properties": {"a": {"$ref": "#"}}, "required": ["y"]}
    ]}));
    // Twice the work for each level, were every way gone.
    let mut value = json!({});
    for _ in 0..60 {
        value = json!({"a": value, "x": 1, "y": 1});
    }
    assert_eq!(told(&branching, &value.to_string()).len(), 1);

    let texts = schema(&json!({"items": {"type": "string"}}));
    let numbers = format!("[{}0]", "0,".repeat(200_000));
    let violations = texts.validate(numbers.as_bytes()).unwrap_err();
    assert_eq!(violations.len(), MAX_VIOLATIONS);

    let itself = schema(
        &json!({"allOf": [{"$ref": "#/$defs/a"}], "$defs": {"a": {"anyOf": [{"$ref": "#/$defs/a"}, {"type": "null"}]}}}),
    );
    let _ = itself.validate(b"1");
}

#[test]
fn what_was_sent_is_not_repeated() {
    let secret = "hunter2";
    for text in [
        json!({"type": "integer"}),
        json!({"const": "x"}),
        json!({"format": "date"}),
        json!({"pattern": "^x"}),
        json!({"anyOf": [{"type": "null"}, {"type": "integer"}]}),
        json!({"not": {"type": "string"}}),
        json!({"maxLength": 1}),
    ] {
        let violations = schema(&text).validate(format!("\"{secret}\"").as_bytes()).unwrap_err();
        assert!(!violations.to_string().contains(secret), "{violations}");
    }
    let broken = schema(&json!(true)).validate(format!("{{\"a\": {secret}}}").as_bytes()).unwrap_err();
    assert!(!broken.to_string().contains(secret), "{broken}");
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-c]{0,3}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec(("[a-c]", inner), 0..4)
                .prop_map(|list| list.into_iter().collect::<Value>()),
        ]
    })
}

proptest! {
    #[test]
    fn any_bytes_are_judged(bytes: Vec<u8>) {
        let _ = schema(&json!({"type": "object"})).validate(&bytes);
        let _ = Schema::read(&bytes);
    }

    #[test]
    fn a_refusal_has_a_reason(value in any_value()) {
        let tree = schema(&json!({
            "anyOf": [{"type": "object", "required": ["a"]}, {"type": ["string", "null"], "minLength": 1}, {"type": "array", "maxItems": 2}],
            "properties": {"a": {"$ref": "#"}, "b": {"type": "integer"}},
            "items": {"$ref": "#"}, "uniqueItems": true
        }));
        if let Err(violations) = tree.validate(value.to_string().as_bytes()) {
            prop_assert!(!violations.is_empty());
            prop_assert!(!violations.to_string().contains("is not as its schema says"), "{value}: {violations}");
            for violation in &violations {
                let parent = violation.pointer.rsplit_once('/').map_or("", |(parent, _)| parent);
                prop_assert!(value.pointer(&violation.pointer).or(value.pointer(parent)).is_some());
            }
        }
    }
}
