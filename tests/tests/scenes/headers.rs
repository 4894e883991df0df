//! What happens to header fields on their way: hop-by-hop ones end here, forwarding ones are ours, the rest passes.

use tollgate_tests::{Gateway, Seen, backend, front, front_with, hello};

/// The request as the service saw it, sent with these lines.
fn seen(gate: &Gateway, users: &tollgate_tests::Backend, lines: &str) -> Seen {
    let number = users.requests().len();
    let mut wire = gate.send(format!("GET /x?q=1 HTTP/1.1\r\nHost: shop.test\r\n{lines}\r\n"));
    wire.answer().expect(200);
    users.request(number)
}

const TRUSTING: &str = "listeners: [{ address: '127.0.0.1:0', trust_forwarded: { from: [127.0.0.0/8] } }]";

#[test]
fn end_to_end_fields_pass_unaltered_in_order() {
    let users = hello();
    let gate = front(&users);
    let seen = seen(
        &gate,
        &users,
        "X-One: 1\r\nx-tWo:  spaced out \t\r\nX-One: 2\r\nX-Empty:\r\nX-Latin: caf\u{e9}\r\n",
    );
    assert_eq!(seen.fields.all("X-One"), ["1", "2"]);
    assert_eq!(seen.header("x-two"), Some("spaced out"));
    assert_eq!(seen.header("X-Empty"), Some(""));
    assert_eq!(seen.header("X-Latin"), Some("caf\u{e9}"));
    assert_eq!(seen.target, "/x?q=1");
}

#[test]
fn hop_by_hop_fields_of_a_request_end_at_the_gateway() {
    let users = hello();
    let gate = front(&users);
    let seen = seen(
        &gate,
        &users,
        "Connection: keep-alive, X-Private\r\nX-Private: 1\r\nKeep-Alive: timeout=5\r\nProxy-Connection: x\r\nTE: gzip\r\nUpgrade: h2c\r\nProxy-Authorization: Basic eDp5\r\nX-Public: 2\r\n",
    );
    for name in ["X-Private", "Keep-Alive", "Proxy-Connection", "TE", "Upgrade", "Proxy-Authorization"] {
        assert!(!seen.fields.has(name), "{name} reached the service: {seen:?}");
    }
    assert_eq!(seen.header("X-Public"), Some("2"));
}

#[test]
fn hop_by_hop_fields_of_an_answer_end_at_the_gateway() {
    let users = backend(|call| {
        call.reply_with(
            200,
            "Connection: X-Private, keep-alive\r\nX-Private: 1\r\nKeep-Alive: timeout=5\r\nProxy-Connection: x\r\nX-Public: 2\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nServer: svc\r\n",
            "",
        );
    });
    let gate = front(&users);
    let answer = gate.get("/x").expect(200).expect_header("X-Public", "2").expect_header("Server", "svc");
    for name in ["X-Private", "Keep-Alive", "Proxy-Connection"] {
        assert!(!answer.fields.has(name), "{name} reached the client: {answer:?}");
    }
    assert_eq!(answer.fields.all("Set-Cookie"), ["a=1", "b=2"]);
    assert!(answer.fields.has("Date"), "{answer:?}");
}

#[test]
fn connection_cannot_strip_what_the_gateway_adds() {
    let users = hello();
    let gate = front(&users);
    let number = users.requests().len();
    let mut wire =
        gate.send("GET /x HTTP/1.1\r\nHost: a\r\nConnection: X-Forwarded-For, Via, X-Request-Id\r\n\r\n");
    // Refused, or served with the gateway's own fields in place; never served without.
    if wire.answer().status == 200 {
        let seen = users.request(number);
        for name in ["X-Forwarded-For", "X-Forwarded-Proto", "Via", "X-Request-Id"] {
            assert!(seen.fields.has(name), "{name} was stripped: {seen:?}");
        }
    }
}

#[test]
fn the_gateway_says_who_called_and_how() {
    let users = hello();
    let gate = front(&users);
    let seen = seen(&gate, &users, "");
    assert_eq!(seen.header("X-Forwarded-For"), Some("127.0.0.1"));
    assert_eq!(seen.header("X-Forwarded-Proto"), Some("http"));
    assert_eq!(seen.header("X-Forwarded-Host"), Some("shop.test"));
    let via = seen.header("Via").unwrap();
    assert!(via.starts_with("1.1 "), "{via}");
    let forwarded = seen.header("Forwarded").unwrap().to_ascii_lowercase().replace('"', "");
    for part in ["for=127.0.0.1", "proto=http", "host=shop.test"] {
        assert!(forwarded.contains(part), "no {part} in {forwarded}");
    }
}

