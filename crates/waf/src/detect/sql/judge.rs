//! What is an attack and what is prose, at the lowest paranoia level.

use super::call;
use super::comparison;
use super::grammar::{Operand, Sql};
use super::statement::{self, statement};
use super::token::{Kind, Tokens};
use super::whole;
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
            Kind::Function if call::is_coded(sql, at) || call::is_choice(sql, at) => {
                Some(rules::SQL_FUNCTION)
            }
            Kind::Function | Kind::Name if call::is_attack_call(sql, at) => Some(rules::SQL_FUNCTION),
            Kind::Name => statement::is_stacked_command(sql, at).then_some(rules::SQL_STACKED),
            Kind::Statement => statement(sql, at),
            Kind::Variable if at > 0 && sql.word(at - 1) == b"print" && sql.word(at).starts_with(b"@@") => {
                Some(rules::SQL_SCHEMA)
            }
            Kind::Variable => {
                let is_named =
                    at > 0 && matches!(sql.kind(at - 1), Some(Kind::Name | Kind::Logic | Kind::Other));
                (!is_named && is_system_variable(sql.word(at))).then_some(rules::SQL_SCHEMA)
            }
            Kind::Cast => is_cast(sql, at, leaf).then_some(rules::SQL_CAST),
            Kind::Clause | Kind::From => is_clause(sql, at).then_some(rules::SQL_CLAUSE),
            Kind::Compare => comparison::is_lone(sql, at).then_some(rules::SQL_TAUTOLOGY),
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
    if let Some(rule) = whole::fragment(sql) {
        cx.hit(rule, leaf, 0);
    }
    if call::is_cut_call(sql) {
        cx.hit(rules::SQL_FRAGMENT, leaf, 0);
    }
}

