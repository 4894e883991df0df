//! An ordered list of fields (headers or trailers) in one arena of bytes.
//!
//! A head is copied once into `text`; names and values are spans of it. Against a hash map of shared slices
//! this saves an allocation or a reference count for every field, and names keep the case they came in.

use std::ops::Range;

use crate::{Known, PreparedField};

/// Between a field's name and its value.
pub(crate) const COLON: &[u8] = b": ";
/// Behind the value.
const LINE_END: &[u8] = b"\r\n";
/// What a line takes beside the two.
const LINE_EXTRA: usize = COLON.len() + LINE_END.len();

/// Fields in the order they came. Clearing keeps the memory.
#[derive(Debug, Default, Clone)]
pub struct Fields {
    text: Vec<u8>,
    entries: Vec<Entry>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    known: Option<Known>,
    name: Span,
    value: Span,
}

#[derive(Debug, Clone, Copy)]
struct Span {
    start: u32,
    length: u32,
}

/// One field of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    /// Its name, when it is one that the gateway acts on.
    pub known: Option<Known>,
    /// Its name as it is written.
    pub name: &'a [u8],
    /// Its value, without white space around it.
    pub value: &'a [u8],
}

impl Fields {
    /// An empty list.
    pub fn new() -> Self {
        Self::default()
    }

    /// Empties it, keeping its memory.
    pub fn clear(&mut self) {
        self.text.clear();
        self.entries.clear();
    }

