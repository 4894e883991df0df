//! Comparisons that are the whole value. What they compare is written in them, so that they hold or fail whatever the
//! data is.

use super::grammar::Sql;
use super::judge::is_operand_end;
use super::token::Kind;

/// `1=1`, `(2>=1)`, `'a' not like 'b'`, and `in (1,2)`, by the operator at `at`.
pub(super) fn is_lone(sql: Sql<'_>, at: usize) -> bool {
    let is_of_operator = match sql.word(at) {
        b"in" => is_list(sql, at),
        b"is" => {
            let end = at + 1 + usize::from(sql.is(at + 1, Kind::Unary));
            at == 1
                && matches!(sql.kind(0), Some(Kind::Number | Kind::Text))
                && sql.word(end) == b"null"
                && sql.is_end(end + 1)
        }
        b"like" | b"rlike" | b"regexp" | b"glob" => {
            at == 0 && (sql.is(1, Kind::Constant) && sql.list.len() == 2)
                || at == 1 && sql.is(0, Kind::Right) && sql.is(2, Kind::Left)
        }
        _ => false,
    };
    is_of_operator || sides(sql, at).is_some_and(|(left, right)| is_certain(sql, left, at, right))
}

/// `1 in (1,2)`, `in (1,2)`, `in (7)`, `not in (1,2)`; `x in (select`.
fn is_list(sql: Sql<'_>, at: usize) -> bool {
    let leads = at == 0 || at == 1 && sql.is(0, Kind::Unary);
    let is_led = at == 1 && is_operand_end(sql, 0) && !sql.is(0, Kind::Name);
    let goes_on = sql.is(at + 3, Kind::Comma) && sql.is(at + 4, Kind::Number)
        || leads && sql.is(at + 3, Kind::Right) && sql.is_end(at + 4);
    sql.is(at + 1, Kind::Left)
        && ((leads || is_led) && sql.is(at + 2, Kind::Number) && goes_on
            || at > 0 && is_operand_end(sql, at - 1) && sql.is(at + 2, Kind::Select))
}

/// What is compared by the operator at `at`, if nothing else stands in the value.
fn sides(sql: Sql<'_>, at: usize) -> Option<(usize, usize)> {
    let mut left = at.checked_sub(1)?;
    while matches!(sql.kind(left), Some(Kind::Unary | Kind::Right)) {
        left = left.checked_sub(1)?;
    }
    let is_before = |kind| matches!(kind, Kind::Left | Kind::Unary | Kind::Arith);
    let mut right = at + 1;
    while matches!(sql.kind(right), Some(Kind::Compare | Kind::Unary | Kind::Left | Kind::Arith)) {
        right += 1;
    }
    let is_whole = sql.is_cut_or_end(right + 1) || sql.word(right + 1) == b"limit";
    (is_whole && sql.list[..left].iter().all(|token| is_before(token.kind))).then_some((left, right))
}

/// Both sides are values, and of a kind that nobody compares in prose.
fn is_certain(sql: Sql<'_>, left: usize, at: usize, right: usize) -> bool {
    let (Some(one), Some(other)) = (sql.kind(left), sql.kind(right)) else { return false };
    let is_same = sql.word(left) == sql.word(right);
    let is_tight = sql.list[left].end == sql.list[at].start && sql.list[at].end == sql.list[right].start;
    let is_negated = sql.list[left..right].iter().any(|token| token.kind == Kind::Unary);
    let is_quoted = |side: usize| sql.word(side).starts_with(b"'");
    let are_quoted = is_quoted(left) && is_quoted(right);
    match (one, sql.word(at), other) {
        (Kind::Number, b"=" | b"!=" | b"<>" | b"<=>", Kind::Number) => true,
        (Kind::Number, b"<=" | b">=", Kind::Number) => is_same || is_tight,
        (Kind::Number, b"like" | b"rlike" | b"regexp" | b"glob", Kind::Number) => is_same || is_negated,
        (Kind::Number, b"sounds", Kind::Number) | (Kind::Constant, b"=", Kind::Constant) => is_same,
        (Kind::Number, b"=", Kind::Text) => is_quoted(right),
        (Kind::Text, b"=" | b"!=" | b"<>" | b"<=>", Kind::Number) => is_quoted(left),
        (Kind::Text, b"=" | b"!=" | b"<>" | b"<=>", Kind::Open) => {
            sql.word(left).first() == sql.word(right).first()
        }
        (Kind::Text, b"=" | b"!=" | b"<>" | b"<=>", Kind::Text) if is_same => true,
        (Kind::Text, b"<" | b">" | b"<=" | b">=" | b"!=" | b"<>", Kind::Text | Kind::Open) => {
            are_quoted && is_tight
        }
        (Kind::Text, b"like" | b"rlike" | b"regexp" | b"glob" | b"sounds", Kind::Text) => are_quoted,
        (Kind::Text, b"is", Kind::Text) => are_quoted && (is_same || is_negated),
        _ => false,
    }
}
