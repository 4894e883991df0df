//! Secrets are planted wherever the configuration takes one, and looked for wherever something is said.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use tollgate_tests::{Ask, Gateway, backend, binary, eventually, fill};

/// What every secret has in it.
const PLANTED: &str = "planted";

/// A configuration with secrets from variables, from files, and standing in it.
const TEXT: &str = "
admin: { address: '127.0.0.1:0', token: '${env:ADMIN_TOKEN}' }
services:
  users: <users>
  found: { discover: { consul: http://127.0.0.1:1, service: web, token: '${env:CONSUL_TOKEN}' }, endpoints: http://127.0.0.1:9 }
  kept: { discover: { etcd: http://127.0.0.1:1, prefix: /kept/, user: root, password: planted-in-the-file }, endpoints: http://127.0.0.1:9 }
auth:
  keys: { api_key: { query: api_key, bearer: true } }
  staff: { basic: { users: users.htpasswd } }
apps:
  web:
    keys:
      - { id: a, secret: '${file:app.secret}' }
      - { id: b, secret: planted-in-the-file-too }
identity: { headers: signed, keys: '${env:SIGNING_KEY}' }
routes:
  - { match: /x, to: users, access: { any: [keys, staff] } }
  - { match: /found, to: found, access: keys }
  - { match: /kept, to: kept, access: keys }
";

fn tollgate(folder: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new(binary());
    let output =
        with_variables(&mut command).current_dir(folder).args(arguments).stdin(Stdio::null()).output();
    let output = output.unwrap();
    let said = [output.stdout, output.stderr].map(|said| String::from_utf8(said).unwrap()).concat();
    assert!(!said.is_empty(), "{arguments:?} says nothing");
    said
}

fn with_variables(command: &mut Command) -> &mut Command {
    for name in ["ADMIN_TOKEN", "CONSUL_TOKEN", "SIGNING_KEY"] {
        command.env(name, format!("{PLANTED} {name} of thirty-two bytes or more").replace(' ', "-"));
    }
    command
}

fn write_files(folder: &Path) {
    fs::write(folder.join("app.secret"), "planted-in-a-file\n").unwrap();
    // Of `planted`.
    let users = "ann:$2y$04$AsQ9Ds2LOg3UMP2OKuA2eOfd9SulpMSf43sdogv/QCTKPzA60OqD.\n";
    fs::write(folder.join("users.htpasswd"), users).unwrap();
}

#[track_caller]
fn expect_none(what: &str, said: &str) {
    assert!(!said.contains(PLANTED), "{what} shows a secret:\n{said}");
}

#[test]
fn no_command_shows_a_secret() {
    let files = tempfile::tempdir().unwrap();
    let folder = files.path();
    write_files(folder);
    let text = fill(TEXT, &[("users", &"http://127.0.0.1:9")]);
    fs::write(folder.join("old.yaml"), &text).unwrap();
    let other = text
        .replace("planted-in-the-file", "planted-anew")
        .replace("id: a", "id: c")
        .replace("CONSUL", "ADMIN");
    fs::write(folder.join("new.yaml"), other).unwrap();
    // Faults that point at the lines where secrets stand, at them, and beside them.
    let bad = text
        .replace(
            "user: root, password: planted-in-the-file",
            "user: root, passwd: x, password: planted-in-the-file",
        )
        .replace("- { id: b, ", "- { id: b.b, scope: x, ")
        .replace("${env:SIGNING_KEY}', ", "${env:SIGNING_KEY}', issuers: x, ")
        .replace("${file:app.secret}", "planted ${file:none}")
        .replace("${env:SIGNING_KEY}", "planted");
    fs::write(folder.join("bad.yaml"), bad).unwrap();
    expect_none("check", &tollgate(folder, &["check", "-c", "old.yaml"]));
    let faults = tollgate(folder, &["check", "-c", "bad.yaml"]);
    assert!(faults.contains("passwd") && faults.contains("id: b.b") && faults.contains("***"), "{faults}");
    expect_none("check", &faults);
    let told = tollgate(folder, &["explain", "GET", "/x?api_key=a.planted-in-a-file", "-c", "old.yaml"]);
    assert!(told.contains("keys"), "{told}");
    expect_none("explain", &told);
    let told = tollgate(folder, &["diff", "old.yaml", "new.yaml"]);
    assert!(told.contains("secret of key b becomes another"), "{told}");
    expect_none("diff", &told);
}

#[test]
fn a_gateway_at_work_shows_no_secret() {
    let users = backend(|call| call.reply(200, "served"));
    let folder = tempfile::tempdir().unwrap();
    write_files(folder.path());
    let text = fill(TEXT, &[("users", &users)]);
    let mut command = Command::new(binary());
    with_variables(&mut command);
    let gate = Gateway::start_in(folder, command, &text, &["--workers", "1"]);
    let ask = |path: &str, sent: &str| gate.ask("GET", path).header("Authorization", sent).send();
    ask("/x", "Bearer a.planted-in-a-file").expect(200);
    ask("/x", "Bearer a.planted-wrongly").expect(401);
    ask("/x", "Basic YW5uOnBsYW50ZWQ=").expect(200);
    ask("/x", "Basic YW5uOnBsYW50ZWQh").expect(401);
    gate.get("/x?api_key=b.planted-in-the-file-too").expect(200);
    gate.get("/x?api_key=b.planted-wrongly").expect(401);
    gate.get("/nowhere?api_key=b.planted-wrongly").expect(404);
    // A reload that tells what has changed, and one that is refused at a line with a secret.
    let file = gate.config_file();
    let config = fs::read_to_string(&file).unwrap();
    fs::write(&file, config.replace("planted-in-the-file", "planted-anew")).unwrap();
    gate.expect_line("secret of key b becomes another");
    fs::write(&file, config.replace("- { id: b, ", "- { id: b.b, ")).unwrap();
    gate.expect_line("expected up to 64 letters");
    let admin = |path: &str| {
        let token = format!("Bearer {PLANTED}-ADMIN_TOKEN-of-thirty-two-bytes-or-more");
        let ask = Ask::new(gate.admin(), "GET", path).header("Authorization", &token);
        ask.send().text()
    };
    eventually("the refused reload is shown", || admin("/readyz").contains("64 letters"));
    for path in ["/metrics", "/status", "/readyz", "/healthz", "/.well-known/jwks.json", "/none"] {
        expect_none(path, &admin(path));
        expect_none(path, &gate.admin_get(path).text());
    }
    assert!(admin("/status").contains("\"pid\""));
    let lines = gate.log_lines(7).join("\n");
    assert!(lines.contains("api_key=***") || !lines.contains("api_key="), "{lines}");
    expect_none("the log", &lines);
    expect_none("standard error", &gate.said());
    let seen: Vec<_> = users.requests();
    for request in &seen {
        assert!(!format!("{request:?}").contains("planted-in"), "a service was shown a key");
    }
}
