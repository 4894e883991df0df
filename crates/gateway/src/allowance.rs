//! What a caller may still do, and how answers tell it.

use http1::{Fields, Known};

use crate::record::decimal::write_before;

/// What a caller may still do, as an answer tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// The place of the limit that it is about among those of its route.
    pub limit: usize,
    /// Requests that are left.
    pub left: u64,
    /// Seconds until all of them are there again.
    pub full_in: u64,
}

/// `RateLimit` (draft-ietf-httpapi-ratelimit-headers-11, section 4).
pub(crate) fn tell(Allowance { left, full_in, .. }: Allowance, told: &str, fields: &mut Fields) {
    // From its end to its beginning, as numbers are written.
    let mut text = [0; LONGEST_VALUE];
    let mut start = write_before(LONGEST_VALUE, full_in, &mut text);
    for (part, number) in [(BEFORE_TIME, Some(left)), (told.as_bytes(), None)] {
        start -= part.len();
        text[start..start + part.len()].copy_from_slice(part);
        start = number.map_or(start, |number| write_before(start, number, &mut text));
    }
    fields.append(Known::RateLimit, &text[start..]);
}

const BEFORE_TIME: &[u8] = b";t=";

/// Bytes of a value of `RateLimit`: the longest name, two numbers and what is between them.
const LONGEST_VALUE: usize = 64;
