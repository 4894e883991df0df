//! What the head of a request says that HTTP does not mean, or that hides its body from inspection.

use super::{Cx, Part, Place};
use crate::{Interest, Request, rules};

/// The headers that are judged together, picked in one pass.
#[derive(Default)]
pub(crate) struct Headers<'a> {
    pub(crate) content_type: Option<&'a [u8]>,
    pub(crate) user_agent: Option<&'a [u8]>,
    coding: Option<&'a [u8]>,
    has_accept: bool,
    has_body: bool,
    has_length: bool,
    has_transfer_encoding: bool,
    host: Option<&'a [u8]>,
}

/// Ranges that a client may ask for at once.
const MOST_RANGES: usize = 5;

impl<'a> Headers<'a> {
    /// Judges one header by itself, and keeps what the others need.
    pub(crate) fn take(&mut self, request: &Request<'_>, name: &str, value: &'a [u8], cx: &mut Cx<'_>) {
        let place = Place { part: Part::Header, name: name.as_bytes(), is_name: false };
        let rule = match name {
            "content-type" => {
                let is_second = self.content_type.is_some();
                self.content_type = Some(value);
                if is_second { Some(rules::CONTENT_TYPE_SYNTAX) } else { content_type(value) }
            }
            "user-agent" => {
                self.user_agent = Some(value);
                value.trim_ascii().is_empty().then_some(rules::EMPTY_HEADER)
            }
            "accept" => {
                self.has_accept = true;
                if value.trim_ascii().is_empty() {
                    cx.hit_at(rules::EMPTY_HEADER, place, value, 0);
                }
                accept(value).then_some(rules::ACCEPT)
            }
            "accept-language" | "accept-charset" => {
                let is_odd = |byte: &u8| !(byte.is_ascii_alphanumeric() || b" \t,;=.*-_".contains(byte));
                value.iter().any(is_odd).then_some(rules::ACCEPT)
            }
            "content-length" => {
                let value = value.trim_ascii();
                self.has_body |= value != b"0";
                self.has_length = true;
                (value.is_empty() || !value.iter().all(u8::is_ascii_digit)).then_some(rules::LENGTH)
            }
            "transfer-encoding" => {
                self.has_body = true;
                self.has_transfer_encoding = true;
                None
            }
            "host" => {
                self.host = Some(value);
                value.trim_ascii().is_empty().then_some(rules::EMPTY_HEADER)
            }
            "range" => Some(range(value, request.path)),
            "request-range" => Some(rules::REQUEST_RANGE),
            "connection" => connection(value),
            "accept-encoding" => accept_encoding(value),
            "content-range" | "content-encoding" => {
                if name == "content-encoding" && !value.trim_ascii().eq_ignore_ascii_case(b"identity") {
                    self.coding = Some(value);
                }
                matches!(request.method, "GET" | "HEAD" | "DELETE" | "OPTIONS")
                    .then_some(rules::HEADER_FORBIDDEN)
            }
            // RFC 9110, 10.1.1: there is no other expectation.
            "expect" => {
                (!value.trim_ascii().eq_ignore_ascii_case(b"100-continue")).then_some(rules::HEADER_FORBIDDEN)
            }
            "lock-token" | "timeout" | "destination" | "overwrite" | "if" => {
                matches!(request.method, "GET" | "HEAD" | "POST" | "OPTIONS")
                    .then_some(rules::HEADER_FORBIDDEN)
            }
            "proxy"
            | "x-up-devcap-post-charset"
            | "x-rewrite-url"
            | "x-original-url"
            | "x-override-url"
            | "x-middleware-subrequest"
            | "x-accel-redirect"
            | "x-sendfile" => Some(rules::HEADER_FORBIDDEN),
            // Clients that can send nothing but POST override that; to override GET only evades.
            "x-http-method-override" | "x-http-method" | "x-method-override"
                if matches!(request.method, "GET" | "HEAD" | "OPTIONS") =>
            {
                (!value.trim_ascii().eq_ignore_ascii_case(request.method.as_bytes()))
                    .then_some(rules::HEADER_FORBIDDEN)
            }
            "acunetix-product"
            | "acunetix-scanning-agreement"
            | "acunetix-aspect"
            | "x-scanner"
            | "x-wipp"
            | "x-ratproxy-loop"
            | "x-bugbounty-scanner"
            | "x-scan-memo"
            | "x-scan-request-number" => Some(rules::SCANNER_AGENT),
            "cookie" => find(&value.to_ascii_lowercase(), b"$version").then_some(rules::COOKIE_VERSION),
            _ if name.starts_with("sec-") || matches!(name, "dnt" | "upgrade-insecure-requests") => {
                (!is_as_browsers_say(name, value)).then_some(rules::BROWSER_HEADER)
            }
            "cache-control" => cache_control(value),
            "x-http-method-override" | "x-http-method" | "x-method-override" => Some(rules::METHOD_HEADER),
            _ => None,
        };
        if let Some(rule) = rule {
            cx.hit_at(rule, place, value, 0);
        }
    }

