//! Endpoints in turn: a cursor when all weights are equal, else a queue of due turns (stride scheduling), which
//! spreads the turns of a heavy endpoint evenly between the others' and costs the logarithm of their number.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

use super::random::{Random, mix};

/// How far apart the turns of the heaviest endpoint are; a lighter one's are apart by that much more.
/// With 64 bits of time and the heaviest of n endpoints in every n-th pick, it runs out after 2^47 picks.
const SHORTEST_STRIDE: u64 = 1 << 16;

/// The fractional part of the golden ratio, of 2^64: multiples of it fall far from each other.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

#[derive(Debug)]
pub(super) enum Rotation {
    Equal { count: usize, cursor: Cell<usize> },
    Weighted(RefCell<Schedule>),
}

#[derive(Debug)]
pub(super) struct Schedule {
    turns: BinaryHeap<Reverse<Turn>>,
    strides: Box<[u64]>,
    /// Turns of unusable endpoints during a pick; empty between picks, with room for all.
    passed_over: Vec<Turn>,
}

/// Ordered by time, then position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Turn {
    due: u64,
    position: usize,
}

impl Rotation {
    pub(super) fn new(weights: &[u32], seed: u64, worker: usize, random: &Random) -> Self {
        if weights.windows(2).all(|pair| pair[0] == pair[1]) {
            let count = weights.len();
            let start = (mix(seed) >> 32) as usize + worker;
            return Self::Equal { count, cursor: Cell::new(start % count.max(1)) };
        }
        Self::Weighted(RefCell::new(Schedule::new(weights, random.next())))
    }

    /// The next usable position, or none if none is.
    pub(super) fn next(&self, usable: &mut dyn FnMut(usize) -> bool) -> Option<usize> {
        match self {
            Self::Equal { count, cursor } => {
                let start = cursor.get();
                let position = (start..*count).chain(0..start).find(|&position| usable(position))?;
                // On from the one that was picked, not from where the search began: otherwise the successor of
                // an unusable endpoint would get its turns too.
                cursor.set(if position + 1 == *count { 0 } else { position + 1 });
                Some(position)
            }
            Self::Weighted(schedule) => schedule.borrow_mut().next(usable),
        }
    }
}

impl Schedule {
    fn new(weights: &[u32], start: u64) -> Self {
        let heaviest = weights.iter().copied().max().unwrap_or(1);
        let strides: Box<[u64]> = weights
            .iter()
            .map(|&weight| u64::from(heaviest) * SHORTEST_STRIDE / u64::from(weight.max(1)))
            .collect();
        let mut turns = BinaryHeap::with_capacity(weights.len());
        for (position, &stride) in strides.iter().enumerate() {
            let fraction = start.wrapping_add(GOLDEN.wrapping_mul(position as u64));
            let due = ((u128::from(stride) * u128::from(fraction)) >> 64) as u64;
            turns.push(Reverse(Turn { due, position }));
        }
        Self { turns, strides, passed_over: Vec::with_capacity(weights.len()) }
    }

    fn next(&mut self, usable: &mut dyn FnMut(usize) -> bool) -> Option<usize> {
        let mut picked = None;
        while let Some(mut first) = self.turns.peek_mut() {
            let turn = first.0;
            if usable(turn.position) {
                first.0.due += self.strides[turn.position];
                picked = Some(turn);
                break;
            }
            PeekMut::pop(first);
            self.passed_over.push(turn);
        }
        // Time has gone on for those passed over: they lose the turns that they could not take, and do not make
        // up for them in a burst.
        for turn in self.passed_over.drain(..) {
            let due = picked.map_or(turn.due, |picked| picked.due);
            self.turns.push(Reverse(Turn { due, ..turn }));
        }
        picked.map(|turn| turn.position)
    }
}
