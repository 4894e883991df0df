//! Watches what a client sends on an HTTP/2 connection, frame by frame, and tells floods from use.
//!
//! The `h2` crate bounds memory, but answers pings, takes settings and resets for as long as they come. The guard sees every
//! byte before `h2` does and keeps budgets of frames that are no work. It reads frame headers (RFC 9113, section 4.1) and up
//! to four bytes behind them, never a head or a body, holds at most 13 bytes and allocates nothing.

use std::time::Instant;

use super::attack::{Attack, LONGEST_DEBUG_DATA};
use super::budget::{
    Budget, CRUMB, EMPTY_DATA, LARGEST_BLOCK, MOST_CONTINUATIONS, PING, PINGS, PRIORITIES,
    PRIORITIES_A_STREAM, RESETS, SETTINGS, SETTINGS_ENTRIES, STRAYS, TICK, TINY, TINY_DATA, UNSERVED,
    WINDOW_CRUMB, WINDOW_UPDATE, WINDOW_UPDATES,
};

/// Watches one connection. One instance sees all bytes from the client preface on.
///
/// Whoever reads the socket shows it the bytes before `h2` gets them, and stops reading at an [`Attack`]; the connection is
/// then ended with `GOAWAY ENHANCE_YOUR_CALM` (`Connection::abrupt_shutdown`).
#[derive(Debug)]
pub struct Guard {
    /// Bytes of the client preface that have come; [`FOREIGN`] when something else came.
    preface: u8,
    /// Bytes of the current frame that are passed over.
    skip: u32,
    /// A frame's header that came in pieces.
    held: [u8; HEADER + LONGEST_PEEK],
    held_length: u8,
    /// The head that has begun and not ended.
    block: Option<Block>,
    /// The highest stream that was opened.
    last_stream: u32,
    /// Bytes of a packed head that are no answer to but the end.
    largest_block: u32,
    /// The end of what was written to the client.
    written: [u8; LONGEST_DEBUG_DATA],
    refilled: Instant,
    attack: Option<Attack>,
    resets: Budget,
    unserved: Budget,
    settings: Budget,
    pings: Budget,
    priorities: Budget,
    window_updates: Budget,
    empty_data: Budget,
    tiny_data: Budget,
    strays: Budget,
}

/// A head of which HEADERS has come and `END_HEADERS` has not.
#[derive(Debug)]
struct Block {
    bytes: u32,
    continuations: u32,
}

/// A frame's header.
#[derive(Debug, Clone, Copy)]
struct Frame {
    length: u32,
    kind: u8,
    flags: u8,
    stream: u32,
}

impl Guard {
    /// A guard for a connection that begins now. `largest_head` is the limit for heads that was told to `h2`, in bytes.
    pub fn new(largest_head: usize, now: Instant) -> Self {
        let largest_head = u32::try_from(largest_head).unwrap_or(u32::MAX);
        Self {
            preface: 0,
            skip: 0,
            held: [0; HEADER + LONGEST_PEEK],
            held_length: 0,
            block: None,
            last_stream: 0,
            largest_block: largest_head.saturating_mul(LARGEST_BLOCK),
            written: [0; LONGEST_DEBUG_DATA],
            refilled: now,
            attack: None,
            resets: Budget::default(),
            unserved: Budget::default(),
            settings: Budget::default(),
            pings: Budget::default(),
            priorities: Budget::default(),
            window_updates: Budget::default(),
            empty_data: Budget::default(),
            tiny_data: Budget::default(),
            strays: Budget::default(),
        }
    }

    /// Looks at the next bytes that the client sent, in pieces of any size. After an attack there is nothing more to see: it
    /// is told again.
    pub fn watch(&mut self, bytes: &[u8], now: Instant) -> Result<(), Attack> {
        if let Some(attack) = self.attack {
            return Err(attack);
        }
        self.refill(now);
        self.read(bytes).inspect_err(|attack| self.attack = Some(*attack))
    }

