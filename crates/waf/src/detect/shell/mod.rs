//! Commands for a Unix shell: words are read as a shell reads them, quotes and expansions taken away, at the places
//! where a command may stand: the start, and behind separators. What the name of a command alone tells depends on how
//! much of an English word it is; what stands behind it, and whether people talk like that, tells the rest.

mod agent;
mod arguments;
mod commands;
mod glob;
mod windows;
mod word;

use super::head::find;
use super::{Cx, Leaf, Part, traits};
use crate::rules;
use agent::{is_agent, is_client, is_product};
use arguments::{
    Evidence, evidence, has_weak_argument, has_word_as_option, is_file, is_list, is_only_number, is_prose,
    is_top, talks, wrapped,
};
use commands::{Command, command, is_asked, is_english, is_noun, is_verb, runs_alone, takes_file};
use word::{Word, is_command_byte};

/// Bytes looked at behind a command.
const LONGEST_ARGUMENTS: usize = 512;
/// Separators looked behind in one leaf.
const MOST_SEPARATORS: usize = 64;

pub(crate) fn detect(leaf: &Leaf<'_>, cx: &mut Cx<'_>) {
    let low = leaf.low;
    start(leaf, cx);
    if leaf.class.has(traits::SEPARATOR | traits::NEWLINE | traits::DOLLAR) {
        let mut seen = 0;
        for (at, byte) in low.iter().enumerate() {
            if seen == MOST_SEPARATORS {
                break;
            }
            let is_separator = match byte {
                b';' | b'|' | b'&' | b'\n' => true,
                b'`' => is_opening_backtick(low, at),
                b'(' => at > 0 && matches!(low[at - 1], b'$'),
                _ => false,
            };
            if is_separator {
                seen += 1;
                behind(leaf, at, cx);
            }
        }
    }
    if leaf.class.has(traits::BRACKET)
        && let Some(at) = body_of_function(low)
    {
        behind(leaf, at, cx);
    }
    if leaf.class.has(traits::GLOB) && leaf.class.has(traits::SLASH) && glob::has_glob_path(low) {
        cx.hit(rules::SHELL_GLOB, leaf, 0);
    }
    if leaf.class.has(traits::BRACE) && leaf.class.has(traits::BRACKET) && glob::is_bomb(low) {
        cx.hit(rules::SHELL_BOMB, leaf, 0);
    }
    if cx.level() >= 3 && glob::has_inner_quote(low) {
        cx.hit(rules::SHELL_QUOTED, leaf, 0);
    }
}

/// `f() { id; }; f`: where what a value defines first begins.
fn body_of_function(low: &[u8]) -> Option<usize> {
    let text = low.trim_ascii_start();
    let text = text.strip_prefix(b"function ").unwrap_or(text);
    let name = text.iter().take(24).take_while(|byte| is_command_byte(**byte)).count();
    let rest = text[name..].trim_ascii_start().strip_prefix(b"()")?.trim_ascii_start();
    (name > 0 && matches!(rest.first(), Some(b'{' | b'('))).then(|| low.len() - rest.len())
}