    /// The number of fields.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Every field, in order.
    pub fn iter(&self) -> impl Iterator<Item = Field<'_>> {
        self.entries.iter().map(|entry| entry.read(&self.text))
    }

    /// Whether there is a field of a known name.
    pub fn contains(&self, known: Known) -> bool {
        self.entries.iter().any(|entry| entry.known == Some(known))
    }

    /// The first value of a known name.
    pub fn get(&self, known: Known) -> Option<&[u8]> {
        self.get_all(known).next()
    }

    /// Every value of a known name, in order.
    pub fn get_all(&self, known: Known) -> impl Iterator<Item = &[u8]> {
        self.entries.iter().filter(move |e| e.known == Some(known)).map(|e| e.value.read(&self.text))
    }

    /// The first value of a name in any case.
    pub fn get_named(&self, name: &[u8]) -> Option<&[u8]> {
        self.iter().find(|field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value)
    }

    /// Every value of a name in any case, in order.
    pub fn get_all_named(&self, name: &[u8]) -> impl Iterator<Item = &[u8]> {
        self.iter().filter(move |field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value)
    }

    /// Appends a field. Bytes of the value that cannot stand in a field (CR, LF, NUL) become spaces
    /// (RFC 9110, section 5.5), so no caller can split a message.
    pub fn append(&mut self, known: Known, value: &[u8]) {
        self.push(Some(known), known.as_str().as_bytes(), value);
    }

    /// Appends a field whose value is these parts, one behind the other. It is treated as by [`Fields::append`].
    pub fn append_parts(&mut self, known: Known, parts: &[&[u8]]) {
        self.push_parts(Some(known), known.as_str().as_bytes(), parts);
    }

    /// Appends a prepared field, whose value goes on with `rest`. That is treated as by [`Fields::append`].
    pub fn append_prepared(&mut self, field: &PreparedField, rest: &[u8]) {
        let start = self.text.len();
        self.text.extend_from_slice(&field.text);
        if !rest.is_empty() {
            let middle = self.text.len();
            self.text.extend_from_slice(rest);
            clean(&mut self.text[middle..]);
        }
        let end = self.text.len();
        self.text.extend_from_slice(LINE_END);
        if u32::try_from(self.text.len()).is_err() {
            return self.text.truncate(start);
        }
        let name = start..start + field.known.as_str().len();
        let value = name.end + COLON.len()..end;
        self.push_loaded(Some(field.known), name, value);
    }

    /// Appends a field under any name, which must be a token: under any other nothing is appended.
    /// The value is treated as by [`Fields::append`].
    pub fn append_named(&mut self, name: &[u8], value: &[u8]) {
        if is_token(name) {
            self.push(Known::of(name), name, value);
        }
    }

    /// Extends the first field of the name by `more`, which holds neither CR nor LF nor NUL, after `between`; appends
    /// the field if there is none.
    pub(crate) fn extend(&mut self, known: Known, more: &[u8], between: &[u8]) {
        let Some(entry) = self.entries.iter_mut().find(|entry| entry.known == Some(known)) else {
            return self.append(known, more);
        };
        if more.is_empty() {
            return;
        }
        // Mostly its line stands last, and grows in its place.
        if entry.line(&self.text).is_some_and(|line| line.end == self.text.len()) {
            self.text.truncate(self.text.len() - LINE_END.len());
        } else {
            let (name, value) = (entry.name.range(), entry.value.range());
            let start = self.text.len();
            self.text.extend_from_within(name);
            entry.name = Span::of(start..self.text.len());
            self.text.extend_from_slice(COLON);
            let start = self.text.len();
            self.text.extend_from_within(value);
            entry.value = Span::of(start..self.text.len());
        }
        if entry.value.length > 0 {
            self.text.extend_from_slice(between);
        }
        self.text.extend_from_slice(more);
        entry.value = Span::of(entry.value.start as usize..self.text.len());
        self.text.extend_from_slice(LINE_END);
    }

    /// Replaces every value of the name by this one.
    pub fn set(&mut self, known: Known, value: &[u8]) {
        self.remove(known);
        self.append(known, value);
    }

    /// Replaces every value of the name by this one.
    pub fn set_named(&mut self, name: &[u8], value: &[u8]) {
        self.remove_named(name);
        self.append_named(name, value);
    }

    /// Removes every field of the name.
    pub fn remove(&mut self, known: Known) {
        self.entries.retain(|entry| entry.known != Some(known));
    }

    /// Removes every field of the name, in any case.
    pub fn remove_named(&mut self, name: &[u8]) {
        self.retain(|field| !field.name.eq_ignore_ascii_case(name));
    }

    /// Keeps the fields for which `keep` says so.
    pub fn retain(&mut self, mut keep: impl FnMut(Field<'_>) -> bool) {
        let text = &self.text;
        self.entries.retain(|entry| keep(entry.read(text)));
    }

    /// The bytes that all fields take on the wire, at most: what an encoder may reserve.
    pub(crate) fn wire_size(&self) -> usize {
        self.text.len() + LINE_EXTRA * self.entries.len()
    }

    /// Empties it and takes a copy of a head's text, for [`Fields::push_loaded`].
    pub(crate) fn load(&mut self, head: &[u8]) {
        self.clear();
        self.text.extend_from_slice(head);
    }

    /// Appends a field whose name and value stand in the loaded text and are known to be well-formed.
    pub(crate) fn push_loaded(&mut self, known: Option<Known>, name: Range<usize>, value: Range<usize>) {
        let entry = Entry { known, name: Span::of(name), value: Span::of(value) };
        self.entries.push(entry);
    }

    pub(crate) fn push(&mut self, known: Option<Known>, name: &[u8], value: &[u8]) {
        self.push_parts(known, name, &[trim(value)]);
    }

    #[inline]
    fn push_parts(&mut self, known: Option<Known>, name: &[u8], parts: &[&[u8]]) {
        let start = self.text.len();
        let length = parts.iter().map(|part| part.len()).sum::<usize>() + name.len() + LINE_EXTRA;
        // Spans count in 32 bits; nobody appends 4 GiB, and if somebody does, it is left out.
        if u32::try_from(start + length).is_err() {
            return;
        }
        self.text.reserve(length);
        self.text.extend_from_slice(name);
        let middle = self.text.len();
        self.text.extend_from_slice(COLON);
        let value = self.text.len();
        for part in parts {
            self.text.extend_from_slice(part);
        }
        let end = self.text.len();
        clean(&mut self.text[value..]);
        self.text.extend_from_slice(LINE_END);
        self.push_loaded(known, start..middle, value..end);
    }

    /// Appends the end-to-end fields as they go on the wire; says whether `Date` was among them.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) -> bool {
        let mut has_date = false;
        // Lines that stand one behind the other are copied at once: mostly that is all that a client sent.
        let mut run = 0..0;
        for entry in &self.entries {
            if is_owned(entry.known) {
                continue;
            }
            has_date |= entry.known == Some(Known::Date);
            match entry.line(&self.text) {
                Some(line) if line.start == run.end => run.end = line.end,
                Some(line) => {
                    out.extend_from_slice(&self.text[run]);
                    run = line;
                }
                None => {
                    out.extend_from_slice(&self.text[run]);
                    run = 0..0;
                    let field = entry.read(&self.text);
                    for part in [field.name, COLON, field.value, LINE_END] {
                        out.extend_from_slice(part);
                    }
                }
            }
        }
        out.extend_from_slice(&self.text[run]);
        has_date
    }
}

impl Field<'_> {
    /// Whether the ends of a connection write this field from what they know, and never from a list: it frames
    /// the message, manages the connection or names the host.
    pub fn is_owned(&self) -> bool {
        is_owned(self.known)
    }
}

fn is_owned(known: Option<Known>) -> bool {
    matches!(
        known,
        Some(
            Known::Connection
                | Known::ContentLength
                | Known::Host
                | Known::KeepAlive
                | Known::ProxyConnection
                | Known::Te
                | Known::TransferEncoding
                | Known::Upgrade,
        )
    )
}

