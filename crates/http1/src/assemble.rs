//! Fills heads from the parts that a transport with frames of its own (HTTP/2, RFC 9113) has taken apart.
//!
//! What a request says must not depend on how it came: targets, hosts, lengths and fields are read by the same functions as
//! in HTTP/1.1, and what HTTP/1.1 alone has is refused, so that nothing is smuggled to a service that speaks it.

use http::{Method, StatusCode, Version};

use crate::authority::append_authority;
use crate::body::may_trail;
use crate::control::Control;
use crate::fields::is_space;
use crate::request::{LONGEST_METHOD, check_body, read_host, read_message_field, read_path, read_tunnel_end};
use crate::{
    BodyFault, Fields, Framing, Known, LARGEST_TRAILERS, Limits, MOST_TRAILERS, RequestFault, RequestHead,
    ResponseFault, ResponseHead, SyntaxFault, TargetFault, is_field_value, is_token,
};

/// What pseudo-header fields (RFC 9113, section 8.3.1) and frames say of a request.
#[derive(Debug, Clone, Copy)]
pub struct Incoming<'a> {
    /// `:method`
    pub method: &'a Method,
    /// `:authority`
    pub authority: Option<&'a [u8]>,
    /// `:path`; not looked at for CONNECT.
    pub path: &'a [u8],
    /// Whether the message ended with its head.
    pub has_ended: bool,
}

/// Fills `head`, which is cleared first, with a request of HTTP/2. The fields are names and values in order, without the
/// pseudo-header fields.
///
/// The sizes that count against the limits are those that the head has in HTTP/1.1. A body of unknown length is told as
/// `Framing::Chunked`; that it agrees with a length that is told, is the transport's to see (RFC 9113, section 8.1.1). For
/// CONNECT there is no framing: what follows belongs to the tunnel.
///
/// After a fault `head` holds what was read before it, which may be nothing.
pub fn assemble_request<'a>(
    incoming: &Incoming<'a>,
    fields: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    limits: &Limits,
    head: &mut RequestHead,
) -> Result<(), RequestFault> {
    head.clear();
    head.version = Version::HTTP_2;
    head.method = incoming.method.clone();
    let method = incoming.method.as_str();
    if method.len() > LONGEST_METHOD {
        return Err(RequestFault::MethodTooLong);
    }
    let line = method.len() + incoming.path.len() + "  HTTP/1.1".len();
    if line > limits.line {
        return Err(SyntaxFault::LineTooLong.into());
    }
    let mut size = Size { bytes: line + LINE_END + LINE_END, fields: 0 };
    if let Some(authority) = incoming.authority {
        size.add(b"host", authority, limits)?;
    }
    if *incoming.method == Method::CONNECT {
        read_tunnel_end(incoming.authority.unwrap_or_default(), head)?;
    } else {
        if let Some(authority) = incoming.authority {
            append_authority(authority, &mut head.authority).ok_or(TargetFault::Authority)?;
        }
        read_path(incoming.path, head)?;
    }
    let mut control = Control::default();
    let mut host = None;
    for (name, value) in fields {
        let known = check_field(name, value)?;
        // The crumbs of a cookie are one field in HTTP/1.1 (RFC 9113, section 8.2.3).
        if known == Some(Known::Cookie) && head.fields.contains(Known::Cookie) {
            size.bytes += value.len() + CRUMBS_BETWEEN.len();
        } else {
            size.add(name, value, limits)?;
        }
        // Before anything is copied: crumbs are counted by their size alone.
        if size.bytes > limits.head {
            return Err(SyntaxFault::HeadTooLarge.into());
        }
        match known {
            Some(Known::Cookie) => head.fields.extend(Known::Cookie, value, CRUMBS_BETWEEN),
            Some(Known::Host) => {
                if host.replace(value).is_some() {
                    return Err(RequestFault::HostRepeated);
                }
            }
            Some(Known::Te) if value != b"trailers" => return Err(RequestFault::ConnectionField),
            _ if is_of_connections(known) => return Err(RequestFault::ConnectionField),
            _ => {
                if read_message_field(known, name, value, &mut control, head)? {
                    head.fields.push(known, name, value);
                }
            }
        }
    }
    read_host(host, head)?;
    head.framing = match control.content_length() {
        Some(0) => Framing::None,
        Some(length) => Framing::Length(length),
        None if incoming.has_ended || *incoming.method == Method::CONNECT => Framing::None,
        None => Framing::Chunked,
    };
    check_body(head)
}

