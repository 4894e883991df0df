//! One request's life, stage by stage: the file to read first.
//!
//! `accept` and `parse` have run when an exchange begins ([`crate::accept::h1`]); everything after happens here, in this
//! order, in one task on one thread: `route` -> `admit` … `cache` (the route's policies) -> `shape` -> `call` -> `shape` -> `record`.

mod consult;
mod refused;
mod review;
mod tell;

use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use contract::OperationId;
use http::{Method, StatusCode, Version};
use http1::{Known, RequestHead, ResponseHead};
use waf::Report;

use crate::accept::client::{Origin, Security};
use crate::accept::forwarded;
use crate::accept::{Client, Tap};
use crate::allowance::Allowance;
use crate::answer::StaticAnswer;
use crate::clock;
use crate::expression::{Context, Expression};
use crate::firewall::Firewall;
use crate::identity::{self, Identity};
use crate::outcome::{self, Outcome};
use crate::policies::limit::quota::Usage;
use crate::policies::limit::rate_limit::Spent;
use crate::refusal::{Refusal, Stage};
use crate::route::{Found, Params, RequestView};
use crate::snapshot::{CallLimits, Live, Route, Target};
use crate::tls::PeerCertificate;
use crate::translate::grpc::{self, Dialect};
use crate::upstream::call;
use crate::upstream::fallback;
use crate::upstream::relay;
use crate::upstream::split::Choice;
use crate::waiting::Held;
use crate::worker::Worker;
use refused::{
    clear_on_tls_port, method_not_allowed, no_route, overloaded, upgrade_declined, version_retired,
};

/// One request and its answer, as stages and policies see them, free of any transport.
#[derive(Debug)]
pub struct Exchange {
    /// The request's head.
    pub request: RequestHead,
    /// The answer's head, once there is one.
    pub response: ResponseHead,
    /// What the path's parameters matched.
    pub params: Params,
    /// The caller.
    pub caller: Caller,
    /// Who calls, where the route asks.
    pub found: Option<identity::Found>,
    /// The connection that it came by.
    pub origin: Option<Rc<Origin>>,
    /// The request's id, sent to the service and back.
    pub id: String,
    /// The configuration that this exchange began with.
    pub live: Rc<Live>,
    /// The route it belongs to, an index into the snapshot's.
    pub route: Option<usize>,
    /// Whether it asks, on behalf of a page, what another request may do, which the route's `cors` answers.
    pub is_preflight: bool,
    /// Whether the service gets another path than the one that came.
    pub is_rewritten: bool,
    /// That other path.
    pub rewritten: String,
    /// Which dialect of gRPC the request speaks, if any.
    pub dialect: Option<Dialect>,
    /// Bytes that its body may have; `u64::MAX` for no limit.
    pub max_body: u64,
    /// Whether all of its body has been read because a policy had to see it.
    pub is_body_read: bool,
    /// The operation that it asks for, where a document describes those of the route.
    pub operation: Option<OperationId>,
    /// What the caller may still do, where a limit tells.
    pub allowance: Option<Allowance>,
    /// What the caller has used of a quota.
    pub quota: Option<Usage>,
    /// What it has taken of limits of which the answer says how much it is.
    pub spent: Vec<Spent>,
    /// That it is under way, where that is limited.
    pub under_way: Option<Held>,
    /// A cookie of the gateway's own that goes with the service's answer.
    pub cookie: Option<Box<str>>,
    /// Who takes its body down, for a copy.
    pub tap: Option<Rc<Tap>>,
    /// The body of a refusal while it is written.
    pub problem: Vec<u8>,
    /// When its first byte was there.
    pub started: Instant,
    /// What became of it, for the log and the metrics.
    pub outcome: Outcome,
}

/// Where a request came from.
#[derive(Debug, Clone, Copy)]
pub struct Caller {
    /// The other end of the connection.
    pub peer: SocketAddr,
    /// The client's address: the peer's, or what a trusted peer says.
    pub ip: IpAddr,
    /// Whether the peer is in `trust_forwarded`.
    pub trusted: bool,
}

/// What happens to the connection after an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// It may carry another request.
    KeepAlive,
    /// It is closed: the answer has gone out and nothing more is on its way.
    Close,
    /// It is closed after the client, which may still be sending, had a chance to read the answer.
    Linger,
    /// It is dropped at once: the client left, or must not take what it got for a whole answer.
    Abort,
}

