//! Tags and attributes as a browser finds them.

use super::super::{Cx, Leaf};
use crate::rules;

/// Tags read of one leaf, and attributes of one tag.
const MOST_TAGS: usize = 64;
const MOST_ATTRIBUTES: usize = 32;

/// Tags that run or load something by being there.
#[rustfmt::skip]
const ACTIVE: [&[u8]; 47] = [
    b"form", b"input", b"button", b"textarea", b"keygen", b"marquee", b"video", b"audio", b"body",
    b"template", b"plaintext", b"xmp", b"noembed", b"noscript", b"blink", b"script", b"iframe", b"frame",
    b"frameset", b"object", b"embed", b"applet", b"meta", b"base", b"link", b"svg", b"math", b"style",
    b"vmlframe", b"bgsound", b"layer", b"ilayer", b"import", b"isindex", b"xml", b"portal",
    b"foreignobject", b"animate", b"set", b"animatetransform", b"animatemotion", b"discard", b"fencedframe",
    b"comment", b"listing", b"param", b"basefont",
];

/// Reads every tag.
pub(super) fn tags(leaf: &Leaf<'_>, cx: &mut Cx<'_>) {
    let low = leaf.low;
    let mut at = 0;
    for _ in 0..MOST_TAGS {
        let Some(found) = low[at..].iter().position(|byte| *byte == b'<') else { return };
        let start = at + found;
        at = start + 1;
        let name_start = at + low[at..].iter().take_while(|byte| matches!(byte, b'/' | b'\0')).count();
        let is_end = name_start > at;
        let Some(first) = low.get(name_start) else { return };
        if !first.is_ascii_alphabetic() {
            if matches!(first, b'!' | b'?') {
                markup_declaration(leaf, start, cx);
            }
            if matches!(first, b'"' | b'\'') && has_handler(&low[name_start + 1..]) {
                cx.hit(rules::XSS_HANDLER, leaf, start);
            }
            continue;
        }
        let length = low[name_start..].iter().take_while(|byte| is_name(**byte)).count();
        let name = &low[name_start..name_start + length];
        // A prefix changes nothing to what looks at the last part.
        let local = name.rsplit(|byte| *byte == b':').next().unwrap_or(name);
        let rest = &low[name_start + length..];
        let is_active = is_active(local, rest, is_end, name.len() > local.len())
            || is_spaced_out(&low[name_start..])
            || !is_end && is_strange(local, rest) && (start == 0 || !low[start - 1].is_ascii_alphanumeric())
            || is_breaking_out(&low[..start]);
        if is_active {
            cx.hit(rules::XSS_TAG, leaf, start);
        } else if is_end
            || rest.first().is_none_or(|byte| byte.is_ascii_whitespace() || matches!(byte, b'/' | b'>'))
        {
            cx.hit(rules::XSS_ANY_TAG, leaf, start);
        }
        if !is_end {
            let end = attributes(leaf, name_start + length, start, cx);
            at = end.max(at);
        }
    }
}