/// UNION [ALL] SELECT, EXCEPT VALUES.
pub(super) fn is_union(sql: Sql<'_>, union: usize) -> bool {
    let mut at = union + 1;
    while matches!(sql.kind(at), Some(Kind::Quantifier | Kind::Unary | Kind::Left)) {
        at += 1;
    }
    match sql.kind(at) {
        // "Student union, select bar", "credit union select account": columns, not prose.
        Some(Kind::Select) => {
            let is_prose = sql.list.len() == at + 2
                && sql.is(at + 1, Kind::Name)
                && (union == 0 || sql.is(union - 1, Kind::Name));
            !is_prose
                && (!sql.is(at + 1, Kind::Name)
                    || matches!(
                        sql.kind(at + 2),
                        None | Some(
                            Kind::Comma
                                | Kind::From
                                | Kind::Comment
                                | Kind::Left
                                | Kind::Dot
                                | Kind::Semicolon
                        )
                    ))
        }
        Some(Kind::Function | Kind::Clause) => sql.word(at) == b"values" && sql.is(at + 1, Kind::Left),
        Some(Kind::Name) if sql.word(at) == b"table" => {
            let is_led = union > 0 && matches!(sql.kind(union - 1), Some(Kind::Number | Kind::Right));
            is_led && sql.is(at + 1, Kind::Name) && (sql.is_end(at + 2) || sql.is_cut(at + 2))
        }
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
        // "Toppings (select 2)" of a form.
        let is_prose = at > 1
            && sql.is(at - 2, Kind::Name)
            && sql.is(at + 1, Kind::Number)
            && sql.is(at + 2, Kind::Right);
        if is_prose {
            return None;
        }
        return (sql.is_select(at) || is_call || is_cut).then_some(rules::SQL_SUBSELECT);
    }
    let leads = at == 0 || sql.is(at - 1, Kind::Semicolon);
    // "Select your country".
    // `select"a`, `select!1`.
    let is_tight = sql.list.get(at + 1).is_some_and(|next| {
        let is_value = matches!(next.kind, Kind::Number | Kind::Text | Kind::Open | Kind::Unary);
        next.start == sql.list[at].end
            && is_value
            && sql.text.get(next.start + 1).is_some_and(|byte| *byte != b' ')
    });
    if at == 0 && is_tight {
        return Some(rules::SQL_STATEMENT);
    }
    let is_label = at == 0 && sql.list.iter().skip(1).all(|token| token.kind == Kind::Name);
    if leads && !is_label && sql.is_select(at) {
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

pub(super) fn is_balanced(sql: Sql<'_>) -> bool {
    let count = |kind| sql.list.iter().filter(|token| token.kind == kind).count();
    count(Kind::Left) == count(Kind::Right)
}

/// AND or OR with a comparison that is none of prose: `1 or 1=1`; where the value begins with it, also `and a = 'b`.
fn is_condition(sql: Sql<'_>, at: usize) -> bool {
    let next = at + 1 + usize::from(sql.is(at + 1, Kind::Unary) && sql.word(at + 1) != b"!");
    let is_first = at == 0;
    // `x or /`, `&& !x` of a script have words only.
    let follows = at > 0 && is_operand_end(sql, at - 1);
    // `1 or {if 1}`: an escape of ODBC.
    if at == 1 && sql.is(0, Kind::Number) && sql.word(2) == b"{" && !is_sign(sql.word(at)) {
        return true;
    }
    if follows && is_certain(sql, at, next) || (follows || is_first) && sql.is_word_comparison(next) {
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
                let is_whole =
                    is_first && end == sql.list.len() && sql.list[next].end == sql.list[next + 1].start;
                let is_named = sql.is(next + 2, Kind::Right) && !sql.is_cut_or_end(end);
                (words::is_attack_function(sql.word(next)) && !is_named || is_whole)
                    && !matches!(sql.word(at), b"||" | b"&&")
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
            is_same && has_sign && (is_between || is_first && !is_sign(sql.word(at)))
                || right != Operand::Word && has_sign && starts_with_number
                || sql.ends_cut() && has_sign && !is_sign(sql.word(at))
                || is_first && has_sign && right == Operand::Solid && !is_sign(sql.word(at))
        }
        (Operand::Solid, Some(Operand::Word | Operand::Call)) => {
            let is_finished = sql.is_end(end) || sql.is_cut(end) || sql.is(end, Kind::Logic);
            has_sign && is_between && is_finished && sql.is(0, Kind::Number) && !is_sign(sql.word(at))
        }
        _ => false,
    }
}

/// What follows AND, OR or XOR holds or fails whatever the data: `1=1`, `(1=1`, `1 like 1`.
fn is_certain(sql: Sql<'_>, at: usize, next: usize) -> bool {
    // "XOR'd" is a verb.
    let is_verb = sql.word(next).get(1).is_some_and(u8::is_ascii_alphabetic) && sql.is(next, Kind::Open);
    if sql.word(at) == b"xor"
        && !is_verb
        && matches!(sql.kind(next), Some(Kind::Number | Kind::Text | Kind::Open))
    {
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

pub(super) fn is_operand_end(sql: Sql<'_>, at: usize) -> bool {
    matches!(
        sql.kind(at),
        Some(Kind::Number | Kind::Text | Kind::Name | Kind::Right | Kind::Constant | Kind::Variable)
    )
}

/// `@@version` and what else tells an attacker about the database.
fn is_system_variable(word: &[u8]) -> bool {
    const STARTS: [&[u8]; 16] = [
        b"global.",
        b"session.",
        b"local.",
        b"persist.",
        b"version_",
        b"microsoft",
        b"innodb_",
        b"character_set_",
        b"collation_",
        b"have_",
        b"general_log",
        b"slow_query",
        b"secure_",
        b"log_bin",
        b"performance_schema",
        b"server_",
    ];
    word.strip_prefix(b"@@").is_some_and(|name| {
        words::is_system_variable(name) || STARTS.iter().any(|start| name.starts_with(start))
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
        Some(Kind::Bracket) => sql.word(at - 1) == b"]",
        Some(Kind::Name | Kind::Constant | Kind::Number) => {
            let is_led = at > 1
                && matches!(sql.kind(at - 2), Some(Kind::Name | Kind::Arith | Kind::Cast | Kind::Bracket));
            is_same_case
                && !(is_led && sql.is(at - 1, Kind::Name))
                && (sql.is_end(at + 2)
                    || sql.is_cut(at + 2)
                    || sql.word(at + 2) == b"precision" && sql.is_end(at + 3)
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
                || at == 0 && next == b"dual"
                || at == 0 && next.starts_with(b"`") && sql.is(at + 2, Kind::Dot)
                || next.starts_with(b"`") && sql.is(0, Kind::Select)
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
            let end = order_list(sql, at + 2);
            let is_tight = || sql.list[at + 2].end == sql.list[at + 3].start;
            end.is_some_and(|end| sql.is_cut(end) || is_led && sql.is_end(end))
                || (is_led || at == 0) && sql.is(at + 2, Kind::Function) && is_tight()
                || at == 0 && sql.is(at + 2, Kind::Left) && sql.list.len() == 3
                || sql.list.len() == 2
        }
        b"having" => sql.comparison(at + 1).is_some_and(|(left, right, end)| {
            let is_certain = left == Operand::Solid && right == Some(Operand::Solid);
            let is_grouped = sql.word(0) == b"group" && sql.word(1) == b"by";
            (at == 0 || is_led || is_certain || is_grouped) && left != Operand::Word && sql.has_sign(at, end)
        }),
        b"into" => {
            matches!(next, b"outfile" | b"dumpfile") && sql.kind(at + 2).is_some()
                || is_led && sql.is(at + 1, Kind::Variable)
        }
        b"procedure" => next == b"analyse" && sql.is(at + 2, Kind::Left),
        // `; desc users`.
        b"desc" => at == 1 && sql.is(0, Kind::Semicolon) && sql.is(2, Kind::Name) && sql.is_cut_or_end(3),
        b"limit" => {
            let goes_on = sql.is(at + 2, Kind::Comma) || sql.word(at + 2) == b"offset";
            is_led
                && sql.is(at + 1, Kind::Number)
                && (sql.is_cut(at + 2) || goes_on && sql.is(at + 3, Kind::Number))
        }
        b"offset" => is_led && sql.is(at + 1, Kind::Number) && matches!(sql.word(at + 2), b"row" | b"rows"),
        b"case" => is_case(sql, at),
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

/// Behind `2`, `1 desc`, `1, 2, 3`.
fn order_list(sql: Sql<'_>, mut at: usize) -> Option<usize> {
    loop {
        if !sql.is(at, Kind::Number) {
            return None;
        }
        at += 1 + usize::from(matches!(sql.word(at + 1), b"asc" | b"desc"));
        if !sql.is(at, Kind::Comma) {
            return Some(at);
        }
        at += 1;
    }
}

/// `case when 1=1 then`, `case(x)when 1 then`: something is compared, and nothing of it is prose.
fn is_case(sql: Sql<'_>, at: usize) -> bool {
    let start = match sql.word(at + 1) {
        b"when" => at + 1,
        _ => match sql.operand(at + 1) {
            Some((what, end)) if what != Operand::Word => end,
            _ => return false,
        },
    };
    if sql.word(start) != b"when" {
        return false;
    }
    let has_operand = sql.operand(start + 1).is_some_and(|(what, _)| what != Operand::Word);
    let is_compared = sql.inner_comparison(start + 1).is_some_and(|(_, _, end)| sql.has_sign(start, end));
    (has_operand || is_compared) && (start..sql.list.len()).any(|at| sql.word(at) == b"then")
}
