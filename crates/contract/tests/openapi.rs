//! OpenAPI documents: operations, bodies, answers, what 3.0 says in its own way, and faults.

#![allow(clippy::unwrap_used)]

use contract::{Found, Kind, OpenApi, OpenApiOptions, RequestView, ResponseView, Violations};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use proptest::prelude::*;
use serde_json::{Value, json};

fn read(document: &Value) -> OpenApi {
    let options = OpenApiOptions { responses: true, ..OpenApiOptions::default() };
    OpenApi::read(document.to_string().as_bytes(), &options).unwrap_or_else(|faults| panic!("{faults:?}"))
}

/// A document with one operation, `POST /x`, that takes or answers these types.
fn with_body(version: &str, content: &Value, schemas: &Value) -> OpenApi {
    read(&json!({
        "openapi": version,
        "paths": {"/x": {"post": {
            "requestBody": {"required": true, "content": content},
            "responses": {"200": {"description": "", "content": content}}
        }}},
        "components": {"schemas": schemas}
    }))
}

fn headers(content_type: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if !content_type.is_empty() {
        headers.insert(CONTENT_TYPE, HeaderValue::from_str(content_type).unwrap());
    }
    headers
}

fn check(api: &OpenApi, content_type: &str, body: &[u8]) -> Violations {
    let Found::Operation(operation, path) = api.find(&Method::POST, "/x") else { panic!() };
    let headers = headers(content_type);
    operation.check_request(&RequestView { path: &path, query: "", headers: &headers, body: Some(body) })
}

fn check_answer(api: &OpenApi, status: u16, content_type: &str, body: &[u8]) -> Violations {
    let Found::Operation(operation, _) = api.find(&Method::POST, "/x") else { panic!() };
    let headers = headers(content_type);
    let status = StatusCode::from_u16(status).unwrap();
    operation.check_response(&ResponseView { status, headers: &headers, body: Some(body) })
}

fn texts(violations: &Violations) -> Vec<String> {
    violations.iter().map(ToString::to_string).collect()
}

#[test]
fn operations_are_found_by_method_and_path() {
    let document = json!({
        "openapi": "3.1.0",
        "servers": [{"url": "https://api.example.com/{version}/", "variables": {"version": {"default": "v1"}}}, {"url": "/beta"}],
        "paths": {
            "/users/{id}": {"get": {"operationId": "user"}, "delete": {}},
            "/users/me": {"get": {"operationId": "me"}},
            "/reports/{name}.{kind}": {"$ref": "#/components/pathItems/report"},
            "x-note": {"get": {}}
        },
        "components": {"pathItems": {"report": {"get": {"operationId": "report"}}}}
    });
    let api = read(&document);
    assert_eq!(api.len(), 4);
    let find = |api: &OpenApi, method: Method, path: &str| match api.find(&method, path) {
        Found::Operation(operation, values) => {
            let values: Vec<_> = values.iter().map(|(name, value)| format!(" {name}={value}")).collect();
            operation.name().to_owned() + &values.concat()
        }
        Found::NoMethod(methods) => format!("only {methods:?}"),
        Found::NoPath => "none".to_owned(),
    };
    let cases = [
        (Method::GET, "/v1/users/7", "user id=7"),
        (Method::HEAD, "/v1/users/7", "user id=7"),
        (Method::GET, "/beta/users/me", "me"),
        (Method::DELETE, "/v1/users/7", "DELETE /users/{id} id=7"),
        (Method::POST, "/v1/users/7", "only [GET, DELETE]"),
        (Method::GET, "/users/7", "none"),
        (Method::GET, "/v1", "none"),
        (Method::GET, "/v1/users/7/", "none"),
        (Method::GET, "/v1/reports/a.pdf", "report name=a kind=pdf"),
        (Method::GET, "", "none"),
    ];
    for (method, path, expected) in cases {
        assert_eq!(find(&api, method, path), expected, "{path}");
    }
    let options = OpenApiOptions { base: Some("/shop/".to_owned()), ..OpenApiOptions::default() };
    let api = OpenApi::read(document.to_string().as_bytes(), &options).unwrap();
    assert_eq!(find(&api, Method::GET, "/shop/users/me"), "me");
    assert_eq!(find(&api, Method::GET, "/v1/users/me"), "none");
}

