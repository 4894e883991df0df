//! gRPC-Web, as browsers speak it: translated for a service that speaks gRPC only. The client is buf, or written byte by byte.

use tollgate_tests::{Gateway, buf_curl, curl, gateway_with, grpc_server, hello};

fn gate_to(echo: &dyn std::fmt::Display) -> Gateway {
    gate_to_with(echo, "1KiB")
}

/// The same, where bodies may be so long.
fn gate_to_with(echo: &dyn std::fmt::Display, max_body: &str) -> Gateway {
    gateway_with(
        "
        services: { echo: { endpoints: [<echo>], protocol: grpc } }
        routes: [{ match: 'POST /scenes.Echo/{method}', to: echo, access: public, request: { max_body: <max_body> } }]
        ",
        &[("echo", echo), ("max_body", &max_body)],
    )
}

/// A message as a frame.
fn frame(message: &[u8]) -> Vec<u8> {
    [&[0], &(message.len() as u32).to_be_bytes()[..], message].concat()
}

/// The frames of a body: flag and content.
fn frames(mut body: &[u8]) -> Vec<(u8, String)> {
    let mut frames = Vec::new();
    while !body.is_empty() {
        let length = u32::from_be_bytes(body[1..5].try_into().unwrap()) as usize;
        frames.push((body[0], String::from_utf8(body[5..5 + length].to_vec()).unwrap()));
        body = &body[5 + length..];
    }
    frames
}

/// Encodes bytes, a multiple of three, in base64.
fn to_base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let group = |group: &[u8]| {
        let bits = group.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte));
        [18, 12, 6, 0].map(|shift| char::from(LETTERS[(bits >> shift & 63) as usize]))
    };
    bytes.chunks(3).flat_map(group).collect()
}

/// Decodes base64, with padding wherever it stands.
fn from_base64(text: &[u8]) -> Vec<u8> {
    let value = |letter: &u8| match letter {
        b'A'..=b'Z' => letter - b'A',
        b'a'..=b'z' => letter - b'a' + 26,
        b'0'..=b'9' => letter - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => 0,
    };
    let group = |group: &[u8]| {
        let bits = group.iter().fold(0_u32, |bits, letter| bits << 6 | u32::from(value(letter)));
        let letters = group.iter().position(|letter| *letter == b'=').unwrap_or(group.len());
        let padding = group.len() - letters;
        bits.to_be_bytes()[1..4 - padding].to_vec()
    };
    text.chunks(4).flat_map(group).collect()
}

