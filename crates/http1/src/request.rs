//! Parses a request's head (RFC 9112, section 3).

use std::mem::MaybeUninit;

use http::{Method, Version};
use memchr::memchr;

use crate::authority::{append_authority, has_port, without_port};
use crate::control::{Control, append_upgrade, remove_named_fields};
use crate::fields::{is_token_byte, list};
use crate::lines::{HeaderRoom, ends_are_strict, find_end, find_fault, lines, range};
use crate::{
    Framing, FramingFault, Known, Limits, RequestFault, RequestHead, SyntaxFault, TargetFault, TargetForm,
    is_token, normalise_path, normalise_query,
};

/// The longest method: those in the registry have up to 17 letters.
pub(crate) const LONGEST_METHOD: usize = 32;

/// Bytes of a refused request that are looked at for its log line.
const SALVAGED: usize = 2048;

/// The first byte of a TLS record that holds a handshake.
const TLS_HANDSHAKE: u8 = 0x16;

/// Parses one request head from the beginning of `bytes` into `head`, which is cleared first. Empty lines
/// before it (RFC 9112, section 2.2: at most one CRLF tolerated) are counted. Returns the bytes it took, or
/// `None` when the head has not all come. `scanned` is the caller's memory between calls (0 at first): how
/// far `bytes` is already known not to hold the head's end, so that a head that comes byte by byte costs no
/// more than one that does not.
///
/// After a fault `head` holds what was read before it, which may be nothing.
pub fn parse_request(
    bytes: &[u8],
    scanned: &mut usize,
    limits: &Limits,
    head: &mut RequestHead,
) -> Result<Option<usize>, RequestFault> {
    head.clear();
    let Some(start) = find_start(bytes)? else {
        return Ok(None);
    };
    // Nearly every head comes whole and is read in one pass, without a search for its end.
    if *scanned == 0
        && let Some(end) = read(bytes, start, limits, head)?
    {
        return Ok(Some(end));
    }
    let searched = *scanned;
    let Some(end) = find_end(bytes, start, scanned, limits)? else {
        check_early(bytes, start, searched)?;
        return Ok(None);
    };
    *scanned = 0;
    match read(&bytes[..end], start, limits, head)? {
        Some(end) => Ok(Some(end)),
        None => Err(find_request_fault(&bytes[start..end])),
    }
}

/// Fills in what can be told of a request that was refused, for logs only: the method (`-` if even that is not
/// one), and the target as it came. Fields that have been read stay. The head is no longer one to act on.
pub fn salvage_request(bytes: &[u8], head: &mut RequestHead) {
    head.framing = Framing::None;
    head.persistent = false;
    let line = &bytes[..bytes.len().min(SALVAGED)];
    let line = line.strip_prefix(b"\r\n").unwrap_or(line);
    let end = line.iter().position(|byte| matches!(byte, b'\r' | b'\n')).unwrap_or(line.len());
    let line = &line[..end];
    head.path.clear();
    head.query.clear();
    head.has_query = false;
    let space = memchr(b' ', line).filter(|space| *space <= LONGEST_METHOD && is_token(&line[..*space]));
    let Some(space) = space else {
        head.method = Method::from_bytes(b"-").unwrap_or_default();
        return;
    };
    head.method = Method::from_bytes(&line[..space]).unwrap_or_default();
    let rest = &line[space + 1..];
    let (target, version) = match rest.iter().rposition(|byte| *byte == b' ') {
        Some(space) => (&rest[..space], &rest[space + 1..]),
        None => (rest, &b""[..]),
    };
    if version == b"HTTP/1.0" {
        head.version = Version::HTTP_10;
    }
    let path = &target[..memchr(b'?', target).unwrap_or(target.len())];
    head.path.push_str(&String::from_utf8_lossy(path));
    if let Some(query) = target.get(path.len() + 1..) {
        head.has_query = true;
        head.query.push_str(&String::from_utf8_lossy(query));
    }
}

