//! Logins in a real browser at a real provider.

use serde_json::{Value, json};
use tollgate_tests::{
    Answer, Backend, Chromium, Gateway, OpenIdProvider, Page, backend, chromium, eventually, fill, free_port,
    gateway, openid_provider,
};

/// A service that says what it is told.
fn service() -> Backend {
    backend(|call| {
        let seen = |name| call.seen.header(name).unwrap_or("-").to_owned();
        let text = format!(
            "path {} user {} scopes {} cookie {} authorization {}",
            call.target(),
            seen("x-tollgate-user"),
            seen("x-tollgate-scopes"),
            seen("cookie"),
            seen("authorization"),
        );
        call.reply(200, text);
    })
}

/// A gateway with a login at that provider, which knows it.
struct Scene {
    gate: Gateway,
    provider: Option<OpenIdProvider>,
    at: String,
    _users: Backend,
}

impl Scene {
    fn new(options: &Value, more: &str) -> Self {
        Self::with(options, &json!({}), "client_secret: the secret of the web, ", more)
    }

    fn with(options: &Value, client: &Value, secret: &str, more: &str) -> Self {
        let (users, mut provider) = (service(), openid_provider(options));
        // The provider has to know the port before it is open.
        let port = free_port();
        let at = format!("http://127.0.0.1:{port}");
        let mut known = json!({
            "redirect_uris": [format!("{at}/callback")], "post_logout_redirect_uris": [format!("{at}/bye")],
        });
        known.as_object_mut().unwrap().extend(client.as_object().unwrap().clone());
        provider.register(&known);
        let text = "
listeners: [ { address: '127.0.0.1:<port>', trust_forwarded: { from: 127.0.0.2/32 } } ]
services: { users: <users> }
auth:
  login:
    oidc: { issuer: <issuer>, client_id: web, <secret>redirect: /callback, logout: /logout,
            after_logout: /bye, scopes: [profile, read], <more> }
  keys: { api_key: {} }
apps: { a: { keys: [ { id: k, secret: a secret of some length } ] } }
routes:
  - { match: '/{rest...}', to: users, access: login }
  - { match: '/either/{rest...}', to: users, access: { any: [login, keys] } }
  - { match: /bye, respond: { body: good bye }, access: public }
";
        let values: [(&str, &dyn std::fmt::Display); 5] = [
            ("port", &port),
            ("users", &users),
            ("issuer", &provider.issuer()),
            ("secret", &secret),
            ("more", &more),
        ];
        let gate = gateway(fill(text, &values));
        Self { gate, provider: Some(provider), at, _users: users }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.at)
    }

    /// Whether a page is the provider's.
    #[track_caller]
    fn expect_provider(&self, page: &Page) {
        assert!(page.url.starts_with(self.provider.as_ref().unwrap().issuer()), "{page:?}");
    }

    /// A page opened, as far as the gateway can tell, by a browser with these cookies.
    #[track_caller]
    fn navigate(&self, path: &str, cookies: &str) -> Answer {
        self.gate.ask("GET", path).header("Accept", "text/html").header("Cookie", cookies).send()
    }

    /// How often new tokens were asked for.
    fn refreshed(&self) -> u64 {
        self.provider.as_ref().unwrap().count("refresh")
    }
}

/// The session that somebody's browser has, as it sends it to every page.
fn session(browser: &mut Chromium, who: &str) -> String {
    let mut cookies = browser.cookies(who);
    cookies
        .retain(|cookie| cookie["name"].as_str().unwrap().starts_with("tg_login") && cookie["path"] == "/");
    let sent = cookies
        .iter()
        .map(|cookie| format!("{}={}", cookie["name"].as_str().unwrap(), cookie["value"].as_str().unwrap()));
    sent.collect::<Vec<_>>().join("; ")
}

/// Says a name and consents.
#[track_caller]
fn log_in(browser: &mut Chromium, who: &str, tab: &str, user: &str) -> Page {
    let page = browser.submit(who, tab, &json!({ "login": user, "password": "x" }), "button[type=submit]");
    assert!(page.url.contains("/interaction/"), "{page:?}");
    browser.submit(who, tab, &json!({}), "button[type=submit]")
}

