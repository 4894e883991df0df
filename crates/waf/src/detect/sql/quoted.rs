//! The value lands within a quoted text of the query, and its own quote ends that: what stands behind the quote must not
//! go on as SQL. In prose it does not.

use super::grammar::{Operand, Sql};
use super::judge::{is_sign, is_union};
use super::statement::{is_stacked_command, statement};
use super::token::{Kind, is_word};
use super::words;
use crate::detect::{Cx, Leaf};
use crate::rules;

/// The value stands in a quoted text, and its quote at `quote` ends that.
pub(super) fn judge(sql: Sql<'_>, quote: usize, leaf: &Leaf<'_>, cx: &mut Cx<'_>) {
    let before = &sql.text[..quote];
    // A quote after a space opens something, as in prose.
    let is_opening = before.last().is_some_and(|byte| byte.is_ascii_whitespace() || b"([{,:=".contains(byte));
    let mut at = 0;
    while sql.is(at, Kind::Right) {
        at += 1;
    }
    let follows_bracket = at > 0;
    let Some(kind) = sql.kind(at) else {
        // The first name that is tried, and a quote.
        if before == b"admin" {
            cx.hit(rules::SQL_BREAK, leaf, quote);
        }
        return;
    };
    // In Markdown it opens code, and another closes that.
    let is_code = sql.text.get(quote) == Some(&b'`') && sql.text[quote + 1..].contains(&b'`');
    if is_code && is_opening {
        return;
    }
    let found = match kind {
        // `' like`: cut off right behind the operator.
        Kind::Compare
            if quote == 0
                && sql.list.len() == 1
                && matches!(sql.word(0), b"rlike" | b"regexp" | b"glob" | b"ilike") =>
        {
            Some(rules::SQL_BREAK)
        }
        // `' is not?--`: whatever stands between, its rest is cut off.
        Kind::Compare
            if before.iter().all(|byte| is_word(*byte) || b"@.-".contains(byte))
                && !is_opening
                && sql.list.len() <= 6
                && !sql.text[quote + 1..].contains(&sql.text[quote])
                && sql.ends_cut() =>
        {
            Some(rules::SQL_BREAK)
        }
        // `'in(1)`, `'between 1 and 2`.
        Kind::Compare if is_unclosed(sql, quote) && is_word_of_operator(sql, at) => Some(rules::SQL_BREAK),
        // `x' regexp '^a`: a word is compared with what is open.
        Kind::Compare
            if matches!(
                sql.word(at),
                b"rlike" | b"regexp" | b"glob" | b"ilike" | b"between" | b"similar" | b"sounds"
            ) && !before.is_empty()
                && before.iter().all(|byte| is_word(*byte))
                && sql.list.iter().skip(at + 1).any(|token| token.kind == Kind::Open)
                && sql.list.len() <= 6 =>
        {
            Some(rules::SQL_BREAK)
        }
        Kind::Comment if sql.list[at].start <= quote + 2 || follows_bracket => {
            // `'#'`, `"/*"`: the sign itself is quoted.
            let is_sign = (is_opening || is_code && before.is_empty())
                && sql.text.get(sql.list[at].start..).is_some_and(|rest| {
                    rest.iter().find(|byte| !b"#-/*".contains(byte)) == sql.text.get(quote)
                });
            (sql.is_cut(at) && !is_sign && !is_measure(before, at, sql)).then_some(rules::SQL_BREAK)
        }
        Kind::Number if !is_opening && sql.is_cut(at + 1) && sql.list[at].end == sql.list[at + 1].start => {
            let is_value = before.iter().all(|byte| is_word(*byte));
            let is_single = sql.text.get(quote) == Some(&b'\'');
            (is_value && (is_single || !before.is_empty()) && !before.last().is_some_and(u8::is_ascii_digit))
                .then_some(rules::SQL_BREAK)
        }
        Kind::Open if sql.list.len() == 1 => is_concatenation(sql, before).then_some(rules::SQL_BREAK),
        Kind::Semicolon => after_semicolon(sql, at, before, is_opening),
        Kind::Logic => {
            let is_escaped =
                before.ends_with(b"\\") && sql.operand(at + 1).is_some_and(|(what, _)| what != Operand::Word);
            let is_first = before.is_empty() && follows_loosely(sql, at);
            // `5' or 6'`: feet.
            let is_size = before.last().is_some_and(u8::is_ascii_digit)
                && sql.is(at + 1, Kind::Number)
                && sql.list.len() == at + 3
                && sql.word(at + 2).iter().all(|byte| byte.is_ascii_digit() || b"'\"]},".contains(byte));
            // `{"and": [...]}`: the word is quoted itself.
            let is_quoted = is_opening && sql.text.get(sql.list[at].end) == sql.text.get(quote);
            let is_halved = is_halved(sql, at, before);
            (is_escaped || is_first || is_halved || !is_size && !is_quoted && logic(sql, at, is_opening))
                .then_some(rules::SQL_BREAK)
        }
        Kind::Arith if is_unclosed(sql, quote) && matches!(sql.word(at), b"div" | b"mod") => {
            (sql.is(at + 1, Kind::Number) && sql.is_cut_or_end(at + 2)).then_some(rules::SQL_BREAK)
        }
        // `'),('1`, `x')=('1`: texts on both sides, each cut.
        Kind::Comma | Kind::Left | Kind::Compare | Kind::Arith
            if follows_bracket && is_cut_between(sql, at, before) =>
        {
            Some(rules::SQL_BREAK)
        }
        Kind::Compare | Kind::Arith | Kind::Unary => {
            operator(sql, at, before, is_opening).then_some(rules::SQL_BREAK)
        }
        Kind::Union => (is_union(sql, at)
            || is_unclosed(sql, quote)
            || sql.list.len() == at + 1 && before.iter().all(|byte| is_word(*byte)))
        .then_some(rules::SQL_UNION),
        Kind::Select => (is_unclosed(sql, quote) || sql.is_select(at)).then_some(rules::SQL_BREAK),
        Kind::Dot => (sql.is(at + 1, Kind::Function) && words::is_attack_function(sql.word(at + 1)))
            .then_some(rules::SQL_FUNCTION),
        Kind::Clause => quoted_clause(sql, at, quote).then_some(rules::SQL_CLAUSE),
        Kind::Comma => comma(sql, at, is_opening).then_some(rules::SQL_BREAK),
        Kind::Cast => (words::is_type(sql.word(at + 1))).then_some(rules::SQL_CAST),
        Kind::Statement => {
            let is_known = statement(sql, at).is_some()
                && (sql.ends_cut() || matches!(sql.word(at), b"waitfor" | b"exec" | b"execute"));
            (is_known || is_unclosed(sql, quote)).then_some(rules::SQL_STACKED)
        }
        _ => None,
    };
    let ends_open = || {
        let last = sql.list.len().saturating_sub(2);
        // `'60s or '70s`: an elision.
        let is_elision = sql.text.get(1).is_some_and(|byte| is_word(*byte))
            && matches!(sql.kind(0), Some(Kind::Name | Kind::Number));
        quote == 0 && last > 0 && !is_elision && sql.is(last, Kind::Logic) && sql.is(last + 1, Kind::Open)
    };
    if let Some(rule) = found.or_else(|| ends_open().then_some(rules::SQL_BREAK)) {
        cx.hit(rule, leaf, quote);
    }
}

