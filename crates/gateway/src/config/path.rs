//! The shape of path templates, rewrites and hosts, as far as a person can get it wrong. What they match is the business
//! of the stage `route`, which reads them again when a snapshot is built.

use std::ops::Range;

/// What is wrong with a part of a text.
pub(super) struct Flaw {
    pub(super) range: Range<usize>,
    pub(super) message: String,
}

/// Checks a path template and gives the names that it captures.
pub(super) fn check_pattern(text: &str) -> Result<Vec<&str>, Flaw> {
    check_start(text)?;
    let mut names: Vec<&str> = Vec::new();
    let mut rest = None;
    for part in parts(text) {
        let (range, capture) = part?;
        let Some(capture) = capture else {
            check_literal(text, range)?;
            continue;
        };
        let flaw = |message: &str| Err(Flaw { range: range.clone(), message: message.to_owned() });
        if rest.is_some() || range.end < text.len() && capture.ends_with("...") {
            return flaw("`{…...}` takes the rest of the path, so nothing can follow it");
        }
        let (name, pattern) = match capture.split_once(':') {
            Some((name, pattern)) => (name, Some(pattern)),
            None => (capture, None),
        };
        let name = match name.strip_suffix("...") {
            Some(_) if pattern.is_some() => return flaw("`...` and a regular expression do not go together"),
            Some(name) => {
                rest = Some(name);
                name
            }
            None => name,
        };
        if !is_name(name) {
            return flaw("a name in `{…}` begins with a letter, followed by letters, digits and `_`");
        }
        if names.contains(&name) {
            return flaw("this name stands in the path twice");
        }
        if let Some(pattern) = pattern
            && let Err(complaint) = super::values::Pattern::parse(pattern)
        {
            return flaw(&complaint);
        }
        if !text[..range.start].ends_with('/') && rest.is_some() {
            return flaw("`{…...}` stands for whole segments: put a `/` before it");
        }
        names.push(name);
    }
    Ok(names)
}

/// Checks a rewritten path, which may use what the match captured.
pub(super) fn check_rewrite(text: &str, captures: &[&str]) -> Result<(), Flaw> {
    check_start(text)?;
    for part in parts(text) {
        let (range, capture) = part?;
        match capture {
            None => check_literal(text, range)?,
            Some(name) if captures.contains(&name) => {}
            Some(_) => {
                let known: Vec<String> = captures.iter().map(|name| format!("{{{name}}}")).collect();
                let known = if known.is_empty() { "nothing".to_owned() } else { known.join(", ") };
                return Err(Flaw {
                    range,
                    message: format!("the match does not capture this; it captures {known}"),
                });
            }
        }
    }
    Ok(())
}

/// Checks the base path of an API, which captures nothing.
pub(super) fn check_base(text: &str) -> Result<(), String> {
    if !text.starts_with('/') || text.len() > MAX_PATH {
        return Err("a base path begins with `/`, as in `/shop`".to_owned());
    }
    if text.ends_with('/') && text.len() > 1 {
        return Err("a base path does not end with `/`".to_owned());
    }
    if text.contains(['{', '}']) {
        return Err("a base path captures nothing; put `{…}` into the routes".to_owned());
    }
    check_literal(text, 0..text.len()).map_err(|flaw| flaw.message)
}

/// Checks a host: a name, `*.` and a name, or an address; without a port.
pub(super) fn check_host(text: &str) -> Result<(), String> {
    let name = text.strip_prefix("*.").unwrap_or(text);
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    if name.contains('*') {
        return Err("`*` stands for the first part of a host only, as in `*.example.com`".to_owned());
    }
    let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
    if address.is_some_and(|address| address.parse::<std::net::Ipv6Addr>().is_ok()) {
        return Ok(());
    }
    if text.len() > 253 || !name.split('.').all(label) {
        return Err("expected a host such as `api.example.com` or `*.example.com`, without a port".to_owned());
    }
    Ok(())
}

fn check_start(text: &str) -> Result<(), Flaw> {
    if !text.starts_with('/') {
        return Err(Flaw { range: 0..text.len().min(1), message: "a path begins with `/`".to_owned() });
    }
    if text.len() > MAX_PATH {
        return Err(Flaw { range: 0..text.len(), message: format!("a path has at most {MAX_PATH} bytes") });
    }
    Ok(())
}

