//! What a route's parameters took of a request's path: spans, in memory that is reused.

use std::borrow::Cow;

use super::PathPattern;

/// The working memory of a search and, after one that found a route, the spans of the path that the route's
/// parameters took. Kept by the caller from request to request, so that finding allocates nothing.
#[derive(Debug, Clone, Default)]
pub struct Params {
    spans: Vec<(u32, u32)>,
    /// A decoded query value while it is compared.
    pub(super) scratch: Vec<u8>,
    /// `when` expressions that gave an error or no bool during the last search; such a route did not match.
    pub expression_faults: u32,
}

/// The parameters of one request by name.
#[derive(Debug, Clone, Copy)]
pub struct BoundParams<'a> {
    pattern: &'a PathPattern,
    params: &'a Params,
    path: &'a str,
}

impl Params {
    /// No parameters.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts the names of the route's template to the spans of the path that was searched for.
    pub fn bind<'a>(&'a self, pattern: &'a PathPattern, path: &'a str) -> BoundParams<'a> {
        BoundParams { pattern, params: self, path }
    }

    /// What the parameter at this position of the path took, percent-encoded as in the path.
    pub fn at<'p>(&self, position: usize, path: &'p str) -> Option<&'p str> {
        let (start, end) = *self.spans.get(position)?;
        path.get(start as usize..end as usize)
    }

    pub(super) fn clear(&mut self) {
        self.spans.clear();
        self.expression_faults = 0;
    }

    pub(super) fn push(&mut self, start: usize, end: usize) {
        self.spans.push((start as u32, end as u32));
    }

    pub(super) fn pop(&mut self) {
        self.spans.pop();
    }
}

impl<'a> BoundParams<'a> {
    /// What a parameter took, percent-encoded as in the path.
    pub fn get(&self, name: &str) -> Option<&'a str> {
        self.params.at(self.pattern.position_of(name)?, self.path)
    }

    /// What a parameter took, percent-decoded. Bytes that are no UTF-8 become U+FFFD.
    pub fn decoded(&self, name: &str) -> Option<Cow<'a, str>> {
        self.get(name).map(decode)
    }

    /// Names and percent-encoded values in the order of the path.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let Self { pattern, params, path } = *self;
        pattern.names().enumerate().filter_map(move |(at, name)| Some((name, params.at(at, path)?)))
    }
}

/// Percent-decodes; borrows when there is nothing to decode.
pub fn decode(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let mut bytes = Vec::with_capacity(text.len());
    decode_onto(text, false, &mut bytes);
    match String::from_utf8(bytes) {
        Ok(text) => Cow::Owned(text),
        Err(error) => Cow::Owned(String::from_utf8_lossy(error.as_bytes()).into_owned()),
    }
}

/// Appends the percent-decoded text; in a query (`plus_is_space`) `+` stands for a space. A `%` that begins
/// no encoded byte stays as it is.
pub(crate) fn decode_onto(text: &str, plus_is_space: bool, out: &mut Vec<u8>) {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let digit = |offset: usize| bytes.get(at + offset).and_then(|byte| char::from(*byte).to_digit(16));
        match (bytes[at], digit(1), digit(2)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high << 4 | low) as u8);
                at += 2;
            }
            (b'+', ..) if plus_is_space => out.push(b' '),
            (byte, ..) => out.push(byte),
        }
        at += 1;
    }
}

/// The names and values of a query as they stand there, undecoded. Empty parts are passed over.
pub(crate) fn query_pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query.split('&').filter(|part| !part.is_empty()).map(|part| part.split_once('=').unwrap_or((part, "")))
}

/// Whether a parameter of a query has this name, however it is written.
pub(crate) fn is_named(written: &str, name: &str) -> bool {
    written == name || decode_query(written, &mut Vec::new()) == name
}

/// Decodes a part of a query; borrows when there is nothing to decode, else uses `scratch`.
pub(crate) fn decode_query<'a>(text: &'a str, scratch: &'a mut Vec<u8>) -> Cow<'a, str> {
    if memchr::memchr2(b'%', b'+', text.as_bytes()).is_none() {
        return Cow::Borrowed(text);
    }
    scratch.clear();
    decode_onto(text, true, scratch);
    String::from_utf8_lossy(scratch)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn encoded_text_is_decoded_once() {
        for (text, expected) in [
            ("plain", "plain"),
            ("a%20b", "a b"),
            ("%2525", "%25"),
            ("caf%C3%A9", "caf\u{e9}"),
            ("%ff", "\u{fffd}"),
            ("100%", "100%"),
            ("%4", "%4"),
            ("a+b", "a+b"),
        ] {
            assert_eq!(decode(text), expected);
        }
        assert_eq!(decode_query("a+b%2B", &mut Vec::new()), "a b+");
    }

    #[test]
    fn a_query_is_its_pairs() {
        let pairs: Vec<_> = query_pairs("a=1&&b&c=d=e&=x").collect();
        assert_eq!(pairs, [("a", "1"), ("b", ""), ("c", "d=e"), ("", "x")]);
    }

    #[test]
    fn values_are_found_by_name_and_by_place() {
        let pattern = PathPattern::parse("/a/{x}/{rest...}").unwrap();
        let path = "/a/b%20c/d/e";
        let mut params = Params::new();
        params.push(3, 8);
        params.push(9, 12);
        let bound = params.bind(&pattern, path);
        assert_eq!(bound.get("x"), Some("b%20c"));
        assert_eq!(bound.decoded("x").as_deref(), Some("b c"));
        assert_eq!(bound.get("rest"), Some("d/e"));
        assert_eq!(bound.get("y"), None);
        assert_eq!(bound.iter().collect::<Vec<_>>(), [("x", "b%20c"), ("rest", "d/e")]);
        assert_eq!(params.at(2, path), None);
    }
}
