//! Parses a request's head (RFC 9112, section 3).

use crate::{Limits, RequestFault, RequestHead};

/// Parses one request head from the beginning of `bytes` into `head`, which is cleared first. Empty lines
/// before it (RFC 9112, section 2.2: at most one CRLF tolerated) are counted. Returns the bytes it took, or `None` when the head has
/// not all come. `scanned` is the caller's memory between calls (0 at first): how far `bytes` is already
/// known not to hold the head's end, so that a head that comes byte by byte costs no more than one that does not.
pub fn parse_request(
    bytes: &[u8],
    scanned: &mut usize,
    limits: &Limits,
    head: &mut RequestHead,
) -> Result<Option<usize>, RequestFault> {
    let _ = (bytes, scanned, limits, head);
    todo!()
}