/// The value begins with a quote that nothing closes: it closes one of the query.
fn is_unclosed(sql: Sql<'_>, quote: usize) -> bool {
    quote == 0 && !sql.text[1..].contains(&sql.text[0]) && sql.list.len() <= 12
}

/// Behind brackets that are closed: a sign, a bracket that opens, and a text that is open and short.
fn is_cut_between(sql: Sql<'_>, at: usize, before: &[u8]) -> bool {
    let last = sql.list.len() - 1;
    let text = sql.word(last);
    sql.list.len() <= 8
        && before.iter().all(|byte| is_word(*byte))
        && (at..last)
            .all(|at| matches!(sql.kind(at), Some(Kind::Comma | Kind::Left | Kind::Compare | Kind::Arith)))
        && sql.is(last - 1, Kind::Left)
        && sql.is(last, Kind::Open)
        && text.first() == sql.text.get(before.len())
        && text[1..].iter().all(|byte| is_word(*byte))
}

/// An operator that is a word, with numbers only: `in(1)`, `between 1 and 2`.
fn is_word_of_operator(sql: Sql<'_>, at: usize) -> bool {
    match sql.word(at) {
        b"in" => sql.is(at + 1, Kind::Left) && sql.is(at + 2, Kind::Number),
        b"between" => {
            sql.is(at + 1, Kind::Number) && sql.word(at + 2) == b"and" && sql.is(at + 3, Kind::Number)
        }
        _ => false,
    }
}

