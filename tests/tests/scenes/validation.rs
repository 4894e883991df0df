//! `validate`: requests that are what a schema or a document says, and all that is told of those that are not.

use std::fs;

use tollgate_tests::{Answer, Backend, Gateway, backend, fill, gateway_with};

const ORDER: &str = include_str!("../../../examples/schemas/order.json");
const SHOP: &str = include_str!("../../../examples/specs/shop.yaml");

/// Repeats what it gets.
fn service() -> Backend {
    backend(|call| {
        let body = call.body();
        call.reply(200, body);
    })
}

/// A gateway before this service, with files beside it, and the folder that they are in.
fn gate_to(service: &Backend, routes: &str) -> (Gateway, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("order.json"), ORDER).unwrap();
    fs::write(folder.path().join("shop.yaml"), SHOP).unwrap();
    let text = format!("services: {{ back: <back> }}\ndefaults: {{ access: public }}\nroutes:\n{routes}");
    let text = fill(&text, &[("files", &folder.path().display())]);
    (gateway_with(&text, &[("back", service)]), folder)
}

/// Each thing that is told as `place pointer-or-name: detail`.
fn errors(answer: &Answer, code: &str) -> Vec<String> {
    let problem = answer.expect_refusal(code);
    assert_eq!(problem["stage"], "validate");
    let told = problem["errors"].as_array().unwrap().iter().map(|error| {
        let name = error["name"].as_str().or(error["pointer"].as_str()).unwrap();
        format!("{} {name}: {}", error["in"].as_str().unwrap(), error["detail"].as_str().unwrap())
    });
    told.collect()
}

fn post(gate: &Gateway, target: &str, content_type: &str, body: &str) -> Answer {
    gate.ask("POST", target).header("Content-Type", content_type).body(body).send()
}

#[test]
fn bodies_are_what_their_schema_says() {
    let back = service();
    let (gate, _folder) =
        gate_to(&back, "  - { match: '/orders', to: back, validate: <files>/order.json }\n");
    let whole = r#"{"lines":[{"sku":"AB-0001","count":2}]}"#;
    post(&gate, "/orders", "application/json", whole).expect(200).expect_body(whole);
    post(&gate, "/orders", "application/vnd.order+json; v=1", whole).expect(200);

    let wrong = r#"{"lines":[{"sku":"AB-0001","count":0},{"sku":7}],"secret":"hunter2"}"#;
    let refused = post(&gate, "/orders", "application/json", wrong).expect(400);
    assert_eq!(
        errors(&refused, "body_invalid"),
        [
            "body /lines/0/count: must be at least 1",
            "body /lines/1/count: is missing",
            "body /lines/1/sku: must be a string",
            "body /secret: is not allowed here",
        ]
    );
    assert!(!refused.text().contains("hunter2"));
    for broken in ["{", r#"{"lines":[],"lines":[]}"#, "{}{}"] {
        let refused = post(&gate, "/orders", "application/json", broken).expect(400);
        assert_eq!(errors(&refused, "body_invalid").len(), 1, "{broken}");
    }
    post(&gate, "/orders", "text/plain", whole).expect(415).expect_refusal("content_type_not_allowed");
    gate.ask("POST", "/orders").send().expect(400).expect_refusal("body_invalid");
    gate.get("/orders").expect(200);

    // In chunks it is the same body, and reaches the service whole.
    let head = "POST /orders HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    let (first, second) = whole.split_at(10);
    let chunked =
        format!("{head}{:x}\r\n{first}\r\n{:x}\r\n{second}\r\n0\r\n\r\n", first.len(), second.len());
    gate.send(chunked).answer().expect(200).expect_body(whole);
    let log = gate.log(1);
    assert_eq!(log[0]["status"], 200);
}

#[test]
fn a_body_that_is_too_long_to_be_looked_at_is_refused() {
    let back = service();
    let routes =
        "  - { match: '/orders', to: back, validate: { body: <files>/order.json, max_body: 100B } }\n";
    let (gate, _folder) = gate_to(&back, &routes.replace("100B", "1KB"));
    let long = format!(r#"{{"lines":[{{"sku":"AB-0001","count":2}}],"note":"{}"}}"#, "x".repeat(1000));
    post(&gate, "/orders", "application/json", &long).expect(413).expect_refusal("body_too_large");
}

#[test]
fn requests_are_what_their_document_says() {
    let back = service();
    let routes = "
  - { match: '/shop/{rest...}', to: back, validate: { openapi: <files>/shop.yaml, unknown: refuse } }
  - { match: '/beta/{rest...}', to: back, validate: { openapi: <files>/shop.yaml, base: /beta } }
  - { match: '/open/{rest...}', to: back, validate: off }
";
    let (gate, _folder) = gate_to(&back, routes);
    gate.get("/shop/products?limit=20&tags=a,b").expect(200);
    gate.get("/shop/products/1b4e28ba-2fa1-11d2-883f-0016d3cca427").expect(200);
    gate.get("/beta/products?debug=1").expect(200);
    gate.get("/open/anything").expect(200);

    let refused = gate.get("/shop/products?limit=many&debug=1").expect(400);
    assert_eq!(
        errors(&refused, "parameter_invalid"),
        ["query debug: is not expected here", "query limit: must be an integer"]
    );
    let refused = gate.get("/beta/products/7").expect(400);
    assert_eq!(errors(&refused, "parameter_invalid"), ["path id: must be of the format uuid"]);

    gate.get("/shop/nothing").expect(404).expect_refusal("operation_unknown");
    let refused = gate.ask("DELETE", "/shop/products").send().expect(405);
    refused.expect_refusal("operation_unknown");
    assert_eq!(refused.header("allow"), Some("GET, POST"));

    let product = r#"{"name":"Chair","price":10.5}"#;
    post(&gate, "/shop/products", "application/json", product).expect(200).expect_body(product);
    post(&gate, "/shop/products", "application/x-www-form-urlencoded", "name=Chair&price=10.5").expect(200);
    let refused = post(&gate, "/shop/products", "application/json", r#"{"id":"x","name":"","price":-1}"#);
    assert_eq!(
        errors(&refused, "body_invalid"),
        [
            "body /id: is read-only: only answers have it",
            "body /name: must have at least 1 character",
            "body /price: must be at least 0",
        ]
    );
    let refused = post(&gate, "/shop/products", "application/x-www-form-urlencoded", "name=Chair&price=much");
    assert_eq!(errors(&refused, "body_invalid"), ["body /price: must be a number"]);
    post(&gate, "/shop/products", "text/xml", "<x/>").expect(415).expect_refusal("content_type_not_allowed");
    gate.ask("POST", "/shop/products").send().expect(400).expect_refusal("body_invalid");
}

#[test]
fn a_contract_that_changes_counts_at_once_and_one_with_faults_changes_nothing() {
    let back = service();
    let (gate, folder) = gate_to(&back, "  - { match: '/orders', to: back, validate: <files>/order.json }\n");
    let file = folder.path().join("order.json");
    post(&gate, "/orders", "application/json", "[]").expect(400);
    gate.expect_reload(|| fs::write(&file, r#"{"type":"array"}"#).unwrap());
    post(&gate, "/orders", "application/json", "[]").expect(200);
    fs::write(&file, r#"{"$ref":"https://example.com/order.json"}"#).unwrap();
    gate.expect_line("only references within the file are followed");
    post(&gate, "/orders", "application/json", "[]").expect(200);
    post(&gate, "/orders", "application/json", "{}").expect(400);
}
