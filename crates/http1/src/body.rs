//! Finds the pieces of a body in the bytes of a connection, whatever its framing.
//!
//! Nothing is copied but trailers. The work is proportional to the bytes, however small the chunks are.

use crate::fields::{is_token_byte, trim};
use crate::{BodyFault, Fields, Framing, Known, is_field_value, is_token};

/// The most bytes that the chunk extensions of one body may take: nothing here reads them.
pub const LARGEST_EXTENSIONS: usize = 16 * 1024;

/// The most bytes that the trailers of one body may take.
pub const LARGEST_TRAILERS: usize = 8 * 1024;

/// The most trailers of one body.
pub const MOST_TRAILERS: usize = 64;

/// The most hexadecimal digits of a chunk's size: those of 64 bits.
const MOST_DIGITS: u8 = 16;

/// Reads one body. Feed it what the connection holds; it says which part is data.
#[derive(Debug)]
pub struct BodyDecoder {
    state: State,
    /// Bytes of chunk extensions so far.
    extensions: usize,
    /// Bytes of trailers so far.
    trailer_bytes: usize,
    /// Trailers so far, dropped ones included.
    trailer_count: usize,
    /// The beginning of a trailer line whose end has not come.
    line: Vec<u8>,
}

/// What the decoder found at the beginning of its input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece {
    /// `input[skip..skip + length]` is data (length > 0); `skip` bytes before it were framing. Both are
    /// consumed.
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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Done,
    UntilClose,
    /// Bytes of `Content-Length` left, over zero.
    Length(u64),
    /// In a chunk's size, of which so many digits have come.
    Size {
        value: u64,
        digits: u8,
    },
    Extension {
        size: u64,
        part: Part,
    },
    /// The LF after a chunk's size.
    SizeEnd {
        size: u64,
    },
    /// Bytes of the chunk's data left, over zero.
    Data(u64),
    /// The CR after a chunk's data.
    DataEnd,
    /// The LF after that.
    DataEndLf,
    /// Within the trailer lines.
    Trailers,
}

/// A place in `;name`, `;name=token` or `;name="quoted"` (RFC 9112, section 7.1.1). The white space that the
/// grammar calls bad is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    NameStart,
    Name,
    ValueStart,
    Value,
    Quoted,
    Escaped,
    QuotedEnd,
}

impl BodyDecoder {
    /// A decoder for one body.
    pub fn new(framing: Framing) -> Self {
        let state = match framing {
            Framing::None | Framing::Length(0) => State::Done,
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::CHUNK,
            Framing::UntilClose => State::UntilClose,
        };
        Self { state, extensions: 0, trailer_bytes: 0, trailer_count: 0, line: Vec::new() }
    }

    /// Finds the next piece. Trailers of a chunked body are appended to `trailers` (bounded, forbidden ones
    /// such as `Content-Length` dropped) before `End` is returned.
    ///
    /// With `More`, `consumed` is always all of the input. After a fault the decoder is of no more use.
    pub fn decode(&mut self, input: &[u8], trailers: &mut Fields) -> Result<Piece, BodyFault> {
        match self.state {
            State::Done => Ok(Piece::End { consumed: 0 }),
            _ if input.is_empty() => Ok(Piece::More { consumed: 0 }),
            State::UntilClose => Ok(Piece::Data { skip: 0, length: input.len() }),
            State::Length(left) => {
                let length = at_most(left, input.len());
                self.state = match left - length as u64 {
                    0 => State::Done,
                    left => State::Length(left),
                };
                Ok(Piece::Data { skip: 0, length })
            }
            _ => self.decode_chunked(input, trailers),
        }
    }

    /// The connection ended: says whether the body is whole (`UntilClose` is).
    pub fn finish(&mut self) -> Result<(), BodyFault> {
        if !matches!(self.state, State::Done | State::UntilClose) {
            return Err(BodyFault::Incomplete);
        }
        self.state = State::Done;
        Ok(())
    }

