//! Breaches of RFC 9113 for which the `h2` crate ends the connection too, but with another error code than the RFC's, or
//! which it lets pass. Told by the frames' headers, and by the entries of SETTINGS.

use h2::Reason;

use super::{
    DATA, END_STREAM, Frame, HEADERS, PING_FRAME, PRIORITY, PUSH_PROMISE, RST_STREAM, SETTINGS_FRAME,
    STREAM_BITS, WINDOW_UPDATE_FRAME,
};

/// What a client has broken, if anything; and what must be known of earlier frames to tell.
#[derive(Debug, Default)]
pub(super) struct Rules {
    fault: Option<Reason>,
    /// The highest stream that was opened.
    last_stream: u32,
    /// Which of the last 64 streams the client has ended, by `END_STREAM` or `RST_STREAM`; the lowest bit is `last_stream`.
    ended: u64,
    /// Whether the frame that is passing is SETTINGS, and the bytes of its entry that have come.
    is_in_settings: bool,
    entry: [u8; ENTRY],
    entry_length: u8,
}

impl Rules {
    /// The error code of the first breach.
    pub(super) fn fault(&self) -> Option<Reason> {
        self.fault
    }

    /// Looks at a frame's header.
    pub(super) fn judge(&mut self, frame: Frame) {
        self.is_in_settings = frame.kind == SETTINGS_FRAME;
        self.entry_length = 0;
        let fault = match frame.kind {
            DATA | HEADERS => self.judge_message(frame),
            RST_STREAM => {
                self.end(frame.stream);
                (frame.length != 4).then_some(Reason::FRAME_SIZE_ERROR)
            }
            PRIORITY => (frame.length != 5).then_some(Reason::FRAME_SIZE_ERROR),
            SETTINGS_FRAME => {
                let is_odd = !(frame.length as usize).is_multiple_of(ENTRY);
                let is_filled = frame.flags & ACK != 0 && frame.length != 0;
                (is_odd || is_filled).then_some(Reason::FRAME_SIZE_ERROR)
            }
            PING_FRAME => (frame.length != 8).then_some(Reason::FRAME_SIZE_ERROR),
            WINDOW_UPDATE_FRAME => (frame.length != 4).then_some(Reason::FRAME_SIZE_ERROR),
            // Section 8.4: a client cannot push.
            PUSH_PROMISE => Some(Reason::PROTOCOL_ERROR),
            _ => None,
        };
        self.fault = self.fault.or(fault);
    }

    /// Looks at the next bytes behind a header.
    pub(super) fn pass(&mut self, bytes: &[u8]) {
        if !self.is_in_settings {
            return;
        }
        for byte in bytes {
            self.entry[usize::from(self.entry_length)] = *byte;
            self.entry_length += 1;
            if usize::from(self.entry_length) == ENTRY {
                self.entry_length = 0;
                let [_, _, value @ ..] = self.entry;
                // Section 6.5.2.
                if self.entry.starts_with(&INITIAL_WINDOW_SIZE) && u32::from_be_bytes(value) > STREAM_BITS {
                    self.fault = self.fault.or(Some(Reason::FLOW_CONTROL_ERROR));
                }
            }
        }
    }

    /// Section 5.1: nothing of a message comes after its end, or after the client gave it up. Streams that the gateway has
    /// reset do not count: what was under way to them may still come.
    fn judge_message(&mut self, frame: Frame) -> Option<Reason> {
        if frame.kind == HEADERS && frame.stream > self.last_stream {
            // Those between are closed without having been opened; `h2` sees to that.
            let opened = (frame.stream - self.last_stream).div_ceil(2);
            self.ended = self.ended.checked_shl(opened).unwrap_or(0);
            self.last_stream = frame.stream;
        } else if self.ended & self.place(frame.stream) != 0 {
            return Some(Reason::STREAM_CLOSED);
        }
        if frame.flags & END_STREAM != 0 {
            self.end(frame.stream);
        }
        None
    }

    fn end(&mut self, stream: u32) {
        self.ended |= self.place(stream);
    }

    /// The bit of a stream; none for one that is not known, or no longer.
    fn place(&self, stream: u32) -> u64 {
        if stream == 0 || stream > self.last_stream {
            return 0;
        }
        1u64.checked_shl((self.last_stream - stream) / 2).unwrap_or(0)
    }
}

