//! Normalises request targets once, so that routing and the service see the same path (RFC 3986, section 6).
//!
//! What two programs could read in two ways is refused. What browsers and curl send although RFC 3986 does
//! not allow it bare (`"`, `<`, `>`, `^`, `` ` ``, `{`, `|`, `}`, `[`, `]` and bytes over 0x7f) is
//! percent-encoded, so that each path has one spelling. A backslash in the path is refused: some services
//! take it for a slash.

use crate::TargetFault;

/// Appends the normalised form of a raw path (which begins with `/`) to `out`: percent-encoded unreserved
/// characters decoded, hex upper-cased, dot segments resolved, runs of slashes made one (before dot segments
/// are); an encoded slash stays data. Normalising twice is normalising once.
pub fn normalise_path(raw: &[u8], out: &mut String) -> Result<(), TargetFault> {
    if raw.first() != Some(&b'/') {
        return Err(TargetFault::Form);
    }
    if is_normal_path(raw) && push_ascii(raw, out) {
        return Ok(());
    }
    let root = out.len();
    for segment in raw[1..].split(|byte| *byte == b'/') {
        // A slash right before an empty segment is the second of a run, or ends the path.
        if !out[root..].ends_with('/') {
            out.push('/');
        }
        let start = out.len();
        encode_segment(segment, out)?;
        match &out[start..] {
            "." => out.truncate(start),
            ".." => {
                out.truncate(start - 1);
                let parent = out[root..].rfind('/').ok_or(TargetFault::AboveRoot)?;
                out.truncate(root + parent + 1);
            }
            segment if is_disguised_dot_segment(segment) => return Err(TargetFault::DotSegment),
            _ => {}
        }
    }
    Ok(())
}

/// Appends a raw query, bytes that may not stand in a URI percent-encoded, to `out`. Nothing is decoded.
///
/// A `%` that no two hexadecimal digits follow becomes `%25`, which is what those who read it as itself make
/// of it; `[` and `]` stay, because clients and services agree on them in a query.
pub fn normalise_query(raw: &[u8], out: &mut String) -> Result<(), TargetFault> {
    if raw.iter().all(|byte| QUERY[*byte as usize]) && push_ascii(raw, out) {
        return Ok(());
    }
    for (position, byte) in raw.iter().copied().enumerate() {
        match byte {
            _ if QUERY[byte as usize] => out.push(byte as char),
            b'%' if hex_pair(&raw[position..]).is_some() => out.push('%'),
            _ => encode_byte(refuse_always(byte)?, out),
        }
    }
    Ok(())
}

/// One scan for what nearly every path is: allowed characters only, no empty and no dotted segment.
fn is_normal_path(raw: &[u8]) -> bool {
    let mut after_slash = false;
    for byte in raw {
        // A segment that begins with a dot may be a dot segment; another slash is a run.
        if !PATH[*byte as usize] || (after_slash && matches!(byte, b'.' | b'/')) {
            return false;
        }
        after_slash = *byte == b'/';
    }
    true
}

/// Appends bytes that a table has shown to be ASCII.
fn push_ascii(bytes: &[u8], out: &mut String) -> bool {
    std::str::from_utf8(bytes).is_ok_and(|text| {
        out.push_str(text);
        true
    })
}

/// Appends a segment in the one spelling that it has.
fn encode_segment(segment: &[u8], out: &mut String) -> Result<(), TargetFault> {
    let mut rest = segment;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            _ if PATH[byte as usize] => out.push(byte as char),
            b'%' => {
                let decoded = hex_pair(&segment[segment.len() - after.len() - 1..])
                    .ok_or(TargetFault::PercentEncoding)?;
                rest = &after[2..];
                match decoded {
                    0 => return Err(TargetFault::Nul),
                    _ if is_unreserved(decoded) => out.push(decoded as char),
                    _ => encode_byte(decoded, out),
                }
            }
            b'\\' => return Err(TargetFault::Character),
            _ => encode_byte(refuse_always(byte)?, out),
        }
    }
    Ok(())
}

/// The byte, unless it may not even be percent-encoded: then the sender is broken or probing.
fn refuse_always(byte: u8) -> Result<u8, TargetFault> {
    match byte {
        b'#' => Err(TargetFault::Fragment),
        0..=b' ' | 0x7f => Err(TargetFault::Character),
        _ => Ok(byte),
    }
}

/// Whether some program would find a dot segment in a normalised path that was changed since, plain or in disguise.
pub fn has_dot_segment(path: &str) -> bool {
    path.contains('.') && path.split('/').any(is_disguised_dot_segment)
}