    /// Judges what is there and what is missing.
    pub(crate) fn judge(&self, request: &Request<'_>, cx: &mut Cx<'_>) {
        let header = |name: &'static str| Place { part: Part::Header, name: name.as_bytes(), is_name: false };
        if !self.has_accept && request.method != "OPTIONS" {
            cx.hit_at(rules::NO_ACCEPT, header("accept"), b"", 0);
        }
        if self.user_agent.is_none_or(|agent| agent.trim_ascii().is_empty()) {
            cx.hit_at(rules::NO_USER_AGENT, header("user-agent"), b"", 0);
        }
        if self.has_body && self.content_type.is_none() {
            cx.hit_at(rules::NO_CONTENT_TYPE, header("content-type"), b"", 0);
        }
        if let Some(coding) = self.coding
            && Interest::of(self.content_type) != Interest::Never
        {
            cx.hit_at(rules::CODED_BODY, header("content-encoding"), coding, 0);
        }
        if self.has_length && self.has_transfer_encoding {
            cx.hit_at(rules::LENGTH, header("transfer-encoding"), b"", 0);
        }
        // RFC 3986, 3.3: every client encodes these, and browsers turn the backslash.
        if let Some(at) = request.path.iter().position(|byte| b"\\<>\"".contains(byte) || *byte <= b' ') {
            cx.hit_at(
                rules::RAW_PATH,
                Place { part: Part::Path, name: b"", is_name: false },
                request.path,
                at,
            );
        }
        if self.has_body && matches!(request.method, "GET" | "HEAD" | "TRACE") {
            cx.hit_at(rules::BODY_UNEXPECTED, header("content-length"), request.method.as_bytes(), 0);
        }
        if let Some(host) = self.host {
            let name = host.split(|byte| *byte == b':').next().unwrap_or_default();
            let is_address = name.starts_with(b"[")
                || name.contains(&b'.') && name.iter().all(|b| b.is_ascii_digit() || *b == b'.');
            if is_address {
                cx.hit_at(rules::NUMERIC_HOST, header("host"), host, 0);
            }
        }
    }
}

/// Headers that browsers set by themselves have few values each; scripts of a page cannot set them.
fn is_as_browsers_say(name: &str, value: &[u8]) -> bool {
    match name {
        "sec-fetch-user" | "sec-ch-ua-mobile" | "sec-ch-ua-wow64" => matches!(value, b"?0" | b"?1"),
        "sec-fetch-site" => matches!(value, b"same-origin" | b"same-site" | b"cross-site" | b"none"),
        "sec-fetch-mode" => {
            matches!(value, b"cors" | b"no-cors" | b"navigate" | b"same-origin" | b"websocket")
        }
        "sec-fetch-dest" => value.iter().all(|byte| byte.is_ascii_lowercase() || *byte == b'-'),
        "dnt" => matches!(value, b"0" | b"1" | b"null" | b"unspecified"),
        "sec-gpc" | "upgrade-insecure-requests" => matches!(value, b"0" | b"1"),
        _ => true,
    }
}

