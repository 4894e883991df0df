//! Parses an answer's head (RFC 9112, section 4).

use std::mem::MaybeUninit;

use http::{Method, StatusCode, Version};
use memchr::memchr;

use crate::control::{Control, append_upgrade, remove_named_fields};
use crate::lines::{HeaderRoom, ends_are_strict, find_end, find_fault, lines, range};
use crate::{Framing, Known, Limits, ResponseFault, ResponseHead};

/// Parses one answer head, interim ones (1xx) included. `method` is the request's: it decides the framing of
/// answers to HEAD and CONNECT. Otherwise as [`crate::parse_request`], but that no empty line may come before
/// (RFC 9112, section 2.2 lets servers alone skip one).
///
/// A bodiless status that announces a body all the same (204 with `Content-Length: 5`) is read as
/// RFC 9112, section 6.3 says, without one, but the connection is not persistent: the service may send it.
pub fn parse_response(
    bytes: &[u8],
    scanned: &mut usize,
    limits: &Limits,
    method: &Method,
    head: &mut ResponseHead,
) -> Result<Option<usize>, ResponseFault> {
    head.clear();
    let beginning = &bytes[..bytes.len().min(PROTOCOL.len())];
    if beginning != &PROTOCOL[..beginning.len()] {
        return Err(ResponseFault::StatusLine);
    }
    if *scanned == 0
        && let Some(end) = read(bytes, limits, method, head)?
    {
        return Ok(Some(end));
    }
    let searched = *scanned;
    let Some(end) = find_end(bytes, 0, scanned, limits)? else {
        return match memchr(b'\n', bytes) {
            Some(end) if end >= searched => check_status_line(&bytes[..end - 1]).map(|()| None),
            _ => Ok(None),
        };
    };
    *scanned = 0;
    match read(&bytes[..end], limits, method, head)? {
        Some(end) => Ok(Some(end)),
        None => Err(find_response_fault(&bytes[..end])),
    }
}

/// How every answer begins.
const PROTOCOL: &[u8] = b"HTTP/";

/// Reads the head if it is whole and its lines are without fault.
fn read(
    bytes: &[u8],
    limits: &Limits,
    method: &Method,
    head: &mut ResponseHead,
) -> Result<Option<usize>, ResponseFault> {
    let mut room: HeaderRoom<'_> = [const { MaybeUninit::uninit() }; _];
    let mut parsed = httparse::Response::new(&mut []);
    let Ok(httparse::Status::Complete(length)) = httparse::ParserConfig::default()
        .parse_response_with_uninit_headers(&mut parsed, bytes, &mut room[..limits.fields()])
    else {
        return Ok(None);
    };
    let (Some(version), Some(code)) = (parsed.version, parsed.code) else {
        return Ok(None);
    };
    let Some(line) = memchr(b'\n', bytes) else {
        return Ok(None);
    };
    if line > limits.line.saturating_add(1) || length > limits.head || bytes[line - 1] != b'\r' {
        return Ok(None);
    }
    let text = &bytes[line + 1..length];
    if !ends_are_strict(text, parsed.headers) {
        return Ok(None);
    }
    head.status = StatusCode::from_u16(code).map_err(|_| ResponseFault::StatusLine)?;
    head.version = if version == 0 { Version::HTTP_10 } else { Version::HTTP_11 };
    let control = read_fields(text, parsed.headers, head)?;
    apply(&control, method, head)?;
    Ok(Some(length))
}

