//! The compiled configuration: everything that a request needs, computed once.
//!
//! A [`Snapshot`] is immutable and shared by all workers; [`Live`] is one worker's view of it.

mod build;
mod explain;
mod service;

use std::cell::{OnceCell, RefCell};
use std::collections::HashSet;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use http1::Known;

use crate::accept::listener::ListenerSpec;
use crate::accept::socket::ListenerName;
use crate::answer::StaticAnswer;
use crate::buckets::Buckets;
use crate::config::Priority;
use crate::config::values::StoreUrl;
use crate::geo::Database;
use crate::identity::{Callers, Proofs};
use crate::outside::Outside;
use crate::overload::Bounds;
use crate::password::Turns;
use crate::policies::Policy;
use crate::policies::identify::jwt::KeySets;
use crate::policies::identify::oidc::Logins;
use crate::quotas::{InForce, Quotas};
use crate::record::{LogConfig, RouteMetrics};
use crate::route::{Device, Found, Params, RequestView, Rewrite, Router};
use crate::shared::{Nonces, Redis, SharedBuckets};
use crate::signed_identity::{Signer, Tokens};
use crate::tls::{self, Certificate};
use crate::upstream::injection::Injection;
use crate::upstream::mirror::Mirror;
use crate::upstream::split::Split;
use crate::upstream::{Service, ServiceSpec, Timeouts, hedge, retry};
use crate::waiting::Waits;
use crate::worker::Worker;

/// The compiled configuration.
#[derive(Debug)]
pub struct Snapshot {
    /// Where requests come in.
    pub listeners: Vec<Arc<ListenerSpec>>,
    /// Finds the route of a request.
    pub router: Router,
    /// The routes, by the router's positions.
    pub routes: Vec<Route>,
    /// The services, in the order of their names.
    pub services: Vec<Arc<ServiceSpec>>,
    /// Kinds of clients.
    pub devices: Vec<Arc<Device>>,
    /// Who may call where not everybody may.
    pub callers: Callers,
    /// What services are told of them.
    pub told: Told,
    /// Query parameters that hold credentials, which no log shows.
    pub secret_parameters: Arc<[Box<str>]>,
    /// Where the access log goes, and how.
    pub logs: LogConfig,
    /// How long a graceful stop waits.
    pub drain: Duration,
    /// When the gateway itself has too much to do.
    pub overload: Bounds,
    /// What TLS keeps from one snapshot to the next.
    pub tls: Arc<tls::Registry>,
    /// Keys that issuers of tokens publish, as long as a snapshot uses them.
    pub key_sets: Arc<KeySets>,
    /// The way out for questions about callers.
    pub outside: Arc<Outside>,
    /// What is known of logins in browsers.
    pub logins: Arc<Logins>,
    /// Turns at passwords, of the whole process.
    pub turns: Arc<Turns>,
    /// What may not be used again, which outlives snapshots too.
    pub nonces: Nonces,
    /// Where addresses are, where that is known.
    geo: Option<Arc<Database>>,
    /// What callers have used up of their limits, once some snapshot has had limits. It outlives snapshots too.
    buckets: Option<Arc<Buckets>>,
    /// Who waits for a limit. It outlives snapshots too.
    waits: Waits,
    /// What callers have used of their quotas, which outlives snapshots too, and the quotas that hold.
    quotas: Arc<Quotas>,
    quotas_in_force: Vec<InForce>,
    /// Where that is written down.
    store: Option<StoreUrl>,
    /// The same for the whole fleet, once some limit is shared.
    fleet: Option<Arc<SharedBuckets>>,
    /// What the fleet shares.
    redis: Option<Arc<Redis>>,
}

/// How services are told of callers.
#[derive(Debug, Clone, Default)]
pub struct Told {
    /// In fields that anybody can read, and anybody but the gateway could write.
    pub is_plain: bool,
    /// In one that nobody else could.
    pub signer: Option<Arc<Signer>>,
}

impl Snapshot {
    /// The certificates that listeners show to clients, each once.
    pub fn server_certificates(&self) -> Vec<&Certificate> {
        let tls = self.listeners.iter().filter_map(|listener| listener.tls.as_ref());
        once_each(tls.flat_map(|tls| tls.certificates()))
    }

    /// The certificates that the gateway shows to services, each once.
    pub fn client_certificates(&self) -> Vec<&Certificate> {
        once_each(self.services.iter().filter_map(|service| service.tls.as_ref()?.certificate()))
    }

    /// What the fleet shares, where there is a fleet.
    pub fn redis(&self) -> Option<&Arc<Redis>> {
        self.redis.as_ref()
    }

    /// What the fleet's callers have used up of limits, where some are shared.
    pub fn fleet(&self) -> Option<&Arc<SharedBuckets>> {
        self.fleet.as_ref()
    }

    /// What callers have used of their quotas.
    pub fn quotas(&self) -> &Arc<Quotas> {
        &self.quotas
    }

