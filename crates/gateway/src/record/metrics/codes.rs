//! Counters by code, and a worker's own index of them: counting one again takes no lock and no memory.
//!
//! The shard's maps, which a scrape locks, are only touched when a counter is new. As no one else adds to them, what
//! is not in the index is not in the map either.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use super::{Counter, MAX_CODES, OTHER, Series, lock};

/// The counters of one family.
pub(super) type CodeSeries = Series<&'static str, Counter>;
/// The counters of one family, by name and code.
pub(super) type NamedSeries = Series<(Box<str>, &'static str), Counter>;

/// Families of counters that a code alone tells apart.
#[derive(Debug, Clone, Copy)]
pub(super) enum ByCode {
    ParseRefusals,
    ConnectionsRefused,
    Http2Attacks,
    TlsHandshakes,
}

/// Families of counters that a name, mostly a route's, and a code tell apart.
#[derive(Debug, Clone, Copy)]
pub(super) enum ByName {
    Refusals,
    Fallbacks,
    GrpcCalls,
    Mirrored,
    InjectedFaults,
    AppRequests,
    FirewallHits,
    ReviewedAnswers,
    SharedLimits,
}

/// How a family is told.
#[derive(Debug)]
pub(super) struct Family {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    /// What the name is one of, where there is a name.
    pub(super) of: &'static str,
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
                of: "",
                label: "code",
            },
            Self::ConnectionsRefused => Family {
                name: "connections_refused_total",
                help: "Connections that were not let in, by reason.",
                of: "",
                label: "reason",
            },
            Self::Http2Attacks => Family {
                name: "http2_attacks_total",
                help: "HTTP/2 connections, or of window_stall streams, ended because they were abused.",
                of: "",
                label: "attack",
            },
            Self::TlsHandshakes => Family {
                name: "tls_handshakes_total",
                help: "TLS handshakes with clients, by result.",
                of: "",
                label: "result",
            },
        }
    }
}

impl ByName {
    pub(super) const ALL: [Self; 9] = [
        Self::Refusals,
        Self::Fallbacks,
        Self::GrpcCalls,
        Self::Mirrored,
        Self::InjectedFaults,
        Self::AppRequests,
        Self::FirewallHits,
        Self::ReviewedAnswers,
        Self::SharedLimits,
    ];

    pub(super) fn family(self) -> Family {
        match self {
            Self::Refusals => Family {
                name: "refusals_total",
                help: "Refusals and broken answers by route and code.",
                of: "route",
                label: "code",
            },
            Self::Fallbacks => Family {
                name: "fallbacks_total",
                help: "Requests that a fallback was turned to for, by the refusal in whose place.",
                of: "route",
                label: "code",
            },
            Self::GrpcCalls => Family {
                name: "grpc_calls_total",
                help: "Calls of gRPC by route and status.",
                of: "route",
                label: "status",
            },
            Self::Mirrored => Family {
                name: "mirrored_requests_total",
                help: "Requests that were to be copied, by route and result.",
                of: "route",
                label: "result",
            },
            Self::InjectedFaults => Family {
                name: "injected_faults_total",
                help: "Trouble made on purpose, by route and kind.",
                of: "route",
                label: "fault",
            },
            Self::AppRequests => Family {
                name: "app_requests_total",
                help: "Requests of applications by class of status.",
                of: "app",
                label: "status",
            },
            Self::FirewallHits => Family {
                name: "waf_hits_total",
                help: "Requests in which the firewall found something, by route and category.",
                of: "route",
                label: "category",
            },
            Self::ReviewedAnswers => Family {
                name: "reviewed_answers_total",
                help: "Answers of services that were held against the API's description, by result.",
                of: "route",
                label: "result",
            },
            Self::SharedLimits => Family {
                name: "shared_limit_requests_total",
                help: "Requests with limits that gateways share, by what decided on them.",
                of: "route",
                label: "by",
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

/// Counters by name and code.
#[derive(Debug, Default)]
pub(super) struct NamedCodes {
    places: HashMap<Box<str>, usize>,
    names: Vec<(Box<str>, Codes)>,
    /// The place of the name that was counted last, and is often the next one too.
    last: usize,
    /// Counters in all, at most [`MAX_CODES`] and one for each code of [`OTHER`].
    pairs: usize,
}

impl NamedCodes {
    /// Counts one, in a counter of the shard; in one for all other names when there are too many.
    pub(super) fn count(&mut self, name: &str, code: &'static str, shared: &Mutex<NamedSeries>) {
        if self.count_known(name, code) {
            return;
        }
        let is_full = self.pairs >= MAX_CODES;
        if is_full && self.count_known(OTHER, code) {
            return;
        }
        let name = if is_full { OTHER } else { name };
        let counter = Arc::clone(lock(shared).entry((name.into(), code)).or_default());
        self.add(name, code, counter);
        self.pairs += 1;
    }

    /// After a reload, when there are too many: begins anew with the names that are met from here on.
    pub(super) fn forget_if_full(&mut self, shared: &Mutex<NamedSeries>) {
        if self.pairs >= MAX_CODES {
            self.places.clear();
            self.names.clear();
            self.pairs = 0;
            lock(shared).clear();
        }
    }

    fn count_known(&mut self, name: &str, code: &'static str) -> bool {
        self.codes(name).is_some_and(|codes| codes.count_known(code))
    }

    fn add(&mut self, name: &str, code: &'static str, counter: Arc<Counter>) {
        if self.codes(name).is_none() {
            self.last = self.names.len();
            self.places.insert(name.into(), self.last);
            self.names.push((name.into(), Codes::default()));
        }
        self.names[self.last].1.add(code, counter);
    }

    /// Those of a name.
    fn codes(&mut self, name: &str) -> Option<&mut Codes> {
        if self.names.get(self.last).is_none_or(|(known, _)| **known != *name) {
            self.last = *self.places.get(name)?;
        }
        Some(&mut self.names[self.last].1)
    }
}
