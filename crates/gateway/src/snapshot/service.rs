//! What the configuration says of a service, as calls use it.

use std::sync::Arc;
use std::time::Duration;

use http::Method;

use crate::config::values::{HostPort, Percent, StatusRange};
use crate::config::{
    self, BreakerPer, CheckKind, Discover, Health, HedgeAfter, Retry, RetryOn, ServiceProtocol, Start,
};
use crate::tls::ClientTls;
use crate::upstream::adaptive::AdaptiveRules;
use crate::upstream::balance::hash_bytes;
use crate::upstream::breaker::BreakerRules;
use crate::upstream::check::{Check, Probe};
use crate::upstream::discovery::{Discovery, Lookup, Source};
use crate::upstream::health::EjectRules;
use crate::upstream::retry::Rules;
use crate::upstream::tally::Share;
use crate::upstream::{EndpointSpec, NO_BOUND, PoolLimits, Timeouts, hedge};

/// Where an endpoint is.
pub(super) fn endpoint(endpoint: &config::Endpoint) -> EndpointSpec {
    EndpointSpec::new(&endpoint.url.value, endpoint.weight)
}

/// How many connections are kept.
pub(super) fn pool(service: &config::Service) -> PoolLimits {
    let pool = &service.pool;
    PoolLimits {
        in_use: pool.max as usize,
        // A connection that begins with one client's address serves no other.
        idle: if service.proxy_protocol.is_some() { 0 } else { pool.idle as usize },
        idle_for: *pool.idle_for,
        queue: pool.queue as usize,
        queue_for: *pool.queue_for,
    }
}

/// Where endpoints are looked for. A configuration that has been read names one source.
pub(super) fn discovery(discover: &Discover, tls: Option<Arc<ClientTls>>) -> Discovery {
    let lookup =
        Lookup { every: discover.every.map_or(LOOKUP_EVERY, |every| *every), server: discover.server };
    let source = match discover {
        Discover { dns: Some(HostPort { name, port }), .. } => {
            Source::Dns { name: name.clone(), port: *port, lookup }
        }
        Discover { srv: Some(name), .. } => Source::Srv { name: name.clone(), lookup },
        Discover { file: Some(path), .. } => Source::File { path: path.clone() },
        Discover { consul: Some(url), .. } => Source::Consul {
            url: url.clone(),
            service: discover.service.clone().unwrap_or_default(),
            tags: discover.tag.clone(),
            datacenter: discover.datacenter.clone(),
            token: discover.token.clone(),
        },
        Discover { http: Some(url), .. } => Source::Http {
            url: url.clone(),
            headers: discover
                .headers
                .iter()
                .filter_map(|(name, value)| Some((name.clone(), value.value.parse().ok()?)))
                .collect(),
            every: discover.every.map_or(POLL_EVERY, |every| *every),
        },
        _ => Source::Etcd {
            urls: discover.etcd.clone().unwrap_or_default(),
            prefix: discover.prefix.clone().unwrap_or_default(),
            login: discover.user.clone().zip(discover.password.clone()),
        },
    };
    Discovery { source, scheme: discover.scheme(), tls }
}

/// The longest time between two questions to DNS.
const LOOKUP_EVERY: Duration = Duration::from_secs(30);
/// Between two questions to a URL.
const POLL_EVERY: Duration = Duration::from_secs(5);

/// When endpoints are put out.
pub(super) fn eject(eject: &config::Eject) -> EjectRules {
    EjectRules {
        errors: eject.errors,
        share: eject.share.map(|most| (Share { most: most.millionths(), calls: eject.calls }, *eject.window)),
        time: *eject.time,
        most: eject.max.millionths(),
        slow_start: *eject.slow_start,
    }
}

