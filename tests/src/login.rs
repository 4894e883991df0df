//! Logging in as people do: a real `OpenID` provider, and a browser that is led from here.

use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::peers::Peer;
use crate::{Answer, Ask, installed, script_path};

/// A script in Node that is told lines and answers each with one.
struct Script {
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    peer: Peer,
}

impl Script {
    #[track_caller]
    fn start(name: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new("node");
        command.arg(script_path(name)).arg(installed("node/node_modules")).args(arguments);
        let mut peer = Peer::start(command.stdin(Stdio::piped()).stdout(Stdio::piped()));
        let (input, output) = peer.pipes();
        Self { input: Some(input), output, peer }
    }

    #[track_caller]
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "the script ended");
        line.trim_end().to_owned()
    }

    #[track_caller]
    fn tell(&mut self, line: &Value) -> String {
        writeln!(self.input.as_mut().unwrap(), "{line}").unwrap();
        self.line()
    }
}

impl Drop for Script {
    /// Its end of input is its end: it then ends what it has started.
    fn drop(&mut self) {
        drop(self.input.take());
        self.peer.finish();
    }
}

/// A running `OpenID` provider.
pub struct OpenIdProvider {
    script: Script,
    issuer: String,
}

/// A provider with these options: `lifetime` of access tokens in seconds, `port`, and a `note` that it says of everybody.
#[track_caller]
pub fn openid_provider(options: &Value) -> OpenIdProvider {
    let mut script = Script::start("openid_provider.mjs", &[&options.to_string()]);
    let issuer = script.line();
    OpenIdProvider { script, issuer }
}

impl OpenIdProvider {
    /// Who it is.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The port that it listens on.
    pub fn port(&self) -> u16 {
        self.issuer.rsplit_once(':').unwrap().1.parse().unwrap()
    }

    /// Registers a client; what is left out is usual.
    #[track_caller]
    pub fn register(&mut self, client: &Value) {
        let mut full = json!({
            "client_id": "web", "client_secret": "the secret of the web", "response_types": ["code"],
            "grant_types": ["authorization_code", "refresh_token"],
        });
        full.as_object_mut().unwrap().extend(client.as_object().unwrap().clone());
        assert_eq!(self.script.tell(&full), full["client_id"].as_str().unwrap());
    }

    /// Registers a program, which logs nobody in.
    #[track_caller]
    pub fn register_program(&mut self, client_id: &str) {
        self.register(&json!({
            "client_id": client_id, "grant_types": ["client_credentials"], "response_types": [], "redirect_uris": [],
        }));
    }

    /// A token that a program gets for itself, with what it asks for besides: `scope=…&resource=…`.
    #[track_caller]
    pub fn token(&self, client_id: &str, more: &str) -> String {
        let granted = self.post(client_id, "/token", &format!("grant_type=client_credentials&{more}"));
        granted.expect(200).json()["access_token"].as_str().unwrap().to_owned()
    }

    /// Takes back a token that a program has got.
    #[track_caller]
    pub fn revoke(&self, client_id: &str, token: &str) {
        self.post(client_id, "/token/revocation", &format!("token={token}")).expect(200);
    }

    /// How often something was asked for, `refresh` or `introspection`.
    #[track_caller]
    pub fn count(&self, what: &str) -> u64 {
        let counts = Ask::new(([127, 0, 0, 1], self.port()).into(), "GET", "/counts").send();
        counts.json()[what].as_u64().unwrap()
    }

    fn post(&self, client_id: &str, path: &str, form: &str) -> Answer {
        let pair = STANDARD.encode(format!("{client_id}:the%20secret%20of%20the%20web"));
        Ask::new(([127, 0, 0, 1], self.port()).into(), "POST", path)
            .header("Authorization", &format!("Basic {pair}"))
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body(form)
            .send()
    }
}

/// A browser, in which several people may sit, who share nothing.
pub struct Chromium(Script);

/// What a tab shows.
#[derive(Debug, Clone)]
pub struct Page {
    /// Its address.
    pub url: String,
    /// The status of the answer.
    pub status: u64,
    /// What can be read.
    pub text: String,
}

/// Starts a browser.
#[track_caller]
pub fn chromium() -> Chromium {
    let mut script = Script::start("browser.mjs", &[]);
    assert_eq!(script.line(), "ready");
    Chromium(script)
}

impl Chromium {
    /// Opens a page.
    #[track_caller]
    pub fn open(&mut self, who: &str, tab: &str, url: &str) -> Page {
        let seen = self.tell(who, tab, "open", json!({ "url": url }));
        Page::of(&seen)
    }

    /// Opens a page that leads on by itself, to the one at the end.
    #[track_caller]
    pub fn open_through(&mut self, who: &str, tab: &str, url: &str, end: &str) -> Page {
        let seen = self.tell(who, tab, "open_through", json!({ "url": url, "end": end }));
        Page::of(&seen)
    }

    /// Fills a form in and presses its button.
    #[track_caller]
    pub fn submit(&mut self, who: &str, tab: &str, fill: &Value, press: &str) -> Page {
        let seen = self.tell(who, tab, "submit", json!({ "fill": fill, "press": press }));
        Page::of(&seen)
    }

    /// The cookies that somebody has.
    #[track_caller]
    pub fn cookies(&mut self, who: &str) -> Vec<Value> {
        self.tell(who, "1", "cookies", json!({})).as_array().unwrap().clone()
    }

    /// Gives somebody cookies.
    #[track_caller]
    pub fn set_cookies(&mut self, who: &str, cookies: &[Value]) {
        self.tell(who, "1", "set_cookies", json!({ "cookies": cookies }));
    }

    /// What a script of the page gets, so many times at once.
    #[track_caller]
    pub fn fetch(&mut self, who: &str, tab: &str, url: &str, times: usize) -> Vec<Page> {
        let got = self.tell(who, tab, "fetch", json!({ "url": url, "times": times }));
        got.as_array().unwrap().iter().map(Page::of).collect()
    }

    #[track_caller]
    fn tell(&mut self, who: &str, tab: &str, what: &str, more: Value) -> Value {
        let mut deed = more;
        deed.as_object_mut()
            .unwrap()
            .extend(json!({ "do": what, "who": who, "tab": tab }).as_object().unwrap().clone());
        let mut answer: Value = serde_json::from_str(&self.0.tell(&deed)).unwrap();
        assert!(answer["error"].is_null(), "the browser could not {what}: {}", answer["error"]);
        answer["said"].take()
    }
}

impl Page {
    fn of(seen: &Value) -> Self {
        let text = |name: &str| seen[name].as_str().unwrap_or_default().to_owned();
        Self { url: text("url"), status: seen["status"].as_u64().unwrap_or_default(), text: text("text") }
    }
}
