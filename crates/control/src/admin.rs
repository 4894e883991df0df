//! The admin listener: `/metrics`, `/status`, `/quotas`, `/healthz`, `/readyz` and `/.well-known/jwks.json`.
//!
//! Probes come without credentials, so the two health pages are open, and so are public keys; everything else asks for the
//! token where one is configured. It never stands on the request path, and it keeps answering while the gateway drains.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, Request, State};
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use gateway::quotas::{Question, Report};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use serde::Deserialize;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc, watch};

use crate::{Readiness, Token};

/// Connections served at once; more wait in the listen queue.
const CONNECTIONS: usize = 256;

/// How long a connection may take to send a head, or stay idle between two requests.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);

/// Bytes of one head, and the fields in it.
const HEAD_LIMIT: usize = 16 * 1024;
const FIELD_LIMIT: usize = 64;

/// How long connections are still asked on when the listener closes.
const LAST_QUESTION: Duration = Duration::from_millis(250);

/// Callers of a quota that are listed where nothing else is asked for, and at most.
const CALLERS_SHOWN: usize = 1000;
const MOST_CALLERS_SHOWN: usize = 100_000;

/// The pause after a failed accept (out of descriptors, mostly), so that it does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Asks what callers have used of their quotas.
pub type AskQuotas = dyn Fn(&Question) -> Vec<Report> + Send + Sync;

/// What the admin listener shows.
#[derive(Clone)]
pub struct AdminState {
    /// Renders the metrics in the Prometheus text format.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
    /// How the gateway stands, as JSON.
    pub status: Arc<dyn Fn() -> String + Send + Sync>,
    /// What callers have used of their quotas.
    pub quotas: Arc<AskQuotas>,
    /// What verifies what services are told of callers: a JWK set.
    pub keys: Arc<dyn Fn() -> String + Send + Sync>,
    /// What `/readyz` says.
    pub readiness: Arc<Readiness>,
    /// Who may see more than health.
    pub token: Arc<Token>,
}

/// Accepts and serves until it is closed.
pub(crate) async fn serve(
    listener: TcpListener,
    state: AdminState,
    mut is_closing: watch::Receiver<bool>,
    in_use: mpsc::Sender<()>,
) {
    let service = TowerToHyperService::new(router(state));
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    // The semaphore is never closed.
    while let Ok(slot) = Arc::clone(&slots).acquire_owned().await {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = closed(&mut is_closing) => return,
        };
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let service = service.clone();
        let mut is_closing = is_closing.clone();
        let in_use = in_use.clone();
        tokio::spawn(async move {
            let _held = (slot, in_use);
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADER_TIMEOUT)
                .max_buf_size(HEAD_LIMIT)
                .max_headers(FIELD_LIMIT)
                .serve_connection(TokioIo::new(stream), service);
            let mut connection = pin!(connection);
            // How one connection ended concerns nobody but its peer.
            tokio::select! {
                _ = &mut connection => {}
                () = closed(&mut is_closing) => {
                    // Whoever has just connected is about to ask, and would be cut off without a word.
                    if tokio::time::timeout(LAST_QUESTION, &mut connection).await.is_ok() {
                        return;
                    }
                    connection.as_mut().graceful_shutdown();
                    let _ = connection.await;
                }
            }
        });
    }
}

async fn closed(is_closing: &mut watch::Receiver<bool>) {
    // An error means that the control plane is dropped, which closes it too.
    let _ = is_closing.wait_for(|is_closing| *is_closing).await;
}

fn router(state: AdminState) -> Router {
    let guarded = Router::new()
        .route("/metrics", get(metrics))
        .route("/status", get(status))
        .route("/quotas", get(quotas))
        .route_layer(from_fn_with_state(state.clone(), require_token));
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/.well-known/jwks.json", get(keys))
        .merge(guarded)
        .fallback(no_such_page)
        .method_not_allowed_fallback(wrong_method)
        .with_state(state)
}

/// The process runs and answers; nothing more is promised.
async fn healthz() -> Response {
    page(StatusCode::OK, "application/json", json!({ "status": "ok" }).to_string())
}

/// 200 while new traffic should come, 503 before the first configuration, while draining, and when no certificate is
/// valid any more.
async fn readyz(State(state): State<AdminState>, headers: HeaderMap) -> Response {
    let now = SystemTime::now();
    let is_ready = state.readiness.is_ready(now);
    let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    page(status, "application/json", state.readiness.body(now, is_allowed(&state, &headers)).to_string())
}

async fn keys(State(state): State<AdminState>) -> Response {
    page(StatusCode::OK, "application/jwk-set+json", (state.keys)())
}