/// Literal text of a path: no query, no space, no dot segments; other characters as they are or percent-encoded.
fn check_literal(text: &str, range: Range<usize>) -> Result<(), Flaw> {
    let literal = &text[range.clone()];
    let bad = literal.find(|c: char| c.is_whitespace() || c.is_control() || "?#\\".contains(c));
    if let Some(offset) = bad {
        let start = range.start + offset;
        let length = text[start..].chars().next().map_or(1, char::len_utf8);
        let message = "a path has no spaces, no `?`, no `#` and no `\\`; use `match.query` for the query";
        return Err(Flaw { range: start..start + length, message: message.to_owned() });
    }
    let mut at = 0;
    while let Some(found) = literal[at..].find('%') {
        let start = at + found;
        let digits = literal.get(start + 1..start + 3);
        if !digits.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit())) {
            let start = range.start + start;
            return Err(Flaw {
                range: start..start + 1,
                message: "`%` is followed by two hex digits".to_owned(),
            });
        }
        at = start + 1;
    }
    if literal.contains("//") {
        return Err(Flaw { range, message: "a path has no empty segments: `//` never arrives".to_owned() });
    }
    if literal.split('/').any(|segment| segment == "." || segment == "..") {
        return Err(Flaw {
            range,
            message: "a path has no `.` and `..` segments: they never arrive".to_owned(),
        });
    }
    Ok(())
}

type Part<'t> = Result<(Range<usize>, Option<&'t str>), Flaw>;

/// The literal and the captured parts of a template; braces may nest inside a regular expression.
fn parts(text: &str) -> impl Iterator<Item = Part<'_>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        if at >= text.len() {
            return None;
        }
        let start = at;
        if !text[start..].starts_with('{') {
            at = text[start..].find(['{', '}']).map_or(text.len(), |length| start + length);
            if at == start {
                at = text.len();
                return Some(Err(Flaw {
                    range: start..start + 1,
                    message: "this `}` closes nothing".to_owned(),
                }));
            }
            return Some(Ok((start..at, None)));
        }
        let mut depth = 0_usize;
        for (offset, byte) in text[start..].bytes().enumerate() {
            match byte {
                b'{' => depth += 1,
                b'}' => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                at = start + offset + 1;
                return Some(Ok((start..at, Some(&text[start + 1..at - 1]))));
            }
        }
        at = text.len();
        Some(Err(Flaw { range: start..text.len(), message: "this `{` is never closed".to_owned() }))
    })
}

fn is_name(name: &str) -> bool {
    name.len() <= MAX_CAPTURE
        && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Bytes of a path template.
const MAX_PATH: usize = 2048;

/// Bytes of the name of a capture.
const MAX_CAPTURE: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_templates_capture_names() {
        for (text, expected) in [
            ("/", Some(vec![])),
            ("/users/{id}", Some(vec!["id"])),
            ("/a/{b:[0-9]{2,3}}/{c...}", Some(vec!["b", "c"])),
            ("/files/{name}.json", Some(vec!["name"])),
            ("/caf%C3%A9/é", Some(vec![])),
            ("", None),
            ("users", None),
            ("/{", None),
            ("/}", None),
            ("/{}", None),
            ("/{1}", None),
            ("/{a}/{a}", None),
            ("/{a...}/b", None),
            ("/{a...}{b}", None),
            ("/x{a...}", None),
            ("/{a:(}", None),
            ("/{a...:x}", None),
            ("/a?b", None),
            ("/a b", None),
            ("/a//b", None),
            ("/a/../b", None),
            ("/%zz", None),
            ("/%e", None),
        ] {
            assert_eq!(check_pattern(text).ok(), expected, "{text}");
        }
    }

    #[test]
    fn a_rewrite_uses_only_what_was_captured() {
        assert!(check_rewrite("/static/{rest}", &["rest"]).is_ok());
        assert!(check_rewrite("/static/{other}", &["rest"]).is_err());
        assert!(check_rewrite("static", &[]).is_err());
    }

    #[test]
    fn hosts_are_names_without_ports() {
        for (text, good) in [
            ("api.example.com", true),
            ("*.example.com", true),
            ("localhost", true),
            ("127.0.0.1", true),
            ("[::1]", true),
            ("", false),
            ("*", false),
            ("a.*.com", false),
            ("example.com:80", false),
            ("a..b", false),
        ] {
            assert_eq!(check_host(text).is_ok(), good, "{text}");
        }
    }
}
