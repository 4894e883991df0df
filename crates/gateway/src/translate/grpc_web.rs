//! gRPC-Web, as browsers speak it, to gRPC and back: a body's trailers travel as its last frame, and in the text form all of it in
//! base64. Piece by piece, so that what a service streams arrives as it comes.

use http1::{Fields, Framing, Known, RequestHead, ResponseHead};

use super::base64_stream::{self, Base64Decoder, Base64Fault};
use super::grpc::{Dialect, STATUS};

/// The flag of a frame that holds trailers, not a message.
const TRAILERS: u8 = 0x80;
/// What frames a client's own library asks for; a service of gRPC knows nothing of it.
const MARK: &[u8] = b"x-grpc-web";

/// What becomes of a body on its way through the gateway, piece by piece.
#[derive(Debug)]
pub enum Transform {
    /// Out of base64: a request in gRPC-Web's text form.
    FromText(Base64Decoder),
    /// An answer's trailers into its last frame, and all of it into base64 where that is wanted.
    TrailersToFrame {
        /// Whether it is.
        in_text: bool,
        /// The trailers, once they are there.
        trailers: Fields,
    },
}

/// A request of gRPC-Web on its way to a service of gRPC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Web {
    /// How the request is written.
    request: Dialect,
    /// How the answer is to be written.
    answer: Dialect,
}

impl Web {
    /// Turns the head of a request in gRPC-Web into one of gRPC. Its framing stays that of the body that comes.
    pub fn translate(request: &mut RequestHead, dialect: Dialect) -> Self {
        let answer = answer_dialect(request, dialect);
        rename(&mut request.fields, Dialect::Grpc);
        request.fields.remove_named(MARK);
        request.accepts_trailers = true;
        Self { request: dialect, answer }
    }

    /// What becomes of the request's body, if anything; its length is then another.
    pub fn request_transform(self) -> Option<Transform> {
        (self.request == Dialect::WebText).then(|| Transform::FromText(Base64Decoder::default()))
    }

    /// Turns the head of the service's answer into one of gRPC-Web and says what becomes of its body. An answer that is not gRPC's
    /// stays as it is; one that is all trailers needs no frame (gRPC-Web, "Protocol differences": trailers may come with the
    /// head).
    pub fn translate_answer(self, response: &mut ResponseHead) -> Option<Transform> {
        let content_type = response.fields.get(Known::ContentType)?;
        if Dialect::of_content_type(content_type) != Some(Dialect::Grpc) {
            return None;
        }
        rename(&mut response.fields, self.answer);
        response.fields.remove(Known::Trailer);
        if response.framing == Framing::None || response.fields.get_named(STATUS).is_some() {
            return None;
        }
        response.framing = Framing::Chunked;
        response.content_length = None;
        Some(Transform::to_web(self.answer == Dialect::WebText))
    }
}

/// As `Accept` asks, or as the request is written.
fn answer_dialect(request: &RequestHead, dialect: Dialect) -> Dialect {
    let accepted = request.fields.get_all(Known::Accept).flat_map(|value| value.split(|byte| *byte == b','));
    accepted
        .filter_map(|media| Dialect::of_content_type(media.trim_ascii()))
        .find(|accepted| *accepted != Dialect::Grpc)
        .unwrap_or(dialect)
}

/// Writes the dialect into the content type, and leaves `+format` and parameters as they are.
fn rename(fields: &mut Fields, dialect: Dialect) {
    let value = fields.get(Known::ContentType).unwrap_or_default();
    let format = value.iter().position(|byte| matches!(byte, b'+' | b';')).unwrap_or(value.len());
    let renamed = [dialect.media_type().as_bytes(), &value[format..]].concat();
    fields.set(Known::ContentType, &renamed);
}

impl Transform {
    /// An answer of gRPC into one of gRPC-Web.
    fn to_web(in_text: bool) -> Self {
        Self::TrailersToFrame { in_text, trailers: Fields::new() }
    }