/// Where the request line begins; `None` if it has not come. Refuses at once what cannot begin a request.
fn find_start(bytes: &[u8]) -> Result<Option<usize>, RequestFault> {
    let start = match bytes {
        [] | [b'\r'] => return Ok(None),
        [b'\r', b'\n', ..] => 2,
        [b'\r', ..] => return Err(SyntaxFault::BareCarriageReturn.into()),
        [b'\n', ..] => return Err(SyntaxFault::BareLineFeed.into()),
        _ => 0,
    };
    match bytes.get(start) {
        None => Ok(None),
        Some(byte) if is_token_byte(*byte) => Ok(Some(start)),
        Some(&TLS_HANDSHAKE) => Err(RequestFault::TlsOnClearPort),
        // A second empty line.
        Some(b'\r' | b'\n') => Err(RequestFault::RequestLine),
        Some(_) => Err(RequestFault::NotHttp),
    }
}

/// Reads the head if it is whole and its lines are without fault.
fn read(
    bytes: &[u8],
    start: usize,
    limits: &Limits,
    head: &mut RequestHead,
) -> Result<Option<usize>, RequestFault> {
    let mut room: HeaderRoom<'_> = [const { MaybeUninit::uninit() }; _];
    let mut parsed = httparse::Request::new(&mut []);
    let message = &bytes[start..];
    let Ok(httparse::Status::Complete(length)) =
        parsed.parse_with_uninit_headers(message, &mut room[..limits.fields()])
    else {
        return Ok(None);
    };
    let (Some(method), Some(target), Some(version)) = (parsed.method, parsed.path, parsed.version) else {
        return Ok(None);
    };
    // httparse demands a single space around the target, so that the line's length tells where it ends.
    let line = method.len() + target.len() + " ".len() + " HTTP/1.1".len();
    if line > limits.line || start + length > limits.head || message.get(line..line + 2) != Some(b"\r\n") {
        return Ok(None);
    }
    let text = &message[line + 2..length];
    if !ends_are_strict(text, parsed.headers) {
        return Ok(None);
    }
    if method.len() > LONGEST_METHOD {
        return Err(RequestFault::MethodTooLong);
    }
    head.method = Method::from_bytes(method.as_bytes()).map_err(|_| RequestFault::RequestLine)?;
    head.version = if version == 0 { Version::HTTP_10 } else { Version::HTTP_11 };
    read_target(target.as_bytes(), head)?;
    let (control, host) = read_fields(text, parsed.headers, head)?;
    read_host(host, head)?;
    apply(&control, head)?;
    Ok(Some(start + length))
}

