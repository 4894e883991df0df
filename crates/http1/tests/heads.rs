//! Heads that must be understood, and how.
#![allow(clippy::unwrap_used)]

use http::{Method, Version};
use http1::{
    Fields, Framing, Known, Limits, RequestFault, RequestHead, ResponseFault, ResponseHead, SyntaxFault,
    TargetForm, parse_request, parse_response,
};

/// Parses bytes that hold a whole head, at once and byte by byte, and sees that both agree.
fn request(bytes: &[u8]) -> Result<RequestHead, RequestFault> {
    let limits = Limits::default();
    let mut head = RequestHead::default();
    let at_once = parse_request(bytes, &mut 0, &limits, &mut head);
    let mut slow = RequestHead::default();
    let mut scanned = 0;
    let mut by_byte = Ok(None);
    for length in 0..=bytes.len() {
        by_byte = parse_request(&bytes[..length], &mut scanned, &limits, &mut slow);
        if by_byte != Ok(None) {
            break;
        }
    }
    assert_eq!(at_once, by_byte, "{}", bytes.escape_ascii());
    let taken = at_once?.expect("a whole head");
    assert!(bytes[..taken].ends_with(b"\r\n\r\n"));
    assert_eq!(format!("{head:?}"), format!("{slow:?}"));
    Ok(head)
}

fn response(bytes: &[u8], method: &Method) -> Result<ResponseHead, ResponseFault> {
    let limits = Limits::default();
    let mut head = ResponseHead::default();
    let at_once = parse_response(bytes, &mut 0, &limits, method, &mut head);
    let mut slow = ResponseHead::default();
    let mut scanned = 0;
    let mut by_byte = Ok(None);
    for length in 0..=bytes.len() {
        by_byte = parse_response(&bytes[..length], &mut scanned, &limits, method, &mut slow);
        if by_byte != Ok(None) {
            break;
        }
    }
    assert_eq!(at_once, by_byte, "{}", bytes.escape_ascii());
    at_once?.expect("a whole head");
    assert_eq!(format!("{head:?}"), format!("{slow:?}"));
    Ok(head)
}

/// A request to `/` with these field lines besides `Host`.
fn with(lines: &str) -> Result<RequestHead, RequestFault> {
    request(format!("POST / HTTP/1.1\r\nHost: a\r\n{lines}\r\n").as_bytes())
}

fn answer(status: &str, lines: &str) -> ResponseHead {
    response(format!("HTTP/1.1 {status}\r\n{lines}\r\n").as_bytes(), &Method::GET).unwrap()
}

fn listed(fields: &Fields) -> String {
    let lines = fields.iter().map(|field| {
        format!("{}={}", String::from_utf8_lossy(field.name), String::from_utf8_lossy(field.value))
    });
    lines.collect::<Vec<_>>().join("|")
}

#[test]
fn a_browsers_request_is_read_in_full() {
    let head = request(
        b"GET /search?q=a%20b HTTP/1.1\r\nHost: Example.COM:8080\r\nUser-Agent:  x \t\r\naccept: */*\r\nX-Empty:\r\n\
          X-Blank: \t\r\nCookie: a=\xe9\r\nConnection: keep-alive\r\n\r\nrest",
    )
    .unwrap();
    assert_eq!((head.method, head.version, head.form), (Method::GET, Version::HTTP_11, TargetForm::Origin));
    assert_eq!((head.path.as_str(), head.query.as_str(), head.has_query), ("/search", "q=a%20b", true));
    assert_eq!(head.authority, "example.com:8080");
    assert_eq!(listed(&head.fields), "User-Agent=x|accept=*/*|X-Empty=|X-Blank=|Cookie=a=\u{fffd}");
    assert_eq!(head.fields.get(Known::Accept), Some(&b"*/*"[..]));
    assert_eq!((head.framing, head.persistent), (Framing::None, true));
}

#[test]
fn one_empty_line_before_a_request_is_skipped_and_counted() {
    let bytes = b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\nPOST";
    let mut head = RequestHead::default();
    let taken = parse_request(bytes, &mut 0, &Limits::default(), &mut head);
    assert_eq!(taken, Ok(Some(bytes.len() - 4)));
}