    /// A stream has been answered, with whatever status: what the client opened was work.
    pub fn served(&mut self) {
        self.unserved.refund(1);
        self.resets.refund(1);
    }

    /// The attack that was seen.
    pub fn attack(&self) -> Option<Attack> {
        self.attack
    }

    /// These bytes have been written to the client, which may have grants of window and pings to show for them.
    pub fn wrote(&mut self, bytes: &[u8]) {
        let units = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        self.pings.refund(units);
        self.window_updates.refund(units);
        self.tiny_data.refund(units);
        let end = &bytes[bytes.len().saturating_sub(LONGEST_DEBUG_DATA)..];
        self.written.copy_within(end.len().., 0);
        self.written[LONGEST_DEBUG_DATA - end.len()..].copy_from_slice(end);
    }

    /// The attack for which a connection ended with this error: one that was seen here, or by `h2` itself.
    pub fn blame(&self, error: &h2::Error) -> Option<Attack> {
        self.attack.or_else(|| Attack::of_error(error, &self.written))
    }

    fn refill(&mut self, now: Instant) {
        let since = now.saturating_duration_since(self.refilled);
        if since < TICK {
            return;
        }
        // An hour is more than any budget takes to fill.
        let ticks = u32::try_from(since.as_millis() / TICK.as_millis()).unwrap_or(u32::MAX).min(36_000);
        self.refilled = if ticks == 36_000 { now } else { self.refilled + TICK * ticks };
        for (budget, terms) in [
            (&mut self.resets, &RESETS),
            (&mut self.unserved, &UNSERVED),
            (&mut self.settings, &SETTINGS),
            (&mut self.pings, &PINGS),
            (&mut self.priorities, &PRIORITIES),
            (&mut self.window_updates, &WINDOW_UPDATES),
            (&mut self.empty_data, &EMPTY_DATA),
            (&mut self.tiny_data, &TINY_DATA),
            (&mut self.strays, &STRAYS),
        ] {
            budget.refill(ticks, terms);
        }
    }

    fn read(&mut self, bytes: &[u8]) -> Result<(), Attack> {
        let mut rest = self.read_preface(bytes);
        loop {
            let skipped = rest.len().min(self.skip as usize);
            rest = &rest[skipped..];
            self.skip -= skipped as u32;
            if rest.is_empty() {
                return Ok(());
            }
            // Nearly every header lies in the piece as a whole.
            if self.held_length == 0
                && let Some(header) = rest.first_chunk::<HEADER>()
            {
                let frame = Frame::of(*header);
                let payload = &rest[HEADER..];
                if let Some(peeked) = payload.get(..frame.peek()) {
                    self.judge(frame, peeked)?;
                    self.skip = frame.length;
                    rest = payload;
                    continue;
                }
            }
            rest = self.hold(rest)?;
        }
    }

