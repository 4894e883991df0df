//! The part of structured fields (RFC 8941) that signatures are written in: dictionaries of inner lists of texts, and of byte
//! sequences. What RFC 8941 lets pass and no signer needs is refused: names that stand twice, decimals.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Bytes of a field.
const LONGEST: usize = 8 * 1024;
/// Members of a dictionary, items of a list, parameters of either.
const MOST_MEMBERS: usize = 16;
const MOST_ITEMS: usize = 64;
const MOST_PARAMETERS: usize = 16;
/// Digits of an integer (RFC 8941, section 3.3.1).
const MOST_DIGITS: usize = 15;

/// A value of a parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Bare {
    Integer(i64),
    Text(String),
    Token(String),
    Bytes(Vec<u8>),
    Boolean(bool),
}

/// Parameters in their order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Parameters(pub(super) Vec<(String, Bare)>);

/// A text with its parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) text: String,
    pub(super) parameters: Parameters,
}

/// A list of texts with parameters of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct InnerList {
    pub(super) items: Vec<Item>,
    pub(super) parameters: Parameters,
}

impl Parameters {
    pub(super) fn get(&self, name: &str) -> Option<&Bare> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// Writes them in the one way in which they are written.
    fn write(&self, out: &mut String) {
        for (name, value) in &self.0 {
            out.push(';');
            out.push_str(name);
            match value {
                Bare::Boolean(true) => continue,
                _ => out.push('='),
            }
            match value {
                Bare::Integer(number) => out.push_str(&number.to_string()),
                Bare::Text(text) => write_text(text, out),
                Bare::Token(token) => out.push_str(token),
                Bare::Bytes(bytes) => {
                    out.push(':');
                    STANDARD.encode_string(bytes, out);
                    out.push(':');
                }
                Bare::Boolean(value) => out.push_str(if *value { "?1" } else { "?0" }),
            }
        }
    }
}

impl Item {
    pub(super) fn write(&self, out: &mut String) {
        write_text(&self.text, out);
        self.parameters.write(out);
    }
}

impl InnerList {
    pub(super) fn write(&self, out: &mut String) {
        out.push('(');
        for (place, item) in self.items.iter().enumerate() {
            if place > 0 {
                out.push(' ');
            }
            item.write(out);
        }
        out.push(')');
        self.parameters.write(out);
    }
}

fn write_text(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
}

/// Reads a dictionary of inner lists of texts.
pub(super) fn inner_lists(field: &[u8]) -> Option<Vec<(String, InnerList)>> {
    dictionary(field, inner_list)
}

/// Reads a dictionary of byte sequences; their parameters mean nothing.
pub(super) fn byte_sequences(field: &[u8]) -> Option<Vec<(String, Vec<u8>)>> {
    dictionary(field, |reader| {
        let bytes = reader.bytes()?;
        reader.parameters()?;
        Some(bytes)
    })
}

fn dictionary<T>(field: &[u8], read: impl Fn(&mut Reader<'_>) -> Option<T>) -> Option<Vec<(String, T)>> {
    let mut reader = Reader { rest: (field.len() <= LONGEST).then_some(field)? };
    let mut members: Vec<(String, T)> = Vec::new();
    reader.skip(b" ");
    loop {
        let name = reader.name()?;
        reader.expect(b'=')?;
        let value = read(&mut reader)?;
        if members.len() == MOST_MEMBERS || members.iter().any(|(known, _)| *known == name) {
            return None;
        }
        members.push((name, value));
        reader.skip(b" \t");
        if reader.rest.is_empty() {
            return Some(members);
        }
        reader.expect(b',')?;
        reader.skip(b" \t");
    }
}

/// RFC 8941, section 4.2.1.2.
fn inner_list(reader: &mut Reader<'_>) -> Option<InnerList> {
    reader.expect(b'(')?;
    let mut items = Vec::new();
    loop {
        reader.skip(b" ");
        if reader.next_is(b')') {
            break;
        }
        let item = Item { text: reader.text()?, parameters: reader.parameters()? };
        let is_divided = reader.next_is(b' ') || reader.next_is(b')');
        if !is_divided || items.len() == MOST_ITEMS {
            return None;
        }
        items.push(item);
    }
    reader.expect(b')')?;
    Some(InnerList { items, parameters: reader.parameters()? })
}

struct Reader<'f> {
    rest: &'f [u8],
}

impl<'f> Reader<'f> {
    fn next_is(&self, byte: u8) -> bool {
        self.rest.first() == Some(&byte)
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        self.rest = self.rest.strip_prefix(&[byte])?;
        Some(())
    }

    fn skip(&mut self, of: &[u8]) {
        self.take(|byte| of.contains(&byte));
    }

