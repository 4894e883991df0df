//! Logins in a real browser at a real provider.

use serde_json::{Value, json};
use tollgate_tests::{
    Backend, Chromium, Gateway, OpenIdProvider, Page, backend, chromium, eventually, fill, free_port, gateway,
    openid_provider,
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
        call.reply(200, text)
    })
}

/// A gateway with a login at that provider, which knows it.
struct Scene {
    gate: Gateway,
    provider: OpenIdProvider,
    at: String,
}

impl Scene {
    fn new(options: &Value, more: &str) -> Self {
        Self::with(openid_provider(options), &service(), more)
    }

    fn with(mut provider: OpenIdProvider, users: &Backend, more: &str) -> Self {
        // The provider has to know the port before it is open.
        let port = free_port();
        let at = format!("http://127.0.0.1:{port}");
        provider.register(&json!({
            "redirect_uris": [format!("{at}/callback")], "post_logout_redirect_uris": [format!("{at}/bye")],
        }));
        let text = "
listeners: [ { address: '127.0.0.1:<port>' } ]
services: { users: <users> }
auth:
  login:
    oidc: { issuer: <issuer>, client_id: web, client_secret: the secret of the web, redirect: /callback, logout: /logout,
            after_logout: /bye, scopes: [profile, read], <more> }
  keys: { api_key: {} }
apps: { a: { keys: [ { id: k, secret: a secret of some length } ] } }
routes:
  - { match: '/{rest...}', to: users, access: login }
  - { match: '/either/{rest...}', to: users, access: { any: [login, keys] } }
  - { match: /bye, respond: { body: good bye }, access: public }
";
        let values: [(&str, &dyn std::fmt::Display); 4] =
            [("port", &port), ("users", users), ("issuer", &provider.issuer()), ("more", &more)];
        let gate = gateway(fill(text, &values));
        Self { gate, provider, at }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.at)
    }
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
    assert!(page.url.starts_with(scene.provider.issuer()), "{page:?}");
    let page = log_in(&mut browser, "ann", "1", "ann");
    assert_eq!(page.url, scene.url("/deep/page?a=1&b=%2F"));
    assert!(page.text.starts_with("path /deep/page?a=1&b=%2F user ann scopes openid"), "{page:?}");
    // Its cookies are not for services.
    assert!(page.text.contains("cookie - authorization -") || !page.text.contains("tg_login"), "{page:?}");
    let page = browser.open("ann", "1", &scene.url("/second"));
    assert!(page.text.starts_with("path /second user ann"), "{page:?}");
    let log = scene.gate.log(4);
    assert_eq!((&log[3]["user"], &log[3]["auth"]), (&json!("ann"), &json!("login")));
    let page = browser.open("ann", "1", &scene.url("/logout"));
    assert!(page.url.starts_with(scene.provider.issuer()), "{page:?}");
    let page = browser.submit("ann", "1", &json!({}), "button[value=yes]");
    assert_eq!((page.url.as_str(), page.text.as_str()), (scene.url("/bye").as_str(), "good bye"));
    let page = browser.open("ann", "1", &scene.url("/second"));
    assert!(page.url.starts_with(scene.provider.issuer()), "{page:?}");
    assert!(browser.cookies("ann").iter().all(|cookie| cookie["name"] != "tg_login"));
}
