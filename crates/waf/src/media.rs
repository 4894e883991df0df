//! What a body is by its Content-Type, and whether it is worth being read.

/// Kinds of bodies, each of which is taken apart in its own way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Media {
    Form,
    Multipart,
    Json,
    Xml,
    Text,
    /// Messages of gRPC, a stream of them.
    Messages,
    /// Nothing says what it is.
    Unsaid,
    Other,
}

/// Whether a body is worth being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// No: it is a stream of messages.
    Never,
    /// If its first bytes, as many as [`FIRST_BYTES`], [are text](is_text), whatever it says that it is.
    IfText,
    /// Yes.
    Always,
}

/// So many tell whether a body is text.
pub const FIRST_BYTES: usize = 16;

impl Media {
    /// What a body is that says this.
    pub(crate) fn of(content_type: Option<&[u8]>) -> Self {
        let media = content_type.unwrap_or_default().split(|byte| *byte == b';').next();
        let media = media.unwrap_or_default().trim_ascii();
        let is = |name: &[u8]| media.eq_ignore_ascii_case(name);
        let begins =
            |start: &[u8]| media.get(..start.len()).is_some_and(|own| own.eq_ignore_ascii_case(start));
        let ends = |end: &[u8]| {
            let at = media.len().checked_sub(end.len());
            at.and_then(|at| media.get(at..)).is_some_and(|own| own.eq_ignore_ascii_case(end))
        };
        if media.is_empty() {
            Self::Unsaid
        } else if begins(b"application/grpc") {
            Self::Messages
        } else if is(b"application/x-www-form-urlencoded") {
            Self::Form
        } else if is(b"application/json")
            || is(b"text/json")
            || is(b"application/csp-report")
            || ends(b"+json")
        {
            Self::Json
        } else if ends(b"/xml") || ends(b"+xml") {
            Self::Xml
        } else if begins(b"multipart/") {
            Self::Multipart
        } else if begins(b"text/") {
            Self::Text
        } else {
            Self::Other
        }
    }
}

impl Interest {
    /// In bodies of this Content-Type.
    pub fn of(content_type: Option<&[u8]>) -> Self {
        match Media::of(content_type) {
            Media::Messages => Self::Never,
            Media::Other => Self::IfText,
            _ => Self::Always,
        }
    }
}

/// Whether a body begins as text does.
pub fn is_text(body: &[u8]) -> bool {
    let first = &body[..body.len().min(FIRST_BYTES)];
    let is_control = |byte: &u8| *byte < b' ' && !byte.is_ascii_whitespace() || *byte == 0x7f;
    // Bytes of UTF-8 never begin so; those of pictures, films and archives do, or have control characters.
    let is_odd = |byte: &u8| matches!(byte, 0x80..=0xbf | 0xf8..);
    let begins_odd = first.first().is_some_and(is_odd);
    !(first.iter().any(is_control) || begins_odd || first.starts_with(b"%PDF-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_told_in_any_case_and_without_their_parameters() {
        for (content_type, media, interest) in [
            ("", Media::Unsaid, Interest::Always),
            ("Application/X-WWW-Form-URLencoded; charset=utf-8", Media::Form, Interest::Always),
            ("multipart/form-data; boundary=x", Media::Multipart, Interest::Always),
            ("multipart/mixed", Media::Multipart, Interest::Always),
            ("application/JSON", Media::Json, Interest::Always),
            ("application/problem+json ;v=1", Media::Json, Interest::Always),
            ("text/json", Media::Json, Interest::Always),
            ("text/xml", Media::Xml, Interest::Always),
            ("image/svg+xml", Media::Xml, Interest::Always),
            ("text/plain", Media::Text, Interest::Always),
            ("application/grpc+proto", Media::Messages, Interest::Never),
            ("application/grpc-web-text", Media::Messages, Interest::Never),
            ("application/octet-stream", Media::Other, Interest::IfText),
            ("image/png", Media::Other, Interest::IfText),
        ] {
            let bytes = Some(content_type.as_bytes());
            assert_eq!((Media::of(bytes), Interest::of(bytes)), (media, interest), "{content_type}");
        }
        assert_eq!(Media::of(None), Media::Unsaid);
    }

    #[test]
    fn pictures_films_and_archives_do_not_begin_as_text() {
        for binary in
            [&b"\x89PNG\r\n\x1a\n"[..], b"\xff\xd8\xff\xe0", b"PK\x03\x04", b"%PDF-1.7\n", b"\0\0\0\x18ftyp"]
        {
            assert!(!is_text(binary), "{binary:?}");
        }
        for text in ["", "{\"a\":1}", "q=1' or 1=1", "\r\n\t<svg", "größe"] {
            assert!(is_text(text.as_bytes()), "{text:?}");
        }
    }
}
