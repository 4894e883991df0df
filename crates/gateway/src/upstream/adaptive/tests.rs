//! The limit before a simulated service: it works on so many calls at once, and the others wait in it.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use super::*;
use crate::upstream::balance::Random;

const RULES: AdaptiveRules = AdaptiveRules { target: 1.5, min: 2, max: 1000 };

/// A service that works on `at_once` calls, each for about `takes`; the others wait in it, in order.
struct Simulation {
    at_once: usize,
    takes: f64,
    /// Calls that come, for each that it can work on.
    load: f64,
    priority: fn(u64) -> Priority,
    /// Seconds after the beginning of another, with the same limit, that came before.
    after: f64,
}

#[derive(Debug, Default)]
struct Seen {
    arrived: usize,
    /// Latencies of what was answered, in seconds, and priorities of what was turned away.
    answered: Vec<f64>,
    refused: Vec<Priority>,
}

impl Seen {
    fn p99(&mut self) -> f64 {
        self.answered.sort_by(f64::total_cmp);
        self.answered[self.answered.len() * 99 / 100]
    }
}

impl Simulation {
    fn capacity(&self) -> f64 {
        self.at_once as f64 / self.takes
    }

    /// Runs for some seconds with this limit, or with none; what is seen of its second half.
    fn run(&self, adaptive: Option<&Rc<Adaptive>>, seconds: f64) -> Seen {
        let random = Random::new(7, 0);
        let unit = || random.below(1 << 30) as f64 / f64::from(1 << 30);
        let start = Instant::now();
        let mut waiting: VecDeque<(f64, Option<Waiting>)> = VecDeque::new();
        // When the calls that are worked on end, in nanoseconds, with when they came.
        let mut working: BinaryHeap<Reverse<(u64, u64)>> = BinaryHeap::new();
        let mut held: Vec<(u64, Option<Waiting>)> = Vec::new();
        let (mut seen, mut time) = (Seen::default(), 0.0);
        while time < seconds {
            let gap = -(1.0 - unit()).ln() / (self.capacity() * self.load);
            let next = time + gap;
            while let Some(Reverse((ends, came))) = working.peek().copied() {
                let ends_at = ends as f64 / 1e9;
                if ends_at > next {
                    break;
                }
                working.pop();
                let latency = ends_at - came as f64 / 1e9;
                let place = held.iter().position(|(id, _)| *id == came).unwrap();
                drop(held.swap_remove(place));
                if let Some(adaptive) = adaptive {
                    adaptive.answered(Duration::from_secs_f64(latency), at(start, self.after + ends_at));
                }
                if ends_at > seconds / 2.0 {
                    seen.answered.push(latency);
                }
                if let Some((came, waiting)) = waiting.pop_front() {
                    self.begin(&mut working, &mut held, came, ends_at, unit(), waiting);
                }
            }
            time = next;
            seen.arrived += 1;
            let priority = (self.priority)(seen.arrived as u64);
            let admitted = adaptive.map(|adaptive| adaptive.admit(priority));
            match admitted {
                Some(None) if time > seconds / 2.0 => seen.refused.push(priority),
                Some(None) => {}
                admitted => {
                    let leave = admitted.flatten();
                    if working.len() < self.at_once {
                        self.begin(&mut working, &mut held, time, time, unit(), leave);
                    } else {
                        waiting.push_back((time, leave));
                    }
                }
            }
        }
        seen
    }

    fn begin(
        &self,
        working: &mut BinaryHeap<Reverse<(u64, u64)>>,
        held: &mut Vec<(u64, Option<Waiting>)>,
        came: f64,
        now: f64,
        unit: f64,
        leave: Option<Waiting>,
    ) {
        let came = (came * 1e9) as u64;
        working.push(Reverse((((now + self.takes * (0.8 + 0.4 * unit)) * 1e9) as u64, came)));
        held.push((came, leave));
    }
}

fn at(start: Instant, seconds: f64) -> Now {
    Now {
        instant: start + Duration::from_secs_f64(seconds),
        unix_ms: 1_700_000_000_000 + (seconds * 1000.0) as u64,
    }
}

fn adaptive() -> Rc<Adaptive> {
    Rc::new(Adaptive::new(RULES, Arc::default()))
}

