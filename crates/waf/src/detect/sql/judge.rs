//! What is an attack and what is prose, at the lowest paranoia level.

use super::grammar::{Operand, Sql};
use super::token::{Kind, Tokens};
use super::words;
use crate::detect::{Cx, Leaf};
use crate::rules;

/// The value stands in the query as it is: after `id=`, say.
pub(super) fn outside(sql: Sql<'_>, tokens: &Tokens, leaf: &Leaf<'_>, cx: &mut Cx<'_>) {
    let list = sql.list;
    let mut keywords = 0;
    for (at, token) in list.iter().enumerate() {
        let found = match token.kind {
            Kind::Union => is_union(sql, at).then_some(rules::SQL_UNION),
            Kind::Select => subselect(sql, at),
            Kind::Logic => is_condition(sql, at).then_some(rules::SQL_TAUTOLOGY),
            Kind::Function if is_coded(sql, at) || is_choice(sql, at) => Some(rules::SQL_FUNCTION),
            Kind::Function | Kind::Name => is_attack_call(sql, at).then_some(rules::SQL_FUNCTION),
            Kind::Statement => statement(sql, at),
            Kind::Variable => {
                let is_named =
                    at > 0 && matches!(sql.kind(at - 1), Some(Kind::Name | Kind::Logic | Kind::Other));
                (!is_named && is_system_variable(sql.word(at))).then_some(rules::SQL_SCHEMA)
            }
            Kind::Cast => is_cast(sql, at, leaf).then_some(rules::SQL_CAST),
            Kind::Clause | Kind::From => is_clause(sql, at).then_some(rules::SQL_CLAUSE),
            Kind::Compare => is_lone_comparison(sql, at).then_some(rules::SQL_TAUTOLOGY),
            _ => None,
        };
        if let Some(rule) = found {
            cx.hit(rule, leaf, token.start);
        }
        keywords += usize::from(matches!(
            token.kind,
            Kind::Union
                | Kind::Select
                | Kind::From
                | Kind::Statement
                | Kind::Logic
                | Kind::Function
                | Kind::Clause
        ));
    }
    if tokens.has_executed_comment || tokens.inline_comments > 0 && keywords > 0 && list.len() > 1 {
        cx.hit(rules::SQL_COMMENT, leaf, 0);
    }
    if is_cut_call(sql) {
        cx.hit(rules::SQL_FRAGMENT, leaf, 0);
    }
}

/// UNION [ALL] SELECT, EXCEPT VALUES.
pub(super) fn is_union(sql: Sql<'_>, at: usize) -> bool {
    let mut at = at + 1;
    while matches!(sql.kind(at), Some(Kind::Quantifier | Kind::Unary | Kind::Left)) {
        at += 1;
    }
    match sql.kind(at) {
        // "Student union, select bar": columns, not prose.
        Some(Kind::Select) => {
            !sql.is(at + 1, Kind::Name)
                || matches!(
                    sql.kind(at + 2),
                    None | Some(
                        Kind::Comma | Kind::From | Kind::Comment | Kind::Left | Kind::Dot | Kind::Semicolon
                    )
                )
        }
        Some(Kind::Function | Kind::Clause) => sql.word(at) == b"values" && sql.is(at + 1, Kind::Left),
        _ => false,
    }
}

