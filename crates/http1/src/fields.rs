//! An ordered list of fields (headers or trailers) in one arena of bytes.
//!
//! A head is copied once into `text`; names and values are spans of it. Against a hash map of shared slices
//! this saves an allocation or a reference count for every field, and names keep the case they came in.

use crate::Known;

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
        self.entries.iter().map(|entry| self.field(*entry))
    }

    /// The first value of a known name.
    pub fn get(&self, known: Known) -> Option<&[u8]> {
        self.get_all(known).next()
    }

    /// Every value of a known name, in order.
    pub fn get_all(&self, known: Known) -> impl Iterator<Item = &[u8]> {
        self.entries.iter().filter(move |e| e.known == Some(known)).map(|e| self.slice(e.value))
    }

    /// The first value of a name in any case.
    pub fn get_named(&self, name: &[u8]) -> Option<&[u8]> {
        self.iter().find(|field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value)
    }

    /// Appends a field. Bytes of the value that cannot stand in a field (CR, LF, NUL) become spaces
    /// (RFC 9110, section 5.5), so no caller can split a message.
    pub fn append(&mut self, known: Known, value: &[u8]) {
        let _ = (known, value);
        todo!("helper: implement, and the rest of this file's calls")
    }

    /// Appends a field under any name, which must be a token.
    pub fn append_named(&mut self, name: &[u8], value: &[u8]) {
        let _ = (name, value);
        todo!()
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
        let _ = name;
        todo!()
    }

    fn field(&self, entry: Entry) -> Field<'_> {
        Field { known: entry.known, name: self.slice(entry.name), value: self.slice(entry.value) }
    }

    fn slice(&self, span: Span) -> &[u8] {
        &self.text[span.start as usize..(span.start + span.length) as usize]
    }
}

/// Whether the bytes are a token (RFC 9110, section 5.6.2): a method or field name.
pub fn is_token(bytes: &[u8]) -> bool {
    let _ = bytes;
    todo!()
}

/// Whether the bytes may stand as a field's value: no control characters but tab.
pub fn is_field_value(bytes: &[u8]) -> bool {
    let _ = bytes;
    todo!()
}