async fn metrics(State(state): State<AdminState>) -> Response {
    page(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", (state.metrics)())
}

async fn status(State(state): State<AdminState>) -> Response {
    page(StatusCode::OK, "application/json", (state.status)())
}

/// What `/quotas` may be asked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct QuotasAsked {
    place: Option<String>,
    by: Option<String>,
    name: Option<String>,
    most: Option<usize>,
}

async fn quotas(
    State(state): State<AdminState>,
    asked: Result<Query<QuotasAsked>, QueryRejection>,
) -> Response {
    let QuotasAsked { place, by, name, most } = match asked {
        Ok(Query(asked)) => asked,
        Err(rejection) => return problem(StatusCode::BAD_REQUEST, "bad_query", &rejection.body_text()),
    };
    let most = most.unwrap_or(CALLERS_SHOWN).min(MOST_CALLERS_SHOWN);
    let report = (state.quotas)(&Question { place, by, name, most });
    page(StatusCode::OK, "application/json", json!({ "quotas": report }).to_string())
}

async fn require_token(State(state): State<AdminState>, request: Request, next: Next) -> Response {
    if is_allowed(&state, request.headers()) {
        return next.run(request).await;
    }
    let mut answer = problem(
        StatusCode::UNAUTHORIZED,
        "admin_token_required",
        "This page needs the admin token: send `Authorization: Bearer TOKEN`, where TOKEN is `admin.token` \
         of the configuration.",
    );
    answer
        .headers_mut()
        .insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"tollgate admin\""));
    answer
}

async fn no_such_page() -> Response {
    let detail =
        "The admin listener has /metrics, /status, /quotas, /healthz, /readyz and /.well-known/jwks.json.";
    problem(StatusCode::NOT_FOUND, "no_such_page", detail)
}

async fn wrong_method() -> Response {
    problem(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        "The pages of the admin listener are read with GET.",
    )
}

fn is_allowed(state: &AdminState, headers: &HeaderMap) -> bool {
    state.token.accepts(headers.get(AUTHORIZATION).map(HeaderValue::as_bytes))
}

/// RFC 9457.
fn problem(status: StatusCode, code: &str, detail: &str) -> Response {
    let body = json!({
        "type": "about:blank",
        "title": status.canonical_reason(),
        "status": status.as_u16(),
        "code": code,
        "detail": detail,
    });
    page(status, "application/problem+json", body.to_string())
}

