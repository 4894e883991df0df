//! The table beside models of windows, which remember every request that was let through.

use std::collections::{HashMap, VecDeque};

use proptest::prelude::*;

use super::*;

/// What has been let through, and the rule in the words of a textbook.
#[derive(Clone)]
pub(crate) enum Model {
    Tokens(Textbook),
    /// How many came in each window.
    Fixed {
        length: u64,
        count: u64,
        windows: HashMap<u64, u64>,
    },
    /// When each came.
    Log {
        length: u64,
        count: u64,
        times: Vec<u64>,
    },
    /// How many came in each window, of which the one before counts by its share.
    Counter {
        length: u64,
        count: u64,
        windows: HashMap<u64, u64>,
    },
}

impl Model {
    /// A window of so many microseconds, beside its rule.
    pub(crate) fn new(kind: usize, micros: u64, count: u64) -> (Rule, Self) {
        let (length, period) = (micros * 1000, Duration::from_micros(micros));
        let window = Window::new(count, period).unwrap();
        match kind {
            0 => (Rule::FixedWindow(window), Self::Fixed { length, count, windows: HashMap::new() }),
            1 => (Rule::SlidingLog(window), Self::Log { length, count, times: Vec::new() }),
            2 => (Rule::SlidingCounter(window), Self::Counter { length, count, windows: HashMap::new() }),
            _ => (pace(micros, count), Self::Tokens(Textbook::new(length, count))),
        }
    }

    pub(crate) fn would_admit(&self, cost: u64, now: u64) -> bool {
        self.left(now) >= cost
    }

    /// Requests that may come at once.
    pub(crate) fn left(&self, now: u64) -> u64 {
        match self {
            Self::Tokens(book) => book.clone().level_at(now) / book.token,
            Self::Fixed { length, count, windows } => count - windows.get(&(now / length)).unwrap_or(&0),
            Self::Log { length, count, times } => {
                count - times.iter().filter(|time| **time + length > now).count() as u64
            }
            Self::Counter { length, count, windows } => {
                let of = |window: Option<u64>| {
                    u128::from(*window.and_then(|window| windows.get(&window)).unwrap_or(&0))
                };
                let window = now / length;
                let (current, before) = (of(Some(window)), of(window.checked_sub(1)));
                // In parts of a request, of which there are as many as the window has nanoseconds.
                let part = u128::from(*length);
                let used = current * part + before * (part - u128::from(now % length));
                ((u128::from(*count) * part).saturating_sub(used) / part) as u64
            }
        }
    }

    pub(crate) fn admits(&mut self, cost: u64, now: u64) -> bool {
        let is_admitted = self.would_admit(cost, now);
        if is_admitted {
            match self {
                Self::Tokens(book) => book.level = book.level_at(now) - cost * book.token,
                Self::Log { times, .. } => times.extend((0..cost).map(|_| now)),
                Self::Fixed { length, windows, .. } | Self::Counter { length, windows, .. } => {
                    *windows.entry(now / *length).or_default() += cost;
                }
            }
        }
        is_admitted
    }

    /// Forgets so much of what was let through then.
    pub(crate) fn forget(&mut self, cost: u64, then: u64, now: u64) {
        match self {
            Self::Tokens(book) => {
                book.level = book.capacity.min(book.level_at(now) + cost * book.token);
            }
            Self::Log { times, .. } => {
                for _ in 0..cost {
                    let place = times.iter().position(|time| *time == then);
                    place.map(|place| times.remove(place));
                }
            }
            Self::Fixed { length, windows, .. } | Self::Counter { length, windows, .. } => {
                let window = then / *length;
                let used = windows.remove(&window).unwrap_or(0);
                if used > cost {
                    windows.insert(window, used - cost);
                }
            }
        }
    }

