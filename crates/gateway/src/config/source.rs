//! The text of a configuration file, and places in it.

use std::hash::{Hash, Hasher};
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

/// A range of bytes in the configuration file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span {
    start: u32,
    end: u32,
}

impl Span {
    /// The bytes from `start` up to `end`, neither of which needs to lie inside the text.
    pub fn new(start: usize, end: usize) -> Self {
        let start = u32::try_from(start).unwrap_or(u32::MAX);
        Self { start, end: u32::try_from(end).unwrap_or(u32::MAX).max(start) }
    }

    /// The offset of its first byte.
    pub fn start(self) -> usize {
        self.start as usize
    }

    /// The offset behind its last byte.
    pub fn end(self) -> usize {
        self.end as usize
    }
}

/// A value together with the place where it stands, for the stages that may still find fault with it.
#[derive(Clone, Debug)]
pub struct Located<T> {
    /// The value.
    pub value: T,
    /// Where it was written.
    pub span: Span,
}

impl<T> Located<T> {
    /// A value that stands at this place.
    pub fn new(value: T, span: Span) -> Self {
        Self { value, span }
    }
}

impl<T> std::ops::Deref for Located<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

/// Two values are the same wherever they stand.
impl<T: PartialEq> PartialEq for Located<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<T: Eq> Eq for Located<T> {}

impl<T: Hash> Hash for Located<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.value.hash(state);
    }
}

/// A configuration file: its name as the user wrote it, and its text.
#[derive(Debug)]
pub struct Source {
    name: String,
    text: String,
    line_starts: Vec<u32>,
    /// Where secrets stand.
    hidden: Mutex<Vec<Span>>,
}

impl Source {
    /// The file of this name with this text.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        let text = text.into();
        let ends = memchr::memchr_iter(b'\n', text.as_bytes());
        let line_starts = std::iter::once(0).chain(ends.map(|end| end as u32 + 1)).collect();
        Self { name: name.into(), text, line_starts, hidden: Mutex::default() }
    }

    /// The file's name as the user wrote it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The text at a place; empty when the place lies outside of it.
    pub fn slice(&self, span: Span) -> &str {
        self.text.get(span.start()..span.end()).unwrap_or_default()
    }

    /// A secret stands in this place: no excerpt shows it.
    pub(super) fn hide(&self, span: Span) {
        let written = self.slice(span);
        let mut hidden = self.hidden.lock().unwrap_or_else(PoisonError::into_inner);
        let mut at = 0;
        while at < written.len() {
            let end = written[at..].find("${").map_or(written.len(), |length| at + length);
            // Of a reference there is nothing to hide, and most secrets are one, in quotes.
            if !written[at..end].trim_matches(['\'', '"']).is_empty() {
                hidden.push(Span::new(span.start() + at, span.start() + end));
            }
            at = written[end..].find('}').map_or(written.len(), |length| end + length + 1);
        }
    }

    /// The text from here with stars for the bytes of secrets.
    fn without_secrets(&self, from: usize, text: String) -> String {
        let to = from + text.len();
        let hidden = self.hidden.lock().unwrap_or_else(PoisonError::into_inner);
        let mut bytes = text.into_bytes();
        for span in hidden.iter().filter(|span| span.start() < to && span.end() > from) {
            bytes[span.start().max(from) - from..span.end().min(to) - from].fill(b'*');
        }
        // Whole values are hidden, or cut between two characters.
        String::from_utf8(bytes).unwrap_or_default()
    }

    /// The line and column of an offset, both from 1, the column in characters.
    pub fn position(&self, offset: usize) -> (usize, usize) {
        let line = self.line_of(offset);
        let start = self.line_starts[line] as usize;
        let before = self.text.get(start..self.boundary(offset)).unwrap_or_default();
        (line + 1, before.chars().count() + 1)
    }

    /// The place of a part of a text, when the text stands in the file as it is; else the place of all of it.
    ///
    /// `part` counts bytes of the value. Quotes are skipped; text with escapes or `${…}` is shown whole.
    pub fn part(&self, whole: &Located<String>, part: Range<usize>) -> Span {
        let written = self.slice(whole.span);
        let Some(offset) = written.find(whole.value.as_str()) else {
            return whole.span;
        };
        if offset > 1 || part.start > part.end || part.end > whole.value.len() {
            return whole.span;
        }
        let start = whole.span.start() + offset;
        Span::new(start + part.start, start + part.end)
    }

    /// The line that a place begins in, or a window of it when it is long, and the bytes of it to mark.
    pub(super) fn excerpt(&self, span: Span) -> Excerpt {
        let line = self.line_of(span.start());
        let line_start = self.line_starts[line] as usize;
        let line_end = self.line_starts.get(line + 1).map_or(self.text.len(), |next| *next as usize - 1);
        let line_end = line_end.max(line_start);
        let start = self.boundary(span.start()).clamp(line_start, line_end);
        let end = self.boundary(span.end()).clamp(start, line_end);
        let end = self.boundary(end.min(start + EXCERPT_AFTER)).max(start);
        let from = self.boundary(line_start.max(start.saturating_sub(EXCERPT_BEFORE)));
        let to = self.boundary(line_end.min(end + EXCERPT_AFTER));
        let mut text = self.text.get(from..to).unwrap_or_default().trim_end_matches('\r').to_owned();
        text = self.without_secrets(from, text);
        let start = (start - from).min(text.len());
        if start == text.len() {
            // A place at the end of a line needs something to stand under.
            text.push(' ');
        }
        let end = end.saturating_sub(from).min(text.len());
        let first = text[start..].chars().next().map_or(1, char::len_utf8);
        let marked = start..end.max(start + first);
        Excerpt { text, marked }
    }

    fn line_of(&self, offset: usize) -> usize {
        let offset = u32::try_from(offset.min(self.text.len())).unwrap_or(u32::MAX);
        self.line_starts.partition_point(|start| *start <= offset).saturating_sub(1)
    }

    /// The nearest offset at or before this one that lies between two characters.
    fn boundary(&self, offset: usize) -> usize {
        self.text.floor_char_boundary(offset.min(self.text.len()))
    }
}

