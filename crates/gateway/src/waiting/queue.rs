//! Who waits, and whose turn is next: callers take turns, and each caller's own wait in order. It holds no lock and knows no time.

use std::collections::{HashMap, VecDeque};

/// Waiters of one queue, each with what is told to it in the end.
#[derive(Debug)]
pub(super) struct Queue<W> {
    callers: HashMap<u64, VecDeque<(u64, W)>>,
    /// Callers of whom somebody waits, the next first.
    turns: VecDeque<u64>,
    waiting: usize,
}

/// Where somebody waits in a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ticket {
    caller: u64,
    number: u64,
}

impl<W> Default for Queue<W> {
    fn default() -> Self {
        Self { callers: HashMap::new(), turns: VecDeque::new(), waiting: 0 }
    }
}

impl<W> Queue<W> {
    pub(super) fn len(&self) -> usize {
        self.waiting
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    /// Begins to wait behind the others of this caller; a caller of whom nobody waited has its turn after all others. Numbers rise,
    /// and none is used twice, also when a queue is made anew: somebody may still hold on to a ticket of the one before.
    pub(super) fn join(&mut self, caller: u64, number: u64, waiter: W) -> Ticket {
        self.waiting += 1;
        let own = self.callers.entry(caller).or_default();
        if own.is_empty() {
            self.turns.push_back(caller);
        }
        own.push_back((number, waiter));
        Ticket { caller, number }
    }

    /// Takes out whose turn it is among the callers that may; who may not keeps its turn.
    pub(super) fn next(&mut self, may: impl Fn(u64) -> bool) -> Option<(u64, W)> {
        let turn = self.turns.iter().position(|caller| may(*caller))?;
        let caller = self.turns.remove(turn)?;
        let own = self.callers.get_mut(&caller)?;
        let (_, waiter) = own.pop_front()?;
        self.waiting -= 1;
        if own.is_empty() {
            self.callers.remove(&caller);
        } else {
            self.turns.push_back(caller);
        }
        Some((caller, waiter))
    }

    /// Whose turn it is.
    pub(super) fn first(&mut self) -> Option<&mut W> {
        let own = self.callers.get_mut(self.turns.front()?)?;
        own.front_mut().map(|(_, waiter)| waiter)
    }

    /// Waits no longer; nothing where it was taken out before.
    pub(super) fn leave(&mut self, ticket: Ticket) -> Option<W> {
        let own = self.callers.get_mut(&ticket.caller)?;
        // Their numbers rise.
        let place = own.binary_search_by_key(&ticket.number, |(number, _)| *number).ok()?;
        let (_, waiter) = own.remove(place)?;
        self.took_out(ticket.caller);
        Some(waiter)
    }

    /// Makes room for another of this caller: the last of whoever has most in the queue goes, unless this caller would then have as
    /// many. It looks through the callers, who are no more than may wait.
    pub(super) fn make_room(&mut self, caller: u64) -> Option<W> {
        let own = self.callers.get(&caller).map_or(0, VecDeque::len);
        let (&most, others) = self.callers.iter().max_by_key(|(_, waiting)| waiting.len())?;
        if others.len() <= own + 1 {
            return None;
        }
        let (_, waiter) = self.callers.get_mut(&most)?.pop_back()?;
        self.took_out(most);
        Some(waiter)
    }

    fn took_out(&mut self, caller: u64) {
        self.waiting -= 1;
        if self.callers.get(&caller).is_some_and(VecDeque::is_empty) {
            self.callers.remove(&caller);
            self.turns.retain(|turn| *turn != caller);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    /// All that wait, in the order of their turns.
    fn drain(queue: &mut Queue<u32>) -> Vec<u32> {
        std::iter::from_fn(|| next(queue)).collect()
    }

    fn next(queue: &mut Queue<u32>) -> Option<u32> {
        queue.next(|_| true).map(|(_, waiter)| waiter)
    }

    #[test]
    fn callers_take_turns_and_each_keeps_its_order() {
        let mut queue = Queue::default();
        for (number, (caller, waiter)) in
            (0..).zip([(1, 10), (1, 11), (1, 12), (2, 20), (1, 13), (3, 30), (2, 21)])
        {
            queue.join(caller, number, waiter);
        }
        assert_eq!(queue.first(), Some(&mut 10));
        assert_eq!(drain(&mut queue), [10, 20, 30, 11, 21, 12, 13]);
        assert!(queue.is_empty() && queue.callers.is_empty());
    }

    #[test]
    fn who_may_not_yet_keeps_its_turn() {
        let mut queue = Queue::default();
        for (number, (caller, waiter)) in (0..).zip([(1, 10), (1, 11), (2, 20), (3, 30), (2, 21)]) {
            queue.join(caller, number, waiter);
        }
        assert_eq!(queue.next(|caller| caller > 1), Some((2, 20)));
        assert_eq!(queue.next(|caller| caller > 3), None);
        assert_eq!(drain(&mut queue), [10, 30, 21, 11]);
    }

    #[test]
    fn who_leaves_is_passed_over_and_leaves_once() {
        let mut queue = Queue::default();
        let tickets = [(1, 10), (1, 11), (2, 20), (1, 12)]
            .map(|(caller, waiter)| queue.join(caller, u64::from(waiter), waiter));
        assert_eq!(queue.leave(tickets[1]), Some(11));
        assert_eq!(queue.leave(tickets[1]), None);
        assert_eq!(queue.leave(tickets[2]), Some(20));
        assert_eq!(next(&mut queue), Some(10));
        assert_eq!(queue.leave(tickets[0]), None);
        assert_eq!((queue.len(), drain(&mut queue)), (1, vec![12]));
    }

    #[test]
    fn the_last_of_who_has_most_makes_room() {
        let mut queue = Queue::default();
        for (caller, waiter) in [(1, 10), (1, 11), (1, 12), (2, 20)] {
            queue.join(caller, u64::from(waiter), waiter);
        }
        // Nobody gains who would have as many.
        assert_eq!([queue.make_room(1), queue.make_room(2)], [None, Some(12)]);
        assert_eq!(queue.make_room(2), None);
        assert_eq!(queue.make_room(3), Some(11));
        queue.join(3, 30, 30);
        assert_eq!(queue.make_room(4), None, "each has one");
        assert_eq!(drain(&mut queue), [10, 20, 30]);
    }

    /// The same by a plain list that is searched each time.
    #[derive(Default)]
    struct Plain {
        waiting: Vec<(u64, u32)>,
        turns: Vec<u64>,
    }

    impl Plain {
        fn join(&mut self, caller: u64, waiter: u32) {
            if !self.turns.contains(&caller) {
                self.turns.push(caller);
            }
            self.waiting.push((caller, waiter));
        }

        fn take(&mut self, place: usize) -> u32 {
            let (caller, waiter) = self.waiting.remove(place);
            if self.waiting.iter().all(|(other, _)| *other != caller) {
                self.turns.retain(|turn| *turn != caller);
            }
            waiter
        }

        fn next(&mut self) -> Option<u32> {
            let caller = *self.turns.first()?;
            let place = self.waiting.iter().position(|(other, _)| *other == caller)?;
            self.turns.rotate_left(1);
            Some(self.take(place))
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 10_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn turns_are_as_by_the_plain_list(steps in prop::collection::vec((0..3_u8, 0..5_u64, any::<u32>()), 1..80)) {
            let (mut queue, mut plain) = (Queue::default(), Plain::default());
            let mut tickets = HashMap::new();
            for (waiter, (step, caller, chance)) in (0..).zip(steps) {
                match step {
                    0 => {
                        tickets.insert(waiter, queue.join(caller, u64::from(waiter), waiter));
                        plain.join(caller, waiter);
                    }
                    1 => prop_assert_eq!(next(&mut queue), plain.next()),
                    _ if !plain.waiting.is_empty() => {
                        let leaves = plain.take(chance as usize % plain.waiting.len());
                        prop_assert_eq!(queue.leave(tickets[&leaves]), Some(leaves));
                    }
                    _ => {}
                }
                prop_assert_eq!(queue.len(), plain.waiting.len());
            }
            prop_assert_eq!(drain(&mut queue), std::iter::from_fn(|| plain.next()).collect::<Vec<_>>());
        }
    }
}
