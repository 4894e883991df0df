//! Pairs of names and texts as queries, forms and cookies have them: `a=1&b=2`.

use std::borrow::Cow;

use percent_encoding::percent_decode;

/// The most pairs that are read of one query, form or cookie header.
pub(crate) const MAX_PAIRS: usize = 1_000;

/// One pair, its text still encoded: what separates items must be told from what an item holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pair<'t> {
    pub(crate) name: String,
    pub(crate) raw: Cow<'t, str>,
}

/// Reads `a=1&b=2`. The error is a sentence.
pub(crate) fn pairs(text: &str) -> Result<Vec<Pair<'_>>, String> {
    let mut list = Vec::new();
    for piece in text.split('&').filter(|piece| !piece.is_empty()) {
        if list.len() == MAX_PAIRS {
            return Err(format!("has more than {MAX_PAIRS} fields"));
        }
        let (name, raw) = piece.split_once('=').unwrap_or((piece, ""));
        let name = decode(name).ok_or("has a name that is not percent-encoded UTF-8")?;
        list.push(Pair { name, raw: Cow::Borrowed(raw) });
    }
    Ok(list)
}

/// A text of a query or form without its encoding; none where that is broken or hides what is not UTF-8.
pub(crate) fn decode(raw: &str) -> Option<String> {
    decode_path(&raw.replace('+', " "))
}

/// A text of a path without its encoding, where `+` stands for itself.
pub(crate) fn decode_path(raw: &str) -> Option<String> {
    let is_whole = |at: usize| {
        let digits = raw.as_bytes().get(at + 1..at + 3);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    if !memchr::memchr_iter(b'%', raw.as_bytes()).all(is_whole) {
        return None;
    }
    percent_decode(raw.as_bytes()).decode_utf8().ok().map(Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_read() {
        let read = |text: &str| {
            pairs(text)
                .map(|list| list.into_iter().map(|pair| (pair.name, decode(&pair.raw))).collect::<Vec<_>>())
        };
        let pair = |name: &str, text: &str| (name.to_owned(), Some(text.to_owned()));
        assert_eq!(read("").unwrap(), []);
        assert_eq!(
            read("a=1&b=x+y%21&a=&&c").unwrap(),
            [pair("a", "1"), pair("b", "x y!"), pair("a", ""), pair("c", "")]
        );
        assert_eq!(read("a%5Bb%5D=1=2").unwrap(), [pair("a[b]", "1=2")]);
        for broken in ["a=%", "a=%4", "a=%zz", "a=%ff"] {
            assert_eq!(read(broken).unwrap(), [("a".to_owned(), None)], "{broken}");
        }
        assert!(read("%ff=1").is_err());
        assert!(read(&"a&".repeat(MAX_PAIRS)).is_ok());
        assert!(read(&"a&".repeat(MAX_PAIRS + 1)).is_err());
        assert_eq!(decode_path("a+b%20c"), Some("a+b c".to_owned()));
    }
}