#[test]
fn buf_calls_by_grpc_web_and_by_grpc_alike() {
    let server = grpc_server();
    let gate = gate_to(&server);
    for protocol in ["grpcweb", "grpc"] {
        let call = |method| buf_curl(gate.address(), protocol, method, r#"{"text":"hello"}"#);
        let (out, complaint) = call("Unary");
        assert_eq!(out.matches("\"text\": \"hello\"").count(), 1, "{out}{complaint}");
        let (out, complaint) = call("Repeat");
        assert_eq!(out.matches("\"text\": \"hello\"").count(), 3, "{out}{complaint}");
        let (out, complaint) = call("Fail");
        assert!(complaint.contains("not_found") && complaint.contains("100 % größer"), "{out}{complaint}");
    }
}

#[test]
fn a_message_and_trailers_come_as_frames_of_one_body() {
    let server = grpc_server();
    let gate = gate_to(&server);
    let ask = gate.ask("POST", "/scenes.Echo/Unary").header("Content-Type", "application/grpc-web+proto");
    let ask = ask.header("X-Grpc-Web", "1").header("x-me", "you").body(frame(b"one"));
    let answer = ask.send().expect(200);
    assert_eq!(answer.header("Content-Type"), Some("application/grpc-web"));
    assert_eq!(answer.header("x-me"), Some("you"), "metadata before the answer stays there");
    let frames = frames(&answer.body);
    assert_eq!((frames.len(), &frames[0]), (2, &(0, "one".to_owned())));
    let (flag, trailers) = &frames[1];
    assert_eq!(*flag, 0x80);
    for line in ["grpc-status:0", "x-me:you", "x-end-bin:AP8"] {
        assert!(trailers.split("\r\n").any(|found| found.trim_end_matches('=') == line), "{trailers:?}");
    }
    assert_eq!(gate.log(1)[0]["grpc_status"], "OK");
}

#[test]
fn the_text_form_is_base64_both_ways_with_padding_in_the_middle() {
    let server = grpc_server();
    let gate = gate_to(&server);
    let ask = gate.ask("POST", "/scenes.Echo/Repeat").header("Content-Type", "application/grpc-web-text");
    // The frame's head, and then its message.
    let ask = ask.header("Accept", "application/grpc-web-text").body("AAAAAAM=b25l");
    let answer = ask.send().expect(200);
    assert_eq!(answer.header("Content-Type"), Some("application/grpc-web-text"));
    let frames = frames(&from_base64(&answer.body));
    let message = (0, "one".to_owned());
    assert_eq!(frames[..3], [message.clone(), message.clone(), message]);
    assert!(frames[3].0 == 0x80 && frames[3].1.contains("grpc-status:0\r\n"), "{frames:?}");
}

#[test]
fn the_text_form_passes_over_http2_too_short_and_long() {
    let server = grpc_server();
    let gate = gate_to_with(&server, "1MiB");
    let url = format!("http://{}/scenes.Echo/Unary", gate.address());
    let folder = tempfile::tempdir().unwrap();
    // Groups of four letters, each three bytes of nothing, behind the head of the frame.
    for groups in [1, 10_000, 100_000_u32] {
        let message = groups as usize * 3;
        let head = [&[0][..], &(groups * 3).to_be_bytes(), &[0]].concat();
        let text = to_base64(&head) + &"AAAA".repeat(groups as usize - 1) + "AAA=";
        let file = folder.path().join("body");
        std::fs::write(&file, text).unwrap();
        let body = format!("@{}", file.display());
        let content_type = "Content-Type: application/grpc-web-text";
        let answer = curl(&["--http2-prior-knowledge", "-H", content_type, "--data-binary", &body, &url]);
        let frames = frames(&from_base64(&answer.out));
        assert_eq!((frames[0].0, frames[0].1.len()), (0, message), "{groups}: {}", answer.err);
        assert!(frames[1].0 == 0x80 && frames[1].1.contains("grpc-status:0\r\n"), "{:?}", frames[1]);
    }
}

#[test]
fn what_a_service_streams_arrives_as_it_comes() {
    let server = grpc_server();
    let gate = gate_to(&server);
    for (form, body, first) in
        [("", frame(b"x"), &b"first"[..]), ("-text", b"AAAAAAF4".to_vec(), b"AAAAAAVmaXJzdA==")]
    {
        let head = format!(
            "POST /scenes.Echo/Wait HTTP/1.1\r\nHost: a\r\nContent-Type: application/grpc-web{form}\r\n\
             Content-Length: {}\r\n\r\n",
            body.len()
        );
        let mut wire = gate.send([head.as_bytes(), &body].concat());
        server.expect_word("waiting");
        wire.take_until(first).unwrap();
        drop(wire);
        server.expect_word("over");
    }
}

#[test]
fn a_body_may_come_in_pieces_of_any_size() {
    let server = grpc_server();
    let gate = gate_to(&server);
    let mut wire = gate.send(
        "POST /scenes.Echo/Unary HTTP/1.1\r\nHost: a\r\nContent-Type: application/grpc-web-text\r\n\
         Transfer-Encoding: chunked\r\n\r\n",
    );
    for letter in "AAAAAAM=b25l".chars() {
        wire.send(format!("1\r\n{letter}\r\n"));
    }
    wire.send("0\r\n\r\n");
    let answer = wire.answer().expect(200);
    assert_eq!(frames(&from_base64(&answer.body))[0], (0, "one".to_owned()));
}

#[test]
fn a_failure_before_the_first_message_stands_in_the_head() {
    let server = grpc_server();
    let gate = gate_to(&server);
    let ask = gate.ask("POST", "/scenes.Echo/Fail").header("Content-Type", "application/grpc-web");
    let answer = ask.body(frame(b"x")).send().expect(200).expect_body("");
    assert_eq!(answer.header("grpc-status"), Some("5"));
    assert_eq!(answer.header("grpc-message"), Some("100 %25 gr%C3%B6%C3%9Fer"));
    assert_eq!(answer.header("x-why"), Some("because"));
}

#[test]
fn refusals_are_told_in_the_dialect_of_the_caller() {
    let server = grpc_server();
    let gate = gate_to(&server);
    let long = vec![b'A'; 2000];
    for (path, form, body, status, code) in [
        ("/none", "", &b""[..], "12", "no_route"),
        ("/scenes.Echo/Unary", "-text", b"AAAAA$$$", "13", "grpc_web_malformed"),
        ("/scenes.Echo/Unary", "-text", b"AAAAAAM=b25", "13", "grpc_web_malformed"),
        ("/scenes.Echo/Unary", "-text", &long, "8", "body_too_large"),
    ] {
        let content_type = format!("application/grpc-web{form}");
        let ask = gate.ask("POST", path).header("Content-Type", &content_type).body(body);
        let answer = ask.send().expect(200).expect_body("");
        assert_eq!(answer.header("Content-Type"), Some(&*content_type));
        assert_eq!(answer.header("grpc-status"), Some(status), "{answer:?}");
        assert_eq!(answer.header("tollgate-code"), Some(code), "{answer:?}");
    }
}

#[test]
fn a_body_that_nobody_took_is_not_taken_for_the_next_request() {
    let gate = gate_to(&"http://127.0.0.1:1");
    let smuggled = "0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    let head = format!(
        "POST /scenes.Echo/Unary HTTP/1.1\r\nHost: a\r\nContent-Type: application/grpc-web-text\r\n\
         Content-Length: {}\r\n\r\n",
        smuggled.len()
    );
    let mut wire = gate.send([&head, smuggled, "GET /next HTTP/1.1\r\nHost: a\r\n\r\n"].concat());
    assert_eq!(wire.answer().expect(200).header("grpc-status"), Some("14"));
    wire.answer().expect(404);
    assert_eq!(gate.log(2)[1]["path"], "/next");
}

#[test]
fn a_service_of_another_protocol_gets_grpc_web_as_it_is() {
    let pages = hello();
    let gate = gateway_with(
        "
        services: { pages: <pages> }
        routes: [{ match: '/{rest...}', to: pages, access: public }]
        ",
        &[("pages", &pages)],
    );
    let ask = gate.ask("POST", "/x").header("Content-Type", "application/grpc-web-text");
    ask.header("X-Grpc-Web", "1").body("AAAAAAM=b25l").send().expect(200);
    let request = pages.only_request();
    assert_eq!(request.header("Content-Type"), Some("application/grpc-web-text"));
    assert_eq!(request.header("X-Grpc-Web"), Some("1"));
}
