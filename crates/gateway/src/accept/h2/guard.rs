//! Watches what a client sends on an HTTP/2 connection, frame by frame, and tells floods from use.
//!
//! The `h2` crate bounds memory, but answers pings, takes settings and resets for as long as they come. The guard sees every
//! byte before `h2` does and keeps budgets of frames that are no work. It reads frame headers (RFC 9113, section 4.1), up
//! to four bytes behind them and the entries of SETTINGS, never a head or a body, holds at most 19 bytes and allocates nothing.

mod rules;

use std::time::Instant;

use h2::Reason;

use super::attack::{Attack, LONGEST_DEBUG_DATA};
use super::budget::{
    Budget, CRUMB, EMPTY_DATA, LARGEST_BLOCK, MOST_CONTINUATIONS, PING, PINGS, PRIORITIES,
    PRIORITIES_A_STREAM, RESETS, SETTINGS, SETTINGS_ENTRIES, STRAYS, TICK, TINY, TINY_DATA, WINDOW_CRUMB,
    WINDOW_UPDATE, WINDOW_UPDATES,
};
use rules::Rules;

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
    rules: Rules,
    resets: Budget,
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
            rules: Rules::default(),
            resets: Budget::default(),
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

    /// A stream has been answered, with whatever status, and the client took the answer: it may change its mind on another.
    pub fn served(&mut self) {
        self.resets.refund(1);
    }

    /// The attack that was seen.
    pub fn attack(&self) -> Option<Attack> {
        self.attack
    }

    /// The error code of what the client broke, for which `h2` would tell another: it ends the connection.
    pub fn fault(&self) -> Option<Reason> {
        self.rules.fault()
    }

    /// With which error code the connection is to end now, if it is.
    pub fn cut(&self) -> Option<Reason> {
        self.attack.map(|_| Reason::ENHANCE_YOUR_CALM).or_else(|| self.fault())
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
        self.attack.or_else(|| match Attack::of_error(error, &self.written) {
            // To `h2` these two are one.
            Some(Attack::EmptyDataFlood) if self.tiny_data.spent() > self.empty_data.spent() => {
                Some(Attack::TinyDataFlood)
            }
            attack => attack,
        })
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
            self.rules.pass(&rest[..skipped]);
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
        // Nothing may come between the parts of a head, and what does is for `h2` to name.
        if self.block.is_none() {
            self.rules.judge(frame);
        }
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
const PUSH_PROMISE: u8 = 5;
const PING_FRAME: u8 = 6;
const WINDOW_UPDATE_FRAME: u8 = 8;
const CONTINUATION: u8 = 9;
const PRIORITY_UPDATE: u8 = 0x10;

// Flags.
const END_STREAM: u8 = 0x1;
const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;

#[cfg(test)]
mod tests;
