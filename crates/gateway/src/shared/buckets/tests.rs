//! The scripts, run by a real Redis at times that the test says, beside the arithmetic of the limits that one gateway counts.
#![allow(clippy::unwrap_used)]

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use redis::{Connection, Value, cmd};
use tempfile::TempDir;

use super::*;
use crate::buckets::Pace;
use crate::clock;

mod charges;
mod models;

const SECOND: u64 = 1_000_000_000;
/// Some day in 2026, in nanoseconds.
const TODAY: u64 = 1_790_000_000 * SECOND;

/// A Redis of the test's own.
struct Server {
    process: Child,
    _folder: TempDir,
    connection: Connection,
}

impl Server {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("socket");
        let mut command = Command::new("redis-server");
        command.args(["--port", "0", "--save", "", "--dir"]).arg(folder.path());
        command.arg("--unixsocket").arg(&socket).stdin(Stdio::null()).stdout(Stdio::null());
        let process = command.spawn().expect("this test needs redis-server; tests/install.sh installs it");
        let client = redis::Client::open(format!("unix:{}", socket.display())).unwrap();
        let began = clock::refresh();
        let connection = loop {
            match client.get_connection() {
                Ok(connection) => break connection,
                Err(error) => assert!(clock::refresh() - began < Duration::from_secs(20), "{error}"),
            }
            std::thread::yield_now();
        };
        Self { process, _folder: folder, connection }
    }

    /// A script that is told the time, after the numbers that it has anyway.
    fn load(&mut self, script: &str) -> String {
        // Its own clock is all that it would tell the time by, and forget limits by.
        let mut told = script.to_owned();
        for (own, tests) in
            [("redis.call('TIME')", "{ ARGV[#ARGV - 1], ARGV[#ARGV] }"), ("/ 1e3) + 1", "/ 1e3) + 1e8")]
        {
            assert_eq!(told.matches(own).count(), 1, "{own}");
            told = told.replace(own, tests);
        }
        cmd("SCRIPT").arg("LOAD").arg(told).query(&mut self.connection).unwrap()
    }

    fn run(&mut self, script: &str, first: u64, wanted: &[(&str, Wanted)], now: u64) -> Vec<u64> {
        let digest = self.load(script);
        numbers_of(&call(&digest, first, wanted, now).query(&mut self.connection).unwrap())
    }

    /// Takes by the script that a gateway would have run.
    fn ask(&mut self, requests: u64, of: &[(&str, Wanted)], now: u64) -> Vec<u64> {
        let has_no_windows = are_buckets(of.iter().map(|(_, wanted)| wanted.rule));
        self.run(if has_no_windows { TAKE_TOKENS } else { TAKE }, requests, of, now)
    }

    /// Takes so much of one limit, and says what it says but for the time.
    fn take(&mut self, key: &str, rule: impl Into<Rule>, cost: u64, now: u64) -> Vec<u64> {
        without_time(self.ask(1, &[(key, wanted(rule, cost))], now))
    }

    /// Takes up to so many tokens for a lease, and says how many, and in how many nanoseconds the bucket is full.
    fn lease(&mut self, key: &str, pace: Pace, tokens: u64, now: u64) -> Vec<u64> {
        match self.ask(tokens, &[(key, wanted(pace, 1))], now)[..] {
            [0, _, tokens, _, full_in] => vec![0, tokens, full_in],
            ref refused => refused.to_vec(),
        }
    }

    fn give(&mut self, key: &str, rule: impl Into<Rule>, cost: u64, at: u64, now: u64) {
        assert_eq!(self.run(GIVE, at, &[(key, wanted(rule, cost))], now), [1]);
    }
}

/// A script's call at a time.
fn call(digest: &str, first: u64, of: &[(&str, Wanted)], now: u64) -> redis::Cmd {
    let mut command = cmd("EVALSHA");
    command.arg(digest).arg(of.len());
    for (key, _) in of {
        command.arg(key);
    }
    command.arg(first);
    for (_, wanted) in of {
        command.arg(&wanted.numbers()[..]);
    }
    command.arg(now / SECOND).arg(now % SECOND / 1000);
    command
}

fn numbers_of(answer: &Value) -> Vec<u64> {
    match answer {
        Value::Array(items) => items.iter().map(|item| redis::from_redis_value_ref(item).unwrap()).collect(),
        other => vec![redis::from_redis_value_ref(other).unwrap()],
    }
}