    /// When as much is left as if nobody had ever come, at the earliest.
    pub(crate) fn full_at(&self, now: u64) -> u64 {
        match self {
            Self::Tokens(book) => now + (book.capacity - book.clone().level_at(now)),
            Self::Fixed { length, .. } => (now / length + 1) * length,
            Self::Log { length, times, .. } => times.iter().max().map_or(now, |last| last + length),
            Self::Counter { length, windows, .. } => {
                windows.keys().max().map_or(now, |last| (last + 2) * length)
            }
        }
    }
}

impl Textbook {
    fn level_at(&mut self, now: u64) -> u64 {
        self.level = self.capacity.min(self.level + (now - self.at));
        self.at = now;
        self.level
    }
}

/// A window's length in microseconds and its count: a request at least each microsecond.
fn windows(most: u64) -> impl Strategy<Value = (u64, u64)> {
    (1..=most).prop_flat_map(|count| (count..5000 + count, Just(count)))
}

/// Gaps between arrivals, and what they cost, of which only so much is used as there may be.
fn costly() -> impl Strategy<Value = Vec<(u64, u64)>> {
    gaps().prop_flat_map(|gaps| {
        let costs = prop_oneof![Just(0), 0..4_u64, any::<u64>()];
        prop_oneof![Just(0), Just(1)].prop_flat_map(move |unit| {
            let costs = prop::collection::vec(costs.clone().prop_map(move |cost| cost * unit), gaps.len());
            (Just(gaps.clone()), costs).prop_map(|(gaps, costs)| gaps.into_iter().zip(costs).collect())
        })
    })
}

