//! Encodings and characters that no honest client sends in a value.

use super::head::find;
use super::{Cx, Leaf, Part, traits};
use crate::decode::Signs;
use crate::rules;

pub(crate) fn detect(leaf: &Leaf<'_>, cx: &mut Cx<'_>) {
    const SIGNS: [(Signs, &crate::Rule); 9] = [
        (Signs::NUL, rules::NUL),
        (Signs::CONTROL, rules::CONTROL),
        (Signs::BARE_CR, rules::BARE_CR),
        (Signs::OVERLONG, rules::OVERLONG),
        (Signs::PERCENT_U, rules::PERCENT_U),
        (Signs::BAD_PERCENT, rules::BAD_PERCENT),
        (Signs::TWICE, rules::TWICE),
        (Signs::ESCAPED_LETTER, rules::ESCAPED_LETTER),
        (Signs::NOT_UTF8, rules::NOT_UTF8),
    ];
    if leaf.signs != Signs::default() {
        for (sign, rule) in SIGNS {
            if leaf.signs.has(sign) {
                cx.hit(rule, leaf, 0);
            }
        }
    }
    if leaf.class.has(traits::NEWLINE) && leaf.place.part != Part::Body {
        let is_name = leaf.place.is_name || leaf.place.part == Part::Path;
        cx.hit(if is_name { rules::NEWLINE_IN_NAME } else { rules::NEWLINE }, leaf, 0);
    }
    if leaf.class.has(traits::NEWLINE) {
        split(leaf, cx);
    }
    if leaf.signs.has(Signs::NOT_UTF8) && eats_quote(leaf.decoded) {
        cx.hit(rules::QUOTE_EATEN, leaf, 0);
    }
    if hides_quote(leaf) {
        cx.hit(rules::ESCAPED_LETTER, leaf, 0);
    }
    if cx.level() >= 3 {
        strange(leaf, cx);
    }
}

/// A header of HTTP at the begin of a line. People write `Location: Berlin` in what they send as a body; there the value
/// must be one that the header has.
fn split(leaf: &Leaf<'_>, cx: &mut Cx<'_>) {
    let low = leaf.low;
    let ends = low.iter().enumerate().filter(|(_, byte)| matches!(byte, b'\r' | b'\n'));
    for (at, _) in ends.take(MOST_LINES) {
        let line = &low[at + 1..low.len().min(at + 1 + LONGEST_HEADER)];
        let sign = line.iter().take(8).take_while(|byte| !byte.is_ascii_alphanumeric()).count();
        let line = &line[sign..];
        let length = line.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'-').count();
        let (name, rest) = line.split_at(length);
        let rest = rest.trim_ascii_start();
        let Some(value) = rest.strip_prefix(b":") else { continue };
        let value = value.trim_ascii_start();
        let line = value.split(|byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or_default().trim_ascii();
        let is_body = leaf.place.part == Part::Body;
        let is_header = match name {
            b"content-type" => !is_body && value.contains(&b'/'),
            b"content-length" | b"retry-after" | b"refresh" => value.first().is_some_and(u8::is_ascii_digit),
            b"status" | b"age" => !is_body && value.first().is_some_and(u8::is_ascii_digit),
            // Of a mail, put behind an address.
            b"bcc" | b"cc" | b"reply-to" | b"mime-version" => {
                !is_body && (line.contains(&b'@') || name == b"mime-version")
            }
            // Invitations and messages of commits have these.
            b"location" | b"origin" | b"referer" | b"link" => {
                !is_body && (matches!(value.first(), Some(b'/' | b'<')) || find(line, b"://"))
            }
            b"host" => {
                !is_body && !line.contains(&b' ') && line.iter().any(|byte| matches!(byte, b'.' | b':'))
            }
            b"cookie" => !is_body && line.contains(&b'='),
            b"server" | b"via" | b"connection" | b"upgrade" | b"pragma" => {
                !is_body
                    && !line.contains(&b' ')
                    && line.iter().any(|byte| matches!(byte, b'.' | b'/' | b'-'))
            }
            b"forwarded"
            | b"remote-ip"
            | b"remote-addr"
            | b"remote-host"
            | b"originating-ip"
            | b"client-ip"
            | b"true-client-ip"
            | b"host-header"
            | b"set-cookie"
            | b"set-cookie2"
            | b"transfer-encoding"
            | b"content-disposition"
            | b"content-encoding"
            | b"content-security-policy"
            | b"content-location"
            | b"www-authenticate"
            | b"proxy-authenticate"
            | b"proxy-authorization"
            | b"strict-transport-security"
            | b"last-modified"
            | b"etag"
            | b"cache-control"
            | b"user-agent"
            | b"authorization"
            | b"keep-alive"
            | b"clear-site-data"
            | b"service-worker-allowed" => true,
            _ => {
                [b"x-".as_slice(), b"access-control-", b"forwarded-", b"sec-", b"accept-", b"if-"]
                    .iter()
                    .any(|start| name.len() > start.len() + 1 && name.starts_with(start))
                    && !matches!(name, b"x-large" | b"x-small")
                    && (!is_body || name.len() > 7)
            }
        };
        if is_header {
            return cx.hit(rules::SPLIT_HEADER, leaf, at);
        }
    }
}

/// A byte that is no UTF-8 before a quote or backslash: in some character sets of two bytes it takes that with it.
fn eats_quote(text: &[u8]) -> bool {
    text.windows(2).any(|two| two[0] >= 0x81 && matches!(two[1], b'\'' | b'\\'))
}

/// `\x27`: a quote, number sign or equals sign that is escaped in one word; logs and programs have more words.
fn hides_quote(leaf: &Leaf<'_>) -> bool {
    let text = leaf.decoded;
    // What was escaped is shorter in its plain form.
    leaf.text.len() < text.len()
        && text.len() <= 32
        && !text.contains(&b' ')
        && [br"\x27", br"\x23", br"\x3d"].iter().any(|sign| find(text, *sign))
}

/// Lines of a value whose begin is looked at.
const MOST_LINES: usize = 64;
/// Bytes of a line that a header's name and the begin of its value take.
const LONGEST_HEADER: usize = 96;

/// Byte ranges, ever smaller, that a value may have at the highest levels.
fn strange(leaf: &Leaf<'_>, cx: &mut Cx<'_>) {
    if leaf.place.part == Part::Header {
        return;
    }
    let is_printable = |byte: &u8| (b' '..=b'~').contains(byte) && *byte != b'%';
    if let Some(at) = leaf.decoded.iter().position(|byte| !is_printable(byte)) {
        cx.hit(rules::UNPRINTABLE, leaf, at);
    }
    let is_usual = |byte: &u8| byte.is_ascii_alphanumeric() || b" !-./:;=?@_,&[]{}\"'*+()".contains(byte);
    if let Some(at) = leaf.decoded.iter().position(|byte| !is_usual(byte)) {
        cx.hit(rules::UNUSUAL, leaf, at);
    }
    if leaf.decoded.len() > 400 && leaf.place.part == Part::Query
        || leaf.place.is_name && leaf.decoded.len() > 100
    {
        cx.hit(rules::LONG_ARGUMENT, leaf, 0);
    }
    if leaf.place.part == Part::Query
        && leaf.decoded.windows(2).any(|two| two[0] == b'\\' && two[1].is_ascii_alphanumeric())
    {
        cx.hit(rules::UNUSUAL, leaf, 0);
    }
}
