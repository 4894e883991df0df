//! One endpoint's answer to one request.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::header::{self, HeaderName, HeaderValue, InvalidHeaderValue};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};
use tokio::sync::watch;

use super::records::Records;
use super::trouble::Trouble;
use super::{Body, Sample, live};

/// The largest body that a request may bring, in bytes.
const MAX_BODY: usize = 64 * 1024;

/// One endpoint of a sample service.
#[derive(Debug)]
pub(super) struct Endpoint {
    sample: Sample,
    served_by: HeaderValue,
    records: Arc<Records>,
    /// How many requests asked to fail at times; for [`Trouble::strikes`].
    asked_to_fail: AtomicU64,
    /// Closed when the endpoint ends.
    ended: watch::Receiver<()>,
}

impl Endpoint {
    /// `served_by` is how it calls itself.
    pub(super) fn new(
        sample: Sample,
        served_by: &str,
        records: Arc<Records>,
        ended: watch::Receiver<()>,
    ) -> Result<Self, InvalidHeaderValue> {
        let served_by = HeaderValue::from_str(served_by)?;
        Ok(Self { sample, served_by, records, asked_to_fail: AtomicU64::new(0), ended })
    }

    /// Answers `request`, after the trouble that it asks for.
    pub(super) async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let mut response = self.route(request).await.unwrap_or_else(|fault| self.fault(&fault));
        response.headers_mut().insert(HeaderName::from_static("x-served-by"), self.served_by.clone());
        response
    }

    async fn route(&self, request: Request<Incoming>) -> Result<Response<Body>, Fault> {
        let (parts, body) = request.into_parts();
        let trouble =
            Trouble::read(&parts).map_err(|message| Fault::new(StatusCode::BAD_REQUEST, message))?;
        self.suffer(trouble).await?;

        let path = percent_decode_str(parts.uri.path()).decode_utf8_lossy().into_owned();
        let mut segments = path.strip_prefix('/').unwrap_or_default().splitn(2, '/');
        match (segments.next().unwrap_or_default(), segments.next()) {
            ("healthz", None) => {
                allow(&parts, &[Method::GET, Method::HEAD])?;
                Ok(self.json(StatusCode::OK, json!({ "status": "ok" })))
            }
            ("events", None) => {
                allow(&parts, &[Method::GET])?;
                Ok(live::events(self.name()))
            }
            ("echo", None) => {
                allow(&parts, &[Method::GET])?;
                live::echo(&mut Request::from_parts(parts, body), self.ended.clone()).ok_or_else(|| {
                    let fault = Fault::new(StatusCode::UPGRADE_REQUIRED, "this is a WebSocket (RFC 6455)");
                    fault.with(header::UPGRADE, "websocket")
                })
            }
            (name, rest) if name == self.sample.name() => {
                self.records(&parts, body, rest.unwrap_or_default()).await
            }
            _ => Err(Fault::new(StatusCode::NOT_FOUND, "nothing is here")),
        }
    }

    async fn suffer(&self, trouble: Trouble) -> Result<(), Fault> {
        if !trouble.delay.is_zero() {
            tokio::time::sleep(trouble.delay).await;
        }
        if let Some(status) = trouble.status {
            return Err(Fault::new(status, "as asked"));
        }
        if trouble.fail > 0.0 && trouble.strikes(self.asked_to_fail.fetch_add(1, Ordering::Relaxed) + 1) {
            return Err(Fault::new(StatusCode::INTERNAL_SERVER_ERROR, "failed, as asked to at times"));
        }
        Ok(())
    }

    /// Answers for what stands at `/{name}/{rest}`.
    async fn records(&self, parts: &Parts, body: Incoming, rest: &str) -> Result<Response<Body>, Fault> {
        let required = match self.sample {
            Sample::Users => Some("name"),
            Sample::Orders => Some("user"),
            Sample::Products => None,
        };
        if let Some(required) = required.filter(|_| rest.is_empty()) {
            allow(parts, &[Method::GET, Method::HEAD, Method::POST])?;
            if parts.method == Method::POST {
                return self.add(body, required).await;
            }
        }
        allow(parts, &[Method::GET, Method::HEAD])?;

        if let Some(record) = self.records.find(rest).filter(|_| !rest.is_empty()) {
            return Ok(self.json(StatusCode::OK, record));
        }
        let list = match self.sample {
            Sample::Orders if rest.is_empty() => match query_value(parts, "user") {
                Some(user) => self.records.with("user", &user),
                None => self.records.under(""),
            },
            _ => self.records.under(rest),
        };
        if list.is_empty() && !rest.is_empty() {
            return Err(Fault::new(StatusCode::NOT_FOUND, "no such record"));
        }
        Ok(self.json(StatusCode::OK, json!({ self.sample.name(): list })))
    }

    async fn add(&self, body: Incoming, required: &str) -> Result<Response<Body>, Fault> {
        let body = Limited::new(body, MAX_BODY).collect().await.map_err(|error| {
            if error.is::<http_body_util::LengthLimitError>() {
                return Fault::new(StatusCode::PAYLOAD_TOO_LARGE, "the body may have 64 KiB");
            }
            Fault::new(StatusCode::BAD_REQUEST, "the body ended early")
        })?;
        let record: Map<String, Value> = serde_json::from_slice(&body.to_bytes())
            .map_err(|error| Fault::new(StatusCode::BAD_REQUEST, format!("not a JSON object: {error}")))?;
        if !record.contains_key(required) {
            let message = format!("`{required}` is missing");
            return Err(Fault::new(StatusCode::UNPROCESSABLE_ENTITY, message));
        }
        let record = self
            .records
            .add(record)
            .ok_or_else(|| Fault::new(StatusCode::INSUFFICIENT_STORAGE, "there is no room for more"))?;
        let location = format!("/{}/{}", self.sample.name(), record["id"]);
        let mut response = self.json(StatusCode::CREATED, record);
        if let Ok(location) = HeaderValue::from_str(&location) {
            response.headers_mut().insert(header::LOCATION, location);
        }
        Ok(response)
    }

    fn fault(&self, fault: &Fault) -> Response<Body> {
        let body = json!({ "status": fault.status.as_u16(), "error": fault.message });
        let mut response = self.json(fault.status, body);
        if let Some((name, value)) = &fault.field {
            response.headers_mut().insert(name, value.clone());
        }
        response
    }

    /// An answer of `body`, an object, with this endpoint's name in it.
    fn json(&self, status: StatusCode, mut body: Value) -> Response<Body> {
        body["served_by"] = json!(self.name());
        let text = if matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
            String::new()
        } else {
            format!("{body}\n")
        };
        let mut response = Response::new(Full::from(text).boxed_unsync());
        *response.status_mut() = status;
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }

    fn name(&self) -> &str {
        self.served_by.to_str().unwrap_or_default()
    }
}

/// Why a request gets no record.
#[derive(Debug)]
struct Fault {
    status: StatusCode,
    message: String,
    field: Option<(HeaderName, HeaderValue)>,
}

impl Fault {
    fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), field: None }
    }

    fn with(self, name: HeaderName, value: &str) -> Self {
        Self { field: HeaderValue::from_str(value).ok().map(|value| (name, value)), ..self }
    }
}

/// The value of `key` in the request's query, decoded; the first if there are several.
pub(super) fn query_value(parts: &Parts, key: &str) -> Option<String> {
    let mut pairs = parts.uri.query()?.split('&').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.find(|&(name, _)| name == key)?;
    Some(percent_decode_str(&value.replace('+', " ")).decode_utf8_lossy().into_owned())
}

fn allow(parts: &Parts, methods: &[Method]) -> Result<(), Fault> {
    if methods.contains(&parts.method) {
        return Ok(());
    }
    let names: Vec<&str> = methods.iter().map(Method::as_str).collect();
    let fault = Fault::new(StatusCode::METHOD_NOT_ALLOWED, "another method is needed");
    Err(fault.with(header::ALLOW, &names.join(", ")))
}
