//! What a search says of what it found: into the catalog, and to the operator.

use std::sync::Arc;
use std::time::{Duration, Instant};

use gateway::config::Scheme;
use gateway::config::values::EndpointUrl;
use gateway::notice::notice;
use gateway::upstream::EndpointSpec;
use gateway::upstream::balance::MAX_ENDPOINTS;
use gateway::upstream::catalog::{Catalog, Difference, Sought};
use tokio::sync::Notify;

use crate::plain::plain;

/// Endpoints that are told by name when they come or go.
const TOLD: usize = 3;
/// How often changes are told at most.
const TOLD_EVERY: Duration = Duration::from_secs(1);
/// An endpoint's largest weight.
pub(super) const MAX_WEIGHT: u32 = 1000;

/// An endpoint as a source names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// A URL, or a host and a port.
    pub(super) url: String,
    /// Its share of the requests.
    pub(super) weight: u32,
    /// The name that it was found under.
    pub(super) name: Option<gateway::config::values::Host>,
    /// The key that holds it: where one is known the operator is told that instead of the value, which may be a secret that
    /// came there by mistake.
    pub(super) key: Option<String>,
}

impl Found {
    /// An endpoint of usual weight.
    pub(super) fn at(url: impl Into<String>) -> Self {
        Self { url: url.into(), weight: 1, name: None, key: None }
    }
}

/// Takes what a search finds for one service.
#[derive(Debug)]
pub(super) struct Report {
    service: Arc<str>,
    sought: Sought,
    catalog: Arc<Catalog>,
    news: Arc<Notify>,
    changes: Arc<Notify>,
    /// When a change was last told, and how many were not since.
    told: Option<Instant>,
    untold: usize,
    /// What the operator was told last that is wrong with single endpoints.
    complaint: String,
}

impl Report {
    pub(super) fn new(
        service: Arc<str>,
        sought: Sought,
        catalog: Arc<Catalog>,
        news: Arc<Notify>,
        changes: Arc<Notify>,
    ) -> Self {
        Self { service, sought, catalog, news, changes, told: None, untold: 0, complaint: String::new() }
    }

    /// The source has answered with these endpoints; `is_watched` says whether it will tell of a change at once. Whether
    /// they are believed: an answer without any that can be called is not.
    pub(super) fn found(&mut self, found: &[Found], is_watched: bool) -> bool {
        let mut complaints = Vec::new();
        let mut endpoints = Vec::with_capacity(found.len());
        for one in found {
            match self.endpoint(one) {
                Ok(endpoint) => endpoints.push(endpoint),
                Err(complaint) => {
                    complaints.push(format!("{}: {complaint}", plain(one.key.as_ref().unwrap_or(&one.url))));
                }
            }
        }
        self.complain(&complaints);
        let why = if endpoints.len() > MAX_ENDPOINTS {
            format!("it names {} endpoints, and a service has at most {MAX_ENDPOINTS}", endpoints.len())
        } else if endpoints.iter().all(|endpoint| endpoint.weight == 0) {
            let kind = if endpoints.is_empty() { "no endpoint" } else { "no endpoint that has a weight" };
            format!("it names {kind}")
        } else {
            let difference = self.catalog.found(&self.service, &self.sought, endpoints);
            // Those who wait for it look at once.
            self.well(is_watched);
            if let Some(difference) = difference {
                self.changes.notify_one();
                self.tell(&difference);
            }
            return true;
        };
        self.failed(&why);
        false
    }

    /// The source has answered that nothing has changed.
    pub(super) fn unchanged(&mut self, is_watched: bool) {
        self.well(is_watched);
        self.tell_the_rest();
    }

    /// The source has failed, or is not believed.
    pub(super) fn failed(&mut self, why: &str) {
        let name = &self.service;
        if self.catalog.failed(name, &self.sought, Instant::now()) {
            let kept = match self.count() {
                0 => "none is known yet".to_owned(),
                1 => "the one that is known is kept".to_owned(),
                count => format!("the {count} that are known are kept"),
            };
            notice(format_args!("service {name}: its endpoints cannot be looked for, {kept}: {why}"));
        }
        self.news.notify_waiters();
    }

    fn well(&mut self, is_watched: bool) {
        let name = &self.service;
        if self.catalog.answered(name, &self.sought, is_watched, Instant::now()) {
            notice(format_args!("service {name}: its endpoints can be looked for again"));
        }
        self.news.notify_waiters();
    }

    /// How many endpoints are known.
    fn count(&self) -> usize {
        self.catalog.known(&self.service, &self.sought).map_or(0, |endpoints| endpoints.len())
    }

    /// An endpoint that the service can call.
    fn endpoint(&self, found: &Found) -> Result<EndpointSpec, String> {
        let text = found.url.trim();
        let scheme = self.sought.discovery.scheme;
        let url = if text.contains("://") || text.starts_with("unix:") {
            EndpointUrl::parse(text)?
        } else {
            EndpointUrl::parse(&format!("{}://{text}", scheme.as_str()))?
        };
        if url.is_tcp != (scheme == Scheme::Tcp) {
            return Err("`scheme: tcp` in `discover` is for tcp:// endpoints, and for no others".to_owned());
        }
        if url.is_tls && !self.sought.takes_tls {
            return Err("this system has no authorities that could vouch for its certificate".to_owned());
        }
        let tls_name = found.name.clone().filter(|_| url.is_tls);
        Ok(EndpointSpec { tls_name, ..EndpointSpec::new(&url, found.weight.min(MAX_WEIGHT)) })
    }

    /// Says what is wrong with single endpoints, when it is another thing than before.
    fn complain(&mut self, complaints: &[String]) {
        let text = match complaints {
            [] => String::new(),
            [only] => only.clone(),
            [first, more @ ..] => format!("{first}, and {} more", more.len()),
        };
        if text != self.complaint && !text.is_empty() {
            notice(format_args!("service {}: an endpoint that was found is left out: {text}", self.service));
        }
        self.complaint = text;
    }

    fn tell(&mut self, difference: &Difference) {
        let now = Instant::now();
        if self.told.is_some_and(|told| now.duration_since(told) < TOLD_EVERY) {
            self.untold += 1;
            return;
        }
        self.tell_the_rest();
        self.told = Some(now);
        let names = |sign: char, urls: &[Arc<str>]| {
            let mut told: Vec<String> =
                urls.iter().take(TOLD).map(|url| format!(" {sign}{}", plain(url))).collect();
            if urls.len() > TOLD {
                told.push(format!(" {sign}{} more", urls.len() - TOLD));
            }
            told.concat()
        };
        let (came, went) = (names('+', &difference.came), names('-', &difference.went));
        let endpoints = if difference.count == 1 { "endpoint" } else { "endpoints" };
        notice(format_args!("service {}: {} {endpoints}{came}{went}", self.service, difference.count));
    }

    fn tell_the_rest(&mut self) {
        if self.untold > 0 {
            let (changes, count) = (std::mem::take(&mut self.untold), self.count());
            notice(format_args!("service {}: {changes} more changes, {count} endpoints", self.service));
        }
    }
}