/// Whether some program would find a dot segment in this segment: plainly, with parameters (`..;x`), or beside
/// a slash or backslash that it decodes first (`..%2Fx`).
fn is_disguised_dot_segment(segment: &str) -> bool {
    // Cheap first: no dots, no dot segment.
    if !segment.contains('.') {
        return false;
    }
    let bytes = segment.as_bytes();
    let mut start = 0;
    let mut position = 0;
    while position <= bytes.len() {
        let separator = match bytes.get(position..position + 3) {
            Some(b"%2F" | b"%5C") => 3,
            _ if position == bytes.len() => 1,
            _ => 0,
        };
        if separator == 0 {
            position += 1;
            continue;
        }
        let piece = &segment[start..position];
        let plain =
            piece.find(';').into_iter().chain(piece.find("%3B")).min().map_or(piece, |at| &piece[..at]);
        if matches!(plain, "." | "..") {
            return true;
        }
        position += separator;
        start = position;
    }
    false
}

/// The byte that `%` and the two hexadecimal digits at the beginning of `text` stand for.
fn hex_pair(text: &[u8]) -> Option<u8> {
    let digit = |byte: u8| (byte as char).to_digit(16).map(|digit| digit as u8);
    Some(digit(*text.get(1)?)? << 4 | digit(*text.get(2)?)?)
}

fn encode_byte(byte: u8, out: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    out.push('%');
    out.push(DIGITS[(byte >> 4) as usize] as char);
    out.push(DIGITS[(byte & 15) as usize] as char);
}

const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// The characters that stand for themselves in a path: `pchar` of RFC 3986, section 3.3, and the slash.
const PATH: [bool; 256] = table(b"/:@!$&'()*+,;=");

/// Those of a query (section 3.4), and the brackets.
const QUERY: [bool; 256] = table(b"/:@!$&'()*+,;=?[]");