/// Why a call did not lead to an answer of the service.
#[derive(Debug)]
pub enum Failed {
    /// The gateway answers instead.
    Refused(Box<Refusal>),
    /// The same, and the service has seen nothing of the request: its fallback may answer.
    Unserved(Box<Unserved>),
    /// The gateway answers, and nothing is amiss: the configuration or a policy says so.
    Answered(Arc<StaticAnswer>),
    /// The client is gone.
    Gone,
}

/// That a service could not be called.
#[derive(Debug)]
pub struct Unserved {
    /// What is answered without a fallback.
    pub refusal: Refusal,
    /// When the last attempt began.
    pub began: Instant,
}

impl From<Refusal> for Failed {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(Box::new(refusal))
    }
}

/// What the stages before the call decided.
enum Decision<'l> {
    Call { service: usize, limits: &'l CallLimits },
    Answer(Arc<StaticAnswer>),
}

/// The port that `https://` means (RFC 9110, section 4.2.2).
pub const HTTPS: u16 = 443;

/// Leads one exchange from its parsed head, or from why there is none, to its record.
pub async fn run(
    worker: &Worker,
    client: &mut Client,
    exchange: &mut Exchange,
    head: Result<(), Box<Refusal>>,
) -> After {
    identify_caller(worker, client, exchange);
    exchange.dialect = Dialect::of(&exchange.request);
    let mut worked = Duration::ZERO;
    let after = {
        let mut answered = pin!(answer(worker, client, exchange, head));
        poll_fn(|context| {
            let began = clock::now();
            let result = answered.as_mut().poll(context);
            // The clock is read once for each turn: sending the request reads it too.
            let ended = match clock::now() {
                read if read != began && result.is_pending() => read,
                _ => clock::refresh(),
            };
            worked += ended - began;
            result
        })
        .await
    };
    exchange.outcome.worked = worked;
    outcome::record(worker, exchange);
    after
}

async fn answer(
    worker: &Worker,
    client: &mut Client,
    exchange: &mut Exchange,
    head: Result<(), Box<Refusal>>,
) -> After {
    let result = match head {
        Ok(()) => proceed(worker, client, exchange).await,
        Err(refusal) => Err(Failed::Refused(refusal)),
    };
    match result {
        Ok(after) => after,
        Err(Failed::Refused(refusal)) => refuse(worker, client, exchange, &refusal).await,
        Err(Failed::Unserved(unserved)) => refuse(worker, client, exchange, &unserved.refusal).await,
        Err(Failed::Answered(answer)) => give(worker, client, exchange, &answer).await,
        Err(Failed::Gone) => {
            exchange.outcome.broken("client_gone");
            After::Abort
        }
    }
}

async fn proceed(worker: &Worker, client: &mut Client, exchange: &mut Exchange) -> Result<After, Failed> {
    // Here, and not where a protocol begins: whatever is spoken, what should be encrypted and is not ends at this line.
    if matches!(client.origin().security, Security::Missing) {
        exchange.request.persistent = false;
        return Err(clear_on_tls_port().into());
    }
    consult::limit_of_address(worker, client, exchange)?;
    if let Some(port) = client.listener().redirect_https {
        let answer = redirect_to_https(exchange, port)?;
        answer.write_fields(&mut exchange.response.fields);
        return Ok(client.answer(worker, exchange, answer.status, &answer.body).await);
    }
    let live = Rc::clone(&exchange.live);
    let route = find_route(worker, &live, exchange)?;
    consult::policies(worker, client, exchange, route).await?;
    let (service, limits) = match decide(worker, route, exchange).map_err(Failed::Refused)? {
        Decision::Call { service, limits } => (service, limits),
        Decision::Answer(answer) => {
            inject_fault(worker, client, exchange, route, &route.limits).await?;
            return Err(Failed::Answered(answer));
        }
    };
    // Before anything is waited for: a reload in the meantime must not be undone by what began before it.
    let service = live.service(worker, service);
    let copied = route.mirror().map(|mirror| (mirror, live.service(worker, mirror.service)));
    inject_fault(worker, client, exchange, route, limits).await?;
    exchange.tell_who_calls(&service.spec.name);
    shape_request(client, exchange);
    if let Some((mirror, to)) = copied {
        mirror.copy(worker, client, exchange, to, &route.name);
    }
    let mut called = match call::call(worker, client, exchange, &service, limits).await {
        Ok(called) => called,
        // On the heap: it is rare, and as large as a call.
        Err(failed) => Box::pin(fallback::instead(worker, client, exchange, &service, failed)).await?,
    };
    if is_upgrade_declined(exchange) {
        return Err(upgrade_declined(called.service()).into());
    }
    if route.reviewer().is_some() {
        // On the heap: most answers are not looked at, and do not carry the state of it.
        return Box::pin(review::relay(worker, client, exchange, live, called)).await;
    }
    shape_answer(&live, exchange);
    // A tunnel outlasts reloads, and must not keep what they replaced.
    drop(live);
    let after = relay::relay(worker, client, exchange, &mut called).await;
    called.end(worker);
    Ok(after)
}

