//! Counters by code, and a worker's own index of them: counting one again takes no lock and no memory.
//!
//! The shard's maps, which a scrape locks, are only touched when a counter is new. As no one else adds to them, what
//! is not in the index is not in the map either.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use super::{Counter, MAX_CODES, OTHER, Series, lock};

/// The counters of one family.
pub(super) type CodeSeries = Series<&'static str, Counter>;
/// The counters of one family, by route and code.
pub(super) type RouteSeries = Series<(Box<str>, &'static str), Counter>;

/// Families of counters that a code alone tells apart.
#[derive(Debug, Clone, Copy)]
pub(super) enum ByCode {
    ParseRefusals,
    ConnectionsRefused,
    Http2Attacks,
    TlsHandshakes,
}

/// Families of counters that a route and a code tell apart.
#[derive(Debug, Clone, Copy)]
pub(super) enum ByRoute {
    Refusals,
    Fallbacks,
    GrpcCalls,
    Mirrored,
    InjectedFaults,
}

/// How a family is told.
#[derive(Debug)]
pub(super) struct Family {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    /// What the code is called.
    pub(super) label: &'static str,
}

impl ByCode {
    pub(super) const ALL: [Self; 4] =
        [Self::ParseRefusals, Self::ConnectionsRefused, Self::Http2Attacks, Self::TlsHandshakes];

    pub(super) fn family(self) -> Family {
        match self {
            Self::ParseRefusals => Family {
                name: "parse_refusals_total",
                help: "Requests refused for their syntax, sizes or slowness.",
                label: "code",
            },
            Self::ConnectionsRefused => Family {
                name: "connections_refused_total",
                help: "Connections that were not let in, by reason.",
                label: "reason",
            },
            Self::Http2Attacks => Family {
                name: "http2_attacks_total",
                help: "HTTP/2 connections, or of window_stall streams, ended because they were abused.",
                label: "attack",
            },
            Self::TlsHandshakes => Family {
                name: "tls_handshakes_total",
                help: "TLS handshakes with clients, by result.",
                label: "result",
            },
        }
    }
}

impl ByRoute {
    pub(super) const ALL: [Self; 5] =
        [Self::Refusals, Self::Fallbacks, Self::GrpcCalls, Self::Mirrored, Self::InjectedFaults];

    pub(super) fn family(self) -> Family {
        match self {
            Self::Refusals => Family {
                name: "refusals_total",
                help: "Refusals and broken answers by route and code.",
                label: "code",
            },
            Self::Fallbacks => Family {
                name: "fallbacks_total",
                help: "Requests that a fallback was turned to for, by the refusal in whose place.",
                label: "code",
            },
            Self::GrpcCalls => Family {
                name: "grpc_calls_total",
                help: "Calls of gRPC by route and status.",
                label: "status",
            },
            Self::Mirrored => Family {
                name: "mirrored_requests_total",
                help: "Requests that were to be copied, by route and result.",
                label: "result",
            },
            Self::InjectedFaults => Family {
                name: "injected_faults_total",
                help: "Trouble made on purpose, by route and kind.",
                label: "fault",
            },
        }
    }
}

/// Counters by code. Codes are names in this program, so there are a few dozen at most: a list is looked through.
#[derive(Debug, Default)]
pub(super) struct Codes(Vec<(&'static str, Arc<Counter>)>);

impl Codes {
    /// Counts one, in a counter of the shard.
    pub(super) fn count(&mut self, code: &'static str, shared: &Mutex<CodeSeries>) {
        if !self.count_known(code) {
            let counter = Arc::clone(lock(shared).entry(code).or_default());
            self.add(code, counter);
        }
    }

    /// Counts one if its counter is known, and says whether it was.
    fn count_known(&self, code: &'static str) -> bool {
        let known = self.0.iter().find(|(known, _)| *known == code);
        if let Some((_, counter)) = known {
            counter.add(1);
        }
        known.is_some()
    }

    fn add(&mut self, code: &'static str, counter: Arc<Counter>) {
        counter.add(1);
        self.0.push((code, counter));
    }
}

/// Counters by route and code.
#[derive(Debug, Default)]
pub(super) struct RouteCodes {
    routes: HashMap<Box<str>, Codes>,
    /// Counters in all, at most [`MAX_CODES`] and one for each code of [`OTHER`].
    pairs: usize,
}

impl RouteCodes {
    /// Counts one, in a counter of the shard; in one without the route's name when there are too many.
    pub(super) fn count(&mut self, route: &str, code: &'static str, shared: &Mutex<RouteSeries>) {
        if self.count_known(route, code) {
            return;
        }
        let is_full = self.pairs >= MAX_CODES;
        if is_full && self.count_known(OTHER, code) {
            return;
        }
        let route = if is_full { OTHER } else { route };
        let counter = Arc::clone(lock(shared).entry((route.into(), code)).or_default());
        self.routes.entry(route.into()).or_default().add(code, counter);
        self.pairs += 1;
    }

    /// After a reload, when there are too many: begins anew with the names that are met from here on.
    pub(super) fn forget_if_full(&mut self, shared: &Mutex<RouteSeries>) {
        if self.pairs >= MAX_CODES {
            self.routes.clear();
            self.pairs = 0;
            lock(shared).clear();
        }
    }

    fn count_known(&self, route: &str, code: &'static str) -> bool {
        self.routes.get(route).is_some_and(|codes| codes.count_known(code))
    }
}
