//! The samples over real sockets.
#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;
use std::time::Instant;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

use super::*;

const SOON: Duration = Duration::from_secs(5);

/// An answer as it came: status, head and body.
struct Answer {
    status: u16,
    head: String,
    body: Value,
}

fn start(samples: &Samples, sample: Sample) -> (SocketAddr, JoinHandle<()>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (address, samples.start(sample, listener).unwrap())
}

async fn ask(address: SocketAddr, line: &str, body: &str) -> Answer {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let length = body.len();
    let request =
        format!("{line} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    timeout(SOON, stream.read_to_string(&mut text)).await.unwrap().unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head: head.to_owned(), body: serde_json::from_str(body).unwrap_or_default() }
}

#[tokio::test]
async fn each_path_has_its_answer() {
    struct Case {
        sample: Sample,
        line: &'static str,
        body: &'static str,
        status: u16,
        /// A place in the answer and what stands there.
        holds: (&'static str, Value),
    }
    let case =
        |sample, line, body, status, place, value| Case { sample, line, body, status, holds: (place, value) };
    let cases = [
        case(Sample::Users, "GET /users", "", 200, "/users/1/name", json!("Bo")),
        case(Sample::Users, "GET /users/1", "", 200, "/name", json!("Ada")),
        case(Sample::Users, "GET /users/%31", "", 200, "/name", json!("Ada")),
        case(Sample::Users, "GET /users/99", "", 404, "/status", json!(404)),
        case(Sample::Users, "GET /orders/1", "", 404, "/status", json!(404)),
        case(Sample::Users, "GET /", "", 404, "/status", json!(404)),
        case(Sample::Users, "DELETE /users/1", "", 405, "/status", json!(405)),
        case(Sample::Users, "POST /users/1", "{}", 405, "/status", json!(405)),
        case(Sample::Users, "POST /users", "{\"name\":\"Di\"}", 201, "/id", json!(4)),
        case(Sample::Users, "POST /users", "{}", 422, "/error", json!("`name` is missing")),
        case(Sample::Users, "POST /users", "[1]", 400, "/status", json!(400)),
        case(Sample::Users, "POST /users", "{\"name\":", 400, "/status", json!(400)),
        case(Sample::Orders, "GET /orders/3", "", 200, "/product", json!("books/http")),
        case(Sample::Orders, "GET /orders?user=2", "", 200, "/orders/0/id", json!(3)),
        case(Sample::Orders, "GET /orders?user=9", "", 200, "/orders", json!([])),
        case(Sample::Orders, "GET /orders", "", 200, "/orders/2/id", json!(3)),
        case(Sample::Orders, "POST /orders", "{\"user\":2}", 201, "/user", json!(2)),
        case(Sample::Products, "GET /products/books/rust", "", 200, "/stock", json!(7)),
        case(Sample::Products, "GET /products/books", "", 200, "/products/1/id", json!("books/http")),
        case(Sample::Products, "GET /products", "", 200, "/products/2/id", json!("games/chess")),
        case(Sample::Products, "GET /products/cars", "", 404, "/status", json!(404)),
        case(Sample::Products, "POST /products", "{}", 405, "/status", json!(405)),
        case(Sample::Products, "GET /healthz", "", 200, "/status", json!("ok")),
        case(Sample::Products, "GET /echo", "", 426, "/status", json!(426)),
        case(Sample::Products, "GET /products?status=503", "", 503, "/error", json!("as asked")),
        case(Sample::Products, "GET /healthz?fail=1", "", 500, "/status", json!(500)),
        case(Sample::Products, "GET /products?delay=soon", "", 400, "/status", json!(400)),
    ];
    for case in cases {
        let (address, _task) = start(&Samples::new(), case.sample);
        let answer = ask(address, case.line, case.body).await;
        assert_eq!(answer.status, case.status, "{}: {}", case.line, answer.body);
        assert_eq!(answer.body.pointer(case.holds.0), Some(&case.holds.1), "{}: {}", case.line, answer.body);
        let served_by = format!("{}@{address}", case.sample.name());
        assert_eq!(answer.body["served_by"], json!(served_by), "{}", case.line);
        assert!(answer.head.contains(&format!("x-served-by: {served_by}")), "{}: {}", case.line, answer.head);
    }
}

#[tokio::test]
async fn a_wrong_method_is_told_the_right_ones() {
    let (address, _task) = start(&Samples::new(), Sample::Users);
    let answer = ask(address, "PATCH /users", "").await;
    assert!(answer.head.contains("allow: GET, HEAD, POST"), "{}", answer.head);
}

#[tokio::test]
async fn head_has_the_fields_of_get_and_no_body() {
    let (address, _task) = start(&Samples::new(), Sample::Users);
    let answer = ask(address, "HEAD /users/1", "").await;
    assert_eq!((answer.status, answer.body), (200, Value::Null));
    assert!(answer.head.contains("content-length: "), "{}", answer.head);
}

#[tokio::test]
async fn an_answer_without_a_body_has_none() {
    let (address, _task) = start(&Samples::new(), Sample::Users);
    for status in [204, 304] {
        let answer = ask(address, &format!("GET /users?status={status}"), "").await;
        assert_eq!((answer.status, answer.body), (status, Value::Null));
    }
}

#[tokio::test]
async fn a_user_added_through_one_endpoint_is_found_through_another() {
    let samples = Samples::new();
    let (first, _first) = start(&samples, Sample::Users);
    let (second, _second) = start(&samples, Sample::Users);
    let added = ask(first, "POST /users", r#"{"name":"Di"}"#).await;
    assert!(added.head.contains("location: /users/4"), "{}", added.head);
    assert_eq!(ask(second, "GET /users/4", "").await.body["name"], "Di");
}

#[tokio::test]
async fn a_large_body_is_refused() {
    let (address, _task) = start(&Samples::new(), Sample::Users);
    let body = format!("{{\"name\":\"{}\"}}", "x".repeat(70_000));
    assert_eq!(ask(address, "POST /users", &body).await.status, 413);
}

#[tokio::test]
async fn a_delay_is_kept() {
    let (address, _task) = start(&Samples::new(), Sample::Users);
    let begin = Instant::now();
    assert_eq!(ask(address, "GET /users/1?delay=80ms", "").await.status, 200);
    assert!(begin.elapsed() >= Duration::from_millis(80));
}

#[tokio::test]
async fn some_of_the_requests_fail() {
    let (address, _task) = start(&Samples::new(), Sample::Users);
    let mut failed = 0;
    for _ in 0..20 {
        failed += u32::from(ask(address, "GET /users/1?fail=0.3", "").await.status == 500);
    }
    assert!((5..=7).contains(&failed), "{failed} of 20");
}

#[tokio::test]
async fn events_come_one_by_one_and_without_end() {
    let (address, _task) = start(&Samples::new(), Sample::Orders);
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /events HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut text = String::new();
    let mut buffer = [0; 1024];
    for number in 1..=3 {
        let event = format!("id: {number}\nevent: tick\ndata: {{\"number\":{number},");
        while !text.contains(&event) {
            assert!(!text.contains(&format!("id: {}\n", number + 1)), "{text}");
            let count = timeout(SOON, stream.read(&mut buffer)).await.unwrap().unwrap();
            assert_ne!(count, 0, "the answer ended: {text}");
            text.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
        }
    }
    assert!(text.contains("content-type: text/event-stream"), "{text}");
    assert!(text.contains(&format!("x-served-by: orders@{address}")), "{text}");
}

#[tokio::test]
async fn a_websocket_echoes_until_the_endpoint_ends() {
    let (address, task) = start(&Samples::new(), Sample::Users);
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut socket, response) =
        tokio_tungstenite::client_async(format!("ws://{address}/echo"), stream).await.unwrap();
    assert_eq!(response.headers()["x-served-by"], format!("users@{address}"));
    for message in [Message::text("hello"), Message::binary(vec![0; 100_000]), Message::text("")] {
        socket.send(message.clone()).await.unwrap();
        assert_eq!(timeout(SOON, socket.next()).await.unwrap().unwrap().unwrap(), message);
    }
    task.abort();
    let end = timeout(SOON, socket.next()).await.unwrap();
    assert!(!matches!(end, Some(Ok(Message::Text(_) | Message::Binary(_)))), "{end:?}");
}

#[tokio::test]
async fn an_aborted_endpoint_closes_its_connections_and_its_port() {
    let (address, task) = start(&Samples::new(), Sample::Users);
    let mut idle = TcpStream::connect(address).await.unwrap();
    ask(address, "GET /healthz", "").await;
    task.abort();
    let mut rest = Vec::new();
    // A reset would do as well.
    let _ = timeout(SOON, idle.read_to_end(&mut rest)).await.unwrap();
    assert!(rest.is_empty());
    assert!(TcpStream::connect(address).await.is_err());
}
