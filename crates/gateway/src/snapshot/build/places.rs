//! Routes of the gateway's own: paths at which ways to find out who calls answer themselves, where routes name them.

use std::collections::BTreeSet;
use std::sync::Arc;

use http::{Method, StatusCode};

use super::parts;
use super::{CallLimits, Compiler, Extras, Route, Target, extras};
use crate::answer::StaticAnswer;
use crate::config::{Access, Priority, Retry, Span, Timeouts};
use crate::policies::identify::Place;
use crate::route::{HostPattern, PathPattern, RouteMatch};

impl Compiler<'_> {
    /// One for each path and each host that the routes of its way are on.
    pub(super) fn places(&self) -> Vec<(RouteMatch, Route, Span)> {
        let mut built = Vec::new();
        for (name, way) in &self.config.auth {
            let Some(compiled) = self.ways.get(name.as_str()) else { continue };
            let places = Arc::clone(compiled).places();
            let hosts = if places.is_empty() { BTreeSet::new() } else { self.hosts_of(name) };
            if hosts.is_empty() {
                continue;
            }
            for place in &places {
                let own = place.host.as_deref().map(|host| BTreeSet::from([Some(host)]));
                for host in own.as_ref().unwrap_or(&hosts) {
                    let matching = matching(place, *host);
                    built.extend(matching.map(|matching| (matching, self.place(place), way.name.span)));
                }
            }
        }
        built
    }

    /// The hosts of the routes that name a way; nothing for those on any host.
    fn hosts_of(&self, way: &str) -> BTreeSet<Option<&str>> {
        let routes = self.config.each_route().filter(|route| {
            let terms = route.access.and_then(Access::terms);
            terms.is_some_and(|terms| terms.ways().any(|name| name.value == way))
        });
        routes.map(|route| route.host.map(|host| host.value.as_str())).collect()
    }

    fn place(&self, place: &Place) -> Route {
        Route {
            name: place.name.as_str().into(),
            api: Arc::clone(&self.no_api),
            // Its policy answers before.
            target: Target::Respond(Arc::new(StaticAnswer::empty(StatusCode::NOT_FOUND))),
            limits: Arc::new(CallLimits {
                timeouts: parts::timeouts(&Timeouts::default()),
                retry: parts::retry(&Retry::none()),
                hedge: None,
                priority: Priority::Normal,
            }),
            extras: extras(Extras {
                rewrite: None,
                mirror: None,
                fault: None,
                reviewer: None,
                policies: [Arc::clone(&place.policy)].into(),
            }),
        }
    }
}

/// What leads there. Hosts and paths that are none have been refused before.
fn matching(place: &Place, host: Option<&str>) -> Option<RouteMatch> {
    Some(RouteMatch {
        host: host.map_or(Ok(HostPattern::Any), HostPattern::parse).ok()?,
        methods: vec![Method::GET],
        path: PathPattern::parse(&place.path).ok()?,
        headers: Vec::new(),
        query: Vec::new(),
        device: None,
        when: None,
        version: None,
    })
}
