//! Stage `call`: services, their endpoints, and the connections to them.
//!
//! What a service is comes from the snapshot ([`ServiceSpec`]); what a worker knows of it ([`Service`], [`Endpoint`])
//! outlives snapshots as long as its endpoints stay.

pub mod adaptive;
mod affinity;
pub mod balance;
pub mod breaker;
pub mod call;
pub mod catalog;
pub mod check;
mod connect;
pub mod discovery;
pub mod fallback;
pub mod farewell;
mod grpc;
pub mod health;
pub mod hedge;
pub mod hold;
pub mod injection;
mod latency;
pub mod legacy;
pub mod mirror;
mod pick;
mod pool;
mod queue;
mod refused;
pub mod relay;
mod resend;
pub mod retry;
mod send;
mod session;
pub mod split;
pub mod tally;
pub mod tunnel;

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use affinity::Affinity;
pub use connect::{ConnectError, Parts, Setup, Wish};
pub use pick::{Picked, Unavailable};
pub use pool::{Connection, Pool, PoolLimits, QueueFull, Slot};

use crate::accept::proxy_protocol;
use crate::config::values::{EndpointUrl, Host};
use crate::config::{Protocols, ServiceProtocol};
use crate::record::{EndpointMetrics, WorkerShard};
use crate::tls::ClientTls;
use crate::worker::Worker;
use adaptive::{Adaptive, AdaptiveRules};
use balance::{Balancer, Load};
use breaker::{BreakerRules, Guard, Guards};
use check::Check;
use discovery::Discovery;
use fallback::Fallback;
use health::{EjectRules, Ejection, EndpointHealth, Healths, ServiceHealth};
use latency::Latencies;
use session::Sessions;

/// A service as the configuration describes it.
#[derive(Debug, Clone)]
pub struct ServiceSpec {
    /// Its name in the configuration.
    pub name: Arc<str>,
    /// Its endpoints, in the configuration's order; those that were found, where it looks for them.
    pub endpoints: Arc<[EndpointSpec]>,
    /// Where its endpoints are looked for.
    pub discovery: Option<Arc<Discovery>>,
    /// How one is chosen.
    pub balance: balance::Policy,
    /// What the choice depends on, beside the policy.
    pub affinity: Arc<Affinity>,
    /// Connections for each endpoint, on each worker.
    pub pool: PoolLimits,
    /// How endpoints are asked whether they are well.
    pub health: Option<Check>,
    /// When endpoints are put out.
    pub eject: Option<EjectRules>,
    /// When it is not called.
    pub breaker: Option<BreakerRules>,
    /// What answers when it cannot.
    pub fallback: Option<Fallback>,
    /// How many calls it is given at once, where that is adapted.
    pub adaptive: Option<AdaptiveRules>,
    /// Whether requests are refused while all endpoints are out.
    pub fails_when_all_down: bool,
    /// The version of the PROXY header that its connections begin with.
    pub proxy_protocol: Option<proxy_protocol::Version>,
    /// The protocol, where the configuration says it.
    pub protocol: Option<ServiceProtocol>,
    /// TLS, where any of the endpoints speaks it.
    pub tls: Option<Arc<ClientTls>>,
}

impl ServiceSpec {
    /// The protocols that a connection to an endpoint may speak: with TLS the handshake agrees on one of them.
    pub fn protocols(&self, endpoint: &EndpointSpec) -> Protocols {
        match self.protocol {
            Some(protocol) => protocol.protocols(),
            // One connection of HTTP/2 would carry many clients' requests, and its header names one of them.
            None if endpoint.is_tls && self.proxy_protocol.is_none() => Protocols::BOTH,
            None => Protocols::HTTP1,
        }
    }
}

/// Where one endpoint of a service is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointSpec {
    /// The URL as configured: its stable name.
    pub url: Arc<str>,
    /// Whether connections to it begin with a TLS handshake.
    pub is_tls: bool,
    /// Host name or address.
    pub host: Host,
    /// Port.
    pub port: u16,
    /// `host:port` as `Host` says it when the client named none.
    pub authority: String,
    /// What the URL's path puts before every request's path; empty or beginning with `/`, never ending with it.
    pub base: String,
    /// Its share of the requests.
    pub weight: u32,
    /// The name that its certificate is for, where that is not the host's: it was found under this name.
    pub tls_name: Option<Host>,
}

