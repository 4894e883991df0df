//! The command line: what it prints, and the exit code by which scripts know.

use std::fs;
use std::process::Output;
use std::sync::Mutex;

use serde_json::Value;
use tollgate_tests::{Gateway, curl, eventually, gateway, hello, tollgate};

struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// Writes a file and gives its path.
    fn write(&self, name: &str, text: &str) -> String {
        let path = self.0.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    }
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[track_caller]
fn expect(output: &Output, code: i32) {
    assert_eq!(output.status.code(), Some(code), "stdout:\n{}\nstderr:\n{}", out(output), err(output));
}

/// Held by the scenes that need the ports that the gateway takes when nothing is said about them.
static DEFAULT_PORTS: Mutex<()> = Mutex::new(());

const GOOD: &str = "
services: { users: http://127.0.0.1:9001 }
routes:
  - { match: 'GET /users/{id}', to: users, access: public }
";

#[test]
fn a_good_file_is_said_to_be_good() {
    let files = Files::new();
    let path = files.write("good.yaml", GOOD);
    expect(&tollgate(&["check", &path]), 0);
    expect(&tollgate(&["check", "-c", &path]), 0);
}

#[test]
fn a_bad_file_gets_all_its_faults_at_once_each_with_its_place() {
    let files = Files::new();
    let path = files.write(
        "bad.yaml",
        "services: { users: http://127.0.0.1:9001 }\nroutes:\n  - { match: GET /x, too: users, access: public }\n  - { match: GET /y, to: user, access: public }\n  - { match: GET /z, to: users }\n",
    );
    let output = tollgate(&["check", &path]);
    expect(&output, 1);
    let faults = err(&output);
    for (place, word) in [("bad.yaml:3:", "`to`"), ("bad.yaml:4:", "users"), ("bad.yaml:5:", "access")] {
        assert!(faults.contains(place), "no {place} in\n{faults}");
        assert!(faults.contains(word), "no {word} in\n{faults}");
    }
    assert!(faults.contains('^'), "no caret in\n{faults}");
}

#[test]
fn a_file_that_is_not_there_or_not_yaml_is_a_fault_not_a_panic() {
    let files = Files::new();
    for path in ["/nowhere/tollgate.yaml".to_owned(), files.write("broken.yaml", "routes: [{")] {
        let output = tollgate(&["check", &path]);
        expect(&output, 1);
        assert!(!err(&output).is_empty() && !err(&output).contains("panicked"), "{}", err(&output));
    }
}

#[test]
fn run_refuses_a_bad_file_and_a_port_that_is_taken() {
    let files = Files::new();
    let output = tollgate(&["run", "-c", &files.write("bad.yaml", "routes: [{ match: /x }]")]);
    expect(&output, 1);
    assert!(err(&output).contains("bad.yaml:1:"), "{}", err(&output));

    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let config = format!("listeners: ['{address}']\nadmin: off\n{GOOD}");
    let output = tollgate(&["run", "-c", &files.write("taken.yaml", &config)]);
    expect(&output, 1);
    assert!(err(&output).contains(&address.to_string()), "{}", err(&output));
}

#[test]
fn a_diff_says_what_changes_for_a_user() {
    let files = Files::new();
    let old = files.write("old.yaml", GOOD);
    let new = files.write(
        "new.yaml",
        "
services: { users: http://127.0.0.1:9002 }
routes:
  - { match: 'GET /users/{id}', to: users, access: public, timeout: 1s }
  - { match: POST /users, to: users, access: public }
",
    );
    let output = tollgate(&["diff", &old, &new]);
    let text = out(&output);
    for word in ["POST /users", "GET /users/{id}", "9002", "timeout"] {
        assert!(text.contains(word), "no {word} in\n{text}{}", err(&output));
    }
    let same = tollgate(&["diff", &old, &old]);
    expect(&same, 0);
    assert!(!out(&same).contains("GET /users/{id}"), "{}", out(&same));
    expect(&output, 1);
    expect(&tollgate(&["diff", &old, &files.write("bad.yaml", "routes: [{")]), 2);
}

#[test]
fn the_schema_is_a_json_schema_of_the_whole_language() {
    let output = tollgate(&["schema"]);
    expect(&output, 0);
    let schema: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(schema["$schema"].as_str().unwrap().contains("json-schema.org"), "{schema}");
    for key in ["listeners", "services", "routes", "apis", "defaults", "logs"] {
        assert!(schema["properties"][key].is_object(), "no {key}");
    }
}

#[test]
fn explain_tells_which_route_wins_and_why_the_next_ones_lose() {
    let files = Files::new();
    let path = files.write(
        "tollgate.yaml",
        "
services: { users: http://127.0.0.1:9001 }
routes:
  - { match: 'GET /users/{id}', name: one, to: users, access: public, rewrite: '/u/{id}' }
  - { match: { path: /users/me, headers: { X-Beta: on } }, name: beta, to: users, access: public }
",
    );
    let output = tollgate(&["explain", "GET", "http://shop.test/users/me", "-c", &path]);
    expect(&output, 0);
    let text = out(&output);
    for word in ["one", "beta", "/u/me", "users", "127.0.0.1:9001"] {
        assert!(text.contains(word), "no {word} in\n{text}");
    }
    assert!(text.to_ascii_lowercase().contains("x-beta"), "not why beta loses:\n{text}");

    let output = tollgate(&["explain", "GET", "http://shop.test/users/me", "-c", &path, "-H", "X-Beta: on"]);
    expect(&output, 0);
    assert!(!out(&output).contains("/u/me"), "{}", out(&output));
    expect(&tollgate(&["explain", "GET", "/users/me", &path]), 0);
    expect(&tollgate(&["explain", "GET", "/users/me", &path, "-c", &path]), 2);
    let output = tollgate(&["explain", "GET", "http://shop.test/nowhere", "-c", &path]);
    assert!(out(&output).contains("404") || out(&output).contains("no_route"), "{}", out(&output));
}

#[test]
fn explain_takes_the_host_and_port_of_connect_and_mends_a_slip() {
    let files = Files::new();
    let config = "services: { proxy: http://127.0.0.1:3128 }\nroutes: [{ match: 'CONNECT /{rest...}', to: proxy, access: public }]\n";
    let path = files.write("tollgate.yaml", config);
    let output = tollgate(&["explain", "CONNECT", "example.com:443", "-c", &path]);
    expect(&output, 0);
    assert!(
        out(&output).contains("CONNECT example.com:443 through http://127.0.0.1:3128"),
        "{}",
        out(&output)
    );
    for (method, url, advice) in [
        ("connect", "example.com:443", "did you mean `CONNECT`?"),
        ("CONNECT", "example.com", "did you mean `tollgate explain CONNECT example.com:443`?"),
        ("GET", "x/y", "did you mean `/x/y`?"),
    ] {
        let output = tollgate(&["explain", method, url, "-c", &path]);
        expect(&output, 2);
        assert!(err(&output).contains(advice), "{}", err(&output));
    }
}

#[test]
fn a_gateway_runs_without_any_file_or_scheme() {
    let _ports = DEFAULT_PORTS.lock();
    let users = hello();
    let address = users.to_string().replace("http://", "");
    let gate = Gateway::run(&["run", "--to", &address], tempfile::tempdir().unwrap());
    assert!(gate.said().contains(&format!("tollgate: everything goes to {users}")), "{}", gate.said());
    gate.get("/any/path?a=b").expect(200).expect_body("hello");
    gate.post("/any", "x").expect(200);
    assert_eq!(users.request(0).target, "/any/path?a=b");
}

#[test]
fn a_gateway_without_a_file_listens_where_it_is_told_and_never_before_itself() {
    let output = tollgate(&["run", "--to", "localhost:8080"]);
    expect(&output, 2);
    assert!(err(&output).contains("--listen 127.0.0.1:8081"), "{}", err(&output));

    let _ports = DEFAULT_PORTS.lock();
    let users = hello();
    let arguments = ["run", "--to", &users.to_string(), "--listen", "127.0.0.1:0"];
    let gate = Gateway::run(&arguments, tempfile::tempdir().unwrap());
    assert_ne!(gate.address().port(), 8080);
    gate.get("/").expect(200);
}

#[test]
fn a_gateway_without_a_file_takes_unix_sockets_too() {
    let _ports = DEFAULT_PORTS.lock();
    let users = hello();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tollgate.sock");
    let listen = format!("unix:{}", path.display());
    let arguments = ["run", "--to", &users.to_string(), "--listen", &listen];
    let _gate = Gateway::run(&arguments, tempfile::tempdir().unwrap());
    assert_eq!(curl(&["--unix-socket", path.to_str().unwrap(), "http://a/"]).text(), "hello");
    let itself = tollgate(&["run", "--to", &listen, "--listen", &listen]);
    expect(&itself, 2);
}

#[test]
fn the_number_of_workers_is_that_of_the_command_line() {
    let gate = gateway("routes: [{ match: /x, respond: 204, access: public }]");
    gate.get("/x").expect(204);
    let threads = fs::read_dir(format!("/proc/{}/task", gate.pid())).unwrap();
    let names: Vec<_> = threads
        .map(|thread| fs::read_to_string(thread.unwrap().path().join("comm")).unwrap().trim().to_owned())
        .collect();
    let workers = names.iter().filter(|name| name.starts_with("worker")).count();
    assert_eq!(workers, 1, "{names:?}");
}

#[test]
fn help_and_version_are_there_and_nonsense_is_an_error_of_use() {
    let output = tollgate(&["--help"]);
    expect(&output, 0);
    for command in ["run", "check", "diff", "schema", "explain", "demo"] {
        assert!(out(&output).contains(command), "no {command} in\n{}", out(&output));
    }
    expect(&tollgate(&["--version"]), 0);
    expect(&tollgate(&["frobnicate"]), 2);
}

#[test]
fn the_demo_answers_the_curl_lines_that_it_prints() {
    let _ports = DEFAULT_PORTS.lock();
    let gate = Gateway::run(&["demo"], tempfile::tempdir().unwrap());
    let mut lines = Vec::new();
    eventually("the demo prints six curl lines", || {
        let text = fs::read_to_string(gate.folder().join("stdout")).unwrap_or_default();
        let trimmed = text.lines().map(|line| line.trim().to_owned());
        lines = trimmed.filter(|line| line.starts_with("curl ")).collect();
        lines.len() >= 6
    });
    for line in lines {
        // What follows is said to people.
        let command = line.split("  #").next().unwrap();
        let output = std::process::Command::new("sh").args(["-c", command]).output().unwrap();
        assert!(output.status.success(), "{command}: {}", err(&output));
        assert!(!output.stdout.is_empty(), "{command} prints nothing");
    }
}