    /// What is left after the client preface. After anything else nothing is looked at: `h2` refuses the connection.
    fn read_preface<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        if self.preface == FOREIGN {
            return &[];
        }
        let missing = &PREFACE[usize::from(self.preface)..];
        let length = missing.len().min(bytes.len());
        if bytes[..length] != missing[..length] {
            self.preface = FOREIGN;
            return &[];
        }
        self.preface += length as u8;
        &bytes[length..]
    }

    /// Takes bytes of a header that comes in pieces; judges the frame when it is whole. Returns what it did not take.
    fn hold<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], Attack> {
        let mut rest = bytes;
        loop {
            let held = usize::from(self.held_length);
            let frame = self.held.first_chunk::<HEADER>().map(|header| Frame::of(*header));
            // Until the header is whole, what it says is not to be believed.
            let frame = frame.filter(|_| held >= HEADER);
            let wanted = HEADER + frame.map_or(0, Frame::peek);
            if let Some(frame) = frame
                && held == wanted
            {
                self.held_length = 0;
                self.skip = frame.length - (wanted - HEADER) as u32;
                let held = self.held;
                self.judge(frame, &held[HEADER..wanted])?;
                return Ok(rest);
            }
            if rest.is_empty() {
                return Ok(rest);
            }
            let taken = rest.len().min(wanted - held);
            self.held[held..held + taken].copy_from_slice(&rest[..taken]);
            self.held_length += taken as u8;
            rest = &rest[taken..];
        }
    }

    /// Charges a frame to its budget. `peeked` are the bytes that [`Frame::peek`] asked for.
    fn judge(&mut self, frame: Frame, peeked: &[u8]) -> Result<(), Attack> {
        match frame.kind {
            DATA => self.judge_data(frame, peeked),
            HEADERS => self.judge_headers(frame),
            CONTINUATION => self.judge_continuation(frame),
            RST_STREAM => self.resets.spend(1, &RESETS),
            SETTINGS_FRAME => self.settings.spend(1 + frame.length / SETTINGS_ENTRIES, &SETTINGS),
            PING_FRAME => self.pings.spend(PING, &PINGS),
            PRIORITY | PRIORITY_UPDATE => self.priorities.spend(1, &PRIORITIES),
            WINDOW_UPDATE_FRAME => {
                let increment = peeked.iter().fold(0, |number, byte| number << 8 | u32::from(*byte));
                let units = if increment & STREAM_BITS < CRUMB { WINDOW_CRUMB } else { WINDOW_UPDATE };
                self.window_updates.spend(units, &WINDOW_UPDATES)
            }
            _ => self.strays.spend(1, &STRAYS),
        }
    }

    fn judge_data(&mut self, frame: Frame, peeked: &[u8]) -> Result<(), Attack> {
        let padding = peeked.first().map_or(0, |padding| 1 + u32::from(*padding));
        let size = frame.length.saturating_sub(padding);
        // Without data a frame may still end its stream.
        if size == 0 && frame.flags & END_STREAM == 0 {
            return self.empty_data.spend(1, &EMPTY_DATA);
        }
        if size < CRUMB {
            return self.tiny_data.spend(TINY, &TINY_DATA);
        }
        self.tiny_data.refund(size);
        self.strays.refund(1);
        Ok(())
    }

    fn judge_headers(&mut self, frame: Frame) -> Result<(), Attack> {
        // Not those of an open stream, which are trailers and end it. Numbers only grow (RFC 9113, section 5.1.1).
        if frame.stream > self.last_stream {
            self.last_stream = frame.stream;
            self.unserved.spend(1, &UNSERVED)?;
            self.priorities.refund(PRIORITIES_A_STREAM);
            self.strays.refund(1);
        }
        self.grow_block(Block { bytes: frame.length, continuations: 0 }, frame)
    }

    fn judge_continuation(&mut self, frame: Frame) -> Result<(), Attack> {
        // Without a head before it, `h2` ends the connection.
        let Some(block) = self.block.take() else {
            return Ok(());
        };
        let bytes = block.bytes.saturating_add(frame.length);
        self.grow_block(Block { bytes, continuations: block.continuations + 1 }, frame)
    }

    fn grow_block(&mut self, block: Block, frame: Frame) -> Result<(), Attack> {
        let is_too_large = block.bytes > self.largest_block || block.continuations > MOST_CONTINUATIONS;
        self.block = (frame.flags & END_HEADERS == 0).then_some(block);
        if is_too_large { Err(Attack::ContinuationFlood) } else { Ok(()) }
    }
}

impl Frame {
    fn of(header: [u8; HEADER]) -> Self {
        let [l0, l1, l2, kind, flags, s0, s1, s2, s3] = header;
        Self {
            length: u32::from_be_bytes([0, l0, l1, l2]),
            kind,
            flags,
            stream: u32::from_be_bytes([s0, s1, s2, s3]) & STREAM_BITS,
        }
    }

