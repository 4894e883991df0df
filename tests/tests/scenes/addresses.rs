//! `ip`: which addresses may call.

use std::fs;

use tollgate_tests::{CountryDatabase, Gateway, gateway};

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

#[test]
fn countries_may_call_or_not_and_their_database_is_watched() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("countries.mmdb");
    let write = |networks: &[(&str, &str)]| {
        // As those do it who bring them up to date: a whole file in the place of the old one.
        let new = folder.path().join("new");
        fs::write(&new, CountryDatabase::USUAL.of(networks)).unwrap();
        fs::rename(new, &database).unwrap();
    };
    write(&[("192.0.2.0/24", "DE"), ("198.51.100.0/24", "KP"), ("2001:db8::/32", "FR")]);
    let gate = gate_of(&format!(
        "
geo: {}
logs: access.log
defaults: {{ access: public, ip: {{ deny_countries: [KP] }} }}
routes:
  - {{ match: /usual, respond: 200 }}
  - {{ match: /inside, respond: 200, ip: {{ allow: 10.0.0.0/8, allow_countries: [DE, FR] }} }}
  - {{ match: /known, respond: 200, ip: {{ deny_countries: unknown }} }}
  - {{ match: /all, respond: 200, ip: off }}
",
        database.display()
    ));
    for (path, client, expected) in [
        ("/usual", "192.0.2.1", 200),
        ("/usual", "198.51.100.9", 403),
        ("/usual", "::ffff:198.51.100.9", 403),
        ("/usual", "10.1.2.3", 200),
        ("/inside", "192.0.2.1", 200),
        ("/inside", "2001:db8::1", 200),
        ("/inside", "198.51.100.9", 403),
        ("/inside", "10.1.2.3", 200),
        ("/inside", "172.16.0.1", 403),
        ("/known", "192.0.2.1", 200),
        ("/known", "10.1.2.3", 403),
        ("/all", "198.51.100.9", 200),
    ] {
        assert_eq!(status(&gate, path, client), expected, "{path} from {client}");
    }
    let log = gate.log(12);
    assert_eq!((&log[0]["country"], &log[3]["country"]), (&"DE".into(), &"unknown".into()));
    assert!(log[11].get("country").is_none(), "{}", log[11]);
    gate.expect_reload(|| write(&[("192.0.2.0/24", "KP"), ("198.51.100.0/24", "DE")]));
    assert_eq!(status(&gate, "/usual", "192.0.2.1"), 403);
    assert_eq!(status(&gate, "/usual", "198.51.100.9"), 200);
    // One that is no database changes nothing.
    fs::write(&database, "half a download").unwrap();
    gate.expect_line("countries.mmdb: invalid database");
    assert_eq!(status(&gate, "/usual", "192.0.2.1"), 403);
}
