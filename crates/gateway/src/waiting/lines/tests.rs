//! Lines beside a recursion over arrivals that knows no queue, on a clock of the test's.
#![allow(clippy::unwrap_used)]

use std::sync::atomic::AtomicU64;
use std::thread;

use proptest::prelude::*;

use super::*;

fn lines() -> Arc<Lines> {
    Arc::new(Lines::new(Arc::new(Buckets::with_sets(1))))
}

fn rule(interval: u64) -> Rule {
    Rule::token_bucket(1, Duration::from_nanos(interval), 1).unwrap()
}

fn enter(lines: &Arc<Lines>, interval: u64, queue: usize, now: u64) -> Way {
    lines.enter(lines.buckets.key("a"), rule(interval), queue, now)
}

fn is_free(lines: &Arc<Lines>, now: u64) -> bool {
    matches!(enter(lines, 1000, 3, now), Way::Free(_))
}

fn wait(lines: &Arc<Lines>, now: u64) -> Place {
    match enter(lines, 1000, 3, now) {
        Way::Wait(place) => place,
        other => panic!("{other:?}"),
    }
}

impl Place {
    fn is_told(&mut self) -> bool {
        self.first.as_mut().is_none_or(|first| first.try_recv().is_ok()) && {
            self.first = None;
            true
        }
    }
}

/// Requests in a line of the real kind, with timers of the test's.
struct Rig {
    lines: Arc<Lines>,
    waiting: Vec<(usize, Place)>,
    gone: Vec<(usize, u64)>,
}

