//! `name=value` pairs: queries, forms, cookies.

use super::{Kind, Visit};

/// `a=1&b=2`, still encoded.
pub(crate) fn form(input: &[u8], visit: &mut dyn Visit) {
    for pair in input.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
        let Some(at) = pair.iter().position(|byte| *byte == b'=') else {
            if visit.leaf(pair, pair, Kind::EncodedLone) {
                continue;
            }
            return;
        };
        let (name, value) = (&pair[..at], &pair[at + 1..]);
        if !visit.leaf(name, name, Kind::EncodedName)
            || !value.is_empty() && !visit.leaf(name, value, Kind::Encoded)
        {
            return;
        }
    }
}

/// `a=1; b=2`. Values of cookies are percent-encoded by habit, though by no rule.
pub(crate) fn cookies(input: &[u8], visit: &mut dyn Visit) {
    for pair in input.split(|byte| *byte == b';').map(<[u8]>::trim_ascii).filter(|pair| !pair.is_empty()) {
        let (name, value) = match pair.iter().position(|byte| *byte == b'=') {
            Some(at) => (&pair[..at], &pair[at + 1..]),
            None => (pair, &pair[pair.len()..]),
        };
        if !visit.leaf(name, name, Kind::PlainName)
            || !value.is_empty() && !visit.leaf(name, value, Kind::Plain)
        {
            return;
        }
    }
}