    fn take(&mut self, is_part: impl Fn(u8) -> bool) -> &'f [u8] {
        let end = self.rest.iter().position(|byte| !is_part(*byte)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    /// RFC 8941, section 4.2.3.3.
    fn name(&mut self) -> Option<String> {
        let first = *self.rest.first()?;
        if !first.is_ascii_lowercase() && first != b'*' {
            return None;
        }
        let is_part =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-.*".contains(&byte);
        String::from_utf8(self.take(is_part).to_vec()).ok()
    }

    /// RFC 8941, section 4.2.3.2.
    fn parameters(&mut self) -> Option<Parameters> {
        let mut parameters = Parameters::default();
        while self.next_is(b';') {
            self.expect(b';')?;
            self.skip(b" ");
            let name = self.name()?;
            let value = if self.next_is(b'=') {
                self.expect(b'=')?;
                self.bare()?
            } else {
                Bare::Boolean(true)
            };
            if parameters.0.len() == MOST_PARAMETERS || parameters.get(&name).is_some() {
                return None;
            }
            parameters.0.push((name, value));
        }
        Some(parameters)
    }

    fn bare(&mut self) -> Option<Bare> {
        match *self.rest.first()? {
            b'"' => self.text().map(Bare::Text),
            b':' => self.bytes().map(Bare::Bytes),
            b'?' => {
                self.expect(b'?')?;
                let value = self.next_is(b'1');
                self.expect(if value { b'1' } else { b'0' })?;
                Some(Bare::Boolean(value))
            }
            b'-' | b'0'..=b'9' => self.integer().map(Bare::Integer),
            first if first.is_ascii_alphabetic() || first == b'*' => {
                let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~:/".contains(&byte);
                String::from_utf8(self.take(is_part).to_vec()).ok().map(Bare::Token)
            }
            _ => None,
        }
    }

    fn integer(&mut self) -> Option<i64> {
        let is_negative = self.next_is(b'-');
        if is_negative {
            self.expect(b'-')?;
        }
        let digits = self.take(|byte| byte.is_ascii_digit());
        if digits.is_empty() || digits.len() > MOST_DIGITS || self.next_is(b'.') {
            return None;
        }
        let number = digits.iter().fold(0, |number: i64, digit| number * 10 + i64::from(digit - b'0'));
        Some(if is_negative { -number } else { number })
    }

    /// RFC 8941, section 4.2.5.
    fn text(&mut self) -> Option<String> {
        self.expect(b'"')?;
        let mut text = String::new();
        loop {
            let (&byte, rest) = self.rest.split_first()?;
            self.rest = rest;
            match byte {
                b'"' => return Some(text),
                b'\\' => {
                    let (&escaped, rest) = self.rest.split_first()?;
                    self.rest = rest;
                    text.push(char::from(matches!(escaped, b'"' | b'\\').then_some(escaped)?));
                }
                b' '..=b'~' => text.push(char::from(byte)),
                _ => return None,
            }
        }
    }

    /// RFC 8941, section 4.2.7.
    fn bytes(&mut self) -> Option<Vec<u8>> {
        self.expect(b':')?;
        let text = self.take(|byte| byte != b':');
        self.expect(b':')?;
        STANDARD.decode(text).ok()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    fn written(list: &InnerList) -> String {
        let mut out = String::new();
        list.write(&mut out);
        out
    }

    #[test]
    fn lists_are_read_and_written_in_the_one_way() {
        for (field, expected) in [
            ("sig1=()", "()"),
            (r#"sig1=( "@method"   "a" );created=1;keyid="k""#, r#"("@method" "a");created=1;keyid="k""#),
            (
                r#"s=("a";req;bs=?0);x=:AAE=:;y=tok/en;z=?1;n=-5"#,
                r#"("a";req;bs=?0);x=:AAE=:;y=tok/en;z;n=-5"#,
            ),
            (r#"*a.b-c_d=("@query-param";name="a\"b\\");  a"#, r#"("@query-param";name="a\"b\\");a"#),
        ] {
            let lists = inner_lists(field.as_bytes()).unwrap();
            assert_eq!(written(&lists[0].1), expected, "{field}");
            let again = inner_lists(format!("a={expected}").as_bytes()).unwrap();
            assert_eq!(again[0].1, lists[0].1);
        }
        let two = inner_lists(b"a=(\"x\");created=1 ,\tb=()").unwrap();
        assert_eq!(two.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        let bytes = byte_sequences(b"sha-256=:AAE=:, sha-512=::;a=1").unwrap();
        assert_eq!(bytes, [("sha-256".to_owned(), vec![0, 1]), ("sha-512".to_owned(), vec![])]);
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_not_read() {
        let many = |count: usize| format!("a=({})", vec!["\"x\""; count].join(" "));
        assert!(inner_lists(many(64).as_bytes()).is_some());
        for wrong in [
            "",
            " ",
            "a",
            "a=",
            "a=1",
            "A=()",
            "1=()",
            "a=();",
            "a=(),",
            "a=(), ,b=()",
            "a=() b=()",
            "a=(),a=()",
            "a=(\"x\"\"y\")",
            "a=(\"x\" y)",
            "a=(\"x)",
            "a=(\"x\\n\")",
            "a=(\"\u{e9}\")",
            "a=(\"x\"",
            "a=(\"x\";)",
            "a=();b=1;b=1",
            "a=();b=1.5",
            "a=();b=-",
            "a=();b=1234567890123456",
            "a=();b=?2",
            "a=();b=",
            "a=();b=:A:",
            "a=();b=:AA==",
            "a=();b=@1",
            "a=() x",
            &many(65),
            &format!("a=(\"{}\")", "x".repeat(LONGEST)),
        ] {
            assert_eq!(inner_lists(wrong.as_bytes()), None, "{wrong}");
        }
        for wrong in ["a=AA==", "a=:AA==:,", "a=:AA", "a=:AA=:", "a=:AA==:,a=:AA==:", "a=()", "a=:A B=:"] {
            assert_eq!(byte_sequences(wrong.as_bytes()), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn what_is_read_is_read_again_as_it_is_written(field in r#"[a-c]=\((("[a-z\\"]{0,3}"(;a(=1)?)?| ){0,4})\)(;[a-c]=(1|"x"|:AA==:|\?0|tok)){0,3}"#) {
            if let Some(lists) = inner_lists(field.as_bytes()) {
                let again = inner_lists(format!("x={}", written(&lists[0].1)).as_bytes()).unwrap();
                prop_assert_eq!(&again[0].1, &lists[0].1);
            }
        }

        #[test]
        fn nothing_that_comes_is_too_much(field in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = inner_lists(&field);
            let _ = byte_sequences(&field);
        }
    }
}
