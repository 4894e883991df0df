//! The table beside a plain account of what requests have cost in the end.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

/// What there is, and what has been taken of it, which may be more.
#[derive(Clone)]
pub(crate) enum Account {
    /// A level in nanoseconds' worth, that may be as far below nothing as it can be above.
    Tokens { token: i128, capacity: i128, level: i128, at: u64 },
    /// What was taken in each window.
    Windows { length: u64, count: u64, used: HashMap<u64, u64>, is_sliding: bool },
    /// When each of those came that matter still.
    Log { length: u64, count: u64, times: Vec<u64> },
}

impl Account {
    pub(crate) fn new(kind: usize, micros: u64, count: u64) -> (Rule, Self) {
        let (length, period) = (micros * 1000, Duration::from_micros(micros));
        let window = Window::new(count, period).unwrap();
        let windows = |is_sliding| Self::Windows { length, count, used: HashMap::new(), is_sliding };
        let (rule, account) = match kind {
            0 => (Rule::FixedWindow(window), windows(false)),
            1 => (Rule::SlidingCounter(window), windows(true)),
            2 => (Rule::SlidingLog(window), Self::Log { length, count, times: Vec::new() }),
            _ => {
                let (token, capacity) = (i128::from(length), i128::from(length * count));
                (pace(micros, count), Self::Tokens { token, capacity, level: capacity, at: 0 })
            }
        };
        (rule.with_debt(), account)
    }

    pub(crate) fn left(&mut self, now: u64) -> u64 {
        match self {
            Self::Tokens { token, capacity, level, at } => {
                *level = (*capacity).min(*level + i128::from(now - *at));
                *at = now;
                u64::try_from(*level / *token).unwrap_or(0)
            }
            Self::Windows { length, count, used, is_sliding } => {
                let of = |window: Option<u64>| {
                    i128::from(*window.and_then(|window| used.get(&window)).unwrap_or(&0))
                };
                let (window, part) = (now / *length, i128::from(*length));
                let before = if *is_sliding { of(window.checked_sub(1)) } else { 0 };
                let used = of(Some(window)) * part + before * (part - i128::from(now % *length));
                u64::try_from((i128::from(*count) * part - used) / part).unwrap_or(0)
            }
            Self::Log { length, count, times } => {
                *count - times.iter().filter(|time| **time + *length > now).count() as u64
            }
        }
    }

    pub(crate) fn take(&mut self, cost: u64, now: u64) -> bool {
        let has_enough = self.left(now) >= cost;
        if has_enough {
            match self {
                Self::Tokens { token, level, .. } => *level -= *token * i128::from(cost),
                Self::Windows { length, used, .. } => *used.entry(now / *length).or_default() += cost,
                Self::Log { times, .. } => times.extend((0..cost).map(|_| now)),
            }
        }
        has_enough
    }

    /// What cost so much then has cost another sum.
    pub(crate) fn charge(&mut self, (cost, then): (u64, u64), total: u64, now: u64) {
        self.left(now);
        match self {
            Self::Tokens { token, capacity, level, .. } => {
                let after = *level - (i128::from(total) - i128::from(cost)) * *token;
                *level = after.clamp((-*capacity).min(*level), *capacity);
            }
            Self::Windows { length, count, used, is_sliding } => {
                let window = now / *length;
                if total > cost {
                    let used = used.entry(window).or_default();
                    *used = (*used + (total - cost)).min(*count * 2).max(*used);
                } else if window == then / *length || (*is_sliding && window == then / *length + 1) {
                    let used = used.entry(then / *length).or_default();
                    *used = used.saturating_sub(cost - total);
                }
            }
            Self::Log { count, times, .. } => {
                times.extend((cost..total).take(*count as usize).map(|_| now));
                for _ in total..cost {
                    let place = times.iter().position(|time| *time == then);
                    place.map(|place| times.remove(place));
                }
                // Until the newest have gone the others make no room.
                times.drain(..times.len().saturating_sub(*count as usize));
            }
        }
    }
}

/// Has what took so much then cost so much in all, whatever has come by itself since.
fn charge(table: &Buckets, (key, rule): (Key, Rule), (cost, at): (u64, u64), total: u64, now: u64) {
    table.charge(key, rule, at, rule.difference(cost, total, u64::MAX, 0), now);
}

