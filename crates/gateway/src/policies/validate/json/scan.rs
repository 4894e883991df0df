//! One pass over the bytes of a JSON text (RFC 8259) that counts what is in it and builds nothing.
//!
//! It is strict: what it lets through, every parser reads alike. Its memory is one number for each level of nesting, of which there are at
//! most as many as are allowed.

/// How much there may be in a JSON text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JsonLimits {
    /// Arrays and objects in each other.
    pub depth: u32,
    /// Members of one object.
    pub keys: u32,
    /// Elements of one array.
    pub array: u32,
    /// Bytes of one string or name, as it is written.
    pub string: u64,
    /// Values in all.
    pub values: u32,
}

/// Why a text is not let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JsonFault {
    /// It is no JSON, or not in UTF-8.
    Malformed,
    /// Arrays and objects lie too deep in each other.
    Depth,
    /// An object has too many members.
    Keys,
    /// An array has too many elements.
    Array,
    /// A string is too long.
    String,
    /// There are too many values in all.
    Values,
}

/// Goes over a text.
pub fn scan(text: &[u8], limits: &JsonLimits) -> Result<(), JsonFault> {
    if std::str::from_utf8(text).is_err() {
        return Err(JsonFault::Malformed);
    }
    let mut scan = Scan { text, at: 0, limits, values: 0, levels: Vec::new() };
    scan.document()
}

struct Scan<'t> {
    text: &'t [u8],
    at: usize,
    limits: &'t JsonLimits,
    values: u32,
    levels: Vec<Level>,
}

/// An array or object that has begun, and how much is in it.
#[derive(Clone, Copy)]
struct Level {
    is_object: bool,
    count: u32,
}