/// A leaf that is a command from its first word on.
fn start(leaf: &Leaf<'_>, cx: &mut Cx<'_>) {
    let low = leaf.low;
    let first = skip_blank(low, 0);
    let Some(&byte) = low.get(first) else { return };
    if leaf.place.part == Part::Path {
        return;
    }
    windows::start(leaf, first, cx);
    if byte == b'{' {
        return in_braces(leaf, first, cx);
    }
    if !(byte.is_ascii_alphabetic() || matches!(byte, b'\'' | b'"' | b'/' | b'\\' | b'.' | b'$')) {
        return;
    }
    // A single word is no command that harms, but for those that hide or have a path.
    let telling =
        traits::SPACE | traits::QUOTE | traits::SEPARATOR | traits::SLASH | traits::DOLLAR | traits::GLOB;
    if !leaf.class.has(telling)
        && leaf.place.part != Part::Header
        && cx.level() == 1
        && !low.contains(&b'-')
        && !low.contains(&b'+')
    {
        return;
    }
    if matches!(byte, b'$' | b'.') && runs_shell(&low[first..]) {
        return cx.hit(rules::SHELL_DIRECT, leaf, first);
    }
    let word = Word::read(low, first);
    let Some(kind) = command(word.word()) else { return };
    let rest = &low[word.end..low.len().min(word.end + LONGEST_ARGUMENTS)];
    let is_header = leaf.place.part == Part::Header;
    let is_lower = is_lower(leaf, first, word.end);
    let rule = if is_header { rules::SHELL_AGENT } else { rules::SHELL_DIRECT };
    // `df = read()` of a program.
    if rest.trim_ascii_start().starts_with(b"=") {
        return;
    }
    // `php/8.1` and `python-requests` are names of clients.
    let is_ended = rest.is_empty()
        || rest[0].is_ascii_whitespace()
        || matches!(rest[0], b'+' | b'<' | b'|' | b';' | b'&' | b'>');
    if !is_ended {
        return;
    }
    // So is `h2load nghttp2/1.52.0`, with what it is made of.
    if is_header && is_product(rest.trim_ascii_start()) {
        return;
    }
    // `I'd` is no `id` in quotes, but `'i'd` is.
    let is_quoted_first = matches!(byte, b'\'' | b'"') && !rest.is_empty();
    if word.is_hidden && word.length > 1 && (kind != Command::Weak || word.length > 2 || is_quoted_first) {
        return cx.hit(rules::SHELL_EVASION, leaf, first);
    }
    if word.has_path {
        return cx.hit(rule, leaf, first);
    }
    let is_bare = rest.trim_ascii().is_empty();
    let is_closed = matches!(rest.trim_ascii(), b";" | b"|" | b"&" | b"#");
    let evidence = evidence(word.word(), rest);
    let is_told = is_lower && is_told(evidence, rest);
    let is_hit = match kind {
        Command::Sure => {
            let is_run = is_lower && !talks(rest) && (evidence >= Evidence::Option || !is_prose(rest));
            // The end of the line runs it.
            let is_entered = rest.ends_with(b"\n");
            let is_telling = !is_bare || is_entered || word.is_quoted || word.word().contains(&b'-');
            !is_bare && evidence == Evidence::Certain || is_run && is_telling || is_header
        }
        Command::Strong => {
            is_told
                || is_lower && is_closed
                || is_header && is_lower && !is_client(word.word()) && (is_bare || rest.starts_with(b" "))
        }
        Command::Wrapper => {
            wraps(word.word(), rest) || is_header && is_lower && rest.trim_ascii().starts_with(b"-")
        }
        Command::Weak if !is_header && matches!(word.word(), b"test" | b"set") => false,
        Command::Weak if is_noun(word.word()) => {
            is_lower && !talks(rest) && has_weak_argument(rest) && !has_word_as_option(rest)
        }
        Command::Weak => {
            is_lower
                && (has_weak_argument(rest) && (evidence == Evidence::Certain || !talks(rest))
                    || takes_file(word.word()) && evidence == Evidence::File && !talks(rest)
                    || word.word() == b"tar" && evidence == Evidence::Certain && !talks(rest)
                    || word.word() == b"echo" && matches!(rest.trim_ascii_start().first(), Some(b'`'))
                    || is_header && is_agent(word.word(), rest))
        }
    };
    if is_hit {
        return cx.hit(rule, leaf, first);
    }
    if is_bare && (word.is_quoted || kind != Command::Weak) {
        cx.hit(rules::SHELL_WORD, leaf, first);
    } else if kind == Command::Strong && is_lower {
        cx.hit(rules::SHELL_LOOSE, leaf, first);
    }
}

/// Options count where nobody talks of them.
fn is_told(evidence: Evidence, rest: &[u8]) -> bool {
    match evidence {
        Evidence::Certain => true,
        Evidence::Option | Evidence::File => !talks(rest),
        Evidence::None => false,
    }
}

