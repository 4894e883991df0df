//! Writes heads and chunk frames.
//!
//! The fields that delimit messages and manage connections are written from what the caller says, never from
//! the list: whatever a policy put there, it cannot change where a message ends.

use http::{Method, StatusCode, Version};

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
///
/// A request cannot end with its connection (RFC 9112, section 6.3): `UntilClose` writes what `None` does.
pub fn encode_request(out: &mut Vec<u8>, request: &Outgoing<'_>, fields: &Fields) {
    out.reserve(fields.wire_size() + 256);
    out.extend_from_slice(request.method.as_str().as_bytes());
    out.push(b' ');
    for part in request.target {
        out.extend_from_slice(part.as_bytes());
    }
    out.extend_from_slice(b" HTTP/1.1\r\nHost: ");
    out.extend_from_slice(request.authority.as_bytes());
    out.extend_from_slice(b"\r\n");
    fields.encode(out);
    match request.framing {
        Framing::Length(length) => encode_content_length(out, length),
        Framing::Chunked => out.extend_from_slice(TRANSFER_ENCODING),
        // RFC 9110, section 8.6: these methods expect content, so its absence is said.
        _ if matches!(*request.method, Method::POST | Method::PUT | Method::PATCH) => {
            encode_content_length(out, 0);
        }
        _ => {}
    }
    let connection: &[u8] = match (request.accepts_trailers, request.upgrade.is_empty()) {
        (false, true) => b"",
        (true, true) => b"TE: trailers\r\nConnection: TE\r\n",
        (false, false) => b"Connection: upgrade\r\nUpgrade: ",
        (true, false) => b"TE: trailers\r\nConnection: TE, upgrade\r\nUpgrade: ",
    };
    out.extend_from_slice(connection);
    if !request.upgrade.is_empty() {
        out.extend_from_slice(request.upgrade.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends an interim (1xx) head, 101 with its `Upgrade` included.
pub fn encode_interim(out: &mut Vec<u8>, status: StatusCode, upgrade: &str, fields: &Fields) {
    encode_status_line(out, status);
    fields.encode(out);
    if !upgrade.is_empty() {
        out.extend_from_slice(b"Connection: upgrade\r\nUpgrade: ");
        out.extend_from_slice(upgrade.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends a final answer head for a client of `client_version`: status line (always HTTP/1.1), fields,
/// framing (`content_length` is written where it describes a body that is not sent: HEAD, 304), `Date` if the
/// fields have none and `date` is not empty, and `Connection: close` (or `keep-alive` to a persistent
/// HTTP/1.0 client).
///
/// `Framing::None` without a `content_length` writes no framing, which is right only where there is never a
/// body (HEAD, 204, 304, CONNECT): any other answer without one says `Some(0)`. `UntilClose` closes, whatever
/// `persistent` says. An HTTP/1.0 client cannot read chunks (RFC 9112, section 6.1): give it `UntilClose`.
#[allow(clippy::too_many_arguments)]
pub fn encode_response(
    out: &mut Vec<u8>,
    client_version: Version,
    status: StatusCode,
    fields: &Fields,
    framing: Framing,
    content_length: Option<u64>,
    persistent: bool,
    date: &[u8],
) {
    debug_assert!(client_version != Version::HTTP_10 || framing != Framing::Chunked);
    out.reserve(fields.wire_size() + 256);
    encode_status_line(out, status);
    let has_date = fields.encode(out);
    match (framing, content_length) {
        (Framing::Length(length), _) => encode_content_length(out, length),
        (Framing::Chunked, _) => out.extend_from_slice(TRANSFER_ENCODING),
        // RFC 9110, section 8.6: never in 1xx and 204.
        (Framing::None, Some(length)) if status != StatusCode::NO_CONTENT && !status.is_informational() => {
            encode_content_length(out, length);
        }
        (Framing::None | Framing::UntilClose, _) => {}
    }
    if !has_date && !date.is_empty() {
        out.extend_from_slice(b"Date: ");
        out.extend_from_slice(date);
        out.extend_from_slice(b"\r\n");
    }
    if !persistent || framing == Framing::UntilClose {
        out.extend_from_slice(b"Connection: close\r\n");
    } else if client_version == Version::HTTP_10 {
        out.extend_from_slice(b"Connection: keep-alive\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends the line before a chunk's data: its size in hexadecimal, CRLF.
///
/// A length of zero would end the body, so nothing is written for it.
pub fn encode_chunk_head(out: &mut Vec<u8>, length: usize) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    if length == 0 {
        return;
    }
    let digits = (usize::BITS - length.leading_zeros()).div_ceil(4);
    for place in (0..digits).rev() {
        out.push(DIGITS[(length >> (4 * place)) & 15]);
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends the last chunk and the trailers.
pub fn encode_last_chunk(out: &mut Vec<u8>, trailers: &Fields) {
    out.extend_from_slice(b"0\r\n");
    trailers.encode(out);
    out.extend_from_slice(b"\r\n");
}

const TRANSFER_ENCODING: &[u8] = b"Transfer-Encoding: chunked\r\n";

fn encode_status_line(out: &mut Vec<u8>, status: StatusCode) {
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status.as_str().as_bytes());
    // The space stays when there is no reason (RFC 9112, section 4).
    out.push(b' ');
    out.extend_from_slice(status.canonical_reason().unwrap_or_default().as_bytes());
    out.extend_from_slice(b"\r\n");
}

fn encode_content_length(out: &mut Vec<u8>, length: u64) {
    // The digits of the largest u64.
    let mut digits = [0; 20];
    let mut start = digits.len();
    let mut rest = length;
    loop {
        start -= 1;
        digits[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(b"Content-Length: ");
    out.extend_from_slice(&digits[start..]);
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(list: &[(&str, &str)]) -> Fields {
        let mut fields = Fields::new();
        for (name, value) in list {
            fields.append_named(name.as_bytes(), value.as_bytes());
        }
        fields
    }

    fn text(bytes: &[u8]) -> String {
        String::from_utf8_lossy(bytes).into_owned()
    }

    fn request(request: &Outgoing<'_>, list: &[(&str, &str)]) -> String {
        let mut out = Vec::new();
        encode_request(&mut out, request, &fields(list));
        text(&out)
    }

    const GET: Outgoing<'static> = Outgoing {
        method: &Method::GET,
        target: &["/a", "?", "b=c"],
        authority: "example.com",
        framing: Framing::None,
        upgrade: "",
        accepts_trailers: false,
    };

    #[test]
    fn a_request_says_what_its_framing_and_connection_need() {
        assert_eq!(
            request(&GET, &[("x-a", "1"), ("Accept", "*/*")]),
            "GET /a?b=c HTTP/1.1\r\nHost: example.com\r\nx-a: 1\r\nAccept: */*\r\n\r\n"
        );
        let ends = [
            (Outgoing { framing: Framing::Length(12), ..GET }, "Content-Length: 12\r\n\r\n"),
            (Outgoing { framing: Framing::Chunked, ..GET }, "Transfer-Encoding: chunked\r\n\r\n"),
            (Outgoing { method: &Method::POST, ..GET }, "Content-Length: 0\r\n\r\n"),
            (Outgoing { method: &Method::DELETE, ..GET }, "example.com\r\n\r\n"),
            (Outgoing { accepts_trailers: true, ..GET }, "TE: trailers\r\nConnection: TE\r\n\r\n"),
            (Outgoing { upgrade: "websocket", ..GET }, "Connection: upgrade\r\nUpgrade: websocket\r\n\r\n"),
            (
                Outgoing { upgrade: "a", accepts_trailers: true, ..GET },
                "TE: trailers\r\nConnection: TE, upgrade\r\nUpgrade: a\r\n\r\n",
            ),
        ];
        for (outgoing, end) in ends {
            let written = request(&outgoing, &[]);
            assert!(written.ends_with(end), "{written:?} should end in {end:?}");
        }
    }

    #[test]
    fn fields_that_the_engine_owns_are_never_taken_from_the_list() {
        let owned = [
            ("Host", "evil"),
            ("content-length", "5"),
            ("Transfer-Encoding", "chunked"),
            ("connection", "x"),
            ("Keep-Alive", "timeout=5"),
            ("Proxy-Connection", "close"),
            ("TE", "gzip"),
            ("Upgrade", "h2c"),
        ];
        assert_eq!(request(&GET, &owned), "GET /a?b=c HTTP/1.1\r\nHost: example.com\r\n\r\n");
        let mut out = Vec::new();
        encode_last_chunk(&mut out, &fields(&owned));
        assert_eq!(text(&out), "0\r\n\r\n");
    }

    #[test]
    fn an_answer_says_what_its_framing_and_connection_need() {
        const V10: Version = Version::HTTP_10;
        const V11: Version = Version::HTTP_11;
        const OK: StatusCode = StatusCode::OK;
        let cases = [
            (
                V11,
                OK,
                Framing::Length(5),
                None,
                true,
                "200 OK\r\nx: y\r\nContent-Length: 5\r\nDate: d\r\n\r\n",
            ),
            (V11, OK, Framing::None, Some(0), true, "200 OK\r\nx: y\r\nContent-Length: 0\r\nDate: d\r\n\r\n"),
            (V11, OK, Framing::None, None, true, "200 OK\r\nx: y\r\nDate: d\r\n\r\n"),
            (
                V11,
                OK,
                Framing::Chunked,
                None,
                false,
                "200 OK\r\nx: y\r\nTransfer-Encoding: chunked\r\nDate: d\r\nConnection: close\r\n\r\n",
            ),
            (
                V11,
                OK,
                Framing::UntilClose,
                None,
                true,
                "200 OK\r\nx: y\r\nDate: d\r\nConnection: close\r\n\r\n",
            ),
            (
                V10,
                OK,
                Framing::Length(5),
                None,
                true,
                "200 OK\r\nx: y\r\nContent-Length: 5\r\nDate: d\r\nConnection: keep-alive\r\n\r\n",
            ),
            (
                V11,
                StatusCode::NO_CONTENT,
                Framing::None,
                Some(0),
                true,
                "204 No Content\r\nx: y\r\nDate: d\r\n\r\n",
            ),
            (
                V11,
                StatusCode::NOT_MODIFIED,
                Framing::None,
                Some(7),
                true,
                "304 Not Modified\r\nx: y\r\nContent-Length: 7\r\nDate: d\r\n\r\n",
            ),
        ];
        for (version, status, framing, length, persistent, expected) in cases {
            let mut out = Vec::new();
            encode_response(
                &mut out,
                version,
                status,
                &fields(&[("x", "y")]),
                framing,
                length,
                persistent,
                b"d",
            );
            assert_eq!(text(&out), format!("HTTP/1.1 {expected}"));
        }
    }

    #[test]
    fn the_date_of_the_service_is_kept() {
        let mut out = Vec::new();
        let fields = fields(&[("date", "theirs")]);
        let status = StatusCode::from_u16(299).unwrap_or_default();
        encode_response(&mut out, Version::HTTP_11, status, &fields, Framing::None, None, true, b"ours");
        assert_eq!(text(&out), "HTTP/1.1 299 \r\ndate: theirs\r\n\r\n");
    }

    #[test]
    fn an_interim_answer_has_no_framing() {
        let mut out = Vec::new();
        encode_interim(&mut out, StatusCode::EARLY_HINTS, "", &fields(&[("Link", "</a>")]));
        encode_interim(&mut out, StatusCode::SWITCHING_PROTOCOLS, "websocket", &fields(&[]));
        assert_eq!(
            text(&out),
            "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n\
             HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
        );
    }

    #[test]
    fn numbers_are_written_in_full() {
        for length in [0, 1, 9, 10, 4_294_967_296, u64::MAX] {
            let mut out = Vec::new();
            encode_content_length(&mut out, length);
            assert_eq!(text(&out), format!("Content-Length: {length}\r\n"));
        }
        for length in [1, 15, 16, 255, 4096, usize::MAX] {
            let mut out = Vec::new();
            encode_chunk_head(&mut out, length);
            assert_eq!(text(&out), format!("{length:x}\r\n"));
        }
        let mut out = Vec::new();
        encode_chunk_head(&mut out, 0);
        assert!(out.is_empty(), "a chunk of nothing would end the body");
    }
}