fn agrees(
    kind: usize,
    (micros, count): (u64, u64),
    start: u64,
    arrivals: Vec<(u64, u64)>,
) -> Result<(), TestCaseError> {
    let table = Buckets::with_sets(64);
    let key = table.key("a");
    let (rule, mut model) = Model::new(kind, micros, count);
    let mut now = start;
    for (gap, cost) in arrivals {
        now += gap;
        let cost = 1 + cost % count;
        prop_assert_eq!(table.look(key, rule, cost, now).is_ok(), model.would_admit(cost, now));
        let expected = model.admits(cost, now);
        match table.take(key, rule, cost, now) {
            Ok(taken) => {
                prop_assert!(expected, "let through at {}", now);
                prop_assert_eq!(taken.left, model.left(now));
                prop_assert_eq!(now + taken.full_in, model.full_at(now));
            }
            Err(empty) => {
                prop_assert!(!expected, "refused at {}", now);
                prop_assert!(empty.wait > 0 && model.would_admit(cost, now + empty.wait), "too short");
                prop_assert!(!model.would_admit(cost, now + empty.wait - 1), "too long");
                prop_assert_eq!(now + empty.full_in, model.full_at(now));
            }
        }
        prop_assert_eq!(table.look(key, rule, 1, now).is_ok(), model.would_admit(1, now));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_bucket_admits_as_the_textbook_says_whatever_requests_cost(
        window in windows(40), start in 0..u64::MAX / 4, arrivals in costly(),
    ) {
        agrees(3, window, start, arrivals)?;
    }

    #[test]
    fn a_fixed_window_admits_as_a_map_of_counts(window in windows(40), start in 0..u64::MAX / 4, arrivals in costly()) {
        agrees(0, window, start, arrivals)?;
    }

    #[test]
    fn a_sliding_log_admits_as_a_list_of_times(
        window in windows(LONGEST_LOG), start in 0..u64::MAX / 4, arrivals in costly(),
    ) {
        agrees(1, window, start, arrivals)?;
    }

    #[test]
    fn a_sliding_counter_admits_as_fractions_say(window in windows(60), start in 0..u64::MAX / 4, arrivals in costly()) {
        agrees(2, window, start, arrivals)?;
    }

    #[test]
    fn a_sliding_counter_lets_at_most_as_much_more_through_as_is_said(
        window in windows(60), gaps in gaps(), from in 0..80_usize,
    ) {
        let (rule, mut model) = Model::new(2, window.0, window.1);
        let table = Buckets::with_sets(64);
        let key = table.key("a");
        let mut now = 0;
        let mut admitted = Vec::new();
        for gap in gaps {
            now += gap;
            if table.take(key, rule, 1, now).is_ok() {
                admitted.push(now);
            }
        }
        // In a stretch of time, one count and its share of another.
        let (length, count) = (rule.span(), rule.quota());
        let from = from % admitted.len();
        for (number, at) in admitted[from..].iter().enumerate() {
            let stretch = at - admitted[from];
            if stretch < length {
                let most = count + count * stretch / length;
                prop_assert!((number as u64) < most, "{} in {} ns", number + 1, stretch);
            }
        }
        prop_assert!(admitted.iter().all(|at| model.admits(1, *at)));
    }

    #[test]
    fn where_there_is_no_place_for_all_nobody_is_freer_by_any_rule(
        sets in 1..4_usize,
        arrivals in prop::collection::vec((0..40_u64, 0..400_000_u64, prop_oneof![Just(0), 0..7_u64]), 1..300),
    ) {
        let table = Buckets::with_sets(sets);
        let mut models = HashMap::new();
        let mut now = SECOND;
        for (who, gap, cost) in arrivals {
            now += gap;
            let new = || Model::new(who as usize % 4, 500 + who * 100, 1 + who % 7);
            let (rule, model) = models.entry(who).or_insert_with(new);
            let cost = 1 + cost % rule.quota();
            if table.take(table.key(who), *rule, cost, now).is_ok() {
                prop_assert!(model.admits(cost, now), "{} was let through at {}", who, now);
            }
        }
    }
}

/// A rule of each kind, for the same limit.
fn each(count: u64, period: Duration) -> [Rule; 3] {
    let window = Window::new(count, period).unwrap();
    [Rule::FixedWindow(window), Rule::SlidingLog(window), Rule::SlidingCounter(window)]
}

/// Requests that are let through at once, up to some.
fn at_once(table: &Buckets, key: Key, rule: Rule, now: u64) -> usize {
    (0..1000).take_while(|_| table.take(key, rule, 1, now).is_ok()).count()
}

const MINUTE: u64 = 60 * SECOND;

#[test]
fn windows_are_those_of_the_clock_on_the_wall() {
    let table = Buckets::default();
    let unix = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
    let (before, now, after) = (unix(), u128::from(table.now()), unix());
    assert!((before - u128::from(SECOND)..after + u128::from(SECOND)).contains(&now), "{now}");
    let key = table.key("a");
    let [rule, ..] = each(5, Duration::from_mins(1));
    assert_eq!(at_once(&table, key, rule, 10 * MINUTE - 1), 5);
    let empty = table.take(key, rule, 1, 10 * MINUTE - 1).unwrap_err();
    assert_eq!((empty.wait, empty.full_in), (1, 1));
    assert_eq!(at_once(&table, key, rule, 10 * MINUTE), 5);
}

/// Lengths of time between requests that come at random, so many in a second.
fn at_random(rate: f64) -> impl Iterator<Item = u64> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let share = (state >> 11) as f64 / (1_u64 << 53) as f64;
        (-(1.0 - share).ln() / rate * SECOND as f64) as u64
    })
}

#[test]
fn the_error_of_two_counts_is_as_documented() {
    for (count, least, most, most_in_a_second) in
        [(20, 0.96, 1.01, 1.45), (100, 0.99, 1.011, 1.2), (1000, 0.995, 1.005, 1.06)]
    {
        for load in [0.5, 0.8, 1.0, 1.2, 2.0, 5.0] {
            let table = Buckets::with_sets(64);
            let (counter, _) = Model::new(2, 1_000_000, count);
            let key = table.key(count);
            let (mut now, mut by_log, mut by_counts) = (SECOND, VecDeque::new(), VecDeque::new());
            let (mut exact, mut counted, mut crowd) = (0.0, 0.0, 0);
            for gap in at_random(count as f64 * load).take(200_000) {
                now += gap;
                for times in [&mut by_log, &mut by_counts] {
                    while times.front().is_some_and(|time| time + SECOND <= now) {
                        times.pop_front();
                    }
                }
                if (by_log.len() as u64) < count {
                    by_log.push_back(now);
                    exact += 1.0;
                }
                if table.take(key, counter, 1, now).is_ok() {
                    by_counts.push_back(now);
                    counted += 1.0;
                    crowd = crowd.max(by_counts.len());
                }
            }
            let (share, crowd) = (counted / exact, crowd as f64 / count as f64);
            assert!((least..most).contains(&share), "{count} at {load}: {share}");
            assert!(crowd <= most_in_a_second, "{count} at {load}: {crowd}");
        }
    }
}

