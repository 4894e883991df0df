//! Checks across the whole configuration, after each part has been read: names that are used but not declared, routes
//! that are open by accident, addresses that collide.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::effective::Action;
use super::fault::{Fault, Faults};
use super::model::{Api, Config, Declared, Policies, Redirect, Route, Service, Tcp, VersionState};
use super::path;
use super::read::nearest;
use super::source::{Located, Span};
use super::values::ListenAddress;
use super::{check_access, check_limits, check_tcp};

/// Reports everything that is wrong with the parts taken together.
pub(super) fn check(config: &Config, declared: &Declared, faults: &mut Faults) {
    check_addresses(config, faults);
    check_redirects(config, faults);
    check_services(config, declared, faults);
    check_tcp::check(config, faults);
    check_access::check(config, declared, faults);
    check_countries(config, declared, faults);
    check_limits::check(config, declared, faults);
    for service in config.services.values() {
        check_service_tls(service, faults);
        check_fallback(service, faults);
    }
    let mut names: HashMap<&str, Span> = HashMap::new();
    for route in &config.routes {
        check_route(config, declared, None, route, faults);
        check_name(&mut names, route, faults);
    }
    for api in config.apis.values() {
        check_api(api, faults);
        for route in &api.routes {
            check_route(config, declared, Some(api), route, faults);
            check_name(&mut names, route, faults);
        }
    }
    // Parts that could not be read may use what seems to be unused.
    if !faults.has_errors() {
        check_unused(config, faults);
        check_access::check_unused(config, faults);
        check_mirrors(config, faults);
        config.apis.values().for_each(|api| check_deprecated(api, faults));
    }
}

/// A copy for the service that answers anyway would have it do everything twice.
fn check_mirrors(config: &Config, faults: &mut Faults) {
    if !config.policies().any(|policies| policies.mirror.is_some()) {
        return;
    }
    let mut told = HashSet::new();
    for route in config.each_route() {
        let Some((mirror, _)) = &route.mirror else { continue };
        let calls_it = match route.action {
            Action::Forward { service, .. } => service.name == mirror.to,
            Action::Split { split, .. } => split.branches.iter().any(|branch| branch.to == mirror.to),
            Action::Respond(_) => false,
        };
        if calls_it && told.insert(mirror.to.span) {
            let message = format!("requests of the route {} go to this service already", route.label);
            let fault = Fault::error("bad_value", mirror.to.span, message);
            faults.push(fault.help("`mirror: off` on that route leaves it out"));
        }
    }
}

fn check_addresses(config: &Config, faults: &mut Faults) {
    let mut taken: Vec<(ListenAddress, String)> = Vec::new();
    if let Some(admin) = &config.admin {
        taken.push((ListenAddress::Tcp(admin.address.value.socket()), "the admin address".to_owned()));
    }
    for address in config.listeners.iter().map(|listener| &listener.address) {
        let (line, _) = config.source().position(address.span.start());
        if let Some((_, by)) = taken.iter().find(|(earlier, _)| collide(earlier, &address.value)) {
            let message = format!("this address is taken already, by {by}");
            faults.push(Fault::error("duplicate_address", address.span, message));
        }
        taken.push((address.value.clone(), format!("the listener on line {line}")));
    }
    if let Some(admin) = &config.admin
        && admin.token.is_none()
        && !admin.address.value.socket().ip().is_loopback()
    {
        let message = "the admin address can be reached from other machines and has no token";
        faults.push(
            Fault::error("open_admin", admin.address.span, message)
                .help("add `token: ${env:TOLLGATE_ADMIN_TOKEN}`, or listen on 127.0.0.1"),
        );
    }
}

/// Whether two addresses cannot both be bound. Port 0 asks for any free port.
fn collide(one: &ListenAddress, other: &ListenAddress) -> bool {
    let (ListenAddress::Tcp(one), ListenAddress::Tcp(other)) = (one, other) else {
        return one == other;
    };
    let overlap = one.ip() == other.ip()
        || (one.is_ipv4() == other.is_ipv4() && (one.ip().is_unspecified() || other.ip().is_unspecified()));
    one.port() == other.port() && one.port() != 0 && overlap
}

