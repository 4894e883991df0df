//! The router: hosts in front, the trees behind, and the order among routes of one place.

use std::cmp::Reverse;
use std::collections::HashMap;

use http1::TargetForm;
use xxhash_rust::xxh3::xxh3_64;

use super::conditions::Conditions;
use super::host::without_dot;
use super::methods::{self, MethodBits, Methods};
use super::table::Table;
use super::tree::{Builder, Leaf, Tree};
use super::{
    AllowList, Found, HostPattern, MAX_EXTENSION_METHODS, Params, PathPattern, RequestView, RouteMatch,
};

/// Finds the route of a request. Immutable.
#[derive(Debug)]
pub struct Router {
    pub(super) routes: Box<[Route]>,
    pub(super) tree: Tree,
    pub(super) methods: Methods,
    exact: Hosts,
    below: Hosts,
    /// The most labels of a name in `below`: longer ends of a host need no look.
    below_labels: usize,
    any: Option<u32>,
}

/// A route as the router keeps it.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) host: HostPattern,
    pub(super) path: PathPattern,
    /// The methods it names; none when it takes any.
    pub(super) methods: MethodBits,
    pub(super) conditions: Option<Box<Conditions>>,
    pub(super) weight: Weight,
}

/// What decides between routes with the same host and path; greater goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Weight {
    /// Conditions in all: naming methods counts as one.
    pub(super) conditions: u32,
    pub(super) names_methods: bool,
    pub(super) exactness: u32,
}

/// Roots of trees by host name.
#[derive(Debug)]
struct Hosts {
    table: Table,
    names: Box<[(Box<str>, u32)]>,
}

/// Why routes make no router.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RouterFault {
    /// More than [`MAX_ROUTES`].
    #[error("there are {0} routes; at most {MAX_ROUTES} are possible")]
    TooManyRoutes(usize),
    /// The route at this position names one extension method too many.
    #[error("the routes name more than {MAX_EXTENSION_METHODS} different methods beyond the standard ones")]
    TooManyMethods(usize),
}

/// Routes of one router.
pub const MAX_ROUTES: usize = 500_000;

impl Router {
    /// Builds the trees. Routes are known by their position in the list from here on.
    pub fn build(routes: Vec<RouteMatch>) -> Result<Self, RouterFault> {
        if routes.len() > MAX_ROUTES {
            return Err(RouterFault::TooManyRoutes(routes.len()));
        }
        let mut methods = Methods::default();
        let routes: Box<[Route]> = routes
            .into_iter()
            .enumerate()
            .map(|(at, route)| Route::new(route, &mut methods).ok_or(RouterFault::TooManyMethods(at)))
            .collect::<Result<_, _>>()?;
        let mut builder = Builder::default();
        let mut roots: HashMap<&HostPattern, u32> = HashMap::new();
        for (at, route) in routes.iter().enumerate() {
            let root = *roots.entry(&route.host).or_insert_with(|| builder.root());
            builder.insert(root, &route.path, at as u32);
        }
        let tree = builder.build(|leaf| {
            leaf.sort_by_key(|at| {
                let route = &routes[*at as usize];
                (Reverse(route.weight), route.methods.count_ones(), *at)
            });
        });
        let any = roots.get(&HostPattern::Any).copied();
        let mut exact = Vec::new();
        let mut below = Vec::new();
        for (host, root) in roots {
            match host {
                HostPattern::Any => {}
                HostPattern::Exact(name) => exact.push((name.clone(), root)),
                HostPattern::Below(name) => below.push((name.clone(), root)),
            }
        }
        let below_labels = below.iter().map(|(name, _)| name.split('.').count()).max().unwrap_or(0);
        Ok(Self {
            tree,
            methods,
            exact: Hosts::new(exact),
            below: Hosts::new(below),
            below_labels,
            any,
            routes,
        })
    }

