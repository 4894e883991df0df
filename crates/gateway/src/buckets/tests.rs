//! The table beside textbook buckets of tokens, which count up where it keeps a time.
#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use proptest::prelude::*;

use super::*;

pub(crate) mod charges;
pub(crate) mod windows;

const SECOND: u64 = 1_000_000_000;

/// A bucket as books have it: a level that rises with time up to its capacity, and falls by one with each request. It is
/// counted in the parts of a token that come in a nanosecond, so that nothing is rounded.
#[derive(Clone)]
pub(crate) struct Textbook {
    capacity: u64,
    token: u64,
    level: u64,
    at: u64,
}

impl Textbook {
    fn new(interval: u64, burst: u64) -> Self {
        Self { capacity: burst * interval, token: interval, level: burst * interval, at: 0 }
    }

    fn admits(&mut self, now: u64) -> bool {
        self.level = self.capacity.min(self.level + (now - self.at));
        self.at = now;
        let has_token = self.level >= self.token;
        if has_token {
            self.level -= self.token;
        }
        has_token
    }
}

/// A token in so many microseconds.
fn pace(micros: u64, burst: u64) -> Rule {
    Rule::token_bucket(1, Duration::from_micros(micros), burst).unwrap()
}

/// Gaps between arrivals, in nanoseconds: none, about an interval of at most 5 ms, and long ones.
fn gaps() -> impl Strategy<Value = Vec<u64>> {
    let gap = prop_oneof![Just(0), 0..200_000_u64, 0..5_000_000_u64, 0..200_000_000_u64];
    prop::collection::vec(gap, 1..80)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_key_is_admitted_as_by_the_textbook(micros in 1..5000_u64, burst in 1..20_u64, gaps in gaps()) {
        let table = Buckets::with_sets(1);
        let (key, pace) = (table.key("a"), pace(micros, burst));
        let mut textbook = Textbook::new(micros * 1000, burst);
        let mut now = 0;
        for gap in gaps {
            now += gap;
            let expected = textbook.admits(now);
            prop_assert_eq!(table.look(key, pace, 1, now).is_ok(), expected);
            let taken = table.take(key, pace, 1, now);
            prop_assert_eq!(taken.is_ok(), expected);
            match taken {
                Ok(taken) => prop_assert_eq!(taken.left, textbook.level / textbook.token),
                Err(empty) => prop_assert_eq!(empty.wait, textbook.token - textbook.level),
            }
        }
    }

    #[test]
    fn keys_of_different_limits_do_not_disturb_each_other(
        limits in prop::collection::vec((1..5000_u64, 1..20_u64), 7),
        arrivals in prop::collection::vec((0..7_usize, 0..3_000_000_u64), 1..120),
    ) {
        let table = Buckets::with_sets(1);
        let paces: Vec<Rule> = limits.iter().map(|(micros, burst)| pace(*micros, *burst)).collect();
        let mut books: Vec<Textbook> =
            limits.iter().map(|(micros, burst)| Textbook::new(micros * 1000, *burst)).collect();
        let mut now = 0;
        for (who, gap) in arrivals {
            now += gap;
            let is_admitted = table.take(table.key(who), paces[who], 1, now).is_ok();
            prop_assert_eq!(is_admitted, books[who].admits(now));
        }
    }

    #[test]
    fn where_there_is_no_place_for_all_nobody_is_freer(
        arrivals in prop::collection::vec((0..30_u64, 0..400_000_u64), 1..200),
    ) {
        let table = Buckets::with_sets(1);
        let mut books = HashMap::new();
        let mut now = 0;
        for (who, gap) in arrivals {
            now += gap;
            let (micros, burst) = (500 + who * 100, 1 + who % 5);
            if table.take(table.key(who), pace(micros, burst), 1, now).is_ok() {
                let book = books.entry(who).or_insert_with(|| Textbook::new(micros * 1000, burst));
                prop_assert!(book.admits(now), "{} was let through at {}", who, now);
            }
        }
    }
}

#[test]
fn a_flood_of_keys_frees_nobody_and_takes_no_memory() {
    let table = Buckets::with_sets(64);
    let limited = table.key("limited");
    let pace = pace(1_000_000, 3);
    assert_eq!((0..10).filter(|_| table.take(limited, pace, 1, 0).is_ok()).count(), 3);
    let mut admitted = 0;
    for number in 0..100_000 {
        admitted += usize::from(table.take(table.key(number), pace, 1, 0).is_ok());
        assert!(number % 1000 > 0 || table.take(limited, pace, 1, 0).is_err());
    }
    // All that its places hold, and no more.
    assert_eq!(admitted, 64 * 7 * 3 - 3);
    // Afterwards everything is as before.
    assert!((0..100).all(|number| table.take(table.key(number), pace, 1, 4 * SECOND).is_ok()));
    assert_eq!((0..10).filter(|_| table.take(limited, pace, 1, 4 * SECOND).is_ok()).count(), 3);
}

