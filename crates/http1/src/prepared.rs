//! A field that is written often: its line, put together once.

use crate::Known;
use crate::fields::{COLON, clean};

/// A field's name and its value, or the beginning of it, as they go on the wire.
#[derive(Debug, Clone)]
pub struct PreparedField {
    pub(crate) known: Known,
    pub(crate) text: Box<[u8]>,
}

impl PreparedField {
    /// A field that begins so. Bytes that cannot stand in a value become spaces, as in [`Fields::append`](crate::Fields::append).
    pub fn new(known: Known, value: &str) -> Self {
        let mut text = [known.as_str().as_bytes(), COLON, value.as_bytes()].concat();
        clean(&mut text[known.as_str().len() + COLON.len()..]);
        Self { known, text: text.into() }
    }

    /// The value, or the beginning of it.
    pub fn value(&self) -> &[u8] {
        &self.text[self.known.as_str().len() + COLON.len()..]
    }
}