/// One line of a file and the bytes of it to mark.
pub(super) struct Excerpt {
    pub(super) text: String,
    pub(super) marked: Range<usize>,
}

/// Bytes of a long line shown before the marked place.
const EXCERPT_BEFORE: usize = 120;

/// Bytes of a long line shown after the marked place, and marked at most.
const EXCERPT_AFTER: usize = 160;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_has_stars_for_secrets_and_shows_references() {
        let text = "a: [ s3cr\u{e9}t, '${env:X}', \"x${file:y}z\", ${env:X ]";
        let source = Source::new("x", text);
        for secret in ["s3cr\u{e9}t", "'${env:X}'", "\"x${file:y}z\"", "${env:X ]"] {
            let start = text.find(secret).unwrap_or_default();
            source.hide(Span::new(start, start + secret.len()));
        }
        let shown = "a: [ *******, '${env:X}', **${file:y}**, ${env:X ]";
        assert_eq!(source.excerpt(Span::new(0, 1)).text, shown);
        // One that was not read is not known.
        let source = Source::new("x", text);
        assert_eq!(source.excerpt(Span::new(0, 1)).text, text);
    }

    #[test]
    fn a_position_counts_lines_and_characters_from_one() {
        let source = Source::new("x", "ab\näö: 1\n");
        for (offset, expected) in
            [(0, (1, 1)), (2, (1, 3)), (3, (2, 1)), (5, (2, 2)), (7, (2, 3)), (11, (3, 1)), (999, (3, 1))]
        {
            assert_eq!(source.position(offset), expected, "offset {offset}");
        }
    }

    #[test]
    fn a_part_of_a_quoted_text_is_found_inside_the_quotes() {
        let source = Source::new("x", "path: \"/a/{b\"\n");
        let whole = Located::new("/a/{b".to_owned(), Span::new(6, 13));
        assert_eq!(source.slice(source.part(&whole, 3..5)), "{b");
        assert_eq!(source.part(&whole, 3..50), whole.span);
    }

    #[test]
    fn any_place_has_an_excerpt() {
        for text in ["", "\n", "ä", "a\r\nb", "line\n\n", "é\u{1F600}\n"] {
            let source = Source::new("x", text);
            for start in 0..text.len() + 3 {
                for end in start..text.len() + 3 {
                    let excerpt = source.excerpt(Span::new(start, end));
                    assert!(
                        excerpt.text.get(excerpt.marked.clone()).is_some_and(|marked| !marked.is_empty())
                    );
                }
            }
        }
    }
}