impl EndpointSpec {
    /// What stands at this URL.
    pub fn new(url: &EndpointUrl, weight: u32) -> Self {
        Self {
            url: url.to_string().into(),
            is_tls: url.is_tls,
            host: url.host.clone(),
            port: url.port,
            authority: url.authority(),
            base: url.base.clone(),
            weight,
            tls_name: None,
        }
    }

    /// The name that its certificate is for.
    pub fn tls_name(&self) -> &Host {
        self.tls_name.as_ref().unwrap_or(&self.host)
    }
}

/// What a time limit comes to that is turned off.
pub const NO_BOUND: Duration = Duration::from_hours(10 * 365 * 24);

/// How long a call may take, part by part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Timeouts {
    /// From the start of a connection to its being usable, or to its TLS handshake where that has a limit of its own.
    pub connect: Duration,
    /// For that.
    pub tls: Option<Duration>,
    /// From the request being sent to the first byte of the answer.
    pub first_byte: Duration,
    /// Between two movements of a body.
    pub idle: Duration,
    /// From the request's arrival to the end of the answer.
    pub total: Duration,
    /// Between two movements in a tunnel.
    pub tunnel_idle: Duration,
    /// From a tunnel's beginning to its end.
    pub tunnel_total: Duration,
}

impl Timeouts {
    /// From the start of a connection to its being usable.
    pub fn opening(&self) -> Duration {
        self.connect + self.tls.unwrap_or_default()
    }

    /// The parts of it, where each has a limit of its own.
    pub fn parts(&self) -> Option<Parts> {
        self.tls.map(|tls| Parts { connect: self.connect, tls })
    }
}

/// A service on one worker.
#[derive(Debug)]
pub struct Service {
    /// What the configuration says of it.
    pub spec: Arc<ServiceSpec>,
    /// Its name, for what outlasts it.
    pub name: Rc<str>,
    /// Its endpoints, in the order of `spec.endpoints`.
    pub endpoints: Vec<Rc<Endpoint>>,
    balancer: Balancer,
    memory: Rc<Memory>,
    /// Its breakers.
    guards: Guards,
    /// What puts its endpoints out, if anything does.
    ejection: Option<Rc<Ejection>>,
    /// How many calls it is given at once, where that is adapted.
    pub adaptive: Option<Rc<Adaptive>>,
}

/// What a worker knows of a service beside its endpoints, which outlives snapshots too.
#[derive(Debug)]
struct Memory {
    budget: retry::Budget,
    random: balance::Random,
    /// How long answers take to begin; of services whose calls nobody hedges nothing is known.
    latencies: OnceCell<Box<Latencies>>,
    /// Copies of requests that are under way to it.
    copies: Cell<usize>,
    adaptive: RefCell<Option<Rc<Adaptive>>>,
}

impl Memory {
    /// What is known of how many calls a service can be given, kept as long as that is adapted.
    fn adaptive(&self, spec: &ServiceSpec, shard: &WorkerShard) -> Option<Rc<Adaptive>> {
        let mut known = self.adaptive.borrow_mut();
        match (spec.adaptive, &*known) {
            (None, _) => *known = None,
            (Some(rules), Some(known)) => known.set_rules(rules),
            (Some(rules), None) => *known = Some(Rc::new(Adaptive::new(rules, shard.service(&spec.name)))),
        }
        known.clone()
    }
}

/// An endpoint on one worker.
#[derive(Debug)]
pub struct Endpoint {
    /// Where it is.
    pub spec: EndpointSpec,
    /// Connections to it that serve one request at a time, and the bound of all requests.
    pub pool: Rc<Pool>,
    /// Connections to it that many requests share.
    sessions: Sessions,
    /// What its connections begin with.
    proxy_protocol: Cell<Option<proxy_protocol::Version>>,
    /// What it may be spoken to in.
    protocols: Cell<Protocols>,
    /// Until when it is held to its choice of HTTP/1.1, where it had one.
    chose_http1_until: Cell<Option<Instant>>,
    /// TLS towards it.
    tls: RefCell<Option<Arc<ClientTls>>>,
    /// Its part of the metrics.
    pub metrics: Arc<EndpointMetrics>,
    /// What all workers know of it.
    health: Arc<EndpointHealth>,
    /// When it last came back, as far as this worker has noticed.
    comeback: Cell<u64>,
    load: Rc<Load>,
    resolved: connect::Resolved,
}

