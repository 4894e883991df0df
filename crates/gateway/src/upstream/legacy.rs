//! What a process has found of endpoints, for the one that takes its place: who knows them may be out of reach just then.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::EndpointSpec;
use crate::config::values::{EndpointUrl, Host};

/// The endpoints of every service that looks for them.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Legacy(BTreeMap<String, Known>);

/// Those of one.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Known {
    /// Milliseconds since its source answered.
    age: Option<u64>,
    endpoints: Vec<Endpoint>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Endpoint {
    url: String,
    weight: u32,
    /// The name that its certificate is for, where that is not the host's.
    tls_name: Option<String>,
}

impl Legacy {
    /// Adds what is known of a service, whose source last answered then.
    pub(super) fn put(
        &mut self,
        service: &str,
        endpoints: &[EndpointSpec],
        answered: Option<Instant>,
        now: Instant,
    ) {
        let age = answered.map(|at| now.saturating_duration_since(at).as_millis() as u64);
        let endpoints = endpoints.iter().map(|endpoint| Endpoint {
            url: endpoint.url.to_string(),
            weight: endpoint.weight,
            tls_name: endpoint.tls_name.as_ref().map(Host::to_string),
        });
        self.0.insert(service.to_owned(), Known { age, endpoints: endpoints.collect() });
    }

    /// Takes what is known of a service, and when its source last answered. What this version cannot read is left out.
    pub(super) fn take(
        &mut self,
        service: &str,
        now: Instant,
    ) -> Option<(Arc<[EndpointSpec]>, Option<Instant>)> {
        let Known { age, endpoints } = self.0.remove(service)?;
        let answered = age.and_then(|age| now.checked_sub(Duration::from_millis(age)));
        Some((endpoints.iter().filter_map(Endpoint::read).collect(), answered))
    }
}

impl Endpoint {
    fn read(&self) -> Option<EndpointSpec> {
        let tls_name = match &self.tls_name {
            Some(name) => Some(Host::parse(name)?),
            None => None,
        };
        let url = EndpointUrl::parse(&self.url).ok()?;
        Some(EndpointSpec { tls_name, ..EndpointSpec::new(&url, self.weight) })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_was_found_is_known_to_the_next_process() {
        let url = |text: &str| EndpointUrl::parse(text).unwrap();
        let plain = EndpointSpec::new(&url("http://[::1]:80/base"), 0);
        let tls = EndpointSpec {
            tls_name: Host::parse("carts.example.com"),
            ..EndpointSpec::new(&url("https://10.0.0.1:443"), 7)
        };
        let others = ["unix:/run/carts.sock", "tcp://a_b:5432"].map(|text| EndpointSpec::new(&url(text), 1));
        let found = [vec![plain, tls], others.to_vec()].concat();
        let now = Instant::now() + Duration::from_mins(1);
        let mut legacy = Legacy::default();
        legacy.put("carts", &found, now.checked_sub(Duration::from_millis(2500)), now);
        legacy.put("users", &[], None, now);

        let text = serde_json::to_string(&legacy).unwrap();
        let mut legacy: Legacy = serde_json::from_str(&text).unwrap();
        let later = now + Duration::from_secs(1);
        let (endpoints, answered) = legacy.take("carts", later).unwrap();
        assert_eq!(endpoints[..], found);
        assert_eq!(later - answered.unwrap(), Duration::from_millis(2500));
        assert_eq!(legacy.take("carts", later), None);
        assert_eq!(legacy.take("users", later), Some((Vec::new().into(), None)));
    }
}