    /// Whether the body has ended.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    fn decode_chunked(&mut self, input: &[u8], trailers: &mut Fields) -> Result<Piece, BodyFault> {
        let mut position = 0;
        while let Some(&byte) = input.get(position) {
            self.state = match self.state {
                State::Data(left) => {
                    let length = at_most(left, input.len() - position);
                    self.state = match left - length as u64 {
                        0 => State::DataEnd,
                        left => State::Data(left),
                    };
                    return Ok(Piece::Data { skip: position, length });
                }
                State::Trailers => {
                    let consumed = self.read_trailers(&input[position..], trailers)?;
                    position += consumed;
                    return Ok(match self.state {
                        State::Done => Piece::End { consumed: position },
                        _ => Piece::More { consumed: position },
                    });
                }
                State::Size { value, digits } => match (byte as char).to_digit(16) {
                    Some(digit) if digits < MOST_DIGITS => {
                        State::Size { value: value << 4 | u64::from(digit), digits: digits + 1 }
                    }
                    None if digits > 0 => match byte {
                        b'\r' => State::SizeEnd { size: value },
                        b';' => State::Extension { size: value, part: Part::NameStart },
                        _ => return Err(BodyFault::ChunkSize),
                    },
                    _ => return Err(BodyFault::ChunkSize),
                },
                State::Extension { size, part } => {
                    self.extensions += 1;
                    if self.extensions > LARGEST_EXTENSIONS {
                        return Err(BodyFault::ChunkExtensionsTooLarge);
                    }
                    match part.next(byte).ok_or(BodyFault::ChunkExtension)? {
                        Some(part) => State::Extension { size, part },
                        None => State::SizeEnd { size },
                    }
                }
                State::SizeEnd { size } => match (byte, size) {
                    (b'\n', 0) => State::Trailers,
                    (b'\n', size) => State::Data(size),
                    _ => return Err(BodyFault::ChunkEnd),
                },
                State::DataEnd if byte == b'\r' => State::DataEndLf,
                State::DataEndLf if byte == b'\n' => State::CHUNK,
                _ => return Err(BodyFault::ChunkEnd),
            };
            position += 1;
        }
        Ok(Piece::More { consumed: position })
    }

    /// Reads trailer lines until the empty one; returns the bytes used.
    fn read_trailers(&mut self, input: &[u8], trailers: &mut Fields) -> Result<usize, BodyFault> {
        let mut position = 0;
        while position < input.len() {
            let rest = &input[position..];
            let end = memchr::memchr(b'\n', rest).map(|at| at + 1);
            let part = &rest[..end.unwrap_or(rest.len())];
            position += part.len();
            self.trailer_bytes += part.len();
            if self.trailer_bytes > LARGEST_TRAILERS {
                return Err(BodyFault::TrailersTooLarge);
            }
            if end.is_none() {
                self.line.extend_from_slice(part);
                // Said at once, so that nobody waits for the rest of a line that cannot be right.
                let held = self.line.strip_suffix(b"\r").unwrap_or(&self.line);
                return if is_field_value(held) { Ok(position) } else { Err(BodyFault::Trailer) };
            }
            let whole = if self.line.is_empty() {
                read_trailer(part, trailers)
            } else {
                self.line.extend_from_slice(part);
                read_trailer(&self.line, trailers)
            };
            self.line.clear();
            if whole? {
                self.state = State::Done;
                return Ok(position);
            }
            self.trailer_count += 1;
            if self.trailer_count > MOST_TRAILERS {
                return Err(BodyFault::TrailersTooLarge);
            }
        }
        Ok(position)
    }
}

impl State {
    /// At the beginning of a chunk.
    const CHUNK: Self = Self::Size { value: 0, digits: 0 };
}

