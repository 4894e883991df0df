//! One question to one endpoint, over a connection of its own.

use bytes::Bytes;
use gateway::config::Protocols;
use gateway::upstream::check::Probe;
use gateway::upstream::{EndpointSpec, ServiceSpec};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::header::{CONTENT_TYPE, HOST, HeaderValue, TE, USER_AGENT};
use hyper::{Method, Request, Response, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};

use crate::dial::{Dial, Io, dial};

/// What is read of an answer's body.
const MOST_BODY: usize = 64 * 1024;
/// `SERVING` in `grpc.health.v1.HealthCheckResponse`, as the whole message: field 1, a number.
const SERVING: [u8; 2] = [0x08, 0x01];

/// Asks; what is wrong otherwise.
pub(super) async fn ask(service: &ServiceSpec, endpoint: &EndpointSpec, probe: &Probe) -> Result<(), String> {
    let protocols = service.protocols(endpoint);
    let (connection, is_http2) = connect(service, endpoint, probe, protocols).await?;
    let request = match probe {
        Probe::Tcp => return Ok(()),
        Probe::Http { method, path, host, .. } => {
            let host = host.as_deref().unwrap_or(&endpoint.authority);
            http_request(method, endpoint, path, host, is_http2)?
        }
        Probe::Grpc { service } => grpc_request(endpoint, service)?,
    };
    let answer =
        if is_http2 { send_http2(connection, request).await } else { send_http1(connection, request).await };
    judge(probe, answer?).await
}

async fn connect(
    service: &ServiceSpec,
    endpoint: &EndpointSpec,
    probe: &Probe,
    protocols: Protocols,
) -> Result<(Box<dyn Io>, bool), String> {
    let wants_http2 = matches!(probe, Probe::Grpc { .. }) || !protocols.http1;
    let offered = if wants_http2 { Protocols::HTTP2 } else { protocols };
    let tls = service.tls.as_deref().filter(|_| endpoint.is_tls);
    if endpoint.is_tls && tls.is_none() {
        return Err("it speaks TLS, and the service has none".to_owned());
    }
    let (stream, is_http2) = dial(&Dial {
        host: &endpoint.host,
        port: endpoint.port,
        proxy_protocol: service.proxy_protocol,
        tls: tls.map(|tls| (tls, endpoint.tls_name(), offered)),
    })
    .await?;
    if tls.is_none() {
        return Ok((stream, wants_http2));
    }
    if wants_http2 && !is_http2 && !matches!(probe, Probe::Tcp) {
        return Err("it does not speak HTTP/2".to_owned());
    }
    Ok((stream, is_http2))
}

fn http_request(
    method: &Method,
    endpoint: &EndpointSpec,
    path: &str,
    host: &str,
    is_http2: bool,
) -> Result<Request<Full<Bytes>>, String> {
    let path = format!("{}{path}", endpoint.base);
    let builder = Request::builder().method(method).header(USER_AGENT, "tollgate-health");
    let builder = if is_http2 {
        builder.version(Version::HTTP_2).uri(absolute(endpoint, host, &path))
    } else {
        builder.uri(path).header(HOST, host)
    };
    builder.body(Full::default()).map_err(|error| error.to_string())
}

fn grpc_request(endpoint: &EndpointSpec, service: &str) -> Result<Request<Full<Bytes>>, String> {
    let path = format!("{}/grpc.health.v1.Health/Check", endpoint.base);
    Request::post(absolute(endpoint, &endpoint.authority, &path))
        .version(Version::HTTP_2)
        .header(USER_AGENT, "tollgate-health")
        .header(CONTENT_TYPE, "application/grpc")
        .header(TE, "trailers")
        .body(Full::from(grpc_message(service)))
        .map_err(|error| error.to_string())
}

