//! Commands for a Unix shell: words are read as a shell reads them, quotes and expansions taken away, at the places
//! where a command may stand: the start, and behind separators. What the name of a command alone tells depends on how
//! much of an English word it is.

mod commands;

use super::{Cx, Leaf, Part, traits};
use crate::rules;
use commands::{Command, command};

/// Longest word that can be a command.
const LONGEST_WORD: usize = 40;
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
                b'(' => at > 0 && low[at - 1] == b'$',
                _ => false,
            };
            if is_separator {
                seen += 1;
                behind(leaf, at, cx);
            }
        }
    }
    if leaf.class.has(traits::GLOB) && leaf.class.has(traits::SLASH) && has_glob_path(low) {
        cx.hit(rules::SHELL_GLOB, leaf, 0);
    }
    if leaf.class.has(traits::BRACE) && leaf.class.has(traits::BRACKET) && is_bomb(low) {
        cx.hit(rules::SHELL_BOMB, leaf, 0);
    }
    if cx.level() >= 3 && has_inner_quote(low) {
        cx.hit(rules::SHELL_QUOTED, leaf, 0);
    }
}

/// A word as a shell would see it once quotes and empty expansions are gone.
struct Word {
    bytes: [u8; LONGEST_WORD],
    length: usize,
    /// Where it ends in the text.
    end: usize,
    /// Something within it was taken away.
    is_hidden: bool,
    /// It stood in quotes as a whole.
    is_quoted: bool,
    /// It had the path of a folder of programs before it.
    has_path: bool,
}

impl Word {
    /// The word at `at`.
    fn read(text: &[u8], at: usize) -> Self {
        let mut word = Self {
            bytes: [0; LONGEST_WORD],
            length: 0,
            end: at,
            is_hidden: false,
            is_quoted: false,
            has_path: false,
        };
        let start = at;
        let mut at = at;
        let mut quote_at = None;
        while let Some(&byte) = text.get(at).filter(|_| at - start < LONGEST_ARGUMENTS) {
            let next = text.get(at + 1).copied().unwrap_or(0);
            match byte {
                b'\'' | b'"' => {
                    let is_edge = at == start || !is_command_byte(next);
                    if at == start {
                        quote_at = Some(byte);
                    }
                    // Between letters, or after another quote, it hides; at both ends it quotes.
                    let closes_early = quote_at == Some(byte) && at > start && is_command_byte(next);
                    word.is_hidden |= word.length > 0 && (!is_edge || closes_early);
                    at += 1;
                }
                b'\\' if is_command_byte(next) || next == b'\n' || next == b'\\' => {
                    word.is_hidden |= at > start || is_command_byte(next);
                    at += 1;
                }
                b'`' if next == b'`' => {
                    word.is_hidden = true;
                    at += 2;
                }
                b'$' if matches!(next, b'@' | b'*' | b'?' | b'$' | b'!' | b'0'..=b'9') && word.length > 0 => {
                    word.is_hidden = true;
                    at += 2;
                }
                b'$' if next == b'{' || next == b'(' => {
                    let close = if next == b'{' { b'}' } else { b')' };
                    match text[at..].iter().take(24).position(|byte| *byte == close) {
                        Some(length) if word.length > 0 || length > 2 => {
                            word.is_hidden = true;
                            at += length + 1;
                        }
                        _ => break,
                    }
                }
                b'$' if next.is_ascii_alphabetic() && word.length > 0 => {
                    word.is_hidden = true;
                    at += 2;
                }
                b'[' if word.length > 0 && text.get(at + 2) == Some(&b']') => {
                    word.is_hidden = true;
                    word.push(next);
                    at += 3;
                }
                b'/' => {
                    let folder = word.word();
                    word.has_path = matches!(folder, b"bin" | b"sbin") || word.has_path;
                    word.length = 0;
                    at += 1;
                }
                byte if is_command_byte(byte) => {
                    if word.length == LONGEST_WORD {
                        break;
                    }
                    word.push(byte);
                    at += 1;
                }
                _ => break,
            }
        }
        word.end = at;
        word.is_quoted = quote_at.is_some() && !word.is_hidden;
        word
    }

    fn push(&mut self, byte: u8) {
        if self.length < LONGEST_WORD {
            self.bytes[self.length] = byte;
            self.length += 1;
        }
    }

