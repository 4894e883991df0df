//! Which texts JSON takes as they are (RFC 8259, section 7): nearly all that are written.

/// Whether all of it is visible ASCII that JSON takes as it is. Looks at whole blocks, the last of which may overlap the one before it, and has no
/// branch within one: the compiler makes a few vector instructions of each.
pub(crate) fn is_plain(value: &[u8]) -> bool {
    if let Some(end) = value.last_chunk::<16>() {
        return value.as_chunks::<16>().0.iter().all(all_plain) && all_plain(end);
    }
    match (value.first_chunk::<8>(), value.last_chunk::<8>()) {
        (Some(start), Some(end)) => all_plain(start) & all_plain(end),
        _ => value.iter().all(|byte| all_plain(&[*byte])),
    }
}

#[inline]
fn all_plain<const N: usize>(block: &[u8; N]) -> bool {
    let is_special = |byte: u8| !matches!(byte, b' '..=b'~') || byte == b'"' || byte == b'\\';
    !block.iter().fold(false, |found, byte| found | is_special(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_special_byte_is_found_wherever_it_stands() {
        for length in 0..50 {
            let mut text = vec![b'a'; length];
            assert!(is_plain(&text), "{length}");
            for at in 0..length {
                for special in [b'"', b'\\', b'\n', 0, 0x1f, 0x7f, 0x80, 0xff] {
                    text[at] = special;
                    assert!(!is_plain(&text), "{special} at {at} of {length}");
                }
                text[at] = b'~';
            }
        }
    }
}
