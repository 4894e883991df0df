//! One plain form of a value: every encoding that a service or browser may undo is undone, and what was found on the
//! way is noted, for some encodings say more than what they hide.
//!
//! Each round reads its input once and writes no more than it read; there are `MOST_ROUNDS` of them.

/// Rounds of undoing. Three layers around an attack are one more than any service is known to undo.
const MOST_ROUNDS: usize = 3;

/// What was noticed, as bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Signs(u16);

impl Signs {
    /// A NUL.
    pub(crate) const NUL: Self = Self(1);
    /// A control character that no text has.
    pub(crate) const CONTROL: Self = Self(1 << 1);
    /// A carriage return without its line feed.
    pub(crate) const BARE_CR: Self = Self(1 << 2);
    /// UTF-8 of more bytes than needed.
    pub(crate) const OVERLONG: Self = Self(1 << 3);
    /// `%uXXXX`, which only old servers of one vendor understand.
    pub(crate) const PERCENT_U: Self = Self(1 << 4);
    /// `%` before letters that are no hexadecimal number.
    pub(crate) const BAD_PERCENT: Self = Self(1 << 5);
    /// Letters or digits that were encoded twice; nothing that encodes for a reason touches those.
    pub(crate) const TWICE: Self = Self(1 << 6);
    /// ASCII letters written as `\u0061` outside of JSON.
    pub(crate) const ESCAPED_LETTER: Self = Self(1 << 7);
    /// Bytes that are no UTF-8.
    pub(crate) const NOT_UTF8: Self = Self(1 << 8);

    pub(crate) fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

/// Whether there is nothing to undo and nothing to notice: printable ASCII without the signs that encodings begin with.
pub(crate) fn is_plain(text: &[u8]) -> bool {
    let is_odd = |byte: u8| !(b' '..=b'~').contains(&byte) | matches!(byte, b'%' | b'&' | b'\\' | b'+');
    // Without an early end the compiler looks at many bytes at once.
    !text.iter().fold(false, |has_odd, byte| has_odd | is_odd(*byte))
}

/// Undoes percent-encoding once, as every service does; in a form and in a query `+` is a space.
pub(crate) fn percent(input: &[u8], plus_is_space: bool, out: &mut Vec<u8>, signs: &mut Signs) {
    out.clear();
    let mut at = 0;
    while let Some(&byte) = input.get(at) {
        at += 1;
        match byte {
            b'+' if plus_is_space => out.push(b' '),
            b'%' => {
                let value = hex(input, at, 2);
                out.push(value.map_or(b'%', |value| value as u8));
                at += if value.is_some() { 2 } else { 0 };
                let next = input.get(at).copied().unwrap_or(b' ');
                let is_wide = next | 0x20 == b'u' && hex(input, at + 1, 4).is_some();
                if value.is_none() && !is_wide && next.is_ascii_alphanumeric() {
                    signs.add(Signs::BAD_PERCENT);
                }
            }
            _ => out.push(byte),
        }
    }
}

/// Undoes what is left after that, again and again, from `out` into `out` by way of `spare`.
pub(crate) fn plain(out: &mut Vec<u8>, spare: &mut Vec<u8>, is_json: bool) -> Signs {
    let mut signs = look(out);
    for round in 0..MOST_ROUNDS {
        if !may_hide(out) {
            break;
        }
        if !undo(out, spare, is_json && round == 0, &mut signs) {
            break;
        }
        std::mem::swap(out, spare);
    }
    signs
}

/// Whether an encoding may begin anywhere; an ampersand with a blank behind it begins none.
fn may_hide(text: &[u8]) -> bool {
    text.iter().enumerate().any(|(at, &byte)| match byte {
        b'%' | b'\\' | 0x80.. => true,
        b'&' => text.get(at + 1).is_some_and(|next| *next == b'#' || next.is_ascii_alphabetic()),
        _ => false,
    })
}

/// Control characters are looked for before anything but the transport's encoding is undone: `&#13;` in HTML is text.
fn look(text: &[u8]) -> Signs {
    let mut signs = Signs::default();
    if !text.is_ascii() && std::str::from_utf8(text).is_err() {
        signs.add(Signs::NOT_UTF8);
        // Neither UTF-8 nor any text in Latin-1 has these.
        if text.iter().any(|byte| matches!(byte, 0xfe | 0xff)) {
            signs.add(Signs::CONTROL);
        }
    }
    if !text.iter().any(|&byte| byte < 0x20 || byte == 0x7f) {
        return signs;
    }
    for (at, &byte) in text.iter().enumerate() {
        match byte {
            0 => signs.add(Signs::NUL),
            b'\t' | b'\n' | 0x0b | 0x0c | 0x1b | 0x20.. if byte != 0x7f => {}
            b'\r' if text.get(at + 1) == Some(&b'\n') => {}
            b'\r' => signs.add(Signs::BARE_CR),
            _ => signs.add(Signs::CONTROL),
        }
    }
    signs
}

/// One round. Says whether anything changed.
fn undo(input: &[u8], out: &mut Vec<u8>, is_json: bool, signs: &mut Signs) -> bool {
    out.clear();
    let (mut at, mut is_changed) = (0, false);
    let mut twice = 0;
    while let Some(&byte) = input.get(at) {
        let taken = match byte {
            b'%' => {
                let (digits, skipped) =
                    if input.get(at + 1).is_some_and(|b| b | 0x20 == b'u') { (4, 2) } else { (2, 1) };
                hex(input, at + skipped, digits).map(|value| {
                    if digits == 4 {
                        signs.add(Signs::PERCENT_U);
                    } else if (value as u8).is_ascii_alphanumeric() {
                        twice += 1;
                    }
                    (value, skipped + digits)
                })
            }
            b'&' => entity(input, at),
            b'\\' => escape(input, at).inspect(|(value, _)| {
                if !is_json
                    && input[at + 1] == b'u'
                    && char::from_u32(*value).is_some_and(|c| c.is_ascii_alphabetic())
                {
                    signs.add(Signs::ESCAPED_LETTER);
                }
            }),
            0x80.. => wide(input, at, signs),
            _ => None,
        };
        if let Some((value, length)) = taken {
            is_changed = true;
            at += length;
            push(out, value);
        } else {
            out.push(byte);
            at += 1;
        }
    }
    if twice >= 3 {
        signs.add(Signs::TWICE);
    }
    is_changed
}

/// A character as ASCII where it is a variant of one, else as one byte, or as it is.
fn push(out: &mut Vec<u8>, value: u32) {
    if value <= 0xff {
        return out.push(value as u8);
    }
    match char::from_u32(narrow(value)) {
        Some(char) => out.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes()),
        None => out.push(b'?'),
    }
}

