//! What holds for all heads: how their bytes come makes no difference, and what is written is read as it was
//! meant.
#![allow(clippy::unwrap_used)]

use http::{Method, StatusCode, Version};
use http1::{
    Fields, Framing, Known, Limits, Outgoing, RequestHead, ResponseHead, encode_interim, encode_request,
    encode_response, parse_request, parse_response,
};
use proptest::prelude::*;

/// Pieces of which requests are made, well or ill.
fn request_bytes() -> impl Strategy<Value = Vec<u8>> {
    let start = prop_oneof![
        4 => Just("GET /a/%7e?b HTTP/1.1\r\n"),
        1 => Just("POST http://a/b HTTP/1.1\r\n"),
        1 => Just("OPTIONS * HTTP/1.0\r\n"),
        1 => Just("\r\nPUT / HTTP/1.1\r\n"),
        1 => Just("GET  / HTTP/1.1\r\n"),
        1 => Just("GET / HTTP/1.1\n"),
    ];
    let line = prop_oneof![
        8 => Just(b"Host: a\r\n".to_vec()),
        4 => Just(b"Accept: */*\r\n".to_vec()),
        4 => Just(b"X-Empty:\r\n".to_vec()),
        2 => Just(b"Content-Length: 5\r\n".to_vec()),
        2 => Just(b"Transfer-Encoding: chunked\r\n".to_vec()),
        2 => Just(b"Connection: close, x-empty\r\n".to_vec()),
        1 => Just(b"Upgrade: websocket\r\nConnection: upgrade\r\n".to_vec()),
        1 => Just(b"X: y\n".to_vec()),
        1 => Just(b" folded\r\n".to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..12),
    ];
    let rest = prop_oneof![4 => Just(&b"\r\nrest"[..]), 1 => Just(&b""[..]), 1 => Just(&b"\n"[..])];
    (start, prop::collection::vec(line, 0..6), rest)
        .prop_map(|(start, lines, rest)| [start.as_bytes(), &lines.concat(), rest].concat())
}

/// The sizes in which bytes come.
fn sizes() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(1..40usize, 1..8)
}

/// Feeds growing prefixes to `parse` until it says something else than "more".
fn feed<Fault: Copy>(
    bytes: &[u8],
    sizes: &[usize],
    mut parse: impl FnMut(&[u8], &mut usize) -> Result<Option<usize>, Fault>,
) -> Result<Option<usize>, Fault> {
    let (mut scanned, mut end) = (0, 0);
    for size in sizes.iter().cycle() {
        end = (end + size).min(bytes.len());
        let result = parse(&bytes[..end], &mut scanned);
        if !matches!(result, Ok(None)) || end == bytes.len() {
            return result;
        }
    }
    Ok(None)
}

fn fields() -> impl Strategy<Value = Vec<(String, Vec<u8>)>> {
    let name = "x-[a-zA-Z0-9!#$%&'*+.^`|~]{1,12}";
    let value = prop::collection::vec(prop_oneof![Just(b'\t'), 0x20..=0x7eu8, 0x80..=0xffu8], 0..24);
    prop::collection::vec((name, value), 0..20)
}

fn list(fields: &Fields) -> Vec<(String, Vec<u8>)> {
    let pair =
        |field: http1::Field<'_>| (String::from_utf8_lossy(field.name).into_owned(), field.value.to_vec());
    fields.iter().map(pair).collect()
}

fn to_fields(list: &[(String, Vec<u8>)]) -> Fields {
    let mut fields = Fields::new();
    for (name, value) in list {
        fields.append_named(name.as_bytes(), value);
    }
    fields
}

/// What a policy does to the fields that came.
fn change() -> impl Strategy<Value = fn(&mut Fields)> {
    let changes: [fn(&mut Fields); 8] = [
        |fields| fields.append(Known::Via, b"1.1 a"),
        |fields| fields.append_parts(Known::Server, &[b"a", b"\r\n", b"b"]),
        |fields| fields.append_named(b"x-added", b""),
        |fields| fields.set(Known::Accept, b"text/html"),
        |fields| fields.set_named(b"X-Empty", b"no more"),
        |fields| fields.remove(Known::Accept),
        |fields| fields.remove_named(b"x"),
        |fields| fields.retain(|field| field.value.len() % 2 == 1),
    ];
    prop::sample::select(changes.to_vec())
}