const fn table(others: &[u8]) -> [bool; 256] {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = is_unreserved(byte as u8);
        byte += 1;
    }
    let mut position = 0;
    while position < others.len() {
        table[others[position] as usize] = true;
        position += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn path(raw: &[u8]) -> Result<String, TargetFault> {
        // The prefix shows that what stands in `out` already is left alone.
        let mut out = "before/".to_owned();
        normalise_path(raw, &mut out).map(|()| out["before/".len()..].to_owned())
    }

    fn query(raw: &[u8]) -> Result<String, TargetFault> {
        let mut out = String::new();
        normalise_query(raw, &mut out).map(|()| out)
    }

    #[test]
    fn paths_get_their_one_spelling() {
        const CASES: &[(&str, &str)] = &[
            ("/", "/"),
            ("/a/b", "/a/b"),
            ("/a/b/", "/a/b/"),
            ("//", "/"),
            ("//a///b//", "/a/b/"),
            ("/.", "/"),
            ("/./", "/"),
            ("/a/.", "/a/"),
            ("/a/..", "/"),
            ("/a/../", "/"),
            ("/a/b/..", "/a/"),
            ("/a/b/../c", "/a/c"),
            ("/a//../b", "/b"),
            ("/a/./b/../../c", "/c"),
            ("/a/%2e%2E/b", "/b"),
            ("/a/.%2e/b", "/b"),
            ("/%2e/a", "/a"),
            ("/...", "/..."),
            ("/.a", "/.a"),
            ("/..a/b", "/..a/b"),
            ("/a..", "/a.."),
            ("/%41%7a%7E%2d", "/Az~-"),
            ("/%c3%a9", "/%C3%A9"),
            ("/\u{e9}", "/%C3%A9"),
            ("/a%2fb", "/a%2Fb"),
            ("/a%5cb", "/a%5Cb"),
            ("/a%20b", "/a%20b"),
            ("/%2520", "/%2520"),
            ("/%252e%252e/", "/%252e%252e/"),
            ("/\"<>^`{|}[]", "/%22%3C%3E%5E%60%7B%7C%7D%5B%5D"),
            ("/a:b@c!$&'()*+,;=", "/a:b@c!$&'()*+,;="),
            ("/a;v=1/b", "/a;v=1/b"),
            ("/v1.2;x", "/v1.2;x"),
            ("/a.%2fb", "/a.%2Fb"),
        ];
        for (raw, expected) in CASES {
            assert_eq!(path(raw.as_bytes()).as_deref(), Ok(*expected), "{raw}");
        }
    }

    #[test]
    fn paths_that_two_programs_read_in_two_ways_are_refused() {
        use TargetFault::{AboveRoot, Character, DotSegment, Form, Fragment, Nul, PercentEncoding};
        const CASES: &[(&[u8], TargetFault)] = &[
            (b"", Form),
            (b"a", Form),
            (b"/..", AboveRoot),
            (b"/../a", AboveRoot),
            (b"/a/../..", AboveRoot),
            (b"//..", AboveRoot),
            (b"/%2e%2e/a", AboveRoot),
            (b"/a/..;/b", DotSegment),
            (b"/a/..;x=1/b", DotSegment),
            (b"/a/.;/b", DotSegment),
            (b"/a/..%3b/b", DotSegment),
            (b"/a/..%2fb", DotSegment),
            (b"/a/%2e%2e%2fb", DotSegment),
            (b"/a/b%2f..", DotSegment),
            (b"/a/b%2F../c", DotSegment),
            (b"/a/%2e%2e%5cb", DotSegment),
            (b"/a/.%2Fb", DotSegment),
            (b"/a/x%5c.;%5cb", DotSegment),
            (b"/a\\b", Character),
            (b"/a b", Character),
            (b"/a\tb", Character),
            (b"/a\x7fb", Character),
            (b"/a\0b", Character),
            (b"/a%00", Nul),
            (b"/a#b", Fragment),
            (b"/%", PercentEncoding),
            (b"/%a", PercentEncoding),
            (b"/%a/b", PercentEncoding),
            (b"/%+1", PercentEncoding),
            (b"/%u0041", PercentEncoding),
        ];
        for (raw, expected) in CASES {
            assert_eq!(path(raw), Err(*expected), "{}", raw.escape_ascii());
        }
    }

    #[test]
    fn queries_keep_their_bytes() {
        const CASES: &[(&str, &str)] = &[
            ("", ""),
            ("a=1&b=2", "a=1&b=2"),
            ("a=/../x//y?z", "a=/../x//y?z"),
            ("a=%41%2f%c3", "a=%41%2f%c3"),
            ("a[0]=1", "a[0]=1"),
            ("a=\u{e9}", "a=%C3%A9"),
            ("a={\"b\":1}", "a=%7B%22b%22:1%7D"),
            ("p=C:\\x", "p=C:%5Cx"),
            ("a=50%", "a=50%25"),
            ("a=%zz%4", "a=%25zz%254"),
            ("a=%u0041", "a=%25u0041"),
        ];
        for (raw, expected) in CASES {
            assert_eq!(query(raw.as_bytes()).as_deref(), Ok(*expected), "{raw}");
        }
        assert_eq!(query(b"a#b"), Err(TargetFault::Fragment));
        for byte in (0..=b' ').chain([0x7f]) {
            assert_eq!(query(&[b'a', byte]), Err(TargetFault::Character));
        }
    }

    /// Bytes of which paths that matter are made.
    fn raw_path() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            Just(b"/".to_vec()),
            Just(b".".to_vec()),
            Just(b"%2e".to_vec()),
            Just(b"%2F".to_vec()),
            Just(b"%5c".to_vec()),
            Just(b";".to_vec()),
            Just(b"%3b".to_vec()),
            Just(b"%25".to_vec()),
            Just(b"a".to_vec()),
            any::<u8>().prop_map(|byte| vec![byte]),
            any::<u8>().prop_map(|byte| format!("%{byte:02x}").into_bytes()),
        ];
        prop::collection::vec(piece, 0..24).prop_map(|pieces| [&b"/"[..], &pieces.concat()].concat())
    }

    proptest! {
        #[test]
        fn normalising_twice_is_normalising_once(raw in raw_path()) {
            if let Ok(once) = path(&raw) {
                prop_assert_eq!(path(once.as_bytes()), Ok(once));
            }
        }

        #[test]
        fn a_normal_path_holds_nothing_that_can_be_read_in_two_ways(raw in raw_path()) {
            if let Ok(normal) = path(&raw) {
                prop_assert!(normal.starts_with('/') && !normal.contains("//") && !normal.contains('\\'));
                prop_assert!(normal.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#' && byte != b'?'));
                for segment in normal.split('/').flat_map(|s| s.split("%2F")).flat_map(|s| s.split("%5C")) {
                    let plain = segment.split(';').next().unwrap_or_default();
                    prop_assert!(plain != "." && plain != "..", "{}", normal);
                }
            }
        }

        #[test]
        fn normalising_a_query_twice_is_normalising_it_once(raw in prop::collection::vec(any::<u8>(), 0..32)) {
            if let Ok(once) = query(&raw) {
                prop_assert_eq!(query(once.as_bytes()), Ok(once));
            }
        }
    }
}