    /// The quotas that hold.
    pub fn quotas_in_force(&self) -> &[InForce] {
        &self.quotas_in_force
    }

    /// Where it is written down what was used of them.
    pub fn store(&self) -> Option<&StoreUrl> {
        self.store.as_ref()
    }

    /// Whether some listener takes requests in clear.
    pub fn has_clear_listener(&self) -> bool {
        self.listeners.iter().any(|listener| listener.tls.is_none())
    }

    /// The route of a request, and whether it is a preflight that the route answers. That is about another request of another
    /// method, whose route it is, if that has `cors` (the Fetch standard, section 3.3.2).
    pub fn find(&self, view: &RequestView<'_>, params: &mut Params) -> (Found<'_>, bool) {
        if view.head.method == Method::OPTIONS
            && view.head.fields.contains(Known::Origin)
            && let Some(method) = view.head.fields.get(Known::AccessControlRequestMethod)
            && let Ok(method) = Method::from_bytes(method)
            && let Found::Route(index) = self.router.find(&RequestView { method: &method, ..*view }, params)
            && self.routes[index].policies().iter().any(|policy| policy.answers_preflights())
        {
            return (Found::Route(index), true);
        }
        (self.router.find(view, params), false)
    }

    /// The service of this name.
    fn service(&self, name: &str) -> Option<&ServiceSpec> {
        let place = self.services.binary_search_by(|known| (*known.name).cmp(name)).ok()?;
        Some(&self.services[place])
    }

    /// The services that a route's requests go to.
    pub fn services_of<'s>(&'s self, route: &'s Route) -> Vec<&'s ServiceSpec> {
        let at = |place: usize| &*self.services[place];
        match &route.target {
            Target::Service(place) => vec![at(*place)],
            Target::Split(split) => split.branches.iter().map(|branch| at(branch.service)).collect(),
            Target::Retired | Target::Respond(_) => Vec::new(),
        }
    }

    /// The listener of this name.
    pub fn listener(&self, name: &ListenerName) -> Option<&Arc<ListenerSpec>> {
        self.listeners.iter().find(|spec| spec.name == *name)
    }
}

fn once_each<'c>(certificates: impl Iterator<Item = &'c Certificate>) -> Vec<&'c Certificate> {
    let mut seen = HashSet::new();
    certificates.filter(|one| seen.insert((&one.file, &one.fingerprint))).collect()
}

/// One compiled route: a line of the cache, as with many routes reading one costs a miss.
#[derive(Debug)]
#[repr(align(64))]
pub struct Route {
    /// Its name in logs, metrics and explanations.
    pub name: Box<str>,
    /// Its API's name; empty without one.
    pub api: Arc<str>,
    /// What becomes of its requests.
    pub target: Target,
    /// What its calls may take, unless they are split; most routes share one.
    pub limits: Arc<CallLimits>,
    /// What few routes have.
    extras: Option<Box<Extras>>,
}

/// What a call may take.
#[derive(Debug)]
pub struct CallLimits {
    /// Of time.
    pub timeouts: Timeouts,
    /// Of attempts.
    pub retry: retry::Rules,
    /// When another endpoint is asked beside a slow one.
    pub hedge: Option<hedge::Rules>,
    /// What it is worth beside others.
    pub priority: Priority,
}

/// What few routes have.
#[derive(Debug)]
struct Extras {
    rewrite: Option<Rewrite>,
    mirror: Option<Box<Mirror>>,
    fault: Option<Box<Injection>>,
    policies: Box<[Arc<dyn Policy>]>,
    /// The place of the policy that reviews answers.
    reviewer: Option<usize>,
}

impl Route {
    /// The path that the service sees, when not the one that came.
    pub fn rewrite(&self) -> Option<&Rewrite> {
        self.extras.as_ref()?.rewrite.as_ref()
    }

    /// Where copies of its requests go.
    pub fn mirror(&self) -> Option<&Mirror> {
        self.extras.as_ref()?.mirror.as_deref()
    }

    /// Trouble made on purpose.
    pub fn fault(&self) -> Option<&Injection> {
        self.extras.as_ref()?.fault.as_deref()
    }

    /// Its policies, in the order of their stages.
    pub fn policies(&self) -> &[Arc<dyn Policy>] {
        self.extras.as_ref().map_or(&[], |extras| &extras.policies)
    }

    /// The one of them that reviews what services answer.
    pub fn reviewer(&self) -> Option<&dyn Policy> {
        let extras = self.extras.as_ref()?;
        Some(&**extras.policies.get(extras.reviewer?)?)
    }
}

/// What becomes of a route's requests.
#[derive(Debug)]
pub enum Target {
    /// They go to the service at this place.
    Service(usize),
    /// Each goes to one of several services.
    Split(Box<Split>),
    /// The API's version is retired: every request is refused.
    Retired,
    /// The gateway answers.
    Respond(Arc<StaticAnswer>),
}

