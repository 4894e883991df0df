//! A request's head: the same however its bytes come, and once written for the service, read back as it was.
#![no_main]

use http1::{Framing, Limits, Outgoing, RequestHead, TargetForm, encode_request, parse_request};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits { line: 256, head: 1024, headers: 16 };
    let mut head = RequestHead::default();
    let at_once = parse_request(bytes, &mut 0, &limits, &mut head);
    compare_with_byte_by_byte(bytes, &limits, at_once.is_err(), &head, at_once.ok().flatten());
    if !matches!(at_once, Ok(Some(_))) {
        return;
    }
    assert!(
        head.fields.iter().all(|field| http1::is_token(field.name) && http1::is_field_value(field.value))
    );
    relay(&head);
});

/// Feeds the bytes one by one; sees that a whole head and its end come out the same.
fn compare_with_byte_by_byte(
    bytes: &[u8],
    limits: &Limits,
    is_refused: bool,
    head: &RequestHead,
    taken: Option<usize>,
) {
    let mut slow = RequestHead::default();
    let mut scanned = 0;
    for length in 0..=bytes.len() {
        match parse_request(&bytes[..length], &mut scanned, limits, &mut slow) {
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

/// Writes the head as the gateway would and reads it as a service would: nothing in it may have changed the message.
fn relay(head: &RequestHead) {
    let target: &[&str] = match (head.form, head.has_query) {
        (TargetForm::Authority, _) => &[&head.authority],
        (_, false) => &[&head.path],
        (_, true) => &[&head.path, "?", &head.query],
    };
    let outgoing = Outgoing {
        method: &head.method,
        target,
        authority: if head.authority.is_empty() { "a" } else { &head.authority },
        framing: head.framing,
        upgrade: &head.upgrade,
        accepts_trailers: head.accepts_trailers,
    };
    let mut wire = Vec::new();
    encode_request(&mut wire, &outgoing, &head.fields);
    let mut read = RequestHead::default();
    // Normalising may lengthen the target, and the engine adds fields of its own.
    let limits = Limits { line: 4096, head: 8192, headers: 32 };
    assert_eq!(parse_request(&wire, &mut 0, &limits, &mut read), Ok(Some(wire.len())));
    assert_eq!((&read.method, &read.path, read.query()), (&head.method, &head.path, head.query()));
    assert_eq!((read.framing, &read.upgrade), (head.framing, &head.upgrade));
    assert!(read.framing != Framing::UntilClose);
    assert!(read.fields.iter().eq(head.fields.iter()));
}