fn is_lower(leaf: &Leaf<'_>, first: usize, end: usize) -> bool {
    leaf.text.get(first..end).is_some_and(|word| !word.iter().any(u8::is_ascii_uppercase))
}

/// `{cat,config.php}` and `{id,}`.
fn in_braces(leaf: &Leaf<'_>, open: usize, cx: &mut Cx<'_>) {
    let word = Word::read(leaf.low, open + 1);
    let Some(kind) = command(word.word()) else { return };
    let Some(rest) = leaf.low[word.end..].strip_prefix(b",") else { return };
    let Some(close) = rest.iter().take(LONGEST_ARGUMENTS).position(|byte| *byte == b'}') else { return };
    let mut arguments = rest[..close].split(|byte| *byte == b',');
    let is_argument = |argument: &[u8]| {
        is_file(argument) || argument.starts_with(b"-") || argument.iter().any(|byte| b"/.$".contains(byte))
    };
    if !rest[..close].contains(&b' ')
        && (rest[..close].is_empty() && kind != Command::Wrapper || arguments.any(is_argument))
    {
        cx.hit(rules::SHELL_BRACES, leaf, open);
    }
}

/// A place behind a separator where a command may stand, once what may stand before it is passed over.
struct Place {
    first: usize,
    /// Nothing stood between.
    is_tight: bool,
    /// `do`, `then`: words of a script.
    is_in_script: bool,
}

fn place(low: &[u8], at: usize) -> Place {
    let mut first = at + 1;
    let (mut is_in_script, mut has_value) = (false, false);
    // Another separator, brackets, blanks and a variable or two may stand before the command.
    for _ in 0..3 {
        while low.get(first).is_some_and(|byte| {
            matches!(byte, b'(' | b'{' | b' ' | b'\t' | b'+' | b'!' | b'@' | b'\r' | b'\n')
        }) {
            first += 1;
        }
        let word =
            &low[first..first + low[first..].iter().take(12).take_while(|b| is_command_byte(**b)).count()];
        let next = low.get(first + word.len());
        if matches!(word, b"do" | b"then" | b"else") && next == Some(&b' ') && is_conditional(&low[..at]) {
            is_in_script = true;
        } else if !(next == Some(&b'=') && word.first().is_some_and(u8::is_ascii_alphabetic)) {
            break;
        } else {
            // `A=1 id`: a value of a variable that is given to the command.
            let value = low[first + word.len() + 1..].iter().take(64).take_while(|byte| {
                !byte.is_ascii_whitespace() && !matches!(byte, b';' | b'&' | b'|' | b',' | b'"')
            });
            let end = first + word.len() + 1 + value.count();
            if low.get(end) != Some(&b' ') || word.len() > 6 {
                break;
            }
            (first, has_value) = (end, true);
            continue;
        }
        first += word.len();
    }
    if low.get(first) == Some(&b'.')
        && low
            .get(first + 1)
            .is_some_and(|byte| byte.is_ascii_alphabetic() || *byte == b'\\' || *byte == b' ')
    {
        first += 1 + usize::from(low.get(first + 1) == Some(&b' '));
    }
    if low.get(first) == Some(&b'$') && low.get(first + 1).is_some_and(u8::is_ascii_alphabetic) {
        let name = low[first + 1..].iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
        let after = first + 1 + name;
        if low.get(after) == Some(&b' ') {
            first = after + 1;
        }
    }
    let is_in_brackets = matches!(low.get(at + 1), Some(b'{' | b'(' | b'!'));
    Place { first, is_tight: first == at + 1 || has_value || is_in_brackets, is_in_script }
}

/// `if`, `for` and `while` come before `then` and `do` in a script.
fn is_conditional(before: &[u8]) -> bool {
    let start = before.len().saturating_sub(LONGEST_ARGUMENTS);
    [b"if ".as_slice(), b"for ", b"while ", b"until "].iter().any(|word| find(&before[start..], word))
}