fn page(status: StatusCode, content_type: &'static str, body: String) -> Response {
    (status, [(CONTENT_TYPE, content_type), (CACHE_CONTROL, "no-store")], body).into_response()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{SocketAddr, TcpStream};

    use gateway::config::values::Secret;

    use super::*;
    use crate::Control;

    struct Scene {
        address: SocketAddr,
        readiness: Arc<Readiness>,
        control: Control,
    }

    fn admin(token: Option<&str>) -> Scene {
        let control = Control::start().unwrap();
        let readiness = Arc::new(Readiness::new());
        let state = AdminState {
            metrics: Arc::new(|| "tollgate_up 1\n".to_owned()),
            status: Arc::new(|| r#"{"pid":1}"#.to_owned()),
            quotas: Arc::new(|_| Vec::new()),
            keys: Arc::new(|| r#"{"keys":[]}"#.to_owned()),
            readiness: Arc::clone(&readiness),
            token: Arc::new(Token::new(token.map(|token| Secret::parse(token).unwrap()))),
        };
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = control.serve_admin(listener, state).unwrap();
        Scene { address, readiness, control }
    }

    impl Scene {
        fn get(&self, path: &str, header: &str) -> String {
            self.send(&format!("GET {path} HTTP/1.1\r\nHost: admin\r\nConnection: close\r\n{header}\r\n"))
        }

        fn send(&self, request: &str) -> String {
            let mut stream = TcpStream::connect(self.address).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            stream.write_all(request.as_bytes()).unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            answer
        }
    }

    #[test]
    fn metrics_come_in_the_prometheus_text_format() {
        let answer = admin(None).get("/metrics", "");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(answer.contains("content-type: text/plain; version=0.0.4"), "{answer}");
        assert!(answer.ends_with("\r\n\r\ntollgate_up 1\n"), "{answer}");
    }

    #[test]
    fn the_status_comes_as_json() {
        let answer = admin(None).get("/status", "");
        assert!(answer.contains("content-type: application/json"), "{answer}");
        assert!(answer.ends_with("\r\n\r\n{\"pid\":1}"), "{answer}");
    }

    #[test]
    fn health_is_open_and_the_rest_needs_the_token() {
        let scene = admin(Some("s3cret"));
        scene.readiness.loaded(SystemTime::now());
        let cases = [
            ("/healthz", "", "HTTP/1.1 200"),
            ("/readyz", "", "HTTP/1.1 200"),
            ("/.well-known/jwks.json", "", "HTTP/1.1 200"),
            ("/metrics", "", "HTTP/1.1 401"),
            ("/metrics", "Authorization: Bearer wrong\r\n", "HTTP/1.1 401"),
            ("/metrics", "Authorization: Bearer s3cret\r\n", "HTTP/1.1 200"),
            ("/status", "", "HTTP/1.1 401"),
            ("/status", "Authorization: Bearer s3cret\r\n", "HTTP/1.1 200"),
            ("/quotas", "", "HTTP/1.1 401"),
            ("/quotas?by=app&name=mobile&most=5", "Authorization: Bearer s3cret\r\n", "HTTP/1.1 200"),
            ("/quotas?colour=red", "Authorization: Bearer s3cret\r\n", "HTTP/1.1 400"),
            ("/quotas?most=many", "Authorization: Bearer s3cret\r\n", "HTTP/1.1 400"),
            ("/unknown", "", "HTTP/1.1 404"),
        ];
        for (path, header, expected) in cases {
            let answer = scene.get(path, header);
            assert!(answer.starts_with(expected), "{path} {header}: {answer}");
        }
        let refusal = scene.get("/metrics", "");
        assert!(refusal.contains("www-authenticate: Bearer"), "{refusal}");
        assert!(refusal.contains("\"code\":\"admin_token_required\""), "{refusal}");
        assert!(!refusal.contains("tollgate_up"), "{refusal}");
    }

    #[test]
    fn readiness_follows_the_configuration_and_the_drain() {
        let scene = admin(None);
        assert!(scene.get("/readyz", "").starts_with("HTTP/1.1 503"));
        scene.readiness.loaded(SystemTime::now());
        assert!(scene.get("/readyz", "").starts_with("HTTP/1.1 200"));
        scene.readiness.refused("tollgate.yaml:1:1: unknown key", SystemTime::now());
        let refused = scene.get("/readyz", "");
        assert!(refused.starts_with("HTTP/1.1 200") && refused.contains("unknown key"), "{refused}");
        scene.readiness.draining();
        let draining = scene.get("/readyz", "");
        assert!(draining.starts_with("HTTP/1.1 503") && draining.contains("\"draining\""), "{draining}");
        assert!(scene.get("/healthz", "").starts_with("HTTP/1.1 200"));
    }

    #[test]
    fn a_closed_admin_listener_lets_its_connections_go() {
        let scene = admin(None);
        let mut idle = TcpStream::connect(scene.address).unwrap();
        idle.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: admin\r\n\r\n").unwrap();
        let mut answer = [0; 12];
        idle.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200");
        scene.control.close_admin();
        idle.read_to_end(&mut Vec::new()).unwrap();
        let refused = || TcpStream::connect(scene.address).is_err();
        let until = SystemTime::now() + Duration::from_secs(10);
        while !refused() {
            assert!(SystemTime::now() < until, "the admin listener is still open");
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }

    #[test]
    fn lines_of_the_configuration_are_shown_only_with_the_token() {
        let scene = admin(Some("s3cret"));
        scene.readiness.loaded(SystemTime::now());
        scene.readiness.refused("tollgate.yaml:1:1: unknown key", SystemTime::now());
        assert!(!scene.get("/readyz", "").contains("unknown key"));
        assert!(scene.get("/readyz", "Authorization: Bearer s3cret\r\n").contains("unknown key"));
    }

    #[test]
    fn refusals_are_problems_with_a_code() {
        let scene = admin(None);
        let missing = scene.get("/", "");
        assert!(
            missing.starts_with("HTTP/1.1 404") && missing.contains("\"code\":\"no_such_page\""),
            "{missing}"
        );
        assert!(missing.contains("content-type: application/problem+json"), "{missing}");
        let posted = scene
            .send("POST /healthz HTTP/1.1\r\nHost: admin\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
        assert!(posted.starts_with("HTTP/1.1 405") && posted.contains("allow: GET"), "{posted}");
    }

    #[test]
    fn a_head_without_end_is_refused() {
        let scene = admin(None);
        let answer = scene.get("/healthz", &format!("X-Long: {}\r\n", "a".repeat(2 * HEAD_LIMIT)));
        assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    }
}
