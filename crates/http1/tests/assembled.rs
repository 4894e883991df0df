//! Heads of HTTP/2 are understood as those of HTTP/1.1 are, and what only HTTP/1.1 has is refused.
#![allow(clippy::unwrap_used)]

use http::{Method, StatusCode, Version};
use http1::{
    BodyFault, Fields, Framing, Incoming, LARGEST_TRAILERS, Limits, MOST_TRAILERS, RequestFault, RequestHead,
    ResponseFault, ResponseHead, TargetForm, assemble_request, assemble_response, assemble_trailers,
    parse_request,
};
use proptest::prelude::*;

type List<'a> = &'a [(&'a str, &'a str)];

fn pairs(list: List<'_>) -> impl Iterator<Item = (&[u8], &[u8])> {
    list.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()))
}

fn request(
    method: &str,
    authority: Option<&str>,
    path: &str,
    has_ended: bool,
    list: List<'_>,
) -> Result<RequestHead, RequestFault> {
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    let incoming = Incoming {
        method: &method,
        authority: authority.map(str::as_bytes),
        path: path.as_bytes(),
        has_ended,
    };
    let mut head = RequestHead::default();
    assemble_request(&incoming, pairs(list), &Limits::default(), &mut head).map(|()| head)
}

fn get(authority: Option<&str>, path: &str, list: List<'_>) -> Result<RequestHead, RequestFault> {
    request("GET", authority, path, true, list)
}

fn post(list: List<'_>) -> Result<RequestHead, RequestFault> {
    request("POST", Some("a"), "/", false, list)
}

fn answer(
    status: u16,
    method: &Method,
    has_ended: bool,
    list: List<'_>,
) -> Result<ResponseHead, ResponseFault> {
    let mut head = ResponseHead::default();
    let status = StatusCode::from_u16(status).unwrap();
    let limits = Limits::default();
    assemble_response(status, pairs(list), has_ended, method, &limits, &mut head).map(|()| head)
}

fn listed(fields: &Fields) -> String {
    let lines = fields.iter().map(|field| {
        format!("{}={}\n", String::from_utf8_lossy(field.name), String::from_utf8_lossy(field.value))
    });
    lines.collect()
}

#[test]
fn a_request_is_what_it_says() {
    let head = get(
        Some("EXAMPLE.com:8080"),
        "/a/../b%41?x=1",
        &[
            ("accept", "*/*"),
            ("cookie", "a=1"),
            ("cookie", ""),
            ("cookie", "b=2; c=3"),
            ("te", "trailers"),
            ("proxy-authorization", "Basic x"),
            ("x_forwarded_for", "6.6.6.6"),
            ("x-a", "\u{e9}\t b"),
            ("cookie", "d=4"),
        ],
    )
    .unwrap();
    assert_eq!(head.version, Version::HTTP_2);
    assert_eq!((head.form, head.method.as_str()), (TargetForm::Origin, "GET"));
    assert_eq!((head.authority.as_str(), head.path.as_str()), ("example.com:8080", "/bA"));
    assert_eq!(head.query(), Some("x=1"));
    assert!(head.accepts_trailers && head.persistent);
    assert_eq!(listed(&head.fields), "accept=*/*\nCookie=a=1; b=2; c=3; d=4\nx-a=\u{e9}\t b\n");
    assert_eq!(head.framing, Framing::None);
    let head = post(&[("expect", "100-Continue")]).unwrap();
    assert!(head.expects_continue);
    assert_eq!(listed(&head.fields), "expect=100-Continue\n");
}