#[test]
fn a_browser_logs_in_once_and_logs_out() {
    let (scene, mut browser) = (Scene::new(&json!({}), ""), chromium());
    let page = browser.open("ann", "1", &scene.url("/deep/page?a=1&b=%2F"));
    scene.expect_provider(&page);
    let page = log_in(&mut browser, "ann", "1", "ann");
    assert_eq!(page.url, scene.url("/deep/page?a=1&b=%2F"));
    assert!(page.text.starts_with("path /deep/page?a=1&b=%2F user ann scopes openid"), "{page:?}");
    // Its cookies are not for services, but for those of others.
    assert!(!page.text.contains("tg_login") && page.text.ends_with("authorization -"), "{page:?}");
    let page = browser.open("ann", "1", &scene.url("/second"));
    assert!(page.text.starts_with("path /second user ann"), "{page:?}");
    let log = scene.gate.log(3);
    assert_eq!((&log[1]["route"], &log[1]["user"]), (&json!("login callback"), &json!("ann")));
    assert_eq!((&log[2]["user"], &log[2]["auth"]), (&json!("ann"), &json!("login")));
    let hint = |cookie: &Value| cookie["name"] == "tg_login-hint";
    let kept = browser.cookies("ann").into_iter().find(hint).unwrap();
    assert_eq!(kept["path"], "/logout", "other requests do not carry it");
    // The provider is told by whom, and does not ask.
    let page = browser.open_through("ann", "1", &scene.url("/logout"), &scene.url("/bye"));
    assert_eq!(page.text, "good bye");
    let page = browser.open("ann", "1", &scene.url("/second"));
    scene.expect_provider(&page);
    assert!(!session(&mut browser, "ann").contains("tg_login="));
    assert!(!browser.cookies("ann").iter().any(hint));
}

#[test]
fn a_logout_that_the_provider_cannot_be_sure_of_is_asked_about() {
    let mut browser = chromium();
    // An ID token that is too large to be kept, and a session that is none any more.
    for (who, size) in [("ann", 6000), ("eve", 1)] {
        let scene = Scene::new(&json!({ "note": "n".repeat(size) }), "");
        browser.open(who, "1", &scene.url("/x"));
        log_in(&mut browser, who, "1", who);
        if who == "eve" {
            let mut cookies = browser.cookies(who);
            cookies.retain(|cookie| cookie["name"] == "tg_login");
            cookies[0]["value"] = json!("another");
            browser.set_cookies(who, &cookies);
        }
        let page = browser.open(who, "1", &scene.url("/logout"));
        scene.expect_provider(&page);
        assert!(page.url.contains("client_id=web") && !page.url.contains("id_token_hint="), "{page:?}");
        let page = browser.submit(who, "1", &json!({}), "button[value=yes]");
        assert_eq!((page.url.as_str(), page.text.as_str()), (scene.url("/bye").as_str(), "good bye"));
        assert!(!browser.cookies(who).iter().any(|cookie| cookie["name"] == "tg_login-hint"));
    }
}

#[test]
fn clients_prove_themselves_in_each_way() {
    let mut browser = chromium();
    let key = "cookie: { key: a key of more than thirty two letters }";
    for (number, (method, secret, more)) in [
        ("client_secret_post", "client_secret: the secret of the web, ", "client_auth: post"),
        ("none", "", key),
    ]
    .into_iter()
    .enumerate()
    {
        let client = json!({ "token_endpoint_auth_method": method });
        let scene = Scene::with(&json!({}), &client, secret, more);
        let who = format!("ann {number}");
        browser.open(&who, "1", &scene.url("/x"));
        let page = log_in(&mut browser, &who, "1", "ann");
        assert!(page.text.starts_with("path /x user ann"), "{method}: {page:?}");
    }
}

