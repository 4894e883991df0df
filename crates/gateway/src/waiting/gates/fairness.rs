//! Whether an app that asks for ten times its share makes others late: experiments on a clock of the test's, and always the same.
#![allow(clippy::unwrap_used)]

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use tokio::sync::oneshot::error::TryRecvError;

use super::*;

/// Microseconds.
const SERVICE: u64 = 50_000;
const LENGTH: u64 = 60_000_000;

/// The app that asks for too much. Others have numbers above it.
const NOISY: u64 = 1;

/// Apps at one limit, of which each has an even share.
struct Experiment {
    max: u32,
    apps: u64,
    /// How much of their shares the quiet ones use.
    load: f64,
    /// By how much service times differ, up and down.
    spread: u64,
    chance: u64,
}

/// Requests of an experiment, as they come and go.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Comes(u64),
    Ends(u64),
}

struct Outcome {
    /// The time that 99 of 100 requests of the quiet apps took at most, in service times.
    p99: f64,
    /// How much of what could be done was.
    busy: f64,
}

struct Request {
    caller: u64,
    came: u64,
}

impl Experiment {
    fn new(max: u32, apps: u64, load: f64) -> Self {
        Self { max, apps, load, spread: 0, chance: 88_172_645_463_325_252 }
    }

    /// From 0 to below 1 (Marsaglia's xorshift).
    fn chance(&mut self) -> f64 {
        self.chance ^= self.chance << 13;
        self.chance ^= self.chance >> 7;
        self.chance ^= self.chance << 17;
        (self.chance >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Time until the next request of an app that asks for so many shares.
    fn gap(&mut self, shares: f64) -> u64 {
        let mean = SERVICE as f64 * self.apps as f64 / f64::from(self.max) / shares;
        (-(1.0 - self.chance()).ln() * mean) as u64
    }

    fn service(&mut self) -> u64 {
        SERVICE - self.spread + (self.chance() * 2.0 * self.spread as f64) as u64
    }

    /// Quiet apps, and one that asks for this many shares from the beginning, with a burst.
    fn run(mut self, noise: f64) -> Outcome {
        let gates = Arc::new(Gates::with_sets(1));
        let (key, terms) = (gates.key("limit"), Terms { max: self.max, queue: 5 * self.max as usize });
        let mut events = BinaryHeap::new();
        let mut requests: Vec<Request> = Vec::new();
        let mut under_way: HashMap<u64, Held> = HashMap::new();
        let mut waiting: Vec<(u64, Waiting)> = Vec::new();
        let (mut took, mut ended) = (Vec::new(), 0);
        for caller in (NOISY + 1)..=self.apps {
            events.push(Reverse((self.gap(self.load), Event::Comes(caller))));
        }
        if noise > 0.0 {
            (0..2 * self.max).for_each(|_| events.push(Reverse((0, Event::Comes(NOISY)))));
        }
        while let Some(Reverse((now, event))) = events.pop()
            && now < LENGTH
        {
            let mut begun = Vec::new();
            match event {
                Event::Comes(caller) => {
                    let shares = if caller == NOISY { noise } else { self.load };
                    if now > 0 || caller != NOISY {
                        events.push(Reverse((now + self.gap(shares), Event::Comes(caller))));
                    } else if requests.is_empty() {
                        events.push(Reverse((1 + self.gap(shares), Event::Comes(caller))));
                    }
                    let number = requests.len() as u64;
                    requests.push(Request { caller, came: now });
                    match gates.enter(key, terms, || caller) {
                        Ok(Entry::In(held)) => begun.push((number, held)),
                        Ok(Entry::Wait(one)) => waiting.push((number, one)),
                        Err(Crowded) => {}
                    }
                }
                Event::Ends(number) => {
                    let Request { caller, came } = requests[number as usize];
                    if caller != NOISY {
                        took.push(now - came);
                    }
                    ended += 1;
                    under_way.remove(&number).unwrap();
                }
            }
            waiting.retain_mut(|(number, one)| match one.turn.try_recv() {
                Ok(held) => {
                    begun.push((*number, held));
                    false
                }
                Err(error) => error == TryRecvError::Empty,
            });
            for (number, held) in begun {
                events.push(Reverse((now + self.service(), Event::Ends(number))));
                under_way.insert(number, held);
            }
            assert!(under_way.len() <= self.max as usize);
        }
        took.sort_unstable();
        Outcome {
            p99: took.get(took.len() * 99 / 100).map_or(0.0, |time| *time as f64 / SERVICE as f64),
            busy: f64::from(ended) * SERVICE as f64 / (f64::from(self.max) * LENGTH as f64),
        }
    }
}

/// How much later the quiet apps are beside a noisy one than alone, and how busy all is then.
fn compare(experiment: impl Fn() -> Experiment) -> (f64, f64) {
    let beside = experiment().run(10.0);
    (beside.p99 / experiment().run(0.0).p99, beside.busy)
}

#[test]
fn an_app_at_ten_times_its_share_leaves_others_nearly_as_fast_as_alone() {
    for (max, apps) in [(8, 4), (8, 8), (10, 5), (20, 10), (50, 10)] {
        for (load, spread) in [(0.02, 0), (0.1, 0), (0.2, 0), (0.3, 0), (0.1, 30_000), (0.3, 30_000)] {
            let (ratio, busy) = compare(|| Experiment { spread, ..Experiment::new(max, apps, load) });
            let what = format!("{max} for {apps} apps at {load} of their shares, +-{spread}");
            assert!(ratio <= 1.5, "{what}: {ratio:.2} of alone");
            // One is left free.
            assert!(busy >= 0.99 - 1.0 / f64::from(max), "{what}: {busy:.3} busy");
        }
    }
}

#[test]
fn the_fewer_are_under_way_the_less_it_helps() {
    for (max, apps) in [(6, 3), (7, 7)] {
        for load in [0.02, 0.1, 0.2, 0.3] {
            let (ratio, _) = compare(|| Experiment::new(max, apps, load));
            assert!(ratio <= 1.6, "{max} for {apps} apps at {load}: {ratio:.2}");
        }
    }
    // None is left free of fewer.
    for (max, apps) in [(1, 2), (3, 2), (5, 5)] {
        let (_, busy) = compare(|| Experiment::new(max, apps, 0.1));
        assert!(busy > 0.99, "{max} for {apps} apps: {busy}");
    }
}

#[test]
fn an_app_that_is_alone_has_all() {
    for max in [1, 6, 20] {
        let Outcome { busy, .. } = Experiment::new(max, 1, 0.0).run(10.0);
        assert!(busy > 0.998, "{max}: {busy}");
    }
}

#[test]
fn apps_that_all_ask_for_much_have_all() {
    for (max, apps) in [(6, 2), (10, 3), (20, 7)] {
        let Outcome { busy, .. } = Experiment::new(max, apps, 10.0).run(10.0);
        assert!(busy > 0.99, "{max} for {apps}: {busy}");
    }
}
