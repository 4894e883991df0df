//! Version 1: one line of text, `PROXY TCP4 192.0.2.7 198.51.100.1 56324 443`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use super::{Endpoints, Header, HeaderFault};

/// How a header of version 1 begins.
pub(super) const SIGNATURE: &[u8] = b"PROXY ";
/// The longest line, its end included.
const MAX_LINE: usize = 107;

/// Reads the line. It begins with the signature, as far as it is there.
pub(super) fn parse(bytes: &[u8]) -> Result<Option<Header>, HeaderFault> {
    let seen = &bytes[..bytes.len().min(MAX_LINE)];
    // Both bytes of its end must still lie within the bound.
    let Some(end) = seen.iter().take(MAX_LINE - 1).position(|byte| matches!(byte, b'\r' | b'\n')) else {
        return if seen.len() >= MAX_LINE - 1 { Err(HeaderFault::TooLong) } else { Ok(None) };
    };
    match &seen[end..] {
        [b'\r', b'\n', ..] => {}
        [b'\r'] => return Ok(None),
        _ => return Err(HeaderFault::Malformed),
    }
    let line = str::from_utf8(&seen[..end]).map_err(|_| HeaderFault::Malformed)?;
    let mut fields = line.split(' ').skip(1);
    let client = match fields.next() {
        // What may follow is to be ignored.
        Some("UNKNOWN") => None,
        Some("TCP4") => Some(read_fields(fields, read_ip::<Ipv4Addr>)),
        Some("TCP6") => Some(read_fields(fields, read_ip::<Ipv6Addr>)),
        _ => return Err(HeaderFault::Malformed),
    };
    let client = client.map(|client| client.ok_or(HeaderFault::Malformed)).transpose()?;
    Ok(Some(Header { client, is_local: false, length: end + 2 }))
}

/// The client, said by exactly these fields.
fn read_fields<'a>(
    mut fields: impl Iterator<Item = &'a str>,
    read: fn(&str) -> Option<IpAddr>,
) -> Option<Endpoints> {
    let (source, destination) = (read(fields.next()?)?, read(fields.next()?)?);
    let (source_port, destination_port) = (read_port(fields.next()?)?, read_port(fields.next()?)?);
    let client = Endpoints {
        source: SocketAddr::new(source, source_port),
        destination: SocketAddr::new(destination, destination_port),
    };
    fields.next().is_none().then_some(client)
}

/// An address of one family; the standard library takes no leading zeros in IPv4's.
fn read_ip<A: FromStr + Into<IpAddr>>(text: &str) -> Option<IpAddr> {
    text.parse::<A>().ok().map(Into::into)
}

/// Digits only, without leading zeros.
fn read_port(text: &str) -> Option<u16> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if is_plain { text.parse().ok() } else { None }
}
