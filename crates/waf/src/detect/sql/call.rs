//! Calls of functions that an attack makes, or that were cut from a query.

use super::grammar::{Operand, Sql};
use super::token::{Kind, is_word};
use super::words;

/// `sleep(5)` where an expression may stand; not `time.sleep(5)` and not in the middle of prose.
pub(super) fn is_attack_call(sql: Sql<'_>, at: usize) -> bool {
    let word = sql.word(at);
    let is_name = words::is_attack_function(word);
    let is_of_package = words::is_package(word) && sql.is(at + 1, Kind::Dot) && sql.is(at + 3, Kind::Left);
    let is_called =
        sql.is(at + 1, Kind::Left) || is_of_package || word.starts_with(b"xp_") || word.starts_with(b"utl_");
    if !(is_name && is_called) {
        return false;
    }
    let is_touched = sql.list.get(at + 1).is_some_and(|next| next.start == sql.list[at].end);
    let follows_name = at > 0 && matches!(sql.kind(at - 1), Some(Kind::Name | Kind::Other | Kind::Arith));
    // "a benchmark (Anna)", "the function randomblob()".
    let is_empty = sql.is(at + 2, Kind::Right);
    let is_named =
        sql.is(at + 2, Kind::Name) && !is_touched || is_empty && (follows_name || sql.is(at + 3, Kind::Name));
    if is_named && sql.is(at + 1, Kind::Left) {
        return false;
    }
    if !matches!(word, b"sleep" | b"elt" | b"likely" | b"unlikely" | b"compress" | b"zipfile") {
        return true;
    }
    let is_second = at == 2 && sql.is(0, Kind::Number) && sql.is(1, Kind::Semicolon);
    let is_placed = at == 0
        || is_second
        || matches!(
            sql.kind(at - 1),
            Some(
                Kind::Select
                    | Kind::Logic
                    | Kind::Comma
                    | Kind::Left
                    | Kind::Text
                    | Kind::Compare
                    | Kind::Bracket
            )
        );
    // `sleep()` and `sleep(ms)` are scripts' own; databases take a number.
    let is_empty = is_empty || sql.is(at + 2, Kind::Name) && sql.is(at + 3, Kind::Right);
    let is_unix = sql.is(at + 3, Kind::Right) && sql.kind(at + 4).is_some_and(|kind| kind == Kind::Semicolon);
    is_placed && !is_empty && !is_unix
}

/// Text written in numbers: `char(97)+char(98)`, `concat(0x27, x)`.
pub(super) fn is_coded(sql: Sql<'_>, at: usize) -> bool {
    let is_char = |at: usize| matches!(sql.word(at), b"char" | b"chr" | b"nchar" | b"concat" | b"concat_ws");
    let is_number = |at: usize| sql.is(at, Kind::Left) && sql.is(at + 1, Kind::Number);
    let is_hex = sql.word(at + 2).starts_with(b"0x") && sql.word(at + 2).len() > 3;
    is_char(at)
        && is_number(at + 1)
        && (is_hex
            || is_list_of_numbers(sql, at + 2)
            || (at + 4..(at + 8).min(sql.list.len())).any(|next| is_char(next) && is_number(next + 1)))
}

/// `if(1=1, x, y)`: what is compared is not data.
pub(super) fn is_choice(sql: Sql<'_>, at: usize) -> bool {
    matches!(sql.word(at), b"if" | b"iif")
        && sql.is(at + 1, Kind::Left)
        && sql.comparison(at + 2).is_some_and(|(left, right, end)| {
            left != Operand::Word && right.is_some() && sql.is(end, Kind::Comma)
        })
}

/// The value ends in a call of an SQL function that is not closed: it was cut from a query.
pub(super) fn is_cut_call(sql: Sql<'_>) -> bool {
    if is_broken_call(sql.text) {
        return true;
    }
    let count = |kind| sql.list.iter().filter(|token| token.kind == kind).count();
    let has_call =
        sql.list.windows(2).any(|pair| pair[0].kind == Kind::Function && pair[0].end == pair[1].start);
    let has_comment = sql.list.last().is_some_and(|last| last.kind == Kind::Comment);
    if has_call && !has_comment && sql.list.len() <= 16 && count(Kind::Left) > count(Kind::Right) {
        return true;
    }
    let Some(last) = sql.list.len().checked_sub(1) else { return false };
    if !sql.is(last, Kind::Left) || last > 24 {
        return false;
    }
    let Some(name) = (0..last).rev().take(6).find(|at| {
        matches!(
            sql.kind(*at),
            Some(
                Kind::Function
                    | Kind::Name
                    | Kind::Constant
                    | Kind::Clause
                    | Kind::Statement
                    | Kind::Arith
                    | Kind::Compare
            )
        ) && sql.word(*at).first().is_some_and(u8::is_ascii_alphabetic)
    }) else {
        return false;
    };
    let is_short = last <= 3 || last <= 8 && name == 0;
    words::is_function(sql.word(name))
        && (is_short || sql.list[..last].iter().any(|t| t.kind == Kind::Select))
}

/// `min+(`, `in '$(`: a function's name, and nothing but signs up to a last bracket.
fn is_broken_call(text: &[u8]) -> bool {
    let Some(rest) = text.trim_ascii().strip_suffix(b"(") else { return false };
    let name = rest.iter().take_while(|byte| is_word(**byte)).count();
    let (name, signs) = rest.split_at(name);
    signs.len() <= 8
        && !signs.iter().any(u8::is_ascii_alphanumeric)
        && (words::is_function(name) || matches!(name, b"in" | b"like"))
}

/// `97,98,99`: letters by their numbers.
fn is_list_of_numbers(sql: Sql<'_>, at: usize) -> bool {
    (0..5).all(|index| sql.is(at + index, if index % 2 == 0 { Kind::Number } else { Kind::Comma }))
}
