//! `csrf`: forms of other pages, before a browser that is made of fields and before a real one.

use tollgate_tests::{backend, browser, eventually, gateway_with, hello};

#[test]
fn what_another_page_would_change_is_refused() {
    let bank = hello();
    let gate = gateway_with(
        "
services: { bank: <bank> }
defaults: { access: public, csrf: { origins: [https://app.example.com] } }
routes:
  - { match: '/{rest...}', to: bank }
  - { match: /open, to: bank, csrf: off }
",
        &[("bank", &bank)],
    );
    let post = |path: &str, origin: &str| {
        gate.ask("POST", path).header("Origin", origin).header("Cookie", "s=1").body("to=me").send()
    };
    post("/transfer", "http://gate.test").expect(200);
    post("/transfer", "https://app.example.com").expect(200);
    post("/open", "https://evil.test").expect(200);
    let refused = post("/transfer", "https://evil.test");
    assert_eq!(refused.status, 403);
    assert_eq!(refused.expect_refusal("csrf_refused")["stage"], "admit");
    gate.ask("GET", "/transfer").header("Origin", "https://evil.test").send().expect(200);
    let socket = gate.ask("GET", "/ws").header("Origin", "https://evil.test");
    let socket = socket.header("Connection", "upgrade").header("Upgrade", "websocket").send();
    socket.expect_refusal("csrf_refused");
    assert_eq!(bank.requests().len(), 4);
}

/// Has the browser send a form to another origin, as any page can.
const EVIL: &str = "<!doctype html><form method=post><input name=to value=me></form><script>
    const form = document.forms[0];
    form.action = new URLSearchParams(location.search).get('bank');
    form.submit();
</script>";

/// Sends one to its own origin first.
const GOOD: &str = "<!doctype html><script>
    fetch('/transfer', { method: 'POST', body: 'to=you' })
        .then((answer) => location = new URLSearchParams(location.search).get('next') + '&own=' + answer.status);
</script>";

#[test]
fn a_browser_cannot_be_made_to_send_a_form_of_another_page() {
    let bank = backend(|call| call.reply_with(200, "Content-Type: text/html\r\n", GOOD));
    let evil = backend(|call| call.reply_with(200, "Content-Type: text/html\r\n", EVIL));
    let gate = gateway_with(
        "
services: { bank: <bank> }
routes: [ { match: '/{rest...}', to: bank, access: public, csrf: true } ]
",
        &[("bank", &bank)],
    );
    let address = gate.address();
    let next = format!("{evil}/?bank=http://{address}/transfer");
    let _browser = browser(&format!("http://{address}/?next={next}"));
    eventually("the form of the other page to be refused", || {
        let log = std::fs::read_to_string(gate.log_file()).unwrap_or_default();
        log.lines().any(|line| line.contains("csrf_refused"))
    });
    assert!(evil.requests().iter().any(|seen| seen.target.ends_with("&own=200")));
    let transfers: Vec<_> = bank.requests().into_iter().filter(|seen| seen.method == "POST").collect();
    assert_eq!(transfers.len(), 1);
    assert_eq!(transfers[0].body, b"to=you");
}