/// A worker's view of a snapshot: handles on its own state, made when they are first needed, so that routes and services
/// that nobody asks for cost nothing.
#[derive(Debug)]
pub struct Live {
    /// The snapshot.
    pub snapshot: Arc<Snapshot>,
    services: Vec<RefCell<Option<Rc<Service>>>>,
    routes: Vec<OnceCell<Arc<RouteMetrics>>>,
    no_route: OnceCell<Arc<RouteMetrics>>,
    /// What was verified of callers under this configuration.
    pub proofs: Rc<Proofs>,
    /// What services were told of them lately, signed.
    pub signed: Tokens,
}

impl Live {
    /// A view of the snapshot.
    pub fn new(snapshot: Arc<Snapshot>) -> Self {
        Self {
            services: vec![RefCell::default(); snapshot.services.len()],
            routes: vec![OnceCell::new(); snapshot.routes.len()],
            no_route: OnceCell::new(),
            proofs: Rc::default(),
            signed: Tokens::default(),
            snapshot,
        }
    }

    /// A view of a snapshot that has this one route and serves nothing: enough for the record of an exchange that may outlast many
    /// reloads, and keeps none of what they replaced. Expressions over the exchange are at an end: the router knows no parameters.
    #[must_use]
    pub fn for_record(&self, worker: &Worker, route: usize) -> Self {
        self.route_metrics(worker, Some(route));
        let known = &self.snapshot.routes[route];
        let Ok(router) = Router::build(Vec::new()) else { unreachable!("no routes are not too many") };
        let snapshot = Snapshot {
            listeners: Vec::new(),
            router,
            routes: vec![Route {
                name: known.name.clone(),
                api: Arc::clone(&known.api),
                target: Target::Retired,
                limits: Arc::clone(&known.limits),
                extras: None,
            }],
            services: Vec::new(),
            devices: Vec::new(),
            callers: Callers::default(),
            told: Told::default(),
            secret_parameters: Arc::clone(&self.snapshot.secret_parameters),
            logs: self.snapshot.logs.clone(),
            drain: self.snapshot.drain,
            overload: self.snapshot.overload,
            tls: Arc::clone(&self.snapshot.tls),
            key_sets: Arc::clone(&self.snapshot.key_sets),
            outside: Arc::clone(&self.snapshot.outside),
            logins: Arc::clone(&self.snapshot.logins),
            turns: Arc::clone(&self.snapshot.turns),
            nonces: self.snapshot.nonces.clone(),
            geo: None,
            buckets: None,
            waits: Waits::default(),
            quotas: Arc::clone(&self.snapshot.quotas),
            quotas_in_force: Vec::new(),
            store: None,
            fleet: None,
            redis: None,
        };
        Self {
            services: Vec::new(),
            routes: vec![self.routes[route].clone()],
            no_route: OnceCell::new(),
            proofs: Rc::default(),
            signed: Tokens::default(),
            snapshot: Arc::new(snapshot),
        }
    }

    /// Makes the services that the old view had in use, before the old view is dropped.
    pub fn adopt(&self, worker: &Worker, old: &Self) {
        for (index, spec) in self.snapshot.services.iter().enumerate() {
            let was_used = old
                .snapshot
                .services
                .binary_search_by(|known| known.name.cmp(&spec.name))
                .is_ok_and(|known| old.services[known].borrow().is_some());
            if was_used {
                self.service(worker, index);
            }
        }
    }

    /// The service of this name, unless a reload has taken it away.
    pub fn service_of(&self, worker: &Worker, name: &str) -> Option<Rc<Service>> {
        let found = self.snapshot.services.binary_search_by(|known| (*known.name).cmp(name));
        found.ok().map(|index| self.service(worker, index))
    }

    /// The service at this place of the snapshot.
    pub fn service(&self, worker: &Worker, index: usize) -> Rc<Service> {
        if let Some(service) = &*self.services[index].borrow() {
            return Rc::clone(service);
        }
        self.set_service(worker, index, &self.snapshot.services[index])
    }

    /// The service at this place of the snapshot is another one from the next call on: its endpoints have changed.
    pub fn set_service(&self, worker: &Worker, index: usize, spec: &Arc<ServiceSpec>) -> Rc<Service> {
        let service = worker.upstreams.service(spec, &worker.shard, worker.id);
        self.services[index].replace(Some(Rc::clone(&service)));
        service
    }

    /// The metrics of a route, or of the requests that have none.
    pub fn route_metrics(&self, worker: &Worker, route: Option<usize>) -> &RouteMetrics {
        match route {
            Some(index) => self.routes[index].get_or_init(|| {
                let route = &self.snapshot.routes[index];
                worker.shard.route(&route.name, &route.api)
            }),
            None => self.no_route.get_or_init(|| worker.shard.route("", "")),
        }
    }
}