/// How is counted, as accounts know it, microseconds, and how many.
pub(crate) fn limits() -> impl Strategy<Value = (usize, u64, u64)> {
    let few = |most: u64| (1..=most).prop_flat_map(|count| (count..5000 + count, Just(count)));
    prop_oneof![
        3 => (prop_oneof![Just(0_usize), Just(1), Just(3)], few(40)),
        1 => (Just(2), few(LONGEST_LOG)),
    ]
    .prop_map(|(kind, (micros, count))| (kind, micros, count))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_answers_say_is_taken_or_put_back_as_in_an_account(
        (kind, micros, count) in limits(),
        start in 0..u64::MAX / 4,
        requests in prop::collection::vec((0..3_000_000_u64, 1..5_u64, 0..3_000_000_u64, prop_oneof![0..6_u64, 0..120_u64]), 1..60),
    ) {
        let table = Buckets::with_sets(64);
        let key = table.key("a");
        let (rule, mut account) = Account::new(kind, micros, count);
        let mut now = start;
        account.left(now);
        // Answers in the order in which they come.
        let mut answers: Vec<(u64, (u64, u64), u64)> = Vec::new();
        for (gap, cost, time, total) in requests {
            now += gap;
            answers.sort_by_key(|(at, ..)| *at);
            for (at, spent, total) in answers.extract_if(.., |(at, ..)| *at <= now) {
                account.charge(spent, total, at);
                charge(&table, (key, rule), spent, total, at);
                let (left, _) = table.standing(key, rule, at);
                prop_assert_eq!(left, account.left(at), "after a charge of {} at {}", total, at);
            }
            let cost = cost.min(count);
            prop_assert_eq!(table.look(key, rule, cost, now).is_ok(), account.left(now) >= cost);
            let expected = account.take(cost, now);
            match table.take(key, rule, cost, now) {
                Ok(taken) => {
                    prop_assert!(expected, "let through at {}", now);
                    prop_assert_eq!(taken.left, account.left(now));
                    answers.push((now + time, (cost, now), total));
                }
                Err(empty) => {
                    prop_assert!(!expected, "refused at {}", now);
                    prop_assert!(table.look(key, rule, cost, now + empty.wait).is_ok(), "too short");
                    prop_assert!(table.look(key, rule, cost, now + empty.wait - 1).is_err(), "too long");
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_comes_back_late_makes_nobody_freer_than_if_it_had_never_been_taken(
        (micros, count) in (1..5000_u64, 1..40_u64),
        (cost, total) in (1..40_u64, 0..40_u64),
        before in prop::collection::vec((0..20_000_000_u64, 1..5_u64), 0..20),
        after in prop::collection::vec((0..20_000_000_u64, 1..5_u64), 0..20),
    ) {
        let Rule::TokenBucket(pace) = pace(micros, count) else { unreachable!() };
        let (cost, mut now) = (cost.min(count), SECOND);
        let mut due = 0;
        for (gap, cost) in before {
            now += gap;
            due = pace.take(due, cost.min(count), now).unwrap_or(due);
        }
        now += pace.take(due, cost, now).map_or_else(|empty| empty.wait, |_| 0);
        // As it would be had the cost been known at first, and as it is.
        let (at, total) = (now, total.min(cost));
        let mut known = if total > 0 { pace.take(due, total, now).unwrap_or(due) } else { due };
        due = pace.take(due, cost, now).unwrap();
        let full_in = due - now;
        for (gap, cost) in after {
            now += gap;
            if let Ok(taken) = pace.take(due, cost.min(count), now) {
                due = taken;
                known = pace.take(known, cost.min(count), now).unwrap();
            }
        }
        let returned = match Rule::TokenBucket(pace).difference(cost, total, full_in, now - at) {
            Difference::More(more) => {
                prop_assert_eq!(more, 0);
                0
            }
            Difference::Less(returned) => returned.time,
        };
        prop_assert!(due.saturating_sub(returned).max(now) >= known.max(now));
        prop_assert!(returned <= (cost - total) * pace.interval());
    }
}

#[test]
fn a_debt_is_one_full_bucket_at_most_and_outlasts_a_minute() {
    let table = Buckets::with_sets(1);
    let key = table.key("a");
    let rule = Rule::token_bucket(1, Duration::from_mins(10), 3).unwrap().with_debt();
    let now = SECOND;
    table.take(key, rule, 1, now).unwrap();
    charge(&table, (key, rule), (1, now), u64::MAX, now);
    assert_eq!(table.standing(key, rule, now), (0, 3600 * SECOND));
    // Three tokens are owed, and the fourth is the first to be had.
    let empty = table.take(key, rule, 1, now).unwrap_err();
    assert_eq!((empty.wait, empty.full_in), (2400 * SECOND, 3600 * SECOND));
    assert!(table.take(key, rule, 1, now + 2400 * SECOND - 1).is_err());
    assert!(table.take(key, rule, 1, now + 2400 * SECOND).is_ok());
}

#[test]
fn nothing_is_put_back_where_callers_share_a_place() {
    let table = Buckets::with_sets(1);
    let rule = Rule::token_bucket(1, Duration::from_secs(1), 10).unwrap().with_debt();
    // Of eight in a set of seven one is a guest, of whom nobody knows what it owes.
    let keys: Vec<Key> = (0..8).map(|number| table.key(number)).collect();
    for key in &keys {
        table.take(*key, rule, 2, SECOND).unwrap();
    }
    for key in keys {
        let before = table.look(key, rule, 9, SECOND).is_ok();
        charge(&table, (key, rule), (2, SECOND), 0, SECOND);
        assert_eq!(table.look(key, rule, 9, SECOND).is_ok(), before);
    }
}

#[test]
fn all_that_workers_charge_and_put_back_at_once_is_counted() {
    let table = Buckets::with_sets(1);
    let key = table.key("a");
    let rule = Rule::token_bucket(1, Duration::from_mins(1), 100_000).unwrap().with_debt();
    // Its place is there: whoever comes while it is being taken is a guest, of whom nothing is put back.
    table.take(key, rule, 1, SECOND).unwrap();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for total in [1, 5, 0, 2].into_iter().cycle().take(4000) {
                    table.take(key, rule, 2, SECOND).unwrap();
                    charge(&table, (key, rule), (2, SECOND), total, SECOND);
                }
            });
        }
    });
    let left = 100_000 - 1 - 4 * 1000 * (1 + 5 + 2);
    assert!(table.look(key, rule, left, SECOND).is_ok());
    assert!(table.look(key, rule, left + 1, SECOND).is_err());
}