/// A command behind a separator at `at`.
fn behind(leaf: &Leaf<'_>, at: usize, cx: &mut Cx<'_>) {
    let low = leaf.low;
    let separator = low[at];
    let Place { first, is_tight, is_in_script } = place(low, at);
    if low.get(first).is_none() {
        return;
    }
    windows::behind(leaf, at, first, cx);
    if first > at + 1 && low[first - 1] == b'{' {
        in_braces(leaf, first - 1, cx);
    }
    let next = low[at + 1..].trim_ascii_start();
    if matches!(next.first(), Some(b'/' | b'.' | b'$')) && program_of_folder(next, separator) {
        return cx.hit(rules::SHELL_CHAIN, leaf, at);
    }
    let word = Word::read(low, first);
    let Some(kind) = command(word.word()) else { return };
    let is_lower = is_lower(leaf, first, word.end);
    let rest = &low[word.end..low.len().min(word.end + LONGEST_ARGUMENTS)];
    let trimmed = rest.trim_ascii_start();
    let is_closed = trimmed.is_empty()
        || matches!(
            trimmed[0],
            b';' | b'|' | b'&' | b'`' | b')' | b'#' | b'"' | b'\'' | b'<' | b'>' | b'$' | b'\\'
        );
    let has_blank = rest.first().is_none_or(|byte| {
        byte.is_ascii_whitespace()
            || matches!(
                byte,
                b'+' | b'<' | b'>' | b';' | b'|' | b'&' | b'`' | b')' | b'\'' | b'"' | b'$' | b'{'
            )
    });
    if !has_blank {
        return;
    }
    let is_number = word.word() == b"sleep" && is_only_number(rest);
    let is_table = separator == b'|' && trimmed.starts_with(b"|");
    // A line break or an ampersand says little in a text, and more where nothing stands before it.
    let leads = low[..at].iter().all(|byte| byte.is_ascii_whitespace() || b"'\";|&".contains(byte));
    let is_soft = matches!(separator, b'\n' | b'&') && !(at > 0 && low[at - 1] == separator) && !leads;
    let is_body = matches!(separator, b'{' | b'(') && low[..at].trim_ascii_end().ends_with(b"()");
    if word.is_hidden && word.length > 1 {
        return cx.hit(rules::SHELL_EVASION, leaf, at);
    }
    let evidence = evidence(word.word(), rest);
    let is_told = is_told(evidence, rest);
    let is_mentioned = !is_tight && talks(rest);
    let is_double = at > 0 && low[at - 1] == separator;
    let is_hit = match kind {
        _ if is_number => true,
        _ if word.has_path => true,
        _ if is_table || is_closed && (is_list(low) || is_alternative(low, at, trimmed)) => false,
        _ if is_in_script => is_lower && (is_closed || !talks(rest)),
        _ if is_body => is_lower && (is_closed || evidence >= Evidence::Option),
        Command::Sure => !is_mentioned && (!is_soft || is_told || is_tight),
        Command::Strong if is_soft => is_lower && (is_told || is_tight && is_closed && low[at] == b'&'),
        // `data:image/png;base64` is no command.
        Command::Strong if word.word().starts_with(b"base") => is_told,
        // Some systems know no case.
        Command::Strong => {
            let is_run = is_lower || is_tight && evidence >= Evidence::Option;
            evidence == Evidence::Certain || is_run && !is_mentioned
        }
        Command::Wrapper => {
            let is_free = is_tight || !is_english(word.word());
            let is_printed = word.word() == b"env" && is_closed && leads;
            wraps(word.word(), rest)
                || is_printed
                || is_lower && !is_soft && separator != b'|' && is_tight && is_closed
                || is_lower && !is_soft && is_free && is_told
        }
        Command::Weak => {
            let is_alone = is_closed && !is_soft && (is_tight && separator != b'|' || separator == b'(');
            let is_run = has_weak_argument(rest) && (evidence == Evidence::Certain || !talks(rest));
            let is_read = evidence >= Evidence::File && !talks(rest) && (takes_file(word.word()) || is_tight)
                || evidence == Evidence::Option && is_tight && !is_soft && !talks(rest);
            let is_verb_run = is_tight && is_verb(word.word()) && !matches!(separator, b'|' | b'&' | b'\n')
                || separator == b'`' && at > 0 && matches!(low[at - 1], b';' | b'|' | b'&');
            let is_broken_out = !is_soft && is_closed && is_behind_quote(low, at)
                || is_tight && trimmed.is_empty() && at > 0 && low[at - 1] == b')';
            // A value that is a separator and the name of a command.
            let is_all = leads && trimmed.is_empty() && is_asked(word.word());
            is_lower
                && (is_alone
                    || is_run
                    || is_read
                    || is_verb_run
                    || is_broken_out
                    || is_all
                    || leads && is_tight && !matches!(separator, b'\n' | b'`')
                    || leads && is_verb(word.word()) && !low[at + 1..].contains(&separator)
                    || leads && is_closed && matches!(separator, b';' | b'|')
                    || is_double && is_closed && is_tight && separator == b'|' && is_asked(word.word())
                    || separator == b'|' && is_closed && is_behind_value(low, at)
                    || separator == b'&' && trimmed.is_empty() && is_tight && is_behind_value(low, at))
        }
    };
    if is_hit {
        let rule = if leads { rules::SHELL_LEADING } else { rules::SHELL_CHAIN };
        cx.hit(rule, leaf, at);
    } else if !is_table {
        cx.hit(rules::SHELL_LOOSE, leaf, at);
    }
}

