//! Numbers and addresses as text, by hand: the access log writes a dozen in each line.

use std::io::Write;
use std::net::IpAddr;

/// Appends a number.
pub(super) fn push_decimal(number: u64, out: &mut Vec<u8>) {
    if number < 10 {
        out.push(b'0' + number as u8);
        return;
    }
    let mut text = [0; 20];
    let start = write_before(20, number, &mut text);
    out.extend_from_slice(&text[start..]);
}

/// Appends a number with zeros before it, up to this width.
pub(super) fn push_padded(number: u64, width: usize, out: &mut Vec<u8>) {
    let start = out.len();
    let mut rest = number;
    out.resize(start + width, b'0');
    for digit in out[start..].iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
}

/// Three digits of a number below a thousand.
pub(super) fn three_digits(number: u64) -> [u8; 3] {
    let [tens, ones] = PAIRS[number as usize % 100];
    [b'0' + (number / 100 % 10) as u8, tens, ones]
}

/// Appends microseconds as milliseconds with three decimals.
pub(super) fn push_micros_as_ms(micros: u64, out: &mut Vec<u8>) {
    let mut text = [b'.'; 24];
    text[21..].copy_from_slice(&three_digits(micros % 1000));
    let start = write_before(20, micros / 1000, &mut text);
    out.extend_from_slice(&text[start..]);
}

/// Appends an address.
pub(super) fn push_ip(ip: IpAddr, out: &mut Vec<u8>) {
    match ip {
        IpAddr::V4(ip) => {
            let mut text = [b'.'; 15];
            let mut start = 15;
            for (place, octet) in ip.octets().into_iter().rev().enumerate() {
                start -= usize::from(place > 0);
                start = write_before(start, u64::from(octet), &mut text);
            }
            out.extend_from_slice(&text[start..]);
        }
        // Writing to a vector cannot fail.
        IpAddr::V6(ip) => drop(write!(out, "{ip}")),
    }
}

/// Writes a number's digits so that they stop before `end`, and gives their start. The text must have the room.
pub fn write_before(end: usize, number: u64, text: &mut [u8]) -> usize {
    let mut at = end;
    let mut rest = number;
    while rest >= 10 {
        at -= 2;
        text[at..at + 2].copy_from_slice(&PAIRS[(rest % 100) as usize]);
        rest /= 100;
    }
    if rest > 0 || at == end {
        at -= 1;
        text[at] = b'0' + rest as u8;
    }
    at
}

/// `00` to `99`: two digits for one division.
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[0; 2]; 100];
    let mut number = 0;
    while number < 100 {
        pairs[number] = [b'0' + number as u8 / 10, b'0' + number as u8 % 10];
        number += 1;
    }
    pairs
};

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn numbers_are_written_as_the_standard_library_does() {
        for number in [0, 7, 10, 99, 100, 101, 999, 1000, 1_234_567, u64::MAX] {
            let mut out = Vec::new();
            push_decimal(number, &mut out);
            assert_eq!(out, number.to_string().into_bytes());
        }
        for ip in ["127.0.0.1", "255.10.0.99", "0.0.0.0", "255.255.255.255", "2001:db8::1"] {
            let mut out = Vec::new();
            push_ip(ip.parse().unwrap(), &mut out);
            assert_eq!(out, ip.as_bytes());
        }
        for (micros, text) in [
            (0, "0.000"),
            (7, "0.007"),
            (999, "0.999"),
            (12_045, "12.045"),
            (u64::MAX, "18446744073709551.615"),
        ] {
            let mut out = Vec::new();
            push_micros_as_ms(micros, &mut out);
            assert_eq!(out, text.as_bytes());
        }
    }
}