/// When the service is not called.
pub(super) fn breaker(breaker: &config::Breaker) -> BreakerRules {
    let share = |most: Percent| Share { most: most.millionths(), calls: breaker.calls };
    BreakerRules {
        failures: breaker.failures,
        errors: breaker.errors.map(share),
        slow: breaker.slow.zip(breaker.slow_after).map(|(most, after)| (share(most), *after)),
        window: *breaker.window,
        open_for: *breaker.open_for,
        half_open: breaker.half_open,
        is_per_endpoint: breaker.per == BreakerPer::Endpoint,
    }
}

/// How many calls it is given at once.
pub(super) fn adaptive(adaptive: &config::Adaptive) -> AdaptiveRules {
    AdaptiveRules { target: adaptive.target.value(), min: adaptive.min, max: adaptive.max }
}

/// How endpoints are asked whether they are well.
pub(super) fn check(health: &Health, protocol: Option<ServiceProtocol>) -> Check {
    let usual = if protocol == Some(ServiceProtocol::Grpc) { CheckKind::Grpc } else { CheckKind::Http };
    let kind = health.check.unwrap_or(if health.is_http() { CheckKind::Http } else { usual });
    let probe = match kind {
        CheckKind::Tcp => Probe::Tcp,
        CheckKind::Grpc => Probe::Grpc { service: health.service.clone().unwrap_or_default() },
        CheckKind::Http => Probe::Http {
            method: health.method.clone().unwrap_or(Method::GET),
            path: health.path.clone().unwrap_or_else(|| "/".to_owned()),
            host: health.host.clone(),
            expect: health.expect.unwrap_or(StatusRange::SUCCESS),
            body: health.body.clone(),
        },
    };
    Check {
        probe,
        every: *health.every,
        timeout: *health.timeout,
        healthy_after: health.healthy_after,
        unhealthy_after: health.unhealthy_after,
        starts_down: health.start == Some(Start::Down),
    }
}

/// What is tried again.
pub(super) fn retry(retry: &Retry) -> Rules {
    let names = |what| retry.on.contains(&what);
    let statuses = retry.on.iter().filter_map(|on| match on {
        RetryOn::Status(status) => Some(*status),
        RetryOn::Connect | RetryOn::Reset | RetryOn::Timeout => None,
    });
    Rules {
        attempts: retry.attempts + 1,
        on_connect: names(RetryOn::Connect),
        on_reset: names(RetryOn::Reset),
        on_timeout: names(RetryOn::Timeout),
        statuses: statuses.collect(),
        methods: retry.methods.iter().cloned().collect(),
        budget: retry.budget.millionths(),
        backoff: *retry.backoff,
        timeout: retry.timeout.map(|timeout| *timeout),
    }
}

/// When another endpoint is asked beside a slow one.
pub(super) fn hedge(hedge: &config::Hedge) -> hedge::Rules {
    hedge::Rules {
        after: match hedge.after {
            HedgeAfter::Time(time) => hedge::After::Time(*time),
            HedgeAfter::Percentile(percent) => hedge::After::Percentile(percent),
        },
        methods: hedge.methods.iter().cloned().collect(),
    }
}

/// How long a call may take.
pub(super) fn timeouts(timeouts: &config::Timeouts) -> Timeouts {
    Timeouts {
        connect: *timeouts.connect,
        tls: timeouts.tls.map(|tls| *tls),
        first_byte: *timeouts.first_byte,
        idle: *timeouts.idle,
        total: timeouts.total.map_or(NO_BOUND, |total| *total),
        tunnel_idle: *timeouts.tunnel.idle.unwrap_or(timeouts.idle),
        tunnel_total: timeouts.tunnel.total.map_or(NO_BOUND, |total| *total),
    }
}

/// The key of a service's sticky ids: the same in every process, so that a fleet agrees. An id tells whoever guesses an
/// endpoint's address only that the guess was right.
pub(super) fn sticky_secret(service: &str) -> [u8; 16] {
    let mut secret = [0; 16];
    secret[..8].copy_from_slice(&hash_bytes(service.as_bytes()).to_be_bytes());
    secret[8..].copy_from_slice(&hash_bytes(&[service.as_bytes(), b" sticky"].concat()).to_be_bytes());
    secret
}