#[test]
fn the_largest_limits_are_counted_to_the_last() {
    let table = Buckets::with_sets(4);
    let day = Duration::from_hours(24);
    let most = 86_400 * 1_000_000;
    let now = 20_000 * 24 * 60 * MINUTE + 12 * 60 * MINUTE;
    for (at, rule) in each(most, day).into_iter().enumerate().filter(|(at, _)| *at != 1) {
        let taken = table.take(table.key(at), rule, 1, now).unwrap();
        assert_eq!(taken.left, most - 1);
        assert_eq!((rule.quota(), rule.span()), (most, 24 * 60 * MINUTE));
    }
    // Half a day after a day that was used up, half of it is there again.
    let window = Window::new(most, day).unwrap();
    let begin = now - now % window.length();
    let before = begin + window.length() + most;
    assert_eq!(window.left(0, before, now), most / 2);
    assert_eq!(window.slide(0, before, 1, begin).unwrap_err().wait, window.length().div_ceil(most));
    for (count, period) in [(0, day), (most + 1, day), (1_000_001, Duration::from_secs(1))] {
        assert_eq!(Window::new(count, period), None, "{count}");
    }
    assert_eq!(Rule::sliding_window(16, day).map(Rule::family), Some(each(1, day)[1].family()));
    assert_eq!(Rule::sliding_window(17, day).map(Rule::family), Some(each(1, day)[2].family()));
}

#[test]
fn the_parts_of_all_gateways_are_no_more_than_the_whole_and_one_each() {
    for rule in each(13, Duration::from_mins(1)).into_iter().chain([pace(1_000_000, 13)]) {
        for gateways in 0..40_u64 {
            let part = rule.part(gateways);
            assert_eq!(part.quota(), (13 / gateways.max(1)).max(1), "{rule:?}");
            // It is counted where the whole is.
            assert_eq!(part.family(), rule.family());
        }
    }
}

#[test]
fn callers_who_fill_the_windows_of_a_day_hold_up_nobody_else() {
    let table = Buckets::with_sets(8);
    let day = each(3, Duration::from_hours(24))[0];
    let flood = 10_000;
    (0..flood).for_each(|caller| drop(table.take(table.key(caller), day, 1, SECOND)));
    let others =
        [pace(1_000_000, 2), each(2, Duration::from_mins(1))[0], each(2, Duration::from_hours(1))[0]];
    for (at, rule) in others.into_iter().enumerate() {
        assert_eq!(at_once(&table, table.key(flood + at), rule, SECOND), 2, "{rule:?}");
    }
    // All that there is room for, and no more.
    let key = table.key(flood + 10);
    assert_eq!(at_once(&table, key, day, SECOND), 0);
    assert_eq!(at_once(&table, key, day, 24 * 60 * MINUTE + SECOND), 3);
}

#[test]
fn all_threads_together_take_what_a_window_has() {
    for round in 0..20 {
        for (at, rule) in each(13, Duration::from_mins(1)).into_iter().enumerate() {
            let table = Buckets::with_sets(64);
            let key = table.key((round, at));
            let admitted = AtomicU64::new(0);
            thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        for step in 0..200 {
                            if table.take(key, rule, 1, MINUTE + step).is_ok() {
                                admitted.fetch_add(1, Ordering::Relaxed);
                            }
                        }
                    });
                }
            });
            // Who comes while a place is being taken may pay at two: there may be fewer, and never more.
            assert!((7..=13).contains(&admitted.into_inner()), "{rule:?}");
        }
    }
}

