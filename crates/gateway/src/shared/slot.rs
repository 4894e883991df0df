//! Slots: a Redis Cluster has 16,384 of them, and each name belongs to one.

/// The number of a slot.
pub(super) type Slot = u16;

/// Slots of a cluster.
pub(super) const SLOTS: usize = 1 << 14;

/// The slot of a name that begins with this prefix. Only the prefix may hold `{…}`: then what stands between them decides alone, so that all
/// names have one slot.
pub(super) fn slot_of(prefix: &str, rest: &[&[u8]]) -> Slot {
    let sum = match tag(prefix) {
        Some(tag) => add(0, tag.as_bytes()),
        None => rest.iter().fold(add(0, prefix.as_bytes()), |sum, part| add(sum, part)),
    };
    sum % SLOTS as u16
}

/// What decides alone, where there is such.
pub(super) fn tag(prefix: &str) -> Option<&str> {
    let (_, rest) = prefix.split_once('{')?;
    rest.split_once('}').map(|(tag, _)| tag).filter(|tag| !tag.is_empty())
}

/// CRC-16 as XMODEM has it, which is what the clusters' specification asks for.
fn add(sum: u16, bytes: &[u8]) -> u16 {
    bytes.iter().fold(sum, |sum, byte| (sum << 8) ^ REMAINDERS[usize::from((sum >> 8) as u8 ^ byte)])
}

/// Of each byte.
static REMAINDERS: [u16; 256] = {
    let mut remainders = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut remainder = (byte as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            let carry = remainder & 0x8000 != 0;
            remainder <<= 1;
            if carry {
                remainder ^= 0x1021;
            }
            bit += 1;
        }
        remainders[byte] = remainder;
        byte += 1;
    }
    remainders
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_the_slots_that_redis_says() {
        // As `CLUSTER KEYSLOT` has it.
        for (prefix, rest, slot) in [
            ("123456789", "", 12_739),
            ("foo", "", 12_182),
            ("fo", "o", 12_182),
            ("", "bar", 5061),
            ("{foo}", "bar", 12_182),
            ("a{foo}{bar}", "x", 12_182),
        ] {
            assert_eq!(slot_of(prefix, &[rest.as_bytes()]), slot, "{prefix} {rest}");
        }
        assert_eq!(tag("tg:"), None);
        assert_eq!(tag("a{}b"), None);
        assert_eq!(tag("}{"), None);
        assert_eq!(tag("{tg}:"), Some("tg"));
    }
}