#[test]
fn the_host_is_the_authority_or_the_field_or_both_in_agreement() {
    let cases = [
        (Some("a"), None, Ok("a")),
        (None, Some("A:80"), Ok("a:80")),
        (Some("a"), Some("A"), Ok("a")),
        (Some("[::1]:443"), Some("[0::1]:443"), Ok("[::1]:443")),
        (None, None, Err(400)),
        (Some("a"), Some("b"), Err(400)),
        (Some("a"), Some("a:80"), Err(400)),
        (Some("u@a"), None, Err(400)),
        (Some(""), None, Err(400)),
        (Some("a b"), None, Err(400)),
        (Some("a/b"), None, Err(400)),
        (Some("a"), Some("u@a"), Err(400)),
        (None, Some(""), Err(400)),
    ];
    for (authority, host, expected) in cases {
        let list: Vec<_> = host.map(|host| ("host", host)).into_iter().collect();
        let read = get(authority, "/", &list);
        let authority = read.as_ref().map(|head| head.authority.as_str());
        assert_eq!(authority.map_err(|fault| fault.status().as_u16()), expected, "{authority:?} {host:?}");
    }
    let twice = get(None, "/", &[("host", "a"), ("host", "a")]);
    assert_eq!(twice.unwrap_err(), RequestFault::HostRepeated);
}

#[test]
fn bodies_are_framed_by_their_length_or_by_their_end() {
    let length = |length| [("content-length", length)];
    assert_eq!(post(&[]).unwrap().framing, Framing::Chunked);
    assert_eq!(post(&length("5")).unwrap().framing, Framing::Length(5));
    assert_eq!(post(&length("0")).unwrap().framing, Framing::None);
    assert_eq!(request("POST", Some("a"), "/", true, &[]).unwrap().framing, Framing::None);
    let connect = request("CONNECT", Some("a:443"), "", false, &[]).unwrap();
    assert_eq!((connect.form, connect.framing), (TargetForm::Authority, Framing::None));
    assert_eq!((connect.authority.as_str(), connect.path.as_str()), ("a:443", ""));
}

#[test]
fn what_could_be_read_in_two_ways_is_refused() {
    let field = |name, value| vec![(name, value)];
    let cases = [
        (vec![("content-length", "5"), ("content-length", "5")], "400 content_length_repeated"),
        (field("content-length", "+5"), "400 content_length_malformed"),
        (field("content-length", "5, 5"), "400 content_length_malformed"),
        (field("content-length", ""), "400 content_length_malformed"),
        (field("content_length", "5"), "400 framing_lookalike"),
        (field("transfer_encoding", "chunked"), "400 framing_lookalike"),
        (field("transfer-encoding", "chunked"), "400 connection_field"),
        (field("connection", "close"), "400 connection_field"),
        (field("keep-alive", "timeout=5"), "400 connection_field"),
        (field("proxy-connection", "close"), "400 connection_field"),
        (field("upgrade", "h2c"), "400 connection_field"),
        (field("te", "trailers, gzip"), "400 connection_field"),
        (field("te", "chunked"), "400 connection_field"),
        (field("expect", "the-unexpected"), "417 expectation_unknown"),
        (field("X-A", "1"), "400 header_name_malformed"),
        (field("x a", "1"), "400 header_name_malformed"),
        (field("x:a", "1"), "400 header_name_malformed"),
        (field(":method", "GET"), "400 header_name_malformed"),
        (field("", "1"), "400 header_name_malformed"),
        (field("x\r\ny", "1"), "400 header_name_malformed"),
        (field("x", "1\r\nhost: b"), "400 header_value_malformed"),
        (field("x", "1\nb"), "400 header_value_malformed"),
        (field("x", "1\rb"), "400 header_value_malformed"),
        (field("x", "1\0b"), "400 header_value_malformed"),
        (field("x", "\u{7f}"), "400 header_value_malformed"),
        (field("x", " 1"), "400 header_value_malformed"),
        (field("x", "1\t"), "400 header_value_malformed"),
        (field("cookie", "a=1\r\nx: y"), "400 header_value_malformed"),
    ];
    for (list, expected) in cases {
        let fault = post(&list).unwrap_err();
        assert_eq!(format!("{} {}", fault.status().as_u16(), fault.code()), expected, "{list:?}");
    }
}