    /// How many bytes of the payload must be seen to judge it.
    fn peek(self) -> usize {
        let wanted = match self.kind {
            DATA if self.flags & PADDED != 0 => 1,
            WINDOW_UPDATE_FRAME => LONGEST_PEEK,
            _ => 0,
        };
        wanted.min(self.length as usize)
    }
}

/// What a client sends first (RFC 9113, section 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Stands where the count of the preface's bytes does when they were others.
const FOREIGN: u8 = u8::MAX;
/// Bytes of a frame's header.
const HEADER: usize = 9;
/// The most bytes of a payload that are looked at: the increment of `WINDOW_UPDATE`.
const LONGEST_PEEK: usize = 4;
/// The bits of a stream's number and of an increment; the highest is reserved.
const STREAM_BITS: u32 = 0x7fff_ffff;

// Types of frames (RFC 9113, section 6; RFC 9218, section 7.1).
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS_FRAME: u8 = 4;
const PING_FRAME: u8 = 6;
const WINDOW_UPDATE_FRAME: u8 = 8;
const CONTINUATION: u8 = 9;
const PRIORITY_UPDATE: u8 = 0x10;

// Flags.
const END_STREAM: u8 = 0x1;
const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    const HEAD: usize = 32 * 1024;

    fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let length = payload.len() as u32;
        [&length.to_be_bytes()[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
    }

    /// A guard that has seen the preface.
    fn guard(now: Instant) -> Guard {
        let mut guard = Guard::new(HEAD, now);
        guard.watch(PREFACE, now).unwrap();
        guard
    }

    /// How many times in a row the bytes may come, if fewer than `most`.
    fn endured(guard: &mut Guard, bytes: &[u8], now: Instant, most: usize) -> Result<usize, (usize, Attack)> {
        for count in 0..most {
            guard.watch(bytes, now).map_err(|attack| (count, attack))?;
        }
        Ok(most)
    }

    #[test]
    fn floods_are_cut_at_their_budget_and_told_by_name() {
        let window = |increment: u32| frame(8, 0, 0, &increment.to_be_bytes());
        let cases = [
            (frame(3, 0, 1, &[0; 4]), 500, Attack::RapidReset),
            (frame(4, 0, 0, &[]), 128, Attack::SettingsFlood),
            (frame(4, 1, 0, &[]), 128, Attack::SettingsFlood),
            (frame(4, 0, 0, &[0; 96 * 31]), 4, Attack::SettingsFlood),
            (frame(6, 0, 0, &[0; 8]), 200, Attack::PingFlood),
            (frame(6, 1, 0, &[0; 8]), 200, Attack::PingFlood),
            (frame(2, 0, 9, &[0; 5]), 1000, Attack::PriorityFlood),
            (frame(16, 0, 0, b"\0\0\0\x01u=1"), 1000, Attack::PriorityFlood),
            (window(65_535), 4000, Attack::WindowUpdateFlood),
            (window(1), 1000, Attack::WindowUpdateFlood),
            // The reserved bit says nothing.
            (window(0x8000_0001), 1000, Attack::WindowUpdateFlood),
            (frame(0, 0, 1, &[]), 100, Attack::EmptyDataFlood),
            (frame(0, PADDED, 1, &[5, 0, 0, 0, 0, 0]), 100, Attack::EmptyDataFlood),
            (frame(0, 0, 1, b"x"), 20_000, Attack::TinyDataFlood),
            (frame(0, PADDED, 1, &[4, b'x', 0, 0, 0, 0]), 20_000, Attack::TinyDataFlood),
            (frame(0, END_STREAM, 1, &[]), 20_000, Attack::TinyDataFlood),
            (frame(7, 0, 0, &[0; 8]), 200, Attack::UnknownFrameFlood),
            (frame(0x2a, 0xff, 7, b"grease"), 200, Attack::UnknownFrameFlood),
        ];
        let now = Instant::now();
        for (bytes, budget, attack) in cases {
            let mut guard = guard(now);
            assert_eq!(endured(&mut guard, &bytes, now, 100_000), Err((budget, attack)), "{bytes:?}");
            assert_eq!(guard.watch(b"", now), Err(attack), "it stays an attack");
        }
    }

    #[test]
    fn a_budget_comes_back_with_time() {
        let start = Instant::now();
        let mut guard = guard(start);
        let ping = frame(6, 0, 0, &[0; 8]);
        assert_eq!(endured(&mut guard, &ping, start, 200), Ok(200));
        let later = start + Duration::from_secs(1);
        assert_eq!(endured(&mut guard, &ping, later, 30), Err((20, Attack::PingFlood)));
        let mut guard = super::tests::guard(start);
        for second in 0..100_000 {
            // Ten a second, for a day and more.
            let now = start + Duration::from_secs(second);
            assert_eq!(endured(&mut guard, &ping, now, 10), Ok(10));
        }
        assert_eq!(endured(&mut guard, &ping, start + Duration::from_secs(1 << 40), 200), Ok(200));
    }

    #[test]
    fn streams_must_be_served_in_the_end() {
        let now = Instant::now();
        let open = |stream: u32| frame(1, END_HEADERS | END_STREAM, stream, &[0x82, 0x84, 0x86]);
        let streams = |count: u32| (0..count).map(|number| number * 2 + 1);
        let mut served = guard(now);
        for stream in streams(100_000) {
            served.watch(&open(stream), now).unwrap();
            served.served();
        }
        let mut unserved = guard(now);
        let verdicts: Vec<_> = streams(2001).map(|stream| unserved.watch(&open(stream), now)).collect();
        assert_eq!(verdicts.iter().position(Result::is_err), Some(2000));
        assert_eq!(verdicts[2000], Err(Attack::HeaderFlood));
        let mut cancelled = guard(now);
        let mut pairs =
            streams(2001).map(|stream| [open(stream), frame(3, 0, stream, &[0, 0, 0, 8])].concat());
        assert_eq!(pairs.position(|pair| cancelled.watch(&pair, now).is_err()), Some(500));
        // Half of them cancelled, as by clients with little patience, half answered.
        let mut impatient = guard(now);
        for stream in streams(20_000) {
            let cancel = if stream % 4 == 1 { frame(3, 0, stream, &[0; 4]) } else { Vec::new() };
            impatient.watch(&[open(stream), cancel].concat(), now).unwrap();
            impatient.served();
        }
    }

    #[test]
    fn trailers_open_no_stream() {
        let now = Instant::now();
        let mut guard = guard(now);
        let trailers = frame(1, END_HEADERS | END_STREAM, 1, &[]);
        assert_eq!(endured(&mut guard, &trailers, now, 10_000), Ok(10_000));
    }

    #[test]
    fn a_head_must_end() {
        let now = Instant::now();
        let head = frame(1, END_STREAM, 1, b"");
        let mut empty = guard(now);
        empty.watch(&head, now).unwrap();
        let more = frame(9, 0, 1, b"");
        assert_eq!(endured(&mut empty, &more, now, 100), Err((8, Attack::ContinuationFlood)));
        let mut large = guard(now);
        large.watch(&head, now).unwrap();
        let more = frame(9, 0, 1, &vec![0; HEAD]);
        assert_eq!(endured(&mut large, &more, now, 100), Err((4, Attack::ContinuationFlood)));
        let mut many = guard(now);
        for stream in 0..1000 {
            let end = frame(9, END_HEADERS, 1, &[0; 16_384]);
            let head = frame(1, 0, stream * 2 + 1, &[0; 16_384]);
            many.watch(&[head, frame(9, 0, 1, b"x"), end].concat(), now).unwrap();
            many.served();
        }
    }

    #[test]
    fn what_is_written_pays_for_the_answers_to_it() {
        let now = Instant::now();
        let mut download = guard(now);
        let grants = [frame(8, 0, 0, &[0, 0, 0, 40]), frame(8, 0, 1, &[0, 0, 0, 40])].concat();
        for _ in 0..100_000 {
            // A DATA frame of 40 bytes, for which the client grants as much again, twice, and then measures the path.
            download.wrote(&[0; 9 + 40]);
            download.watch(&grants, now).unwrap();
            download.watch(&frame(6, 0, 0, &[0; 8]), now).unwrap();
        }
        // One byte of window at a time: what it lets us write does not pay for it.
        let mut dribble = guard(now);
        let crumb = frame(8, 0, 1, &[0, 0, 0, 1]);
        let cut = (0..10_000).position(|_| {
            dribble.wrote(&[0; 9 + 1]);
            dribble.watch(&crumb, now).is_err()
        });
        assert!(cut.is_some_and(|cut| cut < 2000));
        // The answers to pings do not pay for pings.
        let mut pings = guard(now);
        let cut = (0..10_000).position(|_| {
            pings.wrote(&[0; 9 + 8]);
            pings.watch(&frame(6, 0, 0, &[0; 8]), now).is_err()
        });
        assert!(cut.is_some_and(|cut| cut < 500));
    }

    #[test]
    fn honest_uploads_and_grease_are_no_attack() {
        let now = Instant::now();
        let mut guard = guard(now);
        let piece = [frame(0x2a, 0, 1, b"grease"), frame(0, 0, 1, &[b'x'; 16_384])].concat();
        assert_eq!(endured(&mut guard, &piece, now, 10_000), Ok(10_000));
        // Messages of gRPC, each in a frame of its own.
        let message = frame(0, 0, 1, &[0; 25]);
        assert_eq!(endured(&mut guard, &message, now, 100_000), Ok(100_000));
    }

    #[test]
    fn what_is_not_http2_is_left_to_be_refused() {
        let now = Instant::now();
        let mut guard = Guard::new(HEAD, now);
        let noise = [b"PRI * HTTP/2.1", &frame(3, 0, 1, &[0; 4]).repeat(10_000)[..]].concat();
        assert_eq!(guard.watch(&noise, now), Ok(()));
        assert_eq!(guard.watch(&noise, now), Ok(()));
    }

    /// Frames that matter, in runs long enough to spend a budget.
    fn frames() -> impl Strategy<Value = Vec<u8>> {
        let kind = prop_oneof![0u8..=9, Just(16u8), any::<u8>()];
        let one = (kind, any::<u8>(), 0u32..50, prop::collection::vec(any::<u8>(), 0..20), 1usize..200);
        let run = one.prop_map(|(kind, flags, stream, payload, times)| {
            frame(kind, flags, stream, &payload).repeat(times)
        });
        prop::collection::vec(run, 0..20).prop_map(|runs| [&PREFACE[..], &runs.concat()].concat())
    }

    /// The first verdict of a guard that sees the bytes in pieces of these sizes, over and over.
    fn verdict(bytes: &[u8], sizes: &[usize], now: Instant) -> Result<(), Attack> {
        let mut guard = Guard::new(64, now);
        let mut rest = bytes;
        let mut sizes = sizes.iter().cycle();
        while !rest.is_empty() {
            let size = sizes.next().map_or(rest.len(), |size| rest.len().min(*size));
            guard.watch(&rest[..size], now)?;
            rest = &rest[size..];
        }
        Ok(())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn how_the_bytes_are_split_changes_no_verdict(
            bytes in frames(),
            sizes in prop::collection::vec(1usize..40, 1..10),
        ) {
            let now = Instant::now();
            let whole = verdict(&bytes, &[], now);
            prop_assert_eq!(verdict(&bytes, &sizes, now), whole);
            prop_assert_eq!(verdict(&bytes, &[1], now), whole);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..2000), size in 1usize..50) {
            let _ = verdict(&bytes, &[size], Instant::now());
            let _ = verdict(&[&PREFACE[..], &bytes].concat(), &[size], Instant::now());
        }
    }
}
