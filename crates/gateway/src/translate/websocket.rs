//! WebSocket frames (RFC 6455, section 5.2), as far as a tunnel must know them: where one ends. Bytes are looked at as they pass
//! and never changed; messages are not read.

/// The length of the longest frame header.
const LONGEST_HEADER: usize = 14;
/// The opcode of a Close frame (section 5.5.1).
const CLOSE: u8 = 0x8;
/// The longest reason of a Close frame: the payload of control frames has at most 125 bytes, two of them the code.
const LONGEST_REASON: usize = 123;

/// "Going away": a server that goes down (section 7.4.1).
pub const GOING_AWAY: u16 = 1001;

/// Follows one direction of a WebSocket and knows at every byte whether a frame has just ended.
#[derive(Debug, Default, Clone)]
pub struct FrameTracker {
    header: [u8; LONGEST_HEADER],
    /// Bytes of a header that has begun; zero between frames and within a payload.
    held: usize,
    /// Bytes of the payload that are still to come.
    left: u64,
    is_close: bool,
    has_closed: bool,
    is_lost: bool,
}

impl FrameTracker {
    /// Whether a frame has just ended, or none has begun: another may be put here. Frames of a fragmented message may stand
    /// apart too, as control frames go between them (section 5.4).
    pub fn is_at_boundary(&self) -> bool {
        self.held == 0 && self.left == 0 && !self.is_lost
    }

    /// Whether a whole Close frame has passed: nothing may follow it (section 5.5.1).
    pub fn has_closed(&self) -> bool {
        self.has_closed
    }

    /// Takes note of bytes that pass.
    pub fn advance(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && !self.is_lost {
            let used = self.step(bytes);
            bytes = &bytes[used..];
        }
    }

    /// Takes note of bytes up to the next boundary, as many as there are; returns their number. Zero when it stands at one.
    pub fn advance_to_boundary(&mut self, bytes: &[u8]) -> usize {
        let mut used = 0;
        while used < bytes.len() && !self.is_at_boundary() {
            if self.is_lost {
                return bytes.len();
            }
            used += self.step(&bytes[used..]);
        }
        used
    }

    /// Uses some bytes, at least one and none beyond a frame's end.
    fn step(&mut self, bytes: &[u8]) -> usize {
        if self.left > 0 {
            let used = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
            self.left -= used as u64;
            self.has_closed |= self.left == 0 && self.is_close;
            return used;
        }
        let wanted = if self.held < 2 { 2 } else { header_length(self.header[1]) };
        let used = (wanted - self.held).min(bytes.len());
        self.header[self.held..self.held + used].copy_from_slice(&bytes[..used]);
        self.held += used;
        if self.held >= 2 && self.held == header_length(self.header[1]) {
            self.begin_payload();
        }
        used
    }

    fn begin_payload(&mut self) {
        let length = match self.header[1] & 0x7f {
            126 => u64::from(u16::from_be_bytes([self.header[2], self.header[3]])),
            127 => {
                let mut bytes = [0; 8];
                bytes.copy_from_slice(&self.header[2..10]);
                u64::from_be_bytes(bytes)
            }
            length => u64::from(length),
        };
        self.held = 0;
        self.is_close = self.header[0] & 0xf == CLOSE;
        self.left = length;
        // The most significant bit must be 0 (section 5.2). Whoever sets it speaks something else, and nothing is known any more.
        self.is_lost = length > i64::MAX as u64;
        self.has_closed |= length == 0 && self.is_close;
    }
}