    fn word(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

fn is_command_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')
}

/// A leaf that is a command from its first word on.
fn start(leaf: &Leaf<'_>, cx: &mut Cx<'_>) {
    let low = leaf.low;
    let first = skip_blank(low, 0);
    let Some(&byte) = low.get(first) else { return };
    if !(byte.is_ascii_alphabetic() || matches!(byte, b'\'' | b'"' | b'/' | b'\\' | b'.' | b'$'))
        || leaf.place.part == Part::Path
    {
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
    let word = Word::read(low, first);
    let Some(kind) = command(word.word()) else { return };
    let rest = &low[word.end..low.len().min(word.end + LONGEST_ARGUMENTS)];
    let is_header = leaf.place.part == Part::Header;
    let is_lower = leaf.text[first..word.end].iter().all(|byte| !byte.is_ascii_uppercase());
    let rule = if is_header { rules::SHELL_AGENT } else { rules::SHELL_DIRECT };
    // `php/8.1` and `python-requests` are names of clients.
    let is_ended = rest.is_empty()
        || rest[0].is_ascii_whitespace()
        || matches!(rest[0], b'+' | b'<' | b'|' | b';' | b'&' | b'>');
    if !is_ended {
        return;
    }
    if word.is_hidden && word.length > 1 && kind != Command::Weak || word.is_hidden && word.length > 2 {
        return cx.hit(rules::SHELL_EVASION, leaf, first);
    }
    if word.has_path {
        return cx.hit(rule, leaf, first);
    }
    let is_hit = match kind {
        Command::Sure => {
            !rest.trim_ascii().is_empty()
                || is_header
                || is_lower && (word.is_quoted || word.word().contains(&b'-'))
        }
        Command::Strong => {
            is_lower && (has_argument(rest) || is_header && !rest.is_empty() && !rest.starts_with(b"/"))
        }
        Command::Wrapper => wraps(rest) || is_header && is_lower && rest.trim_ascii().starts_with(b"-"),
        Command::Weak if !is_header && matches!(word.word(), b"test" | b"set") => false,
        Command::Weak => is_lower && (has_weak_argument(rest) || is_header && is_agent(word.word(), rest)),
    };
    if is_hit {
        return cx.hit(rule, leaf, first);
    }
    if rest.trim_ascii().is_empty() && (word.is_quoted || kind != Command::Weak) {
        cx.hit(rules::SHELL_WORD, leaf, first);
    } else if kind == Command::Strong && is_lower {
        cx.hit(rules::SHELL_LOOSE, leaf, first);
    }
}

/// A command behind a separator at `at`.
fn behind(leaf: &Leaf<'_>, at: usize, cx: &mut Cx<'_>) {
    let low = leaf.low;
    let separator = low[at];
    let mut first = at + 1;
    // Another separator, brackets, blanks and a variable or two may stand before the command.
    while low.get(first).is_some_and(|byte| matches!(byte, b'(' | b'{' | b' ' | b'\t' | b'+' | b'!' | b'@')) {
        first += 1;
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
    let word = Word::read(low, first);
    let Some(kind) = command(word.word()) else { return };
    let text = &leaf.text[first..word.end];
    let is_lower = text.iter().all(|byte| !byte.is_ascii_uppercase());
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
    let is_table = separator == b'|' && trimmed.starts_with(b"|");
    // A line break or an ampersand says little in a text, and more where nothing stands before it.
    let leads = low[..at].iter().all(u8::is_ascii_whitespace);
    let is_soft = matches!(separator, b'\n' | b'&') && !(at > 0 && low[at - 1] == separator) && !leads;
    if word.is_hidden && word.length > 1 {
        return cx.hit(rules::SHELL_EVASION, leaf, at);
    }
    let is_hit = match kind {
        _ if is_table => false,
        _ if word.has_path => true,
        Command::Sure => !is_soft || has_argument(rest),
        Command::Strong if is_soft => is_lower && has_argument(rest),
        // `data:image/png;base64` is no command.
        Command::Strong if word.word().starts_with(b"base") => has_argument(rest),
        Command::Strong => is_lower || has_argument(rest),
        Command::Wrapper => wraps(rest) || is_lower && is_closed && !is_soft && separator != b'|',
        Command::Weak => {
            let is_tight = first == at + 1 && separator != b'|';
            is_lower && (has_weak_argument(rest) || is_closed && !is_soft && (is_tight || separator == b'('))
        }
    };
    if is_hit {
        cx.hit(rules::SHELL_CHAIN, leaf, at);
    } else if !is_table {
        cx.hit(rules::SHELL_LOOSE, leaf, at);
    }
}

/// A backtick that begins a command, as none does in text with code between backticks.
fn is_opening_backtick(text: &[u8], at: usize) -> bool {
    let is_placed = at == 0 || matches!(text[at - 1], b'=' | b';' | b'|' | b'&' | b'{' | b'"' | b'\'' | b'(');
    let end = text[at + 1..].iter().position(|byte| *byte == b'`').map(|length| at + 1 + length);
    // Text goes on behind the closing one in prose.
    let goes_on = end.is_some_and(|end| {
        text.get(end + 1).is_some_and(|byte| *byte == b' ')
            && text.get(end + 2).is_some_and(u8::is_ascii_alphabetic)
    });
    is_placed && !goes_on
}

/// An option, a path, an address or a redirection among the first arguments.
fn has_argument(rest: &[u8]) -> bool {
    let arguments =
        rest.split(|byte| byte.is_ascii_whitespace() || *byte == b'+').filter(|word| !word.is_empty());
    arguments.take(4).any(|argument| {
        let argument =
            argument.strip_prefix(b"\"").or_else(|| argument.strip_prefix(b"'")).unwrap_or(argument);
        match argument[..] {
            [b'-', next, ..] => next.is_ascii_alphabetic() || next == b'-' && argument.len() > 3,
            [b'/', next, ..] => next.is_ascii_alphanumeric() || matches!(next, b'?' | b'*' | b'['),
            [b'$' | b'<' | b'|', _, ..] | [b'>' | b'|' | b'<' | b'~'] => true,
            _ if argument
                .iter()
                .position(|byte| *byte == b'@')
                .is_some_and(|at| is_host(&argument[at + 1..])) =>
            {
                true
            }
            _ if argument.starts_with(b"tcp") && argument.contains(&b':') => true,
            _ => {
                super::head::find(argument, b"://")
                    || is_host(argument)
                    || argument.ends_with(b".sh")
                    || argument.ends_with(b".php")
            }
        }
    })
}

/// `example.com`, `10.0.0.1`, `localhost`; not `1.5` and not the end of a sentence.
fn is_host(word: &[u8]) -> bool {
    if word == b"localhost" {
        return true;
    }
    let mut labels = word.split(|byte| *byte == b'.');
    let count = word.split(|byte| *byte == b'.').count();
    let is_label = |label: &[u8]| {
        !label.is_empty()
            && label.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'-' || *b == b':' || *b == b'/')
    };
    let is_address = count == 4 && word.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.');
    let ending = word.rsplit(|byte| *byte == b'.').next().unwrap_or_default();
    labels.all(is_label)
        && (is_address
            || count >= 2
                && matches!(
                    ending,
                    b"com"
                        | b"org"
                        | b"net"
                        | b"io"
                        | b"ru"
                        | b"cn"
                        | b"tk"
                        | b"xyz"
                        | b"bar"
                        | b"test"
                        | b"dev"
                        | b"sh"
                        | b"txt"
                ))
}

/// What an English word needs behind it to be a command: options and paths, close by.
fn has_weak_argument(rest: &[u8]) -> bool {
    let first = rest.split(|byte| byte.is_ascii_whitespace() || *byte == b'+').find(|word| !word.is_empty());
    let Some(first) = first else { return false };
    match first[..] {
        [b'-', next] => next.is_ascii_alphabetic(),
        [b'/'] => rest.trim_ascii().len() > 2,
        [b'-', b'-', ..] => first.len() > 4,
        [b'-', next, ..] => next.is_ascii_alphabetic() && first.len() <= 6,
        [b'/', next, ..] => {
            let top = first[1..].split(|byte| *byte == b'/').next().unwrap_or_default();
            let is_top = matches!(
                top,
                b"etc"
                    | b"bin"
                    | b"usr"
                    | b"var"
                    | b"tmp"
                    | b"proc"
                    | b"home"
                    | b"root"
                    | b"dev"
                    | b"opt"
                    | b"sys"
            );
            is_top
                || matches!(next, b'?' | b'*' | b'[')
                || top.iter().any(|byte| matches!(byte, b'?' | b'*' | b'['))
        }
        [b'$', b'(' | b'{', ..] => true,
        _ => rest.starts_with(b"<<<") || rest.starts_with(b"</"),
    }
}

/// Whether a wrapper's argument is a command.
fn wraps(rest: &[u8]) -> bool {
    let mut at = skip_blank(rest, 0);
    for _ in 0..4 {
        // Its own options, and what they take, come first.
        let word = Word::read(rest, at);
        if word.end == at {
            return false;
        }
        let is_option = word.word().starts_with(b"-") || word.word().iter().all(u8::is_ascii_digit);
        let rest = &rest[word.end..];
        if !is_option && let Some(kind) = command(word.word()) {
            return match kind {
                Command::Sure => true,
                Command::Strong => !matches!(word.word(), b"apt-get" | b"systemctl"),
                Command::Wrapper => wraps_once(rest),
                Command::Weak => {
                    matches!(word.word(), b"who" | b"id" | b"su") && rest.trim_ascii().is_empty()
                        || has_weak_argument(rest)
                }
            };
        }
        if !is_option {
            return false;
        }
        if word.word() == b"-c" || word.word().starts_with(b"--version") {
            return true;
        }
        at = skip_blank(rest, 0) + word.end;
    }
    false
}

/// A wrapper of a wrapper: the second must have a sure command.
fn wraps_once(rest: &[u8]) -> bool {
    let word = Word::read(rest, skip_blank(rest, 0));
    matches!(command(word.word()), Some(Command::Sure | Command::Strong))
}

/// A header that is a command and nothing else; no client is called that.
fn is_agent(word: &[u8], rest: &[u8]) -> bool {
    !matches!(
        word,
        b"test" | b"node" | b"java" | b"go" | b"mail" | b"git" | b"host" | b"top" | b"date" | b"service"
    ) && !rest.contains(&b'/')
        && (rest.trim_ascii().is_empty()
            || rest.trim_ascii().starts_with(b"-")
            || rest.windows(3).any(|three| three == b" -m" || three == b" -c"))
}

fn skip_blank(text: &[u8], at: usize) -> usize {
    at + text[at.min(text.len())..]
        .iter()
        .take_while(|byte| byte.is_ascii_whitespace() || **byte == b'+')
        .count()
}

/// An absolute path whose folders have wildcards in their names: `/e?c/p*wd`.
fn has_glob_path(text: &[u8]) -> bool {
    let is_glob = |byte: &u8| matches!(byte, b'?' | b'*' | b'[');
    let is_part = |byte: &u8| {
        byte.is_ascii_alphanumeric()
            || matches!(
                byte,
                b'?' | b'*'
                    | b'['
                    | b']'
                    | b'!'
                    | b'/'
                    | b'.'
                    | b'-'
                    | b'_'
                    | b'\''
                    | b'\\'
                    | b'$'
                    | b'('
                    | b')'
            )
    };
    text.iter().enumerate().take(2048).filter(|(_, byte)| **byte == b'/').any(|(at, _)| {
        let leads = at == 0
            || matches!(
                text[at - 1],
                b' ' | b'+' | b'=' | b';' | b'|' | b'&' | b'<' | b'>' | b'\'' | b'"' | b'(' | b'{'
            );
        if !leads {
            return false;
        }
        let path =
            &text[at + 1..at + 1 + text[at + 1..].iter().take(48).take_while(|byte| is_part(byte)).count()];
        let mut folders = path.split(|byte| *byte == b'/');
        let (Some(top), Some(file)) = (folders.next(), folders.next()) else { return false };
        let is_known = matches!(
            top,
            b"etc" | b"bin" | b"usr" | b"var" | b"proc" | b"home" | b"root" | b"dev" | b"tmp" | b"sbin"
        );
        let is_hidden =
            |part: &[u8]| part.iter().any(is_glob) && part != b"*" && part != b"**" && part.len() <= 16;
        let is_word = |part: &[u8]| part.iter().any(u8::is_ascii_alphabetic) || part.starts_with(b"??");
        is_known && is_hidden(file)
            || is_hidden(top) && is_word(top) && (is_hidden(file) || path.len() <= 12) && !file.is_empty()
            || is_known && path.split(|byte| *byte == b'/').any(is_hidden)
            || is_hidden(top) && path.contains(&b']')
    })
}

/// `:(){ :|:& };:` and `f() { f & f; }; f`.
fn is_bomb(text: &[u8]) -> bool {
    let Some(at) = text.windows(2).position(|two| two == b"()") else { return false };
    let before = text[..at].trim_ascii_end();
    let name_length = before
        .iter()
        .rev()
        .take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b':' | b'_'))
        .count();
    let name = &before[before.len() - name_length..];
    let body = text[at + 2..].trim_ascii_start();
    let Some(body) = body.strip_prefix(b"{") else { return false };
    let body = body.trim_ascii_start();
    let end = body.iter().position(|byte| *byte == b'}').unwrap_or(body.len());
    !name.is_empty() && body.starts_with(name) && body[..end].iter().any(|byte| matches!(byte, b'&' | b'|'))
}

/// Quotes with letters on both sides.
fn has_inner_quote(text: &[u8]) -> bool {
    text.windows(3).any(|three| {
        three[0].is_ascii_alphanumeric()
            && matches!(three[1], b'\'' | b'"' | b'\\')
            && three[2].is_ascii_alphanumeric()
    })
}