/// Walks the fields: the end-to-end ones stay in the head, the others leave what they say in the control and,
/// of `Host`, its value.
fn read_fields<'a>(
    text: &'a [u8],
    headers: &[httparse::Header<'a>],
    head: &mut RequestHead,
) -> Result<(Control, Option<&'a [u8]>), RequestFault> {
    let mut control = Control::default();
    let mut host = None;
    head.fields.load(text);
    for header in headers {
        let (name, value) = (header.name.as_bytes(), header.value);
        let known = Known::of(name);
        let is_kept = match known {
            Some(Known::Host) => {
                if host.replace(value).is_some() {
                    return Err(RequestFault::HostRepeated);
                }
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
            // What HTTP/1.0 proxies left behind.
            Some(Known::KeepAlive | Known::ProxyConnection) => false,
            _ => read_message_field(known, name, value, &mut control, head)?,
        };
        if is_kept {
            head.fields.push_loaded(known, range(text, name), range(text, value));
        }
    }
    Ok((control, host))
}

/// Reads a field that means the same on every transport; says whether it is kept.
pub(crate) fn read_message_field(
    known: Option<Known>,
    name: &[u8],
    value: &[u8],
    control: &mut Control,
    head: &mut RequestHead,
) -> Result<bool, RequestFault> {
    match known {
        Some(Known::ContentLength) => {
            control.read_content_length(value)?;
            Ok(false)
        }
        Some(Known::Te) => {
            head.accepts_trailers |= list(value).any(|coding| coding.eq_ignore_ascii_case(b"trailers"));
            Ok(false)
        }
        // Credentials for this hop (RFC 9110, section 11.7.2).
        Some(Known::ProxyAuthorization) => Ok(false),
        Some(Known::Expect) => {
            if !value.eq_ignore_ascii_case(b"100-continue") {
                return Err(RequestFault::ExpectationUnknown);
            }
            // RFC 9110, section 10.1.1: ignored in HTTP/1.0.
            head.expects_continue = head.version != Version::HTTP_10;
            Ok(head.expects_continue)
        }
        Some(_) => Ok(true),
        None => match Known::resembling(name) {
            None => Ok(true),
            Some(Known::ContentLength | Known::TransferEncoding) => Err(FramingFault::Lookalike.into()),
            // `X_Forwarded_For` and its like would pass unseen what the gateway replaces or checks.
            Some(_) => Ok(false),
        },
    }
}

/// Takes from the control what it says of the whole message.
fn apply(control: &Control, head: &mut RequestHead) -> Result<(), RequestFault> {
    if control.names_end_to_end {
        return Err(RequestFault::ConnectionNamesEndToEnd);
    }
    if control.names_fields {
        remove_named_fields(&mut head.fields);
    }
    head.framing = match control.content_length() {
        _ if control.is_chunked(head.version)? => Framing::Chunked,
        None | Some(0) => Framing::None,
        Some(length) => Framing::Length(length),
    };
    head.persistent = control.is_persistent(head.version);
    control.confirm_upgrade(head.version, &mut head.upgrade);
    // Content of these has no meaning (RFC 9110, sections 9.3.1 and 9.3.2) and programs disagree whether to read
    // it: nothing may follow it on the connection.
    if head.framing != Framing::None && matches!(head.method, Method::GET | Method::HEAD) {
        head.persistent = false;
    }
    check_body(head)
}

/// Refuses a body where there can be none.
pub(crate) fn check_body(head: &RequestHead) -> Result<(), RequestFault> {
    match head.method {
        _ if head.framing == Framing::None => Ok(()),
        Method::CONNECT => Err(RequestFault::ConnectWithBody),
        Method::TRACE => Err(RequestFault::TraceWithBody),
        _ => Ok(()),
    }
}

/// Reads the target in one of its four forms (RFC 9112, section 3.2).
fn read_target(target: &[u8], head: &mut RequestHead) -> Result<(), TargetFault> {
    if head.method == Method::CONNECT {
        return read_tunnel_end(target, head);
    }
    if matches!(target, b"*" | [b'/', ..]) {
        return read_path(target, head);
    }
    let scheme = target.windows(3).position(|part| part == b"://").ok_or(TargetFault::Form)?;
    if ![&b"http"[..], b"https"].iter().any(|known| known.eq_ignore_ascii_case(&target[..scheme])) {
        return Err(TargetFault::Scheme);
    }
    head.form = TargetForm::Absolute;
    let rest = &target[scheme + 3..];
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
    append_authority(&rest[..end], &mut head.authority).ok_or(TargetFault::Authority)?;
    match rest.get(end) {
        // Section 3.2.4: an OPTIONS for the host as a whole.
        None if head.method == Method::OPTIONS => read_asterisk(head),
        // RFC 3986, section 6.2.3: an empty path is the root.
        None => {
            head.path.push('/');
            Ok(())
        }
        Some(b'?') => {
            head.path.push('/');
            head.has_query = true;
            normalise_query(&rest[end + 1..], &mut head.query)
        }
        Some(_) => read_path_and_query(&rest[end..], head),
    }
}

/// Reads where a CONNECT leads.
pub(crate) fn read_tunnel_end(target: &[u8], head: &mut RequestHead) -> Result<(), TargetFault> {
    head.form = TargetForm::Authority;
    append_authority(target, &mut head.authority).ok_or(TargetFault::Authority)?;
    // RFC 9110, section 9.3.6: there is no default port.
    if has_port(&head.authority) { Ok(()) } else { Err(TargetFault::Authority) }
}

/// Reads a target that names no authority: a path with or without a query, or `*`.
pub(crate) fn read_path(target: &[u8], head: &mut RequestHead) -> Result<(), TargetFault> {
    match target {
        b"*" => read_asterisk(head),
        [b'/', ..] => read_path_and_query(target, head),
        _ => Err(TargetFault::Form),
    }
}

fn read_asterisk(head: &mut RequestHead) -> Result<(), TargetFault> {
    if head.method != Method::OPTIONS {
        return Err(TargetFault::Form);
    }
    head.form = TargetForm::Asterisk;
    head.path.push('*');
    Ok(())
}

fn read_path_and_query(target: &[u8], head: &mut RequestHead) -> Result<(), TargetFault> {
    let Some(mark) = memchr(b'?', target) else {
        return normalise_path(target, &mut head.path);
    };
    normalise_path(&target[..mark], &mut head.path)?;
    head.has_query = true;
    normalise_query(&target[mark + 1..], &mut head.query)
}

/// Reads `Host`, or compares it with the authority that the target named: that one counts (RFC 9112, section
/// 3.2.2), but a client that says two things is refused.
pub(crate) fn read_host(host: Option<&[u8]>, head: &mut RequestHead) -> Result<(), RequestFault> {
    let Some(host) = host else {
        // HTTP/2 has a field of its own for it, and needs no other (RFC 9113, section 8.3.1).
        let is_missing = match head.version {
            Version::HTTP_10 => false,
            Version::HTTP_11 => true,
            _ => head.authority.is_empty(),
        };
        return if is_missing { Err(RequestFault::HostMissing) } else { Ok(()) };
    };
    let named = head.authority.len();
    append_authority(host, &mut head.authority).ok_or(RequestFault::HostMalformed)?;
    if named == 0 {
        return Ok(());
    }
    let (target, host) = head.authority.split_at(named);
    let same = match head.form {
        // A CONNECT's port is the tunnel's end, and clients differ in whether they repeat it.
        TargetForm::Authority if !has_port(host) => without_port(target) == host,
        _ => target == host,
    };
    head.authority.truncate(named);
    if same { Ok(()) } else { Err(RequestFault::HostMismatch) }
}

/// Refuses a request line as soon as it has come, so that who does not speak HTTP is not waited for.
/// `searched` is how far former calls have looked.
fn check_early(bytes: &[u8], start: usize, searched: usize) -> Result<(), RequestFault> {
    match memchr(b'\n', &bytes[start..]) {
        Some(end) if start + end >= searched => check_request_line(&bytes[start..start + end - 1]),
        _ => Ok(()),
    }
}

/// What is wrong with a whole head whose line ends are right.
fn find_request_fault(head: &[u8]) -> RequestFault {
    let mut lines = lines(head);
    let line = lines.next().unwrap_or_default();
    match check_request_line(line) {
        Err(fault) => fault,
        Ok(()) => find_fault(&head[line.len() + 2..]).map_or(RequestFault::RequestLine, RequestFault::Syntax),
    }
}

/// Checks `method SP target SP version` (RFC 9112, section 3), without its CRLF.
fn check_request_line(line: &[u8]) -> Result<(), RequestFault> {
    let mut parts = line.splitn(3, |byte| *byte == b' ');
    let (Some(method), Some(target), Some(version)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(RequestFault::RequestLine);
    };
    if line == b"PRI * HTTP/2.0" {
        return Err(RequestFault::Http2Preface);
    }
    if !is_token(method) || target.is_empty() || version.contains(&b' ') {
        return Err(RequestFault::RequestLine);
    }
    if method.len() > LONGEST_METHOD {
        return Err(RequestFault::MethodTooLong);
    }
    if target.iter().any(u8::is_ascii_control) {
        return Err(TargetFault::Character.into());
    }
    if std::str::from_utf8(target).is_err() {
        return Err(TargetFault::NotUtf8.into());
    }
    match version {
        b"HTTP/1.0" | b"HTTP/1.1" => Ok(()),
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => {
            Err(RequestFault::VersionUnsupported)
        }
        _ => Err(RequestFault::VersionMalformed),
    }
}
