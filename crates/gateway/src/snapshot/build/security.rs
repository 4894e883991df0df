//! TLS of listeners, services, those who know callers, and the fleet's Redis: certificates and keys, read at load.

use std::collections::HashMap;
use std::sync::Arc;

use super::super::Snapshot;
use super::listeners::stable_name;
use crate::clock;
use crate::config::{Config, Faults};
use crate::tls::{self, ClientTls, ServerTls};

/// TLS of listeners and services, each in the order of the configuration.
pub(super) struct Security {
    pub(super) listeners: Vec<Option<Arc<ServerTls>>>,
    pub(super) services: Vec<ServiceSecurity>,
    /// Towards those who know callers, by the names of the ways.
    pub(super) ways: HashMap<Box<str>, Arc<ClientTls>>,
    /// Towards what the fleet shares.
    pub(super) redis: Option<Arc<ClientTls>>,
}

/// TLS of one service.
pub(super) struct ServiceSecurity {
    /// Towards its endpoints.
    pub(super) endpoints: Option<Arc<ClientTls>>,
    /// Towards who knows its endpoints.
    pub(super) source: Option<Arc<ClientTls>>,
}

impl Security {
    /// Reads all certificates and keys; every fault of every file is reported.
    pub(super) fn compile(
        config: &Config,
        before: Option<&Snapshot>,
        registry: &tls::Registry,
        faults: &mut Faults,
    ) -> Self {
        let mut builder = tls::Builder::new(faults, registry, clock::unix_seconds());
        let services = config.services.values().map(|service| {
            let known = before.and_then(|before| before.service(&service.name.value));
            let source = known.and_then(|known| known.discovery.as_ref()?.tls.as_ref());
            ServiceSecurity {
                endpoints: builder.service(service, known.and_then(|known| known.tls.as_ref())),
                source: builder.discovery(service, source),
            }
        });
        let services = services.collect();
        let listeners = (0..config.listeners.len()).map(|index| {
            let known = before.and_then(|before| before.listener(&stable_name(&config.listeners, index)));
            builder.listener(&config.listeners[index], known.and_then(|known| known.tls.as_deref()))
        });
        let listeners = listeners.collect();
        let known = before.and_then(Snapshot::redis).and_then(|redis| redis.tls());
        let redis = config.cluster.as_ref().and_then(|cluster| builder.redis(cluster, known));
        let ways =
            config.auth.iter().filter_map(|(name, way)| Some((name.as_str().into(), builder.outside(way)?)));
        Self { listeners, services, ways: ways.collect(), redis }
    }
}
