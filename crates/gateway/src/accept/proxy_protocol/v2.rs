//! Version 2: a signature that no other protocol begins with, a command, a family, addresses, and tagged values.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::crc32c::crc32c;
use super::{Endpoints, Header, HeaderFault};

/// How a header of version 2 begins.
pub(super) const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, command, family, length.
pub(super) const FIXED: usize = 16;
/// The longest header that is read: room for tagged values such as a client's certificate. The protocol's own bound is
/// 64 KiB.
pub const MAX_LENGTH: usize = 8 * 1024;

/// Version and command in one byte.
pub(super) const LOCAL: u8 = 0x20;
pub(super) const PROXY: u8 = 0x21;
/// Families in the upper half of a byte, transports in the lower.
pub(super) const UNSPECIFIED: u8 = 0;
pub(super) const INET: u8 = 1;
pub(super) const INET6: u8 = 2;
const UNIX: u8 = 3;
pub(super) const STREAM: u8 = 1;
const DATAGRAM: u8 = 2;
/// Bytes of two Unix sockets' paths.
const UNIX_LENGTH: usize = 2 * 108;
/// Type and length of a tagged value.
const TAG: usize = 3;
/// The type of the checksum's tagged value.
pub(super) const TYPE_CRC32C: u8 = 3;

/// Reads the header. It begins with the signature, as far as it is there.
pub(super) fn parse(bytes: &[u8]) -> Result<Option<Header>, HeaderFault> {
    let [command, family, high, low, ..] = *bytes.get(SIGNATURE.len()..).unwrap_or_default() else {
        // What is there already may be wrong.
        return match bytes.get(SIGNATURE.len()) {
            Some(command) if !matches!(*command, LOCAL | PROXY) => Err(HeaderFault::Malformed),
            _ => Ok(None),
        };
    };
    if !matches!(command, LOCAL | PROXY) {
        return Err(HeaderFault::Malformed);
    }
    let length = FIXED + usize::from(u16::from_be_bytes([high, low]));
    if length > MAX_LENGTH {
        return Err(HeaderFault::TooLong);
    }
    let Some(header) = bytes.get(..length) else { return Ok(None) };
    // The block of a LOCAL header is to be thrown away unseen, its family with it (section 2.2).
    let client = if command == PROXY { read_block(header, family)? } else { None };
    Ok(Some(Header { client, is_local: command == LOCAL, length }))
}

fn read_block(header: &[u8], family: u8) -> Result<Option<Endpoints>, HeaderFault> {
    let (family, transport) = (family >> 4, family & 15);
    if transport > DATAGRAM {
        return Err(HeaderFault::Malformed);
    }
    let block = &header[FIXED..];
    let (addresses, client) = match family {
        // Where its tagged values would begin is not said: the block is skipped.
        UNSPECIFIED => return Ok(None),
        INET => (12, read_inet(block)),
        INET6 => (36, read_inet6(block)),
        UNIX => (UNIX_LENGTH, None),
        _ => return Err(HeaderFault::Malformed),
    };
    let mut tagged = block.get(addresses..).ok_or(HeaderFault::Malformed)?;
    let mut checksum = None;
    // Each turn takes three bytes at least, of `MAX_LENGTH`.
    while !tagged.is_empty() {
        let [kind, high, low, rest @ ..] = tagged else { return Err(HeaderFault::Malformed) };
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let (value, rest) = rest.split_at_checked(length).ok_or(HeaderFault::Malformed)?;
        if *kind == TYPE_CRC32C {
            let at = header.len() - tagged.len() + TAG;
            let value = <[u8; 4]>::try_from(value).map_err(|_| HeaderFault::Malformed)?;
            if checksum.replace((at, u32::from_be_bytes(value))).is_some() {
                return Err(HeaderFault::Malformed);
            }
        }
        tagged = rest;
    }
    if let Some((at, expected)) = checksum
        && checksum_of(header, at) != expected
    {
        return Err(HeaderFault::Checksum);
    }
    // Addresses of what is no stream say nothing of this connection.
    Ok(client.filter(|_| transport == STREAM))
}

/// The checksum of a header in which its own place, four bytes, counts as zeros.
pub(super) fn checksum_of(header: &[u8], at: usize) -> u32 {
    crc32c(header[..at].iter().copied().chain([0; 4]).chain(header[at + 4..].iter().copied()))
}

fn read_inet(block: &[u8]) -> Option<Endpoints> {
    let (source, rest) = block.split_first_chunk::<4>()?;
    let (destination, rest) = rest.split_first_chunk::<4>()?;
    endpoints(Ipv4Addr::from(*source).into(), Ipv4Addr::from(*destination).into(), rest)
}

fn read_inet6(block: &[u8]) -> Option<Endpoints> {
    let (source, rest) = block.split_first_chunk::<16>()?;
    let (destination, rest) = rest.split_first_chunk::<16>()?;
    endpoints(Ipv6Addr::from(*source).into(), Ipv6Addr::from(*destination).into(), rest)
}

fn endpoints(source: IpAddr, destination: IpAddr, ports: &[u8]) -> Option<Endpoints> {
    let (source_port, rest) = ports.split_first_chunk::<2>()?;
    let destination_port = rest.first_chunk::<2>()?;
    Some(Endpoints {
        source: SocketAddr::new(source, u16::from_be_bytes(*source_port)),
        destination: SocketAddr::new(destination, u16::from_be_bytes(*destination_port)),
    })
}
