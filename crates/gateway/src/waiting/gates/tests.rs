//! Counts and queues beside a plain list, and under many threads.
#![allow(clippy::unwrap_used)]

use std::collections::VecDeque;
use std::sync::atomic::AtomicUsize;
use std::thread;

use proptest::prelude::*;
use tokio::sync::oneshot::error::TryRecvError;

use super::*;

fn gates(sets: usize) -> Arc<Gates> {
    Arc::new(Gates::with_sets(sets))
}

fn terms(max: u32, queue: usize) -> Terms {
    Terms { max, queue }
}

fn go_in(gates: &Arc<Gates>, key: u64, max: u32) -> Option<Held> {
    match gates.enter(key, terms(max, 0), || 0) {
        Ok(Entry::In(held)) => Some(held),
        Ok(Entry::Wait(_)) => panic!("nobody may wait"),
        Err(Crowded) => None,
    }
}

fn wait(gates: &Arc<Gates>, key: u64, caller: u64, limit: Terms) -> Waiting {
    match gates.enter(key, limit, || caller) {
        Ok(Entry::Wait(waiting)) => waiting,
        other => panic!("{other:?}"),
    }
}

/// Nothing is left of anybody.
fn expect_empty(gates: &Gates) {
    for set in &gates.sets {
        assert!(set.places.iter().all(|place| place.load(SeqCst) & (CROWDED | COUNT) == 0));
        let rest = set.lock();
        assert!(rest.as_ref().is_none_or(|rest| rest.beyond.is_empty() && rest.crowds.is_empty()));
    }
}

#[test]
fn a_set_is_one_line_of_the_cache() {
    assert_eq!(size_of::<Set>(), 64);
}

#[test]
fn as_many_are_under_way_as_may_be_for_each_key() {
    // In the one set there are places for six of them.
    let gates = gates(1);
    let mut held = Vec::new();
    for name in 0..20 {
        let key = gates.key(name);
        held.extend((0..3).map(|_| go_in(&gates, key, 3).unwrap()));
        assert!(go_in(&gates, key, 3).is_none(), "{name}");
    }
    // One comes for each that goes, wherever it is counted.
    for (name, one) in (0..).zip(held.iter_mut().step_by(3)) {
        let key = gates.key(name);
        assert!(go_in(&gates, key, 3).is_none());
        let (other_key, spot) = (one.key, one.spot);
        assert_eq!(other_key, key);
        assert_eq!(spot == Spot::Beyond, name >= 6, "{name}");
        drop(std::mem::replace(one, go_in(&gates, gates.key("spare"), 100).unwrap()));
        let again = go_in(&gates, key, 3).unwrap();
        assert!(go_in(&gates, key, 3).is_none());
        *one = again;
    }
    drop(held);
    expect_empty(&gates);
}

#[test]
fn who_leaves_at_whatever_moment_leaves_nothing_behind() {
    let gates = gates(1);
    let key = gates.key("a");
    let held = go_in(&gates, key, 1).unwrap();
    let [first, second, mut third] = [0; 3].map(|caller| wait(&gates, key, caller, terms(1, 5)));
    drop(second);
    // The first has its turn, and has not heard of it yet when it goes.
    drop(held);
    assert!(matches!(third.turn.try_recv(), Err(TryRecvError::Empty)));
    drop(first);
    let held = third.turn.try_recv().unwrap();
    assert!(go_in(&gates, key, 1).is_none());
    drop(third);
    assert!(go_in(&gates, key, 1).is_none(), "it is under way, and waits no longer");
    drop(held);
    expect_empty(&gates);
}

#[test]
fn nobody_overtakes_who_waits() {
    let gates = gates(1);
    let key = gates.key("a");
    let held = [go_in(&gates, key, 2), go_in(&gates, key, 2)];
    let mut waiting = wait(&gates, key, 0, terms(2, 1));
    assert!(matches!(gates.enter(key, terms(2, 1), || 0), Err(Crowded)));
    drop(held);
    let first = waiting.turn.try_recv().unwrap();
    let second = go_in(&gates, key, 2).unwrap();
    assert!(go_in(&gates, key, 2).is_none());
    drop((first, second, waiting));
    expect_empty(&gates);
}