fn check_redirects(config: &Config, faults: &mut Faults) {
    let mut of_http = config.listeners.iter().filter(|listener| listener.tcp.is_none()).peekable();
    let first = of_http.peek().copied();
    let all = of_http.all(|listener| listener.redirect == Some(Redirect::Https));
    if let Some(first) = first.filter(|_| all) {
        let message = "every listener redirects to https and none serves it: clients would go in circles";
        faults.push(
            Fault::warning("redirect_loop", first.address.span, message)
                .help("add a listener without `redirect`, unless another gateway serves https"),
        );
    }
}

fn check_service_tls(service: &Service, faults: &mut Faults) {
    let Some(tls) = &service.tls else { return };
    let may_find_tls = service.discover.as_ref().is_some_and(|discover| discover.may_find_tls());
    if !may_find_tls
        && !service.endpoints.is_empty()
        && service.endpoints.iter().all(|endpoint| !endpoint.url.value.is_tls)
    {
        let message = "`tls` has no effect: none of the endpoints begins with https://";
        faults.push(Fault::warning("unused_tls", service.name.span, message));
    }
    if let Some(insecure) = tls.insecure.as_ref().filter(|insecure| insecure.value) {
        let message = format!(
            "INSECURE: whoever is on the way to the service `{}` can read and change everything",
            service.name.value
        );
        let help = "name the authority of its certificate instead: `tls: { ca: FILE }`";
        faults.push(Fault::warning("insecure_tls", insecure.span, message).help(help));
    }
}

fn check_fallback(service: &Service, faults: &mut Faults) {
    let Some(other) = service.fallback.as_ref().and_then(|fallback| fallback.service()) else { return };
    if other.value == service.name.value {
        let message = "a service cannot stand in for itself";
        faults.push(Fault::error("bad_value", other.span, message));
    }
}

fn check_api(api: &Api, faults: &mut Faults) {
    if let Some(base) = &api.base
        && let Err(complaint) = path::check_base(&base.value)
    {
        faults.push(Fault::error("bad_path", base.span, complaint));
    }
    if let Some(host) = &api.host {
        check_host(host, faults);
    }
}

fn check_route(config: &Config, declared: &Declared, api: Option<&Api>, route: &Route, faults: &mut Faults) {
    check_path(config, route, faults);
    check_versions(api, route, faults);
    check_limits::check_route(config, api, route, faults);
    if let Some(host) = &route.matches.host {
        check_host(host, faults);
    }
    if let Some(device) = &route.matches.device {
        check_device(declared, device, faults);
    }
    let levels = [Some(&route.policies), api.map(|api| &api.policies), Some(&config.defaults)];
    if !levels.into_iter().flatten().any(|policies: &Policies| policies.access.is_some()) {
        faults.push(Fault::error("no_access", route.span, "this route does not say who may call it").help(
            "add `access: public` to let everybody in, or name a way under `auth`; an API and `defaults` can say it for many \
             routes",
        ));
    }
}

/// Countries are known from a database, and a database that nobody asks is one too many.
fn check_countries(config: &Config, declared: &Declared, faults: &mut Faults) {
    let mut named =
        config.policies().filter_map(|policies| policies.ip.as_ref()?.value()?.countries().next()).peekable();
    if let Some(geo) = config.geo.as_ref().filter(|_| named.peek().is_none() && !faults.has_errors()) {
        let fault =
            Fault::warning("unused_geo", geo.database.span, "no route asks for the countries of its callers");
        faults.push(fault.help("`ip: { deny_countries: […] }` would"));
    }
    if declared.has_geo {
        return;
    }
    for country in named {
        let message = "the countries of addresses are not known";
        let fault = Fault::error("no_geo", country.span, message);
        faults.push(
            fault.help("add `geo: FILE`, a database in the format of MaxMind DB, at the top of the file"),
        );
    }
}

fn check_services(config: &Config, declared: &Declared, faults: &mut Faults) {
    let tcp = config.listeners.iter().filter_map(|listener| listener.tcp.as_ref());
    let named = tcp.flat_map(Tcp::services).chain(config.called_services());
    named.for_each(|service| check_service(declared, service, faults));
}

fn check_service(declared: &Declared, used: &Located<String>, faults: &mut Faults) {
    if !declared.services.contains(&used.value) {
        let fault = Fault::error("unknown_service", used.span, "there is no service of this name");
        faults.push(with_advice(fault, used, &declared.services, "services"));
    }
}

