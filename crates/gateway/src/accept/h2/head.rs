//! Heads of HTTP/2 messages, as those that all stages speak, and back.

use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Version, request, response};
use http1::{Fields, Framing, Known, Limits, Outgoing, RequestFault, RequestHead, ResponseHead};

/// Reads a request's head.
pub fn read_request(
    parts: request::Parts,
    has_body: bool,
    _limits: &Limits,
    head: &mut RequestHead,
) -> Result<(), RequestFault> {
    head.clear();
    head.method = parts.method;
    head.version = Version::HTTP_2;
    head.path.push_str(parts.uri.path());
    if let Some(query) = parts.uri.query() {
        head.has_query = true;
        head.query.push_str(query);
    }
    if let Some(authority) = parts.uri.authority() {
        head.authority.push_str(&authority.as_str().to_ascii_lowercase());
    }
    head.framing = if has_body { Framing::Chunked } else { Framing::None };
    if let Some(protocol) = parts.extensions.get::<h2::ext::Protocol>() {
        head.method = http::Method::GET;
        head.upgrade.push_str(protocol.as_str());
        head.framing = Framing::None;
    }
    for (name, value) in &parts.headers {
        match Known::of(name.as_str().as_bytes()) {
            Some(Known::ContentLength) => {
                if let Some(length) = value.to_str().ok().and_then(|text| text.parse().ok())
                    && has_body
                {
                    head.framing = if length == 0 { Framing::None } else { Framing::Length(length) };
                }
            }
            Some(Known::Te) => head.accepts_trailers = true,
            Some(Known::Host) => {
                if head.authority.is_empty() {
                    head.authority.push_str(value.to_str().unwrap_or_default());
                }
            }
            _ => head.fields.append_named(name.as_str().as_bytes(), value.as_bytes()),
        }
    }
    Ok(())
}

/// The head of a request to a service.
pub fn write_request(
    request: &Outgoing<'_>,
    fields: &Fields,
    is_tls: bool,
) -> Result<Request<()>, http::Error> {
    let mut target = String::new();
    for part in request.target {
        target.push_str(part);
    }
    let uri = http::Uri::builder()
        .scheme(if is_tls { "https" } else { "http" })
        .authority(request.authority)
        .path_and_query(target)
        .build()?;
    let mut head = Request::builder().method(request.method).uri(uri).version(Version::HTTP_2).body(())?;
    write_fields(fields, head.headers_mut());
    if let Framing::Length(length) = request.framing {
        head.headers_mut().insert(http::header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    if request.accepts_trailers {
        head.headers_mut().insert(http::header::TE, HeaderValue::from_static("trailers"));
    }
    Ok(head)
}

/// Reads an answer's head.
pub fn read_response(parts: &response::Parts, has_body: bool, head: &mut ResponseHead) {
    head.clear();
    head.status = parts.status;
    head.version = Version::HTTP_2;
    for (name, value) in &parts.headers {
        match Known::of(name.as_str().as_bytes()) {
            Some(Known::ContentLength) => {
                head.content_length = value.to_str().ok().and_then(|text| text.parse().ok());
            }
            _ => head.fields.append_named(name.as_str().as_bytes(), value.as_bytes()),
        }
    }
    head.framing = match head.content_length {
        _ if !has_body => Framing::None,
        Some(length) => Framing::Length(length),
        None => Framing::Chunked,
    };
}

/// The head of an answer.
pub fn write_response(head: &ResponseHead, date: &[u8]) -> Response<()> {
    let mut response = write_interim(head);
    let headers = response.headers_mut();
    if let Some(length) = head.content_length
        && head.status != StatusCode::NO_CONTENT
    {
        headers.insert(http::header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    if !headers.contains_key(http::header::DATE)
        && let Ok(date) = HeaderValue::from_bytes(date)
    {
        headers.insert(http::header::DATE, date);
    }
    response
}

/// The head of an interim answer.
pub fn write_interim(head: &ResponseHead) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = head.status;
    *response.version_mut() = Version::HTTP_2;
    write_fields(&head.fields, response.headers_mut());
    response
}

/// Reads trailers.
pub fn read_trailers(trailers: &HeaderMap, fields: &mut Fields) {
    for (name, value) in trailers {
        fields.append_named(name.as_str().as_bytes(), value.as_bytes());
    }
}

/// Trailers, if there are any.
pub fn write_trailers(fields: &Fields) -> Option<HeaderMap> {
    if fields.is_empty() {
        return None;
    }
    let mut map = HeaderMap::new();
    write_fields(fields, &mut map);
    Some(map)
}

fn write_fields(fields: &Fields, map: &mut HeaderMap) {
    for field in fields.iter() {
        if let Ok(name) = HeaderName::from_bytes(field.name)
            && let Ok(value) = HeaderValue::from_bytes(field.value)
        {
            map.append(name, value);
        }
    }
}