/// SELECT as a statement, or within brackets.
fn subselect(sql: Sql<'_>, at: usize) -> Option<&'static crate::Rule> {
    let is_in_brackets = at > 0 && sql.is(at - 1, Kind::Left);
    if is_in_brackets {
        let is_call = sql.is(at + 1, Kind::Function) && sql.is(at + 2, Kind::Left);
        // Cut off right after it: `and (select`, `@.= ( SELECT`.
        let is_cut = at > 1 && sql.kind(at + 1).is_none();
        return (sql.is_select(at) || is_call || is_cut).then_some(rules::SQL_SUBSELECT);
    }
    let leads = at == 0 || sql.is(at - 1, Kind::Semicolon);
    if leads && sql.is_select(at) {
        let is_plain =
            at == 0
                && sql.list.iter().skip(1).all(|token| {
                    !matches!(token.kind, Kind::Comment | Kind::Open | Kind::Union | Kind::Select)
                })
                && sql.list.iter().any(|token| token.kind == Kind::From)
                && is_balanced(sql);
        return Some(if is_plain { rules::SQL_LONE_STATEMENT } else { rules::SQL_STATEMENT });
    }
    let next = sql.word(at + 1);
    let is_attack =
        words::is_attack_function(next) && (sql.is(at + 1, Kind::Function) || next.contains(&b'_'));
    let is_cut = at > 0 && leads && sql.list.len() == 2;
    ((is_attack || is_cut) && leads).then_some(rules::SQL_STATEMENT)
}

fn is_balanced(sql: Sql<'_>) -> bool {
    let count = |kind| sql.list.iter().filter(|token| token.kind == kind).count();
    count(Kind::Left) == count(Kind::Right)
}

/// AND or OR with a comparison that is none of prose: `1 or 1=1`; where the value begins with it, also `and a = 'b`.
fn is_condition(sql: Sql<'_>, at: usize) -> bool {
    let next = at + 1 + usize::from(sql.is(at + 1, Kind::Unary) && sql.word(at + 1) != b"!");
    let is_first = at == 0;
    // `x or /`, `&& !x` of a script have words only.
    let follows = at > 0 && is_operand_end(sql, at - 1);
    if follows && is_certain(sql, at, next) {
        return true;
    }
    let Some((left, right, end)) = sql.comparison(next) else {
        let Some((what, end)) = sql.operand(next) else { return false };
        // `|| true`, `or 1#`, `or true--` behind an operand or at the start.
        let is_solid = matches!(what, Operand::Solid | Operand::Open);
        return match what {
            Operand::Solid if sql.is_cut(end) => true,
            // `or '1'`, `and '5'x`: a number in quotes.
            Operand::Solid if is_first && sql.is(next, Kind::Text) => {
                let text = sql.word(next);
                text.len() > 2 && text[1..text.len() - 1].iter().all(u8::is_ascii_digit)
            }
            Operand::Solid if sql.is(next, Kind::Constant) => {
                at == 1 && sql.is(0, Kind::Number) && sql.is_end(end)
            }
            Operand::Call if is_first && sql.is(next, Kind::Left) => {
                is_group(sql, next) || !is_sign(sql.word(at)) && sql.is_cut(end)
            }
            Operand::Call if sql.is(next, Kind::Function) => {
                words::is_attack_function(sql.word(next)) && !matches!(sql.word(at), b"||" | b"&&")
                    || sql.is_cut(end)
            }
            _ => is_solid && is_first && !is_sign(sql.word(at)) && sql.is(end, Kind::Comment),
        };
    };
    let has_sign = sql.has_sign(next, end);
    // `5 > 3 and 2 < 4` is a condition by itself, not one that is added to another.
    let is_between = !is_first && is_operand_end(sql, at - 1) && !sql.has_sign(0, at);
    if is_first && sql.is(next, Kind::Text) && has_sign && right.is_some() {
        return true;
    }
    match (left, right) {
        // A script's conditions have words or calls on the left and are balanced; they are not first.
        (_, None) => {
            let is_open = sql.kind(end).is_some() || is_sign(sql.word(at)) || left != Operand::Word;
            is_first && has_sign && is_open && is_followed_by_quote_or_end(sql, end)
        }
        (Operand::Solid, Some(Operand::Solid | Operand::Open)) => has_sign && (is_first || is_between),
        (Operand::Open | Operand::Call, Some(Operand::Solid | Operand::Open | Operand::Call)) => {
            has_sign && !is_sign(sql.word(at)) && (is_first || is_between || sql.ends_cut())
        }
        (Operand::Word, Some(Operand::Open)) => is_first && has_sign,
        // `and uid!=(`: cut off.
        (Operand::Word, Some(Operand::Call))
            if is_first && has_sign && sql.is(sql.list.len() - 1, Kind::Left) =>
        {
            true
        }
        (Operand::Word, Some(right)) => {
            let is_same = sql.word(next) == sql.word(end.saturating_sub(1)) && end == next + 3;
            let starts_with_number = sql.is(0, Kind::Number) && at == 1 && !is_sign(sql.word(at));
            is_same && has_sign && is_between
                || right != Operand::Word && has_sign && starts_with_number
                || sql.ends_cut() && has_sign && !is_sign(sql.word(at))
                || is_first && has_sign && right == Operand::Solid && !is_sign(sql.word(at))
        }
        (Operand::Solid, Some(Operand::Word | Operand::Call)) => {
            has_sign && is_between && sql.is(0, Kind::Number) && !is_sign(sql.word(at))
        }
        _ => false,
    }
}

/// What follows AND, OR or XOR holds or fails whatever the data: `1=1`, `(1=1`, `1 like 1`.
fn is_certain(sql: Sql<'_>, at: usize, next: usize) -> bool {
    if sql.word(at) == b"xor" && matches!(sql.kind(next), Some(Kind::Number | Kind::Text | Kind::Open)) {
        return true;
    }
    let Some((left, Some(right), end)) = sql.inner_comparison(next) else { return false };
    let start = next + sql.list[next..].iter().take_while(|token| token.kind == Kind::Left).count();
    let operator = sql.word(start + 1);
    let is_like = matches!(operator, b"like" | b"rlike" | b"regexp" | b"glob");
    let is_equal =
        sql.word(start) == sql.word(start + 2) && end == start + 3 && (operator == b"=" || is_like);
    let is_solid = left == Operand::Solid && matches!(right, Operand::Solid | Operand::Open);
    is_equal && left == Operand::Solid
        || start > next && is_solid && sql.has_sign(start, end)
        || is_like && is_solid && is_operand_end(sql, at - 1)
}

pub(super) fn is_sign(word: &[u8]) -> bool {
    !word.first().is_some_and(u8::is_ascii_alphabetic)
}

/// Within a first bracket: a comparison or a negation that is not finished.
fn is_group(sql: Sql<'_>, at: usize) -> bool {
    sql.comparison(at + 1).is_some_and(|(_, _, end)| sql.has_sign(at + 1, end))
}

fn is_followed_by_quote_or_end(sql: Sql<'_>, at: usize) -> bool {
    sql.kind(at).is_none() || matches!(sql.kind(at), Some(Kind::Left | Kind::Open | Kind::Bracket))
}

fn is_operand_end(sql: Sql<'_>, at: usize) -> bool {
    matches!(
        sql.kind(at),
        Some(Kind::Number | Kind::Text | Kind::Name | Kind::Right | Kind::Constant | Kind::Variable)
    )
}

/// `sleep(5)` where an expression may stand; not `time.sleep(5)` and not in the middle of prose.
fn is_attack_call(sql: Sql<'_>, at: usize) -> bool {
    let word = sql.word(at);
    let is_name = words::is_attack_function(word);
    let is_called = sql.is(at + 1, Kind::Left) || word.starts_with(b"xp_") || word.starts_with(b"utl_");
    if !(is_name && is_called) {
        return false;
    }
    if !matches!(word, b"sleep" | b"elt" | b"likely" | b"unlikely" | b"compress" | b"zipfile") {
        return true;
    }
    let is_placed = at == 0
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
    let is_empty = sql.is(at + 2, Kind::Right) || sql.is(at + 2, Kind::Name) && sql.is(at + 3, Kind::Right);
    let is_unix = sql.is(at + 3, Kind::Right) && sql.kind(at + 4).is_some_and(|kind| kind == Kind::Semicolon);
    is_placed && !is_empty && !is_unix
}

/// Text written in numbers: `char(97)+char(98)`, `concat(0x27, x)`.
fn is_coded(sql: Sql<'_>, at: usize) -> bool {
    let is_char = |at: usize| matches!(sql.word(at), b"char" | b"chr" | b"nchar" | b"concat" | b"concat_ws");
    let is_number = |at: usize| sql.is(at, Kind::Left) && sql.is(at + 1, Kind::Number);
    let is_hex = sql.word(at + 2).starts_with(b"0x") && sql.word(at + 2).len() > 3;
    is_char(at)
        && is_number(at + 1)
        && (is_hex || (at + 4..(at + 8).min(sql.list.len())).any(|next| is_char(next) && is_number(next + 1)))
}

/// `if(1=1, x, y)`: what is compared is not data.
fn is_choice(sql: Sql<'_>, at: usize) -> bool {
    matches!(sql.word(at), b"if" | b"iif")
        && sql.is(at + 1, Kind::Left)
        && sql.comparison(at + 2).is_some_and(|(left, right, end)| {
            left != Operand::Word && right.is_some() && sql.is(end, Kind::Comma)
        })
}

/// Statements at the start, or behind a semicolon.
pub(super) fn statement(sql: Sql<'_>, at: usize) -> Option<&'static crate::Rule> {
    let is_stacked = at > 0 && sql.is(at - 1, Kind::Semicolon);
    let leads = at == 0 || is_stacked || matches!(sql.kind(at - 1), Some(Kind::Open | Kind::Text));
    let next = sql.word(at + 1);
    let is_named = matches!(sql.kind(at + 1), Some(Kind::Name)) && !words::is_article(next);
    let is_whole =
        |from: usize| sql.kind(from).is_none() || sql.is(from, Kind::Semicolon) || sql.is_cut(from);
    let rule = if is_stacked { rules::SQL_STACKED } else { rules::SQL_STATEMENT };
    let is_hit = match sql.word(at) {
        b"exec" | b"execute" | b"call" => {
            sql.is(at + 1, Kind::Variable)
                || next == b"immediate"
                || next == b"master"
                || next.starts_with(b"sp_") && next.len() > 4
                || next.starts_with(b"xp_")
                || leads
                    && sql.is(at + 1, Kind::Left)
                    && matches!(sql.kind(at + 2), Some(Kind::Text | Kind::Variable))
        }
        b"declare" | b"set" => leads && sql.is(at + 1, Kind::Variable),
        b"waitfor" => {
            matches!(next, b"delay" | b"time") && matches!(sql.kind(at + 2), Some(Kind::Text | Kind::Open))
        }
        b"shutdown" => is_stacked && is_whole(at + 1),
        b"insert" | b"replace"
            if next == b"into" && matches!(sql.kind(at + 2), Some(Kind::Name | Kind::Text)) =>
        {
            let has_values = sql
                .list
                .iter()
                .skip(at + 2)
                .any(|token| matches!(&sql.text[token.start..token.end], b"values" | b"select"));
            if !is_stacked && leads && has_values && is_balanced(sql) {
                return Some(rules::SQL_LONE_STATEMENT);
            }
            is_stacked || leads && has_values
        }
        b"insert" | b"replace" => is_stacked && is_named && sql.is(at + 2, Kind::Left),
        b"delete" if sql.is(at + 1, Kind::From) => {
            let end = at + 3;
            let has_where = sql.word(end) == b"where";
            if leads && !is_stacked && sql.is_table(at + 2) && has_where && !sql.ends_cut() {
                return Some(rules::SQL_LONE_STATEMENT);
            }
            leads && sql.is_table(at + 2) && (is_whole(end) || has_where)
        }
        b"update" => {
            let sets = sql.word(at + 2) == b"set" && matches!(sql.kind(at + 4), Some(Kind::Compare));
            if is_named && leads && sets && !is_stacked {
                return Some(rules::SQL_LONE_STATEMENT);
            }
            is_named && is_stacked && (sets || is_whole(at + 2))
        }
        b"drop" | b"alter" | b"create" | b"truncate" => {
            let is_object = matches!(
                next,
                b"table"
                    | b"database"
                    | b"schema"
                    | b"view"
                    | b"index"
                    | b"procedure"
                    | b"function"
                    | b"trigger"
                    | b"user"
                    | b"login"
                    | b"role"
            );
            let mut end = at + 2;
            while matches!(sql.kind(end), Some(Kind::Statement | Kind::Unary | Kind::Function)) {
                end += 1;
            }
            let is_drop = sql.word(at) != b"create"
                || matches!(next, b"procedure" | b"function") && sql.is(end + 1, Kind::Left);
            let has_name = matches!(sql.kind(end), Some(Kind::Name | Kind::Text));
            is_object && has_name && (is_stacked || leads && is_drop && sql.is_cut(end + 1))
                || is_named && leads && is_drop && sql.is_cut(at + 2)
                || is_named && leads && is_drop && has_comment_at(sql, at)
        }
        b"copy" => leads && is_named && sql.is(at + 2, Kind::From) && next != b"text",
        b"load" => {
            next == b"data"
                && (at + 3..at + 5).any(|at| matches!(sql.kind(at), Some(Kind::Text | Kind::Open)))
        }
        b"if" => {
            leads
                && (sql.is(at + 1, Kind::Left)
                    && sql.comparison(at + 2).is_some_and(|(left, right, end)| {
                        left == Operand::Call && right.is_some() && sql.is(end, Kind::Comma)
                            || matches!(left, Operand::Solid) && sql.is(end, Kind::Comma)
                    })
                    || sql.is(at + 1, Kind::Function) && next == b"exists" && sql.is(at + 3, Kind::Select))
        }
        b"use" | b"attach" | b"grant" | b"revoke" | b"merge" | b"pragma" => {
            is_stacked && is_named && is_whole(at + 2)
        }
        _ => false,
    };
    is_hit.then_some(rule)
}

/// Whether a comment stood between a statement and its object.
fn has_comment_at(sql: Sql<'_>, at: usize) -> bool {
    let (Some(one), Some(next)) = (sql.list.get(at), sql.list.get(at + 1)) else { return false };
    sql.text[one.end..next.start].starts_with(b"/*")
}

/// `@@version` and what else tells an attacker about the database.
fn is_system_variable(word: &[u8]) -> bool {
    word.strip_prefix(b"@@").is_some_and(|name| {
        matches!(
            name,
            b"version" | b"hostname" | b"datadir" | b"basedir" | b"servername" | b"language" | b"identity"
        ) || name.starts_with(b"global.")
            || name.starts_with(b"session.")
            || name.starts_with(b"version_")
            || name.starts_with(b"microsoft")
    })
}

/// `x::int` that ends the value or goes on as SQL; not a path of a program.
fn is_cast(sql: Sql<'_>, at: usize, leaf: &Leaf<'_>) -> bool {
    let Some(name) = sql.list.get(at + 1) else { return false };
    if at == 0
        || !words::is_type(sql.word(at + 1))
        || sql.is(at + 2, Kind::Left)
        || sql.is(at + 2, Kind::Cast)
    {
        return false;
    }
    // `Kind::Text` of a program has a capital letter.
    let typed = &leaf.text[name.start..name.end];
    let is_same_case = typed.iter().all(u8::is_ascii_lowercase) || typed.iter().all(u8::is_ascii_uppercase);
    match sql.kind(at - 1) {
        Some(Kind::Text | Kind::Right | Kind::Open) => true,
        Some(Kind::Name | Kind::Constant | Kind::Number) => {
            is_same_case
                && (sql.is_end(at + 2)
                    || sql.is_cut(at + 2)
                    || matches!(
                        sql.kind(at + 2),
                        Some(Kind::Logic | Kind::Compare | Kind::Arith | Kind::Dot)
                    ))
        }
        _ => false,
    }
}

/// Clauses that continue a query which began before the value.
fn is_clause(sql: Sql<'_>, at: usize) -> bool {
    let next = sql.word(at + 1);
    let is_led = at > 0 && matches!(sql.kind(at - 1), Some(Kind::Number | Kind::Text | Kind::Right));
    match sql.word(at) {
        b"from" => {
            next == b"information_schema"
                || next.starts_with(b"`")
                || sql.is(at + 1, Kind::Left) && sql.is(at + 2, Kind::Select)
                || at == 0
                    && sql.is_table(at + 1)
                    && sql
                        .list
                        .iter()
                        .any(|t| matches!(&sql.text[t.start..t.end], b"limit" | b"where" | b"group"))
                    && !sql.list.iter().skip(1).any(|t| t.kind == Kind::Other)
        }
        b"order" | b"group" if next == b"by" => {
            sql.is(at + 2, Kind::Number) && (sql.is_cut(at + 3) || is_led && sql.is_end(at + 3))
                || (is_led || at == 0) && sql.is(at + 2, Kind::Function)
                || sql.list.len() == 2
        }
        b"having" => {
            (at == 0 || is_led)
                && sql
                    .comparison(at + 1)
                    .is_some_and(|(left, _, end)| left != Operand::Word && sql.has_sign(at, end))
        }
        b"into" => {
            matches!(next, b"outfile" | b"dumpfile") && sql.kind(at + 2).is_some()
                || is_led && sql.is(at + 1, Kind::Variable)
        }
        b"procedure" => next == b"analyse" && sql.is(at + 2, Kind::Left),
        b"limit" => is_led && sql.is(at + 1, Kind::Number) && sql.is_cut(at + 2),
        // `) as user from`, `x as "y" from`.
        b"as" => {
            let from = at + 2;
            sql.is(from, Kind::From)
                && at > 0
                && (sql.is(from + 1, Kind::Name)
                    && sql.is(at + 1, Kind::Text)
                    && !words::is_article(sql.word(from + 1))
                    || sql.kind(from + 1).is_none())
        }
        _ => false,
    }
}

/// `1=1`, `11!=1`, and `in (1,2)` as the whole value.
fn is_lone_comparison(sql: Sql<'_>, at: usize) -> bool {
    let list = sql.list;
    match sql.word(at) {
        b"in" => {
            at <= 1
                && sql.is(at + 1, Kind::Left)
                && sql.is(at + 2, Kind::Number)
                && sql.is(at + 3, Kind::Comma)
                && sql.is(at + 4, Kind::Number)
                || at > 0
                    && is_operand_end(sql, at - 1)
                    && sql.is(at + 1, Kind::Left)
                    && sql.is(at + 2, Kind::Select)
        }
        b"is" => {
            let end = at + 1 + usize::from(sql.is(at + 1, Kind::Unary));
            at == 1
                && matches!(sql.kind(0), Some(Kind::Number | Kind::Text))
                && sql.word(end) == b"null"
                && sql.is_end(end + 1)
        }
        b"=" | b"!=" | b"<>" | b"<=>" => {
            list.len() == 3
                && at == 1
                && (sql.is(0, Kind::Number) && sql.is(2, Kind::Number)
                    || sql.is(0, Kind::Text)
                        && matches!(sql.kind(2), Some(Kind::Open | Kind::Text))
                        && sql.word(0).first() == sql.word(2).first())
        }
        b"like" | b"rlike" | b"regexp" | b"glob" => {
            at == 0 && (sql.is(1, Kind::Constant) && list.len() == 2)
                || at == 1 && sql.is(0, Kind::Right) && sql.is(2, Kind::Left)
        }
        _ => false,
    }
}

/// The value ends in a call of an SQL function that is not closed: it was cut from a query.
fn is_cut_call(sql: Sql<'_>) -> bool {
    let count = |kind| sql.list.iter().filter(|token| token.kind == kind).count();
    let has_call =
        sql.list.windows(2).any(|pair| pair[0].kind == Kind::Function && pair[0].end == pair[1].start);
    if has_call && sql.list.len() <= 16 && count(Kind::Left) > count(Kind::Right) {
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
