//! Active health checks: every endpoint of a service that wants it is asked again and again whether it is well, by one task for
//! all workers.

mod probe;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use gateway::notice::notice;
use gateway::upstream::check::Check;
use gateway::upstream::health::{EndpointHealth, Healths};
use gateway::upstream::{EndpointSpec, ServiceSpec};
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

/// A service's name and an endpoint's URL.
type EndpointName = (Arc<str>, Arc<str>);

/// The checks that run.
#[derive(Debug)]
pub struct Checks {
    runtime: Handle,
    healths: Arc<Healths>,
    running: Mutex<HashMap<EndpointName, Running>>,
}

#[derive(Debug)]
struct Running {
    /// The service with this endpoint alone: all of them would be kept for each else, as they were when it began.
    service: Arc<ServiceSpec>,
    task: AbortHandle,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Checks {
    pub(crate) fn new(runtime: Handle, healths: Arc<Healths>) -> Self {
        Self { runtime, healths, running: Mutex::default() }
    }

    /// Checks what these services want from now on. What was checked in the same way before goes on as it was, and what is
    /// checked in another way is taken for what it was found to be.
    /// The services are asked for when nobody else can change the checks: the last to come would win else, whatever it knows.
    pub fn apply(&self, services: impl FnOnce() -> Vec<Arc<ServiceSpec>>) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let mut before = std::mem::take(&mut *running);
        for service in &services() {
            let Some(check) = &service.health else { continue };
            for endpoint in service.endpoints.iter() {
                let name = (Arc::clone(&service.name), Arc::clone(&endpoint.url));
                if running.contains_key(&name) {
                    continue;
                }
                let known = before.remove(&name);
                let is_known = known.is_some();
                let same = known.filter(|known| is_same(&known.service, service, endpoint));
                let started = same.unwrap_or_else(|| {
                    let health = self.healths.service(&service.name).endpoint(&endpoint.url);
                    if !is_known {
                        health.set_down(check.starts_down, Instant::now());
                    }
                    let endpoints = Arc::new([endpoint.clone()]);
                    let service = Arc::new(ServiceSpec { endpoints, ..ServiceSpec::clone(service) });
                    let task = watch(Arc::clone(&service), check.clone(), health, is_known);
                    Running { service, task: self.runtime.spawn(task).abort_handle() }
                });
                running.insert(name, started);
            }
        }
        for ((service, endpoint), ended) in before {
            drop(ended);
            // Nobody would ever find it well again.
            self.healths.service(&service).endpoint(&endpoint).set_down(false, Instant::now());
        }
    }
}

/// Whether a check need not begin anew. An endpoint of the same name is the same but for its weight.
fn is_same(one: &ServiceSpec, other: &ServiceSpec, endpoint: &EndpointSpec) -> bool {
    let has_same_tls = match (&one.tls, &other.tls) {
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        (None, None) => true,
        _ => false,
    };
    has_same_tls
        && one.health == other.health
        && one.proxy_protocol == other.proxy_protocol
        && one.protocol == other.protocol
        && one.endpoints[0].tls_name == endpoint.tls_name
}

/// Asks a service's only endpoint as long as it is wanted. Before the first answer one is enough.
async fn watch(service: Arc<ServiceSpec>, check: Check, health: Arc<EndpointHealth>, mut is_known: bool) {
    let endpoint = &service.endpoints[0];
    let mut is_down = health.is_down();
    let mut in_a_row = 0;
    // Endpoints are not asked all at once.
    tokio::time::sleep(jitter(check.every.min(Duration::from_secs(1)), 0.0..=0.1)).await;
    loop {
        let asked = tokio::time::timeout(check.timeout, probe::ask(&service, endpoint, &check.probe)).await;
        let answer = asked.unwrap_or_else(|_| Err(format!("no answer within {:?}", check.timeout)));
        in_a_row = if answer.is_err() == is_down { 0 } else { in_a_row + 1 };
        let enough = match is_down {
            _ if !is_known => 1,
            true => check.healthy_after,
            false => check.unhealthy_after,
        };
        if in_a_row >= enough {
            is_down = !is_down;
            in_a_row = 0;
            health.set_down(is_down, Instant::now());
            let (name, url) = (&service.name, &endpoint.url);
            match answer {
                Ok(()) => notice(format_args!("service {name}: {url} is well")),
                Err(why) => notice(format_args!("service {name}: {url} is not well: {why}")),
            }
        }
        is_known = true;
        tokio::time::sleep(jitter(check.every, 0.9..=1.1)).await;
    }
}

/// A time within this share of another.
pub(crate) fn jitter(time: Duration, share: std::ops::RangeInclusive<f64>) -> Duration {
    let mut seed = [0; 4];
    // Without the system's randomness all pauses are alike, which does no harm to one endpoint.
    let _ = getrandom::fill(&mut seed);
    let unit = f64::from(u32::from_ne_bytes(seed)) / f64::from(u32::MAX);
    time.mul_f64(share.start() + (share.end() - share.start()) * unit)
}
