//! What stands behind a command's name: whether it is what a command is given, or how people talk about commands.

use super::Word;
use crate::detect::head::find;
use crate::detect::list::WordList;

/// Arguments looked at.
const MOST_ARGUMENTS: usize = 4;
/// Words looked at for talk.
const MOST_WORDS: usize = 7;

/// How much the arguments tell, from little to much.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Evidence {
    /// Words.
    None,
    /// `-x`, `--long`.
    Option,
    /// The name of a file of code or settings, an address.
    File,
    /// A path of the system, a variable, a redirection.
    Certain,
}

/// The strongest of the first arguments.
pub(super) fn evidence(command: &[u8], rest: &[u8]) -> Evidence {
    if matches!(rest.first(), Some(b'<' | b'>' | b'$')) {
        return Evidence::Certain;
    }
    let mut all = words(rest);
    let is_lone = words(rest).count() == 1;
    let strongest = all.by_ref().take(MOST_ARGUMENTS).map(|word| of_one(command, word, is_lone)).max();
    strongest.unwrap_or(Evidence::None)
}

fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| byte.is_ascii_whitespace() || *byte == b'+').filter(|word| !word.is_empty())
}

fn of_one(command: &[u8], argument: &[u8], is_lone: bool) -> Evidence {
    let argument = argument.strip_prefix(b"\"").or_else(|| argument.strip_prefix(b"'")).unwrap_or(argument);
    match argument {
        [b'-', b'-', name @ ..] if name.len() > 1 => Evidence::Option,
        // `ping` has options of one letter, and is half of a game.
        [b'-', name @ ..] if is_lone && command == b"ping" && name.len() > 2 => Evidence::None,
        [b'-', name, ..] if name.is_ascii_alphabetic() => Evidence::Option,
        [b'-', number @ ..] if !number.is_empty() && number.iter().all(u8::is_ascii_digit) => {
            Evidence::Option
        }
        [b'/'] if is_lone => Evidence::Certain,
        [b'/', path @ ..] if is_system_path(path) => Evidence::Certain,
        [b'/', next, ..] if next.is_ascii_alphanumeric() => Evidence::File,
        [b'$' | b'<' | b'|' | b'`', _, ..]
        | [b'>' | b'|' | b'<' | b'~']
        | [b'~', b'/', ..]
        | [b'>', b'a'..=b'z' | b'/' | b'.' | b'&' | b'>', ..]
        | [b'.', b'.', b'/', ..]
        | [b'.', b'/', _, ..] => Evidence::Certain,
        [b'.', next, ..] if next.is_ascii_alphabetic() => Evidence::File,
        _ if find(argument, b"://") || is_host(argument) || has_host(argument) => Evidence::File,
        _ if argument.starts_with(b"tcp") && argument.contains(&b':') => Evidence::Certain,
        _ if command == b"dd" && argument.iter().position(|byte| *byte == b'=') == Some(2) => {
            Evidence::Certain
        }
        _ if command == b"chmod" && is_mode(argument) => Evidence::File,
        _ if is_file(argument) => Evidence::File,
        _ => Evidence::None,
    }
}

/// A path whose top every Unix has, or a deeper one.
fn is_system_path(path: &[u8]) -> bool {
    let top = path.split(|byte| *byte == b'/').next().unwrap_or_default();
    is_top(top)
        || path.len() > top.len() + 1 && top.iter().all(u8::is_ascii_alphanumeric)
        || top.iter().any(|byte| matches!(byte, b'?' | b'*' | b'['))
}

/// A folder in the root of a Unix system.
pub(super) fn is_top(name: &[u8]) -> bool {
    const TOPS: [&[u8]; 20] = [
        b"bin", b"boot", b"dev", b"etc", b"home", b"lib", b"lib64", b"media", b"mnt", b"opt", b"proc",
        b"root", b"run", b"sbin", b"srv", b"sys", b"tmp", b"usr", b"var", b"users",
    ];
    TOPS.contains(&name)
}

/// `user@host`.
fn has_host(argument: &[u8]) -> bool {
    argument.iter().position(|byte| *byte == b'@').is_some_and(|at| is_host(&argument[at + 1..]))
}

/// `755`, `a+x`.
fn is_mode(argument: &[u8]) -> bool {
    (3..5).contains(&argument.len()) && argument.iter().all(u8::is_ascii_digit)
        || matches!(argument, b"x" | b"s" | b"rwx")
        || matches!(argument, [b'u' | b'g' | b'o' | b'a', b'=' | b'-', ..])
}

