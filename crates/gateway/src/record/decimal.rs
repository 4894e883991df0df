//! Numbers and addresses as text, by hand: the access log writes a dozen in each line.

use std::io::Write;
use std::net::IpAddr;

/// Appends a number.
pub(super) fn push_decimal(mut number: u64, out: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
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

/// Appends microseconds as milliseconds with three decimals.
pub(super) fn push_micros_as_ms(micros: u64, out: &mut Vec<u8>) {
    push_decimal(micros / 1000, out);
    out.push(b'.');
    push_padded(micros % 1000, 3, out);
}

/// Appends an address.
pub(super) fn push_ip(ip: IpAddr, out: &mut Vec<u8>) {
    match ip {
        IpAddr::V4(ip) => {
            for (place, octet) in ip.octets().into_iter().enumerate() {
                if place > 0 {
                    out.push(b'.');
                }
                push_decimal(u64::from(octet), out);
            }
        }
        // Writing to a vector cannot fail.
        IpAddr::V6(ip) => drop(write!(out, "{ip}")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn numbers_are_written_as_the_standard_library_does() {
        for number in [0, 7, 10, 999, 1000, 1_234_567, u64::MAX] {
            let mut out = Vec::new();
            push_decimal(number, &mut out);
            assert_eq!(out, number.to_string().into_bytes());
        }
        for ip in ["127.0.0.1", "255.10.0.99", "2001:db8::1"] {
            let mut out = Vec::new();
            push_ip(ip.parse().unwrap(), &mut out);
            assert_eq!(out, ip.as_bytes());
        }
        let mut out = Vec::new();
        push_micros_as_ms(12_045, &mut out);
        assert_eq!(out, b"12.045");
    }
}