#[test]
fn only_browsers_that_open_a_page_are_sent_to_the_provider() {
    let scene = Scene::new(&json!({}), "");
    let html = ("Accept", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8");
    for (method, fields) in [
        ("GET", &[][..]),
        ("GET", &[("Accept", "*/*")]),
        ("GET", &[("Accept", "application/json")]),
        ("POST", &[html]),
        ("GET", &[html, ("Sec-Fetch-Mode", "cors")]),
        ("GET", &[html, ("X-Requested-With", "XMLHttpRequest")]),
    ] {
        let ask =
            fields.iter().fold(scene.gate.ask(method, "/x"), |ask, (name, value)| ask.header(name, value));
        let refused = ask.send().expect(401).expect_header("WWW-Authenticate", "Cookie realm=\"api\"");
        refused.expect_refusal("login_required");
    }
    for (method, fields) in [("GET", &[html][..]), ("HEAD", &[html, ("Sec-Fetch-Mode", "navigate")])] {
        let ask =
            fields.iter().fold(scene.gate.ask(method, "/x"), |ask, (name, value)| ask.header(name, value));
        let sent = ask.send().expect(302);
        assert!(sent.header("Location").unwrap().contains("code_challenge_method=S256"));
        sent.expect_header("Cache-Control", "no-store");
    }
    // Who has another proof needs no session, and a wrong one leads nowhere.
    let key = |key: &str| scene.gate.ask("GET", "/either/x").header(html.0, html.1).header("X-API-Key", key);
    key("k.a secret of some length").send().expect(200);
    key("k.another").send().expect(401).expect_refusal("key_unknown");
    scene.navigate("/either/x", "").expect(302);
}

#[test]
fn two_tabs_log_in_at_once() {
    let (scene, mut browser) = (Scene::new(&json!({}), ""), chromium());
    let one = browser.open("ann", "1", &scene.url("/one"));
    let two = browser.open("ann", "2", &scene.url("/two"));
    assert_ne!(one.url, two.url);
    let two = log_in(&mut browser, "ann", "2", "ann");
    // She has consented already.
    let fill = json!({ "login": "ann", "password": "x" });
    let one = browser.submit("ann", "1", &fill, "button[type=submit]");
    assert!(two.text.starts_with("path /two user ann") && one.text.starts_with("path /one user ann"));
    // Nothing is left of what had begun.
    assert!(!session(&mut browser, "ann").contains(".try."));
}

#[test]
fn what_the_provider_sent_to_one_browser_lets_no_other_in() {
    let (scene, mut browser) = (Scene::new(&json!({}), ""), chromium());
    browser.open("ann", "1", &scene.url("/x"));
    log_in(&mut browser, "ann", "1", "ann");
    let log = scene.gate.log(2);
    let callback = format!("/callback?{}", log[1]["query"].as_str().unwrap());
    for who in ["eve", "ann"] {
        let page = browser.open(who, "1", &scene.url(&callback));
        assert_eq!(page.status, 400, "{page:?}");
        assert!(page.text.contains("login_state_unknown"), "{page:?}");
    }
    // Eve begins a login of her own, and gives it Ann's code; or gives Ann hers.
    browser.open("eve", "1", &scene.url("/x"));
    let theirs = scene.navigate(&callback, &session(&mut browser, "eve")).expect(400);
    theirs.expect_refusal("login_state_unknown");
    for query in ["", "?", "?state=x", "?error=access_denied", "?code=a&state=a&state=b"] {
        let refused = scene.navigate(&format!("/callback{query}"), "").expect(400);
        refused.expect_refusal("login_state_unknown");
    }
}

#[test]
fn a_session_that_was_changed_or_has_ended_is_none() {
    let (scene, mut browser) = (Scene::new(&json!({}), "session: { idle: 3s, max: 1h }"), chromium());
    browser.open("ann", "1", &scene.url("/x"));
    log_in(&mut browser, "ann", "1", "ann");
    let good = session(&mut browser, "ann");
    let (name, value) = good.split_once('=').unwrap();
    for place in [0, value.len() / 2, value.len() - 2] {
        let letter = if &value[place..=place] == "A" { "B" } else { "A" };
        let changed = format!("{name}={}{letter}{}", &value[..place], &value[place + 1..]);
        scene.navigate("/x", &changed).expect(302);
    }
    // What is not used ends, though the browser still has it.
    eventually("the session ends", || scene.navigate("/x", &good).status == 302);
    let refused = scene.gate.ask("GET", "/x").header("Cookie", &good).send().expect(401);
    refused.expect_refusal("login_required");
    // The provider still knows the user, and asks nothing.
    let page = browser.open("ann", "1", &scene.url("/again"));
    assert!(page.text.starts_with("path /again user ann"), "{page:?}");
}

#[test]
fn who_refuses_to_log_in_is_told_so() {
    let (scene, mut browser) = (Scene::new(&json!({}), ""), chromium());
    browser.open("ann", "1", &scene.url("/x"));
    let page = browser.submit("ann", "1", &json!({}), "a[href$=abort]");
    assert_eq!(page.status, 403, "{page:?}");
    assert!(page.text.contains("login_refused"), "{page:?}");
    assert_eq!(session(&mut browser, "ann"), "");
}

#[test]
fn tokens_are_renewed_once_whoever_asks_at_the_same_time() {
    // The provider takes a session back whose refresh token comes twice.
    let (scene, mut browser) = (Scene::new(&json!({ "lifetime": 2 }), "token: pass"), chromium());
    browser.open("ann", "1", &scene.url("/x"));
    let page = log_in(&mut browser, "ann", "1", "ann");
    let bearer = |text: &str| text.split("authorization Bearer ").nth(1).unwrap().to_owned();
    let first = bearer(&page.text);
    let mut last = first.clone();
    let mut times = 0;
    eventually("tokens are renewed three times", || {
        for page in browser.fetch("ann", "1", &scene.url("/y"), 6) {
            assert_eq!(page.status, 200, "{page:?}");
            last = bearer(&page.text);
        }
        times = scene.refreshed();
        times >= 3
    });
    assert_ne!(first, last);
    // A cookie from before the last renewals is worth what came of it.
    let old = session(&mut browser, "ann");
    eventually("it is renewed again", || {
        browser.fetch("ann", "1", &scene.url("/y"), 1);
        scene.refreshed() > times
    });
    scene.gate.ask("GET", "/x").header("Cookie", &old).send().expect(200);
    assert_eq!(browser.open("ann", "1", &scene.url("/x")).status, 200);
}

#[test]
fn sessions_go_on_while_the_provider_is_away() {
    let (mut scene, mut browser) = (Scene::new(&json!({ "lifetime": 2 }), ""), chromium());
    browser.open("ann", "1", &scene.url("/x"));
    log_in(&mut browser, "ann", "1", "ann");
    // Somebody is about to come back from there.
    let begun = scene.navigate("/x", "").expect(302);
    let location = begun.header("Location").unwrap();
    let state = location.split('&').find_map(|pair| pair.strip_prefix("state=")).unwrap().to_owned();
    let cookie = begun.header("Set-Cookie").unwrap().split(';').next().unwrap().to_owned();
    let issuer = scene.provider.take().unwrap().issuer().replace(':', "%3A").replace('/', "%2F");
    let back = scene.navigate(&format!("/callback?code=x&state={state}&iss={issuer}"), &cookie);
    back.expect(503).expect_refusal("login_unavailable");
    eventually("the provider is asked in vain", || {
        assert_eq!(browser.fetch("ann", "1", &scene.url("/y"), 1)[0].status, 200);
        scene.gate.said().contains("a session goes on without new tokens")
    });
    assert_eq!(browser.open("ann", "1", &scene.url("/x")).status, 200);
}

#[test]
fn nobody_logs_in_at_a_provider_that_was_never_there() {
    let (users, port) = (service(), free_port());
    let text = "
services: { users: <users> }
auth: { login: { oidc: { issuer: 'http://127.0.0.1:<port>', client_id: web, client_secret: s, redirect: /callback } } }
routes: [ { match: /, to: users, access: login } ]
";
    let gate = gateway(fill(text, &[("users", &users), ("port", &port)]));
    let refused = gate.ask("GET", "/").header("Accept", "text/html").send().expect(503);
    refused.expect_refusal("login_unavailable");
    gate.get("/").expect(401).expect_refusal("login_required");
}

#[test]
fn nobody_is_sent_to_another_host_after_the_login() {
    let (scene, mut browser) = (Scene::new(&json!({}), ""), chromium());
    for path in ["//evil.test/x", "/\\evil.test/x", "/%2F%2Fevil.test"] {
        browser.open(path, "1", &scene.url(path));
        let page = log_in(&mut browser, path, "1", "ann");
        assert!(page.url.starts_with(&scene.url("/")), "{page:?}");
        assert!(page.text.contains("user ann"), "{page:?}");
    }
}

#[test]
fn the_address_that_the_browser_knows_is_the_one_that_counts() {
    let (users, provider) = (service(), openid_provider(&json!({})));
    let text = "
listeners: [ { address: '127.0.0.1:0', trust_forwarded: { from: 127.0.0.0/8 } } ]
services: { users: <users> }
auth:
  near: { oidc: { issuer: <issuer>, client_id: web, client_secret: s, redirect: /callback } }
  far:
    oidc: { issuer: <issuer>, client_id: web, client_secret: s, redirect: 'https://app.example.com/back',
            cookie: { name: far, domain: example.com } }
routes:
  - { match: { path: /near, host: app.example.com }, to: users, access: near }
  - { match: /far, to: users, access: far }
";
    let gate = gateway(fill(text, &[("users", &users), ("issuer", &provider.issuer())]));
    let ask = |path: &str| gate.ask("GET", path).header("Accept", "text/html").host("app.example.com");
    let near = ask("/near").send().expect(302);
    assert!(
        near.header("Location").unwrap().contains("redirect_uri=http%3A%2F%2Fapp.example.com%2Fcallback&")
    );
    let near = gate.ask("GET", "/near").header("Accept", "text/html").host("inside");
    near.send().expect(404);
    let tls =
        ask("/near").header("X-Forwarded-Proto", "https").header("X-Forwarded-Host", "a.example.com:8443");
    let tls = tls.send().expect(302);
    assert!(
        tls.header("Location")
            .unwrap()
            .contains("redirect_uri=https%3A%2F%2Fa.example.com%3A8443%2Fcallback&")
    );
    let cookie = tls.header("Set-Cookie").unwrap();
    assert!(
        cookie.starts_with("__Host-tg_login.try.") && cookie.ends_with("; SameSite=Lax; Secure"),
        "{cookie}"
    );
    let far = gate.ask("GET", "/far").header("Accept", "text/html").send().expect(302);
    assert!(far.header("Location").unwrap().contains("redirect_uri=https%3A%2F%2Fapp.example.com%2Fback&"));
    let cookie = far.header("Set-Cookie").unwrap();
    assert!(cookie.starts_with("far.try.") && cookie.contains("; Domain=example.com; "), "{cookie}");
    // Each path is the gateway's on its own host alone.
    ask("/callback").send().expect(400).expect_refusal("login_state_unknown");
    ask("/back").send().expect(400).expect_refusal("login_state_unknown");
    gate.ask("GET", "/back").host("other.example.com").send().expect(404);
    // And only as a page.
    gate.ask("POST", "/callback").host("app.example.com").send().expect(405);
}

#[test]
fn a_large_session_is_kept_in_several_cookies_and_a_larger_one_in_none() {
    let mut browser = chromium();
    for (who, size, is_kept) in [("ann", 6000, true), ("eve", 11_000, false)] {
        let scene = Scene::new(&json!({ "note": "n".repeat(size) }), "claims: [note]");
        browser.open(who, "1", &scene.url("/x"));
        let page = log_in(&mut browser, who, "1", who);
        if is_kept {
            assert!(page.text.starts_with("path /x user ann"), "{page:?}");
            assert!(session(&mut browser, who).matches("tg_login").count() > 1);
            assert!(browser.open(who, "1", &scene.url("/y")).text.starts_with("path /y user ann"));
        } else {
            assert!(page.status == 502 && page.text.contains("login_failed"), "{page:?}");
            scene.gate.expect_line("the session is too large for cookies");
        }
    }
}

#[test]
fn pictures_log_nobody_out() {
    let scene = Scene::new(&json!({}), "");
    let refused = scene.gate.ask("GET", "/logout").header("Sec-Fetch-Mode", "no-cors").send().expect(403);
    refused.expect_refusal("logout_not_opened");
    let gone = scene.navigate("/logout", "tg_login=2.a; tg_login.1=b; other=c").expect(302);
    assert_eq!(gone.fields.all("Set-Cookie").len(), 2);
}

#[test]
fn tokens_that_the_provider_signs_for_programs_are_verified() {
    let (users, mut provider) = (service(), openid_provider(&json!({})));
    provider.register_program("robot");
    let text = "
services: { users: <users> }
auth: { corp: { jwt: { issuer: <issuer>, audience: 'urn:api', app_claim: client_id } } }
apps: { robot: {} }
routes: [ { match: /, to: users, access: { any: corp, scopes: read, apps: robot } } ]
";
    let gate = gateway(fill(text, &[("users", &users), ("issuer", &provider.issuer())]));
    let token = provider.token("robot", "scope=read&resource=urn:api");
    gate.ask("GET", "/").header("Authorization", &format!("Bearer {token}")).send().expect(200);
    let changed = format!("{}A{}", &token[..token.len() - 20], &token[token.len() - 19..]);
    let changed = if changed == token {
        format!("{}B{}", &token[..token.len() - 20], &token[token.len() - 19..])
    } else {
        changed
    };
    let refused =
        gate.ask("GET", "/").header("Authorization", &format!("Bearer {changed}")).send().expect(401);
    refused.expect_refusal("token_signature");
}