/// Fills `head`, which is cleared first, with an answer of HTTP/2 to a request with this method; otherwise as
/// [`assemble_request`].
pub fn assemble_response<'a>(
    status: StatusCode,
    fields: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    has_ended: bool,
    method: &Method,
    limits: &Limits,
    head: &mut ResponseHead,
) -> Result<(), ResponseFault> {
    head.clear();
    head.version = Version::HTTP_2;
    head.status = status;
    let mut size = Size { bytes: "HTTP/1.1 200 ".len() + LINE_END + LINE_END, fields: 0 };
    let mut control = Control::default();
    for (name, value) in fields {
        let known = check_field(name, value)?;
        size.add(name, value, limits)?;
        match known {
            Some(Known::ContentLength) => control.read_content_length(value)?,
            // As in HTTP/1.1: no fields of answers, and a challenge that is for this hop.
            Some(Known::Host | Known::Te | Known::ProxyAuthenticate) => {}
            _ if is_of_connections(known) => return Err(ResponseFault::ConnectionField),
            _ => head.fields.push(known, name, value),
        }
    }
    if size.bytes > limits.head {
        return Err(SyntaxFault::HeadTooLarge.into());
    }
    let length = control.content_length();
    if status.is_informational() {
        // RFC 9113, section 8.6: there is nothing to switch to.
        return match status {
            StatusCode::SWITCHING_PROTOCOLS => Err(ResponseFault::UpgradeMissing),
            _ if has_ended || length.is_some_and(|length| length > 0) => Err(ResponseFault::InterimWithBody),
            _ => Ok(()),
        };
    }
    if status == StatusCode::NO_CONTENT || *method == Method::CONNECT && status.is_success() {
        return Ok(());
    }
    head.content_length = length;
    if *method == Method::HEAD || status == StatusCode::NOT_MODIFIED {
        return Ok(());
    }
    head.framing = match length {
        Some(0) => Framing::None,
        Some(length) => Framing::Length(length),
        None if has_ended => {
            head.content_length = Some(0);
            Framing::None
        }
        None => Framing::Chunked,
    };
    Ok(())
}

/// Appends the trailers of a message of HTTP/2, those that may not come after a body left out as in HTTP/1.1.
pub fn assemble_trailers<'a>(
    fields: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    trailers: &mut Fields,
) -> Result<(), BodyFault> {
    let mut bytes = 0;
    for (count, (name, value)) in fields.enumerate() {
        let known = check_field(name, value).map_err(|_| BodyFault::Trailer)?;
        bytes += name.len() + value.len() + BESIDE_FIELD;
        if count >= MOST_TRAILERS || bytes > LARGEST_TRAILERS {
            return Err(BodyFault::TrailersTooLarge);
        }
        if may_trail(name) {
            trailers.push(known, name, value);
        }
    }
    Ok(())
}

/// What a head would take in HTTP/1.1.
struct Size {
    bytes: usize,
    fields: usize,
}

impl Size {
    fn add(&mut self, name: &[u8], value: &[u8], limits: &Limits) -> Result<(), SyntaxFault> {
        self.bytes += name.len() + value.len() + BESIDE_FIELD;
        self.fields += 1;
        if self.fields > limits.fields() { Err(SyntaxFault::TooManyFields) } else { Ok(()) }
    }
}

/// Checks the field's syntax (RFC 9113, section 8.2.1) and finds its name.
fn check_field(name: &[u8], value: &[u8]) -> Result<Option<Known>, SyntaxFault> {
    if !is_token(name) || name.iter().any(u8::is_ascii_uppercase) {
        return Err(SyntaxFault::FieldName);
    }
    let has_space_around =
        value.first().is_some_and(|byte| is_space(*byte)) || value.last().is_some_and(|byte| is_space(*byte));
    if has_space_around || !is_field_value(value) {
        return Err(SyntaxFault::FieldValue);
    }
    Ok(Known::of(name))
}

/// Whether the field manages connections of HTTP/1.1 (RFC 9113, section 8.2.2).
fn is_of_connections(known: Option<Known>) -> bool {
    matches!(
        known,
        Some(
            Known::Connection
                | Known::KeepAlive
                | Known::ProxyConnection
                | Known::TransferEncoding
                | Known::Upgrade
        )
    )
}

/// What stands between two crumbs.
const CRUMBS_BETWEEN: &[u8] = b"; ";
/// A line's CRLF.
const LINE_END: usize = 2;
/// The colon, the space and the CRLF of a field line.
const BESIDE_FIELD: usize = 4;
