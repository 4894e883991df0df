//! The scripts, run by a real Redis at times that the test says, beside the arithmetic of the limits that one gateway counts.
#![allow(clippy::unwrap_used)]

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use redis::{Connection, Value, cmd};
use tempfile::TempDir;

use super::*;
use crate::clock;

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

    fn run(&mut self, script: &str, keys: &[&str], numbers: &[u64], now: u64) -> Vec<u64> {
        // Its own clock is all that it would tell the time by, and forget buckets by.
        let mut told = script.to_owned();
        for (own, tests) in
            [("redis.call('TIME')", "{ ARGV[#ARGV - 1], ARGV[#ARGV] }"), ("/ 1e6) + 1", "/ 1e6) + 1e8")]
        {
            assert_eq!(told.matches(own).count(), 1, "{own}");
            told = told.replace(own, tests);
        }
        let mut command = cmd("EVAL");
        command.arg(told).arg(keys.len()).arg(keys).arg(numbers);
        command.arg(now / SECOND).arg(now % SECOND / 1000);
        match command.query(&mut self.connection).unwrap() {
            Value::Array(items) => {
                items.iter().map(|item| redis::from_redis_value_ref(item).unwrap()).collect()
            }
            other => vec![redis::from_redis_value(other).unwrap()],
        }
    }

    fn take(&mut self, key: &str, pace: Pace, tokens: u64, now: u64) -> Vec<u64> {
        self.run(TAKE, &[key], &[tokens, pace.interval(), pace.span()], now)
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
                let found = server.borrow_mut().take(&key, pace, 1, now);
                let expected = match pace.take(due, 1, now) {
                    Ok(after) => {
                        due = after;
                        vec![0, 1, after - now]
                    }
                    Err(Empty { wait, full_in }) => vec![1, wait, full_in],
                };
                prop_assert_eq!(found, expected);
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
        let expected = match pace.take(due, 1, now) {
            Ok(after) => {
                due = after;
                vec![0, 1, after - now]
            }
            Err(Empty { wait, full_in }) => vec![1, wait, full_in],
        };
        assert_eq!(server.take("long", pace, 1, now), expected, "{request}");
        now += 7_654_321_000 * (request % 5);
    }
}

#[test]
fn of_several_buckets_all_are_charged_or_none() {
    let mut server = Server::start();
    let (one, other) = (pace(10, 1, 10), pace(1, 1, 2));
    let mut both = |now| {
        let numbers = [1, one.interval(), one.span(), other.interval(), other.span()];
        server.run(TAKE, &["one", "other"], &numbers, now)
    };
    assert_eq!(both(TODAY), [0, 1, SECOND / 10, SECOND]);
    assert_eq!(both(TODAY), [0, 1, SECOND / 5, 2 * SECOND]);
    for _ in 0..3 {
        assert_eq!(both(TODAY), [2, SECOND, 2 * SECOND]);
    }
    assert_eq!(server.take("one", one, 1, TODAY), [0, 1, 3 * SECOND / 10]);
}

#[test]
fn a_lease_gets_what_there_is_and_what_it_gives_back_is_there_again() {
    let mut server = Server::start();
    let pace = pace(10, 1, 10);
    assert_eq!(server.take("a", pace, 7, TODAY), [0, 7, 7 * SECOND / 10]);
    assert_eq!(server.take("a", pace, 7, TODAY), [0, 3, SECOND]);
    assert_eq!(server.take("a", pace, 7, TODAY), [1, SECOND / 10, SECOND]);
    let interval = pace.interval();
    assert_eq!(server.run(GIVE, &["a"], &[4, interval], TODAY), [1]);
    assert_eq!(server.take("a", pace, 7, TODAY), [0, 4, SECOND]);
    // Never more than a full bucket, nor of one that nobody knows.
    assert_eq!(server.run(GIVE, &["a", "b"], &[40, interval, 1, interval], TODAY), [2]);
    assert_eq!(server.take("a", pace, 99, TODAY), [0, 10, SECOND]);
    assert_eq!(server.take("b", pace, 99, TODAY), [0, 10, SECOND]);
}

#[test]
fn a_stricter_limit_finds_a_bucket_that_is_just_empty_and_a_clock_set_back_none_that_is_worse() {
    let mut server = Server::start();
    let (loose, strict) = (pace(1, 1, 100), pace(10, 1, 10));
    assert_eq!(server.take("a", loose, 100, TODAY), [0, 100, 100 * SECOND]);
    assert_eq!(server.take("a", strict, 1, TODAY), [1, SECOND / 10, SECOND]);
    assert_eq!(server.take("b", strict, 10, TODAY), [0, 10, SECOND]);
    assert_eq!(server.take("b", strict, 1, TODAY - 3600 * SECOND), [1, SECOND / 10, SECOND]);
}

#[test]
fn answers_that_are_none_are_not_believed() {
    let of = [(Name { digest: [0; 16], slot: 0 }, pace(1, 1, 1))];
    let read = |numbers: &[i64]| {
        Verdict::read(&Value::Array(numbers.iter().copied().map(Value::Int).collect()), &of)
    };
    assert_eq!(read(&[0, 1, 5]), Some(Verdict::Taken(1, vec![5])));
    assert_eq!(read(&[1, 2, 3]), Some(Verdict::Empty(0, Empty { wait: 2, full_in: 3 })));
    for wrong in [&[][..], &[0], &[0, 1], &[0, 1, 2, 3], &[1, 2], &[2, 2, 3], &[-1, 2, 3], &[0, 1, -2]] {
        assert_eq!(read(wrong), None, "{wrong:?}");
    }
    assert_eq!(Verdict::read(&Value::Nil, &of), None);
}
