//! On valid input another engine and this one agree: hyper serves a connection and says what it understood.
#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, Full};
use http1::{BodyDecoder, Fields, Limits, Piece, RequestHead, ResponseHead, parse_request, parse_response};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// What a message came to: its first line, its end-to-end fields in lower case and sorted, and its body.
#[derive(Debug, PartialEq)]
struct Understood {
    line: String,
    fields: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

/// Valid requests, alone on their connections.
const REQUESTS: &[&str] = &[
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /a/b?c=d&e=%20f HTTP/1.1\r\nHost: a:8080\r\nAccept: */*\r\nuser-agent: x y\r\n\r\n",
    "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "DELETE /x HTTP/1.1\r\nhost:a\r\nX-Empty:\r\nX-Space:  \t y \t \r\n\r\n",
    "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
    "X-CUSTOM!METHOD / HTTP/1.1\r\nHost: a\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET http://a/b?c HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
    "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n",
    "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: CHUNKED\r\n\r\n5;a=b\r\nhello\r\n0;c\r\nX-T: u\r\n\r\n",
    "PATCH / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n000A\r\n0123456789\r\n0\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\nx: 2\r\nX: 1\r\nCookie: a=\u{e9}; b=\"c\"\r\n\r\n",
    "GET / HTTP/1.0\r\n\r\n",
    "POST / HTTP/1.0\r\nHost: a\r\nContent-Length: 3\r\nConnection: keep-alive\r\n\r\nabc",
    "GET /!$&'()*+,;=:@-._~ HTTP/1.1\r\nHost: [::1]:80\r\nMy_Header.!#$%&'*+^`|~09: x\r\n\r\n",
];

/// Fields that this engine keeps to itself.
const OWNED: &[&str] = &["host", "content-length", "transfer-encoding", "connection"];

#[tokio::test]
async fn valid_requests_are_understood_as_hyper_understands_them() {
    for text in REQUESTS {
        assert_eq!(understand(text.as_bytes()), ask_hyper(text.as_bytes()).await, "{text:?}");
    }
}

#[tokio::test]
async fn answers_of_hyper_are_understood() {
    for text in REQUESTS {
        let method: Method = text.trim_start().split(' ').next().unwrap().parse().unwrap();
        let wire = serve(text.as_bytes(), |_| ()).await;
        let mut head = ResponseHead::default();
        let taken = parse_response(&wire, &mut 0, &Limits::default(), &method, &mut head).unwrap().unwrap();
        assert_eq!(head.fields.get_named(b"x-answer"), Some(&b"yes"[..]));
        let (body, rest) = decode(&mut BodyDecoder::new(head.framing), &wire[taken..]);
        let expected: &[u8] = if method == Method::HEAD { b"" } else { b"answer" };
        assert_eq!((&body[..], rest), (expected, 0), "{text:?}");
    }
}

/// What this engine understands of a connection's bytes.
fn understand(bytes: &[u8]) -> Understood {
    let mut head = RequestHead::default();
    let taken = parse_request(bytes, &mut 0, &Limits::default(), &mut head).unwrap().unwrap();
    let (body, rest) = decode(&mut BodyDecoder::new(head.framing), &bytes[taken..]);
    assert_eq!(rest, 0);
    let query = head.query().map(|query| format!("?{query}")).unwrap_or_default();
    let fields = head
        .fields
        .iter()
        .map(|field| (String::from_utf8_lossy(field.name).to_ascii_lowercase(), field.value.to_vec()));
    understood(&head.method, head.version, &format!("{}{query}", head.path), fields, body)
}

/// The data of a body that has all come, and how many bytes follow it.
fn decode(decoder: &mut BodyDecoder, bytes: &[u8]) -> (Vec<u8>, usize) {
    let (mut body, mut rest) = (Vec::new(), bytes);
    loop {
        match decoder.decode(rest, &mut Fields::new()).unwrap() {
            Piece::Data { skip, length } => {
                body.extend_from_slice(&rest[skip..skip + length]);
                rest = &rest[skip + length..];
            }
            Piece::More { consumed } => {
                decoder.finish().unwrap();
                return (body, rest.len() - consumed);
            }
            Piece::End { consumed } => return (body, rest.len() - consumed),
        }
    }
}

/// What hyper understands of them.
async fn ask_hyper(bytes: &[u8]) -> Understood {
    let (sender, receiver) = std::sync::mpsc::channel();
    serve(bytes, move |understood| sender.send(understood).unwrap()).await;
    receiver.try_recv().unwrap()
}

/// Lets hyper serve a connection that holds these bytes; returns what it answers.
async fn serve(bytes: &[u8], told: impl Fn(Understood) + Clone + Send + 'static) -> Vec<u8> {
    let (mut client, server) = tokio::io::duplex(64 * 1024);
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let told = told.clone();
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes().to_vec();
            let target = head.uri.path_and_query().unwrap().as_str();
            let fields = head
                .headers
                .iter()
                .map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()));
            told(understood(&head.method, head.version, target, fields, body));
            let answer = Response::builder().header("X-Answer", "yes").body(Full::new(Bytes::from("answer")));
            Ok::<_, std::convert::Infallible>(answer.unwrap())
        }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .keep_alive(false)
        .serve_connection(TokioIo::new(server), service);
    let task = tokio::spawn(connection);
    client.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).await.unwrap();
    task.await.unwrap().unwrap();
    answer
}

fn understood(
    method: &Method,
    version: http::Version,
    target: &str,
    fields: impl Iterator<Item = (String, Vec<u8>)>,
    body: Vec<u8>,
) -> Understood {
    let mut fields: Vec<_> = fields.filter(|(name, _)| !OWNED.contains(&name.as_str())).collect();
    fields.sort();
    Understood { line: format!("{method} {target} {version:?}"), fields, body }
}