#[test]
fn other_numbers_hold_from_the_next_that_comes() {
    let gates = gates(1);
    let key = gates.key("a");
    let mut held: Vec<Held> = (0..3).map(|_| go_in(&gates, key, 3).unwrap()).collect();
    let mut waiting: Vec<Waiting> = (0..3).map(|_| wait(&gates, key, 0, terms(3, 9))).collect();
    // Stricter: one must go before another may come.
    waiting.push(wait(&gates, key, 0, terms(2, 9)));
    held.pop();
    assert!(waiting[0].turn.try_recv().is_err());
    held.pop();
    held.push(waiting[0].turn.try_recv().unwrap());
    // A shorter queue takes nobody, and sends nobody away.
    assert!(matches!(gates.enter(key, terms(2, 2), || 0), Err(Crowded)));
    assert!(waiting[1].turn.try_recv().is_err());
    // More generous: all that there is room for, and then who came.
    let more = gates.enter(key, terms(6, 9), || 0);
    held.extend(waiting.drain(1..).map(|mut waiting| waiting.turn.try_recv().unwrap()));
    assert!(matches!(more, Ok(Entry::In(_))));
    assert!(go_in(&gates, key, 6).is_none() && held.len() == 5);
    drop((held, waiting, more));
    expect_empty(&gates);
}

#[test]
fn one_of_many_makes_room_for_one_of_few() {
    let gates = gates(1);
    let key = gates.key("a");
    let held = go_in(&gates, key, 1).unwrap();
    let mut noisy: Vec<Waiting> = (0..3).map(|_| wait(&gates, key, 1, terms(1, 3))).collect();
    assert!(matches!(gates.enter(key, terms(1, 3), || 1), Err(Crowded)));
    let mut quiet = wait(&gates, key, 2, terms(1, 3));
    assert!(matches!(noisy[2].turn.try_recv(), Err(TryRecvError::Closed)));
    drop(held);
    let held = noisy[0].turn.try_recv().unwrap();
    drop(held);
    let held = quiet.turn.try_recv().unwrap();
    assert!(noisy[1].turn.try_recv().is_err());
    drop((held, noisy, quiet));
    expect_empty(&gates);
}

/// The same by lists that are searched each time: who is under way, and who waits by caller.
#[derive(Default)]
struct Plain {
    under_way: Vec<u32>,
    waiting: Vec<(u64, u32)>,
    turns: VecDeque<u64>,
}