/// Whether `Accept` is none: a media range is `*` or has a slash, and asks for no character set that cannot be inspected.
fn accept(value: &[u8]) -> bool {
    if value.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t' || b"<>{}()\\".contains(byte)) {
        return true;
    }
    // A comma may stand within quotes; then nothing but the character set is looked at.
    let is_plain = memchr::memchr(b'"', value).is_none();
    let is_media = |range: &[u8]| {
        let media = range.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        let is_pair = memchr::memchr_iter(b'/', media).count() == 1
            && !media.starts_with(b"/")
            && !media.ends_with(b"/")
            && !media.contains(&b' ');
        media.is_empty() || media == b"*" || is_pair
    };
    if is_plain && !value.split(|byte| *byte == b',').all(is_media) {
        return true;
    }
    // Nearly no client sends a parameter that begins so.
    let has_charset = |value: &[u8]| {
        memchr::memchr2_iter(b'c', b'C', value)
            .any(|at| value.get(at..at + 7).is_some_and(|word| word.eq_ignore_ascii_case(b"charset")))
    };
    has_charset(value)
        && !value.to_ascii_lowercase().split(|byte| matches!(byte, b',' | b';')).all(|parameter| {
            let Some(value) = parameter.trim_ascii().strip_prefix(b"charset") else { return true };
            let value = value.trim_ascii().strip_prefix(b"=").unwrap_or_default().trim_ascii();
            is_known_charset(
                value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or(value),
            )
        })
}

/// What is read as ASCII where it is ASCII.
pub(crate) fn is_known_charset(charset: &[u8]) -> bool {
    matches!(
        charset,
        b"utf-8"
            | b"utf8"
            | b"us-ascii"
            | b"ascii"
            | b"iso-8859-1"
            | b"iso-8859-15"
            | b"windows-1252"
            | b"latin1"
    )
}

/// `type/subtype` and parameters, a character set that is understood, nothing smuggled into a parameter.
fn content_type(value: &[u8]) -> Option<&'static crate::Rule> {
    let low = value.to_ascii_lowercase();
    let mut parts = low.split(|byte| *byte == b';');
    let media = parts.next().unwrap_or_default().trim_ascii();
    let mut halves = media.split(|byte| *byte == b'/');
    let is_token = |half: Option<&[u8]>| {
        half.is_some_and(|half| !half.is_empty() && half.iter().copied().all(is_token_byte))
    };
    if !(is_token(halves.next()) && is_token(halves.next()) && halves.next().is_none()) {
        return Some(rules::CONTENT_TYPE_SYNTAX);
    }
    let (mut charsets, mut boundaries) = (0, 0);
    for parameter in parts.map(<[u8]>::trim_ascii) {
        let Some(at) = parameter.iter().position(|byte| *byte == b'=') else {
            // A semicolon at the end is common and harmless.
            if parameter.is_empty() {
                continue;
            }
            return Some(rules::CONTENT_TYPE_SYNTAX);
        };
        let (name, value) = (parameter[..at].trim_ascii(), parameter[at + 1..].trim_ascii());
        let value = value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or(value);
        if name == b"charset" {
            charsets += 1;
            if !is_known_charset(value) || charsets > 1 {
                return Some(rules::CHARSET);
            }
        }
        let is_media = [
            b"text/".as_slice(),
            b"application/",
            b"multipart/",
            b"image/",
            b"audio/",
            b"video/",
            b"message/",
        ]
        .iter()
        .any(|kind| find(value, kind));
        if is_media && !matches!(name, b"type" | b"start-info" | b"action" | b"profile") {
            return Some(rules::CONTENT_TYPE_INSIDE);
        }
        if name == b"boundary" {
            boundaries += 1;
            if !media.starts_with(b"multipart/") || boundaries > 1 || value.is_empty() {
                return Some(rules::CONTENT_TYPE_SYNTAX);
            }
        }
    }
    if boundaries == 0 && media == b"multipart/form-data" {
        return Some(rules::CONTENT_TYPE_SYNTAX);
    }
    let is_read = [
        b"application/json".as_slice(),
        b"application/x-www-form-urlencoded",
        b"multipart/form-data",
        b"text/",
    ]
    .iter()
    .any(|known| media.starts_with(known))
        || media.ends_with(b"+json")
        || media.ends_with(b"+xml")
        || media == b"application/xml";
    (!is_read).then_some(rules::MEDIA_TYPE_UNKNOWN)
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn range(value: &[u8], path: &[u8]) -> &'static crate::Rule {
    let low = value.to_ascii_lowercase();
    let Some(at) = low.iter().position(|byte| *byte == b'=') else { return rules::BAD_RANGE };
    let ranges = low[at + 1..].split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    // Readers of PDF files ask for many pieces at once.
    let most = if path.to_ascii_lowercase().ends_with(b".pdf") { 62 } else { MOST_RANGES };
    let (mut count, mut is_bad) = (0, false);
    for range in ranges {
        count += 1;
        is_bad |= !range.contains(&b'-') || !range.iter().any(u8::is_ascii_digit) || is_reversed(range);
    }
    if count > most {
        return rules::MANY_RANGES;
    }
    if is_bad { rules::BAD_RANGE } else { rules::RANGE }
}