    /// The route for a request, and in `params` what its parameters took.
    pub fn find(&self, view: &RequestView<'_>, params: &mut Params) -> Found<'_> {
        params.clear();
        let mut search = Search {
            router: self,
            view,
            wanted: Wanted::new(self.methods.bit(view.method)),
            allowed: 0,
            allows_any: false,
            fits_method: false,
        };
        if view.head.form == TargetForm::Asterisk {
            return search.asterisk();
        }
        let path = view.head.path.as_str();
        let found = self.roots(view.head.host(), |root| {
            self.tree.search(root, path, params, &mut |leaf, params| search.pick(leaf, params))
        });
        match found {
            Some(route) => Found::Route(route),
            None => search.refusal(),
        }
    }

    /// The template of a route, whose names [`Params::bind`] puts to the spans.
    pub fn params_of(&self, route: usize) -> &PathPattern {
        &self.routes[route].path
    }

    /// The number of routes.
    pub fn len(&self) -> usize {
        self.routes.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.routes.is_empty()
    }

    /// Calls `visit` with the root of every tree that is for this host, the most specific first.
    pub(super) fn roots<T>(&self, host: &str, mut visit: impl FnMut(u32) -> Option<T>) -> Option<T> {
        let host = without_dot(host);
        if let Some(root) = self.exact.find(host)
            && let found @ Some(_) = visit(root)
        {
            return found;
        }
        if self.below_labels > 0 {
            // Back over as many labels as the longest `*.x` has, then forwards: no more looks than those.
            let mut dots = memchr::memrchr_iter(b'.', host.as_bytes());
            let first = dots.by_ref().take(self.below_labels).last();
            let mut dot = first;
            while let Some(at) = dot {
                // `.x` alone has no label in front.
                if at > 0
                    && let Some(root) = self.below.find(&host[at + 1..])
                    && let found @ Some(_) = visit(root)
                {
                    return found;
                }
                dot = memchr::memchr(b'.', &host.as_bytes()[at + 1..]).map(|next| at + 1 + next);
            }
        }
        visit(self.any?)
    }

    /// The root of every tree.
    pub(super) fn all_roots(&self) -> impl Iterator<Item = u32> {
        self.exact.names.iter().chain(&self.below.names).map(|(_, root)| *root).chain(self.any)
    }
}

impl Route {
    fn new(mut route: RouteMatch, known: &mut Methods) -> Option<Self> {
        let mut methods = 0;
        for method in &route.methods {
            methods |= known.learn(method)?;
        }
        let conditions = Conditions::take(&mut route);
        let weight = Weight {
            conditions: conditions.as_ref().map_or(0, |all| all.count()) + u32::from(methods != 0),
            names_methods: methods != 0,
            exactness: conditions.as_ref().map_or(0, |all| all.exactness()),
        };
        Some(Self { host: route.host, path: route.path, methods, conditions, weight })
    }
}

/// The method that a search is for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    /// Its own bit; zero for a method that no route names.
    pub(super) own: MethodBits,
    /// A route that names one of these takes it.
    accepted: MethodBits,
}

impl Wanted {
    pub(super) fn new(own: MethodBits) -> Self {
        // RFC 9110, section 9.3.2: what answers GET answers HEAD.
        let accepted = if own == methods::HEAD { methods::HEAD | methods::GET } else { own };
        Self { own, accepted }
    }

    pub(super) fn is_taken_by(self, route: &Route) -> bool {
        if route.methods == 0 { self.own != methods::CONNECT } else { route.methods & self.accepted != 0 }
    }
}

/// One search: what is wanted, and what was met on the way that explains a refusal.
struct Search<'r, 'v> {
    router: &'r Router,
    view: &'v RequestView<'v>,
    wanted: Wanted,
    allowed: MethodBits,
    allows_any: bool,
    fits_method: bool,
}

impl<'r> Search<'r, '_> {
    /// The first route of the leaf that takes the request. For HEAD a route that names it goes before one of
    /// the same weight that takes it because it takes GET.
    fn pick(&mut self, leaf: Leaf<'_>, params: &mut Params) -> Option<usize> {
        let mut by_get: Option<usize> = None;
        for at in leaf {
            let at = *at as usize;
            let route = &self.router.routes[at];
            if let Some(earlier) = by_get
                && self.router.routes[earlier].weight != route.weight
            {
                break;
            }
            if !self.wanted.is_taken_by(route) {
                // CONNECT asks for a host and a port: no path allows it.
                self.allowed |= route.methods & !methods::CONNECT;
                self.allows_any |= route.methods == 0;
                continue;
            }
            let names_it = route.methods & self.wanted.own != 0;
            if by_get.is_some() && !names_it {
                continue;
            }
            self.fits_method = true;
            if !self.conditions_hold(route, params) {
                continue;
            }
            if names_it || self.wanted.own != methods::HEAD {
                return Some(at);
            }
            by_get = Some(at);
        }
        by_get
    }

    fn conditions_hold(&self, route: &Route, params: &mut Params) -> bool {
        let Some(conditions) = &route.conditions else { return true };
        match conditions.check(self.view, &route.path, params) {
            Ok(()) => true,
            Err(unmet) => {
                params.expression_faults += u32::from(unmet.is_fault());
                false
            }
        }
    }

    fn refusal(&self) -> Found<'r> {
        let nothing_here = self.allowed == 0 && !self.allows_any;
        if self.fits_method || nothing_here {
            return Found::NoRoute;
        }
        let allow = AllowList::new(&self.router.methods, self.allowed, self.allows_any);
        if self.wanted.own == methods::OPTIONS {
            return Found::Options(allow);
        }
        Found::MethodNotAllowed(allow)
    }

    /// `OPTIONS *` asks about the gateway as a whole (RFC 9110, section 9.3.7).
    fn asterisk(&self) -> Found<'r> {
        if self.wanted.own != methods::OPTIONS {
            return Found::NoRoute;
        }
        Found::Options(AllowList::new(&self.router.methods, 0, true))
    }
}

impl Hosts {
    fn new(names: Vec<(Box<str>, u32)>) -> Self {
        let entries = names.iter().enumerate().map(|(at, (name, _))| (xxh3_64(name.as_bytes()), at as u32));
        Self { table: Table::build(entries), names: names.into() }
    }

    fn find(&self, host: &str) -> Option<u32> {
        if self.names.is_empty() {
            return None;
        }
        let at = self.table.find(xxh3_64(host.as_bytes()), |at| *self.names[at as usize].0 == *host)?;
        Some(self.names[at as usize].1)
    }
}
