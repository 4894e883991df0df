//! The PROXY protocol (HAProxy's specification of 2020/03/05, versions 1 and 2): who the client is, said before its
//! first byte by whoever passes its connection on. Bytes in, addresses out, and back; only `read` does I/O.
//!
//! Strict: a header that is not exactly one of the specification is a fault, and so is everything else at its place.

mod crc32c;
mod encode;
mod read;
mod v1;
mod v2;

use std::net::SocketAddr;

pub use encode::{Version, encode};
pub use read::{Refused, read};
pub use v2::MAX_LENGTH;

/// A header that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Whose connection it is; nothing when the sender speaks for itself (LOCAL), does not know (UNKNOWN, UNSPEC), or
    /// passes on what is no TCP: then the connection's own addresses hold.
    pub client: Option<Endpoints>,
    /// Whether the sender speaks for itself (LOCAL). If not, and it names no client, somebody is behind it all the same.
    pub is_local: bool,
    /// Bytes that the header takes. What follows is the client's.
    pub length: usize,
}

/// The two ends of a client's connection, of one family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Endpoints {
    /// The client's address.
    pub source: SocketAddr,
    /// The address that it connected to.
    pub destination: SocketAddr,
}

/// Why the first bytes of a connection are no header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeaderFault {
    /// They begin as something else.
    #[error("the connection does not begin with a PROXY header")]
    Missing,
    /// They begin as a header and do not go on as one.
    #[error("the PROXY header is malformed")]
    Malformed,
    /// It is longer than version 1 allows, or than what is read of version 2.
    #[error("the PROXY header is too long")]
    TooLong,
    /// Its checksum is wrong.
    #[error("the PROXY header's checksum is wrong")]
    Checksum,
}

impl HeaderFault {
    /// The stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Missing => "proxy_protocol_missing",
            Self::Malformed => "proxy_protocol_malformed",
            Self::TooLong => "proxy_protocol_too_long",
            Self::Checksum => "proxy_protocol_checksum",
        }
    }
}

/// Reads a header from the first bytes of a connection; `None` while more of it is needed, which is at most
/// [`MAX_LENGTH`] bytes in all.
pub fn parse(bytes: &[u8]) -> Result<Option<Header>, HeaderFault> {
    if is_begun(bytes, v2::SIGNATURE) {
        v2::parse(bytes)
    } else if is_begun(bytes, v1::SIGNATURE) {
        v1::parse(bytes)
    } else {
        Err(HeaderFault::Missing)
    }
}

/// Whether as much of the signature stands there as could.
fn is_begun(bytes: &[u8], signature: &[u8]) -> bool {
    bytes.iter().zip(signature).all(|(byte, expected)| byte == expected)
}

#[cfg(test)]
mod tests;