/// `50-10`.
fn is_reversed(range: &[u8]) -> bool {
    let number = |text: Option<&[u8]>| std::str::from_utf8(text?).ok()?.trim().parse::<u64>().ok();
    let mut bounds = range.splitn(2, |byte| *byte == b'-');
    matches!((number(bounds.next()), number(bounds.next())), (Some(first), Some(last)) if last < first)
}

/// `keep-alive, close`, or one of them twice.
fn connection(value: &[u8]) -> Option<&'static crate::Rule> {
    let low = value.to_ascii_lowercase();
    let options = low.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    let count = options.filter(|option| matches!(*option, b"close" | b"keep-alive")).count();
    (count > 1).then_some(rules::CONNECTION_CONFLICT)
}

fn accept_encoding(value: &[u8]) -> Option<&'static crate::Rule> {
    let is_odd = |byte: &u8| !(byte.is_ascii_alphanumeric() || b" ,;=.-*_\t".contains(byte));
    if value.len() > 150 || value.iter().any(is_odd) {
        return Some(rules::ACCEPT_ENCODING);
    }
    let low = value.to_ascii_lowercase();
    let is_unknown = low.split(|byte| *byte == b',').any(|coding| {
        let name = coding.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        !matches!(
            name,
            b"" | b"gzip"
                | b"deflate"
                | b"br"
                | b"zstd"
                | b"compress"
                | b"identity"
                | b"*"
                | b"x-gzip"
                | b"x-compress"
                | b"dcb"
                | b"dcz"
        )
    });
    is_unknown.then_some(rules::UNKNOWN_CODING)
}

fn cache_control(value: &[u8]) -> Option<&'static crate::Rule> {
    let low = value.to_ascii_lowercase();
    let is_unknown = low.split(|byte| *byte == b',').any(|directive| {
        let name = directive.split(|byte| *byte == b'=').next().unwrap_or_default().trim_ascii();
        !matches!(
            name,
            b"" | b"no-cache"
                | b"no-store"
                | b"max-age"
                | b"max-stale"
                | b"min-fresh"
                | b"no-transform"
                | b"only-if-cached"
                | b"must-revalidate"
                | b"public"
                | b"private"
                | b"proxy-revalidate"
                | b"s-maxage"
                | b"stale-if-error"
                | b"stale-while-revalidate"
                | b"immutable"
        )
    });
    is_unknown.then_some(rules::CACHE_CONTROL)
}

pub(crate) fn find(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len()).any(|window| window == word)
}