impl Part {
    /// The place after `byte`; inner `None` when it was the CR that ends the line.
    #[allow(clippy::option_option)] // outer: is it allowed; inner: does it go on
    fn next(self, byte: u8) -> Option<Option<Self>> {
        let next = match (self, byte) {
            (Self::NameStart | Self::Name, _) if is_token_byte(byte) => Self::Name,
            (Self::ValueStart | Self::Value, _) if is_token_byte(byte) => Self::Value,
            (Self::Name, b'=') => Self::ValueStart,
            (Self::Quoted, b'"') => Self::QuotedEnd,
            (Self::Quoted, b'\\') => Self::Escaped,
            (Self::ValueStart, b'"') | (Self::Quoted | Self::Escaped, b'\t' | b' '..=b'~' | 0x80..) => {
                Self::Quoted
            }
            (Self::Name | Self::Value | Self::QuotedEnd, b';') => Self::NameStart,
            (Self::Name | Self::Value | Self::QuotedEnd, b'\r') => return Some(None),
            _ => return None,
        };
        Some(Some(next))
    }
}

/// Reads one trailer line, its LF included; says whether it was the empty one.
fn read_trailer(line: &[u8], trailers: &mut Fields) -> Result<bool, BodyFault> {
    let line = line.strip_suffix(b"\r\n").ok_or(BodyFault::Trailer)?;
    if line.is_empty() {
        return Ok(true);
    }
    let colon = memchr::memchr(b':', line).ok_or(BodyFault::Trailer)?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    if !is_token(name) || !is_field_value(value) {
        return Err(BodyFault::Trailer);
    }
    if may_trail(name) {
        trailers.append_named(name, trim(value));
    }
    Ok(false)
}

/// Whether a field may come after the body (RFC 9110, section 6.5.1). What the gateway acts on was decided
/// before the body came, so a late one would pass unseen by policies; so would what frames, routes or
/// conditions a message.
pub(crate) fn may_trail(name: &[u8]) -> bool {
    const FORBIDDEN: [&[u8]; 8] = [
        b"content-range",
        b"http2-settings",
        b"if-match",
        b"if-range",
        b"if-unmodified-since",
        b"max-forwards",
        b"pragma",
        b"authentication-info",
    ];
    match Known::of(name) {
        Some(known) => known == Known::ETag,
        None => {
            Known::resembling(name).is_none()
                && !FORBIDDEN.iter().any(|forbidden| name.eq_ignore_ascii_case(forbidden))
        }
    }
}

