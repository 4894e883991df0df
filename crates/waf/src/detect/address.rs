//! Hosts of addresses in a value: a cloud's metadata however it is written, and numbers written so that nobody sees which.

use super::{Cx, Leaf};
use crate::rules;

/// Addresses looked at in one leaf.
const MOST_ADDRESSES: usize = 8;
/// Longest host looked at.
const LONGEST_HOST: usize = 128;

pub(crate) fn detect(leaf: &Leaf<'_>, cx: &mut Cx<'_>) {
    let low = leaf.low;
    let slashes = memchr::memchr_iter(b'/', low).filter(|at| low.get(at + 1) == Some(&b'/'));
    for at in slashes.take(MOST_ADDRESSES) {
        let is_address = at == 0 || matches!(low[at - 1], b':' | b'=' | b'@' | b'"' | b'\'' | b' ');
        let rest = low.get(at + 2..).unwrap_or_default();
        if !is_address || rest.is_empty() {
            continue;
        }
        let host = host(&rest[..rest.len().min(LONGEST_HOST)]);
        match judge(host) {
            Some(Kind::Metadata) => return cx.hit(rules::SSRF_METADATA, leaf, at),
            // Behind a scheme only: `//1` is a comment, too.
            Some(Kind::Disguised) if at > 0 && low[at - 1] == b':' => {
                return cx.hit(rules::SSRF_DISGUISED, leaf, at);
            }
            _ => {}
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Metadata,
    Disguised,
}

/// The host of what follows `//`: no user, no port, no dot at the end.
fn host(rest: &[u8]) -> &[u8] {
    let end = rest.iter().position(|byte| b"/?#\\ '\"<>&\t\r\n,;|`)".contains(byte)).unwrap_or(rest.len());
    let authority = &rest[..end];
    let authority = match authority.iter().rposition(|byte| *byte == b'@') {
        Some(at) => &authority[at + 1..],
        None => authority,
    };
    if let Some(inner) = authority.strip_prefix(b"[") {
        return &inner[..inner.iter().position(|byte| *byte == b']').unwrap_or(inner.len())];
    }
    let host = authority.split(|byte| *byte == b':').next().unwrap_or_default();
    host.strip_suffix(b".").unwrap_or(host)
}

fn judge(host: &[u8]) -> Option<Kind> {
    const METADATA: [&[u8]; 9] = [
        b"metadata",
        b"metadata.google.internal",
        b"metadata.goog",
        b"instance-data",
        b"instance-data.ec2.internal",
        b"rancher-metadata",
        b"metadata.azure.internal",
        b"metadata.packet.net",
        b"metadata.platformequinix.com",
    ];
    const TESTERS: [&[u8]; 14] = [
        b"burpcollaborator.net",
        b"oastify.com",
        b"interact.sh",
        b"interactsh.com",
        b"oast.fun",
        b"oast.live",
        b"oast.me",
        b"oast.online",
        b"oast.pro",
        b"oast.site",
        b"dnslog.cn",
        b"ceye.io",
        b"bxss.me",
        b"requestrepo.com",
    ];
    if METADATA.contains(&host) || host.starts_with(b"kubernetes.default") {
        return Some(Kind::Metadata);
    }
    if TESTERS
        .iter()
        .any(|tester| host.strip_suffix(*tester).is_some_and(|name| name.is_empty() || name.ends_with(b".")))
    {
        return Some(Kind::Disguised);
    }
    // Names that answer with the address which they hold.
    if let Some(name) = host.strip_suffix(b".nip.io").or_else(|| host.strip_suffix(b".sslip.io")) {
        let is_metadata =
            super::head::find(name, b"169.254.169.254") || super::head::find(name, b"169-254-169-254");
        return is_metadata.then_some(Kind::Metadata);
    }
    if host.contains(&b':') {
        return version_six(host);
    }
    let (address, is_plain) = version_four(host)?;
    if is_metadata(address) {
        return Some(Kind::Metadata);
    }
    (!is_plain).then_some(Kind::Disguised)
}

/// Link-local services of clouds: AWS, Azure, Google, ECS; Alibaba; Oracle.
fn is_metadata(address: u32) -> bool {
    matches!(address, 0xa9fe_a9fe | 0xa9fe_aa02 | 0xa9fe_a9fd | 0x6464_64c8 | 0xc000_00c0)
}

/// An IPv4 address as `inet_aton` reads it, and whether it is written in the plain way.
fn version_four(host: &[u8]) -> Option<(u32, bool)> {
    let count = host.split(|byte| *byte == b'.').count();
    if count > 4 {
        return None;
    }
    let (mut value, mut is_plain) = (0_u64, count == 4);
    for (index, part) in host.split(|byte| *byte == b'.').enumerate() {
        let (number, is_decimal) = number(part)?;
        is_plain &= is_decimal;
        let is_last = index + 1 == count;
        let bits = if is_last { 8 * (5 - count as u32) } else { 8 };
        if number >= 1 << bits {
            return None;
        }
        value = value << bits | number;
    }
    // A small number alone is a port, an item, a name: `http://0/` is not.
    let is_short = count == 1 && (1..1 << 24).contains(&value);
    (!is_short).then_some((value as u32, is_plain))
}

/// `12`, `014`, `0xc`.
fn number(part: &[u8]) -> Option<(u64, bool)> {
    let (digits, radix) = match part {
        [b'0', b'x', digits @ ..] => (digits, 16),
        [b'0', digits @ ..] if !digits.is_empty() => (digits, 8),
        _ => (part, 10),
    };
    if digits.is_empty() || digits.len() > 11 {
        return None;
    }
    let value = digits.iter().try_fold(0_u64, |value, byte| {
        Some(value * u64::from(radix) + u64::from(char::from(*byte).to_digit(radix)?))
    })?;
    Some((value, radix == 10))
}

/// The metadata of AWS, and IPv4 addresses within IPv6 ones.
fn version_six(host: &[u8]) -> Option<Kind> {
    let text = std::str::from_utf8(host).ok()?;
    let address: std::net::Ipv6Addr = text.split('%').next()?.parse().ok()?;
    if address.segments() == [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254] {
        return Some(Kind::Metadata);
    }
    let inner = address.to_ipv4_mapped()?;
    Some(if is_metadata(inner.to_bits()) { Kind::Metadata } else { Kind::Disguised })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_known_however_it_is_written() {
        const CASES: [(&str, Option<Kind>); 20] = [
            ("169.254.169.254/latest", Some(Kind::Metadata)),
            ("2852039166/", Some(Kind::Metadata)),
            ("0xa9fea9fe", Some(Kind::Metadata)),
            ("0xa9.254.0251.0376:80/", Some(Kind::Metadata)),
            ("169.254.43518/", Some(Kind::Metadata)),
            ("[::ffff:169.254.169.254]/", Some(Kind::Metadata)),
            ("[fd00:ec2::254]", Some(Kind::Metadata)),
            ("a:b@metadata.google.internal./x", Some(Kind::Metadata)),
            ("2130706433/", Some(Kind::Disguised)),
            ("0177.0.0.1", Some(Kind::Disguised)),
            ("127.1/", Some(Kind::Disguised)),
            ("0/", Some(Kind::Disguised)),
            ("[::ffff:127.0.0.1]", Some(Kind::Disguised)),
            ("x.oast.fun/", Some(Kind::Disguised)),
            ("127.0.0.1:8080/", None),
            ("192.0.2.7/", None),
            ("[2001:db8::7]/", None),
            ("example.com/", None),
            ("8080/", None),
            ("", None),
        ];
        for (rest, expected) in CASES {
            assert_eq!(judge(host(rest.as_bytes())), expected, "{rest}");
        }
    }
}
