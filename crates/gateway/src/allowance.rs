//! What a caller may still do, and how answers tell it.

use http1::{Fields, PreparedField};

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

/// What a limit is called in what callers are told: a word, with a number where it is not the first of it. Takes the word down.
pub(crate) fn name_among(before: &mut Vec<String>, word: String) -> String {
    let same = before.iter().filter(|known| **known == word).count();
    let name = if same == 0 { word.clone() } else { format!("{word}-{}", same + 1) };
    before.push(word);
    name
}

/// `RateLimit` (draft-ietf-httpapi-ratelimit-headers-11, section 4), with a name that ends before the first number.
pub(crate) fn tell(Allowance { left, full_in, .. }: Allowance, told: &PreparedField, fields: &mut Fields) {
    // From its end to its beginning, as numbers are written.
    let mut text = [0; LONGEST_VALUE];
    let start = write_before(LONGEST_VALUE, full_in, &mut text) - BEFORE_TIME.len();
    text[start..start + BEFORE_TIME.len()].copy_from_slice(BEFORE_TIME);
    let start = write_before(start, left, &mut text);
    fields.append_prepared(told, &text[start..]);
}

const BEFORE_TIME: &[u8] = b";t=";

/// Bytes of two numbers and what is between them.
const LONGEST_VALUE: usize = 48;
