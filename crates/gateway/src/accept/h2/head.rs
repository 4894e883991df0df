//! Heads of HTTP/2, as the `h2` crate has them, to the gateway's own and back (RFC 9113, section 8).
//!
//! `h2` has checked that pseudo-header fields are there and stand first, that names are lower-case, and that bodies agree
//! with `content-length`; whatever it finds malformed ends the stream. Here values are read, by the rules of HTTP/1.1, so that
//! what is refused gets an answer that says why. Of `:path`, `h2` has cut off a fragment: routing and the service both see
//! what is left.

use h2::ext::Protocol;
use http::header::{self, HeaderName, HeaderValue};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri, Version, request, response};
use http1::{
    BodyFault, Fields, Framing, Incoming, Known, Limits, Outgoing, RequestFault, RequestHead, ResponseFault,
    ResponseHead, TargetFault, assemble_request, assemble_response, assemble_trailers,
};

/// What a stream was opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    /// A request and its answer.
    Exchange,
    /// A tunnel, by CONNECT (RFC 9113, section 8.5).
    Tunnel,
    /// A WebSocket, by extended CONNECT (RFC 8441). The head has become what HTTP/1.1 opens one with, a GET with
    /// `upgrade`, but for `Sec-WebSocket-Key`: HTTP/2 has none, so whoever calls the service makes one.
    WebSocket,
}

/// Fills `head` with a request. `has_body` is whether its stream goes on behind the head.
///
/// After a fault what can be told of the request is in `head`, for logs only.
pub fn read_request(
    parts: &request::Parts,
    has_body: bool,
    limits: &Limits,
    head: &mut RequestHead,
) -> Result<Opening, RequestFault> {
    let opening = read(parts, has_body, limits, head);
    if opening.is_err() {
        salvage(parts, head);
    }
    opening
}

fn read(
    parts: &request::Parts,
    has_body: bool,
    limits: &Limits,
    head: &mut RequestHead,
) -> Result<Opening, RequestFault> {
    let opening = match parts.extensions.get::<Protocol>() {
        Some(protocol) if protocol.as_str().eq_ignore_ascii_case(WEB_SOCKET) => Opening::WebSocket,
        Some(_) => return Err(RequestFault::ConnectProtocol),
        None if parts.method == Method::CONNECT => Opening::Tunnel,
        None => Opening::Exchange,
    };
    // Without an authority `h2` does not tell the scheme; nothing depends on it.
    let scheme = parts.uri.scheme();
    if scheme.is_some_and(|scheme| *scheme != Scheme::HTTP && *scheme != Scheme::HTTPS) {
        return Err(TargetFault::Scheme.into());
    }
    let is_web_socket = opening == Opening::WebSocket;
    let incoming = Incoming {
        method: if is_web_socket { &Method::GET } else { &parts.method },
        authority: parts.uri.authority().map(|authority| authority.as_str().as_bytes()),
        path: parts.uri.path_and_query().map_or(&[], |target| target.as_str().as_bytes()),
        // The stream of a WebSocket goes on, but not as the body of this request.
        has_ended: !has_body || is_web_socket,
    };
    assemble_request(&incoming, pairs(&parts.headers), limits, head)?;
    if is_web_socket {
        if head.framing != Framing::None {
            return Err(RequestFault::ConnectWithBody);
        }
        head.upgrade.push_str(WEB_SOCKET);
        head.fields.remove_named(b"sec-websocket-key");
    }
    Ok(opening)
}

/// Fills in what can be told of a request that was refused.
fn salvage(parts: &request::Parts, head: &mut RequestHead) {
    head.version = Version::HTTP_2;
    head.method = parts.method.clone();
    head.framing = Framing::None;
    head.path.clear();
    head.path.push_str(parts.uri.path());
    head.query.clear();
    head.query.push_str(parts.uri.query().unwrap_or_default());
    head.has_query = parts.uri.query().is_some();
    if head.authority.is_empty() {
        head.authority.push_str(parts.uri.authority().map_or("", Authority::as_str));
    }
}