/// A message of one text field, the first: not compressed, its length, and the field in Protocol Buffers.
fn grpc_message(service: &str) -> Vec<u8> {
    let mut field = Vec::new();
    if !service.is_empty() {
        field.push(0x0a);
        let mut length = service.len();
        while length > 0x7f {
            field.push(length as u8 | 0x80);
            length >>= 7;
        }
        field.push(length as u8);
        field.extend_from_slice(service.as_bytes());
    }
    let mut message = vec![0];
    message.extend_from_slice(&(field.len() as u32).to_be_bytes());
    message.extend_from_slice(&field);
    message
}

fn absolute(endpoint: &EndpointSpec, host: &str, path: &str) -> String {
    format!("{}://{host}{path}", if endpoint.is_tls { "https" } else { "http" })
}

async fn send_http1(
    socket: Box<dyn Io>,
    request: Request<Full<Bytes>>,
) -> Result<Response<Incoming>, String> {
    let handshake = http1::handshake(TokioIo::new(socket)).await;
    let (mut sender, connection) = handshake.map_err(|error| error.to_string())?;
    // It ends with the sender and the answer.
    tokio::spawn(connection);
    sender.send_request(request).await.map_err(|error| error.to_string())
}

async fn send_http2(
    socket: Box<dyn Io>,
    request: Request<Full<Bytes>>,
) -> Result<Response<Incoming>, String> {
    let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(socket)).await;
    let (mut sender, connection) = handshake.map_err(|error| error.to_string())?;
    tokio::spawn(connection);
    sender.send_request(request).await.map_err(|error| error.to_string())
}

async fn judge(probe: &Probe, answer: Response<Incoming>) -> Result<(), String> {
    let status = answer.status();
    if !probe.expects(status) {
        return Err(format!("it answered {}", status.as_u16()));
    }
    let pattern = match probe {
        Probe::Http { body: Some(pattern), .. } => pattern,
        Probe::Grpc { .. } => return judge_grpc(answer).await,
        Probe::Http { body: None, .. } | Probe::Tcp => return Ok(()),
    };
    let body = beginning(answer.into_body()).await?;
    let pattern = pattern.regex();
    if pattern.is_match(&String::from_utf8_lossy(&body)) {
        Ok(())
    } else {
        Err(format!("nothing in its answer matches {pattern}"))
    }
}

/// The first bytes of a body, however long it is.
async fn beginning(mut body: Incoming) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    while bytes.len() < MOST_BODY
        && let Some(frame) = body.frame().await
    {
        if let Some(data) = frame.map_err(|error| error.to_string())?.data_ref() {
            bytes.extend_from_slice(&data[..data.len().min(MOST_BODY - bytes.len())]);
        }
    }
    Ok(bytes)
}

async fn judge_grpc(answer: Response<Incoming>) -> Result<(), String> {
    let early = answer.headers().get("grpc-status").cloned();
    let body =
        Limited::new(answer.into_body(), MOST_BODY).collect().await.map_err(|error| error.to_string())?;
    let status = early.or_else(|| body.trailers()?.get("grpc-status").cloned());
    match status.as_ref().map(HeaderValue::as_bytes) {
        Some(b"0") => {}
        Some(status) => return Err(format!("grpc-status {}", String::from_utf8_lossy(status))),
        None => return Err("its answer has no grpc-status".to_owned()),
    }
    let message = body.to_bytes();
    if message.get(5..).is_some_and(|message| message.starts_with(&SERVING)) {
        Ok(())
    } else {
        Err("it says that it is not serving".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_names_its_service_as_protocol_buffers_do() {
        assert_eq!(grpc_message(""), [0, 0, 0, 0, 0]);
        assert_eq!(grpc_message("ab"), [0, 0, 0, 0, 4, 0x0a, 2, b'a', b'b']);
        let long = "x".repeat(200);
        assert_eq!(grpc_message(&long)[..8], [0, 0, 0, 0, 203, 0x0a, 0xc8, 0x01]);
    }
}
