//! What only higher paranoia levels call SQL: single operators, words and signs, which prose and names have too.

use super::grammar::{Operand, Sql};
use super::token::Kind;
use super::words;
use crate::detect::{Cx, Leaf};
use crate::rules;

/// A sign or a word of SQL, first of what follows a quote.
fn is_followed_by_sql(rest: &[u8]) -> bool {
    let rest = rest.trim_ascii_start();
    let word = &rest[..rest.iter().take_while(|byte| byte.is_ascii_alphabetic()).count()];
    matches!(rest.first(), Some(b'=' | b'<' | b'>' | b'|' | b'&' | b'+' | b'-' | b'*' | b';' | b'#'))
        || !matches!(words::kind(word), Kind::Name) && !word.is_empty()
        || rest.first().is_some_and(|byte| matches!(byte, b'\'' | b'"' | b'`'))
}

pub(super) fn detect(sql: Sql<'_>, leaf: &Leaf<'_>, cx: &mut Cx<'_>) {
    let list = sql.list;
    let has_word = |kind: Kind| list.iter().any(|token| token.kind == kind);
    let mut keywords = 0;
    for (at, token) in list.iter().enumerate() {
        let found = match token.kind {
            Kind::Function => Some(rules::SQL_LOOSE_FUNCTION),
            Kind::Name | Kind::Clause | Kind::Statement | Kind::Compare | Kind::Constant
                if words::is_function(sql.word(at)) && leads_to_bracket(sql, at) =>
            {
                Some(rules::SQL_LOOSE_FUNCTION)
            }
            Kind::Logic if sql.comparison(at + 1).is_some() || is_open_logic(sql, at) => {
                Some(rules::SQL_LOOSE_LOGIC)
            }
            Kind::Comment if sql.is_cut(at) || token.end == sql.text.len() && at > 0 => {
                Some(rules::SQL_LOOSE_COMMENT)
            }
            Kind::Number if sql.word(at).starts_with(b"0x") && sql.word(at).len() > 3 => Some(rules::SQL_HEX),
            _ => None,
        };
        if let Some(rule) = found {
            cx.hit(rule, leaf, token.start);
        }
        keywords += usize::from(matches!(
            token.kind,
            Kind::Union | Kind::Select | Kind::From | Kind::Statement | Kind::Clause
        ));
    }
    let is_operator = list.len() <= 2
        && list.iter().all(|token| matches!(token.kind, Kind::Compare | Kind::Arith | Kind::Logic))
        && list.iter().any(|token| token.end - token.start > 1);
    if is_operator {
        cx.hit(rules::SQL_OPERATOR, leaf, 0);
    }
    if keywords >= 2 || keywords == 1 && list.len() <= 3 && list.len() > 1 && has_word(Kind::Statement) {
        cx.hit(rules::SQL_LOOSE_KEYWORD, leaf, 0);
    }
    quotes(sql, leaf, cx);
    symbols(leaf, cx);
}

/// `name (`, `name = (`, `name](`: a call that is broken or filled with rubbish.
fn leads_to_bracket(sql: Sql<'_>, at: usize) -> bool {
    (at + 1..at + 6).take_while(|next| !sql.is(*next, Kind::Name)).any(|next| sql.is(next, Kind::Left))
}

fn is_open_logic(sql: Sql<'_>, at: usize) -> bool {
    let next = sql.operand(at + 1);
    next.is_some_and(|(what, end)| what != Operand::Word && (sql.is_end(end) || sql.is_cut(end)))
        || sql.kind(at + 1).is_none() && at > 0
}

/// A quote with something behind it that SQL has.
fn quotes(sql: Sql<'_>, leaf: &Leaf<'_>, cx: &mut Cx<'_>) {
    let text = sql.text;
    for quote in [b'\'', b'"', b'`'] {
        let Some(first) = text.iter().position(|byte| *byte == quote) else { continue };
        let rest = text[first + 1..].trim_ascii_start();
        if is_followed_by_sql(rest) {
            cx.hit(rules::SQL_LOOSE_QUOTE, leaf, first);
        }
        let is_odd = text.split(|byte| *byte == quote).count().is_multiple_of(2);
        if is_odd || quote == b'`' || !rest.is_empty() && first > 0 {
            cx.hit(rules::SQL_ANY_QUOTE, leaf, first);
        }
    }
}

/// Signs that are neither letters, digits, spaces nor common punctuation, counted as far as they matter.
fn symbols(leaf: &Leaf<'_>, cx: &mut Cx<'_>) {
    let is_symbol = |byte: &&u8| b"~!@#$%^&*()+=[]{}|\\:;\"'`<>?".contains(*byte);
    let count = leaf.text.iter().filter(is_symbol).take(13).count();
    let is_run = leaf
        .text
        .windows(4)
        .any(|four| four.iter().all(|byte| !byte.is_ascii_alphanumeric() && *byte > b' '));
    if count >= 12 {
        cx.hit(rules::SQL_SYMBOLS, leaf, 0);
    }
    if count >= 6 || is_run && cx.level() >= 3 {
        cx.hit(rules::SQL_MANY_SYMBOLS, leaf, 0);
    }
    if count >= 2 {
        cx.hit(rules::SQL_FEW_SYMBOLS, leaf, 0);
    }
}
