//! Users with passwords, whose files `htpasswd` has written.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Barrier;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tempfile::TempDir;
use tollgate_tests::{Answer, Backend, Gateway, backend, curl, gateway_with, load};

/// `apple`, by OpenSSL: `m=64,t=1,p=2`.
const ARGON2: &str =
    "eve:$argon2id$v=19$m=64,t=1,p=2$c29tZXNhbHRzb21lc2FsdA$TxsY09oKaRXxp9Czo6M1R8aJcTfqqush1mHctZwxEPs\n";

/// A file of users, and its folder.
struct Users(TempDir);

impl Users {
    fn new() -> Self {
        let users = Self(tempfile::tempdir().unwrap());
        fs::write(users.file(), ARGON2).unwrap();
        users
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("users.htpasswd")
    }

    /// Gives a user a password, with bcrypt at this cost.
    fn set(&self, name: &str, password: &str, cost: &str) {
        htpasswd(&["-b", "-B", "-C", cost], &self.file(), &[name, password]);
    }
}

fn htpasswd(options: &[&str], file: &Path, rest: &[&str]) {
    let output = Command::new("htpasswd").args(options).arg(file).args(rest).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn service() -> Backend {
    backend(|call| call.reply(200, "served"))
}

fn gate_of(users: &Users, service: &Backend) -> Gateway {
    let text = "
services: { users: <users> }
auth:
  staff: { basic: { users: <file>, cache: 1h } }
  clerks: { basic: { users: <file>, app: office, scopes: [read, write], pass: true } }
plans: { gold: {} }
apps: { office: { plan: gold } }
routes:
  - { match: /staff, to: users, access: staff }
  - { match: /clerks, to: users, access: { any: clerks, scopes: write } }
  - { match: /open, to: users, access: public }
";
    gateway_with(text, &[("users", service), ("file", &users.file().display())])
}

fn ask(gate: &Gateway, path: &str, name: &str, password: &str) -> Answer {
    let sent = base64(&format!("{name}:{password}"));
    gate.ask("GET", path).header("Authorization", &format!("basic {sent}")).send()
}

fn base64(text: &str) -> String {
    STANDARD.encode(text)
}

#[test]
fn a_user_is_a_name_and_a_password_of_the_file() {
    let (users, orders) = (Users::new(), service());
    users.set("ann", "apfel: \u{e4}pple", "4");
    let gate = gate_of(&users, &orders);
    gate.expect_line("cheap to guess");
    let url = format!("http://{}", gate.address());
    let status = |user: &str| {
        curl(&["-o", "/dev/null", "-w", "%{http_code}", "-u", user, &format!("{url}/staff")]).text()
    };
    // The second time it is known.
    for _ in 0..2 {
        assert_eq!(status("ann:apfel: \u{e4}pple"), "200");
        assert_eq!(status("eve:apple"), "200");
        assert_eq!(status("ann:apple"), "401");
        assert_eq!(status("nobody:apple"), "401");
    }
    let seen = orders.request(0);
    assert_eq!((seen.header("x-tollgate-user"), seen.header("authorization")), (Some("ann"), None));
    let missing = gate.get("/staff").expect(401);
    missing.expect_refusal("credentials_missing");
    assert_eq!(missing.header("www-authenticate"), Some("Basic realm=\"api\", charset=\"UTF-8\""));
    let wrong = ask(&gate, "/staff", "eve", "pear").expect(401);
    wrong.expect_refusal("credentials_wrong");
    let unknown = ask(&gate, "/staff", "nobody", "apple").expect(401);
    let detail = |answer: &Answer| answer.json()["detail"].clone();
    assert_eq!(detail(&wrong), detail(&unknown), "which of the two is wrong is nobody's business");
    for sent in ["", "x", "ZXZlOmFwcGxl", "!!!!", "ZXZl"] {
        let expected = if sent == "ZXZlOmFwcGxl" { 200 } else { 401 };
        gate.ask("GET", "/staff").header("Authorization", &format!("Basic {sent}")).send().expect(expected);
    }
    let twice = format!("Basic {}", base64("eve:apple"));
    let twice = gate.ask("GET", "/staff").header("Authorization", &twice).header("Authorization", &twice);
    twice.send().expect(401).expect_refusal("credentials_wrong");
    gate.ask("GET", "/staff")
        .header("Authorization", "Bearer ZXZlOmFwcGxl")
        .send()
        .expect(401)
        .expect_refusal("credentials_missing");
}

#[test]
fn users_may_call_by_an_app_with_scopes() {
    let (users, orders) = (Users::new(), service());
    let gate = gate_of(&users, &orders);
    ask(&gate, "/clerks", "eve", "apple").expect(200);
    let seen = orders.request(0);
    for (name, value) in [("app", "office"), ("user", "eve"), ("plan", "gold"), ("scopes", "read write")] {
        assert_eq!(seen.header(&format!("x-tollgate-{name}")), Some(value));
    }
    assert_eq!(seen.header("authorization"), Some(&*format!("basic {}", base64("eve:apple"))));
    let line = &gate.log(1)[0];
    assert_eq!([&line["app"], &line["user"], &line["auth"]], ["office", "eve", "clerks"]);
}

#[test]
fn a_changed_file_holds_at_once_and_one_that_cannot_be_used_changes_nothing() {
    let (users, orders) = (Users::new(), service());
    users.set("ann", "old", "4");
    let gate = gate_of(&users, &orders);
    ask(&gate, "/staff", "ann", "old").expect(200);
    ask(&gate, "/staff", "ann", "new").expect(401);
    gate.expect_reload(|| users.set("ann", "new", "4"));
    ask(&gate, "/staff", "ann", "old").expect(401).expect_refusal("credentials_wrong");
    ask(&gate, "/staff", "ann", "new").expect(200);
    htpasswd(&["-b", "-m"], &users.file(), &["bob", "plum"]);
    let told = gate.expect_line("line 3: MD5 protects no password");
    assert!(!told.contains("apr1"), "{told}");
    ask(&gate, "/staff", "ann", "new").expect(200);
    ask(&gate, "/staff", "bob", "plum").expect(401);
}

#[test]
fn a_flood_of_guesses_keeps_nobody_else_waiting() {
    let (users, orders) = (Users::new(), service());
    users.set("ann", "apple", "10");
    let gate = gate_of(&users, &orders);
    ask(&gate, "/staff", "ann", "apple").expect(200);
    let guests = load(gate.address(), 2, "/open");
    // More than can be compared or may wait, whatever the machine has: 8 at once with 32 behind each at the most.
    let guesses = 400;
    let start = Barrier::new(guesses);
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let guessers: Vec<_> = (0..guesses)
            .map(|number| {
                let (gate, start) = (&gate, &start);
                scope.spawn(move || {
                    start.wait();
                    let sent = format!("Basic {}", base64(&format!("ann:{number}")));
                    let answer = gate.ask("GET", "/staff").header("Authorization", &sent).try_send();
                    // On a busy machine the last ones may be left without an answer.
                    answer.map_or(401, |answer| answer.status)
                })
            })
            .collect();
        // Who is known, and who needs no password, are served while others wait.
        guests.expect_more(20);
        for _ in 0..20 {
            ask(&gate, "/staff", "ann", "apple").expect(200);
        }
        guessers.into_iter().map(|guesser| guesser.join().unwrap()).collect()
    });
    guests.stop().expect_no_failure();
    let busy = statuses.iter().filter(|status| **status == 503).count();
    assert!(busy > 0 && statuses.iter().all(|status| [401, 503].contains(status)), "{statuses:?}");
}

#[test]
fn the_same_password_sent_by_many_is_compared_once() {
    let (users, orders) = (Users::new(), service());
    users.set("ann", "apple", "12");
    let gate = gate_of(&users, &orders);
    // More than may wait for a turn, had each to have its own.
    let callers = 300;
    let start = Barrier::new(callers);
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..callers)
            .map(|_| {
                let (gate, start) = (&gate, &start);
                scope.spawn(move || {
                    start.wait();
                    ask(gate, "/staff", "ann", "apple").status
                })
            })
            .collect();
        callers.into_iter().map(|caller| caller.join().unwrap()).collect()
    });
    assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
}
