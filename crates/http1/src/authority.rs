//! Reads `host[:port]`, as `Host` and targets name it (RFC 9110, section 7.2; RFC 3986, section 3.2).

use std::fmt::Write as _;
use std::net::Ipv6Addr;

/// The longest authority: a name of DNS, a colon and five digits.
const LONGEST: usize = 255 + 6;

/// Appends the authority to `out` in its one spelling: lower-case, an IPv6 address as RFC 5952 writes it, no
/// colon without a port. `None` if it is not a name or an address with an optional port.
///
/// Of `reg-name` only letters, digits, `-`, `.` and `_` are taken: what else its grammar has
/// (percent-encoding, `!$&'()*+,;=~`) names no host, and serves to confuse. User information is refused (RFC
/// 9110, section 4.2.4).
pub(crate) fn append_authority(raw: &[u8], out: &mut String) -> Option<()> {
    if raw.len() > LONGEST {
        return None;
    }
    if let Some(rest) = raw.strip_prefix(b"[") {
        let close = memchr::memchr(b']', rest)?;
        let address: Ipv6Addr = std::str::from_utf8(&rest[..close]).ok()?.parse().ok()?;
        let port = &rest[close + 1..];
        let port = std::str::from_utf8(&port[..check_port(port)?]).ok()?;
        return write!(out, "[{address}]{port}").ok();
    }
    let (name, has_capitals) = check_name(raw)?;
    let port = check_port(&raw[name..])?;
    let start = out.len();
    out.push_str(std::str::from_utf8(&raw[..name + port]).ok()?);
    if has_capitals {
        out[start..].make_ascii_lowercase();
    }
    Some(())
}

/// The length of the name that it begins with, and whether that has capitals.
fn check_name(raw: &[u8]) -> Option<(usize, bool)> {
    let (mut length, mut before, mut seen) = (0, NAME_DOT, 0);
    for byte in raw {
        let kind = NAME_BYTES[usize::from(*byte)];
        // No empty label; the one after a trailing dot is the root's.
        if kind & before == NAME_DOT {
            return None;
        }
        if kind == 0 {
            break;
        }
        length += 1;
        before = kind;
        seen |= kind;
    }
    let is_whole = length > 0 && matches!(raw.get(length), None | Some(b':'));
    is_whole.then_some((length, seen & NAME_CAPITAL != 0))
}

/// The length of the port with its colon, as it is to be written; 0 without one.
fn check_port(port: &[u8]) -> Option<usize> {
    let digits = match port {
        [] | b":" => return Some(0),
        // One spelling: no leading zero, so no port zero either.
        [b':', b'0', ..] => return None,
        [b':', digits @ ..] if digits.len() <= 5 => digits,
        _ => return None,
    };
    let mut number = 0;
    for digit in digits {
        number = number * 10 + u32::from(digit.is_ascii_digit().then(|| digit - b'0')?);
    }
    u16::try_from(number).is_ok().then_some(port.len())
}

/// What names are made of, a bit for each kind; 0 for all other bytes.
const NAME_BYTES: [u8; 256] = {
    let mut kinds = [0; 256];
    let mut byte = 0;
    while byte < 128 {
        kinds[byte] = match byte as u8 {
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => NAME_OTHER,
            b'A'..=b'Z' => NAME_CAPITAL,
            b'.' => NAME_DOT,
            _ => 0,
        };
        byte += 1;
    }
    kinds
};
const NAME_OTHER: u8 = 1;
const NAME_CAPITAL: u8 = 2;
const NAME_DOT: u8 = 4;

/// The authority without its port.
pub(crate) fn without_port(authority: &str) -> &str {
    // Digits and a colon before them, from the end: an IPv6 address without a port ends with its bracket.
    let digits = authority.bytes().rev().take_while(u8::is_ascii_digit).count();
    authority[..authority.len() - digits].strip_suffix(':').unwrap_or(authority)
}

/// Whether the authority says a port.
pub(crate) fn has_port(authority: &str) -> bool {
    without_port(authority).len() < authority.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn authority(raw: &str) -> Option<String> {
        let mut out = String::new();
        append_authority(raw.as_bytes(), &mut out).map(|()| out)
    }

    #[test]
    fn authorities_get_their_one_spelling() {
        const CASES: &[(&str, &str, bool)] = &[
            ("example.com", "example.com", false),
            ("EXAMPLE.com:8080", "example.com:8080", true),
            ("example.com:", "example.com", false),
            ("example.com.", "example.com.", false),
            ("my_service-1", "my_service-1", false),
            ("127.0.0.1:80", "127.0.0.1:80", true),
            ("[::1]", "[::1]", false),
            ("[0:0::0:1]:443", "[::1]:443", true),
            ("[2001:DB8::A]", "[2001:db8::a]", false),
            ("a:65535", "a:65535", true),
        ];
        for (raw, expected, port) in CASES {
            assert_eq!(authority(raw).as_deref(), Some(*expected));
            assert_eq!(has_port(expected), *port, "{raw}");
        }
    }

    #[test]
    fn what_names_no_host_is_refused() {
        let long = "a".repeat(LONGEST + 1);
        for raw in [
            "",
            ":80",
            ".",
            ".a",
            "a..b",
            "a b",
            "a\tb",
            "a/b",
            "a\\b",
            "user@a",
            "u:p@a",
            "a:b",
            "a:+1",
            "a:-1",
            "a: 1",
            "a:0",
            "a:080",
            "a:65536",
            "a:1:2",
            "::1",
            "[::1",
            "[::1]a",
            "[]",
            "[::1%25eth0]",
            "[v1.a]",
            "a,b",
            "a%2e",
            "a?b",
            "a#b",
            "a;b",
            "<a>",
            "\u{e9}",
            &long,
        ] {
            assert_eq!(authority(raw), None, "{raw}");
        }
    }
}
