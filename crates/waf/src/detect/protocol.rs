//! Encodings and characters that no honest client sends in a value.

use super::{Cx, Leaf, Part, traits};
use crate::decode::Signs;
use crate::rules;

pub(crate) fn detect(leaf: &Leaf<'_>, cx: &mut Cx<'_>) {
    const SIGNS: [(Signs, &crate::Rule); 9] = [
        (Signs::NUL, rules::NUL),
        (Signs::CONTROL, rules::CONTROL),
        (Signs::BARE_CR, rules::BARE_CR),
        (Signs::OVERLONG, rules::OVERLONG),
        (Signs::PERCENT_U, rules::PERCENT_U),
        (Signs::BAD_PERCENT, rules::BAD_PERCENT),
        (Signs::TWICE, rules::TWICE),
        (Signs::ESCAPED_LETTER, rules::ESCAPED_LETTER),
        (Signs::NOT_UTF8, rules::NOT_UTF8),
    ];
    if leaf.signs != Signs::default() {
        for (sign, rule) in SIGNS {
            if leaf.signs.has(sign) {
                cx.hit(rule, leaf, 0);
            }
        }
    }
    if leaf.class.has(traits::NEWLINE) && leaf.place.part != Part::Body {
        let is_name = leaf.place.is_name || leaf.place.part == Part::Path;
        cx.hit(if is_name { rules::NEWLINE_IN_NAME } else { rules::NEWLINE }, leaf, 0);
    }
    if cx.level() >= 3 {
        strange(leaf, cx);
    }
}

/// Byte ranges, ever smaller, that a value may have at the highest levels.
fn strange(leaf: &Leaf<'_>, cx: &mut Cx<'_>) {
    if leaf.place.part == Part::Header {
        return;
    }
    let is_printable = |byte: &u8| (b' '..=b'~').contains(byte) && *byte != b'%';
    if let Some(at) = leaf.decoded.iter().position(|byte| !is_printable(byte)) {
        cx.hit(rules::UNPRINTABLE, leaf, at);
    }
    let is_usual = |byte: &u8| byte.is_ascii_alphanumeric() || b" !-./:;=?@_,&[]{}\"'*+()".contains(byte);
    if let Some(at) = leaf.decoded.iter().position(|byte| !is_usual(byte)) {
        cx.hit(rules::UNUSUAL, leaf, at);
    }
    if leaf.decoded.len() > 400 && leaf.place.part == Part::Query
        || leaf.place.is_name && leaf.decoded.len() > 100
    {
        cx.hit(rules::LONG_ARGUMENT, leaf, 0);
    }
    if leaf.place.part == Part::Query
        && leaf.decoded.windows(2).any(|two| two[0] == b'\\' && two[1].is_ascii_alphanumeric())
    {
        cx.hit(rules::UNUSUAL, leaf, 0);
    }
}