fn check_device(declared: &Declared, used: &Located<String>, faults: &mut Faults) {
    if !declared.devices.contains(&used.value) {
        let fault = Fault::error("unknown_device", used.span, "there is no device of this name");
        faults.push(with_advice(fault, used, &declared.devices, "devices"));
    }
}

/// The fault of a name that is used and not declared, with what was probably meant.
pub(super) fn with_advice(
    fault: Fault,
    used: &Located<String>,
    declared: &BTreeSet<String>,
    section: &str,
) -> Fault {
    let names: Vec<&str> = declared.iter().map(String::as_str).collect();
    match nearest(&used.value, &names) {
        Some(name) => fault.help(format!("did you mean `{name}`?")),
        None => fault.help(format!("add it under `{section}`")),
    }
}

fn check_path(config: &Config, route: &Route, faults: &mut Faults) {
    let pattern = &route.matches.path;
    let captures = match path::check_pattern(&pattern.value) {
        Ok(captures) => captures,
        Err(flaw) => {
            let span = config.source().part(pattern, flaw.range);
            faults.push(Fault::error("bad_path", span, flaw.message));
            return;
        }
    };
    let Some(rewrite) = &route.rewrite else {
        return;
    };
    match path::check_rewrite(&rewrite.value, &captures) {
        Ok(()) => {}
        Err(flaw) => {
            let span = config.source().part(rewrite, flaw.range);
            faults.push(Fault::error("bad_path", span, flaw.message));
        }
    }
}

fn check_versions(api: Option<&Api>, route: &Route, faults: &mut Faults) {
    let versions = api.and_then(|api| api.versions.as_ref());
    for used in &route.versions {
        let Some(versions) = versions else {
            let message = "only a route of an API that has `versions` can belong to some of them";
            faults.push(Fault::error("unknown_version", used.span, message));
            return;
        };
        let names: Vec<&str> = versions.list.iter().map(|version| version.name.value.as_str()).collect();
        if !names.contains(&used.value.as_str()) {
            let fault = Fault::error("unknown_version", used.span, "the API has no version of this name");
            faults.push(fault.help(format!("it has {}", names.join(", "))));
        }
    }
}

/// Callers are told of a deprecation by its date, and there is no other word for it (RFC 9745).
fn check_deprecated(api: &Api, faults: &mut Faults) {
    let versions = api.versions.iter().flat_map(|versions| &versions.list);
    for version in
        versions.filter(|version| version.state == VersionState::Deprecated && version.since.is_none())
    {
        let message = "without `since` the answers of this version do not say that it is deprecated";
        faults.push(
            Fault::warning("no_since", version.name.span, message)
                .help("add `since: 2026-01-31`, the day on which it was deprecated"),
        );
    }
}

fn check_host(host: &Located<String>, faults: &mut Faults) {
    if let Err(complaint) = path::check_host(&host.value) {
        faults.push(Fault::error("bad_host", host.span, complaint));
    }
}

fn check_name<'c>(names: &mut HashMap<&'c str, Span>, route: &'c Route, faults: &mut Faults) {
    if let Some(name) = &route.name
        && names.insert(&name.value, name.span).is_some()
    {
        faults.push(Fault::error("duplicate_name", name.span, "another route has this name already"));
    }
}

fn check_unused(config: &Config, faults: &mut Faults) {
    let used = config.called_services().map(|service| service.value.as_str());
    let of_listeners = config.listeners.iter().filter_map(|listener| listener.tcp.as_ref());
    let of_listeners = of_listeners.flat_map(Tcp::services).map(|service| service.value.as_str());
    let services: HashSet<&str> = used.chain(of_listeners).collect();
    for service in config.services.values().filter(|service| !services.contains(service.name.value.as_str()))
    {
        faults.push(Fault::warning("unused_service", service.name.span, "no route leads to this service"));
    }
    let is_any_http = config.listeners.iter().any(|listener| listener.tcp.is_none());
    if is_any_http && config.routes.is_empty() && config.apis.values().all(|api| api.routes.is_empty()) {
        faults.push(Fault::warning(
            "no_route",
            Span::default(),
            "there are no routes: every request gets a 404",
        ));
    }
}