#[test]
fn targets_come_in_four_forms() {
    use TargetForm::{Absolute, Asterisk, Authority, Origin};
    const CASES: &[(&str, &str, &str, TargetForm, &str, &str, bool)] = &[
        ("GET /a/../b?c", "h", "h", Origin, "/b", "c", true),
        ("GET /a?", "h", "h", Origin, "/a", "", true),
        ("GET /?a?b", "h", "h", Origin, "/", "a?b", true),
        ("GET http://h/a?c", "h", "h", Absolute, "/a", "c", true),
        ("GET HTTPS://H:1/a", "h:1", "h:1", Absolute, "/a", "", false),
        ("GET http://h", "H", "h", Absolute, "/", "", false),
        ("GET http://h?c=/", "h", "h", Absolute, "/", "c=/", true),
        ("OPTIONS *", "h", "h", Asterisk, "*", "", false),
        ("OPTIONS http://h", "h", "h", Asterisk, "*", "", false),
        ("OPTIONS http://h/", "h", "h", Absolute, "/", "", false),
        ("CONNECT h:443", "h:443", "h:443", Authority, "", "", false),
        ("CONNECT h:443", "h", "h:443", Authority, "", "", false),
        ("CONNECT [::1]:443", "[::1]", "[::1]:443", Authority, "", "", false),
        ("GET /a//b/%7Ec", "h", "h", Origin, "/a/b/~c", "", false),
    ];
    for (line, host, authority, form, path, query, has_query) in CASES {
        let head = request(format!("{line} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes()).unwrap();
        assert_eq!(
            (head.authority.as_str(), head.form, head.path.as_str()),
            (*authority, *form, *path),
            "{line}"
        );
        assert_eq!((head.query.as_str(), head.has_query), (*query, *has_query), "{line}");
    }
}

#[test]
fn an_http_1_0_client_may_leave_out_host_and_closes_unless_it_says_otherwise() {
    let head = request(b"GET / HTTP/1.0\r\nExpect: 100-continue\r\nX: y\r\n\r\n").unwrap();
    assert_eq!((head.version, head.authority.as_str(), head.persistent), (Version::HTTP_10, "", false));
    assert_eq!((listed(&head.fields).as_str(), head.expects_continue), ("X=y", false));
    let head = request(b"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\nUpgrade: a\r\n\r\n").unwrap();
    assert_eq!((head.persistent, head.upgrade.as_str()), (true, ""));
}

#[test]
fn the_framing_of_a_request_is_what_its_fields_say() {
    const CASES: &[(&str, Framing)] = &[
        ("", Framing::None),
        ("Content-Length: 0\r\n", Framing::None),
        ("Content-Length: 12\r\n", Framing::Length(12)),
        ("content-length:0012 \r\n", Framing::Length(12)),
        ("Content-Length: 18446744073709551615\r\n", Framing::Length(u64::MAX)),
        ("Transfer-Encoding: Chunked\r\n", Framing::Chunked),
    ];
    for (lines, framing) in CASES {
        let head = with(lines).unwrap();
        assert_eq!(
            (head.framing, head.persistent, head.fields.is_empty()),
            (*framing, true, true),
            "{lines}"
        );
    }
}

#[test]
fn a_get_with_a_body_is_the_last_request_of_its_connection() {
    for method in ["GET", "HEAD"] {
        let head = request(format!("{method} / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n").as_bytes())
            .unwrap();
        assert_eq!((head.framing, head.persistent), (Framing::Length(3), false));
    }
}

#[test]
fn fields_of_the_connection_go_no_further() {
    let head = with(
        "Connection: X-Hop, keep-alive\r\nx-hop: 1\r\nKeep-Alive: timeout=5\r\nProxy-Connection: close\r\nA: b\r\n\
         TE: gzip;q=0.5, trailers\r\nProxy-Authorization: Basic x\r\nUpgrade: websocket\r\nConnection: TE, x-other\r\nX-OTHER: 2\r\n",
    )
    .unwrap();
    assert_eq!(listed(&head.fields), "A=b");
    assert!(head.persistent && head.accepts_trailers && head.upgrade.is_empty());
    assert!(!with("Connection: close, keep-alive\r\n").unwrap().persistent);
}

#[test]
fn names_with_underscores_are_kept_unless_they_resemble_one_that_the_gateway_acts_on() {
    let head = with("my_name: 1\r\nX_Forwarded_For: 1.2.3.4\r\nx_real-ip: 1.2.3.4\r\nx--y: 2\r\n").unwrap();
    assert_eq!(listed(&head.fields), "my_name=1|x--y=2");
}

#[test]
fn an_upgrade_counts_when_connection_confirms_it_and_it_is_not_to_http() {
    const CASES: &[(&str, &str)] = &[
        ("Connection: Upgrade\r\nUpgrade: websocket\r\n", "websocket"),
        ("Connection: keep-alive, upgrade\r\nUpgrade: a/1, b\r\nUpgrade: c\r\n", "a/1, b, c"),
        ("Upgrade: websocket\r\n", ""),
        ("Connection: upgrade\r\n", ""),
        ("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAA\r\n", ""),
        ("Connection: Upgrade\r\nUpgrade: websocket, H2C\r\n", ""),
        ("Connection: Upgrade\r\nUpgrade: HTTP/2.0\r\n", ""),
        ("Connection: Upgrade\r\nUpgrade: \u{e9}\r\n", ""),
    ];
    for (lines, upgrade) in CASES {
        let head = with(lines).unwrap();
        assert_eq!((head.upgrade.as_str(), head.fields.is_empty()), (*upgrade, true), "{lines}");
    }
}

#[test]
fn an_expectation_is_noted_and_kept() {
    let head = with("Expect: 100-Continue\r\nContent-Length: 5\r\n").unwrap();
    assert_eq!((head.expects_continue, listed(&head.fields).as_str()), (true, "Expect=100-Continue"));
}

#[test]
fn a_head_that_has_not_all_come_is_no_fault() {
    let whole = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut head = RequestHead::default();
    for length in 0..whole.len() {
        assert_eq!(parse_request(&whole[..length], &mut 0, &Limits::default(), &mut head), Ok(None));
    }
}

#[test]
fn limits_hold_while_the_head_is_still_coming() {
    let limits = Limits { line: 20, head: 60, headers: 2 };
    let parse = |text: &str| parse_request(text.as_bytes(), &mut 0, &limits, &mut RequestHead::default());
    let fault = |fault: SyntaxFault| Err(RequestFault::Syntax(fault));
    assert_eq!(parse("GET /1234567 HTTP/1.1\r\nHost: a\r\n\r\n"), fault(SyntaxFault::LineTooLong));
    assert_eq!(parse("GET /123456 HTTP/1.1\r\nHost: a\r\n\r\n"), Ok(Some(33)));
    assert_eq!(parse("GET /123456 HTTP/1.1"), Ok(None));
    assert_eq!(parse("GET /12345678901234567890"), fault(SyntaxFault::LineTooLong));
    assert_eq!(parse("GET / HTTP/1.1\r\na:\r\nb:\r\nc:\r\n"), fault(SyntaxFault::TooManyFields));
    assert_eq!(parse("GET / HTTP/1.1\r\nHost:a\r\nb:\r\nc:\r\n\r\n"), fault(SyntaxFault::TooManyFields));
    assert_eq!(parse("GET / HTTP/1.1\r\nHost:a\r\nb:\r\n\r\n"), Ok(Some(30)));
    let long = format!("GET / HTTP/1.1\r\nHost: {}", "a".repeat(100));
    assert_eq!(parse(&long), fault(SyntaxFault::HeadTooLarge));
    assert_eq!(parse(&format!("{long}\r\n\r\n")), fault(SyntaxFault::HeadTooLarge));
    let exact = format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", "a".repeat(34));
    assert_eq!((exact.len(), parse(&exact)), (60, Ok(Some(60))));
}

#[test]
fn the_framing_of_an_answer_follows_its_status_and_the_request() {
    use Framing::{Chunked, Length, None as Nothing, UntilClose};
    #[allow(clippy::type_complexity)]
    const CASES: &[(&str, &str, &str, Framing, Option<u64>, bool)] = &[
        ("GET", "200 OK", "Content-Length: 5\r\n", Length(5), Some(5), true),
        ("GET", "200 OK", "Content-Length: 0\r\n", Nothing, Some(0), true),
        ("GET", "200 OK", "Transfer-Encoding: chunked\r\n", Chunked, None, true),
        ("GET", "200 OK", "", UntilClose, None, false),
        ("GET", "200 OK", "Content-Length: 5\r\nConnection: close\r\n", Length(5), Some(5), false),
        ("HEAD", "200 OK", "Content-Length: 5\r\n", Nothing, Some(5), true),
        ("HEAD", "200 OK", "Transfer-Encoding: chunked\r\n", Nothing, None, true),
        ("HEAD", "200 OK", "", Nothing, None, true),
        ("GET", "304 Not Modified", "Content-Length: 5\r\n", Nothing, Some(5), true),
        ("GET", "204 No Content", "", Nothing, None, true),
        ("GET", "204 No Content", "Content-Length: 0\r\n", Nothing, None, true),
        ("GET", "204 No Content", "Content-Length: 5\r\n", Nothing, None, false),
        ("GET", "204 No Content", "Transfer-Encoding: chunked\r\n", Nothing, None, false),
        ("GET", "100 Continue", "", Nothing, None, true),
        ("GET", "103 Early Hints", "Link: </a>\r\n", Nothing, None, true),
        ("CONNECT", "200 OK", "Content-Length: 5\r\n", Nothing, None, true),
        ("CONNECT", "502 Bad Gateway", "Content-Length: 5\r\n", Length(5), Some(5), true),
    ];
    for (method, status, lines, framing, length, persistent) in CASES {
        let bytes = format!("HTTP/1.1 {status}\r\n{lines}\r\n");
        let head = response(bytes.as_bytes(), &method.parse().unwrap()).unwrap();
        assert_eq!(
            (head.framing, head.content_length, head.persistent),
            (*framing, *length, *persistent),
            "{method} {bytes}"
        );
    }
}

#[test]
fn a_status_line_may_lack_its_reason() {
    for status in ["200", "200 ", "200 \u{e9}\tx  y", "299 ?", "999 x"] {
        assert_eq!(answer(status, "").status.as_str(), &status[..3]);
    }
}

#[test]
fn an_http_1_0_service_closes_unless_it_says_otherwise() {
    let head = response(b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n", &Method::GET).unwrap();
    assert!(!head.persistent);
    let bytes = b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\nConnection: keep-alive\r\n\r\n";
    assert!(response(bytes, &Method::GET).unwrap().persistent);
}

#[test]
fn fields_of_the_services_connection_go_no_further() {
    let head = answer(
        "200 OK",
        "Connection: Transfer-Encoding, X-Hop\r\nTransfer-Encoding: chunked\r\nX-Hop: 1\r\nUpgrade: h2c\r\n\
         Keep-Alive: max=5\r\nProxy-Authenticate: Basic\r\nSet-Cookie: a\r\nset-cookie: b\r\n",
    );
    assert_eq!(
        (listed(&head.fields).as_str(), head.framing),
        ("Set-Cookie=a|set-cookie=b", Framing::Chunked)
    );
    assert!(head.upgrade.is_empty());
}

#[test]
fn a_switch_of_protocols_names_the_new_one() {
    let head = answer("101 Switching Protocols", "Connection: Upgrade\r\nUpgrade: websocket\r\n");
    assert_eq!((head.upgrade.as_str(), head.framing), ("websocket", Framing::None));
}

#[test]
fn a_warm_head_keeps_no_trace_of_the_message_before() {
    let limits = Limits::default();
    let mut head = RequestHead::default();
    let first = b"CONNECT a:1 HTTP/1.0\r\nConnection: close\r\nTE: trailers\r\nX: y\r\n\r\n";
    let second = b"GET /?q HTTP/1.1\r\nHost: b\r\n\r\n";
    parse_request(first, &mut 0, &limits, &mut head).unwrap().unwrap();
    parse_request(second, &mut 0, &limits, &mut head).unwrap().unwrap();
    assert_eq!(format!("{head:?}"), format!("{:?}", request(second).unwrap()));
}
