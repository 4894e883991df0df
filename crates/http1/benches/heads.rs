//! Measures what a head costs, as `Fields` and as `http::HeaderMap`: a request comes in, four fields are read, three are set, it
//! goes out. `cargo bench -p tollgate-http1`; the numbers stand in `docs/decisions/0001-fields-not-headermap.md`.
#![allow(clippy::unwrap_used)]

use std::hint::black_box;
use std::time::Instant;

use bytes::Bytes;
use http::header::{
    ACCEPT, AUTHORIZATION, CONNECTION, COOKIE, HeaderMap, HeaderName, HeaderValue, USER_AGENT, VIA,
};
use http1::{
    Fields, Known, Limits, Outgoing, RequestHead, ResponseHead, encode_request, encode_response,
    parse_request, parse_response,
};

const API: &[u8] = b"GET /v1/users/12345?expand=orders HTTP/1.1\r\nHost: api.example.com\r\n\
    User-Agent: okhttp/4.12.0\r\nAccept: application/json\r\nAccept-Encoding: gzip\r\n\
    Authorization: Bearer eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiIxMjM0NSJ9.c2lnbmF0dXJl\r\nX-Request-Id: 0190a1b2c3d4\r\n\
    Connection: keep-alive\r\nContent-Type: application/json\r\n\r\n";

const BROWSER: &[u8] = b"GET /products/shoes?page=2&sort=price HTTP/1.1\r\nHost: www.example.com\r\nConnection: keep-alive\r\n\
    sec-ch-ua: \"Chromium\";v=\"126\", \"Not/A)Brand\";v=\"8\"\r\nsec-ch-ua-mobile: ?0\r\nsec-ch-ua-platform: \"Linux\"\r\n\
    Upgrade-Insecure-Requests: 1\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n\
    Sec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-User: ?1\r\nSec-Fetch-Dest: document\r\n\
    Referer: https://www.example.com/products\r\nAccept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-US,en;q=0.9\r\n\
    Cookie: session=0123456789abcdef0123456789abcdef; theme=dark; consent=yes\r\n\r\n";

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Type: application/json\r\n\
    Content-Length: 300\r\nConnection: keep-alive\r\nCache-Control: no-store\r\nVary: Accept-Encoding\r\nETag: \"abc\"\r\n\r\n";

fn main() {
    println!("{:<48} {:>10} {:>10}", "ns per message (median of 9 rounds)", "8 fields", "16 fields");
    row("httparse alone", |bytes| {
        let mut headers = [httparse::EMPTY_HEADER; 100];
        let mut request = httparse::Request::new(&mut headers);
        black_box(request.parse(bytes).unwrap());
    });
    let (mut head, limits) = (RequestHead::default(), Limits::default());
    row("parse_request", |bytes| {
        black_box(parse_request(bytes, &mut 0, &limits, &mut head).unwrap());
    });
    let mut out = Vec::new();
    row("parse, read 4, set 3, write: Fields", |bytes| {
        parse_request(bytes, &mut 0, &limits, &mut head).unwrap();
        relay_fields(&mut head, &mut out);
        black_box(&out);
    });
    let mut map = HeaderMap::new();
    row("httparse alone, read 4, set 3, write: HeaderMap", |bytes| {
        relay_map(bytes, &mut map, &mut out);
        black_box(&out);
    });
    let mut answer = ResponseHead::default();
    let nanoseconds = measure(&mut || {
        parse_response(ANSWER, &mut 0, &limits, &http::Method::GET, &mut answer).unwrap();
        black_box(&answer);
    });
    println!("{:<48} {nanoseconds:>10}", "parse_response");
    let nanoseconds = measure(&mut || {
        out.clear();
        let version = http::Version::HTTP_11;
        encode_response(&mut out, version, answer.status, &answer.fields, answer.framing, None, true, b"");
        black_box(&out);
    });
    println!("{:<48} {nanoseconds:>10}", "encode_response");
}

/// Reads and sets what a proxy does, and writes the request.
fn relay_fields(head: &mut RequestHead, out: &mut Vec<u8>) {
    let fields: &mut Fields = &mut head.fields;
    for known in [Known::Authorization, Known::UserAgent, Known::Accept, Known::Cookie] {
        black_box(fields.get(known));
    }
    fields.set(Known::XForwardedFor, b"203.0.113.7");
    fields.set(Known::XRequestId, b"0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b");
    fields.append(Known::Via, b"1.1 tollgate");
    out.clear();
    encode_request(out, &outgoing(head), &head.fields);
}

/// The same with a map that is kept from request to request, and values that share one copy of the head, as hyper has them. Nothing
/// is checked or normalised beyond what httparse and the map do.
fn relay_map(bytes: &[u8], map: &mut HeaderMap, out: &mut Vec<u8>) {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut request = httparse::Request::new(&mut headers);
    request.parse(bytes).unwrap();
    map.clear();
    let shared = Bytes::copy_from_slice(bytes);
    for header in request.headers.iter() {
        let name = HeaderName::from_bytes(header.name.as_bytes()).unwrap();
        let value =
            HeaderValue::from_maybe_shared(shared.slice_ref(header_slice(&shared, bytes, header.value)))
                .unwrap();
        map.append(name, value);
    }
    for name in [AUTHORIZATION, USER_AGENT, ACCEPT, COOKIE] {
        black_box(map.get(name));
    }
    map.insert("x-forwarded-for", HeaderValue::from_static("203.0.113.7"));
    map.insert("x-request-id", HeaderValue::from_static("0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b"));
    map.append(VIA, HeaderValue::from_static("1.1 tollgate"));
    map.remove(CONNECTION);
    out.clear();
    out.extend_from_slice(request.method.unwrap().as_bytes());
    out.push(b' ');
    out.extend_from_slice(request.path.unwrap().as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    for (name, value) in &*map {
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

/// The part of the shared copy that a value of the original is.
fn header_slice<'a>(shared: &'a Bytes, bytes: &[u8], value: &[u8]) -> &'a [u8] {
    let start = value.as_ptr().addr() - bytes.as_ptr().addr();
    &shared[start..start + value.len()]
}

fn outgoing(head: &RequestHead) -> Outgoing<'_> {
    Outgoing {
        method: &head.method,
        target: &["/v1/users/12345", "?", "expand=orders"],
        authority: &head.authority,
        framing: head.framing,
        upgrade: "",
        accepts_trailers: false,
    }
}

fn row(name: &str, mut work: impl FnMut(&[u8])) {
    let (api, browser) = (measure(&mut || work(API)), measure(&mut || work(BROWSER)));
    println!("{name:<48} {api:>10} {browser:>10}");
}

/// Nanoseconds of one call.
fn measure(work: &mut dyn FnMut()) -> u128 {
    const CALLS: u128 = 100_000;
    let mut rounds: Vec<u128> = (0..9)
        .map(|_| {
            let start = Instant::now();
            for _ in 0..CALLS {
                work();
            }
            start.elapsed().as_nanos() / CALLS
        })
        .collect();
    rounds.sort_unstable();
    rounds[rounds.len() / 2]
}
