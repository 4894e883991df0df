//! Writes headers for services that want to know the client.

use std::io::Write;
use std::net::{IpAddr, SocketAddr};

use super::Endpoints;
use super::v2::{INET, INET6, PROXY, SIGNATURE, STREAM, UNSPECIFIED};

/// A version of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Version {
    /// A line of text.
    V1,
    /// Binary.
    V2,
}

/// Appends the header for this client; for `None`, one that says that it is not known.
pub fn encode(version: Version, client: Option<Endpoints>, out: &mut Vec<u8>) {
    let client = client.map(of_one_family);
    match version {
        Version::V1 => encode_v1(client, out),
        Version::V2 => encode_v2(client, out),
    }
}

fn encode_v1(client: Option<Endpoints>, out: &mut Vec<u8>) {
    let Some(Endpoints { source, destination }) = client else {
        out.extend_from_slice(b"PROXY UNKNOWN\r\n");
        return;
    };
    let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
    // Writing to a vector cannot fail.
    let _ = write!(
        out,
        "PROXY {family} {} {} {} {}\r\n",
        source.ip(),
        destination.ip(),
        source.port(),
        destination.port()
    );
}

fn encode_v2(client: Option<Endpoints>, out: &mut Vec<u8>) {
    out.extend_from_slice(SIGNATURE);
    let Some(Endpoints { source, destination }) = client else {
        out.extend_from_slice(&[PROXY, UNSPECIFIED, 0, 0]);
        return;
    };
    match (source.ip(), destination.ip()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            out.extend_from_slice(&[PROXY, INET << 4 | STREAM, 0, 12]);
            out.extend_from_slice(&source.octets());
            out.extend_from_slice(&destination.octets());
        }
        (source, destination) => {
            out.extend_from_slice(&[PROXY, INET6 << 4 | STREAM, 0, 36]);
            out.extend_from_slice(&mapped(source));
            out.extend_from_slice(&mapped(destination));
        }
    }
    out.extend_from_slice(&source.port().to_be_bytes());
    out.extend_from_slice(&destination.port().to_be_bytes());
}

/// Addresses of one family, as a header must have them: IPv4 where both are, else IPv6.
fn of_one_family(Endpoints { source, destination }: Endpoints) -> Endpoints {
    let (from, to) = (source.ip().to_canonical(), destination.ip().to_canonical());
    let (from, to) = if from.is_ipv4() && to.is_ipv4() {
        (from, to)
    } else {
        (IpAddr::from(mapped(from)), IpAddr::from(mapped(to)))
    };
    Endpoints {
        source: SocketAddr::new(from, source.port()),
        destination: SocketAddr::new(to, destination.port()),
    }
}

/// The address as one of IPv6.
fn mapped(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}