/// Fills `head` with a service's answer to a request with this method.
pub fn read_response(
    parts: &response::Parts,
    has_body: bool,
    method: &Method,
    limits: &Limits,
    head: &mut ResponseHead,
) -> Result<(), ResponseFault> {
    assemble_response(parts.status, pairs(&parts.headers), !has_body, method, limits, head)
}

/// Appends trailers, those left out that may not come after a body.
pub fn read_trailers(map: &HeaderMap, trailers: &mut Fields) -> Result<(), BodyFault> {
    assemble_trailers(pairs(map), trailers)
}

/// The head of an answer. `date` is put in where the fields have none.
pub fn write_response(head: &ResponseHead, date: &[u8]) -> Response<()> {
    let mut response = write_interim(head);
    let map = response.headers_mut();
    // RFC 9110, section 8.6.
    if let Some(length) = head.content_length
        && head.status != StatusCode::NO_CONTENT
    {
        map.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    if !map.contains_key(header::DATE)
        && let Ok(date) = HeaderValue::from_bytes(date)
    {
        map.insert(header::DATE, date);
    }
    response
}

/// The head of an interim answer.
pub fn write_interim(head: &ResponseHead) -> Response<()> {
    let mut response = Response::new(());
    *response.version_mut() = Version::HTTP_2;
    *response.status_mut() = head.status;
    write_fields(&head.fields, response.headers_mut());
    response
}

/// The head of a request to a service. It fails if its target or authority is none, which cannot come out of a head that
/// was read, but out of a rewrite.
pub fn write_request(
    outgoing: &Outgoing<'_>,
    fields: &Fields,
    is_tls: bool,
) -> Result<Request<()>, http::Error> {
    let mut target = http::uri::Parts::default();
    target.authority = Some(Authority::try_from(outgoing.authority)?);
    if *outgoing.method != Method::CONNECT {
        target.scheme = Some(if is_tls { Scheme::HTTPS } else { Scheme::HTTP });
        let path = match outgoing.target {
            [path] => PathAndQuery::try_from(*path),
            pieces => PathAndQuery::try_from(pieces.concat()),
        };
        target.path_and_query = Some(path?);
    }
    let mut request = Request::new(());
    *request.version_mut() = Version::HTTP_2;
    *request.method_mut() = outgoing.method.clone();
    *request.uri_mut() = Uri::from_parts(target)?;
    let map = request.headers_mut();
    write_fields(fields, map);
    // Connections to services carry requests of many clients, and their tables must not be a place to look for another's
    // credentials (RFC 7541, section 7.1.3).
    if let Some(credentials) = map.get_mut(header::AUTHORIZATION) {
        credentials.set_sensitive(true);
    }
    if let Framing::Length(length) = outgoing.framing {
        map.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    if outgoing.accepts_trailers {
        map.insert(header::TE, HeaderValue::from_static("trailers"));
    }
    Ok(request)
}

/// Trailers, if there are any; those that were read are free of what may not come after a body.
pub fn write_trailers(trailers: &Fields) -> Option<HeaderMap> {
    let mut map = HeaderMap::new();
    write_fields(trailers, &mut map);
    (!map.is_empty()).then_some(map)
}

/// The names and values of a map, values of one name together.
fn pairs(map: &HeaderMap) -> impl Iterator<Item = (&[u8], &[u8])> {
    map.iter().map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()))
}

/// Copies the end-to-end fields, names in lower case. A value with control characters, which only a policy could have
/// written, is left out: HTTP/2 has no way to say it (RFC 9113, section 8.2.1).
fn write_fields(fields: &Fields, map: &mut HeaderMap) {
    // Those that the ends of the connection add, too.
    map.reserve(fields.len() + 2);
    for field in fields.iter().filter(|field| !field.is_owned()) {
        let (Ok(name), Ok(value)) = (name_of(field.known, field.name), HeaderValue::from_bytes(field.value))
        else {
            continue;
        };
        // It fails at 24,576 fields, a hundred times what a head may have.
        let _ = map.try_append(name, value);
    }
}

fn name_of(known: Option<Known>, name: &[u8]) -> Result<HeaderName, header::InvalidHeaderName> {
    // The commonest, without reading them as text.
    Ok(match known {
        Some(Known::ContentType) => header::CONTENT_TYPE,
        Some(Known::UserAgent) => header::USER_AGENT,
        Some(Known::Accept) => header::ACCEPT,
        Some(Known::Date) => header::DATE,
        Some(Known::Server) => header::SERVER,
        Some(Known::Via) => header::VIA,
        _ => HeaderName::from_bytes(name)?,
    })
}