#[test]
fn a_few_requests_that_cost_more_hold_up_others_for_one_window_at_most() {
    let table = Buckets::with_sets(8);
    let key = table.key("a");
    let rule = Rule::sliding_window(3, Duration::from_mins(1)).unwrap().with_debt();
    let take = |now| table.take(key, rule, 1, now * SECOND);
    let charged = |at, total, now| {
        charge(&table, (key, rule), (1, at * SECOND), total, now * SECOND);
        table.standing(key, rule, now * SECOND)
    };
    assert!((1..=3).all(|now| take(now).is_ok()));
    // Two more: the first two make no room now when they are old enough.
    assert_eq!(charged(3, 3, 10), (0, 60 * SECOND));
    assert_eq!(take(10).unwrap_err().wait, 53 * SECOND);
    assert_eq!(take(63).unwrap().left, 0);
    assert_eq!(take(63).unwrap_err().wait, 7 * SECOND);
    assert_eq!(charged(63, u64::MAX, 64), (0, 60 * SECOND));
    assert_eq!(take(64).unwrap_err().wait, 60 * SECOND);
    // What was taken and not needed is there again, as far as it mattered still.
    assert!(take(124).is_ok());
    assert_eq!(charged(124, 0, 125), (3, 0));
    assert_eq!(charged(124, 0, 125), (3, 0));
}

#[test]
fn all_that_threads_owe_of_a_few_is_owed_and_never_more_than_all() {
    for round in 0..20 {
        let table = Buckets::with_sets(64);
        let key = table.key(round);
        let rule = Rule::sliding_window(16, Duration::from_mins(1)).unwrap().with_debt();
        // Their places are there: whoever comes while one is being taken is a guest.
        let all = table.take(key, rule, 16, SECOND).unwrap();
        table.give_back(&all);
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    for _ in 0..5 {
                        charge(&table, (key, rule), (0, SECOND), 1, SECOND);
                    }
                });
            }
        });
        assert!(table.look(key, rule, 1, SECOND).is_ok());
        assert!(table.look(key, rule, 2, SECOND).is_err());
    }
}

#[test]
fn an_answer_that_costs_nothing_leaves_a_bucket_as_it_was() {
    let (table, now) = (Buckets::with_sets(1), SECOND);
    let (key, rule) = (table.key("a"), Rule::token_bucket(1, Duration::from_mins(1), 1).unwrap().with_debt());
    for request in 0..5 {
        let at = now + request * SECOND / 10;
        let taken = table.take(key, rule, 1, at).unwrap();
        let later = at + SECOND / 20;
        let difference = rule.difference(1, 0, taken.full_in, later - at);
        table.charge(key, rule, at, difference, later);
        assert_eq!(table.standing(key, rule, later), (1, 0));
        assert_eq!(rule.after((taken.left, taken.full_in - (later - at)), difference), (1, 0));
    }
}
