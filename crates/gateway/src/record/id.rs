//! Request ids: UUIDs of version 7 (RFC 9562), made without a system call.

/// Length of a UUID's text.
const LENGTH: usize = 36;
/// Bytes of an id that is taken over from a trusted peer.
const MAX_FOREIGN: usize = 128;

/// Every byte in hexadecimal.
const HEX: [[u8; 2]; 256] = {
    let digits = b"0123456789abcdef";
    let mut table = [[0; 2]; 256];
    let mut byte = 0;
    while byte < table.len() {
        table[byte] = [digits[byte >> 4], digits[byte & 15]];
        byte += 1;
    }
    table
};

/// Makes the ids of one worker; they grow.
#[derive(Debug)]
pub struct IdGenerator {
    state: u64,
    last_ms: u64,
    /// The 12 bits behind the time: a counter within a millisecond, so that ids grow.
    counter: u16,
}

/// An id as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct IdText([u8; LENGTH]);

impl IdGenerator {
    /// A generator seeded by the system. Ids are names, not secrets: what follows the seed is a fast generator.
    pub fn new() -> Self {
        let mut seed = [0; 8];
        if getrandom::fill(&mut seed).is_err() {
            // Without the system's randomness the address space's is left: ids may then repeat after a restart at the same time.
            let here = std::ptr::from_ref(&seed) as u64;
            seed = (here ^ u64::from(std::process::id()) << 32).to_ne_bytes();
        }
        Self::seeded(u64::from_ne_bytes(seed))
    }

    fn seeded(seed: u64) -> Self {
        Self { state: seed, last_ms: 0, counter: 0 }
    }

    /// The next id, of this time in milliseconds since the Unix epoch.
    pub fn next(&mut self, unix_ms: u64) -> IdText {
        if unix_ms > self.last_ms {
            self.last_ms = unix_ms;
            // Half the counter's range stays free for this millisecond.
            self.counter = (self.random() & 0x7ff) as u16;
        } else if self.counter < 0xfff {
            self.counter += 1;
        } else {
            // Full: borrow from the next millisecond rather than go back (RFC 9562, section 6.2).
            self.last_ms += 1;
            self.counter = 0;
        }
        let high = self.last_ms << 16 | 0x7000 | u64::from(self.counter);
        let low = 1 << 63 | self.random() >> 2;
        IdText::new(u128::from(high) << 64 | u128::from(low))
    }

    /// `SplitMix64`.
    fn random(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }
}

impl Default for IdGenerator {
    fn default() -> Self {
        Self::new()
    }
}

impl IdText {
    fn new(id: u128) -> Self {
        /// Where each byte's digits stand: hyphens make five groups of them.
        const PLACES: [usize; 16] = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34];
        let mut text = [b'-'; LENGTH];
        for (byte, at) in id.to_be_bytes().into_iter().zip(PLACES) {
            text[at..at + 2].copy_from_slice(&HEX[usize::from(byte)]);
        }
        Self(text)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        // Hexadecimal digits and hyphens.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// Whether an id that a trusted peer sent can be taken over: visible ASCII that needs no escaping in a log.
pub fn is_acceptable(id: &[u8]) -> bool {
    !id.is_empty()
        && id.len() <= MAX_FOREIGN
        && id.iter().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_of_version_7_and_grow_even_when_the_clock_does_not() {
        let mut ids = IdGenerator::seeded(1);
        let mut last = None;
        for step in 0..20_000_u64 {
            let id = ids.next(1_700_000_000_000 + step / 9_000);
            let text = id.as_str();
            assert_eq!(text.len(), LENGTH);
            assert_eq!(&text[14..15], "7");
            assert!(matches!(&text[19..20], "8" | "9" | "a" | "b"), "{text}");
            assert!(last.is_none_or(|last| last < id), "{last:?} {text}");
            last = Some(id);
        }
    }

    #[test]
    fn an_id_begins_with_its_time() {
        let id = IdGenerator::seeded(7).next(0x0198_7654_3210);
        assert!(id.as_str().starts_with("01987654-3210-7"), "{}", id.as_str());
    }

    #[test]
    fn ids_that_need_escaping_are_not_taken_over() {
        let long = vec![b'a'; MAX_FOREIGN + 1];
        let cases: [(&[u8], bool); 6] = [
            (b"abc-123", true),
            (b"", false),
            (b"a b", false),
            (b"a\"b", false),
            (b"a\xff", false),
            (&long, false),
        ];
        for (id, acceptable) in cases {
            assert_eq!(is_acceptable(id), acceptable);
        }
    }
}