/// The only protocol that extended CONNECT may ask for (RFC 8441, section 5).
const WEB_SOCKET: &str = "websocket";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use http1::{normalise_path, normalise_query};

    /// A request as `h2` gives it.
    fn parts(method: &str, uri: http::uri::Parts, fields: &[(&str, &str)]) -> request::Parts {
        let mut request = Request::builder().method(method).uri(Uri::from_parts(uri).unwrap());
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn uri(scheme: Option<&str>, authority: Option<&str>, path: Option<&str>) -> http::uri::Parts {
        let mut parts = http::uri::Parts::default();
        parts.scheme = scheme.map(|scheme| scheme.parse().unwrap());
        parts.authority = authority.map(|authority| authority.parse().unwrap());
        parts.path_and_query = path.map(|path| path.parse().unwrap());
        parts
    }

    fn read(parts: &request::Parts, has_body: bool) -> (Result<Opening, &'static str>, RequestHead) {
        let mut head = RequestHead::default();
        let opening = read_request(parts, has_body, &Limits::default(), &mut head);
        (opening.map_err(RequestFault::code), head)
    }

    fn fields(list: &[(&str, &str)]) -> Fields {
        let mut fields = Fields::new();
        for (name, value) in list {
            fields.append_named(name.as_bytes(), value.as_bytes());
        }
        fields
    }

    fn listed(map: &HeaderMap) -> String {
        let lines = map.iter().map(|(name, value)| format!("{name}={}\n", value.as_bytes().escape_ascii()));
        lines.collect()
    }

    #[test]
    fn requests_tunnels_and_web_sockets_are_told_apart() {
        let (opening, head) =
            read(&parts("POST", uri(Some("https"), Some("A"), Some("/x/../a?b=1")), &[("host", "a")]), true);
        assert_eq!(opening, Ok(Opening::Exchange));
        assert_eq!((head.path.as_str(), head.query(), head.authority.as_str()), ("/a", Some("b=1"), "a"));
        assert_eq!(head.framing, Framing::Chunked);
        let (opening, head) = read(&parts("GET", uri(None, None, Some("/")), &[("host", "a:80")]), false);
        assert_eq!((opening, head.authority.as_str()), (Ok(Opening::Exchange), "a:80"));
        let (opening, head) = read(&parts("CONNECT", uri(None, Some("a:443"), None), &[]), true);
        assert_eq!(
            (opening, head.authority.as_str(), head.path.as_str()),
            (Ok(Opening::Tunnel), "a:443", "")
        );
        let key = [("sec-websocket-key", "x"), ("sec-websocket-version", "13"), ("origin", "https://a")];
        let mut web_socket = parts("CONNECT", uri(Some("https"), Some("a"), Some("/chat")), &key);
        web_socket.extensions.insert(Protocol::from_static("websocket"));
        let (opening, head) = read(&web_socket, true);
        assert_eq!(opening, Ok(Opening::WebSocket));
        assert_eq!(
            (head.method.as_str(), head.upgrade.as_str(), head.path.as_str()),
            ("GET", "websocket", "/chat")
        );
        assert_eq!(head.framing, Framing::None);
        assert!(head.fields.get_named(b"sec-websocket-key").is_none());
        assert_eq!(head.fields.get_named(b"sec-websocket-version"), Some(&b"13"[..]));
    }

    #[test]
    fn what_is_refused_can_be_logged() {
        let connect = |protocol, fields: &[(&str, &str)]| {
            let mut parts = parts("CONNECT", uri(Some("https"), Some("a"), Some("/.well-known/x?y")), fields);
            parts.extensions.insert(Protocol::from_static(protocol));
            parts
        };
        let cases = [
            (connect("connect-udp", &[]), "connect_protocol_unknown"),
            (connect("connect-ip", &[]), "connect_protocol_unknown"),
            (connect("websocket, h2c", &[]), "connect_protocol_unknown"),
            (connect("websocket", &[("content-length", "5")]), "connect_with_body"),
            (parts("GET", uri(Some("ftp"), Some("a"), Some("/.well-known/x?y")), &[]), "target_scheme"),
            (parts("GET", uri(Some("http"), Some("u@a"), Some("/.well-known/x?y")), &[]), "target_authority"),
            (
                parts("GET", uri(Some("http"), Some("a"), Some("/.well-known/x?y")), &[("x", " y")]),
                "header_value_malformed",
            ),
        ];
        for (parts, code) in cases {
            let (opening, head) = read(&parts, true);
            assert_eq!(opening, Err(code));
            assert_eq!((&head.method, head.version), (&parts.method, Version::HTTP_2));
            assert_eq!((head.path.as_str(), head.query()), ("/.well-known/x", Some("y")));
            assert!(!head.authority.is_empty());
            assert_eq!(head.framing, Framing::None);
        }
    }

    #[test]
    fn nothing_of_http1_connections_is_written() {
        let all = fields(&[
            ("Content-Type", "text/plain"),
            ("X-Upper", "1"),
            ("Connection", "x"),
            ("Keep-Alive", "timeout=5"),
            ("Proxy-Connection", "close"),
            ("Transfer-Encoding", "chunked"),
            ("Upgrade", "h2c"),
            ("TE", "gzip"),
            ("Host", "evil"),
            ("Content-Length", "5"),
            ("X-Control", "a\u{1}b"),
            ("Set-Cookie", "a=1"),
            ("Set-Cookie", "b=2"),
        ]);
        let kept = "content-type=text/plain\nx-upper=1\nset-cookie=a=1\nset-cookie=b=2\n";
        let mut head = ResponseHead { fields: all.clone(), ..ResponseHead::default() };
        assert_eq!(listed(write_interim(&head).headers()), kept);
        assert_eq!(listed(write_response(&head, b"now").headers()), format!("{kept}date=now\n"));
        head.content_length = Some(7);
        let response = write_response(&head, b"now");
        assert_eq!(listed(response.headers()), format!("{kept}content-length=7\ndate=now\n"));
        head.status = StatusCode::NO_CONTENT;
        assert_eq!(listed(write_response(&head, b"now").headers()), format!("{kept}date=now\n"));
        assert_eq!(listed(&write_trailers(&all).unwrap()), kept);
        assert!(write_trailers(&fields(&[("TE", "trailers")])).is_none());
        let mut outgoing = Outgoing {
            method: &Method::POST,
            target: &["/a", "?", "b=c"],
            authority: "a:8080",
            framing: Framing::Length(7),
            upgrade: "",
            accepts_trailers: true,
        };
        let request = write_request(&outgoing, &all, false).unwrap();
        assert_eq!(request.uri().to_string(), "http://a:8080/a?b=c");
        assert_eq!(listed(request.headers()), format!("{kept}content-length=7\nte=trailers\n"));
        outgoing.framing = Framing::Chunked;
        outgoing.accepts_trailers = false;
        let request = write_request(&outgoing, &fields(&[("Authorization", "Basic x")]), true).unwrap();
        assert_eq!(request.uri().scheme(), Some(&Scheme::HTTPS));
        assert!(request.headers()[header::AUTHORIZATION].is_sensitive());
        outgoing.method = &Method::CONNECT;
        assert_eq!(write_request(&outgoing, &Fields::new(), true).unwrap().uri().to_string(), "a:8080");
        outgoing.method = &Method::GET;
        outgoing.target = &["/a\r\nb"];
        assert!(write_request(&outgoing, &Fields::new(), true).is_err());
    }

    #[test]
    fn every_character_of_a_normal_target_can_be_written() {
        for byte in 0..=255u8 {
            let (mut path, mut query) = (String::new(), String::new());
            if normalise_path(&[b'/', byte], &mut path).is_err()
                || normalise_query(&[byte], &mut query).is_err()
            {
                continue;
            }
            let outgoing = Outgoing {
                method: &Method::GET,
                target: &[&path, "?", &query],
                authority: "a",
                framing: Framing::None,
                upgrade: "",
                accepts_trailers: false,
            };
            assert!(write_request(&outgoing, &Fields::new(), false).is_ok(), "{byte:#x}");
        }
    }
}