/// `set` and `link` are tags of other languages too: what they need to do harm must follow.
fn is_active(name: &[u8], rest: &[u8], is_end: bool, has_prefix: bool) -> bool {
    if !ACTIVE.contains(&name) {
        return false;
    }
    // `<Set<String>>` and `List<Object>` are types of a program.
    let next = rest.first().copied().unwrap_or(b' ');
    let is_tag = next.is_ascii_whitespace() || matches!(next, b'/' | b'>' | b'\0' | b'+') || rest.is_empty();
    match name {
        b"script" | b"iframe" | b"frameset" | b"applet" | b"embed" => {
            is_tag || !is_end && !next.is_ascii_alphanumeric()
        }
        b"style" => {
            is_tag
                && !is_end
                && (contains(rest, b"@import")
                    || contains(rest, b"-moz-binding")
                    || contains(rest, b"expression")
                    || contains(rest, b"=\\")
                    || contains(rest, b"javascript")
                    || contains(rest, b"</style"))
        }
        b"object" | b"frame" => is_tag && !is_end && contains(rest, b"="),
        b"import" if contains(rest, b"implementation") => is_tag && !is_end,
        b"set" | b"animate" | b"animatetransform" | b"animatemotion" | b"discard" | b"xml" | b"layer"
        | b"import" | b"comment" | b"listing" | b"basefont" => {
            is_tag && !is_end && (has_prefix || has_handler(rest))
        }
        b"param" => is_tag && !is_end && contains(rest, b"value") && contains(rest, b"script"),
        b"link" | b"base" => is_tag && !is_end && contains(rest, b"href"),
        b"meta" => {
            is_tag
                && !is_end
                && (contains(rest, b"http-equiv") || contains(rest, b"charset") || contains(rest, b"refresh"))
        }
        b"form" | b"input" | b"button" | b"textarea" | b"video" | b"audio" | b"body" | b"template" => {
            is_tag
                && !is_end
                && [
                    b"action".as_slice(),
                    b"type",
                    b"autofocus",
                    b"src",
                    b"background",
                    b"javascript",
                    b"name=",
                ]
                .iter()
                .any(|word| contains(rest, word))
        }
        b"svg" | b"math" => {
            is_tag && !is_end && (next == b'/' || has_handler(rest) || contains(rest, b"script"))
        }
        _ => is_tag && !is_end,
    }
}

/// Tags that nobody writes, with attributes: browsers run the handlers of those, too.
fn is_strange(name: &[u8], rest: &[u8]) -> bool {
    #[rustfmt::skip]
    const KNOWN: [&[u8]; 62] = [
        b"a", b"abbr", b"address", b"area", b"article", b"aside", b"b", b"blockquote", b"br", b"caption",
        b"center", b"cite", b"code", b"col", b"colgroup", b"dd", b"del", b"details", b"dfn", b"div", b"dl",
        b"dt", b"em", b"figure", b"figcaption", b"font", b"footer", b"h1", b"h2", b"h3", b"h4", b"h5",
        b"h6", b"header", b"hr", b"html", b"i", b"img", b"ins", b"kbd", b"label", b"li", b"main", b"mark",
        b"nav", b"ol", b"p", b"picture", b"pre", b"s", b"section", b"small", b"span", b"strong", b"sub",
        b"summary", b"sup", b"table", b"td", b"th", b"tr", b"u",
    ];
    let end =
        rest.iter().take(256).position(|byte| matches!(byte, b'>' | b'<')).unwrap_or(rest.len().min(256));
    let has_attribute = rest[..end].contains(&b'=')
        && rest.first().is_some_and(|byte| byte.is_ascii_whitespace() || *byte == b'/');
    let is_attribute_odd =
        [b"ul".as_slice(), b"tbody", b"thead", b"time", b"var", b"option", b"select", b"source"]
            .contains(&name);
    has_attribute
        && !KNOWN.contains(&name)
        && !is_attribute_odd
        && rest[..end].iter().any(|byte| b"('\"/:".contains(byte))
        && is_harmful(&rest[..end])
}

/// Attributes that load or run.
fn is_harmful(attributes: &[u8]) -> bool {
    [b"src".as_slice(), b"href", b"style", b"on", b"data", b"xmlns", b"http"]
        .iter()
        .any(|word| contains(attributes, word))
}

/// `">` and a tag: the value ends an attribute and its tag first.
fn is_breaking_out(before: &[u8]) -> bool {
    let before = before.trim_ascii_end();
    (before.ends_with(b"\">") || before.ends_with(b"'>") || before.ends_with(b"/>"))
        && !before.contains(&b'<')
        && before.len() < 40
}

/// `<f o r m`, `<s c r i p t`.
fn is_spaced_out(text: &[u8]) -> bool {
    if text.get(1).is_none_or(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'<' | b'>')) {
        return false;
    }
    let mut joined = [0; 8];
    let mut length = 0;
    for (at, byte) in text.iter().enumerate().take(24) {
        let is_letter_place = at % 2 == 0;
        let is_between = !byte.is_ascii_alphanumeric() && !matches!(byte, b'<' | b'>' | b'=');
        let fits = if is_letter_place { byte.is_ascii_alphabetic() } else { is_between };
        if length == joined.len() || !fits {
            break;
        }
        if is_letter_place {
            joined[length] = *byte;
            length += 1;
        }
    }
    let word = &joined[..length];
    matches!(word, b"img" | b"svg")
        || word.len() >= 4
            && (ACTIVE.iter().any(|tag| tag.starts_with(word))
                || [b"form".as_slice(), b"input", b"video", b"audio"].contains(&word))
}

