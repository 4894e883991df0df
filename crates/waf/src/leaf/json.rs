//! JSON, read leniently: what some service's parser may accept is taken apart, too.

use super::{Kind, Visit};

/// Nesting that is followed; no API goes as deep.
const DEEPEST: usize = 64;
/// Longest path kept.
const LONGEST_PATH: usize = 256;

/// Whether all of it was JSON. Texts and names are leaves, and numbers that are none.
pub(crate) fn read(input: &[u8], path: &mut Vec<u8>, visit: &mut dyn Visit) -> bool {
    path.clear();
    // For each level: the path's length before it, and its index if it is a list.
    let mut levels = [(0_usize, None::<usize>); DEEPEST];
    let mut depth = 0;
    let mut at = 0;
    let mut is_whole = true;
    let mut has_value = false;
    while let Some(&byte) = input.get(at) {
        match byte {
            b' ' | b'\t' | b'\n' | b'\r' | b':' => at += 1,
            b'{' | b'[' => {
                if depth == DEEPEST {
                    return false;
                }
                levels[depth] = (path.len(), (byte == b'[').then_some(0));
                depth += 1;
                at += 1;
                enter(path, &levels, depth);
            }
            b'}' | b']' => {
                if depth == 0 {
                    return false;
                }
                depth -= 1;
                path.truncate(levels[depth].0);
                at += 1;
                has_value = true;
            }
            b',' => {
                if depth > 0 {
                    let (length, index) = &mut levels[depth - 1];
                    path.truncate(*length);
                    if let Some(index) = index {
                        *index += 1;
                    }
                    enter(path, &levels, depth);
                }
                at += 1;
            }
            b'"' => {
                let end = text_end(input, at + 1);
                is_whole &= end < input.len();
                let text = &input[at + 1..end];
                at = (end + 1).min(input.len());
                let is_name = depth > 0
                    && levels[depth - 1].1.is_none()
                    && input[at..].iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b':');
                if is_name {
                    let length = levels[depth - 1].0;
                    path.truncate(length);
                    push(path, if length > 0 { b"." } else { b"" });
                    push(path, text);
                }
                if !text.is_empty()
                    && !visit.leaf(path, text, if is_name { Kind::JsonName } else { Kind::Json })
                {
                    return is_whole;
                }
                has_value = true;
            }
            _ => {
                let length = input[at..]
                    .iter()
                    .take_while(|byte| {
                        !matches!(
                            byte,
                            b',' | b'}' | b']' | b':' | b'"' | b' ' | b'\n' | b'\r' | b'\t' | b'{' | b'['
                        )
                    })
                    .count()
                    .max(1);
                let word = &input[at..at + length];
                at += length;
                let is_scalar = matches!(word, b"true" | b"false" | b"null")
                    || word.iter().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(byte));
                is_whole &= is_scalar;
                has_value = true;
                if !is_scalar && !visit.leaf(path, word, Kind::Json) {
                    return false;
                }
            }
        }
    }
    is_whole && depth == 0 && has_value
}

/// Names the place of the next element of a list.
fn enter(path: &mut Vec<u8>, levels: &[(usize, Option<usize>); DEEPEST], depth: usize) {
    if let Some((_, Some(index))) = levels.get(depth - 1) {
        let mut digits = [0; 20];
        let mut start = digits.len();
        let mut rest = *index;
        loop {
            start -= 1;
            digits[start] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        push(path, b"[");
        push(path, &digits[start..]);
        push(path, b"]");
    }
}

fn push(path: &mut Vec<u8>, text: &[u8]) {
    let room = LONGEST_PATH.saturating_sub(path.len());
    path.extend_from_slice(&text[..text.len().min(room)]);
}

/// Where the text ends that began before `at`.
fn text_end(input: &[u8], mut at: usize) -> usize {
    while let Some(&byte) = input.get(at) {
        match byte {
            b'"' => return at,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    input.len()
}

/// Undoes the escapes of JSON; what is no escape stays.
pub(crate) fn unescape(input: &[u8], out: &mut Vec<u8>) {
    out.clear();
    let mut at = 0;
    while let Some(&byte) = input.get(at) {
        at += 1;
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        let Some(&next) = input.get(at) else {
            out.push(byte);
            break;
        };
        at += 1;
        match next {
            b'"' | b'\\' | b'/' => out.push(next),
            b'n' => out.push(b'\n'),
            b'r' => out.push(b'\r'),
            b't' => out.push(b'\t'),
            b'b' => out.push(8),
            b'f' => out.push(12),
            b'u' => match code_unit(input, at) {
                Some(unit) => {
                    at += 4;
                    let low = (0xd800..0xdc00).contains(&unit) && input[at..].starts_with(b"\\u");
                    let value = match low.then(|| code_unit(input, at + 2)).flatten() {
                        Some(second) if (0xdc00..0xe000).contains(&second) => {
                            at += 6;
                            0x10000 + ((unit - 0xd800) << 10) + (second - 0xdc00)
                        }
                        _ => unit,
                    };
                    let char = char::from_u32(value).unwrap_or(char::REPLACEMENT_CHARACTER);
                    out.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
                }
                None => out.extend_from_slice(b"\\u"),
            },
            _ => out.extend_from_slice(&[b'\\', next]),
        }
    }
}

fn code_unit(input: &[u8], at: usize) -> Option<u32> {
    let digits = input.get(at..at + 4)?;
    digits.iter().try_fold(0, |value, byte| Some(value << 4 | char::from(*byte).to_digit(16)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Leaves(Vec<String>);

    impl Visit for Leaves {
        fn leaf(&mut self, name: &[u8], value: &[u8], kind: Kind) -> bool {
            let mut text = Vec::new();
            unescape(value, &mut text);
            let mark = if kind == Kind::JsonName { "?" } else { "=" };
            self.0.push(format!("{}{mark}{}", String::from_utf8_lossy(name), String::from_utf8_lossy(&text)));
            true
        }
    }

    #[test]
    fn texts_and_names_have_their_places() {
        let mut leaves = Leaves::default();
        let json =
            br#"{"a":"x","items":[{"name":"\u003cb\ud83d\ude00"},2,["y","z\n"]],"n":1.5,"o":{"p":null}}"#;
        assert!(read(json, &mut Vec::new(), &mut leaves));
        assert_eq!(
            leaves.0,
            [
                "a?a",
                "a=x",
                "items?items",
                "items[0].name?name",
                "items[0].name=<b\u{1f600}",
                "items[2][0]=y",
                "items[2][1]=z\n",
                "n?n",
                "o?o",
                "o.p?p"
            ]
        );
    }

    #[test]
    fn what_is_no_json_is_said_so_and_read_as_far_as_it_goes() {
        for text in ["", "{", "{\"a\":\"b", "hello", "[1,", "]", &"[".repeat(100), "{'a':'b'}"] {
            let mut leaves = Leaves::default();
            assert!(!read(text.as_bytes(), &mut Vec::new(), &mut leaves), "{text}");
        }
    }
}
