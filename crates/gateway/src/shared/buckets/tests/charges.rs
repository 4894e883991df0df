//! What answers say that requests have cost, beside a plain account of it.

use crate::buckets::tests::charges::{Account, limits};

use super::*;

/// One request: microseconds since the one before, what it takes at first, when it is answered, and what it has cost then.
type Request = (u64, u64, u64, u64);

fn requests() -> impl Strategy<Value = Vec<Request>> {
    let total = prop_oneof![0..6_u64, 0..120_u64];
    prop::collection::vec((0..3000_u64, 1..5_u64, 0..3000_u64, total), 1..25)
}

#[test]
fn what_answers_say_is_taken_or_put_back_as_in_an_account() {
    let mut server = Server::start();
    let [take, give, owe] = [TAKE, GIVE, OWE].map(|script| server.load(script));
    let server = std::cell::RefCell::new(server);
    let number = std::cell::Cell::new(0);
    let mut runner = TestRunner::new(Config { cases: 3000, failure_persistence: None, ..Config::default() });
    runner
        .run(&(limits(), requests()), |((kind, micros, count), requests)| {
            number.set(number.get() + 1);
            let key = format!("charged-{}", number.get());
            let run = |script: &str, first: u64, wanted: Wanted, now: u64| {
                let answer = call(script, first, &[(&key, wanted)], now);
                numbers_of(&answer.query(&mut server.borrow_mut().connection).unwrap())
            };
            let (rule, mut account) = Account::new(kind, micros, count);
            let mut now = TODAY + number.get() * 7_654_321_000;
            account.left(now);
            // Answers in the order in which they come.
            let mut answers: Vec<(u64, (u64, u64), u64)> = Vec::new();
            for (gap, cost, time, total) in requests {
                now += gap * 1000;
                answers.sort_by_key(|(at, ..)| *at);
                for (at, (cost, then), total) in answers.extract_if(.., |(at, ..)| *at <= now) {
                    account.charge((cost, then), total, at);
                    if total > cost {
                        run(&owe, 0, wanted(rule, total - cost), at);
                    } else {
                        run(&give, then / 1000, wanted(rule, cost - total), at);
                    }
                }
                let cost = cost.min(count);
                let left = account.left(now);
                let is_admitted = account.take(cost, now);
                match without_time(run(&take, 1, wanted(rule, cost), now))[..] {
                    [0, rest, _] => {
                        prop_assert!(is_admitted, "let through at {} with {} left", now, left);
                        prop_assert_eq!(rest, account.left(now));
                        answers.push((now + time * 1000, (cost, now), total));
                    }
                    [1, wait, _] => {
                        prop_assert!(!is_admitted, "refused at {} with {} left", now, left);
                        prop_assert!(account.clone().left(now + wait) >= cost, "too short");
                        // The clock of Redis knows microseconds.
                        prop_assert!(account.clone().left(now + wait - wait.min(1000)) < cost, "too long");
                    }
                    ref other => prop_assert!(false, "{:?}", other),
                }
            }
            Ok(())
        })
        .unwrap();
}

#[test]
fn a_debt_is_one_full_bucket_at_most_in_redis_too() {
    let mut server = Server::start();
    let bucket = Rule::from(pace(1, 600, 3)).with_debt();
    assert_eq!(server.take("a", bucket, 1, TODAY), [0, 2, 600 * SECOND]);
    assert_eq!(server.run(OWE, 0, &[("a", wanted(bucket, u64::MAX))], TODAY), [1]);
    // Three tokens are owed, and the fourth is the first to be had.
    assert_eq!(server.take("a", bucket, 1, TODAY), [1, 2400 * SECOND, 3600 * SECOND]);
    // A gateway whose limit knows no debts waits as long, until nobody has made any for a minute.
    assert_eq!(server.take("a", pace(1, 600, 3), 1, TODAY), [1, 2400 * SECOND, 3600 * SECOND]);
    assert_eq!(server.take("a", pace(1, 600, 3), 1, TODAY + 61 * SECOND), [1, 600 * SECOND, 1800 * SECOND]);
}

#[test]
fn a_stricter_limit_that_owes_takes_nothing_from_what_a_looser_one_has_counted() {
    let mut server = Server::start();
    for (number, of) in [Rule::fixed_window, Rule::sliding_window].into_iter().enumerate() {
        for (loose, strict) in [(15, 4), (100, 20)] {
            let [loose, strict] = [loose, strict].map(|count| of(count, Duration::from_hours(24)).unwrap());
            let key = format!("{number}-{}", loose.quota());
            assert_eq!(server.take(&key, loose, loose.quota(), TODAY)[..2], [0, 0]);
            assert_eq!(server.run(OWE, 0, &[(&key, wanted(strict, 1))], TODAY + 1000), [1]);
            assert_eq!(server.take(&key, loose, 1, TODAY + 2000)[0], 1, "{loose:?}");
        }
    }
}