/// Makes the trouble that the route is to have.
async fn inject_fault(
    worker: &Worker,
    client: &mut Client,
    exchange: &mut Exchange,
    route: &Route,
    limits: &CallLimits,
) -> Result<(), Failed> {
    let Some(fault) = route.fault() else { return Ok(()) };
    // On the heap: routes without it do not carry its state.
    Box::pin(fault.inject(worker, client, exchange, &route.name, limits.timeouts.total)).await
}

/// Shapes the answer of a service.
fn shape_answer(live: &Live, exchange: &mut Exchange) {
    if let Some(cookie) = exchange.cookie.take() {
        exchange.response.fields.append(Known::SetCookie, cookie.as_bytes());
    }
    shape_response(live, exchange);
}

/// Answers with what the configuration says, shaped as any answer of the route.
async fn give(worker: &Worker, client: &mut Client, exchange: &mut Exchange, answer: &StaticAnswer) -> After {
    answer.write_fields(&mut exchange.response.fields);
    shape_response(&Rc::clone(&exchange.live), exchange);
    client.answer(worker, exchange, answer.status, &answer.body).await
}

/// Answers with a refusal, shaped as any answer of the route. The connection stays open if the request's body was whole.
async fn refuse(worker: &Worker, client: &mut Client, exchange: &mut Exchange, refusal: &Refusal) -> After {
    if refusal.stage == Stage::Parse {
        worker.shard.parse_refusal(refusal.code);
    }
    exchange.outcome.refused(refusal);
    let fields = &mut exchange.response.fields;
    fields.clear();
    let mut body = std::mem::take(&mut exchange.problem);
    body.clear();
    let status = if let Some(dialect) = exchange.dialect {
        let status = grpc::write_refusal(refusal, dialect, fields);
        exchange.outcome.grpc_status = grpc::status_name(fields);
        status
    } else {
        refusal.write_fields(fields);
        refusal.write_body(&exchange.id, &mut body);
        refusal.status
    };
    shape_response(&Rc::clone(&exchange.live), exchange);
    let after = client.answer(worker, exchange, status, &body).await;
    exchange.problem = body;
    after
}

/// The id, and who is asking. Only a trusted peer may say either.
fn identify_caller(worker: &Worker, client: &Client, exchange: &mut Exchange) {
    let networks = &client.listener().trusted;
    let peer = client.peer();
    let trusted =
        !networks.is_empty() && !client.origin().is_anonymous && forwarded::is_in(peer.ip(), networks);
    let ip = if trusted {
        forwarded::client_ip(peer.ip(), networks, &exchange.request.fields)
    } else {
        peer.ip().to_canonical()
    };
    exchange.caller = Caller { peer, ip, trusted };
    exchange.origin = Some(Rc::clone(client.origin()));
    identity::remove_claimed(&mut exchange.request.fields);
    exchange.id.clear();
    match exchange.request.fields.get(Known::XRequestId) {
        Some(id) if trusted && crate::record::is_acceptable(id) => {
            exchange.id.push_str(std::str::from_utf8(id).unwrap_or_default());
        }
        _ => worker.write_request_id(&mut exchange.id),
    }
}

