//! systemd as it starts the gateway: with sockets that are open already, and an ear for how it is.

use std::os::unix::net::UnixDatagram;
use std::process::Command;

use tollgate_tests::{Ask, Gateway, PATIENCE, binary, curl, free_port, python};

const ANSWER: &str =
    "routes: [{ match: '/{rest...}', respond: { status: 200, body: hello }, access: public }]";

/// What systemd would hear.
struct Ear(UnixDatagram);

impl Ear {
    fn in_folder(folder: &std::path::Path) -> Self {
        let socket = UnixDatagram::bind(folder.join("notify")).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(socket)
    }

    #[track_caller]
    fn expect(&self, first: &str) -> String {
        let mut text = [0; 500];
        let count = self.0.recv(&mut text).unwrap_or_else(|error| panic!("nothing was said: {error}"));
        let text = String::from_utf8_lossy(&text[..count]).into_owned();
        assert!(text.starts_with(first), "{text}");
        text
    }
}

/// The command that starts the gateway with these sockets.
fn activated(addresses: &[&str]) -> Command {
    let mut command = Command::new(python());
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/peers/systemd.py"));
    command.args(addresses).arg("--").arg(binary());
    command
}

#[test]
fn the_sockets_of_systemd_are_used_and_it_hears_how_the_gateway_is() {
    let folder = tempfile::tempdir().unwrap();
    let ear = Ear::in_folder(folder.path());
    let path = folder.path().join("web.sock");
    let [web, admin, other] = [free_port(), free_port(), free_port()].map(|port| format!("127.0.0.1:{port}"));
    let mut command = activated(&[&web, path.to_str().unwrap(), &admin, &other]);
    command.env("NOTIFY_SOCKET", folder.path().join("notify"));
    let config =
        format!("workers: 3\nlisteners: ['{web}', 'unix:{}']\nadmin: {admin}\n{ANSWER}", path.display());
    let mut gate = Gateway::start_in(folder, command, &config, &[]);
    ear.expect("READY=1\n");
    gate.expect_line(&format!("no listener has the address {other}"));
    let ask = |gate: &Gateway| {
        for _ in 0..20 {
            Ask::new(web.parse().unwrap(), "GET", "/").send().expect(200);
            assert_eq!(curl(&["--unix-socket", path.to_str().unwrap(), "http://a/"]).text(), "hello");
        }
        assert_eq!(gate.readiness()["status"], "ready");
    };
    ask(&gate);

    gate.hang_up();
    ear.expect("RELOADING=1\nMONOTONIC_USEC=");
    ear.expect("READY=1\n");

    // A reload that is asked for meanwhile waits, and is no longer for this process then.
    gate.upgrade();
    gate.expect_line("upgrading: started");
    gate.hang_up();
    let successor = gate.expect_successor(1);
    ear.expect(&format!("MAINPID={successor}\nREADY=1\n"));
    ear.expect("BARRIER=1");
    ask(&gate);
    assert_eq!(gate.expect_exit().code(), Some(0));
    ask(&gate);
    assert!(!gate.said().contains("kept the configuration"), "{}", gate.said());
    gate.signal_successor(successor, tollgate_tests::Sent::TERM);
    ear.expect("STOPPING=1\n");
    assert!(path.exists(), "the file is systemd's");
}

#[test]
fn sockets_that_are_for_another_process_are_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(binary());
    command.env("LISTEN_PID", "1").env("LISTEN_FDS", "1");
    let gate = Gateway::start_in(folder, command, ANSWER, &[]);
    gate.get("/").expect(200);
}
