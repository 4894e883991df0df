//! Statements: at the start of a value, or stacked behind what the value ends.

use super::grammar::{Operand, Sql};
use super::judge::is_balanced;
use super::token::Kind;
use super::words;
use crate::rules;

/// Statements at the start, or behind a semicolon.
pub(super) fn statement(sql: Sql<'_>, at: usize) -> Option<&'static crate::Rule> {
    let is_stacked = at > 0 && sql.is(at - 1, Kind::Semicolon);
    let leads = at == 0 || is_stacked || matches!(sql.kind(at - 1), Some(Kind::Open | Kind::Text));
    let next = sql.word(at + 1);
    let is_named = matches!(sql.kind(at + 1), Some(Kind::Name)) && !words::is_article(next);
    let is_whole =
        |from: usize| sql.kind(from).is_none() || sql.is(from, Kind::Semicolon) || sql.is_cut(from);
    let rule = if is_stacked { rules::SQL_STACKED } else { rules::SQL_STATEMENT };
    let has_word = |word: &[u8]| (at + 1..sql.list.len()).any(|at| sql.word(at) == word);
    // A value that begins with the end of another statement.
    let begins = is_stacked && (at == 1 || at == 2 && sql.is(0, Kind::Text));
    let is_cut_off = begins
        && sql.kind(at + 2).is_none()
        && matches!(
            (sql.word(at), next),
            (b"insert" | b"replace" | b"merge", b"into")
                | (b"delete", b"from")
                | (b"drop" | b"alter" | b"create" | b"truncate", b"table" | b"database" | b"view" | b"user")
                | (b"load", b"data")
        );
    let is_hit = match sql.word(at) {
        _ if is_cut_off => true,
        b"insert" | b"update" | b"delete" | b"drop" | b"alter" | b"create" | b"truncate" | b"rename"
        | b"load" | b"replace" | b"merge" | b"exec" | b"execute" | b"call" | b"declare"
            if begins && (is_named || matches!(sql.kind(at + 1), Some(Kind::Text | Kind::Function))) =>
        {
            true
        }
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
        b"declare" if is_stacked && is_named => {
            words::is_type(sql.word(at + 2)) || sql.word(at + 2) == b"cursor"
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
            let is_routine =
                leads && matches!(next, b"procedure" | b"function") && sql.is(end + 1, Kind::Left);
            is_object && has_name && is_routine
                || is_object && has_name && (is_stacked || leads && is_drop && sql.is_cut(end + 1))
                || is_named && leads && is_drop && sql.is_cut(at + 2)
                || is_named && leads && is_drop && has_comment_at(sql, at)
        }
        b"copy" if is_stacked && (sql.is(at + 1, Kind::Left) || is_named) => {
            has_word(b"to") || has_word(b"program") || has_word(b"stdin")
        }
        b"grant" | b"revoke" if is_stacked => {
            has_word(b"on") || has_word(b"to") && has_word(b"all") || is_named && is_whole(at + 2)
        }
        b"rename" => is_stacked && matches!(next, b"table" | b"user" | b"database" | b"column"),
        b"begin" => is_stacked && (sql.is_cut(at + 1) || next == b"declare" || next.starts_with(b"dbms_")),
        b"copy" => {
            leads
                && is_named
                && sql.is(at + 2, Kind::From)
                && matches!(sql.kind(at + 3), Some(Kind::Text | Kind::Open))
                || leads && is_named && matches!(sql.word(at + 3), b"program" | b"stdin")
        }
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
        b"prepare" => is_stacked && is_named && has_word(b"from"),
        b"merge" if next == b"into" => is_stacked,
        b"use" | b"merge" | b"pragma" => is_stacked && is_named && is_whole(at + 2),
        b"attach" => is_stacked && (next == b"database" || is_named && is_whole(at + 2)),
        _ => false,
    };
    is_hit.then_some(rule)
}

/// Commands behind a semicolon whose words are names elsewhere: `; backup database`, `; commit--`.
pub(super) fn is_stacked_command(sql: Sql<'_>, at: usize) -> bool {
    if at == 0 || !sql.is(at - 1, Kind::Semicolon) {
        return false;
    }
    let next = sql.word(at + 1);
    match sql.word(at) {
        b"backup" | b"restore" => matches!(next, b"database" | b"log"),
        b"bulk" => next == b"insert",
        b"lock" => matches!(next, b"table" | b"tables"),
        b"unlock" => next == b"tables",
        b"flush" => matches!(next, b"privileges" | b"tables" | b"logs" | b"hosts" | b"status"),
        b"show" => {
            matches!(
                next,
                b"tables"
                    | b"databases"
                    | b"schemas"
                    | b"grants"
                    | b"columns"
                    | b"variables"
                    | b"processlist"
            )
        }
        b"print" => sql.is(at + 1, Kind::Variable),
        b"dbcc" | b"reconfigure" | b"commit" | b"rollback" | b"checkpoint" => sql.is_cut(at + 1),
        b"kill" => sql.is(at + 1, Kind::Number) && sql.is_cut(at + 2),
        _ => false,
    }
}

/// Whether a comment stood between a statement and its object.
fn has_comment_at(sql: Sql<'_>, at: usize) -> bool {
    let (Some(one), Some(next)) = (sql.list.get(at), sql.list.get(at + 1)) else { return false };
    sql.text[one.end..next.start].starts_with(b"/*")
}