/// Characters that databases and browsers take for ASCII ones.
fn narrow(value: u32) -> u32 {
    match value {
        0xff01..=0xff5e => value - 0xfee0,
        0x2018 | 0x2019 | 0x02b9 | 0x02bc | 0x2032 => u32::from(b'\''),
        0x201c | 0x201d | 0x2033 => u32::from(b'"'),
        0x2044 | 0x2215 => u32::from(b'/'),
        0x2039 | 0x3008 => u32::from(b'<'),
        0x203a | 0x3009 => u32::from(b'>'),
        0x00a0 | 0x2003 | 0x3000 => u32::from(b' '),
        _ => value,
    }
}

/// Characters of more than one byte: overlong ASCII, full width, quotes that a database folds.
fn wide(input: &[u8], at: usize, signs: &mut Signs) -> Option<(u32, usize)> {
    let tail =
        |offset: usize| input.get(at + offset).filter(|b| **b & 0xc0 == 0x80).map(|b| u32::from(b & 0x3f));
    let first = u32::from(input[at]);
    match first {
        0xc0 | 0xc1 => {
            let value = (first & 1) << 6 | tail(1)?;
            signs.add(Signs::OVERLONG);
            Some((value, 2))
        }
        0xc2 => match tail(1)? {
            0x34 => Some((u32::from(b'\''), 2)),
            0x20 => Some((u32::from(b' '), 2)),
            _ => None,
        },
        0xe0 if tail(1)? < 0x20 => {
            let value = tail(1)? << 6 | tail(2)?;
            signs.add(Signs::OVERLONG);
            Some((value, 3))
        }
        0xe2 | 0xe3 | 0xef => {
            let value = (first & 0xf) << 12 | tail(1)? << 6 | tail(2)?;
            let narrowed = narrow(value);
            (narrowed != value).then_some((narrowed, 3))
        }
        _ => None,
    }
}

/// `&lt;`, `&#60;`, `&#x3c`, the semicolon being optional as for browsers.
fn entity(input: &[u8], at: usize) -> Option<(u32, usize)> {
    let rest = &input[at + 1..];
    if rest.first() == Some(&b'#') {
        let (radix, start) = if rest.get(1).is_some_and(|b| b | 0x20 == b'x') { (16, 2) } else { (10, 1) };
        // Seven zeros before the number are as many as old browsers allow.
        let length = rest[start..].iter().take(10).take_while(|b| char::from(**b).is_digit(radix)).count();
        let digits = std::str::from_utf8(&rest[start..start + length]).ok()?;
        let value = u32::from_str_radix(digits, radix).ok().filter(|value| *value > 0)?;
        let semicolon = usize::from(rest.get(start + length) == Some(&b';'));
        return Some((value, 1 + start + length + semicolon));
    }
    let (name, value, _) = NAMES.iter().find(|(name, _, is_bare_enough)| {
        let has_name = rest.len() >= name.len() && rest[..name.len()].eq_ignore_ascii_case(name);
        let next = rest.get(name.len());
        has_name && (next == Some(&b';') || *is_bare_enough && !next.is_some_and(u8::is_ascii_alphanumeric))
    })?;
    let semicolon = usize::from(rest.get(name.len()) == Some(&b';'));
    Some((u32::from(*value), 1 + name.len() + semicolon))
}

