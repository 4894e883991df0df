//! Drawing a candidate at random, by weight in constant time: Walker's alias method.

use super::random::Random;

/// How often to draw again when the drawn candidate is not usable, before looking at all of them.
const DRAWS: usize = 3;

/// Draws positions with probabilities in proportion to weights.
#[derive(Debug)]
pub(super) struct Draw {
    weights: Box<[u32]>,
    /// Empty when all weights are equal.
    columns: Box<[Column]>,
}

/// Of the draws that land here, those below `limit` (of 2^32) stay; the others go to `other`.
#[derive(Clone, Copy, Debug)]
struct Column {
    limit: u64,
    other: usize,
}

impl Draw {
    pub(super) fn uniform(count: usize) -> Self {
        Self { weights: vec![1; count].into(), columns: Box::default() }
    }

    pub(super) fn weighted(weights: &[u32]) -> Self {
        let equal = weights.windows(2).all(|pair| pair[0] == pair[1]);
        let columns = if equal { Box::default() } else { columns(weights) };
        Self { weights: weights.into(), columns }
    }

    /// A usable position, or none if none is. Among usable ones the weights hold.
    pub(super) fn one(&self, random: &Random, usable: &mut dyn FnMut(usize) -> bool) -> Option<usize> {
        if self.weights.is_empty() {
            return None;
        }
        for _ in 0..DRAWS {
            let position = self.any(random);
            if usable(position) {
                return Some(position);
            }
        }
        self.one_of_all(random, usable)
    }

    fn any(&self, random: &Random) -> usize {
        let position = random.below(self.weights.len() as u64) as usize;
        match self.columns.get(position) {
            Some(column) if random.next() >> 32 >= column.limit => column.other,
            _ => position,
        }
    }

    /// Looks at every position once: each usable one takes the place of the choice so far with the probability
    /// that its weight has among those seen.
    fn one_of_all(&self, random: &Random, usable: &mut dyn FnMut(usize) -> bool) -> Option<usize> {
        let mut total = 0;
        let mut chosen = None;
        for (position, &weight) in self.weights.iter().enumerate() {
            if !usable(position) {
                continue;
            }
            total += u64::from(weight);
            if random.below(total) < u64::from(weight) {
                chosen = Some(position);
            }
        }
        chosen
    }
}

/// Vose's construction in whole numbers: columns of height `total`, each filled by at most two candidates.
fn columns(weights: &[u32]) -> Box<[Column]> {
    let total: u64 = weights.iter().map(|&weight| u64::from(weight)).sum();
    let mut heights: Vec<u64> =
        weights.iter().map(|&weight| u64::from(weight) * weights.len() as u64).collect();
    let mut columns: Vec<Column> = (0..weights.len()).map(|other| Column { limit: 1 << 32, other }).collect();
    let (mut low, mut high): (Vec<usize>, Vec<usize>) =
        (0..weights.len()).partition(|&position| heights[position] < total);
    while let (Some(&giver), Some(position)) = (high.last(), low.pop()) {
        let limit = (u128::from(heights[position]) << 32) / u128::from(total);
        columns[position] = Column { limit: limit as u64, other: giver };
        heights[giver] -= total - heights[position];
        if heights[giver] < total {
            high.pop();
            low.push(giver);
        }
    }
    columns.into()
}