#[test]
fn all_threads_together_take_what_one_may() {
    const THREADS: usize = 8;
    const STEPS: u64 = 2000;
    for round in 0..20 {
        let table = Buckets::with_sets(1);
        let (key, pace) = (table.key(round), pace(10, 50));
        // Its place is there: who comes while it is being taken may pay at two.
        assert!(table.take(key, pace, 1, 0).is_ok());
        let admitted = AtomicU64::new(1);
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    for step in 0..=STEPS {
                        while table.take(key, pace, 1, step * 1000).is_ok() {
                            admitted.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        // 50 at once, and one each ten microseconds.
        assert_eq!(admitted.into_inner(), 50 + STEPS / 10);
    }
}

#[test]
fn threads_with_many_keys_make_none_of_them_freer() {
    const KEYS: u64 = 40;
    let table = Buckets::with_sets(1);
    let pace = pace(1000, 5);
    let admitted: Vec<AtomicU64> = (0..KEYS).map(|_| AtomicU64::new(0)).collect();
    thread::scope(|scope| {
        for thread in 0..8 {
            let (table, admitted) = (&table, &admitted);
            scope.spawn(move || {
                for step in 0..40_000 {
                    let who = (step * 7 + thread * 11) % KEYS;
                    if table.take(table.key(who), pace, 1, 1).is_ok() {
                        admitted[who as usize].fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let admitted: Vec<u64> = admitted.into_iter().map(AtomicU64::into_inner).collect();
    assert!(admitted.iter().all(|count| *count <= 5), "{admitted:?}");
    // Who loses a place while it pays there pays at another too: there may be fewer.
    let sum: u64 = admitted.iter().sum();
    assert!((7..=7 * 5).contains(&sum), "{admitted:?}");
}

#[test]
fn a_token_can_be_put_back() {
    let table = Buckets::with_sets(1);
    let (key, pace) = (table.key("a"), pace(1_000_000, 1));
    let taken = table.take(key, pace, 1, SECOND).unwrap();
    assert!(table.look(key, pace, 1, SECOND).is_err());
    table.give_back(&taken);
    let taken = table.take(key, pace, 1, SECOND).unwrap();
    table.take(key, pace, 1, 2 * SECOND).unwrap();
    table.give_back(&taken);
    assert!(table.take(key, pace, 1, 2 * SECOND).is_err(), "somebody else's token was put back");
}

#[test]
fn tokens_taken_in_advance_can_be_put_back_and_no_more_than_there_were() {
    let table = Buckets::with_sets(1);
    let (key, pace) = (table.key("a"), Pace::new(1, Duration::from_secs(1), 10).unwrap());
    let rule = Rule::TokenBucket(pace);
    let put_back = |count| table.put_back(key, rule, (rule.returned(count), 0), SECOND);
    put_back(5);
    assert_eq!(table.take(key, rule, 8, SECOND).unwrap().left, 2);
    assert_eq!(table.take(key, rule, 1, SECOND).unwrap().left, 1);
    put_back(6);
    assert_eq!(table.take(key, rule, 1, SECOND).unwrap().left, 6);
    put_back(100);
    assert_eq!(table.take(key, rule, 1, SECOND).unwrap().left, 9);
    assert!(table.take(table.key("b"), rule, 10, SECOND).is_ok());
}

#[test]
fn other_numbers_find_what_was_used_up() {
    let table = Buckets::with_sets(1);
    let key = table.key("a");
    let (minute, slower) = (Rule::token_bucket(60, Duration::from_mins(1), 60).unwrap(), pace(10_000_000, 6));
    assert!((0..30).all(|_| table.take(key, minute, 1, 0).is_ok()));
    // Half of the bucket was used, and half of it is.
    assert_eq!((0..10).filter(|_| table.take(key, slower, 1, 0).is_ok()).count(), 3);
    // A day's worth is not held against who may have ten in a second.
    let key = table.key("b");
    let day = Rule::token_bucket(1000, Duration::from_hours(24), 1000).unwrap();
    assert!((0..1000).all(|_| table.take(key, day, 1, 0).is_ok()));
    let second = Rule::token_bucket(10, Duration::from_secs(1), 10).unwrap();
    let empty = table.take(key, second, 1, 0).unwrap_err();
    assert_eq!((empty.wait, empty.full_in), (SECOND / 10, SECOND));
    assert!(table.take(key, second, 1, SECOND / 10).is_ok());
}

#[test]
fn marks_of_days_leave_no_bucket_without_a_place() {
    let table = Buckets::with_sets(1);
    for who in 0..7 {
        table.mark(table.key(who), 86_400 * SECOND, 0);
    }
    let rule = Rule::token_bucket(10, Duration::from_secs(1), 10).unwrap();
    assert!((100..107).all(|who| table.take(table.key(who), rule, 10, SECOND).is_ok()));
}

#[test]
fn who_has_no_place_of_its_own_is_not_alone_nor_is_whoever_shares_one() {
    for count in [1, 100] {
        let table = Buckets::with_sets(1);
        let rule = Rule::sliding_window(count, Duration::from_mins(1)).unwrap();
        let keys: Vec<Key> = (0..8).map(|who| table.key(who)).collect();
        assert!(table.is_alone(keys[0], rule, SECOND), "nothing is counted yet");
        for (who, key) in keys[..7].iter().enumerate() {
            assert!(table.take(*key, rule, 1, SECOND).is_ok());
            // With the last of them there is no place left for what counted before.
            assert!(table.is_alone(*key, rule, SECOND) || who == 6);
        }
        let is_counted = table.take(keys[7], rule, 1, SECOND).is_ok();
        assert!(!table.is_alone(keys[7], rule, SECOND));
        // Whose count it is that the guest has added to is not known any more.
        assert!(!is_counted || keys[..7].iter().all(|key| !table.is_alone(*key, rule, SECOND)));
    }
}

#[test]
fn a_mark_lasts_for_its_time_and_falls_on_nobody_else() {
    let table = Buckets::with_sets(1);
    let keys: Vec<Key> = (0..8).map(|who| table.key(who)).collect();
    assert_eq!(table.marked_for(keys[0], 0), None);
    for key in &keys {
        table.mark(*key, SECOND, 1);
    }
    // There are seven places: the last found none.
    let marked: Vec<_> = keys.iter().map(|key| table.marked_for(*key, SECOND / 2)).collect();
    assert_eq!(marked, [[Some(SECOND / 2 + 1); 7].as_slice(), &[None]].concat());
    table.mark(keys[0], SECOND / 4, SECOND / 2);
    assert_eq!(table.marked_for(keys[0], SECOND), Some(1), "a shorter mark shortened a longer one");
    assert_eq!(table.marked_for(keys[0], SECOND + 1), None);
}

#[test]
fn ten_million_callers_take_no_more_memory_and_free_nobody() {
    const LIMITED: u64 = 1000;
    let table = Buckets::default();
    let rule = Rule::token_bucket(5, Duration::from_hours(1), 5).unwrap();
    table.reserve(rule);
    let key = |who: u64| Key(who.wrapping_mul(0x9e37_79b9_7f4a_7c15).max(1));
    let now = SECOND;
    for who in 0..LIMITED {
        while table.take(key(who), rule, 1, now).is_ok() {}
    }
    let admitted = (LIMITED..10_000_000).filter(|who| table.take(key(*who), rule, 1, now).is_ok()).count();
    let freed = (0..LIMITED).filter(|who| table.take(key(*who), rule, 1, now).is_ok()).count();
    assert_eq!(freed, 0);
    // All together may do no more than what all places hold.
    let places = 7 * SETS;
    assert!(admitted as u64 + 5 * LIMITED <= 5 * places as u64, "{admitted}");
    // 16 MiB, which is 18.3 bytes a place, and it does not grow.
    let bytes = size_of_val(table.table(rule.table()));
    assert_eq!((bytes, bytes * 10 / places), (16 << 20, 182));
}

#[test]
fn callers_have_keys_of_their_own() {
    let table = Buckets::with_sets(1);
    let long = [b'a'; 200];
    let mut keys = std::collections::HashSet::new();
    for place in [1, 2] {
        for way in [0, 1] {
            for length in [0, 1, 4, 16, 40, 41, 200] {
                let key = table.caller(place, way, &long[..length]);
                assert_eq!(key, table.caller(place, way, &long[..length]));
                assert!(keys.insert(key), "{place} {way} {length}");
            }
        }
    }
}