/// The smaller of what is left and what is there.
fn at_most(left: u64, there: usize) -> usize {
    usize::try_from(left).map_or(there, |left| left.min(there))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What a whole body decodes to: its data, its trailers, and the bytes after it.
    type Decoded = Result<(Vec<u8>, Vec<(Vec<u8>, Vec<u8>)>, usize), BodyFault>;

    /// Decodes a body that comes in parts of these sizes (the last one again and again).
    fn decode(framing: Framing, bytes: &[u8], sizes: &[usize]) -> Decoded {
        let mut decoder = BodyDecoder::new(framing);
        let (mut data, mut trailers) = (Vec::new(), Fields::new());
        let (mut start, mut end, mut turn) = (0, 0, 0);
        loop {
            match decoder.decode(&bytes[start..end], &mut trailers)? {
                Piece::Data { skip, length } => {
                    assert!(length > 0);
                    data.extend_from_slice(&bytes[start + skip..start + skip + length]);
                    start += skip + length;
                }
                Piece::End { consumed } => {
                    assert!(decoder.is_done());
                    start += consumed;
                    break;
                }
                Piece::More { consumed } => {
                    start += consumed;
                    assert_eq!(start, end, "nothing is left for later");
                    if end == bytes.len() {
                        decoder.finish()?;
                        break;
                    }
                    end = (end + sizes[turn.min(sizes.len() - 1)]).min(bytes.len());
                    turn += 1;
                }
            }
        }
        let trailers = trailers.iter().map(|field| (field.name.to_vec(), field.value.to_vec())).collect();
        Ok((data, trailers, bytes.len() - start))
    }

    fn chunked(bytes: &[u8]) -> Decoded {
        let at_once = decode(Framing::Chunked, bytes, &[bytes.len().max(1)]);
        assert_eq!(decode(Framing::Chunked, bytes, &[1]), at_once, "byte by byte");
        at_once
    }

    #[test]
    fn bodies_of_every_framing_end_where_they_should() {
        const CASES: &[(Framing, &[u8], &[u8], usize)] = &[
            (Framing::None, b"next", b"", 4),
            (Framing::Length(0), b"next", b"", 4),
            (Framing::Length(3), b"abcnext", b"abc", 4),
            (Framing::UntilClose, b"abc", b"abc", 0),
            (Framing::Chunked, b"3\r\nabc\r\n0\r\n\r\nnext", b"abc", 4),
            (Framing::Chunked, b"0\r\n\r\nnext", b"", 4),
            (Framing::Chunked, b"000\r\n\r\n", b"", 0),
            (Framing::Chunked, b"000000000000000A\r\n0123456789\r\n0\r\n\r\n", b"0123456789", 0),
            (Framing::Chunked, b"1;a\r\nx\r\n1;a=b;c=\"d\\\"; e\"\r\ny\r\n0;z\r\n\r\n", b"xy", 0),
        ];
        for (framing, bytes, data, left) in CASES {
            for size in [1, 2, 3, 100] {
                let decoded = decode(*framing, bytes, &[size]).unwrap();
                assert_eq!(decoded, (data.to_vec(), vec![], *left), "{framing:?} by {size}");
            }
        }
    }

    #[test]
    fn malformed_chunks_are_refused() {
        use BodyFault::{ChunkEnd, ChunkExtension, ChunkSize, Incomplete, Trailer};
        const CASES: &[(&[u8], BodyFault)] = &[
            (b"\r\n", ChunkSize),
            (b"g\r\n", ChunkSize),
            (b"-1\r\n", ChunkSize),
            (b"+1\r\n", ChunkSize),
            (b"0x1\r\n", ChunkSize),
            (b" 1\r\na\r\n", ChunkSize),
            (b"1 \r\na\r\n", ChunkSize),
            (b"1\t\r\na\r\n", ChunkSize),
            (b"1 ;a\r\na\r\n", ChunkSize),
            (b"1\0\r\na\r\n", ChunkSize),
            (b"1_0\r\n", ChunkSize),
            (b"1,1\r\n", ChunkSize),
            (b"\xef\xbc\x91\r\n", ChunkSize),
            (b"11111111111111111\r\n", ChunkSize),
            (b"00000000000000001\r\n", ChunkSize),
            (b"1\n", ChunkSize),
            (b"1\ra\r\n", ChunkEnd),
            (b"1\r\r\n", ChunkEnd),
            (b"1\r\nab\r\n", ChunkEnd),
            (b"1\r\na\n", ChunkEnd),
            (b"1\r\na\rb", ChunkEnd),
            (b"1\r\na1\r\n", ChunkEnd),
            (b"2\r\na\r\n0\r\n\r\n", ChunkEnd),
            (b"1;\r\na", ChunkExtension),
            (b"1;a=\r\n", ChunkExtension),
            (b"1; a\r\n", ChunkExtension),
            (b"1;a =b\r\n", ChunkExtension),
            (b"1;a\n", ChunkExtension),
            (b"1;a=\"\r\n", ChunkExtension),
            (b"1;a=\"b\"c\r\n", ChunkExtension),
            (b"1;a=\"\\\r\n", ChunkExtension),
            (b"1;a\0\r\n", ChunkExtension),
            (b"0\r\n\n", Trailer),
            (b"0\r\na\r\n\r\n", Trailer),
            (b"0\r\na: b\n\r\n", Trailer),
            (b"0\r\na : b\r\n\r\n", Trailer),
            (b"0\r\n a: b\r\n\r\n", Trailer),
            (b"0\r\n: b\r\n\r\n", Trailer),
            (b"0\r\na: b\rc\r\n\r\n", Trailer),
            (b"0\r\na: \0\r\n\r\n", Trailer),
            (b"0\r\nGET / HTTP/1.1\r\nhost:a\r\n\r\n", Trailer),
            (b"", Incomplete),
            (b"3", Incomplete),
            (b"3\r\nab", Incomplete),
            (b"3\r\nabc\r\n", Incomplete),
            (b"0\r\n", Incomplete),
            (b"0\r\n\r", Incomplete),
        ];
        for (bytes, fault) in CASES {
            assert_eq!(chunked(bytes), Err(*fault), "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn a_body_cut_short_is_incomplete() {
        assert_eq!(decode(Framing::Length(4), b"abc", &[3]), Err(BodyFault::Incomplete));
    }

    #[test]
    fn trailers_are_kept_but_for_those_that_must_come_first() {
        let body = b"0\r\nServer-Timing: a;dur=1\r\nContent-Length: 5\r\nhost: evil\r\nTRANSFER-ENCODING: chunked\r\n\
            x-forwarded-for: 1.2.3.4\r\nx_real_ip: 1.2.3.4\r\nAuthorization: b\r\nif-match: c\r\nETag:\t\"d\" \r\ngrpc-status:0\r\n\r\nnext";
        let expected = [("Server-Timing", "a;dur=1"), ("ETag", "\"d\""), ("grpc-status", "0")];
        let expected = expected.map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()));
        assert_eq!(chunked(body), Ok((vec![], expected.to_vec(), 4)));
    }

    #[test]
    fn extensions_and_trailers_are_bounded() {
        let chunk = format!("1;{}\r\nx\r\n", "a".repeat(1000));
        let body = chunk.repeat(LARGEST_EXTENSIONS / 1000 + 1);
        assert_eq!(chunked(body.as_bytes()), Err(BodyFault::ChunkExtensionsTooLarge));
        let body = format!("0\r\na: {}", "b".repeat(LARGEST_TRAILERS));
        assert_eq!(chunked(body.as_bytes()), Err(BodyFault::TrailersTooLarge));
        let body = format!("0\r\n{}", "host: b\r\n".repeat(MOST_TRAILERS + 1));
        assert_eq!(chunked(body.as_bytes()), Err(BodyFault::TrailersTooLarge));
    }

    #[test]
    fn chunks_without_extensions_may_be_as_many_as_they_are() {
        let body = format!("{}0\r\n\r\n", "1\r\nx\r\n".repeat(50_000));
        assert_eq!(decode(Framing::Chunked, body.as_bytes(), &[4096]).unwrap().0.len(), 50_000);
    }

    proptest! {
        #[test]
        fn any_split_of_the_bytes_decodes_the_same(
            body in prop::collection::vec(
                prop_oneof![
                    Just(b"3\r\nabc\r\n".to_vec()), Just(b"1;a=b\r\nx\r\n".to_vec()), Just(b"0\r\n".to_vec()),
                    Just(b"a: b\r\n".to_vec()), Just(b"\r\n".to_vec()), prop::collection::vec(any::<u8>(), 0..4),
                ],
                0..8,
            ),
            sizes in prop::collection::vec(1..9usize, 1..12),
        ) {
            let body = body.concat();
            prop_assert_eq!(decode(Framing::Chunked, &body, &sizes), decode(Framing::Chunked, &body, &[1000]));
        }

        #[test]
        fn what_is_encoded_decodes_to_itself(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..300), 0..6),
            value in "[ -~]{0,20}",
            sizes in prop::collection::vec(1..99usize, 1..6),
        ) {
            let mut trailers = Fields::new();
            trailers.append_named(b"x-sum", value.as_bytes());
            let mut wire = Vec::new();
            for chunk in &chunks {
                crate::encode_chunk_head(&mut wire, chunk.len());
                wire.extend_from_slice(chunk);
                wire.extend_from_slice(b"\r\n");
            }
            crate::encode_last_chunk(&mut wire, &trailers);
            let trailers = vec![(b"x-sum".to_vec(), value.trim_matches(' ').as_bytes().to_vec())];
            prop_assert_eq!(decode(Framing::Chunked, &wire, &sizes), Ok((chunks.concat(), trailers, 0)));
        }
    }
}
