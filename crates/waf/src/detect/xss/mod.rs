//! Scripts for a browser: markup is read as an HTML5 tokeniser reads it, from the outside of tags and from within an
//! attribute's value, and judged by what would run or load something. A bold word is none of that.

mod html;

use super::{Cx, Leaf, Part, traits};
use crate::rules;

pub(crate) fn detect(leaf: &Leaf<'_>, cx: &mut Cx<'_>) {
    let low = leaf.low;
    if leaf.class.has(traits::ANGLE) {
        html::tags(leaf, cx);
    }
    let has_word = leaf.triggers.has(super::pattern::XSS_WORD);
    if leaf.class.has(traits::EQUALS) {
        html::loose_attributes(leaf, cx);
    }
    let may_be_broken = leaf.class.has(traits::NEWLINE);
    if (has_word || may_be_broken) && leaf.class.has(traits::COLON) && is_script_url(low) {
        cx.hit(rules::XSS_URL, leaf, 0);
    }
    if has_word && leaf.class.has(traits::BRACKET) && leaf.place.part != Part::Path {
        if is_script_call(low) {
            cx.hit(rules::XSS_CODE, leaf, 0);
        }
        if is_script_style(low) {
            cx.hit(rules::XSS_STYLE, leaf, 0);
        }
    }
    if leaf.class.has(traits::GLOB) && is_symbols_only(low) {
        cx.hit(rules::XSS_OBFUSCATED, leaf, 0);
    }
    let trimmed = low.trim_ascii();
    if trimmed == b"-->" {
        cx.hit(rules::XSS_BROKEN, leaf, 0);
    }
    if trimmed.starts_with(b"'>") || trimmed.starts_with(b"\">") {
        cx.hit(rules::XSS_LOOSE, leaf, 0);
    }
}

/// `javascript:` and what follows it; blanks and control characters within the word do not stop a browser.
pub(super) fn is_script_url(low: &[u8]) -> bool {
    low.iter().enumerate().filter(|(_, byte)| **byte == b':').take(16).any(|(colon, _)| {
        let mut word = [0; 10];
        let mut length = 0;
        let mut start = colon;
        while start > 0 && length < word.len() && colon - start < 40 {
            let byte = low[start - 1];
            if byte.is_ascii_alphabetic() {
                word[word.len() - 1 - length] = byte;
                length += 1;
            } else if byte > b' ' {
                break;
            }
            start -= 1;
        }
        let is_scheme = word == *b"javascript" || word[2..] == *b"vbscript" || word == *b"livescript";
        if !is_scheme {
            return false;
        }
        let rest = &low[colon + 1..];
        let code = rest.trim_ascii_start();
        // "JavaScript: The Good Parts" is a book.
        let is_title =
            code.len() < rest.len() && code.first().is_some_and(u8::is_ascii_alphabetic) && !is_call(code);
        // Links that do nothing are copied along with pages.
        if code.starts_with(b"void(0)") || code.starts_with(b"void 0") {
            return false;
        }
        // Letters apart are no word of anybody's.
        let is_broken = low[start..colon].trim_ascii().len() > length;
        let is_alone = low.len() == colon + 1;
        is_broken && length >= 8
            || !is_title
                && (is_alone && start == 0
                    || code.iter().any(|byte| b"(=[/\\`%&.;:{".contains(byte))
                    || start == 0 && !code.is_empty() && code.len() == rest.len())
    })
}

/// A name and a bracket right behind.
fn is_call(code: &[u8]) -> bool {
    let name = code
        .iter()
        .take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'$'))
        .count();
    name > 0 && code.get(name) == Some(&b'(')
}

/// The whole value is a call that a proof of concept makes, or one follows a quote or sign that ended something.
fn is_script_call(low: &[u8]) -> bool {
    #[rustfmt::skip]
    const CALLS: [&[u8]; 16] = [
        b"alert", b"confirm", b"prompt", b"eval", b"settimeout", b"setinterval", b"setimmediate",
        b"execscript", b"atob", b"btoa", b"importscripts", b"import", b"fetch",
        b"console.log", b"console.dir", b"function",
    ];
    let trimmed = low.trim_ascii();
    let trimmed = trimmed.strip_suffix(b";").unwrap_or(trimmed);
    let is_whole = trimmed.ends_with(b")")
        && CALLS.iter().take(15).any(|call| {
            trimmed.strip_prefix(*call).is_some_and(|rest| {
                rest.starts_with(b"(") && !rest.starts_with(b"(()") && !rest.starts_with(b"(function")
            })
        });
    let is_spaced = trimmed.ends_with(b")")
        && [b"eval (".as_slice(), b"settimeout (", b"setinterval (", b"atob (", b"btoa ("]
            .iter()
            .any(|call| trimmed.starts_with(call));
    is_whole
        || is_spaced
        || CALLS.iter().take(4).any(|call| {
            low.windows(call.len() + 1).enumerate().take(4096).any(|(at, window)| {
                window.starts_with(call)
                    && matches!(window[call.len()], b'(' | b'`')
                    && at > 0
                    && matches!(
                        low[at - 1],
                        b'\'' | b'"' | b';' | b'(' | b'-' | b'+' | b'*' | b'/' | b'}' | b'^' | b'|' | b'{'
                    )
                    && (low[at - 1] != b'/' || at < 2 || low[at - 2] == b'*' || low[at - 2] == b'/')
                    && !low[..at].contains(&b' ')
            })
        })
}

/// `url(javascript:`, `expression(`, `-moz-binding`, blanks and comments left out.
fn is_script_style(low: &[u8]) -> bool {
    let mut packed: Vec<u8> = Vec::with_capacity(low.len().min(512));
    let mut rest = &low[..low.len().min(512)];
    while let [byte, tail @ ..] = rest {
        let comment = rest.strip_prefix(b"/*").and_then(|body| body.get(find_end(body)? + 2..));
        if let Some(behind) = comment {
            rest = behind;
            continue;
        }
        if !byte.is_ascii_whitespace() && *byte != b'\\' {
            packed.push(*byte);
        }
        rest = tail;
    }
    [
        b"url(javascript:".as_slice(),
        b"url('javascript:",
        b"url(\"javascript:",
        b"url(vbscript:",
        b":expression(",
        b"-moz-binding:",
        b"behavior:url(",
    ]
    .iter()
    .any(|word| packed.windows(word.len()).any(|window| window == *word))
}

/// Where a comment of a style ends.
fn find_end(body: &[u8]) -> Option<usize> {
    body.windows(2).position(|pair| pair == b"*/")
}

/// A program of brackets, plus and exclamation marks.
fn is_symbols_only(low: &[u8]) -> bool {
    let symbols = low.iter().filter(|byte| b"[]()!+".contains(byte)).count();
    let blanks = low.iter().filter(|byte| byte.is_ascii_whitespace()).count();
    symbols >= 24 && symbols * 10 >= (low.len() - blanks) * 9 && low.contains(&b'[') && low.contains(&b'!')
}