    /// The trailers that went into the body.
    pub fn trailers(&self) -> Option<&Fields> {
        match self {
            Self::FromText(_) => None,
            Self::TrailersToFrame { trailers, .. } => Some(trailers),
        }
    }

    /// Appends what these bytes of the body become. At most a third more than came, and four bytes.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Base64Fault> {
        match self {
            Self::FromText(decoder) => return decoder.push(bytes, out),
            Self::TrailersToFrame { in_text: false, .. } => out.extend_from_slice(bytes),
            Self::TrailersToFrame { in_text: true, .. } => base64_stream::encode(bytes, out),
        }
        Ok(())
    }

    /// Appends what stands at the body's end. Trailers that go into it are taken from where they were.
    pub fn finish(&mut self, trailers: &mut Fields, out: &mut Vec<u8>) -> Result<(), Base64Fault> {
        let (in_text, taken) = match self {
            Self::FromText(decoder) => return decoder.finish(),
            Self::TrailersToFrame { in_text, trailers } => (*in_text, trailers),
        };
        *taken = std::mem::take(trailers);
        if in_text {
            let mut frame = Vec::new();
            write_frame(taken, &mut frame);
            base64_stream::encode(&frame, out);
        } else {
            write_frame(taken, out);
        }
        Ok(())
    }
}