#[test]
fn targets_are_refused_as_in_http1() {
    let cases = [
        ("GET", "*", "target_form"),
        ("GET", "", "target_form"),
        ("GET", "a", "target_form"),
        ("GET", "?a", "target_form"),
        ("GET", "http://b/", "target_form"),
        ("GET", "/a b", "target_character"),
        ("GET", "/a\r\nhost: b", "target_character"),
        ("GET", "/a#b", "target_fragment"),
        ("GET", "/a%00", "target_nul"),
        ("GET", "/%zz", "target_percent_encoding"),
        ("GET", "/../a", "target_above_root"),
        ("GET", "/a/..;/b", "target_dot_segment"),
        ("GET", "/a\\b", "target_character"),
        ("AVERYLONGMETHODTHATNOBODYHASEVERUSED", "/", "method_too_long"),
    ];
    for (method, path, code) in cases {
        let fault = request(method, Some("a"), path, true, &[]).unwrap_err();
        assert_eq!(fault.code(), code, "{method} {path}");
    }
    assert_eq!(request("OPTIONS", Some("a"), "*", true, &[]).unwrap().path, "*");
    for authority in [None, Some("a"), Some("u@a:1"), Some("a:0")] {
        let fault = request("CONNECT", authority, "", false, &[]).unwrap_err();
        assert_eq!(fault.code(), "target_authority", "{authority:?}");
    }
    let body = [("content-length", "5")];
    let fault = request("CONNECT", Some("a:1"), "", false, &body).unwrap_err();
    assert_eq!(fault, RequestFault::ConnectWithBody);
    assert_eq!(request("TRACE", Some("a"), "/", false, &[]).unwrap_err(), RequestFault::TraceWithBody);
}

#[test]
fn heads_have_the_bounds_of_http1() {
    let long = format!("/{}", "a".repeat(8 * 1024));
    assert_eq!(get(Some("a"), &long, &[]).unwrap_err().code(), "uri_too_long");
    let large = "x".repeat(32 * 1024);
    assert_eq!(get(Some("a"), "/", &[("x", &large)]).unwrap_err().code(), "header_too_large");
    let many = vec![("x", "1"); 100];
    assert_eq!(get(Some("a"), "/", &many).unwrap_err().code(), "header_too_large");
    assert!(get(Some("a"), "/", &many[1..]).is_ok(), "the authority is one of them");
    // Crumbs are one field, but have to fit.
    let crumbs = vec![("cookie", "a=1"); 1000];
    assert_eq!(get(Some("a"), "/", &crumbs).unwrap().fields.len(), 1);
    let crumbs = vec![("cookie", "a=1"); 10_000];
    assert_eq!(get(Some("a"), "/", &crumbs).unwrap_err().code(), "header_too_large");
}

#[test]
fn an_answer_is_framed_by_its_length_or_by_its_end() {
    const GET: Method = Method::GET;
    let five = [("content-length", "5")];
    let cases = [
        (200, GET, false, &five[..], Framing::Length(5), Some(5)),
        (200, GET, false, &[], Framing::Chunked, None),
        (200, GET, true, &[], Framing::None, Some(0)),
        (200, GET, true, &[("content-length", "0")], Framing::None, Some(0)),
        (200, Method::HEAD, true, &five, Framing::None, Some(5)),
        (200, Method::HEAD, true, &[], Framing::None, None),
        (304, GET, true, &five, Framing::None, Some(5)),
        (204, GET, true, &five, Framing::None, None),
        (200, Method::CONNECT, false, &[], Framing::None, None),
        (103, GET, false, &[], Framing::None, None),
    ];
    for (status, method, has_ended, list, framing, length) in cases {
        let head = answer(status, &method, has_ended, list).unwrap();
        assert_eq!((head.framing, head.content_length), (framing, length), "{status} {method} {list:?}");
        assert!(head.persistent);
    }
}

#[test]
fn answers_that_belong_to_http1_or_are_malformed_are_refused() {
    let refused =
        |status, has_ended, list: List<'_>| answer(status, &Method::GET, has_ended, list).unwrap_err().code();
    for name in ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"] {
        assert_eq!(refused(200, false, &[(name, "x")]), "connection_field");
    }
    assert_eq!(refused(101, false, &[]), "upgrade_missing");
    assert_eq!(refused(103, true, &[]), "interim_with_body");
    assert_eq!(refused(100, false, &[("content-length", "1")]), "interim_with_body");
    assert_eq!(refused(200, false, &[("content-length", "x")]), "content_length_malformed");
    assert_eq!(
        refused(200, false, &[("content-length", "1"), ("content-length", "1")]),
        "content_length_repeated"
    );
    assert_eq!(refused(200, false, &[("Server", "x")]), "header_name_malformed");
    assert_eq!(refused(200, false, &[("server", "x\r\ny")]), "header_value_malformed");
    assert_eq!(refused(200, false, &[("x", &"x".repeat(40_000))]), "header_too_large");
    let head = answer(407, &Method::GET, true, &[("proxy-authenticate", "Basic"), ("host", "a"), ("x", "y")]);
    assert_eq!(listed(&head.unwrap().fields), "x=y\n");
}