/// Nought, what is left and when all is; or a refusal.
fn without_time(answer: Vec<u64>) -> Vec<u64> {
    match answer[..] {
        [0, _, 1, ref rest @ ..] => [&[0], rest].concat(),
        _ => answer,
    }
}

fn wanted(rule: impl Into<Rule>, cost: u64) -> Wanted {
    Wanted { name: Name { digest: [0; 16], slot: 0 }, rule: rule.into(), cost }
}

impl From<Pace> for Rule {
    fn from(pace: Pace) -> Self {
        Self::TokenBucket(pace)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn pace(count: u64, seconds: u64, burst: u64) -> Pace {
    Pace::new(count, Duration::from_secs(seconds), burst).unwrap()
}

fn paces() -> impl Strategy<Value = Pace> {
    let periods = prop_oneof![Just(1_u64), Just(60), Just(3600), Just(86_400)];
    (1..=1_000_000_u64, periods, 1..=1000_u64).prop_filter_map("it is too long", |(count, period, burst)| {
        Pace::new(count, Duration::from_secs(period), burst)
            .filter(|pace| pace.span() <= 100 * 86_400 * SECOND)
    })
}

/// What a gateway makes of a bucket of its own that is full at `due`.
fn as_here(pace: Pace, due: &mut u64, cost: u64, now: u64) -> Vec<u64> {
    match pace.take(*due, cost, now) {
        Ok(after) => {
            *due = after;
            vec![0, pace.left(after, now), after - now]
        }
        Err(Empty { wait, full_in }) => vec![1, wait, full_in],
    }
}

#[test]
fn redis_decides_to_the_nanosecond_what_a_gateway_would() {
    let mut server = Server::start();
    let mut runner = TestRunner::new(Config { cases: 300, failure_persistence: None, ..Config::default() });
    let number = std::cell::Cell::new(0);
    // Steps are parts of the time between two tokens, in thousandths: requests come at once, too fast, or after a pause.
    let steps = prop::collection::vec(prop_oneof![3 => Just(0), 4 => 1..1500_u64, 1 => 5000..50_000_u64], 40);
    let server = std::cell::RefCell::new(&mut server);
    runner
        .run(&(paces(), steps), |(pace, steps)| {
            number.set(number.get() + 1);
            let key = format!("bucket-{}", number.get());
            let (mut now, mut due) = (TODAY + number.get() * 1_234_567_000, 0);
            for step in steps {
                // The clock of Redis knows microseconds.
                now += pace.interval().saturating_mul(step).min(100 * SECOND * 1000) / 1000 / 1000 * 1000;
                let cost = 1 + step % pace.burst().min(7);
                let found = server.borrow_mut().take(&key, pace, cost, now);
                prop_assert_eq!(found, as_here(pace, &mut due, cost, now));
            }
            Ok(())
        })
        .unwrap();
}

#[test]
fn the_longest_of_them_are_exact_too() {
    let mut server = Server::start();
    let pace = pace(7, 86_400, 700);
    let (mut now, mut due) = (TODAY + 999_999_000, 0);
    for request in 0..1500_u64 {
        let expected = as_here(pace, &mut due, 1, now);
        assert_eq!(server.take("long", pace, 1, now), expected, "{request}");
        now += 7_654_321_000 * (request % 5);
    }
}

#[test]
fn of_several_limits_all_are_charged_or_none() {
    let mut server = Server::start();
    let (one, other) = (pace(10, 1, 10), Rule::fixed_window(3, Duration::from_secs(1)).unwrap());
    let mut both = |costs: [u64; 2]| {
        let of = [("one", wanted(one, costs[0])), ("other", wanted(other, costs[1]))];
        server.ask(1, &of, TODAY)
    };
    assert_eq!(both([2, 1]), [0, TODAY / 1000, 1, 8, SECOND / 5, 2, SECOND]);
    for _ in 0..3 {
        assert_eq!(both([2, 3]), [2, SECOND, SECOND]);
        assert_eq!(both([9, 2]), [1, SECOND / 10, SECOND / 5]);
    }
    assert_eq!(both([8, 2]), [0, TODAY / 1000, 1, 0, SECOND, 0, SECOND]);
}

#[test]
fn a_lease_gets_what_there_is_and_what_it_gives_back_is_there_again() {
    let mut server = Server::start();
    let pace = pace(10, 1, 10);
    assert_eq!(server.lease("a", pace, 7, TODAY), [0, 7, 7 * SECOND / 10]);
    assert_eq!(server.lease("a", pace, 7, TODAY), [0, 3, SECOND]);
    assert_eq!(server.lease("a", pace, 7, TODAY), [1, SECOND / 10, SECOND]);
    server.give("a", pace, 4, 0, TODAY);
    assert_eq!(server.lease("a", pace, 7, TODAY), [0, 4, SECOND]);
    // Never more than a full bucket, nor of one that nobody knows.
    for key in ["a", "b"] {
        server.give(key, pace, 40, 0, TODAY);
        assert_eq!(server.lease(key, pace, 99, TODAY), [0, 10, SECOND]);
    }
}

#[test]
fn a_stricter_limit_finds_a_bucket_that_is_just_empty() {
    let mut server = Server::start();
    let (loose, strict) = (pace(1, 1, 100), pace(10, 1, 10));
    assert_eq!(server.take("a", loose, 100, TODAY), [0, 0, 100 * SECOND]);
    let (wait, minute) = (99 * SECOND + SECOND / 10, 60 * SECOND);
    // As long as it is in use by the looser one, it is as empty as that has left it.
    assert_eq!(server.take("a", strict, 1, TODAY), [1, wait, 100 * SECOND]);
    assert_eq!(server.take("a", loose, 1, TODAY + SECOND), [0, 0, 100 * SECOND]);
    assert_eq!(server.take("a", strict, 1, TODAY + SECOND + minute), [1, wait - minute, 40 * SECOND]);
    // When nobody has used it for a minute, it is just as empty as the stricter one may leave it.
    assert_eq!(server.take("a", strict, 1, TODAY + 2 * SECOND + minute), [1, SECOND / 10, SECOND]);
    assert_eq!(server.take("a", strict, 1, TODAY + 3 * SECOND + minute), [0, 9, SECOND / 10]);
}

#[test]
fn a_clock_that_is_set_back_makes_nobody_wait_for_it() {
    let mut server = Server::start();
    let (bucket, hour) = (pace(10, 1, 10), 3600 * SECOND);
    assert_eq!(server.take("a", bucket, 10, TODAY), [0, 0, SECOND]);
    assert_eq!(server.take("a", bucket, 1, TODAY - hour), [1, SECOND / 10, SECOND]);
    assert_eq!(server.take("a", bucket, 1, TODAY - hour + SECOND / 10), [0, 0, SECOND]);
    // Nor does it free one whom a looser limit has let come more often.
    assert_eq!(server.take("b", pace(1, 1, 1000), 1000, TODAY)[..2], [0, 0]);
    (0..3).for_each(|_| assert_eq!(server.take("b", bucket, 1, TODAY - hour)[0], 1));
    assert_eq!(server.take("b", pace(1, 1, 1000), 1, TODAY - hour), [1, SECOND, 1000 * SECOND]);
    let minute = Duration::from_mins(1);
    for rule in
        [Rule::fixed_window(5, minute), Rule::sliding_window(5, minute), Rule::sliding_window(20, minute)]
    {
        let rule = rule.unwrap();
        let (key, quota) = (format!("{rule:?}"), rule.quota());
        let turn = TODAY - TODAY % (60 * SECOND);
        assert_eq!(server.take(&key, rule, quota, turn + 1000)[..2], [0, 0], "{rule:?}");
        // A little: what has come still counts.
        assert_eq!(server.take(&key, rule, 1, turn - 1000)[0], 1, "{rule:?}");
        assert_eq!(server.take(&key, rule, 1, turn - hour)[..2], [0, quota - 1], "{rule:?}");
    }
}

#[test]
fn answers_that_are_none_are_not_believed() {
    let read =
        |numbers: &[i64]| Verdict::read(&Value::Array(numbers.iter().copied().map(Value::Int).collect()), 1);
    let granted = Granted { requests: 1, rest: vec![Some(Rest { at: 7, left: 4, full_in: 5 })] };
    assert_eq!(read(&[0, 7, 1, 4, 5]), Some(Verdict::Granted(granted)));
    assert_eq!(read(&[1, 2, 3]), Some(Verdict::Empty(0, Empty { wait: 2, full_in: 3 })));
    for wrong in [
        &[][..],
        &[0],
        &[0, 1],
        &[0, 1, 2],
        &[0, 1, 2, 3],
        &[1, 2],
        &[2, 2, 3],
        &[-1, 2, 3],
        &[0, 7, 1, 4, -5],
    ] {
        assert_eq!(read(wrong), None, "{wrong:?}");
    }
    assert_eq!(Verdict::read(&Value::Nil, 1), None);
}
