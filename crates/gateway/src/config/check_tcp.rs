//! Checks of what passes bytes on without reading them: `tcp` listeners, `tcp://` endpoints, PROXY headers.

use std::collections::BTreeSet;

use super::fault::{Fault, Faults};
use super::model::{Balance, Config, Scheme, Service, Tcp};

/// Reports services that cannot do what a listener, a route or their own keys want of them.
pub(super) fn check(config: &Config, faults: &mut Faults) {
    let of_listeners = config.listeners.iter().filter_map(|listener| listener.tcp.as_ref());
    let named: BTreeSet<&str> =
        of_listeners.flat_map(Tcp::services).map(|service| service.value.as_str()).collect();
    for service in named.iter().filter_map(|name| config.services.get(*name)) {
        check_behind_tcp(service, faults);
    }
    for target in config.called_services() {
        let service = config.services.get(target.value.as_str());
        if service.is_some_and(speaks_no_http) {
            let message = "this service has tcp:// endpoints, which speak no HTTP";
            faults.push(
                Fault::error("not_http", target.span, message)
                    .help("only a listener can lead there: `tcp: SERVICE`"),
            );
        }
    }
}

fn speaks_no_http(service: &Service) -> bool {
    let finds_tcp = service.discover.as_ref().is_some_and(|discover| discover.scheme() == Scheme::Tcp);
    finds_tcp || service.endpoints.iter().any(|endpoint| endpoint.url.value.is_tcp)
}

/// A service that gets bytes as they come can be chosen by nothing that stands in requests.
fn check_behind_tcp(service: &Service, faults: &mut Faults) {
    if service.fallback.is_some() && speaks_no_http(service) {
        let message = "`fallback` has no effect: this service has tcp:// endpoints, which get no requests";
        faults.push(Fault::error("not_http", service.name.span, message));
    }
    if let Balance::Hash(what) | Balance::Sticky(what) = &service.balance {
        let message = "a `tcp` listener leads to this service: there are no requests to look into";
        let help = "by the client's address: `balance: ip_hash`";
        faults.push(Fault::error("not_http", what.span, message).help(help));
    }
    for endpoint in service.endpoints.iter().filter(|endpoint| !endpoint.url.value.base.is_empty()) {
        let message = "a `tcp` listener leads to this endpoint: it gets bytes as they come, never a path";
        faults.push(Fault::error("not_http", endpoint.url.span, message));
    }
}