/// Stage `route`: which of them it is.
fn find_route<'l>(worker: &Worker, live: &'l Live, exchange: &mut Exchange) -> Result<&'l Route, Failed> {
    let view = RequestView {
        devices: &live.snapshot.devices,
        is_tls: exchange.origin.as_ref().is_some_and(|origin| origin.is_tls()),
        certificate: exchange.origin.as_ref().and_then(|origin| origin.certificate()),
        ..RequestView::new(&exchange.request, exchange.caller.ip)
    };
    let (found, is_preflight) = live.snapshot.find(&view, &mut exchange.params);
    exchange.is_preflight = is_preflight;
    let index = match found {
        Found::Route(index) => index,
        Found::NoRoute => return Err(no_route(&exchange.request).into()),
        Found::MethodNotAllowed(allow) => {
            return Err(method_not_allowed(&exchange.request, &allow.to_string()).into());
        }
        Found::Options(allow) => return Err(Failed::Answered(Arc::new(options_answer(&allow.to_string())))),
    };
    exchange.route = Some(index);
    let route = &live.snapshot.routes[index];
    if worker.overload.refuses(route.limits.priority) {
        return Err(overloaded().into());
    }
    Ok(route)
}

/// What becomes of a request that the route's policies let through.
fn decide<'l>(
    worker: &Worker,
    route: &'l Route,
    exchange: &mut Exchange,
) -> Result<Decision<'l>, Box<Refusal>> {
    match &route.target {
        Target::Service(service) => {
            rewrite(route, exchange)?;
            Ok(Decision::Call { service: *service, limits: &route.limits })
        }
        Target::Split(split) => {
            rewrite(route, exchange)?;
            let Choice { branch, cookie } = split.choose(worker.upstreams.random(), exchange);
            exchange.cookie = cookie;
            Ok(Decision::Call { service: branch.service, limits: &branch.limits })
        }
        Target::Respond(answer) => Ok(Decision::Answer(Arc::clone(answer))),
        Target::Retired => Err(Box::new(version_retired())),
    }
}

fn rewrite(route: &Route, exchange: &mut Exchange) -> Result<(), Box<Refusal>> {
    let Some(rewrite) = route.rewrite() else { return Ok(()) };
    exchange.is_rewritten = true;
    rewrite.apply(&exchange.request.path, &exchange.params, &mut exchange.rewritten).map_err(|fault| {
        Box::new(Refusal::new(StatusCode::BAD_REQUEST, "path_ambiguous", Stage::Shape, fault.to_string()))
    })
}

/// Stage `shape`, on the way to the service: what it is told about the client and the request.
fn shape_request(client: &Client, exchange: &mut Exchange) {
    let request = &mut exchange.request;
    forwarded::set(
        &mut request.fields,
        &client.origin().peer_text,
        exchange.caller.trusted,
        if client.is_tls() { "https" } else { "http" },
        &request.authority,
    );
    request.fields.set(Known::XRequestId, exchange.id.as_bytes());
    if request.version == Version::HTTP_2 && !request.upgrade.is_empty() {
        // The client spoke of WebSocket in HTTP/2, which has no such key; HTTP/1.1 demands one (RFC 8441, section 5).
        request.fields.set_named(b"Sec-WebSocket-Key", &web_socket_key());
    }
}

/// 16 random bytes in base64 (RFC 6455, section 4.1). They prove nothing, so a dry source of randomness does no harm.
fn web_socket_key() -> Vec<u8> {
    let mut nonce = [0; 16];
    let _ = getrandom::fill(&mut nonce);
    STANDARD.encode(nonce).into_bytes()
}

/// Stage `shape`, on the way back.
fn shape_response(live: &Live, exchange: &mut Exchange) {
    if let Some(index) = exchange.route {
        for policy in live.snapshot.routes[index].policies() {
            policy.on_response(exchange);
        }
    }
}

fn redirect_to_https(exchange: &Exchange, port: u16) -> Result<StaticAnswer, Failed> {
    let request = &exchange.request;
    if request.authority.is_empty() || request.method == Method::CONNECT {
        return Err(Refusal::new(
            StatusCode::BAD_REQUEST,
            "host_missing",
            Stage::Route,
            "this listener redirects to https, and the request names no host to redirect to",
        )
        .into());
    }
    let host = request.host();
    let mut location =
        if port == HTTPS { format!("https://{host}") } else { format!("https://{host}:{port}") };
    location.push_str(&request.path);
    if let Some(query) = request.query() {
        location.push('?');
        location.push_str(query);
    }
    Ok(StaticAnswer::empty(StatusCode::PERMANENT_REDIRECT).with_field(Known::Location, &location))
}

/// Whether a service answered like any request one that was to open a WebSocket over HTTP/2. There a success says that it is
/// open (RFC 8441, section 5), and the client would take the answer's body for messages.
fn is_upgrade_declined(exchange: &Exchange) -> bool {
    exchange.request.version == Version::HTTP_2
        && !exchange.request.upgrade.is_empty()
        && exchange.response.status.is_success()
}

