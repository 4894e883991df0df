//! Where it is kept what was used: over ends of all kinds, and while the file cannot be written or is lost.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use tollgate_tests::{load_with, python};

use super::*;

#[test]
fn a_killed_gateway_forgets_what_it_counted_in_its_last_second_at_most() {
    let folder = tempfile::tempdir().unwrap();
    let config = kept(&folder, &daily(1_000_000_000, ""), "[{ match: /a, respond: 200 }]");
    let gate = gateway(&config);
    let load = load_with(gate.address(), 2, "/a", &[("X-API-Key", "mob.s")]);
    load.expect_more(100);
    // What was answered is known, and when: what is older than a second and a bit must be in the file.
    let mut marks = Vec::new();
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(4) {
        marks.push((Instant::now(), load.answered()));
        std::thread::park_timeout(Duration::from_millis(20));
    }
    load.expect_ending();
    let killed = Instant::now();
    drop(gate);
    let answered = load.stop().answered;
    let flushed = killed.checked_sub(Duration::from_millis(1500)).unwrap();
    let least = marks.iter().rev().find(|(at, _)| *at <= flushed).unwrap().1;
    let gate = gateway(&config);
    let restored = used(&gate, "mobile");
    assert!(restored >= least, "{restored} of {least}, of {answered} in all");
    // Those whose answers were cut off were counted too.
    assert!(restored <= answered + 4, "{restored} of {answered}");
    as_app(&gate, "mob", "/a").expect(200);
    assert_eq!(used(&gate, "mobile"), restored + 1);
}

#[test]
fn an_ordered_end_a_reload_and_an_upgrade_forget_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let config = |limit: u64, more: &str| kept(&folder, &daily(limit, more), "[{ match: /a, respond: 200 }]");
    let mut gate = gateway(config(9, ""));
    as_app(&gate, "mob", "/a").expect(200);
    as_app(&gate, "mob", "/a").expect(200);
    // Other numbers keep what was used.
    gate.expect_reload(|| gate.replace_config(&config(3, "")));
    as_app(&gate, "mob", "/a").expect(200);
    as_app(&gate, "mob", "/a").expect(429);
    gate.expect_reload(|| gate.replace_config(&config(6, ", soft: false")));
    gate.terminate();
    assert!(gate.expect_exit().success());

    let gate = gateway(config(6, ""));
    assert_eq!(used(&gate, "mobile"), 3);
    as_app(&gate, "mob", "/a").expect(200);
    eventually("it is written", || gate.metrics().sum("tollgate_store_writes_total", &[]) > 0.5);
    gate.upgrade();
    gate.expect_successor(1);
    // Some come to the process that goes, and others to the one that comes: each hears of the other's within a second.
    as_app(&gate, "mob", "/a").expect(200);
    as_app(&gate, "mob", "/a").expect(200);
    eventually("all is used up", || as_app(&gate, "mob", "/a").status == 429);
}

/// Somebody who holds the file of a store, so that nobody else writes to it.
fn hold(file: &Path) -> impl FnOnce() + use<> {
    let script = "import sqlite3, sys\n\
        held = sqlite3.connect(sys.argv[1], isolation_level=None)\n\
        held.execute('BEGIN IMMEDIATE')\nprint('held', flush=True)\nsys.stdin.readline()\nheld.execute('COMMIT')";
    let mut holder = Command::new(python());
    holder.args(["-c", script]).arg(file).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut holder = holder.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(holder.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "held\n");
    move || {
        writeln!(holder.stdin.take().unwrap()).unwrap();
        assert!(holder.wait().unwrap().success());
    }
}

#[test]
fn a_store_that_cannot_be_written_delays_nobody_and_nothing_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let config = kept(&folder, &daily(5, ""), "[{ match: /a, respond: 200 }]");
    let gate = gateway(&config);
    let release = hold(&folder.path().join("tollgate.db"));
    let began = Instant::now();
    for expected in [200, 200, 200, 200, 200, 429] {
        as_app(&gate, "mob", "/a").expect(expected);
    }
    assert!(began.elapsed() < Duration::from_secs(4), "requests do not wait for the store");
    gate.expect_line("cannot be written, what is used of quotas is counted on");
    assert!(gate.metrics().sum("tollgate_store_up", &[]) < 0.5);
    assert!(gate.metrics().sum("tollgate_store_failures_total", &[]) > 0.5);
    release();
    gate.expect_line("can be written again");
    assert!(gate.metrics().sum("tollgate_store_up", &[]) > 0.5);
    drop(gate);
    assert_eq!(used(&gateway(&config), "mobile"), 5);
}