/// The length of a frame's header, by its second byte.
fn header_length(second: u8) -> usize {
    let length = match second & 0x7f {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let mask = if second & 0x80 == 0 { 0 } else { 4 };
    2 + length + mask
}

/// Appends a Close frame with a code and a reason, of which no more than 123 bytes are used; masked with the key where a client sends it
/// (section 5.3).
pub fn write_close(code: u16, reason: &'static str, mask: Option<[u8; 4]>, out: &mut Vec<u8>) {
    let reason = &reason.as_bytes()[..reason.len().min(LONGEST_REASON)];
    let length = 2 + reason.len() as u8;
    out.extend_from_slice(&[0x80 | CLOSE, length | if mask.is_some() { 0x80 } else { 0 }]);
    out.extend(mask.into_iter().flatten());
    let key = mask.unwrap_or_default();
    let payload = code.to_be_bytes().into_iter().chain(reason.iter().copied());
    out.extend(payload.zip(key.into_iter().cycle()).map(|(byte, key)| byte ^ key));
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    /// One frame as its sender writes it.
    #[derive(Debug, Clone)]
    struct Frame {
        first: u8,
        length: usize,
        /// Bytes in which the length is written: 0, 2 or 8, more than needed allowed here.
        width: usize,
        mask: Option<[u8; 4]>,
    }

    impl Frame {
        fn bytes(&self) -> Vec<u8> {
            let mask = if self.mask.is_some() { 0x80 } else { 0 };
            let mut bytes = vec![self.first];
            match self.width {
                0 => bytes.push(mask | self.length as u8),
                2 => {
                    bytes.push(mask | 0x7e);
                    bytes.extend((self.length as u16).to_be_bytes());
                }
                _ => {
                    bytes.push(mask | 0x7f);
                    bytes.extend((self.length as u64).to_be_bytes());
                }
            }
            bytes.extend(self.mask.into_iter().flatten());
            bytes.extend(std::iter::repeat_n(0x88, self.length));
            bytes
        }
    }

    fn any_frame() -> impl Strategy<Value = Frame> {
        let length = prop_oneof![Just(0), 1..126_usize, 126..400_usize];
        (any::<u8>(), length, 0..3_usize, any::<Option<[u8; 4]>>()).prop_map(
            |(first, length, width, mask)| {
                let width = if length < 126 { [0, 2, 8][width] } else { [2, 2, 8][width] };
                Frame { first, length, width, mask }
            },
        )
    }

    #[test]
    fn a_close_frame_is_written_as_the_rfc_says() {
        let mut out = Vec::new();
        write_close(GOING_AWAY, "", None, &mut out);
        assert_eq!(out, [0x88, 2, 0x03, 0xe9]);
        out.clear();
        write_close(GOING_AWAY, "drain", Some([1, 2, 3, 4]), &mut out);
        let payload = [0x03 ^ 1, 0xe9 ^ 2, b'd' ^ 3, b'r' ^ 4, b'a' ^ 1, b'i' ^ 2, b'n' ^ 3];
        assert_eq!(out, [&[0x88, 0x87, 1, 2, 3, 4], &payload[..]].concat());
        let mut tracker = FrameTracker::default();
        tracker.advance(&out[..12]);
        assert!(!tracker.has_closed());
        tracker.advance(&out[12..]);
        assert!(tracker.has_closed() && tracker.is_at_boundary());
    }

    #[test]
    fn an_impossible_length_leaves_no_boundary_to_be_found() {
        let mut tracker = FrameTracker::default();
        tracker.advance(&[0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 1]);
        assert!(!tracker.is_at_boundary());
        tracker.advance(&[0; 100]);
        assert!(!tracker.is_at_boundary());
        assert_eq!(tracker.advance_to_boundary(&[0x88, 0]), 2);
    }

    #[test]
    fn the_largest_length_is_counted_without_an_overflow() {
        let mut tracker = FrameTracker::default();
        tracker.advance(&[0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
        tracker.advance(&[0; 1000]);
        assert_eq!(tracker.left, i64::MAX as u64 - 1000);
        assert!(!tracker.is_at_boundary());
    }

    proptest! {
        #[test]
        fn boundaries_are_found_whatever_the_pieces(
            frames in prop::collection::vec(any_frame(), 0..6),
            cuts in prop::collection::vec(1..50_usize, 1..20),
        ) {
            let bytes: Vec<u8> = frames.iter().flat_map(Frame::bytes).collect();
            let mut ends: Vec<usize> = vec![0];
            ends.extend(frames.iter().scan(0, |end, frame| { *end += frame.bytes().len(); Some(*end) }));
            let close = frames.iter().position(|frame| frame.first & 0xf == CLOSE).map(|at| ends[at + 1]);
            let mut tracker = FrameTracker::default();
            let mut at = 0;
            for cut in cuts.iter().cycle() {
                prop_assert_eq!(tracker.is_at_boundary(), ends.contains(&at), "at {}", at);
                prop_assert_eq!(tracker.has_closed(), close.is_some_and(|close| at >= close));
                if at == bytes.len() {
                    break;
                }
                let end = (at + cut).min(bytes.len());
                tracker.advance(&bytes[at..end]);
                at = end;
            }
        }

        #[test]
        fn it_stops_at_the_next_boundary(frames in prop::collection::vec(any_frame(), 1..4), start in 1..600_usize) {
            let bytes: Vec<u8> = frames.iter().flat_map(Frame::bytes).collect();
            let start = start.min(bytes.len());
            let mut tracker = FrameTracker::default();
            tracker.advance(&bytes[..start]);
            let used = tracker.advance_to_boundary(&bytes[start..]);
            let mut end = 0;
            let next = frames.iter().map(|frame| { end += frame.bytes().len(); end }).find(|end| *end >= start);
            prop_assert_eq!(start + used, next.unwrap());
            prop_assert!(tracker.is_at_boundary());
        }
    }
}