#[test]
fn trailers_are_those_that_http1_takes() {
    let read = |list: List<'_>| {
        let mut trailers = Fields::new();
        assemble_trailers(pairs(list), &mut trailers).map(|()| listed(&trailers))
    };
    let list = [
        ("grpc-status", "0"),
        ("content-length", "5"),
        ("transfer-encoding", "chunked"),
        ("host", "b"),
        ("x_forwarded_for", "6.6.6.6"),
        ("authorization", "Basic x"),
        ("etag", "\"a\""),
    ];
    assert_eq!(read(&list).unwrap(), "grpc-status=0\netag=\"a\"\n");
    assert_eq!(read(&[("x", " y")]), Err(BodyFault::Trailer));
    assert_eq!(read(&[("X", "y")]), Err(BodyFault::Trailer));
    assert_eq!(read(&vec![("x", "y"); MOST_TRAILERS + 1]), Err(BodyFault::TrailersTooLarge));
    assert_eq!(read(&[("x", &"y".repeat(LARGEST_TRAILERS))]), Err(BodyFault::TrailersTooLarge));
}

/// Names and values that matter to either protocol.
fn field() -> impl Strategy<Value = (String, String)> {
    let name = prop_oneof![
        Just("host"),
        Just("content-length"),
        Just("expect"),
        Just("te"),
        Just("cookie"),
        Just("x_forwarded_for"),
        Just("content_length"),
        Just("proxy-authorization"),
        Just("x-a"),
    ];
    let value = prop_oneof![
        Just("a".to_owned()),
        Just("trailers".to_owned()),
        Just("5".to_owned()),
        Just("100-continue".to_owned()),
        "[ -~]{0,5}",
    ];
    (name.prop_map(str::to_owned), value)
}

proptest! {
    #[test]
    fn a_request_means_the_same_however_it_comes(
        path in "[/a.%2Fe?#;\\\\]{1,8}",
        list in prop::collection::vec(field(), 0..5),
    ) {
        // Where the protocols differ by themselves: several cookies, and spaces around values.
        prop_assume!(list.iter().filter(|(name, _)| name == "cookie").count() < 2);
        prop_assume!(list.iter().all(|(name, value)| value.trim() == value && (name != "te" || value == "trailers")));
        prop_assume!(list.iter().all(|(name, value)| name != "cookie" || !value.is_empty()));
        let lines: Vec<_> = list.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let text = format!("POST {path} HTTP/1.1\r\n{}\r\n", lines.concat());
        let mut parsed = RequestHead::default();
        let first = parse_request(text.as_bytes(), &mut 0, &Limits::default(), &mut parsed).map(drop);
        let list: Vec<_> = list.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        match (first, request("POST", None, &path, true, &list)) {
            (Ok(()), Ok(assembled)) => {
                prop_assert_eq!(&parsed.path, &assembled.path);
                prop_assert_eq!(parsed.query(), assembled.query());
                prop_assert_eq!(&parsed.authority, &assembled.authority);
                prop_assert_eq!(parsed.framing, assembled.framing);
                prop_assert_eq!(parsed.expects_continue, assembled.expects_continue);
                // The name that joins crumbs is the gateway's.
                prop_assert_eq!(listed(&parsed.fields).to_lowercase(), listed(&assembled.fields).to_lowercase());
            }
            (Err(first), Err(second)) => prop_assert_eq!(first, second),
            (first, second) => prop_assert!(false, "{first:?} but {second:?}"),
        }
    }
}