#[test]
fn what_a_stranger_says_about_itself_is_replaced() {
    let users = hello();
    let gate = front(&users);
    let seen = seen(
        &gate,
        &users,
        "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 7.7.7.7\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil.test\r\nX-Real-IP: 6.6.6.6\r\nForwarded: for=6.6.6.6;proto=https\r\nX-Request-Id: chosen\r\n",
    );
    let head = String::from_utf8_lossy(&seen.head).into_owned();
    for lie in ["6.6.6.6", "7.7.7.7", "https", "evil.test", "chosen"] {
        assert!(!head.contains(lie), "{lie} reached the service:\n{head}");
    }
    assert_eq!(seen.header("X-Forwarded-For"), Some("127.0.0.1"));
}

#[test]
fn underscores_do_not_smuggle_a_forwarding_field_past_the_gateway() {
    let users = hello();
    let gate = front(&users);
    // CGI and its heirs turn both into HTTP_X_FORWARDED_FOR.
    let mut wire = gate.send("GET /x HTTP/1.1\r\nHost: a\r\nX_Forwarded_For: 6.6.6.6\r\n\r\n");
    wire.answer();
    for seen in users.requests() {
        assert!(!String::from_utf8_lossy(&seen.head).contains("6.6.6.6"), "{seen:?}");
    }
}

#[test]
fn what_a_trusted_peer_says_is_extended_and_believed() {
    let users = hello();
    let gate = front_with(&users, TRUSTING);
    let seen = seen(
        &gate,
        &users,
        "X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: www.test\r\nX-Request-Id: from-the-edge-1\r\n",
    );
    assert_eq!(seen.header("X-Forwarded-For"), Some("203.0.113.9, 127.0.0.1"));
    assert_eq!(seen.header("X-Forwarded-Proto"), Some("https"));
    assert_eq!(seen.header("X-Forwarded-Host"), Some("www.test"));
    assert_eq!(seen.header("X-Request-Id"), Some("from-the-edge-1"));
    assert_eq!(gate.log(1)[0]["client_ip"], "203.0.113.9");
}

#[test]
fn the_client_is_the_last_address_that_no_trusted_peer_has() {
    let users = hello();
    let gate = front_with(&users, TRUSTING);
    // 6.6.6.6 is what the client itself claimed to the first proxy.
    seen(&gate, &users, "X-Forwarded-For: 6.6.6.6, 203.0.113.9, 127.0.0.7\r\n");
    assert_eq!(gate.log(1)[0]["client_ip"], "203.0.113.9");
}

#[test]
fn a_trusted_peer_s_forwarded_field_is_extended_and_believed() {
    let users = hello();
    let gate = front_with(&users, TRUSTING);
    let seen = seen(&gate, &users, "Forwarded: for=\"[2001:db8::1]:4711\";proto=https;host=www.test\r\n");
    let forwarded = seen.fields.all("Forwarded").join(", ");
    assert!(forwarded.starts_with("for=\"[2001:db8::1]:4711\";proto=https;host=www.test"), "{forwarded}");
    assert!(forwarded.to_ascii_lowercase().contains("for=127.0.0.1"), "{forwarded}");
    assert_eq!(gate.log(1)[0]["client_ip"], "2001:db8::1");
}

#[test]
fn nonsense_of_a_trusted_peer_leaves_the_peer_as_the_client() {
    for nonsense in ["not-an-address", "", ",,,", "unknown"] {
        let users = hello();
        let gate = front_with(&users, TRUSTING);
        let mut wire =
            gate.send(format!("GET /x HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: {nonsense}\r\n\r\n"));
        wire.answer().expect(200);
        assert_eq!(gate.log(1)[0]["client_ip"], "127.0.0.1", "{nonsense:?}");
    }
}

#[test]
fn via_is_extended_not_replaced() {
    let users = hello();
    let gate = front(&users);
    let seen = seen(&gate, &users, "Via: 1.0 fred\r\n");
    let via = seen.fields.all("Via").join(", ");
    assert!(via.starts_with("1.0 fred, 1.1 "), "{via}");
}

