//! Parses an answer's head (RFC 9112, section 4).

use http::Method;

use crate::{Limits, ResponseFault, ResponseHead};

/// Parses one answer head, interim ones (1xx) included. `method` is the request's: it decides the framing of answers to HEAD and
/// CONNECT. Otherwise as [`crate::parse_request`].
pub fn parse_response(
    bytes: &[u8],
    scanned: &mut usize,
    limits: &Limits,
    method: &Method,
    head: &mut ResponseHead,
) -> Result<Option<usize>, ResponseFault> {
    let _ = (bytes, scanned, limits, method, head);
    todo!()
}