/// Puts spaces in the place of what could end a line, or a text of C (RFC 9110, section 5.5).
pub(crate) fn clean(value: &mut [u8]) {
    if !has_controls(value) {
        return;
    }
    for byte in value {
        if matches!(*byte, b'\r' | b'\n' | 0) {
            *byte = b' ';
        }
    }
}

/// Whether a byte below 14 is among them: of CR, LF and NUL, and of few others. Eight at a time.
fn has_controls(value: &[u8]) -> bool {
    const ONES: u64 = u64::MAX / 255;
    let has = |chunk: &[u8; 8]| {
        let word = u64::from_ne_bytes(*chunk);
        // Borrows into the highest bit of a byte that is less than 14 and did not have it set.
        word.wrapping_sub(ONES * 14) & !word & (ONES * 128) != 0
    };
    match value.last_chunk::<8>() {
        Some(end) => value.as_chunks::<8>().0.iter().any(has) || has(end),
        None => value.iter().any(|byte| *byte < 14),
    }
}

impl Entry {
    /// Where its whole line stands in the text, as it goes on the wire; nothing where it came otherwise.
    fn line(&self, text: &[u8]) -> Option<Range<usize>> {
        let (name, value) = (self.name.range(), self.value.range());
        let end = value.end + LINE_END.len();
        let is_line =
            text.get(name.end..value.start) == Some(COLON) && text.get(value.end..end) == Some(LINE_END);
        is_line.then_some(name.start..end)
    }

    fn read(self, text: &[u8]) -> Field<'_> {
        Field { known: self.known, name: self.name.read(text), value: self.value.read(text) }
    }
}

impl Span {
    fn of(range: Range<usize>) -> Self {
        Self { start: range.start as u32, length: (range.end - range.start) as u32 }
    }

    fn range(self) -> Range<usize> {
        let start = self.start as usize;
        start..start + self.length as usize
    }

    fn read(self, text: &[u8]) -> &[u8] {
        &text[self.range()]
    }
}

/// Whether the bytes are a token (RFC 9110, section 5.6.2): a method or field name.
pub fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|byte| is_token_byte(*byte))
}

/// Whether the byte may stand in a token.
pub(crate) fn is_token_byte(byte: u8) -> bool {
    TOKEN[byte as usize]
}

/// Whether the bytes may stand as a field's value: no control characters but tab.
pub fn is_field_value(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| matches!(byte, b'\t' | 0x20..=0x7e | 0x80..))
}

/// The bytes without spaces and tabs around them (RFC 9110, section 5.6.3).
pub(crate) fn trim(bytes: &[u8]) -> &[u8] {
    let Some(start) = bytes.iter().position(|byte| !is_space(*byte)) else {
        return &[];
    };
    let end = bytes.iter().rposition(|byte| !is_space(*byte)).map_or(start, |last| last + 1);
    &bytes[start..end]
}

/// Whether the byte is a space or a tab.
pub(crate) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// The elements of a comma-separated list, empty ones left out (RFC 9110, section 5.6.1).
pub fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(trim).filter(|element| !element.is_empty())
}

/// The visible characters that may not stand in a token.
const fn is_delimiter(byte: u8) -> bool {
    matches!(byte, b'"' | b'(' | b')' | b',' | b'/' | b':'..=b'@' | b'['..=b']' | b'{' | b'}')
}

const TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = (byte as u8).is_ascii_graphic() && !is_delimiter(byte as u8);
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    fn text(fields: &Fields) -> Vec<(String, String)> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        fields.iter().map(|field| (text(field.name), text(field.value))).collect()
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn fields_keep_their_order_and_the_case_of_their_names() {
        let mut fields = Fields::new();
        fields.append_named(b"x-One", b"1");
        fields.append(Known::Accept, b"*/*");
        fields.append_named(b"X-ONE", b"2");
        assert_eq!(text(&fields), [pair("x-One", "1"), pair("Accept", "*/*"), pair("X-ONE", "2")]);
        assert_eq!(fields.get_named(b"X-one"), Some(&b"1"[..]));
        assert_eq!(fields.get_all_named(b"x-one").collect::<Vec<_>>(), [b"1", b"2"]);
        assert_eq!(fields.get(Known::Accept), Some(&b"*/*"[..]));
    }

    #[test]
    fn a_known_name_is_known_however_it_was_appended() {
        let mut fields = Fields::new();
        fields.append_named(b"vIA", b"1.1 a");
        fields.append(Known::Via, b"1.1 b");
        assert_eq!(fields.get_all(Known::Via).collect::<Vec<_>>(), [b"1.1 a", b"1.1 b"]);
        fields.set_named(b"VIA", b"1.1 c");
        assert_eq!(text(&fields), [pair("VIA", "1.1 c")]);
        fields.set(Known::Via, b"1.1 d");
        assert_eq!(text(&fields), [pair("Via", "1.1 d")]);
        fields.remove(Known::Via);
        assert!(fields.is_empty());
    }

    #[test]
    fn a_value_cannot_end_its_line() {
        let mut fields = Fields::new();
        fields.append_named(b"x", b"a\r\nSet-Cookie: b\0c");
        fields.append_named(b"y", b"\r\n");
        assert_eq!(text(&fields), [pair("x", "a  Set-Cookie: b c"), pair("y", "  ")]);
    }

    #[test]
    fn what_could_end_a_line_is_found_wherever_it_stands() {
        for length in 1..40 {
            for place in 0..length {
                for (byte, cleaned) in [(b'\r', b' '), (b'\n', b' '), (0, b' '), (b'\t', b'\t'), (14, 14)] {
                    let mut value = vec![0xff; length];
                    value[place] = byte;
                    clean(&mut value);
                    let mut expected = vec![0xff; length];
                    expected[place] = cleaned;
                    assert_eq!(value, expected, "{byte} at {place} of {length}");
                }
            }
        }
    }

    #[test]
    fn a_field_grows_wherever_it_stands() {
        let mut fields = Fields::new();
        fields.extend(Known::Cookie, b"a=1", b"; ");
        fields.extend(Known::Cookie, b"b=2", b"; ");
        fields.append(Known::Via, b"1.1 a");
        fields.extend(Known::Cookie, b"c=3", b"; ");
        fields.extend(Known::Cookie, b"", b"; ");
        fields.extend(Known::Cookie, b"d=4", b"; ");
        let mut out = Vec::new();
        fields.encode(&mut out);
        assert_eq!(out, b"Cookie: a=1; b=2; c=3; d=4\r\nVia: 1.1 a\r\n");
    }

    #[test]
    fn a_name_that_is_not_a_token_is_left_out() {
        let mut fields = Fields::new();
        for name in [&b""[..], b"a b", b"a:", b"a\r\nb", b"\xc3\xa9", b"(x)"] {
            fields.append_named(name, b"value");
        }
        assert!(fields.is_empty());
    }

    #[test]
    fn retain_sees_every_field_once() {
        let mut fields = Fields::new();
        for name in [&b"a"[..], b"b", b"c"] {
            fields.append_named(name, b"");
        }
        let mut seen = 0;
        fields.retain(|field| {
            seen += 1;
            field.name != b"b"
        });
        assert_eq!((seen, text(&fields)), (3, vec![pair("a", ""), pair("c", "")]));
    }

    #[test]
    fn white_space_around_a_value_is_not_kept() {
        let mut fields = Fields::new();
        fields.append_named(b"a", b" \t b c\t ");
        fields.append_named(b"d", b" \t ");
        assert_eq!(text(&fields), [pair("a", "b c"), pair("d", "")]);
    }

    #[test]
    fn tokens_and_values_are_told_by_their_bytes() {
        for byte in 0..=255u8 {
            let token = byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
            assert_eq!(is_token(&[byte]), token, "token {byte:#x}");
            let value = byte == b'\t' || (byte >= 0x20 && byte != 0x7f);
            assert_eq!(is_field_value(&[byte]), value, "value {byte:#x}");
        }
        assert!(!is_token(b""));
        assert!(is_field_value(b""));
    }

    #[test]
    fn a_list_is_split_at_commas_without_its_empty_elements() {
        assert_eq!(list(b" a,, b ,\t,c").collect::<Vec<_>>(), [b"a", b"b", b"c"]);
        assert_eq!(list(b" , ").count(), 0);
    }

    #[test]
    fn a_prepared_field_is_like_any_other() {
        let mut fields = Fields::new();
        let told = PreparedField::new(Known::RateLimit, "\"a\r\n\";r=");
        fields.append_prepared(&told, b"7\n;t=1");
        fields.append_prepared(&PreparedField::new(Known::ContentType, "text/plain"), b"");
        let mut appended = Fields::new();
        appended.append(Known::RateLimit, b"\"a\r\n\";r=7\n;t=1");
        appended.append(Known::ContentType, b"text/plain");
        let [mut one, mut other] = [Vec::new(), Vec::new()];
        assert_eq!(fields.encode(&mut one), appended.encode(&mut other));
        assert_eq!(one, other);
        assert!(fields.iter().eq(appended.iter()));
        assert_eq!(told.value(), b"\"a  \";r=");
    }
}
