//! Who the client is, and telling services so: `Forwarded` (RFC 7239), `X-Forwarded-*` and `Via`.
//!
//! What a peer outside `trust_forwarded` sends in these fields is replaced, never passed on: anyone can write them.
//! From a trusted peer they are extended, and the client's address is taken from them.

use std::io::Write;
use std::net::IpAddr;

use http1::{Field, Fields, Known};

use crate::config::values::Cidr;

/// The longest text of an address, with brackets and quotes around a v6 one.
const ADDRESS_LENGTH: usize = 49;
/// The name under which the gateway stands in `Via`.
const PSEUDONYM: &[u8] = b"1.1 tollgate";
/// Addresses of a forwarded list that are looked at, from the nearest.
const MAX_HOPS: usize = 32;

/// A peer's address, written once for a connection's life.
#[derive(Debug, Clone)]
pub struct PeerText {
    plain: Text,
    node: Text,
}

#[derive(Debug, Clone)]
struct Text {
    bytes: [u8; ADDRESS_LENGTH],
    length: u8,
}

impl PeerText {
    /// Writes an address both ways that fields want it.
    pub fn new(ip: IpAddr) -> Self {
        let node = match ip {
            IpAddr::V4(ip) => Text::new(format_args!("{ip}")),
            IpAddr::V6(ip) => Text::new(format_args!("\"[{ip}]\"")),
        };
        Self { plain: Text::new(format_args!("{ip}")), node }
    }

    /// The address alone.
    pub fn as_bytes(&self) -> &[u8] {
        self.plain.as_bytes()
    }

    /// The address as a text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }
}

