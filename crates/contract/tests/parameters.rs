//! Parameters of OpenAPI documents: every style, and what is told of those that do not fit.

#![allow(clippy::unwrap_used)]

use contract::{Found, OpenApi, OpenApiOptions, RequestView};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use proptest::prelude::*;
use serde_json::{Value, json};

/// What a request with this parameter is told; `target` is a path with its query.
fn told(parameter: &Value, template: &str, target: &str, headers: &[(&'static str, &str)]) -> Vec<String> {
    told_by(&document(&json!([parameter]), template), false, target, headers)
}

fn document(parameters: &Value, template: &str) -> Value {
    json!({"openapi": "3.1.0", "paths": {template: {"get": {"parameters": parameters}}}})
}

fn told_by(
    document: &Value,
    refuse_unknown: bool,
    target: &str,
    headers: &[(&'static str, &str)],
) -> Vec<String> {
    let options = OpenApiOptions { refuse_unknown, ..OpenApiOptions::default() };
    let api = OpenApi::read(document.to_string().as_bytes(), &options).unwrap();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let Found::Operation(operation, values) = api.find(&Method::GET, path) else {
        return vec!["not found".to_owned()];
    };
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    let request = RequestView { path: &values, query, headers: &map, body: None };
    operation.check_request(&request).iter().map(ToString::to_string).collect()
}

#[test]
fn every_style_of_a_parameter_is_read() {
    let list = json!({"type": "array", "const": [3, 4, 5]});
    let list = |items: &Value| {
        let mut schema = list.clone();
        schema["items"] = items.clone();
        schema
    };
    let numbers = list(&json!({"type": "integer"}));
    let color = json!({
        "type": "object", "const": {"R": 100, "G": "a b"},
        "properties": {"R": {"type": "integer"}, "G": {"type": "string"}}
    });
    // Place, style, explode, schema, target.
    let cases = [
        ("path", "simple", false, &numbers, "/x/3,4,5"),
        ("path", "simple", true, &numbers, "/x/3,4,5"),
        ("path", "simple", false, &color, "/x/R,100,G,a%20b"),
        ("path", "simple", true, &color, "/x/R=100,G=a%20b"),
        ("path", "label", false, &numbers, "/x/.3,4,5"),
        ("path", "label", true, &numbers, "/x/.3.4.5"),
        ("path", "label", false, &color, "/x/.R,100,G,a%20b"),
        ("path", "label", true, &color, "/x/.R=100.G=a%20b"),
        ("path", "matrix", false, &numbers, "/x/;v=3,4,5"),
        ("path", "matrix", true, &numbers, "/x/;v=3;v=4;v=5"),
        ("path", "matrix", false, &color, "/x/;v=R,100,G,a%20b"),
        ("path", "matrix", true, &color, "/x/;R=100;G=a%20b"),
        ("query", "form", false, &numbers, "/x?v=3,4,5"),
        ("query", "form", true, &numbers, "/x?v=3&v=4&v=5"),
        ("query", "form", false, &color, "/x?v=R,100,G,a+b"),
        ("query", "form", true, &color, "/x?R=100&G=a%20b"),
        ("query", "spaceDelimited", false, &numbers, "/x?v=3%204+5"),
        ("query", "pipeDelimited", false, &numbers, "/x?v=3|4%7C5"),
        ("query", "spaceDelimited", true, &numbers, "/x?v=3&v=4&v=5"),
        ("query", "deepObject", true, &color, "/x?v[R]=100&v%5BG%5D=a+b"),
        ("cookie", "form", false, &numbers, "/x"),
        ("header", "simple", false, &numbers, "/x"),
    ];
    for (place, style, explode, schema, target) in cases {
        let parameter = json!({
            "name": "v", "in": place, "style": style, "explode": explode, "schema": schema, "required": true
        });
        let template = if place == "path" { "/x/{v}" } else { "/x" };
        let headers: &[_] = match place {
            "header" => &[("v", "3, 4"), ("v", "5")],
            "cookie" => &[("cookie", "a=b; v=3,4,5")],
            _ => &[],
        };
        assert_eq!(
            told(&parameter, template, target, headers),
            [""; 0],
            "{place} {style} {explode} {target}"
        );
        // The same with another value is refused: it was not overlooked.
        let other = target.replace('3', "9").replace("100", "1");
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.replace('3', "9"))).collect();
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        assert_eq!(
            told(&parameter, template, &other, &headers).len(),
            1,
            "{place} {style} {explode} {other}"
        );
    }
}

#[test]
fn texts_become_what_their_schema_speaks_of() {
    let integer = json!({"type": "integer", "minimum": 1});
    let cases = [
        (&integer, "5", ""),
        (&integer, "0", "query v: must be at least 1"),
        (&integer, "5.0", ""),
        (&integer, "5.5", "query v: must be an integer"),
        (&integer, "+5", "query v: must be an integer"),
        (&integer, "05", "query v: must be an integer"),
        (&integer, "0x5", "query v: must be an integer"),
        (&integer, "five", "query v: must be an integer"),
        (&integer, "", "query v: must be an integer"),
        (&integer, "1e400", "query v: must be an integer"),
        (&integer, "1&v=2", "query v: is there more than once"),
        (&integer, "%zz", "query v: is not percent-encoded UTF-8"),
        (&json!({"type": "number"}), "-1.5e3", ""),
        (&json!({"type": "boolean"}), "true", ""),
        (&json!({"type": "boolean"}), "True", "query v: must be a boolean"),
        (&json!({"type": "boolean"}), "1", "query v: must be a boolean"),
        (&json!({"type": ["integer", "null"]}), "", ""),
        (&json!({"anyOf": [{"type": "integer"}, {"enum": ["all"], "type": "string"}]}), "all", ""),
        (&json!({"anyOf": [{"type": "integer"}, {"enum": ["all"], "type": "string"}]}), "7", ""),
        (&json!({"type": "string"}), "5", ""),
        (&json!({"enum": ["a", "b"]}), "c", "query v: must be one of \"a\", \"b\""),
        (&json!({"type": "string", "format": "date"}), "2024-02-30", "query v: must be of the format date"),
        (&json!({"type": "integer", "format": "int32"}), "2147483648", "query v: must be at most 2147483647"),
        (
            &json!({"type": "integer", "format": "int64"}),
            "9223372036854775808",
            "query v: must be at most 9223372036854775807",
        ),
        (
            &json!({"type": "array", "items": {"type": "integer"}}),
            "1&v=x&v=3",
            "query v /1: must be an integer",
        ),
        (
            &json!({"type": "array", "items": {"type": "integer"}, "maxItems": 1}),
            "1&v=2",
            "query v: must have at most 1 item",
        ),
        (&json!({"$ref": "#/components/schemas/id"}), "x", "query v: must be an integer"),
    ];
    for (schema, text, expected) in cases {
        let parameter = json!({"name": "v", "in": "query", "schema": schema});
        let mut document = document(&json!([parameter]), "/x");
        document["components"] = json!({"schemas": {"id": {"$ref": "#/components/schemas/number"}, "number": {"type": "integer"}}});
        let found = told_by(&document, false, &format!("/x?v={text}"), &[]);
        assert_eq!(found.join("; "), expected, "{schema} {text}");
    }
}

#[test]
fn what_must_be_there_is_asked_for() {
    let parameters = json!([
        {"name": "q", "in": "query", "required": true, "schema": {"type": "string"}},
        {"name": "X-Tenant", "in": "header", "required": true, "schema": {"type": "string", "pattern": "^[a-z]+$"}},
        {"name": "session", "in": "cookie", "required": true, "schema": {"type": "string", "minLength": 4}},
        {"name": "id", "in": "path", "required": true, "schema": {"type": "string", "format": "uuid"}},
        {"name": "Authorization", "in": "header", "required": true, "schema": {"type": "string"}},
        {"name": "filter", "in": "query", "content": {"application/json": {"schema": {"type": "object"}}}}
    ]);
    let document = document(&parameters, "/x/{id}");
    assert_eq!(
        told_by(&document, false, "/x/7?filter=%5B%5D", &[]),
        [
            "query q: is missing",
            "header X-Tenant: is missing",
            "cookie session: is missing",
            "path id: must be of the format uuid",
            "query filter: must be an object",
        ]
    );
    let headers = [("x-tenant", "acme"), ("cookie", "a=b; session=\"abcd\"")];
    let target = "/x/1b4e28ba-2fa1-11d2-883f-0016d3cca427?q=1&filter=%7B%22a%22%3A1%7D";
    assert_eq!(told_by(&document, false, target, &headers), [""; 0]);
    assert_eq!(told_by(&document, false, &target.replace("%7D", ""), &headers).len(), 1);
    assert_eq!(
        told_by(&document, false, &target.replace("q=1", "q=1&q=2"), &headers),
        ["query q: is there more than once"]
    );
}

#[test]
fn parameters_of_the_operation_stand_in_the_place_of_those_of_its_path() {
    let document = json!({"openapi": "3.0.3", "paths": {"/x": {
        "parameters": [{"$ref": "#/components/parameters/limit"}, {"name": "page", "in": "query", "schema": {"type": "integer"}}],
        "get": {"parameters": [{"name": "limit", "in": "query", "schema": {"type": "integer", "maximum": 10}}]}
    }}, "components": {"parameters": {"limit": {"name": "limit", "in": "query", "required": true, "schema": {"type": "integer", "maximum": 5}}}}});
    assert_eq!(told_by(&document, false, "/x?limit=7", &[]), [""; 0]);
    assert_eq!(told_by(&document, false, "/x", &[]), [""; 0]);
    assert_eq!(told_by(&document, false, "/x?limit=11&page=a", &[]).len(), 2);
}

#[test]
fn unknown_parameters_of_the_query_are_refused_where_that_is_asked_for() {
    let object = json!({"type": "object", "properties": {"R": {"type": "integer"}}});
    let parameters = json!([
        {"name": "a", "in": "query", "schema": {"type": "string"}},
        {"name": "c", "in": "query", "style": "deepObject", "schema": object},
        {"name": "o", "in": "query", "schema": object},
        {"name": "l", "in": "query", "schema": {"type": "array", "items": {"type": "integer"}}}
    ]);
    let document = document(&parameters, "/x");
    let target = "/x?a=1&c[R]=1&R=2&l=1&l=2&debug=1&a%62=2";
    assert_eq!(told_by(&document, false, target, &[]), [""; 0]);
    assert_eq!(
        told_by(&document, true, target, &[]),
        ["query debug: is not expected here", "query ab: is not expected here"]
    );
    // An object that is open takes what nobody else is called.
    let open = json!([
        {"name": "any", "in": "query", "schema": {"type": "object", "additionalProperties": {"type": "string", "maxLength": 2}}},
        {"name": "a", "in": "query", "schema": {"type": "string"}}
    ]);
    let document = json!({"openapi": "3.1.0", "paths": {"/x": {"get": {"parameters": open}}}});
    assert_eq!(told_by(&document, true, "/x?a=long&b=12", &[]), [""; 0]);
    assert_eq!(
        told_by(&document, true, "/x?a=long&b=123", &[]),
        ["query any /b: must have at most 2 characters"]
    );
}

proptest! {
    #[test]
    fn any_request_is_judged(path in "/x/[ -~é]{0,20}", query in "[ -~é]{0,60}", header in "[ -~]{0,40}") {
        let schema = json!({"type": ["object", "array", "integer"], "properties": {"a": {"type": "integer"}}, "items": {"type": "integer"}});
        for style in ["simple", "label", "matrix"] {
            let parameter = json!({"name": "v", "in": "path", "style": style, "explode": true, "schema": schema});
            let _ = told(&parameter, "/x/{v}", &path.replace('?', ""), &[]);
        }
        for (style, explode) in [("form", true), ("form", false), ("spaceDelimited", false), ("pipeDelimited", false), ("deepObject", true)] {
            let parameter = json!({"name": "v", "in": "query", "style": style, "explode": explode, "schema": schema});
            let _ = told(&parameter, "/x", &format!("/x?v={query}"), &[("cookie", &header), ("v", &header)]);
        }
    }
}
