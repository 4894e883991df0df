//! What it costs to judge a message by its contract.
//!
//! `cargo bench -p tollgate-contract --bench check`. The body is an order of 1 KiB.

use std::hint::black_box;
use std::time::Instant;

use contract::{Found, OpenApi, OpenApiOptions, RequestView, Schema};
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Method};

/// Messages in one round.
const MESSAGES: u32 = 1_000;
const ROUNDS: usize = 50;

const SCHEMA: &str = include_str!("order.schema.json");

fn main() {
    let schema = Schema::read(SCHEMA.as_bytes()).expect("a schema");
    let body = order();
    println!(
        "{:<56} {:>10}",
        format!("µs a message of {} bytes (best of {ROUNDS} rounds)", body.len()),
        "µs"
    );
    measure("JSON alone, as serde_json reads it", || {
        serde_json::from_str::<serde_json::Value>(black_box(&body)).is_ok()
    });
    measure("JSON Schema, as it says", || schema.validate(black_box(body.as_bytes())).is_ok());
    let wrong = body.replace("\"new\"", "\"old\"").replace("12.5", "-1");
    measure("JSON Schema, with eight violations told", || {
        schema.validate(black_box(wrong.as_bytes())).is_err_and(|violations| violations.len() == 8)
    });

    let api = OpenApi::read(document().as_bytes(), &OpenApiOptions::default()).expect("a document");
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert("x-tenant", HeaderValue::from_static("acme"));
    let target = "/v1/shops/1b4e28ba-2fa1-11d2-883f-0016d3cca427/orders";
    let query = "dry_run=true&tags=a&tags=b&limit=20";
    let judge = |body: Option<&[u8]>| match api.find(&Method::POST, black_box(target)) {
        Found::Operation(operation, path) => {
            operation.check_request(&RequestView { path: &path, query, headers: &headers, body }).is_empty()
        }
        _ => false,
    };
    measure("OpenAPI: path, three of the query, a header", || judge(None));
    measure("OpenAPI: the same and the body", || judge(Some(body.as_bytes())));
}

fn measure(name: &str, check: impl Fn() -> bool) {
    let mut best = u128::MAX;
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        for _ in 0..MESSAGES {
            assert!(check(), "{name}");
        }
        best = best.min(begun.elapsed().as_nanos());
    }
    println!("{name:<56} {:>10.2}", best as f64 / f64::from(MESSAGES) / 1_000.0);
}

/// An order with seven lines.
fn order() -> String {
    let lines: Vec<String> = (0..7)
        .map(|line| {
            format!(
                r#"{{"sku":"AB-{line:04}","name":"A thing with a longer name, number {line}","count":{},"price":12.5,"tags":["new line","sale"]}}"#,
                line + 1
            )
        })
        .collect();
    format!(
        r#"{{"id":"1b4e28ba-2fa1-11d2-883f-0016d3cca427","placed":"2026-03-01T12:30:00Z","state":"new","customer":{{"name":"Ada Lovelace","email":"ada@example.com","city":"London"}},"lines":[{}]}}"#,
        lines.join(",")
    )
}

/// A document with the order as the body of one of 200 operations.
fn document() -> String {
    let others: Vec<String> = (0..199).map(|n| format!("\"/other{n}/{{id}}\": {{\"get\": {{}}}}")).collect();
    format!(
        r##"{{"openapi": "3.1.0", "servers": [{{"url": "/v1"}}], "paths": {{{}, "/shops/{{shop}}/orders": {{"post": {{
            "parameters": [
                {{"name": "shop", "in": "path", "required": true, "schema": {{"type": "string", "format": "uuid"}}}},
                {{"name": "dry_run", "in": "query", "schema": {{"type": "boolean"}}}},
                {{"name": "tags", "in": "query", "schema": {{"type": "array", "items": {{"type": "string"}}}}}},
                {{"name": "limit", "in": "query", "schema": {{"type": "integer", "maximum": 100}}}},
                {{"name": "X-Tenant", "in": "header", "required": true, "schema": {{"type": "string"}}}}
            ],
            "requestBody": {{"content": {{"application/json": {{"schema": {{"$ref": "#/components/schemas/order"}}}}}}}}
        }}}}}}, "components": {{"schemas": {{"order": {}}}}}}}"##,
        others.join(","),
        SCHEMA.replace("#/$defs/line", "#/components/schemas/order/$defs/line")
    )
}