/// `x' or '1`, `x') or ('x`, `' or 'x`, `a@b.example' or id;`: the other half of the condition is the query's.
fn is_halved(sql: Sql<'_>, at: usize, before: &[u8]) -> bool {
    let is_value = !before.is_empty() && before.iter().all(|byte| is_word(*byte));
    let is_bracketed = at > 0 && sql.is(at + 1, Kind::Left);
    let next = at + 1 + sql.list[at + 1..].iter().take_while(|token| token.kind == Kind::Left).count();
    if sql.is(next, Kind::Open) && next + 1 == sql.list.len() {
        let open = sql.word(next);
        let is_of_quote = open.first() == sql.text.get(before.len());
        let text = &open[1..];
        let is_number = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
        return is_of_quote
            && (is_value && (is_bracketed || is_number || text == before)
                || before.is_empty() && next == 1 && sql.list[0].start > 1 && text.len() <= 8);
    }
    let is_address = before.contains(&b'@') && !before.contains(&b' ');
    is_address && sql.text.ends_with(b";") && sql.list.len() <= 8
}

/// `adm' 'in`, `3' ' 1`: two texts side by side are one.
fn is_concatenation(sql: Sql<'_>, before: &[u8]) -> bool {
    let second = sql.list[0].start;
    let between = &sql.text[before.len() + 1..second];
    let rest = sql.text[second + 1..].trim_ascii();
    let is_value = |text: &[u8]| !text.is_empty() && text.iter().all(|byte| is_word(*byte));
    between.iter().any(u8::is_ascii_whitespace)
        && sql.text.get(before.len()) == sql.text.get(second)
        && is_value(before)
        && is_value(rest)
}

/// `' or a`: AND or OR with something behind it that is not another quoted word.
fn follows_loosely(sql: Sql<'_>, at: usize) -> bool {
    let is_sign = is_sign(sql.word(at));
    !is_sign
        && sql.operand(at + 1).is_some_and(|(_, end)| sql.is_end(end) || sql.is_cut(end))
        && !sql.text[1..].contains(&sql.text[0])
}