/// How many accounts it has written to its store.
fn written(gate: &Gateway) -> f64 {
    gate.metrics().sum("tollgate_store_writes_total", &[])
}

/// Does something, and waits until all of these have written to their store because of it.
fn expect_writes(gates: &[Gateway], act: impl FnOnce()) {
    let before: Vec<f64> = gates.iter().map(written).collect();
    act();
    eventually("it is written", || {
        gates.iter().zip(&before).all(|(gate, before)| written(gate) > before + 0.5)
    });
}

#[test]
fn a_store_that_is_deleted_is_made_anew_with_all_that_is_known() {
    let folder = tempfile::tempdir().unwrap();
    let config = kept(&folder, &daily(100, ""), "[{ match: /a, respond: 200 }]");
    // As during an upgrade: two processes.
    let gates = [gateway(&config), gateway(&config)];
    let ask = || gates.iter().for_each(|gate| drop(as_app(gate, "mob", "/a").expect(200)));
    expect_writes(&gates, ask);
    for _ in 0..2 {
        expect_writes(&gates, || std::fs::remove_file(folder.path().join("tollgate.db")).unwrap());
        expect_writes(&gates, ask);
    }
    for gate in &gates {
        assert_eq!(gate.said().matches("was deleted, moved or replaced").count(), 2, "{}", gate.said());
        assert!(gate.metrics().sum("tollgate_store_up", &[]) > 0.5);
    }
    // Both are killed.
    drop(gates);
    assert_eq!(used(&gateway(&config), "mobile"), 6);
}

#[test]
fn a_store_whose_folder_is_gone_is_told_of_and_written_when_it_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let (data, aside) = (folder.path().join("data"), folder.path().join("aside"));
    std::fs::create_dir(&data).unwrap();
    let config = kept(&folder, &daily(100, ""), "[{ match: /a, respond: 200 }]");
    let config = config.replace("tollgate.db", "data/tollgate.db");
    let gates = [gateway(&config)];
    let gate = &gates[0];
    let ask = || drop(as_app(gate, "mob", "/a").expect(200));
    expect_writes(&gates, ask);
    std::fs::rename(&data, &aside).unwrap();
    let line = gate.expect_line("cannot be written");
    assert!(line.contains("No such file"), "{line}");
    ask();
    eventually("it is tried again", || gate.metrics().sum("tollgate_store_failures_total", &[]) > 1.5);
    assert!(gate.metrics().sum("tollgate_store_up", &[]) < 0.5);
    expect_writes(&gates, || std::fs::rename(&aside, &data).unwrap());
    gate.expect_line("can be written again");
    assert!(gate.metrics().sum("tollgate_store_up", &[]) > 0.5);
    let said = gate.said();
    assert_eq!(said.matches("the store").count(), 3, "each is told once: {said}");
    drop(gates);
    assert_eq!(used(&gateway(&config), "mobile"), 2);
}

#[test]
fn a_store_that_cannot_be_opened_is_told_of_and_a_reload_keeps_what_was() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("text.db"),
        "no database at all, but a text of some length ".repeat(40),
    )
    .unwrap();
    let good = kept(&folder, &daily(5, ""), "[{ match: /a, respond: 200 }]");
    let gate = gateway(&good);
    as_app(&gate, "mob", "/a").expect(200);
    gate.replace_config(&good.replace("tollgate.db", "text.db"));
    gate.expect_line("kept the configuration in force");
    gate.expect_line("file is not a database");
    as_app(&gate, "mob", "/a").expect(200);
    // To another file it takes along what it knows.
    gate.expect_reload(|| gate.replace_config(&good.replace("tollgate.db", "other.db")));
    as_app(&gate, "mob", "/a").expect(200);
    assert_eq!(used(&gate, "mobile"), 3);
}

#[test]
fn a_refused_configuration_leaves_the_store_of_the_one_in_force() {
    let folder = tempfile::tempdir().unwrap();
    let good = kept(&folder, &daily(9, ""), "[{ match: /a, respond: 200 }]");
    let gate = gateway(&good);
    as_app(&gate, "mob", "/a").expect(200);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listeners = format!(
        "listeners: [{{ address: '{}' }}, {{ address: '{}' }}]",
        gate.address(),
        taken.local_addr().unwrap()
    );
    let without = config("", "[{ match: /a, respond: 200 }]", &listeners);
    gate.replace_config(&without);
    gate.expect_line("kept the configuration in force");
    eventually("the first is written", || written(&gate) > 0.5);
    as_app(&gate, "mob", "/a").expect(200);
    eventually("the second is written", || written(&gate) > 1.5);
    drop(gate);
    assert_eq!(used(&gateway(&good), "mobile"), 2);
}