/// `config.php`; files that people read out to each other (`.html`, `.pdf`) are not meant.
pub(super) fn is_file(argument: &[u8]) -> bool {
    const ENDINGS: [&[u8]; 33] = [
        b"php",
        b"txt",
        b"conf",
        b"cnf",
        b"cfg",
        b"ini",
        b"log",
        b"sh",
        b"py",
        b"pl",
        b"rb",
        b"jsp",
        b"asp",
        b"aspx",
        b"xml",
        b"yml",
        b"yaml",
        b"sql",
        b"db",
        b"env",
        b"key",
        b"pem",
        b"crt",
        b"bak",
        b"tar",
        b"gz",
        b"tgz",
        b"csv",
        b"json",
        b"properties",
        b"toml",
        b"zip",
        b"out",
    ];
    let argument = match argument {
        [name @ .., b';' | b'|' | b'&' | b'\'' | b'"' | b'`' | b')' | b'}'] => name,
        _ => argument,
    };
    let Some(dot) = argument.iter().rposition(|byte| *byte == b'.') else { return false };
    let is_name =
        |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'/' | b'*');
    dot > 0
        && !argument.starts_with(b"__")
        && argument[..dot].iter().all(is_name)
        && ENDINGS.contains(&&argument[dot + 1..])
}

/// `example.com`, `10.0.0.1`, `localhost`; not `1.5` and not the end of a sentence.
fn is_host(word: &[u8]) -> bool {
    const ENDINGS: [&[u8]; 17] = [
        b"com", b"org", b"net", b"io", b"ru", b"cn", b"tk", b"xyz", b"bar", b"test", b"dev", b"sh", b"fun",
        b"site", b"example", b"online", b"pro",
    ];
    let word = match word {
        [host @ .., b';' | b'|' | b'&' | b'`' | b'\'' | b'"' | b')' | b','] => host,
        _ => word,
    };
    if word == b"localhost" {
        return true;
    }
    let host = word.split(|byte| matches!(byte, b'/' | b':')).next().unwrap_or_default();
    let is_label = |label: &[u8]| {
        !label.is_empty() && label.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
    };
    let count = host.split(|byte| *byte == b'.').count();
    let is_address = count == 4 && host.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.');
    let ending = host.rsplit(|byte| *byte == b'.').next().unwrap_or_default();
    host.split(|byte| *byte == b'.').all(is_label) && (is_address || count >= 2 && ENDINGS.contains(&ending))
}

/// What an English word needs behind it to be a command: options and paths, close by.
pub(super) fn has_weak_argument(rest: &[u8]) -> bool {
    let Some(first) = words(rest).next() else { return false };
    match first {
        // `'-'9`: nobody quotes a part of an option but to hide it.
        [b'\'' | b'"', b'-', b'\'' | b'"', next, ..] => next.is_ascii_alphanumeric(),
        [b'-', next] => next.is_ascii_alphabetic(),
        // `find . -exec`.
        [b'.'] => words(rest).nth(1).is_some_and(|second| matches!(second, [b'-', b'a'..=b'z', ..])),
        [b'<', b'<', next, ..] if next.is_ascii_alphabetic() => true,
        [b'/'] => rest.trim_ascii().len() > 2,
        [b'-', b'-', ..] => first.len() > 4,
        [b'-', next, ..] => next.is_ascii_alphabetic() && first.len() <= 6 && !is_lone_word(rest, first),
        [b'/', path @ ..] => {
            let top = path.split(|byte| *byte == b'/').next().unwrap_or_default();
            is_top(top) || top.iter().any(|byte| matches!(byte, b'?' | b'*' | b'['))
        }
        [b'$', b'(' | b'{', ..] | [b'.', b'.', b'/', ..] | [b'.', b'/', _, ..] | [b'~', b'/', ..] => true,
        _ => rest.starts_with(b"<<<") || rest.starts_with(b"</"),
    }
}

/// `-shoes`: a hyphen and a word.
pub(super) fn has_word_as_option(rest: &[u8]) -> bool {
    words(rest).next().is_some_and(|first| matches!(first, [b'-', b'a'..=b'z', _, ..]))
}

/// `-wool`, and nothing else.
fn is_lone_word(rest: &[u8], first: &[u8]) -> bool {
    first.len() > 3 && words(rest).count() == 1 && first[1..].iter().all(u8::is_ascii_lowercase)
}

/// A number and nothing else up to the end or the next separator, as `sleep` and `kill` take.
pub(super) fn is_only_number(rest: &[u8]) -> bool {
    let rest = rest.trim_ascii();
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit() || **byte == b'.').count();
    let after = rest[digits..].trim_ascii_start();
    digits > 0 && after.first().is_none_or(|byte| b";|&`)#'\"\n".contains(byte))
}

