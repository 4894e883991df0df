//! `ip`: which addresses may call.

use std::fs;

use tollgate_tests::{Gateway, gateway};

/// A gateway that believes who the scene says that it is.
fn gate_of(lines: &str) -> Gateway {
    gateway(format!(
        "
listeners: [{{ address: '127.0.0.1:0', trust_forwarded: {{ from: [127.0.0.1] }} }}]
{lines}
"
    ))
}

fn status(gate: &Gateway, path: &str, client: &str) -> u16 {
    gate.ask("GET", path).header("X-Forwarded-For", client).send().status
}

#[test]
fn what_is_denied_is_refused_and_routes_may_say_otherwise() {
    let gate = gate_of(
        "
defaults: { access: public, ip: { deny: [203.0.113.0/24, '2001:db8:bad::/48'] } }
routes:
  - { match: /usual, respond: 200 }
  - { match: /inside, respond: 200, ip: { allow: [10.0.0.0/8, '2001:db8::/32'], deny: 10.9.0.0/16 } }
  - { match: /all, respond: 200, ip: off }
",
    );
    for (path, client, expected) in [
        ("/usual", "192.0.2.1", 200),
        ("/usual", "203.0.113.7", 403),
        ("/usual", "::ffff:203.0.113.7", 403),
        ("/usual", "2001:db8:bad::1", 403),
        ("/usual", "2001:db8::1", 200),
        ("/inside", "10.1.2.3", 200),
        ("/inside", "10.9.2.3", 403),
        ("/inside", "192.0.2.1", 403),
        ("/inside", "2001:db8:bad::1", 200),
        ("/all", "203.0.113.7", 200),
    ] {
        assert_eq!(status(&gate, path, client), expected, "{path} from {client}");
    }
    let refused = gate.ask("GET", "/usual").header("X-Forwarded-For", "203.0.113.7").send();
    assert_eq!(refused.expect_refusal("ip_not_allowed")["stage"], "admit");
}

#[test]
fn lists_are_files_that_are_watched() {
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("bad.txt");
    let many: Vec<String> =
        (0..5000).map(|number| format!("198.{}.{}.0/24", 18 + number / 256, number % 256)).collect();
    let many = many.join(
        "
",
    );
    fs::write(&list, format!("# those who are known for it\n\n203.0.113.0/24 # all of it\n{many}\n"))
        .unwrap();
    let gate = gate_of(&format!(
        "routes: [ {{ match: /x, respond: 200, access: public, ip: {{ deny_file: {} }} }} ]",
        list.display()
    ));
    assert_eq!(status(&gate, "/x", "203.0.113.9"), 403);
    assert_eq!(status(&gate, "/x", "198.20.1.1"), 403);
    assert_eq!(status(&gate, "/x", "192.0.2.1"), 200);
    gate.expect_reload(|| fs::write(&list, "192.0.2.0/24\n").unwrap());
    assert_eq!(status(&gate, "/x", "203.0.113.9"), 200);
    assert_eq!(status(&gate, "/x", "192.0.2.1"), 403);
    // A list that makes no sense changes nothing.
    fs::write(&list, "192.0.2.0/24\nnonsense\n").unwrap();
    gate.expect_line("bad.txt, line 2");
    assert_eq!(status(&gate, "/x", "192.0.2.1"), 403);
}
