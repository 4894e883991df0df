//! How requests come apart: queries, cookies and bodies into names and values. What cannot be read as what it claims
//! to be is one value. Readers never allocate by what is written in their input, nor go deeper than a constant.

pub(crate) mod json;
pub(crate) mod multipart;
pub(crate) mod pairs;
pub(crate) mod xml;

/// Leaves looked at in one part of a request. A request with more is told of, and not read on.
pub(crate) const MOST_LEAVES: usize = 4096;

/// What receives leaves: place's name, value, and what they are.
pub(crate) trait Visit {
    /// A value under its name. Gives back whether to go on.
    fn leaf(&mut self, name: &[u8], value: &[u8], kind: Kind) -> bool;
}

/// What a leaf is to its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Still percent-encoded, with `+` for a space.
    Encoded,
    /// A name, so encoded.
    EncodedName,
    /// A pair without its equals sign: name and value at once.
    EncodedLone,
    /// A JSON text without its quotes, escapes and all.
    Json,
    JsonName,
    /// As it is.
    Plain,
    PlainName,
    FileName,
}