/// Entities by name, and whether the semicolon may be missing.
#[rustfmt::skip]
const NAMES: [(&[u8], u8, bool); 22] = [
    (b"lt", b'<', true),
    (b"gt", b'>', true),
    (b"quot", b'"', true),
    (b"apos", b'\'', false),
    (b"amp", b'&', true),
    (b"tab", b'\t', false),
    (b"newline", b'\n', false),
    (b"colon", b':', false),
    (b"lpar", b'(', false),
    (b"rpar", b')', false),
    (b"sol", b'/', false),
    (b"bsol", b'\\', false),
    (b"equals", b'=', false),
    (b"semi", b';', false),
    (b"lbrace", b'{', false),
    (b"rbrace", b'}', false),
    (b"lbrack", b'[', false),
    (b"grave", b'`', false),
    (b"dollar", b'$', false),
    (b"num", b'#', false),
    (b"nbsp", b' ', true),
    (b"period", b'.', false),
];

/// `\u0061`, `\u{61}`, `\x61`.
fn escape(input: &[u8], at: usize) -> Option<(u32, usize)> {
    match (input.get(at + 1)?, input.get(at + 2)) {
        (b'u', Some(b'{')) => {
            let length = input[at + 3..].iter().take(7).take_while(|b| b.is_ascii_hexdigit()).count();
            let value = hex(input, at + 3, length).filter(|_| length > 0)?;
            (input.get(at + 3 + length) == Some(&b'}')).then_some((value, length + 4))
        }
        (b'u', _) => hex(input, at + 2, 4).map(|value| (value, 6)),
        (b'x', _) => hex(input, at + 2, 2).map(|value| (value, 4)),
        _ => None,
    }
}

fn hex(input: &[u8], at: usize, digits: usize) -> Option<u32> {
    let text = input.get(at..at + digits)?;
    text.iter().try_fold(0, |value, byte| Some(value << 4 | char::from(*byte).to_digit(16)?))
}

/// What Base64 hides, if that is text; for the higher paranoia levels.
pub(crate) fn base64(input: &[u8], out: &mut Vec<u8>) -> bool {
    out.clear();
    let input = input.trim_ascii();
    if input.len() < 16 || input.len() % 4 == 1 {
        return false;
    }
    let (mut bits, mut count) = (0_u32, 0);
    for byte in input.iter().take_while(|byte| **byte != b'=') {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return false,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
        }
    }
    out.iter().all(|byte| matches!(byte, b'\t' | b'\n' | b'\r' | b' '..=b'~'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain_of(text: &[u8]) -> (String, Signs) {
        let (mut out, mut spare) = (text.to_vec(), Vec::new());
        let signs = plain(&mut out, &mut spare, false);
        (String::from_utf8_lossy(&out).into_owned(), signs)
    }

    #[test]
    fn what_hides_text_is_undone() {
        const CASES: [(&[u8], &str); 12] = [
            (b"%3Cscript%3E", "<script>"),
            (b"%253Cscript%253E", "<script>"),
            (b"&lt;b&gt", "<b>"),
            (b"&#60;&#x3C;&#0000060", "<<<"),
            (b"ja&Tab;va", "ja\tva"),
            (b"\\u003cb\\x3e\\u{41}", "<b>A"),
            (b"%u003Cb", "<b"),
            (b"\xc0\xae\xc0\xaf", "./"),
            ("＜ｓ＞".as_bytes(), "<s>"),
            (b"AT&T &copy; 50% &ampersand", "AT&T &copy; 50% &ampersand"),
            ("caf\u{e9} \u{2019}s".as_bytes(), "caf\u{e9} 's"),
            (b"%&\\%u\\u&#;&#x", "%&\\%u\\u&#;&#x"),
        ];
        for (text, expected) in CASES {
            assert_eq!(plain_of(text).0, expected);
        }
    }

    #[test]
    fn what_was_noticed_is_said() {
        assert!(plain_of(b"a\0b").1.has(Signs::NUL));
        assert!(plain_of(b"a\rb").1.has(Signs::BARE_CR));
        assert_eq!(plain_of(b"a\r\nb\tc").1, Signs::default());
        assert!(plain_of(b"\xc0\xaf").1.has(Signs::OVERLONG));
        assert!(plain_of(b"%73%65%6c").1.has(Signs::TWICE));
        assert!(!plain_of(b"80%25 acrylic%20").1.has(Signs::TWICE));
        assert!(plain_of(b"\\u0061lert").1.has(Signs::ESCAPED_LETTER));
        let (mut out, mut signs) = (Vec::new(), Signs::default());
        percent(b"100%&50%+a", true, &mut out, &mut signs);
        assert_eq!((out.as_slice(), signs), (b"100%&50% a".as_slice(), Signs::default()));
        percent(b"%w20", true, &mut out, &mut signs);
        assert!(signs.has(Signs::BAD_PERCENT));
    }

    #[test]
    fn base64_is_read_only_where_it_holds_text() {
        let mut out = Vec::new();
        assert!(base64(b"PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==", &mut out));
        assert_eq!(out, b"<script>alert(1)</script>");
        assert!(!base64(b"AAAAAAAAAAAAAAAAAAAAAAAA", &mut out));
        assert!(!base64(b"hello", &mut out));
    }
}