/// Attributes from `at`, a tag's; gives back where the tag ends.
fn attributes(leaf: &Leaf<'_>, mut at: usize, tag: usize, cx: &mut Cx<'_>) -> usize {
    let low = leaf.low;
    for _ in 0..MOST_ATTRIBUTES {
        at += low[at..]
            .iter()
            .take_while(|byte| byte.is_ascii_whitespace() || matches!(byte, b'/' | b'\0' | b'"' | b'\''))
            .count();
        match low.get(at) {
            Some(b'>') => return at + 1,
            None | Some(b'<') => return at,
            Some(_) => {}
        }
        let length = low[at..]
            .iter()
            .take_while(|byte| !byte.is_ascii_whitespace() && !matches!(byte, b'=' | b'>' | b'/' | b'<'))
            .count()
            .max(1);
        let name = &low[at..at + length];
        at += length;
        let after =
            at + low[at..].iter().take_while(|byte| byte.is_ascii_whitespace() || **byte == b'/').count();
        if low.get(after) != Some(&b'=') {
            continue;
        }
        at = after + 1;
        at += low[at..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        let (value, end) = value(low, at);
        at = end;
        // A program's markup has braces where HTML has a script: `onClick={go}`.
        if is_handler(name) && !value.starts_with(b"{") {
            cx.hit(rules::XSS_HANDLER, leaf, tag);
        }
        if matches!(name, b"ping" | b"lowsrc" | b"dynsrc" | b"formaction") && !value.is_empty() {
            cx.hit(rules::XSS_URL, leaf, tag);
        }
        let is_address = matches!(
            name,
            b"href"
                | b"src"
                | b"action"
                | b"formaction"
                | b"data"
                | b"xlink:href"
                | b"background"
                | b"poster"
                | b"srcdoc"
                | b"dynsrc"
                | b"lowsrc"
                | b"to"
                | b"from"
                | b"values"
                | b"code"
                | b"codebase"
                | b"archive"
                | b"by"
                | b"cite"
                | b"classid"
                | b"content"
                | b"folder"
                | b"icon"
                | b"longdesc"
                | b"manifest"
                | b"ping"
                | b"profile"
                | b"srcset"
                | b"value"
        );
        if is_address
            && (super::is_script_url(value)
                || value.trim_ascii().starts_with(b"data:text/html")
                || value.starts_with(b"data:,")
                || name == b"srcdoc")
        {
            cx.hit(rules::XSS_URL, leaf, tag);
        }
        if name == b"style" && super::is_script_style(value) {
            cx.hit(rules::XSS_STYLE, leaf, tag);
        }
    }
    at
}

fn value(low: &[u8], at: usize) -> (&[u8], usize) {
    if let Some(quote @ (b'"' | b'\'' | b'`')) = low.get(at) {
        let length = low[at + 1..].iter().position(|byte| byte == quote);
        let end = length.map_or(low.len(), |length| at + 1 + length);
        return (&low[at + 1..end], (end + 1).min(low.len()));
    }
    let length = low[at..].iter().take_while(|byte| !byte.is_ascii_whitespace() && **byte != b'>').count();
    (&low[at..at + length], at + length)
}

/// `<!doctype`, `<?import`: what the rows do not find by themselves.
fn markup_declaration(leaf: &Leaf<'_>, start: usize, cx: &mut Cx<'_>) {
    let rest = &leaf.low[start..];
    let is_open = |begin: &[u8], end: &[u8]| {
        rest.starts_with(begin) && !rest[begin.len()..].windows(end.len()).any(|window| window == end)
    };
    if is_open(b"<!--", b"-->") || is_open(b"<![cdata[", b"]]>") {
        cx.hit(rules::XSS_BROKEN, leaf, start);
    }
    if rest.starts_with(b"<!--") || rest.starts_with(b"<![cdata[") {
        cx.hit(rules::XSS_ANY_TAG, leaf, start);
    }
}

/// Attributes where the value lands within a tag: `" onfocus=alert(1) x="`, `onload=f()`.
pub(super) fn loose_attributes(leaf: &Leaf<'_>, cx: &mut Cx<'_>) {
    let low = leaf.low;
    for (equals, _) in low.iter().enumerate().filter(|(_, byte)| **byte == b'=').take(64) {
        let before = low[..equals].trim_ascii_end();
        let length = before.iter().rev().take_while(|byte| byte.is_ascii_alphabetic()).count();
        let name_start = before.len() - length;
        let name = &before[name_start..];
        let leads = name_start == 0
            || matches!(
                low[name_start - 1],
                b' ' | b'\t' | b'\n' | b'\r' | 0x0c | b'/' | b'"' | b'\'' | b'(' | b';' | b'`' | b'<'
            );
        if !leads {
            continue;
        }
        let rest = low[equals + 1..].trim_ascii_start();
        if is_handler(name) {
            let quote_before = low[..name_start].iter().any(|byte| matches!(byte, b'"' | b'\'' | b'`'));
            let is_code =
                rest.iter().take(80).any(|byte| matches!(byte, b'(' | b'`')) && !rest.starts_with(b"{");
            let is_thrown = rest.iter().take_while(|byte| byte.is_ascii_alphanumeric()).count() > 2
                && super::super::head::find(&rest[..rest.len().min(80)], b";throw");
            let is_code = is_code || is_thrown;
            let is_end = rest.is_empty() && (name_start < 4 || quote_before);
            // Nothing but a quote before it.
            let is_end = is_end || quote_before && name_start <= 2 && !rest.starts_with(b"=");
            if is_code || is_end {
                cx.hit(if quote_before { rules::XSS_BROKEN } else { rules::XSS_HANDLER }, leaf, name_start);
            }
        } else if matches!(name, b"formaction" | b"srcdoc")
            && (name_start <= 2)
            && (rest.is_empty() || name_start == 1 || super::is_script_url(rest))
        {
            cx.hit(rules::XSS_BROKEN, leaf, name_start);
        } else if matches!(name, b"style" | b"href" | b"src") {
            cx.hit(rules::XSS_LOOSE, leaf, name_start);
        }
    }
}

fn has_handler(rest: &[u8]) -> bool {
    let rest = &rest[..rest.len().min(2048)];
    rest.iter().enumerate().filter(|(_, byte)| **byte == b'=').take(16).any(|(equals, _)| {
        let before = rest[..equals].trim_ascii_end();
        let length = before.iter().rev().take_while(|byte| byte.is_ascii_alphabetic()).count();
        is_handler(&before[before.len() - length..])
    })
}

/// `onload`, `onwebkit…`: attributes that hold a script. Browsers add events faster than a list would.
fn is_handler(name: &[u8]) -> bool {
    name.starts_with(b"on")
        && (5..=52).contains(&name.len())
        && name.iter().all(u8::is_ascii_alphabetic)
        && !NO_EVENTS.contains(&name)
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b':' | b'-' | b'_')
}

fn contains(text: &[u8], word: &[u8]) -> bool {
    let end = text.len().min(2048);
    text[..end].windows(word.len()).any(|window| window == word)
}

/// Words that begin as a handler does and are none.
#[rustfmt::skip]
const NO_EVENTS: [&[u8]; 24] = [
    b"onboard", b"onboarding", b"once", b"oncology", b"oncoming", b"onerous", b"ones", b"oneself", b"ongoing",
    b"onion", b"onions", b"onlooker", b"onlookers", b"only", b"onomatopoeia", b"onrush", b"onset", b"onshore",
    b"onsite", b"onslaught", b"onto", b"ontology", b"onus", b"onward",
];
