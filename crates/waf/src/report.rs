//! What was found in one request: hits, and their points by category and in all.

use crate::{Category, Rule};

/// Hits kept of one request: so many block at any threshold.
pub const MOST_HITS: usize = 32;

/// Bytes kept of what a rule matched.
const LONGEST_EXCERPT: usize = 96;

/// Everything found so far; the head adds to it first, the body after.
#[derive(Debug, Default)]
pub struct Report {
    hits: Vec<Hit>,
    scores: [u32; Category::ALL.len()],
}

impl Report {
    /// The points of all rules that matched; a rule counts once.
    pub fn total(&self) -> u32 {
        self.scores.iter().sum()
    }

    /// The points of one category.
    pub fn score(&self, category: Category) -> u32 {
        self.scores[category as usize]
    }

    /// What was found, in the order in which it stands in the request.
    pub fn hits(&self) -> &[Hit] {
        &self.hits
    }

    /// Makes it as new, keeping its memory.
    pub fn clear(&mut self) {
        self.hits.clear();
        self.scores = Default::default();
    }

    /// A rule's points count at its first hit only: a list of ten suspicious values is not ten attacks.
    pub(crate) fn add(&mut self, rule: &'static Rule, place: String, matched: &[u8]) {
        if self.hits.iter().any(|hit| hit.rule.id == rule.id && hit.place == place) {
            return;
        }
        if !self.hits.iter().any(|hit| hit.rule.id == rule.id) {
            if self.hits.len() == MOST_HITS {
                return;
            }
            self.scores[rule.category as usize] += rule.severity.points();
        }
        if self.hits.len() < MOST_HITS {
            let matched = matched[..matched.len().min(LONGEST_EXCERPT)].to_vec();
            self.hits.push(Hit { rule, place, matched });
        }
    }

    /// Whether there is anything left to learn.
    pub(crate) fn is_full(&self) -> bool {
        self.hits.len() == MOST_HITS
    }
}

/// One rule that matched at one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// Which rule.
    pub rule: &'static Rule,
    /// Such as `query.id`, `header.user-agent`, `cookie.theme`, `path`, `body.items[3].name`. A name that is itself the
    /// matter has `(name)` after it.
    pub place: String,
    /// The leaf in its plain form, from a little before what matched, cut to a bounded length.
    pub matched: Vec<u8>,
}
