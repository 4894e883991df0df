//! The services of a configuration.

use std::sync::Arc;

use super::security::ServiceSecurity;
use super::{Compiler, compile_answer, parts};
use crate::accept::proxy_protocol;
use crate::config::{self, Balance, Fault, Priority, ProxyVersion, WhenAllDown};
use crate::expression::{Root, Roots};
use crate::upstream::balance::{MAX_ENDPOINTS, Policy as BalancePolicy};
use crate::upstream::fallback::Fallback;
use crate::upstream::{Affinity, ServiceSpec};

impl Compiler<'_> {
    /// One service.
    pub(super) fn service(&mut self, service: &config::Service, tls: ServiceSecurity) -> ServiceSpec {
        let (balance, affinity) = match &service.balance {
            Balance::RoundRobin => (BalancePolicy::RoundRobin, Affinity::None),
            Balance::WeightedRandom => (BalancePolicy::WeightedRandom, Affinity::None),
            Balance::Random => (BalancePolicy::Random, Affinity::None),
            Balance::LeastRequests => (BalancePolicy::LeastRequests, Affinity::None),
            Balance::Ewma => (BalancePolicy::Ewma, Affinity::None),
            Balance::IpHash => (BalancePolicy::IpHash, Affinity::ClientIp),
            Balance::Hash(text) => {
                let key = self.expression(text, Roots::BEFORE_RESPONSE.without(Root::Body));
                (BalancePolicy::Hash, key.map_or(Affinity::None, Affinity::Key))
            }
            Balance::Sticky(name) => {
                let secret = parts::sticky_secret(&service.name.value);
                (BalancePolicy::Sticky { secret }, Affinity::Cookie(Arc::from(name.value.as_str())))
            }
        };
        if service.endpoints.len() > MAX_ENDPOINTS {
            let message = format!("a service has at most {MAX_ENDPOINTS} endpoints");
            self.faults.push(Fault::error("too_many", service.name.span, message));
        }
        ServiceSpec {
            name: Arc::from(service.name.value.as_str()),
            endpoints: service.endpoints.iter().map(parts::endpoint).collect(),
            discovery: service
                .discover
                .as_deref()
                .map(|discover| Arc::new(parts::discovery(discover, tls.source))),
            balance,
            affinity: Arc::new(affinity),
            pool: parts::pool(service),
            health: service.health.as_ref().map(|health| parts::check(health, service.protocol)),
            eject: service.eject.as_ref().map(parts::eject),
            breaker: service.breaker.as_ref().map(parts::breaker),
            fallback: service.fallback.as_deref().and_then(|fallback| self.fallback(fallback)),
            adaptive: service.adaptive.as_ref().map(parts::adaptive),
            fails_when_all_down: service.when_all_down == Some(WhenAllDown::Fail),
            proxy_protocol: service.proxy_protocol.map(|version| match version {
                ProxyVersion::V1 => proxy_protocol::Version::V1,
                ProxyVersion::V2 => proxy_protocol::Version::V2,
            }),
            protocol: service.protocol,
            tls: tls.endpoints,
        }
    }

    /// What stands in for a service. A name that is none has been refused before.
    fn fallback(&mut self, fallback: &config::Fallback) -> Option<Fallback> {
        match fallback {
            config::Fallback::Respond(respond) => Some(Fallback::Respond(Arc::new(compile_answer(respond)))),
            config::Fallback::To(name) => {
                let config = self.config;
                let other = config.services.get(&name.value)?;
                let (timeouts, retry) = config.service_limits(other);
                Some(Fallback::To {
                    service: Arc::from(name.value.as_str()),
                    limits: self.limits(&timeouts, retry, config.service_hedge(other), Priority::Normal),
                })
            }
        }
    }
}