impl Endpoint {
    /// Keeps a connection for the next request.
    fn give_back(&self, mut connection: Connection, worker: &Worker) {
        connection.input.release(&worker.buffers);
        connection.outbox.release(&worker.buffers);
        self.pool.keep(connection);
    }

    /// Changes what connections to it are made of, as a reload does. Those that were made of something else serve no
    /// further request: the next one must not come by a certificate that is no longer believed.
    fn set_transport(&self, service: &ServiceSpec) {
        let protocols = service.protocols(&self.spec);
        let tls = service.tls.as_ref();
        let is_same = match (&*self.tls.borrow(), tls) {
            (Some(known), Some(tls)) => Arc::ptr_eq(known, tls),
            (None, None) => true,
            _ => false,
        };
        let is_same = is_same && self.proxy_protocol.get() == service.proxy_protocol;
        if is_same && self.protocols.get() == protocols {
            return;
        }
        self.proxy_protocol.set(service.proxy_protocol);
        self.protocols.set(protocols);
        self.chose_http1_until.set(None);
        self.tls.replace(tls.cloned());
        self.pool.clear();
        self.sessions.clear();
    }
}

/// Where a worker's random numbers begin, beside its own number. Nothing secret rests on them.
const SEED: u64 = 0x746f_6c6c_6761_7465;

/// A service's name and an endpoint's URL.
type EndpointName = (Arc<str>, Arc<str>);

/// All endpoints that a worker knows, by service and URL. A reload keeps those that stay, with their connections.
#[derive(Debug)]
pub struct Registry {
    healths: Arc<Healths>,
    endpoints: RefCell<HashMap<EndpointName, Rc<Endpoint>>>,
    memories: RefCell<HashMap<Arc<str>, Rc<Memory>>>,
    random: balance::Random,
}

impl Registry {
    /// One that knows none yet.
    pub fn new(healths: Arc<Healths>, worker: usize) -> Self {
        let random = balance::Random::new(SEED, worker);
        Self { healths, endpoints: RefCell::default(), memories: RefCell::default(), random }
    }

    /// Random numbers for choices that no service makes: which one is called, and what happens to a share of the requests.
    pub fn random(&self) -> &balance::Random {
        &self.random
    }

    /// The worker's view of a service.
    pub fn service(&self, spec: &Arc<ServiceSpec>, shard: &WorkerShard, worker: usize) -> Rc<Service> {
        let health = self.healths.service(&spec.name);
        let endpoints: Vec<Rc<Endpoint>> =
            spec.endpoints.iter().map(|endpoint| self.endpoint(spec, endpoint, &health, shard)).collect();
        let guards = guards(spec, &health, &endpoints, worker);
        let weighed: Vec<balance::Endpoint<'_>> = endpoints
            .iter()
            .zip(&*spec.endpoints)
            .map(|(endpoint, spec)| balance::Endpoint {
                key: &spec.url,
                weight: spec.weight,
                load: Rc::clone(&endpoint.load),
            })
            .collect();
        let mut seed = balance::hash_bytes(spec.name.as_bytes());
        let mut memories = self.memories.borrow_mut();
        // Whoever is built again and again must not begin with the same endpoint each time.
        if let Some(memory) = memories.get(&spec.name) {
            seed = memory.random.next();
        }
        let balancer = Balancer::new(spec.balance, &weighed, seed, worker)
            .or_else(|_| Balancer::new(spec.balance, &[], seed, worker));
        let Ok(balancer) = balancer else { unreachable!("no endpoints are not too many") };
        let ejection = spec.eject.map(|rules| {
            let serving = spec.endpoints.iter().filter(|endpoint| endpoint.weight > 0).count();
            let healths = endpoints.iter().map(|endpoint| &*endpoint.health);
            Rc::new(Ejection::new(rules, healths, serving, worker))
        });
        let memory = memories.entry(Arc::clone(&spec.name)).or_insert_with(|| {
            Rc::new(Memory {
                budget: retry::Budget::default(),
                random: balance::Random::new(seed, worker),
                latencies: OnceCell::new(),
                copies: Cell::default(),
                adaptive: RefCell::default(),
            })
        });
        Rc::new(Service {
            spec: Arc::clone(spec),
            name: Rc::from(&*spec.name),
            endpoints,
            balancer,
            adaptive: memory.adaptive(spec, shard),
            memory: Rc::clone(memory),
            guards,
            ejection,
        })
    }