#[test]
fn a_request_of_a_window_can_be_put_back() {
    for rule in each(3, Duration::from_mins(1)) {
        let table = Buckets::with_sets(64);
        let key = table.key("a");
        assert!(table.take(key, rule, 1, MINUTE).is_ok());
        let taken = table.take(key, rule, 1, MINUTE + 1).unwrap();
        assert_eq!(taken.left, 1);
        table.give_back(&taken);
        assert_eq!(at_once(&table, key, rule, MINUTE + 1), 2, "{rule:?}");
    }
}

#[test]
fn what_several_cost_is_put_back_whole() {
    for rule in each(5, Duration::from_mins(1)).into_iter().chain([pace(1_000_000, 5)]) {
        let table = Buckets::with_sets(64);
        let key = table.key("a");
        assert_eq!(table.take(key, rule, 1, MINUTE).unwrap().left, 4);
        let taken = table.take(key, rule, 3, MINUTE).unwrap();
        assert_eq!(taken.left, 1);
        assert!(table.take(key, rule, 2, MINUTE).is_err() && table.look(key, rule, 1, MINUTE).is_ok());
        table.give_back(&taken);
        assert_eq!(at_once(&table, key, rule, MINUTE), 4, "{rule:?}");
    }
}

#[test]
fn threads_that_take_several_take_all_or_none() {
    for round in 0..20 {
        for (at, rule) in each(16, Duration::from_mins(1)).into_iter().enumerate() {
            let table = Buckets::with_sets(64);
            let key = table.key((round, at));
            let admitted = AtomicU64::new(0);
            thread::scope(|scope| {
                for cost in [1, 2, 3, 5] {
                    let (table, admitted) = (&table, &admitted);
                    scope.spawn(move || {
                        for step in 0..100 {
                            if table.take(key, rule, cost, MINUTE + step).is_ok() {
                                admitted.fetch_add(cost, Ordering::Relaxed);
                            }
                        }
                    });
                }
            });
            let left = at_once(&table, key, rule, MINUTE + 100) as u64;
            // As above.
            assert!((8..=16).contains(&(admitted.into_inner() + left)), "{rule:?}");
        }
    }
}

#[test]
fn other_numbers_find_what_a_window_has_counted() {
    for (at, (few, many)) in
        each(4, Duration::from_mins(1)).into_iter().zip(each(10, Duration::from_mins(1))).enumerate()
    {
        let table = Buckets::with_sets(64);
        let (a, b) = (table.key("a"), table.key("b"));
        assert_eq!(at_once(&table, a, few, MINUTE), 4);
        assert_eq!(at_once(&table, a, many, MINUTE + 1), 6, "{many:?}");
        assert_eq!(at_once(&table, b, many, MINUTE), 10);
        let empty = table.take(b, few, 1, MINUTE + SECOND).unwrap_err();
        // The two counts: a window that was used up is over, and four in a minute means one after a quarter of the next.
        assert_eq!(empty.wait / SECOND, [59, 59, 59 + 15][at], "{few:?}");
        assert_eq!(at_once(&table, b, few, 3 * MINUTE), 4);
    }
}

#[test]
fn a_clock_that_is_behind_counts_in_the_window_that_has_begun() {
    let table = Buckets::with_sets(64);
    for (at, rule) in each(20, Duration::from_secs(1)).into_iter().enumerate().filter(|(at, _)| *at != 1) {
        let key = table.key(at);
        let (ahead, behind) = (100 * SECOND + 1000, 100 * SECOND - 50_000);
        for left in (10..20).rev() {
            assert_eq!(table.take(key, rule, 1, ahead).unwrap().left, left, "{rule:?}");
        }
        assert!(table.take(key, rule, 1, behind).is_ok(), "{rule:?}");
        // Of a fixed window nine are left; of the sliding one too, as what came just before the turn counts nearly whole.
        assert_eq!(at_once(&table, key, rule, ahead), 9, "{rule:?}");
    }
}