impl Text {
    fn new(text: std::fmt::Arguments<'_>) -> Self {
        let mut bytes = [0; ADDRESS_LENGTH];
        let mut rest = &mut bytes[..];
        // An address never exceeds the length; were it cut, it would still be harmless text.
        let _ = rest.write_fmt(text);
        let length = (ADDRESS_LENGTH - rest.len()) as u8;
        Self { bytes, length }
    }

    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

/// Whether an address is in one of the networks.
pub fn is_in(ip: IpAddr, networks: &[Cidr]) -> bool {
    let ip = ip.to_canonical();
    networks.iter().any(|network| network.contains(ip))
}

/// The client's address as trusted peers tell it: the nearest one that is not itself trusted.
/// `X-Forwarded-For` is read first, then `Forwarded`; what is not an address ends the search.
pub fn client_ip(peer: IpAddr, networks: &[Cidr], fields: &Fields) -> IpAddr {
    let mut client = peer.to_canonical();
    let mut hops = 0;
    let mut walk = |element: &[u8]| -> bool {
        hops += 1;
        match parse_node(element) {
            Some(ip) if hops <= MAX_HOPS => {
                client = ip;
                is_in(ip, networks)
            }
            _ => false,
        }
    };
    let mut lines: [&[u8]; MAX_HOPS] = [b""; MAX_HOPS];
    let is_plain = fields.get(Known::XForwardedFor).is_some();
    let name = if is_plain { Known::XForwardedFor } else { Known::Forwarded };
    // The nearest are the last: a client can send any number before them.
    let far = fields.get_all(name).count().saturating_sub(MAX_HOPS);
    let mut count = 0;
    for value in fields.get_all(name).skip(far) {
        lines[count] = value;
        count += 1;
    }
    for line in lines[..count].iter().rev() {
        for element in line.rsplit(|byte| *byte == b',') {
            let node = if is_plain { Some(element) } else { forwarded_for(element) };
            if !node.is_some_and(&mut walk) {
                return client;
            }
        }
    }
    client
}

/// Sets the forwarding fields of a request on its way to a service.
pub fn set(fields: &mut Fields, peer: &PeerText, trusted: bool, scheme: &str, authority: &str) {
    if !trusted {
        fields.retain(|field| !tells_of_the_client(field));
    }
    extend(fields, Known::XForwardedFor, &[peer.as_bytes()]);
    if !fields.contains(Known::XForwardedProto) {
        fields.append(Known::XForwardedProto, scheme.as_bytes());
    }
    if authority.is_empty() {
        extend(fields, Known::Forwarded, &[b"for=", peer.node.as_bytes(), b";proto=", scheme.as_bytes()]);
    } else {
        if !fields.contains(Known::XForwardedHost) {
            fields.append(Known::XForwardedHost, authority.as_bytes());
        }
        let parts: [&[u8]; 6] = [
            b"for=",
            peer.node.as_bytes(),
            b";host=\"",
            authority.as_bytes(),
            b"\";proto=",
            scheme.as_bytes(),
        ];
        extend(fields, Known::Forwarded, &parts);
    }
    extend(fields, Known::Via, &[PSEUDONYM]);
}

/// Whether services believe this field where it speaks of the client: also those that the gateway itself does not set,
/// such as `X-Forwarded-Port` and `X-Forwarded-Prefix`.
fn tells_of_the_client(field: Field<'_>) -> bool {
    const PREFIX: &[u8] = b"x-forwarded-";
    match field.known {
        Some(known) => matches!(
            known,
            Known::Forwarded
                | Known::XRealIp
                | Known::XForwardedFor
                | Known::XForwardedProto
                | Known::XForwardedHost
        ),
        None => field.name.get(..PREFIX.len()).is_some_and(|start| {
            // Many services read `_` and `-` alike.
            start.iter().zip(PREFIX).all(|(byte, known)| match byte {
                b'_' => *known == b'-',
                byte => byte.to_ascii_lowercase() == *known,
            })
        }),
    }
}

/// Appends an element to a field that is a list, joining what came before into one line.
fn extend(fields: &mut Fields, known: Known, element: &[&[u8]]) {
    if !fields.contains(known) {
        return fields.append_parts(known, element);
    }
    let mut line = Vec::new();
    for value in fields.get_all(known).filter(|value| !value.is_empty()) {
        line.extend_from_slice(value);
        line.extend_from_slice(b", ");
    }
    for part in element {
        line.extend_from_slice(part);
    }
    fields.remove(known);
    fields.append(known, &line);
}

/// The `for` of one element of `Forwarded`.
fn forwarded_for(element: &[u8]) -> Option<&[u8]> {
    element.split(|byte| *byte == b';').find_map(|pair| {
        let pair = pair.trim_ascii();
        let (name, value) = pair.split_at_checked(4)?;
        name.eq_ignore_ascii_case(b"for=").then_some(value)
    })
}

/// An address, perhaps quoted, bracketed, or with a port.
fn parse_node(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text.trim_ascii()).ok()?.trim_matches('"');
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Some(ip.to_canonical());
    }
    if let Some(bracketed) = text.strip_prefix('[') {
        return bracketed.split_once(']')?.0.parse().ok().map(|ip: IpAddr| ip.to_canonical());
    }
    text.split_once(':')?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn fields(lines: &[(Known, &str)]) -> Fields {
        let mut fields = Fields::new();
        for (known, value) in lines {
            fields.append(*known, value.as_bytes());
        }
        fields
    }

    fn networks() -> Vec<Cidr> {
        vec![Cidr::parse("10.0.0.0/8").unwrap(), Cidr::parse("fd00::/8").unwrap()]
    }

    #[test]
    fn the_client_is_the_nearest_address_that_is_not_trusted() {
        use Known::{Forwarded, XForwardedFor};
        let cases: [(&[(Known, &str)], &str); 9] = [
            (&[], "10.0.0.1"),
            (&[(XForwardedFor, "203.0.113.9")], "203.0.113.9"),
            (&[(XForwardedFor, "6.6.6.6, 203.0.113.9, 10.1.1.1")], "203.0.113.9"),
            (&[(XForwardedFor, "6.6.6.6"), (XForwardedFor, "203.0.113.9:4711, 10.1.1.1")], "203.0.113.9"),
            (&[(XForwardedFor, "6.6.6.6, junk, 10.1.1.1")], "10.1.1.1"),
            (&[(Forwarded, "for=6.6.6.6, For=\"[2001:db8::1]:99\";proto=https")], "2001:db8::1"),
            (&[(Forwarded, "proto=https")], "10.0.0.1"),
            (&[(XForwardedFor, "10.3.3.3")], "10.3.3.3"),
            (&[(XForwardedFor, "::ffff:203.0.113.9")], "203.0.113.9"),
        ];
        for (lines, client) in cases {
            let found = client_ip("10.0.0.1".parse().unwrap(), &networks(), &fields(lines));
            assert_eq!(found, client.parse::<IpAddr>().unwrap(), "{lines:?}");
        }
    }

    #[test]
    fn what_a_stranger_says_is_replaced_and_what_a_trusted_peer_says_is_extended() {
        let sent = [
            (Known::XForwardedFor, "6.6.6.6"),
            (Known::XForwardedProto, "https"),
            (Known::XForwardedHost, "evil.example"),
            (Known::Forwarded, "for=6.6.6.6"),
            (Known::Via, "1.0 old"),
        ];
        let peer = PeerText::new("192.0.2.1".parse().unwrap());
        let mut stranger = fields(&sent);
        set(&mut stranger, &peer, false, "http", "a.example");
        assert_eq!(stranger.get(Known::XForwardedFor).unwrap(), b"192.0.2.1");
        assert_eq!(stranger.get(Known::XForwardedProto).unwrap(), b"http");
        assert_eq!(stranger.get(Known::XForwardedHost).unwrap(), b"a.example");
        assert_eq!(stranger.get(Known::Forwarded).unwrap(), b"for=192.0.2.1;host=\"a.example\";proto=http");
        assert_eq!(stranger.get(Known::Via).unwrap(), b"1.0 old, 1.1 tollgate");
        let mut trusted = fields(&sent);
        set(&mut trusted, &peer, true, "http", "a.example");
        assert_eq!(trusted.get(Known::XForwardedFor).unwrap(), b"6.6.6.6, 192.0.2.1");
        assert_eq!(trusted.get(Known::XForwardedProto).unwrap(), b"https");
        assert_eq!(trusted.get(Known::XForwardedHost).unwrap(), b"evil.example");
        assert!(trusted.get(Known::Forwarded).unwrap().starts_with(b"for=6.6.6.6, for=192.0.2.1;"));
    }

    #[test]
    fn many_lines_before_the_nearest_do_not_hide_it() {
        let mut lines = vec![(Known::XForwardedFor, "6.6.6.6"); 40];
        lines.push((Known::XForwardedFor, "203.0.113.9"));
        let found = client_ip("10.0.0.1".parse().unwrap(), &networks(), &fields(&lines));
        assert_eq!(found, "203.0.113.9".parse::<IpAddr>().unwrap());
    }

    #[test]
    fn no_field_of_a_stranger_speaks_of_where_it_came_from() {
        let peer = PeerText::new("192.0.2.1".parse().unwrap());
        for name in ["X-Forwarded-Port", "x-forwarded-prefix", "X_Forwarded_Ssl", "X-Real-IP"] {
            let mut sent = Fields::new();
            sent.append_named(name.as_bytes(), b"evil");
            sent.append_named(b"X-Forward", b"kept");
            set(&mut sent, &peer, false, "http", "a.example");
            assert!(sent.get_named(name.as_bytes()).is_none(), "{name}");
            assert!(sent.get_named(b"X-Forward").is_some());
        }
    }

    #[test]
    fn a_long_list_is_extended_whole() {
        let long = vec!["203.0.113.77"; 60].join(", ");
        let mut list = fields(&[(Known::XForwardedFor, &long)]);
        set(&mut list, &PeerText::new("fe80::1".parse().unwrap()), true, "http", "");
        assert_eq!(list.get(Known::XForwardedFor).unwrap(), format!("{long}, fe80::1").as_bytes());
        assert!(list.get(Known::Forwarded).unwrap().starts_with(b"for=\"[fe80::1]\""));
    }
}
