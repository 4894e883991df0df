//! An answer's head: the same however its bytes come, and once written for the client, read back as it was.
#![no_main]

use http::Method;
use http1::{Framing, Limits, ResponseHead, encode_interim, encode_response, parse_response};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    // The first byte chooses the request's method.
    let Some((choice, bytes)) = bytes.split_first() else { return };
    let method = [Method::GET, Method::HEAD, Method::CONNECT][*choice as usize % 3].clone();
    let limits = Limits { line: 256, head: 1024, headers: 16 };
    let mut head = ResponseHead::default();
    let at_once = parse_response(bytes, &mut 0, &limits, &method, &mut head);
    compare_with_byte_by_byte(bytes, &limits, &method, at_once.is_err(), &head, at_once.ok().flatten());
    if matches!(at_once, Ok(Some(_))) {
        relay(&head, &method);
    }
});

/// Feeds the bytes one by one; sees that a whole head and its end come out the same.
fn compare_with_byte_by_byte(
    bytes: &[u8],
    limits: &Limits,
    method: &Method,
    is_refused: bool,
    head: &ResponseHead,
    taken: Option<usize>,
) {
    let mut slow = ResponseHead::default();
    let mut scanned = 0;
    for length in 0..=bytes.len() {
        match parse_response(&bytes[..length], &mut scanned, limits, method, &mut slow) {
            Ok(None) => {}
            Ok(Some(end)) => {
                assert_eq!(Some(end), taken);
                assert_eq!(format!("{head:?}"), format!("{slow:?}"));
                return;
            }
            Err(_) => return assert!(is_refused, "refused byte by byte only"),
        }
    }
    assert!(taken.is_none() && !is_refused, "understood or refused at once only");
}

/// Writes the head as the gateway would and reads it as the client would.
fn relay(head: &ResponseHead, method: &Method) {
    let mut wire = Vec::new();
    let version = http::Version::HTTP_11;
    if head.status.is_informational() {
        encode_interim(&mut wire, head.status, &head.upgrade, &head.fields);
    } else {
        let (framing, length) = (head.framing, head.content_length);
        encode_response(&mut wire, version, head.status, &head.fields, framing, length, head.persistent, b"");
    }
    let mut read = ResponseHead::default();
    let limits = Limits { line: 1024, head: 8192, headers: 32 };
    assert_eq!(parse_response(&wire, &mut 0, &limits, method, &mut read), Ok(Some(wire.len())));
    assert_eq!((read.status, read.framing, &read.upgrade), (head.status, head.framing, &head.upgrade));
    assert!(read.content_length == head.content_length || head.framing == Framing::Chunked);
    assert!(read.fields.iter().eq(head.fields.iter()));
}