    /// Forgets endpoints that no service uses any more; those with a call in flight go when it ends.
    pub fn retain_used(&self) {
        self.endpoints.borrow_mut().retain(|_, endpoint| {
            let is_used = Rc::strong_count(endpoint) > 1;
            if !is_used {
                endpoint.metrics.pool_idle.set(0);
            }
            is_used
        });
        self.memories.borrow_mut().retain(|_, memory| Rc::strong_count(memory) > 1);
    }

    /// Closes connections that idled too long.
    pub fn sweep(&self, now: Instant) {
        for endpoint in self.endpoints.borrow().values() {
            endpoint.pool.sweep(now);
            endpoint.sessions.sweep(now, endpoint.pool.limits().idle_for);
            let idle = endpoint.pool.idle_count() + endpoint.sessions.idle_count();
            endpoint.metrics.pool_idle.set(idle as u64);
        }
    }

    fn endpoint(
        &self,
        service: &ServiceSpec,
        spec: &EndpointSpec,
        health: &Arc<ServiceHealth>,
        shard: &WorkerShard,
    ) -> Rc<Endpoint> {
        let key = (Arc::clone(&service.name), Arc::clone(&spec.url));
        let mut endpoints = self.endpoints.borrow_mut();
        // One that was found under another name is another one: the next request must not believe the old one's certificate.
        if endpoints.get(&key).is_some_and(|known| known.spec.tls_name != spec.tls_name) {
            endpoints.remove(&key);
        }
        let endpoint = endpoints.entry(key).or_insert_with(|| {
            Rc::new(Endpoint {
                spec: spec.clone(),
                pool: Rc::new(Pool::new(service.pool)),
                sessions: Sessions::default(),
                proxy_protocol: Cell::new(service.proxy_protocol),
                protocols: Cell::new(service.protocols(spec)),
                chose_http1_until: Cell::new(None),
                tls: RefCell::new(service.tls.clone()),
                metrics: shard.endpoint(&service.name, &spec.url),
                health: health.endpoint(&spec.url),
                comeback: Cell::new(0),
                load: Rc::default(),
                resolved: connect::Resolved::default(),
            })
        });
        if service.eject.is_none() {
            endpoint.health.pardon();
        }
        endpoint.pool.set_limits(service.pool);
        endpoint.set_transport(service);
        Rc::clone(endpoint)
    }
}

/// The breakers that a service has; those that it has no more are closed.
fn guards(spec: &ServiceSpec, health: &ServiceHealth, endpoints: &[Rc<Endpoint>], worker: usize) -> Guards {
    let rules = spec.breaker;
    if rules.is_none_or(|rules| rules.is_per_endpoint) {
        health.breaker().reset();
    }
    if rules.is_none_or(|rules| !rules.is_per_endpoint) {
        endpoints.iter().filter_map(|endpoint| endpoint.health.known_breaker()).for_each(|one| one.reset());
    }
    match rules {
        None => Guards::None,
        Some(rules) if rules.is_per_endpoint => {
            let breakers = endpoints.iter().map(|endpoint| Arc::clone(endpoint.health.breaker()));
            Guards::Endpoints(breakers.map(|breaker| Guard::new(breaker, rules, worker)).collect())
        }
        Some(rules) => Guards::Service(Guard::new(Arc::clone(health.breaker()), rules, worker)),
    }
}
