//! How services stand, read when the metrics are asked for.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::render::{Text, labels};
use super::{MAX_SERIES, Metrics, lock};

/// Reads how services stand, for who scrapes.
pub(super) struct HealthReader(pub(super) Box<dyn Fn() -> HealthReadings + Send>);

/// How services stand, in the order of their names.
#[derive(Debug, Default)]
pub struct HealthReadings {
    /// Endpoints.
    pub endpoints: Vec<EndpointReading>,
    /// Breakers.
    pub breakers: Vec<BreakerReading>,
    /// Services that look for their endpoints.
    pub discoveries: Vec<DiscoveryReading>,
    /// Keys that issuers of tokens publish.
    pub key_sets: Vec<KeySetReading>,
}

/// How an endpoint stands.
#[derive(Debug)]
pub struct EndpointReading {
    /// The name of its service.
    pub service: Arc<str>,
    /// Its URL.
    pub endpoint: Arc<str>,
    /// Whether it takes requests.
    pub is_up: bool,
}

/// How the breaker of a service, or of one of its endpoints, stands.
#[derive(Debug)]
pub struct BreakerReading {
    /// The name of the service.
    pub service: Arc<str>,
    /// The URL of the endpoint, where it is the breaker of one.
    pub endpoint: Option<Arc<str>>,
    /// 0 closed, 1 half-open, 2 open.
    pub state: u8,
    /// How often it opened.
    pub opened: u64,
    /// How often it closed again.
    pub closed: u64,
}

/// What is known of a service's endpoints that are looked for.
#[derive(Debug)]
pub struct DiscoveryReading {
    /// The name of the service.
    pub service: Arc<str>,
    /// How many were found.
    pub endpoints: usize,
    /// For how long its source has not answered; nothing while it never has.
    pub age: Option<Duration>,
    /// How often they changed.
    pub changes: u64,
    /// How often the source failed or was not believed.
    pub failures: u64,
}

/// What is known of the keys that an issuer of tokens publishes.
#[derive(Debug)]
pub struct KeySetReading {
    /// The URL that is asked.
    pub source: Box<str>,
    /// How many keys there are.
    pub keys: usize,
    /// For how long they cannot be fetched; nothing while they can.
    pub failing_for: Option<Duration>,
    /// How often that has failed.
    pub failures: u64,
}

impl fmt::Debug for HealthReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HealthReader")
    }
}

/// The series of endpoints and breakers.
pub(super) fn write(metrics: &Metrics, text: &mut Text) {
    let readings = lock(&metrics.process).health.as_ref().map(|reader| (reader.0)()).unwrap_or_default();
    let name = "upstream_endpoint_up";
    text.begin(name, "gauge", "Whether an endpoint takes requests: 0 while it is out.");
    for one in readings.endpoints.iter().take(MAX_SERIES) {
        let labels = labels(&[("service", &one.service), ("endpoint", &one.endpoint)]);
        text.sample(name, &labels, u8::from(one.is_up));
    }
    let families = [
        ("breaker", "The breaker of a service"),
        ("endpoint_breaker", "The breaker of an endpoint, where each has one of its own"),
    ];
    for (family, of) in families {
        let of_endpoints = family != "breaker";
        let all =
            || readings.breakers.iter().filter(|one| one.endpoint.is_some() == of_endpoints).take(MAX_SERIES);
        let name = format!("{family}_state");
        text.begin(&name, "gauge", &format!("{of}: 0 closed, 1 half-open, 2 open."));
        for one in all() {
            text.sample(&name, &labels(&one.names()), one.state);
        }
        let name = format!("{family}_turns_total");
        text.begin(&name, "counter", &format!("{of}: how often it opened and closed again."));
        for one in all() {
            for (to, count) in [("open", one.opened), ("closed", one.closed)] {
                let mut names = one.names();
                names.push(("to", to));
                text.sample(&name, &labels(&names), count);
            }
        }
    }
    write_discoveries(&readings.discoveries, text);
    write_key_sets(&readings.key_sets, text);
}

fn write_key_sets(readings: &[KeySetReading], text: &mut Text) {
    let labels_of = |one: &KeySetReading| labels(&[("source", &one.source)]);
    let name = "key_set_keys";
    text.begin(name, "gauge", "Keys that an issuer of tokens publishes, as far as they can be used.");
    for one in readings {
        text.sample(name, &labels_of(one), one.keys);
    }
    let name = "key_set_age_seconds";
    text.begin(name, "gauge", "For how long an issuer's keys cannot be fetched; 0 while they can.");
    for one in readings {
        text.sample(name, &labels_of(one), one.failing_for.unwrap_or_default().as_secs_f64());
    }
    let name = "key_set_failures_total";
    text.begin(name, "counter", "How often an issuer's keys could not be fetched.");
    for one in readings {
        text.sample(name, &labels_of(one), one.failures);
    }
}

fn write_discoveries(readings: &[DiscoveryReading], text: &mut Text) {
    let labels_of = |one: &DiscoveryReading| labels(&[("service", &one.service)]);
    let name = "discovery_endpoints";
    text.begin(name, "gauge", "Endpoints that were found for a service.");
    for one in readings {
        text.sample(name, &labels_of(one), one.endpoints);
    }
    let name = "discovery_age_seconds";
    text.begin(name, "gauge", "For how long the source of a service's endpoints has not answered.");
    for one in readings {
        if let Some(age) = one.age {
            text.sample(name, &labels_of(one), age.as_secs_f64());
        }
    }
    let name = "discovery_changes_total";
    text.begin(name, "counter", "How often the endpoints that were found changed.");
    for one in readings {
        text.sample(name, &labels_of(one), one.changes);
    }
    let name = "discovery_failures_total";
    text.begin(name, "counter", "How often a source failed, or gave an answer that is not believed.");
    for one in readings {
        text.sample(name, &labels_of(one), one.failures);
    }
}

impl BreakerReading {
    fn names(&self) -> Vec<(&'static str, &str)> {
        let mut names = vec![("service", &*self.service)];
        names.extend(self.endpoint.as_deref().map(|endpoint| ("endpoint", endpoint)));
        names
    }
}
