//! Short values that are, as a whole, a piece cut from a query, and nothing that a person would type.

use super::grammar::{Operand, Sql};
use super::token::{Kind, Token};
use super::{signs, words};
use crate::{Rule, rules};

/// Tokens of a value that is judged as a whole.
const MOST_TOKENS: usize = 16;

/// The rule by which the whole value is a piece of a query.
pub(super) fn fragment(sql: Sql<'_>) -> Option<&'static Rule> {
    if sql.list.is_empty() || sql.list.len() > MOST_TOKENS {
        return None;
    }
    if is_lone_call(sql) {
        return Some(rules::SQL_FUNCTION);
    }
    if is_closing(sql) || is_cut_number(sql) {
        return Some(rules::SQL_BREAK);
    }
    if is_open_condition(sql) || is_having(sql) || is_cut_condition(sql) {
        return Some(rules::SQL_TAUTOLOGY);
    }
    if is_cut_statement(sql) {
        return Some(rules::SQL_STATEMENT);
    }
    if is_cut_expression(sql) {
        return Some(rules::SQL_BREAK);
    }
    if is_broken_list(sql) {
        return Some(rules::SQL_BREAK);
    }
    if is_json_access(sql) {
        return Some(rules::SQL_CAST);
    }
    signs::is_broken(sql.text).then_some(rules::SQL_BREAK)
}

/// `from_unixtime(1)`: a call of a function that only SQL has, perhaps behind a number.
fn is_lone_call(sql: Sql<'_>) -> bool {
    let at = usize::from(sql.is(0, Kind::Number) && sql.is(1, Kind::Function));
    sql.is(at, Kind::Function)
        && (words::is_sql_function(sql.word(at))
            || matches!(sql.word(at), b"database" | b"schema" | b"xmltype"))
        && sql.list.get(at + 1).is_some_and(|left| left.start == sql.list[at].end)
        && sql.operand(at).is_some_and(|(_, end)| sql.is_end(end) || sql.is_cut(end))
}

/// `)--`, `;#`, `));--`: what the query opened is closed, and its rest is cut off.
fn is_closing(sql: Sql<'_>) -> bool {
    sql.list.len() > 1 && matches!(sql.kind(0), Some(Kind::Right | Kind::Semicolon)) && sql.is_cut(0)
}

/// `1--`, `7/*`: a number and the start of a comment right behind it.
fn is_cut_number(sql: Sql<'_>) -> bool {
    let [number, comment] = sql.list else { return false };
    number.kind == Kind::Number
        && number.start == 0
        && comment.kind == Kind::Comment
        && comment.start == number.end
        && !sql.word(1).starts_with(b"#")
        && sql.word(1).len() <= 4
}

/// `or 99`, `and foo(`, `) or (1`, `/3 or`: a condition of which an end is missing.
fn is_open_condition(sql: Sql<'_>) -> bool {
    let list = sql.list;
    let last = list.len() - 1;
    let starts = sql.is(0, Kind::Logic);
    let is_number = starts && list.len() == 2 && sql.is(1, Kind::Number) && list[1].end == sql.text.len();
    let is_call =
        starts && (2..=6).contains(&last) && sql.is(last, Kind::Left) && sql.is(last - 1, Kind::Name);
    let is_between_brackets = sql.is(0, Kind::Right)
        && sql.is(1, Kind::Logic)
        && sql.is(2, Kind::Left)
        && (matches!(sql.kind(3), Some(Kind::Number | Kind::Text | Kind::Open | Kind::Select))
            || sql.comparison(3).is_some_and(|(_, right, end)| right.is_some() && sql.has_sign(3, end)));
    // `||6`: added to what stands before.
    let is_joined = matches!(sql.word(0), b"||" | b"&&")
        && matches!(sql.kind(1), Some(Kind::Number | Kind::Text | Kind::Open))
        && sql.is_end(2);
    let is_path = list.len() == 3
        && sql.word(0) == b"/"
        && matches!(sql.kind(1), Some(Kind::Name | Kind::Number))
        && list[0].end == list[1].start
        && sql.is(2, Kind::Logic);
    is_number
        || is_call && list[last].start == list[last - 1].end
        || is_between_brackets
        || is_joined
        || is_joined_value(sql)
        || starts && is_open_group(sql)
        || is_path
}

/// `1||'a'`, `9||version()`, `1&&1`, `'' or 9`.
fn is_joined_value(sql: Sql<'_>) -> bool {
    let [first, sign, second, ..] = sql.list else { return false };
    let is_tight = first.end == sign.start && sign.end == second.start;
    let is_empty = matches!(sql.word(0), b"''" | b"\"\"") && sign.kind == Kind::Logic;
    let is_number = first.kind == Kind::Number && matches!(sql.word(1), b"||" | b"&&") && is_tight;
    let Some((what, end)) = sql.operand(2) else { return false };
    let is_value = matches!(what, Operand::Solid | Operand::Open) || second.kind == Kind::Function;
    let is_empty = is_empty && second.kind == Kind::Number;
    (is_empty || is_number) && is_value && sql.is_cut_or_end(end)
}

/// `or (`, `or ((1`, `&&(typeof x`: a bracket that the value leaves open.
fn is_open_group(sql: Sql<'_>) -> bool {
    let rest = &sql.list[1..];
    let is_sign = matches!(sql.word(0), b"||" | b"&&");
    let is_number = rest.iter().all(|token| matches!(token.kind, Kind::Left | Kind::Number));
    sql.is(1, Kind::Left)
        && rest.len() <= 5
        && !rest.iter().any(|token| token.kind == Kind::Right)
        && (is_sign || is_number)
}

/// `having 1`, `having 2>1`.
fn is_having(sql: Sql<'_>) -> bool {
    sql.word(0) == b"having" && sql.is(1, Kind::Number) && (sql.is_end(2) || sql.is_cut(2))
}

/// `,name"`, `,1--`, `'a', 0x1a`, `":[{"a`: a list of columns or an object goes on behind what the value ends.
fn is_broken_list(sql: Sql<'_>) -> bool {
    let last = sql.list.len() - 1;
    let is_item = |token: &Token| {
        matches!(token.kind, Kind::Comma | Kind::Name | Kind::Number | Kind::Constant | Kind::Right)
    };
    let is_cut = || sql.is(last, Kind::Open) && sql.word(last).len() == 1 || sql.ends_cut();
    let is_tight = || sql.list.windows(2).all(|pair| pair[0].end == pair[1].start);
    let is_list =
        last >= 2 && sql.is(0, Kind::Comma) && sql.list[..last].iter().all(is_item) && is_cut() && is_tight();
    let has_number = last > 1
        && sql.word(last).starts_with(b"0x")
        && sql.is(last, Kind::Number)
        && sql.is(last - 1, Kind::Comma)
        && sql.is(last - 2, Kind::Text)
        && sql.word(last - 2).starts_with(b"'")
        && last <= 4;
    let is_list = is_list || has_number;
    let rest = sql.text.strip_prefix(b"\"").unwrap_or_default().trim_ascii_start();
    let rest = rest.strip_prefix(b":").unwrap_or_default().trim_ascii_start();
    is_list || matches!(rest, [b'[' | b'{', ..]) || matches!(rest, [b'"', _, ..])
}

/// `'{"a":1}' ->> '$.a'`, `'{"a":1}' ? 'a'`.
fn is_json_access(sql: Sql<'_>) -> bool {
    (1..sql.list.len()).any(|at| {
        let is_arrow = match sql.word(at) {
            b"->" | b"->>" | b"#>" | b"#>>" | b"@>" | b"<@" | b"?|" | b"?&" | b"@?" | b"@@" => true,
            b"?" => sql.word(at - 1).starts_with(b"'{") || sql.word(at - 1).starts_with(b"'["),
            _ => false,
        };
        // `#>>` is two tokens.
        let next = at + 1 + usize::from(sql.word(at) == b"#>" && sql.word(at + 1) == b">");
        let is_value = matches!(sql.kind(next), Some(Kind::Text | Kind::Open | Kind::Number));
        is_arrow
            && matches!(sql.kind(at - 1), Some(Kind::Text | Kind::Name))
            && sql.word(at - 1).starts_with(b"'")
            && (is_value || sql.word(next) == b"array")
    })
}

/// `or name =`, `like 'a%' or`, `is not null and`: words of a condition at the start, and no end.
fn is_cut_condition(sql: Sql<'_>) -> bool {
    let last = sql.list.len() - 1;
    // `x like '`: the query's quote follows.
    let is_text_open = last > 0
        && last < 4
        && sql.is(last, Kind::Open)
        && (sql.word(last).len() == 1 || sql.word(last)[1] == b'%' && last == 1)
        && matches!(sql.word(last - 1), b"like" | b"rlike" | b"regexp" | b"glob" | b"ilike" | b"between");
    if is_text_open {
        return true;
    }
    let is_end_open = || {
        // A lone `>` quotes or points.
        let is_compared = || {
            matches!(sql.word(last), b"=" | b"==" | b"===" | b"!=" | b"!==" | b"<>" | b">=" | b"<=" | b"<=>")
                && sql.inner_comparison(1).is_some_and(|(_, right, end)| right.is_none() && end == last + 1)
        };
        sql.is(last, Kind::Left) || is_compared() || sql.is(last, Kind::Open) && sql.word(last).len() == 1
    };
    match sql.kind(0) {
        Some(Kind::Logic) => (2..=8).contains(&last) && is_end_open(),
        Some(Kind::Compare) => match sql.word(0) {
            b"like" | b"rlike" | b"regexp" | b"glob" | b"ilike" => {
                sql.is(1, Kind::Text) && (last == 1 || last == 2 && sql.is(2, Kind::Logic))
                    || sql.is(1, Kind::Function) && sql.list[1].end == sql.list[2].start
            }
            b"in" => sql.is(1, Kind::Left) && matches!(sql.kind(2), Some(Kind::Text | Kind::Select)),
            b"between" => {
                sql.operand(1).is_some_and(|(_, end)| sql.word(end) == b"and" && sql.is(end + 1, Kind::Open))
            }
            b"is" => {
                let null = 1 + usize::from(sql.is(1, Kind::Unary));
                sql.word(null) == b"null"
                    && sql.is(null + 1, Kind::Logic)
                    && !(sql.is(null + 2, Kind::Name) && sql.is_end(null + 3))
            }
            _ => false,
        },
        Some(Kind::Right) => {
            let goes_on = matches!(sql.kind(1), Some(Kind::From | Kind::Union)) && last >= 3;
            let is_branch = sql.word(1) == b"when" && sql.is(2, Kind::Number);
            goes_on || is_branch || sql.word(1) == b"where"
        }
        _ => false,
    }
}

/// `exec(`, `declare @`, `char(83)`, `case 1 when`, `end);`: the start or end of a statement.
fn is_cut_statement(sql: Sql<'_>) -> bool {
    let list = sql.list;
    match sql.word(0) {
        b"exec" | b"execute" => list.len() == 2 && sql.is(1, Kind::Left) && list[0].end == list[1].start,
        b"declare" => list.len() == 2 && matches!(sql.word(1), b"@" | b"#"),
        b"char" | b"chr" | b"nchar" | b"binary" => {
            sql.is(1, Kind::Left) && sql.is(2, Kind::Number) && (sql.is_end(3) || sql.is(3, Kind::Comma))
        }
        b"case" => list.len() <= 4 && sql.word(2) == b"when" && sql.is(1, Kind::Number),
        b"end" => list.len() == 3 && sql.is(1, Kind::Right) && sql.is(2, Kind::Semicolon),
        b"(" => {
            sql.is(1, Kind::Select)
                && matches!(
                    sql.kind(2),
                    Some(Kind::Left | Kind::Text | Kind::Number | Kind::Open | Kind::Variable)
                )
        }
        _ => false,
    }
}

/// `'a'+'b`, `"x"||"y`, `"admin"--`, `1 + 1 + @a`: texts and variables that are put together, and cut.
fn is_cut_expression(sql: Sql<'_>) -> bool {
    let list = sql.list;
    let is_joined = list.len() == 3
        && sql.is(0, Kind::Text)
        && matches!(sql.word(1), b"+" | b"-" | b"*" | b"^" | b"|" | b"&" | b"||" | b"&&")
        && sql.is(2, Kind::Open);
    let is_cut_text =
        list.len() == 2 && sql.is(0, Kind::Text) && list[0].end == list[1].start && sql.is_cut(1);
    let has_variable = (3..list.len()).any(|at| {
        sql.is(at, Kind::Variable)
            && sql.word(at).starts_with(b"@")
            && sql.is(at - 1, Kind::Arith)
            && sql.is(at - 2, Kind::Number)
            && sql.is(at - 3, Kind::Arith)
    });
    is_joined || is_cut_text || has_variable
}