fn options_answer(allow: &str) -> StaticAnswer {
    StaticAnswer::empty(StatusCode::NO_CONTENT).with_field(Known::Allow, allow)
}

impl Exchange {
    /// An exchange that begins now.
    pub fn new(live: Rc<Live>, peer: SocketAddr) -> Self {
        Self {
            request: RequestHead::default(),
            response: ResponseHead::default(),
            params: Params::new(),
            caller: Caller { peer, ip: peer.ip(), trusted: false },
            found: None,
            origin: None,
            id: String::new(),
            live,
            route: None,
            is_preflight: false,
            is_rewritten: false,
            rewritten: String::new(),
            dialect: None,
            max_body: u64::MAX,
            is_body_read: false,
            operation: None,
            allowance: None,
            quota: None,
            spent: Vec::new(),
            under_way: None,
            cookie: None,
            tap: None,
            problem: Vec::new(),
            started: clock::now(),
            outcome: Outcome::default(),
        }
    }

    /// Begins anew in the memory of one that has ended.
    pub fn begin(&mut self, live: Rc<Live>, peer: SocketAddr) {
        self.live = live;
        self.caller = Caller { peer, ip: peer.ip(), trusted: false };
        self.route = None;
        self.is_preflight = false;
        self.is_rewritten = false;
        self.max_body = u64::MAX;
        self.is_body_read = false;
        self.operation = None;
        self.allowance = None;
        self.quota = None;
        self.spent.clear();
        self.started = clock::now();
    }

    /// Lets go of what outlives no exchange.
    pub fn end(&mut self) {
        self.outcome.clear();
        self.found = None;
        self.origin = None;
        self.cookie = None;
        self.tap = None;
        self.under_way = None;
        self.request.clear();
        self.response.clear();
    }

    /// The refusal of a body longer than the route allows.
    pub fn body_too_large(&self) -> Refusal {
        let detail = format!("the body is longer than the {} bytes allowed here", self.max_body);
        Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", Stage::Admit, detail)
    }

    /// Keeps what a firewall found, for the log, and says whether the request is refused for it.
    pub fn note_findings(&mut self, firewall: &Firewall, report: Report) -> bool {
        if report.hits().is_empty() {
            return false;
        }
        let findings = firewall.findings(report, &self.live.snapshot.secret_parameters);
        let is_blocked = findings.is_blocked;
        self.outcome.findings = Some(Box::new(findings));
        is_blocked
    }

    /// Who calls, where the route asks.
    pub fn identity(&self) -> Option<&Identity> {
        self.live.snapshot.callers.identity(self.found.as_ref()?)
    }

    /// The name of the way that found it.
    pub fn identified_by(&self) -> &str {
        self.found.as_ref().map_or("", |found| self.live.snapshot.callers.way_of(found))
    }

    /// Goes on with another view of a snapshot, which need not know the caller.
    pub fn outlast(&mut self, live: Rc<Live>) {
        self.found = self.found.take().and_then(|found| self.live.snapshot.callers.detach(&found));
        self.live = live;
    }

    /// Whether the request came encrypted.
    pub fn is_tls(&self) -> bool {
        self.origin.as_ref().is_some_and(|origin| origin.is_tls())
    }

    /// What the client has shown of itself in the handshake, verified.
    pub fn certificate(&self) -> Option<&PeerCertificate> {
        self.origin.as_ref()?.certificate()
    }

    /// What expressions see of this exchange.
    pub fn context(&self) -> Context<'_> {
        let snapshot = &self.live.snapshot;
        let mut context = Context::new(&self.request, self.caller.ip);
        context.devices = &snapshot.devices;
        context.is_tls = self.is_tls();
        context.certificate = self.certificate();
        context.identity = self.identity().map(Identity::facts);
        if let Some(index) = self.route {
            let route = &snapshot.routes[index];
            context.params = Some(self.params.bind(snapshot.router.params_of(index), &self.request.path));
            context.api = &route.api;
            context.route = &route.name;
        }
        context
    }

    /// The value of an expression over this exchange as a text; nothing when it fails.
    pub fn evaluate_text(&self, expression: &Expression) -> Option<String> {
        expression.evaluate_text(&self.context()).ok()
    }
}
