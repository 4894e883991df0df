//! Finds the pieces of a body in the bytes of a connection, whatever its framing.

use crate::{BodyFault, Fields, Framing};

/// Reads one body. Feed it what the connection holds; it says which part is data.
#[derive(Debug)]
pub struct BodyDecoder {
    _framing: Framing,
}

/// What the decoder found at the beginning of its input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece {
    /// `input[skip..skip + length]` is data (length > 0); `skip` bytes before it were framing. Both are consumed.
    Data {
        /// Bytes of framing before the data.
        skip: usize,
        /// Bytes of data.
        length: usize,
    },
    /// All useful input is used up: drop `consumed` bytes and come again with more.
    More {
        /// Bytes of framing to drop.
        consumed: usize,
    },
    /// The body has ended; drop `consumed` bytes. What follows belongs to the next message.
    End {
        /// Bytes of framing to drop.
        consumed: usize,
    },
}

impl BodyDecoder {
    /// A decoder for one body.
    pub fn new(framing: Framing) -> Self {
        Self { _framing: framing }
    }

    /// Finds the next piece. Trailers of a chunked body are appended to `trailers` (bounded, forbidden ones
    /// such as `Content-Length` dropped) before `End` is returned.
    pub fn decode(&mut self, input: &[u8], trailers: &mut Fields) -> Result<Piece, BodyFault> {
        let _ = (input, trailers);
        todo!()
    }

    /// The connection ended: says whether the body is whole (`UntilClose` is).
    pub fn finish(&mut self) -> Result<(), BodyFault> {
        todo!()
    }

    /// Whether the body has ended.
    pub fn is_done(&self) -> bool {
        todo!()
    }
}