/// Walks the fields: the end-to-end ones stay in the head, the others leave what they say in the control.
fn read_fields(
    text: &[u8],
    headers: &[httparse::Header<'_>],
    head: &mut ResponseHead,
) -> Result<Control, ResponseFault> {
    let mut control = Control::default();
    head.fields.load(text);
    for header in headers {
        let (name, value) = (header.name.as_bytes(), header.value);
        let known = Known::of(name);
        let is_kept = match known {
            Some(Known::ContentLength) => {
                control.read_content_length(value)?;
                false
            }
            Some(Known::TransferEncoding) => {
                control.read_transfer_encoding(value);
                false
            }
            Some(Known::Connection) => control.read_connection(value)?,
            Some(Known::Upgrade) => {
                append_upgrade(&mut head.upgrade, value);
                false
            }
            // `Host` and `TE` are no fields of answers; a challenge to a proxy's client (RFC 9110, section
            // 11.7.1) is for this hop.
            Some(
                Known::Host
                | Known::KeepAlive
                | Known::ProxyAuthenticate
                | Known::ProxyConnection
                | Known::Te,
            ) => false,
            _ => true,
        };
        if is_kept {
            head.fields.push_loaded(known, range(text, name), range(text, value));
        }
    }
    Ok(control)
}

/// Takes from the control what it says of the whole message; the order is that of RFC 9112, section 6.3.
fn apply(control: &Control, method: &Method, head: &mut ResponseHead) -> Result<(), ResponseFault> {
    // Unlike in a request, `Connection: Transfer-Encoding` is sent by servers that mean no harm, and does
    // none: the framing is read before anything is removed.
    if control.names_fields {
        remove_named_fields(&mut head.fields);
    }
    let is_chunked = control.is_chunked(head.version)?;
    let length = control.content_length();
    let announces_body = control.has_transfer_encoding() || length.is_some_and(|length| length > 0);
    head.persistent = control.is_persistent(head.version);
    if head.status.is_informational() {
        if announces_body {
            return Err(ResponseFault::InterimWithBody);
        }
        if head.status != StatusCode::SWITCHING_PROTOCOLS {
            head.upgrade.clear();
            return Ok(());
        }
        control.confirm_upgrade(head.version, &mut head.upgrade);
        return if head.upgrade.is_empty() { Err(ResponseFault::UpgradeMissing) } else { Ok(()) };
    }
    head.upgrade.clear();
    if head.status == StatusCode::NO_CONTENT {
        head.persistent &= !announces_body;
        return Ok(());
    }
    // A tunnel begins: whatever announces a body is ignored (RFC 9110, section 9.3.6).
    if *method == Method::CONNECT && head.status.is_success() {
        return Ok(());
    }
    head.content_length = length;
    if *method == Method::HEAD || head.status == StatusCode::NOT_MODIFIED {
        return Ok(());
    }
    head.framing = match length {
        _ if is_chunked => Framing::Chunked,
        Some(0) => Framing::None,
        Some(length) => Framing::Length(length),
        None => {
            head.persistent = false;
            Framing::UntilClose
        }
    };
    Ok(())
}

/// What is wrong with a whole head whose line ends are right.
fn find_response_fault(head: &[u8]) -> ResponseFault {
    let mut lines = lines(head);
    let line = lines.next().unwrap_or_default();
    match check_status_line(line) {
        Err(fault) => fault,
        Ok(()) => {
            find_fault(&head[line.len() + 2..]).map_or(ResponseFault::StatusLine, ResponseFault::Syntax)
        }
    }
}

/// Checks `version SP code [SP reason]` without its CRLF. The space before an empty reason should be there
/// (RFC 9112, section 4), but servers leave it out, and nothing is ambiguous without it.
fn check_status_line(line: &[u8]) -> Result<(), ResponseFault> {
    let (version, rest) = line.split_at_checked(8).ok_or(ResponseFault::StatusLine)?;
    match version {
        b"HTTP/1.0" | b"HTTP/1.1" => {}
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => {
            return Err(ResponseFault::VersionUnsupported);
        }
        _ => return Err(ResponseFault::StatusLine),
    }
    match rest {
        [b' ', b'1'..=b'9', b'0'..=b'9', b'0'..=b'9'] => Ok(()),
        [b' ', b'1'..=b'9', b'0'..=b'9', b'0'..=b'9', b' ', reason @ ..] if crate::is_field_value(reason) => {
            Ok(())
        }
        _ => Err(ResponseFault::StatusLine),
    }
}