#[test]
fn the_host_names_the_endpoint_s_client_not_the_endpoint() {
    let users = hello();
    let gate = front(&users);
    let seen = seen(&gate, &users, "");
    let host = seen.header("Host").unwrap();
    assert!(host == "shop.test" || host == users.authority(), "{host}");
    assert_eq!(seen.header("X-Forwarded-Host"), Some("shop.test"));
}

#[test]
fn an_absolute_target_names_the_host() {
    let users = hello();
    let gate = front(&users);
    let mut wire = gate.send("GET http://Shop.TEST/x?q=1 HTTP/1.1\r\nHost: shop.test\r\n\r\n");
    wire.answer().expect(200);
    let seen = users.only_request();
    assert_eq!(seen.target, "/x?q=1", "services get the origin form");
    assert_eq!(seen.header("X-Forwarded-Host"), Some("shop.test"));
}

/// `Host` as it must not be (RFC 9112, section 3.2).
const WRONG_HOSTS: &[(&str, &str)] = &[
    ("missing", "GET /x HTTP/1.1\r\n\r\n"),
    ("doubled", "GET /x HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"),
    ("with a path", "GET /x HTTP/1.1\r\nHost: a/b\r\n\r\n"),
    ("with a user", "GET /x HTTP/1.1\r\nHost: user@a\r\n\r\n"),
    ("with a space", "GET /x HTTP/1.1\r\nHost: a b\r\n\r\n"),
    ("with a list", "GET /x HTTP/1.1\r\nHost: a, b\r\n\r\n"),
    ("with a wrong port", "GET /x HTTP/1.1\r\nHost: a:b\r\n\r\n"),
    ("other than the target's", "GET http://a/x HTTP/1.1\r\nHost: b\r\n\r\n"),
];

#[test]
fn a_wrong_host_is_refused_and_the_connection_closed() {
    let users = hello();
    let gate = front(&users);
    for (name, request) in WRONG_HOSTS {
        let mut wire = gate.send(request);
        let answer = wire.answer();
        assert_eq!(answer.status, 400, "{name}: {answer:?}");
        wire.expect_end();
    }
    assert!(users.requests().is_empty());
}

#[test]
fn a_request_id_is_made_sent_to_the_service_and_given_back() {
    let users = hello();
    let gate = front(&users);
    let answer = gate.get("/x").expect(200);
    let id = answer.header("X-Request-Id").unwrap();
    // UUIDv7 (RFC 9562): 8-4-4-4-12 hexadecimal digits, version 7.
    let groups: Vec<_> = id.split('-').map(str::len).collect();
    assert_eq!(groups, [8, 4, 4, 4, 12], "{id}");
    assert_eq!(&id[14..15], "7", "{id}");
    assert_eq!(users.only_request().header("X-Request-Id"), Some(id));
    assert_eq!(gate.log(1)[0]["request_id"], *id);
    assert_ne!(gate.get("/x").header("X-Request-Id"), Some(id));
}

#[test]
fn a_trusted_request_id_that_is_no_id_is_replaced() {
    let users = hello();
    let gate = front_with(&users, TRUSTING);
    for wrong in ["", "a b", "a\"b", "caf\u{e9}", &"x".repeat(500)] {
        let seen = seen(&gate, &users, &format!("X-Request-Id: {wrong}\r\n"));
        let id = seen.header("X-Request-Id").unwrap();
        assert!(!id.is_empty() && id != wrong, "{id:?}");
    }
}

#[test]
fn the_path_is_normalised_once_for_routing_and_for_the_service() {
    let users = hello();
    let gate = front(&users);
    for (sent, seen) in [
        ("/a/./b/../c", "/a/c"),
        ("//a///b", "/a/b"),
        ("/%61%2d%7e", "/a-~"),
        ("/a%2fb", "/a%2Fb"),
        ("/caf%c3%a9", "/caf%C3%A9"),
        ("/a%0d%0ab", "/a%0D%0Ab"),
        ("/a?x=//%2e%2E/../b", "/a?x=//%2e%2E/../b"),
        ("/a/..", "/"),
        ("/a/%2e%2e/b", "/b"),
        ("/a?", "/a?"),
    ] {
        let number = users.requests().len();
        gate.get(sent).expect(200);
        assert_eq!(users.request(number).target, seen, "{sent}");
    }
    for refused in ["/%", "/%zz", "/%00", "/a/../../b", "/%2e%2e/etc", "/a\\b"] {
        let answer = gate.get(refused);
        assert_eq!(answer.status, 400, "{refused}: {answer:?}");
    }
}
