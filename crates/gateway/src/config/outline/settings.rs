//! What can be said of listeners, and of what there is one of.

use super::{Facets, Things, callers};
use crate::config::model::{AccessLog, Admin, Config, Listener, LogFormat};

pub(super) fn listener_facets(listener: &Listener) -> Facets {
    let mut facets = Facets::default();
    facets.may_say("permissions", listener.mode);
    facets.may_say("redirect", listener.redirect.map(|_| "to https"));
    facets.says("protocols", listener.protocols);
    facets.may_say("TLS", listener.tls.as_deref());
    facets.may_say(
        "default TCP service",
        listener.tcp.as_ref().and_then(|tcp| tcp.default.as_ref()).map(|it| &it.value),
    );
    for (name, service) in listener.tcp.iter().flat_map(|tcp| &tcp.sni) {
        facets.says(format!("TCP service for {}", name.value), &service.value);
    }
    facets.list("PROXY peers", listener.proxy_protocol.iter().flat_map(|proxy| &proxy.from));
    facets.list("trusted peers", listener.trust_forwarded.iter().flat_map(|trust| &trust.from));
    let limits = &listener.limits;
    facets.says("connection limit", limits.connections);
    facets.may_say("connection limit for an address", limits.connections_of_an_address());
    facets.may_say("rate of new connections from an address", limits.connection_rate_per_ip);
    facets.may_say("rate of requests from an address", limits.requests_of_an_address());
    facets.says("header timeout", limits.header_timeout);
    facets.says("body timeout", limits.body_timeout);
    facets.may_say("least rate of bodies", limits.body_rate);
    facets.says("idle timeout", limits.idle_timeout);
    facets.says("header limit", limits.headers);
    facets.says("header size limit", limits.header_size);
    facets.says("line size limit", limits.line_size);
    facets.says("stream limit", limits.streams);
    facets
}

/// The parts of a configuration that there are one of.
pub(super) fn settings(config: &Config) -> Things {
    let mut workers = Facets::default();
    workers.says("threads", config.workers.map_or("one per core".to_owned(), |workers| workers.to_string()));
    workers.says("drain time", config.drain);
    let mut logs = Facets::default();
    logs.says(
        "access log",
        match &config.logs.access {
            AccessLog::Stdout => "stdout".to_owned(),
            AccessLog::Off => "off".to_owned(),
            AccessLog::File(path) => path.display().to_string(),
        },
    );
    logs.says("format", if config.logs.format == LogFormat::Json { "json" } else { "common" });
    for (range, share) in &config.logs.sample {
        logs.says(format!("share of {range}"), share);
    }
    let admin = admin_facets(config.admin.as_ref());
    let mut overload = Facets::default();
    overload.says("lag", config.overload.lag.map_or("off".to_owned(), |lag| lag.to_string()));
    overload.says("memory", config.overload.memory.map_or("off".to_owned(), |share| share.to_string()));
    let identity = callers::identity_facets(&config.identity);
    let mut cluster = Facets::default();
    if let Some(known) = &config.cluster {
        cluster.says("redis", &known.redis.value);
        cluster.may_say("user", known.user.as_ref());
        cluster.may_say("password", known.password.as_ref().map(|_| "needed"));
        let sentinel_password = known.sentinel_password.as_ref();
        cluster.may_say("password of the sentinels", sentinel_password.map(|_| "needed"));
        cluster.may_say("TLS", known.tls.as_deref());
        cluster.says("time for an answer", known.timeout);
        cluster.says("prefix", &known.prefix);
        cluster.may_say("secret", known.secret.as_ref().map(|_| "needed"));
        cluster.may_say("gateways at least", known.gateways);
    }
    let mut store = Facets::default();
    store.may_say("file", config.store.as_ref().map(|store| store.value.path().display()));
    let mut geo = Facets::default();
    geo.may_say("database", config.geo.as_ref().map(|geo| geo.database.value.display()));
    [
        ("workers", workers),
        ("logs", logs),
        ("admin", admin),
        ("overload", overload),
        ("identity", identity),
        ("cluster", cluster),
        ("store", store),
        ("geo", geo),
    ]
    .map(|(name, facets)| (name.to_owned(), facets))
    .into()
}

fn admin_facets(admin: Option<&Admin>) -> Facets {
    let mut facets = Facets::default();
    let Some(admin) = admin else {
        facets.says("address", "off");
        return facets;
    };
    facets.says("address", admin.address.value);
    facets.may_say("token", admin.token.as_ref().map(|_| "needed"));
    facets
}