proptest! {
    #[test]
    fn fields_are_written_one_by_one_whatever_was_done_to_them(
        bytes in request_bytes(),
        changes in prop::collection::vec(change(), 0..6),
    ) {
        let mut head = RequestHead::default();
        let _ = parse_request(&bytes, &mut 0, &Limits::default(), &mut head);
        for change in changes {
            change(&mut head.fields);
        }
        let mut expected = b"HTTP/1.1 103 Early Hints\r\n".to_vec();
        for field in head.fields.iter().filter(|field| !field.is_owned()) {
            expected.extend([field.name, b": ", field.value, b"\r\n"].concat());
        }
        expected.extend(b"\r\n");
        let mut out = Vec::new();
        encode_interim(&mut out, StatusCode::EARLY_HINTS, "", &head.fields);
        prop_assert_eq!(out, expected);
    }

    #[test]
    fn any_split_of_a_requests_bytes_gives_the_same_parse(bytes in request_bytes(), sizes in sizes()) {
        let limits = Limits { line: 60, head: 150, headers: 5 };
        let (mut whole, mut split) = (RequestHead::default(), RequestHead::default());
        let at_once = parse_request(&bytes, &mut 0, &limits, &mut whole);
        let in_parts = feed(&bytes, &sizes, |bytes, scanned| parse_request(bytes, scanned, &limits, &mut split));
        match at_once {
            Ok(_) => {
                prop_assert_eq!(in_parts, at_once);
                prop_assert_eq!(format!("{whole:?}"), format!("{split:?}"));
            }
            // Of several faults another may be seen first.
            Err(_) => prop_assert!(in_parts.is_err()),
        }
    }

    #[test]
    fn any_bytes_parse_or_are_refused_without_panic(
        start in prop_oneof![Just(&b""[..]), Just(&b"GET / HTTP/1.1\r\n"[..]), Just(&b"HTTP/1.1 200 OK\r\n"[..])],
        bytes in prop::collection::vec(any::<u8>(), 0..60),
    ) {
        let bytes = [start, &bytes].concat();
        let _ = parse_request(&bytes, &mut 0, &Limits::default(), &mut RequestHead::default());
        let _ = parse_response(&bytes, &mut 0, &Limits::default(), &Method::GET, &mut ResponseHead::default());
    }

    #[test]
    fn a_written_request_is_read_as_it_was_meant(
        method in prop_oneof![Just(Method::GET), Just(Method::POST), Just(Method::DELETE), Just(Method::from_bytes(b"X-y").unwrap())],
        path in "/[a-z0-9._~!$&'()*+,;=:@-]{0,12}",
        query in prop::option::of("[a-z0-9=&%20]{0,12}"),
        list_in in fields(),
        framing in prop_oneof![Just(Framing::None), (1..u64::MAX).prop_map(Framing::Length), Just(Framing::Chunked)],
        accepts_trailers in any::<bool>(),
        upgrade in prop_oneof![Just(""), Just("websocket")],
    ) {
        prop_assume!(http1::normalise_path(path.as_bytes(), &mut String::new()).is_ok());
        let target = query.as_ref().map_or(vec![path.as_str()], |query| vec![path.as_str(), "?", query]);
        let outgoing = Outgoing {
            method: &method, target: &target, authority: "example.com:81", framing, upgrade, accepts_trailers,
        };
        let fields = to_fields(&list_in);
        let mut wire = Vec::new();
        encode_request(&mut wire, &outgoing, &fields);
        let mut head = RequestHead::default();
        prop_assert_eq!(parse_request(&wire, &mut 0, &Limits::default(), &mut head), Ok(Some(wire.len())));
        prop_assert_eq!((&head.method, head.version, head.authority.as_str()), (&method, Version::HTTP_11, "example.com:81"));
        let (mut normal_path, mut normal_query) = (String::new(), String::new());
        http1::normalise_path(path.as_bytes(), &mut normal_path).unwrap();
        http1::normalise_query(query.as_deref().unwrap_or_default().as_bytes(), &mut normal_query).unwrap();
        prop_assert_eq!((&head.path, &head.query, head.has_query), (&normal_path, &normal_query, query.is_some()));
        prop_assert_eq!((head.framing, head.accepts_trailers, head.upgrade.as_str()), (framing, accepts_trailers, upgrade));
        prop_assert_eq!(list(&head.fields), list(&fields));
    }

    #[test]
    fn a_written_answer_is_read_as_it_was_meant(
        status in (200..600u16).prop_filter("has a body", |status| *status != 204 && *status != 304),
        list_in in fields(),
        framing in prop_oneof![
            Just(Framing::None), (1..u64::MAX).prop_map(Framing::Length), Just(Framing::Chunked), Just(Framing::UntilClose),
        ],
        persistent in any::<bool>(),
    ) {
        let status = StatusCode::from_u16(status).unwrap();
        let mut fields = to_fields(&list_in);
        let length = (framing == Framing::None).then_some(0);
        let mut wire = Vec::new();
        encode_response(&mut wire, Version::HTTP_11, status, &fields, framing, length, persistent, b"now");
        let mut head = ResponseHead::default();
        let taken = parse_response(&wire, &mut 0, &Limits::default(), &Method::GET, &mut head);
        prop_assert_eq!(taken, Ok(Some(wire.len())));
        prop_assert_eq!((head.status, head.framing), (status, framing));
        prop_assert_eq!(head.persistent, persistent && framing != Framing::UntilClose);
        fields.append(Known::Date, b"now");
        prop_assert_eq!(list(&head.fields), list(&fields));
    }
}
