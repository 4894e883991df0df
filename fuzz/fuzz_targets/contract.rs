//! Messages against a contract, and contracts themselves: whatever comes is judged, and a refusal has a reason.
#![no_main]

use std::sync::LazyLock;

use contract::{Found, OpenApi, OpenApiOptions, RequestView, Schema};
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Method};
use libfuzzer_sys::fuzz_target;

static SCHEMA: LazyLock<Schema> =
    LazyLock::new(|| Schema::read(include_bytes!("../../crates/contract/benches/order.schema.json")).unwrap());

static API: LazyLock<OpenApi> = LazyLock::new(|| {
    let text = br##"{"openapi": "3.0.3", "paths": {"/x/{id}": {"post": {"parameters": [
        {"name": "id", "in": "path", "style": "matrix", "schema": {"type": "array", "items": {"type": "integer"}}},
        {"name": "q", "in": "query", "style": "deepObject", "schema": {"type": "object"}},
        {"name": "o", "in": "query", "schema": {"type": "object", "properties": {"a": {"type": "array"}}}},
        {"name": "c", "in": "cookie", "schema": {"type": "integer"}}
    ], "requestBody": {"content": {"*/*": {"schema": {"$ref": "#/components/schemas/tree"}}}}}}},
    "components": {"schemas": {"tree": {"type": "object", "nullable": true, "properties": {
        "a": {"type": "integer"}, "b": {"type": "array", "items": {"$ref": "#/components/schemas/tree"}}}}}}}"##;
    let options = OpenApiOptions { refuse_unknown: true, ..OpenApiOptions::default() };
    OpenApi::read(text, &options).unwrap()
});

const TYPES: [&str; 4] = [
    "application/json",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=b",
    "text/plain",
];

fuzz_target!(|bytes: &[u8]| {
    if let Err(violations) = SCHEMA.validate(bytes) {
        assert!(!violations.is_empty(), "a refusal has a reason");
    }
    if let Ok(schema) = Schema::read(bytes) {
        let _ = schema.validate(br#"{"a":[1,{"b":"c"}]}"#);
        let _ = schema.validate(bytes);
    }
    let _ = OpenApi::read(bytes, &OpenApiOptions { responses: true, ..OpenApiOptions::default() });

    let Some((kind, rest)) = bytes.split_first() else { return };
    let text = String::from_utf8_lossy(rest);
    let (path, query) = text.split_once('?').unwrap_or((&text, &text));
    let path = format!("/x/{path}");
    let Found::Operation(operation, path) = API.find(&Method::POST, &path) else { return };
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(TYPES[usize::from(*kind) % TYPES.len()]));
    if let Ok(value) = HeaderValue::from_bytes(rest) {
        headers.insert("cookie", value);
    }
    let _ = operation.check_request(&RequestView { path: &path, query, headers: &headers, body: Some(rest) });
});