impl Plain {
    fn enter(&mut self, who: u32, caller: u64, limit: Terms) -> &'static str {
        self.settle(limit.max);
        if self.waiting.is_empty() && self.under_way.len() < limit.max as usize {
            self.under_way.push(who);
            return "in";
        }
        if self.waiting.len() >= limit.queue {
            return "crowded";
        }
        if !self.turns.contains(&caller) {
            self.turns.push_back(caller);
        }
        self.waiting.push((caller, who));
        "waits"
    }

    fn settle(&mut self, max: u32) {
        while self.under_way.len() < max as usize
            && let Some(caller) = self.turns.pop_front()
        {
            self.turns.push_back(caller);
            let next = self.waiting.iter().position(|(other, _)| *other == caller).unwrap();
            let who = self.leave(next);
            self.under_way.push(who);
        }
    }

    fn leave(&mut self, place: usize) -> u32 {
        let (caller, who) = self.waiting.remove(place);
        if self.waiting.iter().all(|(other, _)| *other != caller) {
            self.turns.retain(|other| *other != caller);
        }
        who
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn requests_come_wait_and_go_as_by_plain_lists(
        max in 1..4_u32,
        // With one caller nobody makes room for another, which the lists do not know.
        (callers, queue) in prop_oneof![(Just(1), 1..5_usize), (2..4_u64, Just(100))],
        others in 0..8,
        steps in prop::collection::vec((0..3_u8, any::<u64>()), 1..60),
    ) {
        let gates = gates(1);
        // With more others than there are places it is counted elsewhere.
        let other_keys: Vec<Held> = (0..others).map(|other| go_in(&gates, gates.key(other), 1).unwrap()).collect();
        let key = gates.key("a");
        let limit = terms(max, queue);
        let mut plain = Plain::default();
        let (mut held, mut waiting) = (HashMap::new(), HashMap::new());
        for (who, (step, chance)) in (0..).zip(steps) {
            match step {
                0 => {
                    let expected = plain.enter(who, chance % callers, limit);
                    let found = match gates.enter(key, limit, || chance % callers) {
                        Ok(Entry::In(one)) => { held.insert(who, one); "in" }
                        Ok(Entry::Wait(one)) => { waiting.insert(who, one); "waits" }
                        Err(Crowded) => "crowded",
                    };
                    prop_assert_eq!(found, expected);
                }
                1 if !plain.under_way.is_empty() => {
                    let who = plain.under_way.swap_remove(chance as usize % plain.under_way.len());
                    plain.settle(max);
                    prop_assert!(held.remove(&who).is_some());
                }
                2 if !plain.waiting.is_empty() => {
                    let who = plain.leave(chance as usize % plain.waiting.len());
                    prop_assert!(waiting.remove(&who).is_some());
                }
                _ => {}
            }
            let granted: Vec<(u32, Held)> = waiting
                .iter_mut()
                .filter_map(|(who, one): (_, &mut Waiting)| Some((*who, one.turn.try_recv().ok()?)))
                .collect();
            for (who, one) in granted {
                waiting.remove(&who);
                held.insert(who, one);
            }
            let mut under_way: Vec<u32> = held.keys().copied().collect();
            let mut expected = plain.under_way.clone();
            under_way.sort_unstable();
            expected.sort_unstable();
            prop_assert_eq!(under_way, expected);
        }
        drop((held, waiting, other_keys));
        expect_empty(&gates);
    }
}

#[test]
fn threads_never_have_more_under_way_than_may_be() {
    const THREADS: u64 = 8;
    const KEYS: usize = 9;
    // One set: its places change hands all the time, and some keys find none.
    let gates = gates(1);
    let under_way: [AtomicUsize; KEYS] = Default::default();
    let most: [AtomicUsize; KEYS] = Default::default();
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (gates, under_way, most) = (&gates, &under_way, &most);
            scope.spawn(move || {
                let mut waiting: VecDeque<(usize, Waiting)> = VecDeque::new();
                let enter = |name: usize| {
                    let now = under_way[name].fetch_add(1, SeqCst) + 1;
                    most[name].fetch_max(now, SeqCst);
                };
                for step in 0..20_000_u64 {
                    let name = ((step * 7 + thread * 3) % KEYS as u64) as usize;
                    match gates.enter(gates.key(name), terms(2, 4), || thread) {
                        Ok(Entry::In(held)) => {
                            enter(name);
                            under_way[name].fetch_sub(1, SeqCst);
                            drop(held);
                        }
                        Ok(Entry::Wait(one)) => waiting.push_back((name, one)),
                        Err(Crowded) => {}
                    }
                    // Some leave, and some look whether it is their turn.
                    if waiting.len() > 3
                        && let Some((name, mut one)) = waiting.pop_front()
                        && step % 3 > 0
                        && let Ok(held) = one.turn.try_recv()
                    {
                        enter(name);
                        under_way[name].fetch_sub(1, SeqCst);
                        drop(held);
                    }
                }
            });
        }
    });
    assert!(most.iter().all(|most| most.load(SeqCst) <= 2), "{most:?}");
    expect_empty(&gates);
}