#[test]
fn three_times_what_a_service_can_do_leaves_it_doing_what_it_can() {
    for (at_once, takes) in [(8, 0.02), (40, 0.05), (4, 0.002), (200, 0.1)] {
        let simulation = Simulation { at_once, takes, load: 3.0, priority: |_| Priority::High, after: 0.0 };
        let mut seen = simulation.run(Some(&adaptive()), 120.0);
        let goodput = seen.answered.len() as f64 / 60.0 / simulation.capacity();
        let p99 = seen.p99() / takes;
        assert!(goodput > 0.9, "{at_once} at once: {goodput} of the capacity, p99 {p99} times as long");
        assert!(p99 < 3.0, "{at_once} at once: p99 {p99} times as long");
        let mut without = simulation.run(None, 120.0);
        assert!(without.p99() / takes > 50.0, "the simulation is no overload");
    }
}

#[test]
fn an_overload_that_comes_at_once_is_no_new_baseline() {
    for (at_once, takes) in [(8, 0.02), (40, 0.05), (4, 0.002), (20, 0.01), (100, 0.1)] {
        let adaptive = adaptive();
        let half = Simulation { at_once, takes, load: 0.5, priority: |_| Priority::Normal, after: 0.0 };
        half.run(Some(&adaptive), 8.0);
        let mut seen = Simulation { load: 3.0, after: 8.0, ..half }.run(Some(&adaptive), 10.0);
        let (p99, baseline) = (seen.p99() / takes, adaptive.baseline.get().unwrap() / takes);
        assert!(
            p99 < 2.5 && baseline < 1.3,
            "{at_once} at once: p99 {p99}, baseline {baseline} times as long"
        );
    }
}

#[test]
fn who_has_little_to_do_turns_nobody_away() {
    for load in [0.1, 0.5, 0.8] {
        let simulation =
            Simulation { at_once: 40, takes: 0.05, load, priority: |_| Priority::Low, after: 0.0 };
        let seen = simulation.run(Some(&adaptive()), 120.0);
        assert_eq!(seen.refused.len(), 0, "at {load} of the capacity");
    }
}

#[test]
fn what_matters_less_is_turned_away_first() {
    // A quarter each is low and high; what is not low could all be answered, with little to spare.
    let priority = |number| match number % 4 {
        0 => Priority::High,
        1 => Priority::Normal,
        _ => Priority::Low,
    };
    let simulation = Simulation { at_once: 40, takes: 0.05, load: 1.6, priority, after: 0.0 };
    let seen = simulation.run(Some(&adaptive()), 120.0);
    let refused = |priority| seen.refused.iter().filter(|one| **one == priority).count() as f64;
    let of_kind = seen.arrived as f64 / 2.0 / 4.0;
    assert!(refused(Priority::High) / of_kind < 0.01, "{}", refused(Priority::High) / of_kind);
    assert!(refused(Priority::Normal) / of_kind < 0.15, "{}", refused(Priority::Normal) / of_kind);
    assert!(refused(Priority::Low) / of_kind > 0.5);
}

#[test]
fn a_service_that_takes_longer_from_now_on_is_learnt_anew() {
    let adaptive = adaptive();
    let fast = Simulation { at_once: 40, takes: 0.02, load: 3.0, priority: |_| Priority::High, after: 0.0 };
    fast.run(Some(&adaptive), 20.0);
    let slow = Simulation { at_once: 40, takes: 0.2, load: 3.0, priority: |_| Priority::High, after: 0.0 };
    let seen = slow.run(Some(&adaptive), 20.0);
    let goodput = seen.answered.len() as f64 / 10.0 / slow.capacity();
    assert!(goodput > 0.8, "{goodput}");
}

#[test]
fn nobody_is_turned_away_from_an_idle_service_whatever_the_limit() {
    let adaptive = adaptive();
    adaptive.set_rules(AdaptiveRules { min: 1, max: 1, ..RULES });
    let waiting = adaptive.admit(Priority::Low);
    assert!(waiting.is_some());
    assert!(adaptive.admit(Priority::High).is_none());
    drop(waiting);
    assert!(adaptive.admit(Priority::Low).is_some());
}
