//! `bots`: programs that may not call, by what they say of themselves.

use tollgate_tests::{curl, gateway};

#[test]
fn programs_are_refused_by_what_they_say_of_themselves() {
    let gate = gateway(
        "
defaults: { access: public, bots: known }
routes:
  - { match: /, respond: 200 }
  - { match: /some, respond: 200, bots: { deny: [curl/, bot], allow: [Googlebot], empty: deny } }
  - { match: /all, respond: 200, bots: off }
",
    );
    for (path, agent, status) in [
        ("/", "Mozilla/5.0 (compatible; Nmap Scripting Engine)", 403),
        ("/", "anybot", 200),
        ("/some", "anybot", 403),
        ("/some", "Googlebot/2.1", 200),
        ("/all", "sqlmap/1.8", 200),
    ] {
        let answer = gate.ask("GET", path).header("User-Agent", agent).send();
        assert_eq!(answer.status, status, "{agent} at {path}");
    }
    gate.ask("GET", "/").send().expect(200);
    assert_eq!(gate.ask("GET", "/some").send().expect_refusal("bot_not_allowed")["stage"], "admit");
    let url = |path: &str| format!("http://{}{path}", gate.address());
    let status = |path: &str| curl(&["-o", "/dev/null", "-w", "%{http_code}", &url(path)]).text();
    assert_eq!((status("/"), status("/some")), ("200".to_owned(), "403".to_owned()));
}