/// Single words divided by semicolons or bars: columns, languages, pets.
pub(super) fn is_list(text: &[u8]) -> bool {
    let is_word = |item: &[u8]| {
        let item = item.trim_ascii();
        !item.is_empty()
            && item.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'&'))
    };
    let items = || text.split(|byte| matches!(byte, b';' | b'|'));
    let is_mixed = text.contains(&b';') && text.contains(&b'|');
    text.len() < 256 && !is_mixed && items().count() > 2 && items().all(is_word)
}

/// Words between which a command is talked about, not run.
pub(super) fn talks(rest: &[u8]) -> bool {
    let is_end = |byte: &u8| matches!(byte, b';' | b'|' | b'&' | b'\n' | b'`');
    let sentence = &rest[..rest.iter().position(is_end).unwrap_or(rest.len())];
    words(sentence).take(MOST_WORDS).any(|word| {
        let word = match word {
            [word @ .., b',' | b'.' | b'?' | b'!' | b':'] => word,
            _ => word,
        };
        TALK.has(word)
    })
}

/// Words that follow a command as they follow any noun: none of them tells it what to do, or they are a sentence.
pub(super) fn is_prose(rest: &[u8]) -> bool {
    let is_mark = |word: &[u8]| matches!(word.last(), Some(b'.' | b',' | b':' | b'?' | b'!' | b')'));
    let is_told =
        |word: &[u8]| ORDERS.has(word) || word.iter().any(|byte| matches!(byte, b'-' | b'=' | b'@'));
    let is_sentence = words(rest).count() > 3 || words(rest).any(is_mark);
    words(rest).next().is_some() && (is_sentence || !words(rest).any(is_told))
}

/// Whether a wrapper's argument is a command.
pub(super) fn wrapped(rest: &[u8]) -> Option<(Word, &[u8])> {
    let mut rest = rest;
    for _ in 0..4 {
        // Its own options, and what they take, come first.
        let at = rest.iter().take_while(|byte| byte.is_ascii_whitespace() || **byte == b'+').count();
        let word = Word::read(rest, at);
        if word.end == at {
            return None;
        }
        let behind = &rest[word.end..];
        // `flock / id`: what a wrapper locks or changes into.
        if word.length == 0 {
            rest = behind;
            continue;
        }
        let is_option = word.word().starts_with(b"-")
            || !word.word().is_empty()
                && word.word().iter().all(|byte| byte.is_ascii_digit() || *byte == b'.');
        if !is_option {
            return Some((word, behind));
        }
        if word.word() == b"-c" || word.word().starts_with(b"--version") {
            return Some((word, behind));
        }
        rest = behind;
    }
    None
}

/// What programs with many tasks are told to do.
#[rustfmt::skip]
static ORDERS: WordList = WordList::new(&[
    "add", "apply", "attach", "backup", "clear", "config", "copy", "create", "decrypt", "delete", "describe", "detach", "disable", "dump",
    "edit", "enable", "encrypt", "eval", "exec", "export", "flush", "flushall", "flushdb", "get", "halt", "import", "info", "init",
    "inspect", "install", "keys", "kill", "list", "load", "login", "logs", "ls", "mask", "monitor", "mount", "poweroff", "print", "pull",
    "purge", "push", "reboot", "reload", "remove", "reset", "restart", "restore", "rm", "rollback", "run", "save", "set", "show",
    "shutdown", "start", "status", "stop", "sync", "unmask", "unmount", "update", "upgrade", "version", "view",
]);

#[rustfmt::skip]
static TALK: WordList = WordList::new(&[
    "about", "after", "also", "am", "an", "and", "are", "at", "be", "because", "but", "by", "can", "cannot",
    "cmdlet", "command", "commands", "could", "crashed", "das", "de", "der", "did", "die", "do", "does",
    "doesn't", "el", "equivalent", "est", "et", "example", "examples", "explained", "failed", "fails", "for",
    "from", "gives", "had", "hangs", "has", "have", "he", "her", "his", "how", "if", "in", "instead", "is",
    "isn't", "ist", "it", "its", "just", "la", "le", "les", "like", "los", "me", "meaning", "my", "nicht", "no",
    "not", "of", "on", "or", "our", "out", "prints", "removes", "returns", "says", "she", "should", "shows",
    "so", "some", "syntax", "than", "that", "the", "their", "them", "then", "there", "these", "they", "this",
    "those", "timed", "to", "tutorial", "und", "until", "up", "versus", "vs", "was", "we", "were", "what",
    "when", "where", "which", "while", "who", "why", "will", "with", "without", "worked", "works", "would",
    "you", "your",
]);
