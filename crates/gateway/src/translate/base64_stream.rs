//! Base64 that comes in pieces, with padding in the middle allowed: how bodies of gRPC-Web's text form are written, one
//! encoded piece behind the other (RFC 4648, section 4; gRPC-Web, "Protocol differences").

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Why bytes are not base64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Base64Fault {
    /// A byte that stands for nothing, or padding in the wrong place.
    #[error("a byte that is not base64")]
    Byte,
    /// The end in the middle of a group of four.
    #[error("base64 that ends in the middle of a group of four")]
    Truncated,
}

/// Decodes base64 whatever its pieces are. It holds at most three letters.
#[derive(Debug, Default)]
pub struct Base64Decoder {
    /// Bits of the group that has begun.
    bits: u32,
    /// Letters of it, padding included.
    letters: u8,
    /// Padding in it.
    padding: u8,
}

impl Base64Decoder {
    /// Appends the bytes that these letters, behind those before, stand for. After a fault the decoder is of no more use.
    pub fn push(&mut self, letters: &[u8], out: &mut Vec<u8>) -> Result<(), Base64Fault> {
        out.reserve(letters.len() / 4 * 3 + 3);
        for letter in letters {
            let value = VALUES[usize::from(*letter)];
            match (*letter, self.letters) {
                (b'=', 2 | 3) => self.padding += 1,
                _ if value < 64 && self.padding == 0 => {}
                _ => return Err(Base64Fault::Byte),
            }
            self.bits = self.bits << 6 | u32::from(value & 63);
            self.letters += 1;
            if self.letters == 4 {
                let bytes = self.bits.to_be_bytes();
                out.extend_from_slice(&bytes[1..4 - usize::from(self.padding)]);
                *self = Self::default();
            }
        }
        Ok(())
    }

    /// Whether what was pushed is whole.
    pub fn finish(&self) -> Result<(), Base64Fault> {
        if self.letters == 0 { Ok(()) } else { Err(Base64Fault::Truncated) }
    }
}

/// Appends bytes as base64 of their own, padded, so that nothing is held back for bytes that may never come.
pub fn encode(bytes: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + bytes.len().div_ceil(3) * 4, 0);
    // There is room for exactly this.
    let written = STANDARD.encode_slice(bytes, &mut out[start..]).unwrap_or_default();
    out.truncate(start + written);
}

/// What each letter stands for; 64 for nothing. Padding has no bits.
const VALUES: [u8; 256] = {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut values = [64; 256];
    let mut index = 0;
    while index < LETTERS.len() {
        values[LETTERS[index] as usize] = index as u8;
        index += 1;
    }
    values
};

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    fn decode(text: &[u8]) -> Result<Vec<u8>, Base64Fault> {
        let (mut decoder, mut out) = (Base64Decoder::default(), Vec::new());
        decoder.push(text, &mut out)?;
        decoder.finish()?;
        Ok(out)
    }

    #[test]
    fn padding_may_stand_in_the_middle_and_nothing_else_that_is_not_base64() {
        const CASES: [(&str, Result<&[u8], Base64Fault>); 15] = [
            ("", Ok(b"")),
            ("YWJj", Ok(b"abc")),
            ("YQ==", Ok(b"a")),
            ("YWI=", Ok(b"ab")),
            ("YQ==YWI=YWJj", Ok(b"aababc")),
            ("AAAAAAA=gAAA", Ok(b"\0\0\0\0\0\x80\0\0")),
            ("+/+/", Ok(b"\xfb\xff\xbf")),
            ("YQ=", Err(Base64Fault::Truncated)),
            ("YQ", Err(Base64Fault::Truncated)),
            ("Y===", Err(Base64Fault::Byte)),
            ("=", Err(Base64Fault::Byte)),
            ("YQ=a", Err(Base64Fault::Byte)),
            ("YWJj\r\n", Err(Base64Fault::Byte)),
            ("-_-_", Err(Base64Fault::Byte)),
            ("YWJj\0", Err(Base64Fault::Byte)),
        ];
        for (text, expected) in CASES {
            assert_eq!(decode(text.as_bytes()).as_deref(), expected.as_deref(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_was_encoded_in_any_pieces_is_decoded_in_any_pieces(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..8),
            size in 1..20_usize,
        ) {
            let mut text = Vec::new();
            for piece in &pieces {
                encode(piece, &mut text);
            }
            let (mut decoder, mut out) = (Base64Decoder::default(), Vec::new());
            for part in text.chunks(size) {
                decoder.push(part, &mut out).unwrap();
            }
            prop_assert_eq!(decoder.finish(), Ok(()));
            prop_assert_eq!(out, pieces.concat());
        }

        #[test]
        fn bytes_of_any_kind_are_judged_alike_in_any_pieces(
            text in "[ABz9+/=]{0,24}|.{0,8}",
            size in 1..5_usize,
        ) {
            let whole = decode(text.as_bytes());
            let (mut decoder, mut out) = (Base64Decoder::default(), Vec::new());
            let pushed = text.as_bytes().chunks(size).try_for_each(|part| decoder.push(part, &mut out));
            prop_assert_eq!(pushed.and_then(|()| decoder.finish()).map(|()| out), whole);
        }
    }
}