/// Appends trailers as a frame: the flag, the length, and lines of `name:value` with names in lower case. A body that ended without
/// trailers gets no frame: that it has no status is for the client to see.
fn write_frame(trailers: &Fields, out: &mut Vec<u8>) {
    if trailers.is_empty() {
        return;
    }
    let start = out.len();
    out.extend_from_slice(&[TRAILERS, 0, 0, 0, 0]);
    for field in trailers.iter() {
        out.extend(field.name.iter().map(u8::to_ascii_lowercase));
        out.push(b':');
        out.extend_from_slice(field.value);
        out.extend_from_slice(b"\r\n");
    }
    // Whoever read the trailers bounded them far below 4 GiB.
    let length = (out.len() - start - 5) as u32;
    out[start + 1..start + 5].copy_from_slice(&length.to_be_bytes());
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use http::{Method, StatusCode};
    use proptest::prelude::*;

    use super::*;

    fn request(content_type: &str, accept: Option<&str>) -> RequestHead {
        let mut request =
            RequestHead { method: Method::POST, framing: Framing::Length(8), ..RequestHead::default() };
        request.fields.append(Known::ContentType, content_type.as_bytes());
        request.fields.append_named(b"X-Grpc-Web", b"1");
        if let Some(accept) = accept {
            request.fields.append(Known::Accept, accept.as_bytes());
        }
        request
    }

    fn answer(content_type: &str, framing: Framing) -> ResponseHead {
        let mut response = ResponseHead { status: StatusCode::OK, framing, ..ResponseHead::default() };
        response.fields.append(Known::ContentType, content_type.as_bytes());
        response
    }

    fn content_type(fields: &Fields) -> &str {
        std::str::from_utf8(fields.get(Known::ContentType).unwrap()).unwrap()
    }

    #[test]
    fn a_request_becomes_one_of_grpc_and_its_answer_what_the_client_accepts() {
        const CASES: [(&str, Option<&str>, &str, &str); 7] = [
            ("application/grpc-web", None, "application/grpc", "application/grpc-web+proto"),
            (
                "application/grpc-web+proto",
                Some("*/*"),
                "application/grpc+proto",
                "application/grpc-web+proto",
            ),
            (
                "application/grpc-web+json;a=b",
                None,
                "application/grpc+json;a=b",
                "application/grpc-web+proto",
            ),
            (
                "application/grpc-web-text",
                Some("application/grpc-web-text"),
                "application/grpc",
                "application/grpc-web-text+proto",
            ),
            (
                "application/grpc-web-text+proto",
                None,
                "application/grpc+proto",
                "application/grpc-web-text+proto",
            ),
            (
                "application/grpc-web-text",
                Some("application/json, application/grpc-web"),
                "application/grpc",
                "application/grpc-web+proto",
            ),
            (
                "application/grpc-web",
                Some("application/grpc-web-text"),
                "application/grpc",
                "application/grpc-web-text+proto",
            ),
        ];
        for (written, accept, sent, answered) in CASES {
            let mut request = request(written, accept);
            let dialect = Dialect::of(&request).unwrap();
            let web = Web::translate(&mut request, dialect);
            assert_eq!(content_type(&request.fields), sent, "{written}");
            assert!(request.accepts_trailers && request.fields.get_named(b"x-grpc-web").is_none());
            assert_eq!(web.request_transform().is_some(), dialect == Dialect::WebText, "{written}");
            assert_eq!(request.framing, Framing::Length(8), "it is that of what comes");
            let mut response = answer("application/grpc+proto", Framing::Chunked);
            assert!(web.translate_answer(&mut response).is_some());
            assert_eq!(content_type(&response.fields), answered, "{written}");
        }
    }

    #[test]
    fn answers_that_are_all_trailers_or_not_of_grpc_keep_their_bodies() {
        let web = Web::translate(&mut request("application/grpc-web", None), Dialect::Web);
        let mut all_trailers = answer("application/grpc", Framing::None);
        all_trailers.fields.append_named(b"grpc-status", b"5");
        assert!(web.translate_answer(&mut all_trailers).is_none());
        assert_eq!(content_type(&all_trailers.fields), "application/grpc-web");
        assert_eq!(all_trailers.fields.get_named(b"grpc-status"), Some(&b"5"[..]));
        let mut page = answer("text/html", Framing::Length(20));
        assert!(web.translate_answer(&mut page).is_none());
        assert_eq!((content_type(&page.fields), page.framing), ("text/html", Framing::Length(20)));
    }

    #[test]
    fn trailers_become_the_last_frame() {
        let mut trailers = Fields::new();
        trailers.append_named(b"Grpc-Status", b"0");
        trailers.append_named(b"x-data-bin", b"AAEC");
        let mut out = Vec::new();
        let mut transform = Transform::to_web(false);
        transform.push(b"\0\0\0\0\x01m", &mut out).unwrap();
        transform.finish(&mut trailers, &mut out).unwrap();
        assert_eq!(out, b"\0\0\0\0\x01m\x80\0\0\0\x20grpc-status:0\r\nx-data-bin:AAEC\r\n");
        assert!(trailers.is_empty());
        assert_eq!(transform.trailers().unwrap().get_named(STATUS), Some(&b"0"[..]));
        out.clear();
        Transform::to_web(true).finish(&mut Fields::new(), &mut out).unwrap();
        assert!(out.is_empty());
    }

    proptest! {
        #[test]
        fn an_answer_in_text_decodes_to_the_same_answer_in_any_pieces(
            body in prop::collection::vec(any::<u8>(), 0..200),
            size in 1..40_usize,
            status in "[0-9]{1,2}",
        ) {
            let run = |mut transform: Transform| {
                let mut trailers = Fields::new();
                trailers.append_named(b"grpc-status", status.as_bytes());
                let mut out = Vec::new();
                for part in body.chunks(size) {
                    let before = out.len();
                    transform.push(part, &mut out).unwrap();
                    prop_assert!(out.len() - before <= part.len() / 3 * 4 + 4);
                }
                transform.finish(&mut trailers, &mut out).unwrap();
                Ok(out)
            };
            let text = run(Transform::to_web(true))?;
            let mut decoded = Vec::new();
            let mut back = Transform::FromText(Base64Decoder::default());
            back.push(&text, &mut decoded).unwrap();
            back.finish(&mut Fields::new(), &mut decoded).unwrap();
            prop_assert_eq!(decoded, run(Transform::to_web(false))?);
        }
    }
}
