//! Writes heads and chunk frames.

use http::{Method, StatusCode};

use crate::{Fields, Framing};

/// What a request line and the fields that the engine owns are made of.
#[derive(Debug, Clone, Copy)]
pub struct Outgoing<'a> {
    /// The method.
    pub method: &'a Method,
    /// The target as it goes on the wire: path and query, `*`, or an authority.
    pub target: &'a [&'a str],
    /// The value of `Host`.
    pub authority: &'a str,
    /// How the body will be delimited.
    pub framing: Framing,
    /// The value of `Upgrade`, or empty.
    pub upgrade: &'a str,
    /// Whether to say `TE: trailers`.
    pub accepts_trailers: bool,
}

/// Appends a request head: `METHOD target HTTP/1.1`, `Host`, the fields in order, then the framing
/// (`Content-Length: 0` for POST, PUT and PATCH without a body) and `Connection` fields.
pub fn encode_request(out: &mut Vec<u8>, request: &Outgoing<'_>, fields: &Fields) {
    let _ = (out, request, fields);
    todo!()
}

/// Appends an interim (1xx) head, 101 with its `Upgrade` included.
pub fn encode_interim(out: &mut Vec<u8>, status: StatusCode, upgrade: &str, fields: &Fields) {
    let _ = (out, status, upgrade, fields);
    todo!()
}

/// Appends a final answer head for a client of `client_version`: status line (always HTTP/1.1), fields, framing (`content_length` is written where
/// it describes a body that is not sent: HEAD, 304), `Date` if the fields have none and `date` is not empty, and `Connection: close`
/// (or `keep-alive` to a persistent HTTP/1.0 client).
#[allow(clippy::too_many_arguments)]
pub fn encode_response(
    out: &mut Vec<u8>,
    client_version: http::Version,
    status: StatusCode,
    fields: &Fields,
    framing: Framing,
    content_length: Option<u64>,
    persistent: bool,
    date: &[u8],
) {
    let _ = (out, client_version, status, fields, framing, content_length, persistent, date);
    todo!()
}

/// Appends the line before a chunk's data: its size in hexadecimal, CRLF.
pub fn encode_chunk_head(out: &mut Vec<u8>, length: usize) {
    let _ = (out, length);
    todo!()
}

/// Appends the last chunk and the trailers.
pub fn encode_last_chunk(out: &mut Vec<u8>, trailers: &Fields) {
    let _ = (out, trailers);
    todo!()
}