/// Bytes of an entry of SETTINGS: two name it, four are its value (section 6.5.1).
const ENTRY: usize = 6;
const INITIAL_WINDOW_SIZE: [u8; 2] = [0, 4];
/// The flag of SETTINGS that acknowledge others.
const ACK: u8 = 0x1;

#[cfg(test)]
mod tests {
    use super::super::PREFACE;
    use super::super::tests::{HEAD, frame};
    use super::*;
    use crate::accept::h2::Guard;
    use std::time::Instant;

    /// What a guard says of these frames, in pieces of that size.
    fn fault(frames: &[Vec<u8>], size: usize) -> Option<Reason> {
        let now = Instant::now();
        let mut guard = Guard::new(HEAD, now);
        for piece in [&PREFACE[..], &frames.concat()].concat().chunks(size) {
            assert_eq!(guard.watch(piece, now), Ok(()));
        }
        guard.fault()
    }

    const END_HEADERS: u8 = 4;

    fn open(stream: u32) -> Vec<u8> {
        frame(HEADERS, END_HEADERS, stream, b"\x82")
    }

    fn request(stream: u32) -> Vec<u8> {
        frame(HEADERS, END_HEADERS | END_STREAM, stream, b"\x82")
    }

    fn setting(name: u8, value: u32) -> Vec<u8> {
        [&[0, name][..], &value.to_be_bytes()].concat()
    }

    #[test]
    fn breaches_are_told_by_the_error_code_of_the_rfc() {
        let size = Some(Reason::FRAME_SIZE_ERROR);
        let closed = Some(Reason::STREAM_CLOSED);
        let cancel = |stream| frame(RST_STREAM, 0, stream, &[0, 0, 0, 8]);
        let data = |stream| frame(DATA, 0, stream, b"some data, long enough");
        let end = |stream| frame(DATA, END_STREAM, stream, b"");
        let many: Vec<_> = (0..64).map(|number| request(2 * number + 1)).collect();
        let more = |last: Vec<u8>| [&many[..], &[last]].concat();
        let cases = [
            (vec![frame(PING_FRAME, 0, 0, &[0; 7])], size),
            (vec![frame(PING_FRAME, 1, 0, &[0; 9])], size),
            (vec![open(1), frame(PRIORITY, 0, 1, &[0; 4])], size),
            (vec![open(1), frame(RST_STREAM, 0, 1, &[0; 3])], size),
            (vec![frame(WINDOW_UPDATE_FRAME, 0, 0, &[0; 3])], size),
            (vec![frame(SETTINGS_FRAME, 0, 0, &[0; 5])], size),
            (vec![frame(SETTINGS_FRAME, ACK, 0, &[0; 6])], size),
            (vec![frame(SETTINGS_FRAME, 0, 0, &setting(4, 1 << 31))], Some(Reason::FLOW_CONTROL_ERROR)),
            (vec![frame(SETTINGS_FRAME, 0, 0, &setting(4, u32::MAX >> 1))], None),
            (vec![frame(SETTINGS_FRAME, 0, 0, &setting(5, u32::MAX))], None),
            (
                vec![frame(SETTINGS_FRAME, 0, 0, &[setting(3, 9), setting(4, 1 << 31)].concat())],
                Some(Reason::FLOW_CONTROL_ERROR),
            ),
            (vec![frame(PUSH_PROMISE, END_HEADERS, 1, &[0; 9])], Some(Reason::PROTOCOL_ERROR)),
            (vec![request(1), request(1)], closed),
            (vec![request(1), data(1)], closed),
            (vec![frame(HEADERS, END_STREAM, 1, b"\x82"), data(1)], None),
            (vec![open(1), data(1), end(1), data(1)], closed),
            (vec![open(1), cancel(1), data(1)], closed),
            (vec![open(1), cancel(1), request(1)], closed),
            (vec![request(1), request(3), request(1)], closed),
            (vec![open(1), request(3), data(1), request(1)], None),
            (vec![request(1), cancel(1), cancel(1)], None),
            (vec![request(1), request(7), data(5)], None),
            (more(request(1)), closed),
            // What is longer ago is `h2`'s to tell.
            ([&more(request(129))[..], &[request(1)]].concat(), None),
            ([&many[..], &[request(u32::MAX >> 1), request(1)]].concat(), None),
        ];
        for (frames, expected) in cases {
            for size in [1, 7, usize::MAX] {
                assert_eq!(fault(&frames, size), expected, "{frames:?}");
            }
        }
    }
}