#[test]
fn bodies_are_judged_by_their_type() {
    let order = json!({"type": "object", "required": ["count"], "properties": {
        "count": {"type": "integer"}, "tags": {"type": "array", "items": {"type": "string", "maxLength": 3}},
        "meta": {"type": "object", "properties": {"a": {"type": "integer"}}}, "file": {"type": "string", "format": "binary"}
    }});
    let reference = json!({"$ref": "#/components/schemas/order"});
    let content = json!({
        "application/json": {"schema": reference},
        "application/x-www-form-urlencoded": {"schema": reference},
        "multipart/form-data": {"schema": reference, "encoding": {"file": {"contentType": "image/png, image/*"}}},
        "text/*": {"schema": {"type": "string", "maxLength": 5}},
        "application/octet-stream": {}
    });
    let api = with_body("3.1.0", &content, &json!({"order": order}));
    let form = "application/x-www-form-urlencoded";
    let cases = [
        ("application/json", r#"{"count":1}"#, ""),
        ("Application/JSON; charset=utf-8", r#"{"count":"1"}"#, "body /count: must be an integer"),
        (
            "application/json",
            r#"{"count":1,"#,
            "body: is not JSON: EOF while parsing a value at line 1 column 11",
        ),
        ("application/json", "", "body: is missing"),
        (
            "application/vnd.x+json",
            r#"{"count":1}"#,
            "body: is of another type than application/json, application/x-www-form-urlencoded, multipart/form-data, text/*, application/octet-stream",
        ),
        (
            "",
            "{}",
            "body: has no content type; accepted is application/json, application/x-www-form-urlencoded, multipart/form-data, text/*, application/octet-stream",
        ),
        (form, "count=1&tags=a&tags=b", ""),
        (
            form,
            "count=x&tags=long",
            "body /count: must be an integer; body /tags/0: must have at most 3 characters",
        ),
        (form, "tags=a", "body /count: is missing"),
        (form, "count=1&count=2", "body /count: is there more than once"),
        (form, "count=1&meta=%7B%22a%22%3A%22x%22%7D", "body /meta/a: must be an integer"),
        (form, "count=1&meta=%7B", "body /meta: is not JSON: EOF while parsing an object at line 1 column 1"),
        (form, "count=%f", "body /count: is not percent-encoded UTF-8; body /count: is missing"),
        ("text/plain", "short", ""),
        ("text/csv", "longer", "body: must have at most 5 characters"),
        ("application/octet-stream", "\u{0}", ""),
    ];
    for (content_type, body, expected) in cases {
        let found = texts(&check(&api, content_type, body.as_bytes())).join("; ");
        assert_eq!(found, expected, "{content_type} {body}");
    }
    assert_eq!(check(&api, "text/html2", b"x").len(), 0);
    assert!(check(&api, "image/png", b"x").iter().all(|one| one.kind == Kind::ContentType));

    let part = |name: &str, more: &str, body: &str| {
        format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"{more}\r\n\r\n{body}\r\n")
    };
    let png = "; filename=\"a.png\"\r\nContent-Type: image/png";
    let cases = [
        (
            part("count", "", "1")
                + &part("file", png, "\u{1}")
                + &part("tags", "", "a")
                + &part("tags", "", "b"),
            "",
        ),
        (part("count", "", "x"), "body /count: must be an integer"),
        (
            part("count", "", "1") + &part("file", &png.replace("image", "text"), "x"),
            "body /file: must be of the type image/png, image/*",
        ),
        (
            part("count", "\r\nContent-Type: application/json", "2") + &part("meta", "", r#"{"a":"x"}"#),
            "body /meta/a: must be an integer",
        ),
        (part("count", "", "1") + &part("count", "", "2"), "body /count: is there more than once"),
        ("x".to_owned(), "body: does not begin with its boundary"),
    ];
    for (parts, expected) in cases {
        let found = check(&api, "multipart/form-data; boundary=b", format!("{parts}--b--\r\n").as_bytes());
        assert_eq!(texts(&found).join("; "), expected, "{parts}");
    }
    assert_eq!(
        texts(&check(&api, "multipart/form-data", b"x")),
        ["body: has no boundary in its content type"]
    );
}

#[test]
fn versions_of_the_document_say_the_same_in_their_own_way() {
    // Schema in 3.0, schema in 3.1, taken, refused.
    let cases = [
        (
            json!({"type": "string", "nullable": true}),
            json!({"type": ["string", "null"]}),
            json!(null),
            json!(1),
        ),
        (
            json!({"type": "number", "minimum": 0, "exclusiveMinimum": true}),
            json!({"type": "number", "exclusiveMinimum": 0}),
            json!(0.1),
            json!(0),
        ),
        (
            json!({"type": "number", "maximum": 9, "exclusiveMaximum": false}),
            json!({"type": "number", "maximum": 9}),
            json!(9),
            json!(10),
        ),
        (
            json!({"$ref": "#/components/schemas/short", "maxLength": 1}),
            json!({"$ref": "#/components/schemas/short", "description": "no more"}),
            json!("ab"),
            json!("abc"),
        ),
        (
            json!({"type": "string", "format": "byte"}),
            json!({"type": "string", "format": "byte"}),
            json!("aGk="),
            json!("aGk"),
        ),
        (
            json!({"type": "string", "example": 1, "discriminator": {"propertyName": "x"}, "xml": {}}),
            json!({"type": "string", "examples": [1]}),
            json!("a"),
            json!(1),
        ),
        (
            json!({"type": "object", "additionalProperties": false, "properties": {"a": {"type": "integer", "format": "int64"}}}),
            json!({"type": "object", "unevaluatedProperties": false, "properties": {"a": {"type": "integer"}}}),
            json!({"a": 1}),
            json!({"b": 1}),
        ),
    ];
    for (old, new, taken, refused) in cases {
        for (version, schema) in [("3.0.3", &old), ("3.1.0", &new)] {
            let short = json!({"short": {"type": "string", "maxLength": 2}});
            let api = with_body(version, &json!({"application/json": {"schema": schema}}), &short);
            let taken = check(&api, "application/json", taken.to_string().as_bytes());
            assert!(taken.is_empty(), "{version} {schema}: {taken}");
            let refused = check(&api, "application/json", refused.to_string().as_bytes());
            assert_eq!(refused.len(), 1, "{version} {schema}: {refused}");
        }
    }
}

#[test]
fn what_is_read_only_does_not_come_in_and_what_is_write_only_does_not_go_out() {
    for version in ["3.0.3", "3.1.0"] {
        let schemas = json!({
            "id": {"type": "integer", "readOnly": true},
            "base": {"type": "object", "required": ["id"], "properties": {"id": {"$ref": "#/components/schemas/id"}}},
            "user": {"allOf": [
                {"$ref": "#/components/schemas/base"},
                {"type": "object", "required": ["id", "password"], "properties": {"password": {"type": "string", "writeOnly": true}}}
            ]}
        });
        let content = json!({"application/json": {"schema": {"$ref": "#/components/schemas/user"}}});
        let api = with_body(version, &content, &schemas);
        let ask = |body: &str| texts(&check(&api, "application/json", body.as_bytes()));
        let answer = |body: &str| texts(&check_answer(&api, 200, "application/json", body.as_bytes()));
        assert_eq!(ask(r#"{"password":"x"}"#), [""; 0]);
        assert_eq!(ask(r#"{"id":1,"password":"x"}"#), ["body /id: is read-only: only answers have it"]);
        assert_eq!(ask("{}"), ["body /password: is missing"]);
        assert_eq!(answer(r#"{"id":1}"#), [""; 0]);
        assert_eq!(
            answer(r#"{"id":1,"password":"x"}"#),
            ["body /password: is write-only: only requests have it"]
        );
        assert_eq!(answer("{}"), ["body /id: is missing"]);
    }
}

#[test]
fn answers_are_judged_by_status_headers_and_body() {
    let schema = |name: &str| json!({"application/json": {"schema": {"const": name}}});
    let document = json!({"openapi": "3.1.0", "paths": {"/x": {"post": {"responses": {
        "default": {"description": "", "content": schema("default")},
        "2XX": {"description": "", "content": schema("2XX")},
        "201": {"$ref": "#/components/responses/created"},
        "204": {"description": ""}
    }}}}, "components": {"responses": {"created": {
        "description": "", "content": schema("201"),
        "headers": {"Location": {"required": true, "schema": {"type": "string", "format": "uri-reference"}}, "X-Count": {"schema": {"type": "integer"}}}
    }}}});
    let api = read(&document);
    for (status, name) in [(200, "2XX"), (299, "2XX"), (404, "default"), (500, "default")] {
        let body = format!("\"{name}\"");
        assert!(check_answer(&api, status, "application/json", body.as_bytes()).is_empty(), "{status}");
        assert_eq!(check_answer(&api, status, "application/json", b"1").len(), 1);
    }
    assert_eq!(
        texts(&check_answer(&api, 201, "application/json", b"\"201\"")),
        ["header Location: is missing"]
    );
    assert!(check_answer(&api, 204, "", b"").is_empty());
    assert_eq!(check_answer(&api, 200, "text/html", b"<p>").iter().next().unwrap().kind, Kind::ContentType);
    let api = read(
        &json!({"openapi": "3.1.0", "paths": {"/x": {"post": {"responses": {"200": {"description": ""}}}}}}),
    );
    let violations = check_answer(&api, 500, "", b"");
    assert_eq!(texts(&violations), ["body: status 500 is not among those that the contract lists"]);
    assert_eq!(violations.iter().next().unwrap().kind, Kind::Status);

    let Found::Operation(operation, _) = api.find(&Method::POST, "/x") else { panic!() };
    let mut headers = HeaderMap::new();
    headers.insert("x-count", HeaderValue::from_static("many"));
    headers.insert("location", HeaderValue::from_static("/x/1"));
    let answer = ResponseView { status: StatusCode::CREATED, headers: &headers, body: None };
    assert_eq!(operation.check_response(&answer).len(), 1);
}

#[test]
fn the_head_of_an_answer_says_whether_its_body_is_looked_at() {
    let document = json!({"openapi": "3.1.0", "paths": {"/x": {"get": {"responses": {
        "200": {"description": "", "content": {
            "application/json": {"schema": {"type": "object"}},
            "text/event-stream": {"schema": {"type": "string", "maxLength": 1}},
            "text/plain": {},
            "image/png": {"schema": {"type": "string"}}
        }},
        "204": {"description": ""}
    }}}}});
    for refuse_unknown in [false, true] {
        let options = OpenApiOptions { responses: true, refuse_unknown, ..OpenApiOptions::default() };
        let api = OpenApi::read(document.to_string().as_bytes(), &options).unwrap();
        let Found::Operation(operation, _) = api.find(&Method::GET, "/x") else { panic!() };
        assert_eq!(api.operation(operation.id()).unwrap().name(), "GET /x");
        let look = |status: StatusCode, content_type: &'static str, has_content: bool| {
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(content_type))]);
            let (mut violations, body) = operation.check_response_head(status, &headers, has_content);
            let is_read = body.is_some();
            if let Some(body) = body {
                body.check(b"[]", &mut violations);
            }
            (is_read, violations.len())
        };
        assert_eq!(look(StatusCode::OK, "application/json; charset=utf-8", true), (true, 1));
        assert_eq!(look(StatusCode::OK, "application/json", false), (false, 0), "HEAD has none");
        for unread in ["text/event-stream", "text/plain", "image/png"] {
            assert_eq!(look(StatusCode::OK, unread, true), (false, 0), "{unread}");
        }
        assert_eq!(look(StatusCode::OK, "text/html", true), (false, 1));
        let nobody_speaks_of = (refuse_unknown, usize::from(refuse_unknown));
        assert_eq!(look(StatusCode::NO_CONTENT, "application/json", true), nobody_speaks_of);
    }
}

#[test]
fn schemas_may_refer_to_each_other_in_circles() {
    let schemas = json!({
        "tree": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}, "children": {"type": "array", "items": {"$ref": "#/components/schemas/tree"}}}}
    });
    for version in ["3.0.0", "3.1.0"] {
        let content = json!({"application/json": {"schema": {"$ref": "#/components/schemas/tree"}}});
        let api = with_body(version, &content, &schemas);
        let found =
            check(&api, "application/json", br#"{"name":"a","children":[{"name":"b","children":[{}]}]}"#);
        assert_eq!(texts(&found), ["body /children/0/children/0/name: is missing"]);
        assert_eq!(found.iter().next().unwrap().schema, "/components/schemas/tree/required");
    }
}

#[test]
fn faults_of_a_document_are_told_to_its_author() {
    let operation = |operation: Value| json!({"openapi": "3.1.0", "paths": {"/x/{id}": {"get": operation}}});
    let parameter = |parameter: Value| operation(json!({"parameters": [parameter]}));
    let body = |schema: Value| {
        operation(json!({"requestBody": {"content": {"application/json": {"schema": schema}}}}))
    };
    let at = "/paths/~1x~1{id}/get";
    let cases = [
        (json!({"swagger": "2.0"}), "/swagger", "Swagger 2.0"),
        (json!({"openapi": "4.0.0"}), "/openapi", "is version 4.0.0 of OpenAPI"),
        (json!({"info": {}}), "", "is no OpenAPI document"),
        (
            json!({"openapi": "3.1.0", "jsonSchemaDialect": "http://json-schema.org/draft-04/schema#"}),
            "/jsonSchemaDialect",
            "dialect",
        ),
        (json!({"openapi": "3.1.0", "paths": {"/a": {}, "b": {}}}), "/paths/b", "does not begin with `/`"),
        (
            json!({"openapi": "3.1.0", "paths": {"/{a}": {}, "/{b}": {}}}),
            "/paths/~1{b}",
            "is the same as another path",
        ),
        (
            json!({"openapi": "3.1.0", "paths": {"/a": {"$ref": "other.yaml#/a"}}}),
            "/paths/~1a/$ref",
            "only references within the file",
        ),
        (parameter(json!({"in": "query"})), "/parameters/0", "has no name"),
        (parameter(json!({"name": "a", "in": "body"})), "/parameters/0", "has no `in: path`"),
        (parameter(json!({"name": "a", "in": "path"})), "/parameters/0", "which `/x/{id}` does not name"),
        (
            parameter(json!({"name": "a", "in": "query", "style": "matrix"})),
            "/parameters/0/style",
            "is no style of a parameter in the query",
        ),
        (parameter(json!({"name": "a b", "in": "header"})), "/parameters/0/name", "is no name of a header"),
        (
            parameter(json!({"$ref": "#/components/parameters/none"})),
            "/parameters/0/$ref",
            "which is not in this file",
        ),
        (
            body(json!({"$ref": "http://example.com/a.json"})),
            "/requestBody/content/application~1json/schema/$ref",
            "only references within",
        ),
        (
            body(json!({"$ref": "#/nowhere"})),
            "/requestBody/content/application~1json/schema/$ref",
            "which is not in this file",
        ),
        (body(json!({"type": "strin"})), "/requestBody/content/application~1json/schema/type", "is no type"),
        (
            body(json!({"items": {"pattern": "(?=a)"}})),
            "/requestBody/content/application~1json/schema/items/pattern",
            "look-around",
        ),
        (
            body(json!({"$dynamicRef": "#a"})),
            "/requestBody/content/application~1json/schema/$dynamicRef",
            "is not supported",
        ),
        (body(json!("x")), "/requestBody/content/application~1json/schema", "is no schema"),
        (operation(json!({"responses": {"2xx": {"description": ""}}})), "/responses/2xx", "is no status"),
    ];
    let options = OpenApiOptions { responses: true, ..OpenApiOptions::default() };
    for (document, pointer, message) in cases {
        let faults = OpenApi::read(document.to_string().as_bytes(), &options).unwrap_err();
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert_eq!(faults[0].pointer.trim_start_matches(at), pointer, "{document}: {}", faults[0]);
        assert!(faults[0].message.contains(message), "{document}: {}", faults[0]);
    }
    let circle =
        json!({"openapi": "3.1.0", "paths": {"/a": {"$ref": "#/paths/~1b"}, "/b": {"$ref": "#/paths/~1a"}}});
    assert_eq!(OpenApi::read(circle.to_string().as_bytes(), &options).unwrap_err().len(), 2);
}

#[test]
fn documents_may_be_yaml() {
    let text = "
openapi: 3.0.3
info: { title: Shop, version: 1.0 }
paths:
  /orders/{id}:
    parameters: [{ name: id, in: path, required: true, schema: { type: integer } }]
    get:
      responses:
        200: { description: fine }
";
    let options = OpenApiOptions { responses: true, ..OpenApiOptions::default() };
    let api = OpenApi::read(text.as_bytes(), &options).unwrap();
    let Found::Operation(operation, path) = api.find(&Method::GET, "/orders/x") else { panic!() };
    let request = RequestView { path: &path, query: "", headers: &HeaderMap::new(), body: None };
    assert_eq!(texts(&operation.check_request(&request)), ["path id: must be an integer"]);
    let answer = ResponseView { status: StatusCode::OK, headers: &HeaderMap::new(), body: None };
    assert!(operation.check_response(&answer).is_empty());
}

#[test]
fn bodies_nobody_speaks_of_are_refused_where_that_is_asked_for() {
    let document = json!({"openapi": "3.1.0", "paths": {"/x": {"post": {}}}}).to_string();
    for refuse_unknown in [false, true] {
        let options = OpenApiOptions { refuse_unknown, ..OpenApiOptions::default() };
        let api = OpenApi::read(document.as_bytes(), &options).unwrap();
        assert_eq!(check(&api, "application/json", b"{}").is_empty(), !refuse_unknown);
        assert!(check(&api, "application/json", b"").is_empty());
    }
}

proptest! {
    #[test]
    fn any_document_and_any_body_are_judged(bytes: Vec<u8>, kind in 0..4_usize) {
        let _ = OpenApi::read(&bytes, &OpenApiOptions::default());
        let content = json!({"*/*": {"schema": {"type": "object", "properties": {"a": {"type": "array"}}}}});
        let api = with_body("3.1.0", &content, &json!({}));
        let types = ["application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=b", "text/plain"];
        let _ = check(&api, types[kind], &bytes);
        let mut parts = b"--b\r\nContent-Disposition: form-data; name=\"a\"\r\n".to_vec();
        parts.extend(bytes);
        let _ = check(&api, types[2], &parts);
    }
}