/// `';`, `'; drop table x`, `';--`.
fn after_semicolon(sql: Sql<'_>, at: usize, before: &[u8], is_opening: bool) -> Option<&'static crate::Rule> {
    let is_entity = before.contains(&b'&');
    let is_value = before.iter().all(|byte| is_word(*byte));
    match sql.kind(at + 1) {
        // A quoted word before it is one of a program.
        None if !before.is_empty()
            && !is_opening
            && !is_entity
            && !before.contains(&sql.text[before.len()]) =>
        {
            // A name or an address; a password has other signs too.
            let before = before.strip_suffix(b"\\").unwrap_or(before);
            let is_value =
                before.iter().all(|byte| is_word(*byte) && *byte != b'$' || b"@.-+/".contains(byte));
            is_value.then_some(rules::SQL_STACKED)
        }
        None => before.is_empty().then_some(rules::SQL_STACKED),
        Some(Kind::Comment) if sql.is_cut(at + 1) => Some(rules::SQL_STACKED),
        Some(Kind::Statement) if matches!(sql.word(at + 1), b"if" | b"begin" | b"declare") && is_value => {
            Some(rules::SQL_STACKED)
        }
        Some(Kind::Statement) => statement(sql, at + 1),
        Some(Kind::Function) if matches!(sql.word(at + 1), b"if" | b"iif") && is_value => {
            Some(rules::SQL_STACKED)
        }
        Some(Kind::Name) if sql.word(at + 1) == b"while" && is_value => Some(rules::SQL_STACKED),
        Some(Kind::Name) => is_stacked_command(sql, at + 1).then_some(rules::SQL_STACKED),
        Some(Kind::Select) => sql.is_select(at + 1).then_some(rules::SQL_STACKED),
        _ => None,
    }
}

/// AND, OR, || behind a closed quote.
fn logic(sql: Sql<'_>, at: usize, is_opening: bool) -> bool {
    let mut next = at + 1;
    while sql.is(next, Kind::Unary) {
        next += 1;
    }
    if !is_opening && sql.is_word_comparison(next) {
        return true;
    }
    if sql.is(next, Kind::Left)
        && !is_opening
        && sql
            .inner_comparison(next)
            .is_some_and(|(left, _, end)| left != Operand::Word && sql.has_sign(next, end))
    {
        return true;
    }
    let last = sql.list.len() - 1;
    if !is_opening
        && last > at
        && sql.is(last, Kind::Open)
        && sql.is(last - 1, Kind::Logic)
        && sql.is(next, Kind::Number)
    {
        return true;
    }
    if let Some((left, right, end)) = sql.comparison(next) {
        let has_sign = sql.has_sign(next, end);
        // `'a' or b = c` in a script has its quote opened by itself.
        let is_prose = left == Operand::Word && matches!(right, Some(Operand::Word) | None) && !has_sign;
        if !is_prose && (!is_opening || left != Operand::Word && has_sign) {
            return true;
        }
    }
    if sql.ends_cut() && !is_opening {
        return true;
    }
    match sql.operand(next) {
        Some((Operand::Open, end)) => {
            // `admin' or '`: the query's own quote follows.
            let is_empty = sql.word(next).len() == 1 && !sql.text[..sql.list[at].start].contains(&b' ');
            let is_tight = sql.list[next].start > 0 && is_word(sql.text[sql.list[next].start - 1]);
            !is_opening && sql.is_end(end) && (is_tight || is_empty || is_sign(sql.word(at)))
        }
        Some((Operand::Solid, end)) => {
            let goes_on = sql.is(end, Kind::Logic) && !sql.is(next, Kind::Number)
                || sql.is(end, Kind::Arith) && sql.is(end + 1, Kind::Open) && sql.is_end(end + 2);
            // `12" or 14" pizza` measures.
            let is_prose = sql.word(end).get(1).is_some_and(u8::is_ascii_whitespace);
            !is_opening
                && (sql.is_end(end)
                    || sql.is_cut(end)
                    || goes_on
                    || sql.is(end, Kind::Open) && !is_prose && sql.is_end(end + 1))
        }
        Some((Operand::Call, end)) => {
            !is_opening
                && (sql.is(next + 1, Kind::Select)
                    || sql.is(next, Kind::Function)
                    || sql.is(next, Kind::Left) && sql.is(next + 1, Kind::Function)
                    || is_call_name(sql, next) && (sql.is_end(end) || sql.is_cut(end)))
        }
        Some((Operand::Word, _)) if words::is_package(sql.word(next)) => true,
        _ => matches!(sql.kind(next), Some(Kind::Select)) && sql.is_select(next),
    }
}

/// A word right before a bracket, as `json (id)` with SQL's own words for functions.
fn is_call_name(sql: Sql<'_>, at: usize) -> bool {
    sql.is(at + 1, Kind::Left) && (words::is_function(sql.word(at)) || sql.is(at, Kind::Compare))
}

/// Comparison or arithmetic behind a closed quote: `'='`, `'-email--`, `'is not id--`.
fn operator(sql: Sql<'_>, at: usize, before: &[u8], is_opening: bool) -> bool {
    let mut next = at;
    let mut is_compare = false;
    while matches!(sql.kind(next), Some(Kind::Compare | Kind::Arith | Kind::Unary)) && next < at + 4 {
        is_compare |= sql.is(next, Kind::Compare) && is_sign(sql.word(next));
        next += 1;
    }
    // `"*"`: a sign in quotes.
    let is_sign = before.is_empty() && sql.text.first() == Some(&b'"') && sql.word(at) == b"*";
    if is_sign && sql.is(next, Kind::Open) && sql.word(next).len() == 1 {
        return false;
    }
    // `href="` and other attributes, and assignments of a script, have their equals sign before the quote.
    let is_attribute = before.trim_ascii_end().ends_with(b"=") || before.contains(&b'<');
    let Some((what, end)) = sql.operand(next) else { return false };
    // `("/files/*rest"`: a path with a wildcard.
    let is_path = is_opening
        && sql.list.last().is_some_and(|last| last.kind == Kind::Comment && last.end - last.start > 4)
        && sql.word(sql.list.len() - 1).starts_with(b"/*");
    let is_cut = !is_path && sql.is_cut(end) || !is_path && sql.ends_cut() && is_short_chain(sql);
    // `'-0-'`: the second quote is the query's own.
    let is_framed = matches!(sql.kind(end), Some(Kind::Arith | Kind::Logic))
        && sql.is(end + 1, Kind::Open)
        && sql.word(end + 1).len() <= 2
        && matches!(sql.kind(next), Some(Kind::Number | Kind::Function));
    if is_framed && !is_opening && !is_attribute {
        return true;
    }
    let is_at_end = sql.is_end(end);
    match what {
        _ if is_attribute => false,
        _ if is_cut => {
            let is_size = is_inches(before) && sql.is(next, Kind::Number);
            !(is_size || is_measure(before, at, sql))
        }
        _ if is_opening => false,
        Operand::Call => {
            sql.is(next + 1, Kind::Select)
                || sql.is(next, Kind::Function) && words::is_attack_function(sql.word(next))
                || sql.is(next, Kind::Compare)
        }
        Operand::Open => {
            let text = sql.word(next);
            // `b'=')`: a letter in quotes.
            let is_letter = !before.is_empty() && matches!(text.get(1), Some(b')' | b','));
            !is_letter
                && is_at_end
                && (is_compare || text.len() <= 2)
                && !text.contains(&b'>')
                && !before.contains(&b'=')
        }
        Operand::Solid => {
            let is_number = sql.is(next, Kind::Number);
            let is_unclosed = is_unclosed(sql, before.len())
                || !before.is_empty() && before.iter().all(|b| b"'\"`".contains(b));
            // `"<3` is a heart.
            let is_heart = sql.word(at) == b"<" && sql.word(next) == b"3";
            let has_any = is_compare || sql.is(at, Kind::Compare) || !before.is_empty();
            let is_product = matches!(sql.word(at), b"*" | b"%" | b"^" | b"|" | b"&") && before.is_empty();
            is_unclosed && (has_any || is_product) && is_at_end && !is_heart
                || is_compare && is_at_end && !before.ends_with(b"&") && (!is_number || !before.is_empty())
                || !is_number && is_at_end && sql.is(next, Kind::Text) && sql.word(next).len() <= 2
        }
        Operand::Word => false,
    }
}

/// At most a few operands and operators, then the comment.
fn is_short_chain(sql: Sql<'_>) -> bool {
    sql.list.len() <= 8 && sql.list.windows(2).all(|pair| pair.iter().any(|token| token.kind != Kind::Name))
}

/// `5'-6"`, `13" --`: feet, inches and what is said about them.
fn is_measure(before: &[u8], at: usize, sql: Sql<'_>) -> bool {
    let digits = before.iter().rev().take_while(|byte| byte.is_ascii_digit() || **byte == b'.').count();
    digits > 0 && digits < 4 && before.len() > digits && sql.list[at].start > before.len() + 1
}

/// Digits before the quote: `11"-300`.
fn is_inches(before: &[u8]) -> bool {
    before.last().is_some_and(u8::is_ascii_digit) && before.len() > 3
}

/// `' order by 3--`, `' limit 1`, `' collate nocase--`.
fn quoted_clause(sql: Sql<'_>, at: usize, quote: usize) -> bool {
    let next = sql.word(at + 1);
    match sql.word(at) {
        b"order" | b"group" => {
            let is_whole = is_unclosed(sql, quote) && sql.is(at + 2, Kind::Name) && sql.is_end(at + 3);
            next == b"by" && (sql.is(at + 2, Kind::Number) || sql.ends_cut() || is_whole)
        }
        b"collate" | b"isnull" | b"notnull" | b"where" | b"escape" => sql.ends_cut(),
        b"having" if is_unclosed(sql, quote) => true,
        b"having" => sql.comparison(at + 1).is_some_and(|(_, _, end)| sql.has_sign(at, end)),
        b"limit" | b"offset" => sql.is(at + 1, Kind::Number) && (sql.is_end(at + 2) || sql.ends_cut()),
        b"procedure" => next == b"analyse",
        b"into" => matches!(next, b"outfile" | b"dumpfile"),
        b"as" => matches!(sql.kind(at + 1), Some(Kind::Name | Kind::Text)) && sql.is(at + 2, Kind::From),
        _ => false,
    }
}

/// `', (select ...`, `', sleep(5))`: the rest of a list of values.
fn comma(sql: Sql<'_>, at: usize, is_opening: bool) -> bool {
    let next = at + 1;
    !is_opening
        && (sql.is(next, Kind::Left) && sql.is(next + 1, Kind::Select)
            || sql.is(next, Kind::Function) && words::is_attack_function(sql.word(next))
            || sql.ends_cut() && sql.operand(next).is_some_and(|(what, _)| what != Operand::Word))
}
