//! What the configuration says of a service, as calls use it.

use http::Method;

use crate::config::values::{Percent, StatusRange};
use crate::config::{
    self, BreakerPer, CheckKind, Health, HedgeAfter, Retry, RetryOn, ServiceProtocol, Start,
};
use crate::upstream::breaker::BreakerRules;
use crate::upstream::check::{Check, Probe};
use crate::upstream::health::EjectRules;
use crate::upstream::retry::Rules;
use crate::upstream::tally::Share;
use crate::upstream::{EndpointSpec, NO_BOUND, PoolLimits, Timeouts, hedge};

/// Where an endpoint is.
pub(super) fn endpoint(endpoint: &config::Endpoint) -> EndpointSpec {
    let url = &endpoint.url.value;
    EndpointSpec {
        url: url.to_string().into(),
        is_tls: url.is_tls,
        host: url.host.clone(),
        port: url.port,
        authority: url.authority(),
        base: url.base.clone(),
        weight: endpoint.weight,
    }
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
