//! Lines as they are written, in every format.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

fn line() -> Line<'static> {
    Line {
        unix_ms: 1_763_706_055_042,
        id: "id-1",
        client_ip: "192.0.2.7".parse().unwrap(),
        method: "GET",
        host: "api.example.com",
        path: "/users/7",
        query: Some("a=b"),
        protocol: "HTTP/1.1",
        status: 200,
        route: "users",
        service: "users",
        endpoint: "http://127.0.0.1:9001",
        bytes_out: 300,
        duration_us: 1_234,
        connect_us: Some(0),
        first_byte_us: Some(1_050),
        upstream_us: Some(1_000),
        attempts: 1,
        user_agent: b"curl/8",
        ..Line::default()
    }
}

fn written(format: Format, line: &Line<'_>) -> String {
    let mut out = Vec::new();
    Formatter::new(format).write(line, &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn a_line_of_json_says_what_happened() {
    let expected = concat!(
        r#"{"time":"2025-11-21T06:20:55.042Z","request_id":"id-1","client_ip":"192.0.2.7","method":"GET","#,
        r#""host":"api.example.com","path":"/users/7","query":"a=b","protocol":"HTTP/1.1","status":200,"#,
        r#""route":"users","service":"users","endpoint":"http://127.0.0.1:9001","bytes_in":0,"bytes_out":300,"#,
        r#""duration_ms":1.234,"connect_ms":0.000,"first_byte_ms":1.050,"upstream_ms":1.000,"attempts":1,"#,
        "\"user_agent\":\"curl/8\"}\n"
    );
    assert_eq!(written(Format::Json, &line()), expected);
}

#[test]
fn a_line_says_which_limit_refused_and_how_long_it_was_waited_for() {
    let code = "rate_limited";
    let line = Line { code, stage: "limit", limit: "plan-app", wait_us: Some(997_753), ..line() };
    let text = written(Format::Json, &line);
    assert!(
        text.contains(r#""code":"rate_limited","stage":"limit","limit":"plan-app","bytes_in""#),
        "{text}"
    );
    assert!(text.contains(r#""duration_ms":1.234,"wait_ms":997.753,"connect_ms":0.000,"#), "{text}");
}

#[test]
fn a_common_line_is_as_apache_writes_it() {
    let mut line = line();
    line.query = Some("a=\"b\"");
    let expected = concat!(
        r#"192.0.2.7 - - [21/Nov/2025:06:20:55 +0000] "GET /users/7?a=\x22b\x22 HTTP/1.1" 200 300"#,
        "\n"
    );
    assert_eq!(written(Format::Common, &line), expected);
    line = Line { method: "", path: "", query: None, protocol: "TLS", ..line };
    let passed_on = written(Format::Common, &line);
    assert!(passed_on.contains(r#""- api.example.com TLS" 200"#), "{passed_on}");
    line.host = "";
    assert!(written(Format::Common, &line).contains(r#""- - TLS" 200"#));
}

proptest! {
    #[test]
    fn any_bytes_give_one_line_of_valid_json(
        agent in proptest::collection::vec(any::<u8>(), 0..700),
        host in ".{0,80}",
        cause in ".{0,80}",
    ) {
        let mut line = line();
        line.user_agent = &agent;
        line.host = &host;
        line.path = &host;
        line.cause = &cause;
        let text = written(Format::Json, &line);
        prop_assert_eq!(text.matches('\n').count(), 1);
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(value["cause"].as_str().unwrap_or_default(), cause.as_str());
        let common = written(Format::Common, &line);
        prop_assert_eq!(common.matches('\n').count(), 1);
        prop_assert_eq!(common.matches('"').count(), 2);
    }
}
