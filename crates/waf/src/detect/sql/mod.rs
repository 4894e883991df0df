//! SQL injection: the value is tokenised from outside of quotes and from within each kind of quote, as the database
//! would read it where the value lands, and judged by whether it then continues a query. Prose does not.

mod call;
mod comparison;
mod grammar;
mod judge;
mod loose;
mod quoted;
mod signs;
mod statement;
mod token;
mod whole;
mod words;

use super::{Cx, Leaf, Part, traits};
use crate::rules;
pub(crate) use token::Tokens;

use grammar::Sql;

/// Longest part of a value that is tokenised, from its start.
const MOST_BYTES: usize = 4096;

/// Looks for SQL in a value.
pub(crate) fn detect(leaf: &Leaf<'_>, cx: &mut Cx<'_>) {
    let mut tokens = std::mem::take(&mut cx.scratch.tokens);
    let text = &leaf.low[..leaf.low.len().min(MOST_BYTES)];
    // The end of a line behind a value is no part of it.
    let end =
        text.iter().rposition(|byte| !matches!(byte, b'\r' | b'\n')).map_or(text.len(), |last| last + 1);
    let text = &text[..end];
    let has_word = leaf.triggers.has(super::pattern::SQL_WORD);
    let has_sign = leaf.class.has(traits::QUOTE | traits::OPERATOR | traits::BRACKET | traits::HASH);
    // `1 or true` has neither.
    let is_short = text.len() <= 64 && leaf.class.has(traits::SPACE);
    let is_number_first = is_short && text[0].is_ascii_digit();
    let is_word_first = is_short && {
        let start = text.trim_ascii_start();
        [b"or ".as_slice(), b"and ", b"xor ", b"is ", b"like ", b"between ", b"case "]
            .iter()
            .any(|word| start.starts_with(word))
    };
    // `/a or`.
    let is_word_last = is_short
        && text[0] == b'/'
        && [b" or".as_slice(), b" and"].iter().any(|word| text.trim_ascii_end().ends_with(word));
    if has_word || is_number_first || is_word_first || is_word_last || has_sign && text.len() > 1 {
        // A name with a value in it, as encoded equals signs make them.
        let name = text.iter().take_while(|byte| token::is_word(**byte)).count();
        let is_pair = leaf.place.is_name && text.get(name) == Some(&b'=') && text[0].is_ascii_alphabetic();
        tokens.read(text, if is_pair { name + 1 } else { 0 });
        judge::outside(Sql { text, list: &tokens.list }, &tokens, leaf, cx);
    }
    let is_odd_cookie = leaf.place.part == Part::Cookie && !leaf.place.is_name && signs::is_odd_cookie(text);
    if is_odd_cookie || has_sign && text[0].is_ascii_punctuation() && signs::is_filling(text) {
        cx.hit(rules::SQL_SIGNS, leaf, 0);
    }
    if leaf.class.has(traits::QUOTE) {
        for quote in [b'\'', b'"', b'`'] {
            let Some(first) = text.iter().position(|byte| *byte == quote) else { continue };
            tokens.read(text, first + 1);
            quoted::judge(Sql { text, list: &tokens.list }, first, leaf, cx);
        }
    }
    if cx.level() >= 2 {
        tokens.read(text, 0);
        loose::detect(Sql { text, list: &tokens.list }, leaf, cx);
    }
    cx.scratch.tokens = tokens;
}