impl Scan<'_> {
    fn document(&mut self) -> Result<(), JsonFault> {
        loop {
            // A value begins here; of an array or object that is not empty, its first follows.
            if !self.value()? {
                continue;
            }
            // What follows a value depends on what it stands in.
            loop {
                let Some(Level { is_object, .. }) = self.levels.last() else { return self.end() };
                match (*is_object, self.token()?) {
                    (_, b',') => break self.element()?,
                    (true, b'}') | (false, b']') => drop(self.levels.pop()),
                    _ => return Err(JsonFault::Malformed),
                }
            }
        }
    }

    fn end(&mut self) -> Result<(), JsonFault> {
        self.space();
        if self.at == self.text.len() { Ok(()) } else { Err(JsonFault::Malformed) }
    }

    /// One more in what has begun last; of an object, its name.
    fn element(&mut self) -> Result<(), JsonFault> {
        let Some(level) = self.levels.last_mut() else { return Err(JsonFault::Malformed) };
        level.count += 1;
        if !level.is_object {
            return if level.count > self.limits.array { Err(JsonFault::Array) } else { Ok(()) };
        }
        if level.count > self.limits.keys {
            return Err(JsonFault::Keys);
        }
        self.expect(b'"')?;
        self.string()?;
        self.expect(b':')
    }

    /// A value, or the beginning of one that others are in; whether it is over.
    fn value(&mut self) -> Result<bool, JsonFault> {
        self.values += 1;
        if self.values > self.limits.values {
            return Err(JsonFault::Values);
        }
        match self.token()? {
            b'"' => self.string()?,
            b'-' => self.number()?,
            b'0'..=b'9' => {
                self.at -= 1;
                self.number()?;
            }
            b't' => self.word(b"rue")?,
            b'f' => self.word(b"alse")?,
            b'n' => self.word(b"ull")?,
            open @ (b'{' | b'[') => return self.begin(open == b'{'),
            _ => return Err(JsonFault::Malformed),
        }
        Ok(true)
    }

    /// The beginning of an array or object; whether it is empty, and so over.
    fn begin(&mut self, is_object: bool) -> Result<bool, JsonFault> {
        if self.levels.len() >= self.limits.depth as usize {
            return Err(JsonFault::Depth);
        }
        self.space();
        let close = if is_object { b'}' } else { b']' };
        if self.text.get(self.at) == Some(&close) {
            self.at += 1;
            return Ok(true);
        }
        self.levels.push(Level { is_object, count: 0 });
        self.element()?;
        Ok(false)
    }

    /// The rest of a string, behind its first quote.
    fn string(&mut self) -> Result<(), JsonFault> {
        let start = self.at;
        loop {
            // Whatever comes before a quote, a backslash or a control character is part of it.
            let rest = self.text.get(self.at..).unwrap_or_default();
            let length = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20));
            let Some(length) = length else { return Err(JsonFault::Malformed) };
            self.at += length;
            match self.text[self.at] {
                b'"' => break,
                b'\\' => self.escape()?,
                _ => return Err(JsonFault::Malformed),
            }
        }
        let length = (self.at - start) as u64;
        self.at += 1;
        if length > self.limits.string { Err(JsonFault::String) } else { Ok(()) }
    }

    fn escape(&mut self) -> Result<(), JsonFault> {
        let rest = &self.text[self.at + 1..];
        self.at += match rest {
            [b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] => 2,
            [b'u', digits @ ..] if digits.len() >= 4 && digits[..4].iter().all(u8::is_ascii_hexdigit) => 6,
            _ => return Err(JsonFault::Malformed),
        };
        Ok(())
    }

    /// A number behind its sign: no zeros in front, digits around the point and behind the `e`.
    fn number(&mut self) -> Result<(), JsonFault> {
        let whole = self.digits();
        let starts_with_zero = whole > 0 && self.text[self.at - whole] == b'0';
        let mut is_good = whole == 1 || (whole > 1 && !starts_with_zero);
        if self.text.get(self.at) == Some(&b'.') {
            self.at += 1;
            is_good &= self.digits() > 0;
        }
        if matches!(self.text.get(self.at), Some(b'e' | b'E')) {
            self.at += 1;
            self.at += usize::from(matches!(self.text.get(self.at), Some(b'+' | b'-')));
            is_good &= self.digits() > 0;
        }
        if is_good { Ok(()) } else { Err(JsonFault::Malformed) }
    }

    /// Goes over digits; how many there were.
    fn digits(&mut self) -> usize {
        let rest = &self.text[self.at..];
        let count = rest.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len());
        self.at += count;
        count
    }

    fn word(&mut self, rest: &[u8]) -> Result<(), JsonFault> {
        if !self.text[self.at..].starts_with(rest) {
            return Err(JsonFault::Malformed);
        }
        self.at += rest.len();
        Ok(())
    }

    fn expect(&mut self, wanted: u8) -> Result<(), JsonFault> {
        if self.token()? == wanted { Ok(()) } else { Err(JsonFault::Malformed) }
    }

    /// The next byte that is no white space.
    fn token(&mut self) -> Result<u8, JsonFault> {
        self.space();
        let byte = *self.text.get(self.at).ok_or(JsonFault::Malformed)?;
        self.at += 1;
        Ok(byte)
    }

    fn space(&mut self) {
        while matches!(self.text.get(self.at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use proptest::prelude::*;
    use serde::de::IgnoredAny;

    use super::*;

    const WIDE: JsonLimits =
        JsonLimits { depth: 1000, keys: u32::MAX, array: u32::MAX, string: u64::MAX, values: u32::MAX };

    #[test]
    fn each_limit_holds_where_it_says() {
        let limits = JsonLimits { depth: 3, keys: 2, array: 4, string: 5, values: 10 };
        for (text, expected) in [
            ("[[[1]]]", Ok(())),
            ("[[[[]]]]", Err(JsonFault::Depth)),
            ("{\"a\":{\"b\":[{}]}}", Err(JsonFault::Depth)),
            ("{\"a\":1,\"b\":2}", Ok(())),
            ("{\"a\":1,\"b\":2,\"c\":3}", Err(JsonFault::Keys)),
            ("[1,2,3,4]", Ok(())),
            ("[1,2,3,4,5]", Err(JsonFault::Array)),
            ("\"12345\"", Ok(())),
            ("\"123456\"", Err(JsonFault::String)),
            ("{\"123456\":1}", Err(JsonFault::String)),
            ("\"\\u00e9\"", Err(JsonFault::String)),
            ("[[1,2],[1,2],[1,2]]", Ok(())),
            ("[[1,2],[1,2],[1,2,3]]", Err(JsonFault::Values)),
            ("[1,2", Err(JsonFault::Malformed)),
        ] {
            assert_eq!(scan(text.as_bytes(), &limits), expected, "{text}");
        }
        let deep = "[".repeat(1_000_000);
        assert_eq!(scan(deep.as_bytes(), &limits), Err(JsonFault::Depth));
    }

    #[test]
    fn what_two_parsers_could_read_in_two_ways_is_no_json() {
        for text in [
            "",
            " ",
            "nul",
            "nulll",
            "True",
            "01",
            "-",
            "-01",
            "1.",
            ".5",
            "1e",
            "1e+",
            "+1",
            "0x1",
            "NaN",
            "[1,]",
            "[,1]",
            "[1 2]",
            "{,}",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{a:1}",
            "{'a':1}",
            "[1}",
            "{\"a\":1]",
            "]",
            "1 2",
            "[1] x",
            "\"a",
            "\"\\x\"",
            "\"\\u12\"",
            "\"\t\"",
            "\"a\nb\"",
            "// a\n1",
            "\u{feff}1",
            "\u{a0}1",
            "[1]\0",
        ] {
            assert_eq!(scan(text.as_bytes(), &WIDE), Err(JsonFault::Malformed), "{text}");
        }
        assert_eq!(scan(b"\"\xff\"", &WIDE), Err(JsonFault::Malformed));
    }

    fn any_json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<f64>().prop_map(|number| serde_json::json!(number)),
            any::<i64>().prop_map(Into::into),
            ".{0,8}".prop_map(Into::into),
        ];
        leaf.prop_recursive(6, 40, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Into::into),
                prop::collection::vec((".{0,4}", inner), 0..5)
                    .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
            ]
        })
    }

    /// What the scanner must say, by a walk over the tree.
    fn measure(value: &serde_json::Value) -> (u32, u32, u32, u32) {
        use serde_json::Value::{Array, Object};
        let (inner, keys, array): (Vec<_>, _, _) = match value {
            Array(items) => (items.iter().map(measure).collect(), 0, items.len() as u32),
            Object(members) => (members.values().map(measure).collect(), members.len() as u32, 0),
            _ => return (0, 0, 0, 1),
        };
        inner.into_iter().fold((1, keys, array, 1), |all, one| {
            (all.0.max(one.0 + 1), all.1.max(one.1), all.2.max(one.2), all.3 + one.3)
        })
    }

    proptest! {
        #[test]
        fn it_counts_what_a_tree_would_tell(value in any_json(), is_pretty in any::<bool>()) {
            let text = if is_pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) };
            let text = text.unwrap_or_default();
            let (depth, keys, array, values) = measure(&value);
            let exact = JsonLimits { depth, keys, array, string: u64::MAX, values };
            prop_assert_eq!(scan(text.as_bytes(), &exact), Ok(()));
            if depth > 0 {
                let less = JsonLimits { depth: depth - 1, ..exact };
                prop_assert_eq!(scan(text.as_bytes(), &less), Err(JsonFault::Depth));
            }
            if keys > 0 {
                let less = JsonLimits { keys: keys - 1, ..exact };
                prop_assert_eq!(scan(text.as_bytes(), &less), Err(JsonFault::Keys));
            }
            if array > 0 {
                let less = JsonLimits { array: array - 1, ..exact };
                prop_assert_eq!(scan(text.as_bytes(), &less), Err(JsonFault::Array));
            }
            let less = JsonLimits { values: values - 1, ..exact };
            prop_assert_eq!(scan(text.as_bytes(), &less), Err(JsonFault::Values));
        }

        #[test]
        fn it_and_a_known_parser_agree_on_what_is_json(
            value in any_json(), at in any::<prop::sample::Index>(), with in "[\\[\\]{}\",:0-9eE+.\\\\tfnu \\-\u{1}]{0,2}", cut in 0_usize..3,
        ) {
            let mut text: Vec<char> = value.to_string().chars().collect();
            let at = at.index(text.len() + 1);
            let end = (at + cut).min(text.len());
            text.splice(at..end, with.chars());
            let text: String = text.into_iter().collect();
            let expected = serde_json::from_str::<IgnoredAny>(&text).is_ok();
            prop_assert_eq!(scan(text.as_bytes(), &WIDE).is_ok(), expected, "{}", text);
        }

        #[test]
        fn any_bytes_are_json_or_are_not(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let known = serde_json::from_slice::<IgnoredAny>(&bytes).is_ok() && std::str::from_utf8(&bytes).is_ok();
            prop_assert_eq!(scan(&bytes, &WIDE).is_ok(), known);
        }
    }

    #[test]
    fn long_texts_take_one_pass() {
        let mut text = String::from("[0");
        for number in 1..10_000 {
            let _ = write!(text, ",{{\"n\":{number}}}");
        }
        text.push(']');
        assert_eq!(scan(text.as_bytes(), &WIDE), Ok(()));
    }
}