/// `./a`, `/tmp/a`: a program that is no command of the system, and `$0`, `$SHELL`, `$'id'`.
fn program_of_folder(text: &[u8], separator: u8) -> bool {
    let is_hard = matches!(separator, b';' | b'|' | b'&');
    let text = text.strip_prefix(b". ").unwrap_or(text);
    let is_named = |folder: &[u8]| {
        text.strip_prefix(folder).is_some_and(|name| name.first().is_some_and(u8::is_ascii_alphanumeric))
    };
    is_hard
        && ([b"/tmp/".as_slice(), b"/dev/shm/", b"/var/tmp/"].iter().any(|folder| is_named(folder))
            || is_named(b"./") && separator != b'&'
            || [b"$0 ".as_slice(), b"${0}", b"$shell", b"${shell", b"$bash", b"${bash", b"$'"]
                .iter()
                .any(|shell| text.starts_with(shell))
            || text == b"$0")
}

/// `$SHELL -c id`, `. /tmp/a`: a shell by its variable, or a file that the shell reads.
fn runs_shell(text: &[u8]) -> bool {
    let shell = [b"$0".as_slice(), b"${0}", b"$shell", b"${shell}", b"$bash", b"${bash}"]
        .iter()
        .find_map(|shell| text.strip_prefix(*shell));
    let file = text.strip_prefix(b". ").map(<[u8]>::trim_ascii_start).unwrap_or_default();
    let top = file.strip_prefix(b"/").and_then(|path| path.split(|byte| *byte == b'/').next());
    shell.is_some_and(|rest| matches!(rest, [b' ', b'-', b'a'..=b'z', ..] | [b'<', b'<', b'<', ..]))
        || top.is_some_and(is_top)
        || file.len() > 2 && file.starts_with(b"./")
}

/// `(a|b|ab)*` of an expression.
fn is_alternative(low: &[u8], at: usize, behind: &[u8]) -> bool {
    let open =
        low[..at].iter().rposition(|byte| matches!(byte, b'(' | b')')).filter(|open| low[*open] == b'(');
    low[at] == b'|'
        && behind.starts_with(b")")
        && open.is_some_and(|open| {
            open == 0 || !matches!(low[open - 1], b'$' | b'<' | b'>' | b';' | b'&' | b'|')
        })
}

