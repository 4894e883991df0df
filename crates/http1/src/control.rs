//! What the fields say that frame a message or manage its connection: they are read here and go no further.

use http::Version;

use crate::fields::list;
use crate::{Fields, FramingFault, Known, SyntaxFault, is_token};

/// The most options in the `Connection` fields of one message.
const MOST_OPTIONS: usize = 32;

/// Collects those fields while the parser walks the head.
#[derive(Debug, Default)]
pub(crate) struct Control {
    content_length: Option<u64>,
    transfer: Option<Transfer>,
    close: bool,
    keep_alive: bool,
    upgrade: bool,
    options: usize,
    /// `Connection` names fields, which are to be removed.
    pub(crate) names_fields: bool,
    /// It names one that the gateway acts on.
    pub(crate) names_end_to_end: bool,
}

/// What the list of transfer codings came to so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Transfer {
    /// `chunked`, alone.
    Chunked,
    /// Only unknown codings; all would be well but for them if `chunked` ended the list.
    Unknown,
    /// Unknown codings, then `chunked`.
    UnknownChunked,
    Malformed,
}

impl Control {
    /// Reads a `Content-Length`: one, of plain digits (RFC 9112, section 6.3; the list of equal values that
    /// it would let us repair is refused).
    pub(crate) fn read_content_length(&mut self, value: &[u8]) -> Result<(), FramingFault> {
        if self.content_length.is_some() {
            return Err(FramingFault::ContentLengthRepeated);
        }
        self.content_length = Some(plain_number(value).ok_or(FramingFault::ContentLengthMalformed)?);
        Ok(())
    }

    /// Reads a `Transfer-Encoding`; several are one list (RFC 9112, section 6.1).
    pub(crate) fn read_transfer_encoding(&mut self, value: &[u8]) {
        // Empty elements, which a list otherwise may have, are refused here.
        for coding in value.split(|byte| *byte == b',').map(crate::fields::trim) {
            let is_chunked = coding.eq_ignore_ascii_case(b"chunked");
            self.transfer = Some(match self.transfer {
                _ if !is_token(coding) => Transfer::Malformed,
                None if is_chunked => Transfer::Chunked,
                Some(Transfer::Unknown) if is_chunked => Transfer::UnknownChunked,
                None | Some(Transfer::Unknown) => Transfer::Unknown,
                // Whatever comes after `chunked` is wrong.
                Some(_) => Transfer::Malformed,
            });
        }
    }

    /// Reads a `Connection` (RFC 9110, section 7.6.1). Says whether it names fields, so that it must be
    /// looked at again by [`remove_named_fields`].
    pub(crate) fn read_connection(&mut self, value: &[u8]) -> Result<bool, SyntaxFault> {
        let mut names_fields = false;
        for option in list(value) {
            self.options += 1;
            if self.options > MOST_OPTIONS || !is_token(option) {
                return Err(SyntaxFault::Connection);
            }
            if option.eq_ignore_ascii_case(b"keep-alive") {
                self.keep_alive = true;
            } else if option.eq_ignore_ascii_case(b"close") {
                self.close = true;
            } else if option.eq_ignore_ascii_case(b"upgrade") {
                self.upgrade = true;
            } else {
                match Known::of(option) {
                    // The gateway reads these two for itself and removes them anyway.
                    Some(Known::Te | Known::ProxyConnection | Known::ProxyAuthorization) => {}
                    Some(Known::Trailer) | None => names_fields = true,
                    Some(_) => {
                        names_fields = true;
                        self.names_end_to_end = true;
                    }
                }
            }
        }
        self.names_fields |= names_fields;
        Ok(names_fields)
    }

    /// What `Content-Length` said.
    pub(crate) fn content_length(&self) -> Option<u64> {
        self.content_length
    }

    /// Whether the body is chunked. Both ways of framing in one message are refused: RFC 9112, section 6.3
    /// lets a gateway repair that, but it is what smuggling is made of.
    pub(crate) fn is_chunked(&self, version: Version) -> Result<bool, FramingFault> {
        let Some(transfer) = self.transfer else {
            return Ok(false);
        };
        if self.content_length.is_some() {
            return Err(FramingFault::LengthAndTransferEncoding);
        }
        if version == Version::HTTP_10 {
            return Err(FramingFault::TransferEncodingInHttp10);
        }
        match transfer {
            Transfer::Chunked => Ok(true),
            Transfer::UnknownChunked => Err(FramingFault::TransferEncodingUnknown),
            Transfer::Unknown | Transfer::Malformed => Err(FramingFault::TransferEncodingMalformed),
        }
    }

    /// Whether there was any `Transfer-Encoding`.
    pub(crate) fn has_transfer_encoding(&self) -> bool {
        self.transfer.is_some()
    }

    /// Whether the connection may live on (RFC 9112, section 9.3).
    pub(crate) fn is_persistent(&self, version: Version) -> bool {
        !self.close && (version == Version::HTTP_11 || self.keep_alive)
    }

    /// Empties `upgrade`, the value of `Upgrade`, unless it is to be acted on: `Connection` confirms it, the
    /// message is HTTP/1.1 (RFC 9110, section 7.8), and it is not to another version of HTTP. A server may
    /// ignore that offer, and a gateway must: through a tunnel in `h2c` requests would reach the service that
    /// no route has seen.
    pub(crate) fn confirm_upgrade(&self, version: Version, upgrade: &mut String) {
        let is_http = |protocol: &[u8]| {
            protocol.eq_ignore_ascii_case(b"h2c")
                || protocol.get(..4).is_some_and(|name| name.eq_ignore_ascii_case(b"http"))
        };
        if !self.upgrade || version != Version::HTTP_11 || list(upgrade.as_bytes()).any(is_http) {
            upgrade.clear();
        }
    }
}

/// Appends one value of `Upgrade` to those before it. One that is not ASCII text is no protocol that anybody
/// speaks.
pub(crate) fn append_upgrade(upgrade: &mut String, value: &[u8]) {
    if let Ok(text) = std::str::from_utf8(value)
        && text.is_ascii()
    {
        if !upgrade.is_empty() {
            upgrade.push_str(", ");
        }
        upgrade.push_str(text);
    }
}

/// Removes the fields that the `Connection` fields in the list name, and these.
pub(crate) fn remove_named_fields(fields: &mut Fields) {
    // Bounded by MOST_OPTIONS; hardly any request comes here.
    let names: Vec<Vec<u8>> =
        fields.get_all(Known::Connection).flat_map(list).map(<[u8]>::to_ascii_lowercase).collect();
    fields.retain(|field| {
        field.known != Some(Known::Connection)
            && !names.iter().any(|name| name.eq_ignore_ascii_case(field.name))
    });
}

/// The number that plain digits spell; no sign, no white space, no overflow.
fn plain_number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}
