//! Rules that are a regular expression each, asked only where one of their trigger words stands in the leaf: one pass
//! of Aho-Corasick over the leaf finds all trigger words of all rules.
//!
//! Expressions are matched in time linear to the leaf; they see it in small letters.

use std::sync::LazyLock;

use aho_corasick::automaton::{Automaton as _, StateID};
use aho_corasick::dfa::DFA;
use aho_corasick::{Anchored, MatchKind, StartKind};
use regex::bytes::{Regex, RegexBuilder};

use super::code::CODE_ROWS;
use super::rows::{ROWS, SQL_WORDS, XSS_WORDS};
use super::{Cx, Leaf, Part};

/// Bits of rows whose trigger words stand in a leaf, and two more for what is tokenised.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Triggers(u128);

/// Words for which it is worth tokenising as SQL.
pub(crate) const SQL_WORD: u32 = 127;
/// Words for which it is worth reading as HTML or a script.
pub(crate) const XSS_WORD: u32 = 126;

/// Bytes of memory that one compiled expression may take.
const LARGEST_EXPRESSION: usize = 1 << 20;

impl Triggers {
    /// One pass over a leaf in small letters.
    pub(crate) fn of(low: &[u8]) -> Self {
        let Automaton { words, start, bits } = &*AUTOMATON;
        let mut found = 0;
        let mut state = *start;
        for byte in low {
            state = words.next_state(Anchored::No, state, *byte);
            if words.is_special(state) && words.is_match(state) {
                for index in 0..words.match_len(state) {
                    found |= bits[words.match_pattern(state, index).as_usize()];
                }
            }
        }
        Self(found)
    }

    pub(crate) fn has(self, bit: u32) -> bool {
        self.0 & (1 << bit) != 0
    }
}

/// One thing that is looked for.
pub(crate) struct Row {
    pub(crate) rule: &'static crate::Rule,
    pub(crate) triggers: &'static [&'static str],
    /// Kinds of bytes, one of which its matches have; 0 for any.
    pub(crate) needs: u16,
    pub(crate) expression: &'static str,
}

/// The compiled rows; each worker has its own, so that no two wait for one scratch space.
#[derive(Clone)]
pub(crate) struct Expressions(Vec<Regex>);

impl Default for Expressions {
    fn default() -> Self {
        static COMPILED: LazyLock<Vec<Regex>> = LazyLock::new(|| {
            let compile = |row: &Row| {
                let built =
                    RegexBuilder::new(row.expression).unicode(false).size_limit(LARGEST_EXPRESSION).build();
                built.expect("the rows are constants, and a test compiles them")
            };
            rows().map(compile).collect()
        });
        Self(COMPILED.clone())
    }
}

impl std::fmt::Debug for Expressions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} expressions", self.0.len())
    }
}

/// All rows, in the order of their bits.
fn rows() -> impl Iterator<Item = &'static Row> {
    ROWS.iter().chain(CODE_ROWS)
}

pub(crate) fn detect(leaf: &Leaf<'_>, cx: &mut Cx<'_>) {
    let mut left = leaf.triggers.0 & ((1 << (ROWS.len() + CODE_ROWS.len())) - 1);
    while left != 0 {
        let index = left.trailing_zeros() as usize;
        left &= left - 1;
        let row = ROWS.get(index).unwrap_or_else(|| &CODE_ROWS[index - ROWS.len()]);
        if row.rule.paranoia > cx.level()
            || row.needs != 0 && !leaf.class.has(row.needs)
            || row.rule.category == crate::Category::Scanner && leaf.place.part != Part::Header
        {
            continue;
        }
        // Commands of Unix are in small letters, and headlines begin with a capital one.
        let is_command = row.rule.id == crate::rules::SHELL_OPTION.id;
        if is_command && (leaf.text.iter().take(12).any(u8::is_ascii_uppercase) || is_of_developers(leaf.low))
        {
            continue;
        }
        if let Some(found) = cx.scratch.expressions.0[index].find(leaf.low) {
            cx.hit(row.rule, leaf, found.start());
        }
    }
}

#[rustfmt::skip]
const DEVELOPERS: &[&[u8]] = &[
    b"git", b"npm", b"npx", b"yarn", b"docker", b"cargo", b"pip", b"go", b"make", b"mvn", b"gradle", b"brew", b"java", b"node", b"rustc", b"helm",
];

/// Tools that people write about more than anybody attacks with them.
fn is_of_developers(low: &[u8]) -> bool {
    let word = &low[..low.iter().take_while(|byte| byte.is_ascii_alphanumeric()).count()];
    DEVELOPERS.contains(&word)
}

struct Automaton {
    words: DFA,
    start: StateID,
    /// For each word, the rows that it triggers.
    bits: Vec<u128>,
}

static AUTOMATON: LazyLock<Automaton> = LazyLock::new(|| {
    let mut words: Vec<&str> = Vec::new();
    let mut bits: Vec<u128> = Vec::new();
    let rows = rows().map(|row| row.triggers).zip(0..);
    for (triggers, bit) in rows.chain([(SQL_WORDS, SQL_WORD), (XSS_WORDS, XSS_WORD)]) {
        for word in triggers {
            if let Some(at) = words.iter().position(|other| other == word) {
                bits[at] |= 1 << bit;
            } else {
                words.push(word);
                bits.push(1 << bit);
            }
        }
    }
    let words = DFA::builder()
        .match_kind(MatchKind::Standard)
        .start_kind(StartKind::Unanchored)
        .prefilter(false)
        .build(words)
        .expect("the words are constants, and a test compiles them");
    let start = words.start_state(Anchored::No).expect("it is built to start unanchored");
    Automaton { words, start, bits }
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_compiles_and_can_be_triggered() {
        assert!(rows().count() < XSS_WORD as usize);
        assert_eq!(Expressions::default().0.len(), rows().count());
        for row in rows() {
            assert!(!row.triggers.is_empty(), "{}", row.rule.name);
            assert!(row.triggers.iter().all(|word| word.to_ascii_lowercase() == **word), "{}", row.rule.name);
        }
        assert!(Triggers::of(b"a union select b").has(SQL_WORD));
        assert_eq!(Triggers::of(b"hello"), Triggers::default());
    }
}