/// A quote, and perhaps a bracket, before the separator: something was broken out of.
fn is_behind_quote(low: &[u8], at: usize) -> bool {
    let before = low[..at].trim_ascii_end();
    let before = before.strip_suffix(b")").unwrap_or(before);
    before.len() <= 64 && matches!(before.last(), Some(b'\'' | b'"'))
}

/// `127.0.0.1|id`, `10.0.0.1&id`, not `name|id`, which may be a list of columns.
fn is_behind_value(low: &[u8], at: usize) -> bool {
    let before = low[..at].trim_ascii();
    !before.is_empty()
        && before.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.')
        && (low[at] == b'|' || before.contains(&b'.'))
        && !low[at + 1..].contains(&b'|')
}

/// A backtick that begins a command, as none does in text with code between backticks.
fn is_opening_backtick(text: &[u8], at: usize) -> bool {
    let is_placed = at == 0 || matches!(text[at - 1], b'=' | b';' | b'|' | b'&' | b'{' | b'"' | b'\'' | b'(');
    let end = text[at + 1..].iter().position(|byte| *byte == b'`').map(|length| at + 1 + length);
    // Text goes on behind the closing one in prose, and old manuals open with it what an apostrophe closes.
    let goes_on = end.is_some_and(|end| {
        let rest = &text[end + 1..];
        let marks = rest.iter().take(3).take_while(|byte| b".,:?)]".contains(byte)).count();
        let has_mark = marks > 0 && matches!(rest[0], b'.' | b',' | b':' | b'?');
        match rest[marks..] {
            [] => has_mark,
            [b' ', next, ..] => next.is_ascii_alphabetic() || next == b'(' || has_mark,
            _ => false,
        }
    }) || end.is_none() && text[at + 1..].contains(&b'\'');
    // A word touches it, and nothing follows: no text has code there.
    let is_glued = at > 0 && text[at - 1].is_ascii_alphanumeric() && end == Some(text.len() - 1) && at < 64;
    (is_placed || is_glued) && !goes_on
}

/// Whether a wrapper's argument is a command. Those that are English words need a sure one.
fn wraps(wrapper: &[u8], rest: &[u8]) -> bool {
    let Some((word, behind)) = wrapped(rest) else { return false };
    let rest_is_certain = evidence(wrapper, rest) == Evidence::Certain && !talks(rest);
    if word.word().starts_with(b"-") {
        return !talks(behind);
    }
    if word.has_path {
        return !talks(behind);
    }
    let is_bare = behind.trim_ascii().is_empty();
    let is_english = is_english(wrapper);
    match command(word.word()) {
        Some(Command::Sure) => !talks(behind),
        Some(Command::Strong) if is_english => {
            is_told(evidence(word.word(), behind), behind) || is_bare && runs_alone(word.word())
        }
        Some(Command::Strong) => {
            !matches!(word.word(), b"apt-get" | b"systemctl") && !talks(behind)
                || evidence(word.word(), behind) == Evidence::Certain
        }
        Some(Command::Wrapper) => wrapped(behind)
            .and_then(|(word, _)| command(word.word()))
            .is_some_and(|kind| kind != Command::Weak),
        Some(Command::Weak) => {
            let traces =
                matches!(wrapper, b"busybox" | b"strace" | b"ltrace" | b"nohup" | b"setsid" | b"doas");
            is_bare && (matches!(word.word(), b"who" | b"id" | b"su") || traces && runs_alone(word.word()))
                || has_weak_argument(behind)
                || takes_file(word.word()) && evidence(word.word(), behind) == Evidence::File
        }
        None => !is_english && rest_is_certain,
    }
}

fn skip_blank(text: &[u8], at: usize) -> usize {
    at + text[at.min(text.len())..]
        .iter()
        .take_while(|byte| byte.is_ascii_whitespace() || **byte == b'+')
        .count()
}