impl Rig {
    /// What happens up to this time.
    fn advance(&mut self, until: u64) {
        while let Some(place) = self.waiting.iter_mut().position(|(_, place)| place.is_told()) {
            let who = self.waiting[place].0;
            // As a timer that was set before, and is never early.
            let Err(wait) = self.waiting[place].1.go(0) else { panic!("{who} went at once") };
            if wait > until {
                return;
            }
            self.waiting[place].1.go(wait).unwrap();
            self.gone.push((who, wait));
            self.waiting.remove(place);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn requests_go_when_the_recursion_says(
        interval in 1000..5000_u64,
        queue in 1..8_usize,
        steps in prop::collection::vec(
            (0..4_u8, prop_oneof![Just(0), 0..2000_u64, 0..40_000_u64], any::<usize>()),
            1..80,
        ),
    ) {
        let mut rig = Rig { lines: lines(), waiting: Vec::new(), gone: Vec::new() };
        // When each that was taken in and has not left came. Each goes when it has come, and an interval after the one before.
        let mut arrivals: Vec<(usize, u64)> = Vec::new();
        let departures = |arrivals: &[(usize, u64)]| {
            let mut last = 0;
            arrivals.iter().map(|(who, came)| {
                let goes = if last == 0 { *came } else { last.max(*came) };
                last = goes + interval;
                (*who, goes)
            }).collect::<Vec<_>>()
        };
        let mut now = 1;
        for (who, (step, gap, chance)) in steps.into_iter().enumerate() {
            now += gap;
            rig.advance(now);
            let waits: Vec<usize> =
                departures(&arrivals).iter().filter(|(_, goes)| *goes > now).map(|(who, _)| *who).collect();
            prop_assert_eq!(rig.waiting.iter().map(|(who, _)| *who).collect::<Vec<_>>(), &waits[..]);
            if step == 0 && !waits.is_empty() {
                let leaves = chance % waits.len();
                arrivals.retain(|(who, _)| *who != waits[leaves]);
                rig.waiting.remove(leaves);
                continue;
            }
            arrivals.push((who, now));
            let goes = departures(&arrivals).last().unwrap().1;
            match enter(&rig.lines, interval, queue, now) {
                Way::Free(_) => {
                    prop_assert_eq!(goes, now);
                    rig.gone.push((who, now));
                }
                Way::Wait(place) => {
                    prop_assert!(goes > now && waits.len() < queue);
                    rig.waiting.push((who, place));
                }
                Way::Full(level) => {
                    prop_assert_eq!(level.waiting, waits.len());
                    prop_assert!(goes > now && waits.len() >= queue);
                    arrivals.pop();
                }
            }
        }
        rig.advance(u64::MAX);
        prop_assert_eq!(rig.gone, departures(&arrivals));
        prop_assert!(rig.lines.parts.iter().all(|part| part.count.load(SeqCst) == 0));
    }
}

#[test]
fn who_is_late_makes_nobody_else_late() {
    let lines = lines();
    assert!(is_free(&lines, 100));
    let mut places: Vec<Place> = (0..3).map(|_| wait(&lines, 200)).collect();
    assert_eq!(places[0].go(200), Err(900));
    assert!(places[0].is_told() && !places[1].is_told());
    // Two are due by now, and the third goes when it would have gone.
    assert_eq!(places[0].go(2150), Ok(Level { waiting: 2, next_in: 0 }));
    assert!(places[1].is_told());
    assert_eq!(places[1].go(2150), Ok(Level { waiting: 1, next_in: 950 }));
    assert!(places[2].is_told());
    assert_eq!(places[2].go(2150), Err(950));
    // Who comes meanwhile goes last, even if it is time.
    let last = wait(&lines, 4000);
    assert_eq!(places[2].go(4000), Ok(Level { waiting: 1, next_in: 100 }));
    assert_eq!(last.go(4000), Err(100));
}

#[test]
fn those_behind_move_up_when_somebody_leaves() {
    let lines = lines();
    assert!(is_free(&lines, 1));
    let mut places: Vec<Place> = (0..3).map(|_| wait(&lines, 1)).collect();
    assert!(matches!(enter(&lines, 1000, 3, 1), Way::Full(Level { waiting: 3, next_in: 1000 })));
    assert_eq!(lines.look(lines.buckets.key("a"), 3, 1), Some(Level { waiting: 3, next_in: 1000 }));
    // The first: the next has its time.
    drop(places.remove(0));
    assert!(places[0].is_told());
    assert_eq!(places[0].go(1), Err(1000));
    assert_eq!(lines.look(lines.buckets.key("a"), 3, 1), None);
    // One in the middle.
    let last = wait(&lines, 2);
    drop(places.remove(1));
    assert_eq!(places[0].go(1001), Ok(Level { waiting: 1, next_in: 1000 }));
    assert_eq!(last.go(2001), Ok(Level { waiting: 0, next_in: 1000 }));
    drop(last);
    assert!(is_free(&lines, 3001));
}

#[test]
fn threads_go_one_by_one() {
    let lines = lines();
    let went = AtomicU64::new(0);
    let time = AtomicU64::new(1);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut waiting: Vec<Place> = Vec::new();
                for step in 0..5000 {
                    let now = time.fetch_add(100, SeqCst);
                    match enter(&lines, 10_000, 5, now) {
                        Way::Free(_) => drop(went.fetch_add(1, SeqCst)),
                        Way::Wait(place) => waiting.push(place),
                        Way::Full(_) => {}
                    }
                    let mut place = 0;
                    while place < waiting.len() {
                        if step % 50 == 0 {
                            waiting.swap_remove(place);
                        } else if waiting[place].is_told() && waiting[place].go(now).is_ok() {
                            went.fetch_add(1, SeqCst);
                            waiting.swap_remove(place);
                        } else {
                            place += 1;
                        }
                    }
                }
            });
        }
    });
    // One each hundred steps of the clock, and the first at once; fewer where a thread did not get to look in time.
    let (went, most) = (went.into_inner(), time.into_inner() / 10_000 + 1);
    assert!((1..=most).contains(&went), "{went} of {most}");
    assert!(lines.parts.iter().all(|part| part.count.load(SeqCst) == 0));
}
