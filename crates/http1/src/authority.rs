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
    let port = if let Some(rest) = raw.strip_prefix(b"[") {
        let close = memchr::memchr(b']', rest)?;
        let address: Ipv6Addr = std::str::from_utf8(&rest[..close]).ok()?.parse().ok()?;
        write!(out, "[{address}]").ok()?;
        &rest[close + 1..]
    } else {
        let name = &raw[..memchr::memchr(b':', raw).unwrap_or(raw.len())];
        append_name(name, out)?;
        &raw[name.len()..]
    };
    let Some((b':', digits)) = port.split_first() else {
        return port.is_empty().then_some(());
    };
    if digits.is_empty() {
        return Some(());
    }
    let number = std::str::from_utf8(digits).ok().filter(|_| digits.iter().all(u8::is_ascii_digit))?;
    // One spelling: no leading zero, so no port zero either.
    if digits[0] == b'0' || number.parse::<u16>().is_err() {
        return None;
    }
    out.push(':');
    out.push_str(number);
    Some(())
}

/// Whether the authority says a port.
pub(crate) fn has_port(authority: &str) -> bool {
    authority.rfind(':').is_some_and(|colon| !authority[colon..].contains(']'))
}

fn append_name(name: &[u8], out: &mut String) -> Option<()> {
    let mut before = b'.';
    for byte in name {
        match byte {
            // No empty label; the one after a trailing dot is the root's.
            b'.' if before == b'.' => return None,
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => {}
            _ => return None,
        }
        before = *byte;
    }
    let text = std::str::from_utf8(name).ok().filter(|text| !text.is_empty())?;
    let start = out.len();
    out.push_str(text);
    out[start..].make_ascii_lowercase();
    Some(())
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
