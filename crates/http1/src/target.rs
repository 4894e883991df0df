//! Normalises request targets once, so that routing and the service see the same path (RFC 3986, section 6).

use crate::TargetFault;

/// Appends the normalised form of a raw path (which begins with `/`) to `out`: percent-encoded unreserved characters decoded, hex
/// upper-cased, dot segments resolved, runs of slashes made one; an encoded slash stays data.
pub fn normalise_path(raw: &[u8], out: &mut String) -> Result<(), TargetFault> {
    let _ = (raw, out);
    todo!()
}

/// Appends a raw query, bytes that may not stand in a URI percent-encoded, to `out`. Nothing is decoded.
pub fn normalise_query(raw: &[u8], out: &mut String) -> Result<(), TargetFault> {
    let _ = (raw, out);
    todo!()
}
