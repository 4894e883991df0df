//! What changes for users between two configurations: in the order of the file's sections, in plain sentences.
//! Routes are known by their name, or else by what they match; where they stand in the file has no meaning.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt::{self, Display, Write as _};

use super::effective::{Action, EffectiveRoute};
use super::model::{
    AccessLog, Admin, Api, Balance, Config, Device, Headers, Listener, LogFormat, Service, VersionBy,
    VersionState,
};

/// One change, or one that is the same for several things.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Whether the things come, go or change.
    pub kind: ChangeKind,
    /// What they are: `route`, `service`, `listener` …
    pub what: &'static str,
    /// Their names.
    pub names: Vec<String>,
    /// What is to be said about them, or what becomes different, each a short sentence.
    pub details: Vec<String>,
}

/// What happens to a thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChangeKind {
    /// It was not there before.
    Added,
    /// It is gone.
    Removed,
    /// It is there, and different.
    Altered,
}

impl Display for Change {
    /// `route GET /users altered: total timeout becomes 5s (was 60s)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = match self.kind {
            ChangeKind::Added => "added",
            ChangeKind::Removed => "removed",
            ChangeKind::Altered => "altered",
        };
        let shown = self.names.iter().take(MAX_NAMES).map(String::as_str).collect::<Vec<_>>().join(", ");
        if self.names.len() == 1 {
            write!(f, "{} {shown} {verb}", self.what)?;
        } else {
            write!(f, "{} {}s {verb} ({shown}", self.names.len(), self.what)?;
            match self.names.len().saturating_sub(MAX_NAMES) {
                0 => f.write_char(')')?,
                more => write!(f, " and {more} more)")?,
            }
        }
        if self.details.is_empty() { Ok(()) } else { write!(f, ": {}", self.details.join("; ")) }
    }
}

/// What changes for users when `new` takes the place of `old`.
pub fn diff(old: &Config, new: &Config) -> Vec<Change> {
    let mut changes = Vec::new();
    let listeners = |config: &Config| {
        let listeners = config.listeners.iter();
        listeners.map(|one| (one.address.value.to_string(), listener_facets(one))).collect()
    };
    compare("listener", &listeners(old), &listeners(new), &mut changes);
    compare("setting", &settings(old), &settings(new), &mut changes);
    let token = |config: &'_ Config| config.admin.as_ref().and_then(|admin| admin.token.clone());
    if let (Some(was), Some(becomes)) = (token(old), token(new))
        && was != becomes
    {
        let details = vec!["token becomes another".to_owned()];
        changes.push(Change {
            kind: ChangeKind::Altered,
            what: "setting",
            names: vec!["admin".to_owned()],
            details,
        });
    }
    let services = |config: &Config| named(&config.services, service_facets);
    compare("service", &services(old), &services(new), &mut changes);
    let devices = |config: &Config| named(&config.devices, device_facets);
    compare("device", &devices(old), &devices(new), &mut changes);
    let apis = |config: &Config| named(&config.apis, api_facets);
    compare("API", &apis(old), &apis(new), &mut changes);
    compare_routes(old, new, &mut changes);
    changes
}

/// What can be said about a thing: aspects and their values, each aspect once.
type Facets = BTreeMap<String, String>;

fn named<T>(things: &BTreeMap<String, T>, facets: impl Fn(&T) -> Facets) -> BTreeMap<String, Facets> {
    things.iter().map(|(name, thing)| (name.clone(), facets(thing))).collect()
}

fn compare(
    what: &'static str,
    old: &BTreeMap<String, Facets>,
    new: &BTreeMap<String, Facets>,
    changes: &mut Vec<Change>,
) {
    let mut push = |kind, name: &str, details| {
        changes.push(Change { kind, what, names: vec![name.to_owned()], details });
    };
    for (name, before) in old {
        match new.get(name) {
            None => push(ChangeKind::Removed, name, Vec::new()),
            Some(after) if before != after => push(ChangeKind::Altered, name, differences(before, after)),
            Some(_) => {}
        }
    }
    for name in new.keys().filter(|name| !old.contains_key(*name)) {
        push(ChangeKind::Added, name, Vec::new());
    }
}

/// The sentences about what is different.
fn differences(before: &Facets, after: &Facets) -> Vec<String> {
    let mut sentences = Vec::new();
    for (facet, was) in before {
        match after.get(facet) {
            None => sentences.push(format!("{facet} removed (was {was})")),
            Some(becomes) if becomes != was => {
                sentences.push(format!("{facet} becomes {becomes} (was {was})"));
            }
            Some(_) => {}
        }
    }
    for (facet, becomes) in after.iter().filter(|(facet, _)| !before.contains_key(*facet)) {
        sentences.push(format!("{facet} added: {becomes}"));
    }
    sentences
}

/// Collects the facets of one thing.
#[derive(Default)]
struct Telling(Facets);

impl Telling {
    fn says(&mut self, facet: impl Into<String>, value: impl Display) {
        self.0.insert(facet.into(), value.to_string());
    }

    fn may_say(&mut self, facet: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.says(facet, value);
        }
    }

    fn list(&mut self, facet: &str, values: impl IntoIterator<Item = impl Display>) {
        let values: Vec<String> = values.into_iter().map(|value| value.to_string()).collect();
        if !values.is_empty() {
            self.says(facet, values.join(", "));
        }
    }

    fn headers(&mut self, facet: &str, headers: &Headers) {
        for (name, value) in headers {
            self.says(format!("{facet} {name}"), &value.value);
        }
    }
}

fn listener_facets(listener: &Listener) -> Facets {
    let mut telling = Telling::default();
    telling.may_say("redirect", listener.redirect.map(|_| "to https"));
    telling.list("trusted peers", listener.trust_forwarded.iter().flat_map(|trust| &trust.from));
    let limits = &listener.limits;
    telling.says("connection limit", limits.connections);
    telling.says("header timeout", limits.header_timeout);
    telling.says("body timeout", limits.body_timeout);
    telling.says("idle timeout", limits.idle_timeout);
    telling.says("header limit", limits.headers);
    telling.says("header size limit", limits.header_size);
    telling.says("line size limit", limits.line_size);
    telling.0
}

/// The parts of a configuration that there are one of.
fn settings(config: &Config) -> BTreeMap<String, Facets> {
    let mut workers = Telling::default();
    workers.says("threads", config.workers.map_or("one per core".to_owned(), |workers| workers.to_string()));
    workers.says("drain time", config.drain);
    let mut logs = Telling::default();
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
    [("workers", workers.0), ("logs", logs.0), ("admin", admin)]
        .map(|(name, facets)| (name.to_owned(), facets))
        .into()
}

fn admin_facets(admin: Option<&Admin>) -> Facets {
    let mut telling = Telling::default();
    let Some(admin) = admin else {
        telling.says("address", "off");
        return telling.0;
    };
    telling.says("address", admin.address.value);
    telling.may_say("token", admin.token.as_ref().map(|_| "needed"));
    telling.0
}

fn service_facets(service: &Service) -> Facets {
    let mut telling = Telling::default();
    for endpoint in &service.endpoints {
        telling.says(format!("endpoint {}", endpoint.url.value), format_args!("weight {}", endpoint.weight));
    }
    telling.says(
        "balance",
        match &service.balance {
            Balance::RoundRobin => "round_robin".to_owned(),
            Balance::WeightedRandom => "weighted_random".to_owned(),
            Balance::Random => "random".to_owned(),
            Balance::LeastRequests => "least_requests".to_owned(),
            Balance::Ewma => "ewma".to_owned(),
            Balance::IpHash => "ip_hash".to_owned(),
            Balance::Hash(expression) => format!("hash of {}", expression.value),
            Balance::Sticky(cookie) => format!("sticky by cookie {}", cookie.value),
        },
    );
    telling.says("connections per endpoint", service.pool.max);
    telling.says("idle connections per endpoint", service.pool.idle);
    telling.says("idle time of connections", service.pool.idle_for);
    telling.0
}

fn device_facets(device: &Device) -> Facets {
    let mut telling = Telling::default();
    match device {
        Device::UserAgent(pattern) => telling.says("user agent", pattern.regex()),
        Device::Header(name) => telling.says("header", name),
    }
    telling.0
}

fn api_facets(api: &Api) -> Facets {
    let mut telling = Telling::default();
    telling.may_say("title", api.title.as_ref());
    let Some(versions) = &api.versions else {
        return telling.0;
    };
    telling.says(
        "choice of version",
        match &versions.by {
            VersionBy::Path => "by path".to_owned(),
            VersionBy::Header(name) => format!("by header {name}"),
            VersionBy::MediaType(name) => format!("by media type {name}"),
        },
    );
    for version in &versions.list {
        let mut life = match version.state {
            VersionState::Current => "current",
            VersionState::Supported => "supported",
            VersionState::Deprecated => "deprecated",
            VersionState::Retired => "retired",
        }
        .to_owned();
        if let Some(since) = version.since {
            let _ = write!(life, " since {since}");
        }
        if let Some(sunset) = version.sunset {
            let _ = write!(life, ", sunset {sunset}");
        }
        telling.says(format!("version {}", version.name.value), life);
    }
    telling.0
}

fn compare_routes(old: &Config, new: &Config, changes: &mut Vec<Change>) {
    let (old, new) = (old.routes(), new.routes());
    let (mut gone, mut come) = (old.iter().collect(), new.iter().collect());
    // First those that have a name in common, then, of the rest, those that match the same requests.
    let mut pairs = Vec::new();
    pair(&mut gone, &mut come, &mut pairs, name_key);
    pair(&mut gone, &mut come, &mut pairs, |route| Some(match_key(route)));
    pairs.sort_by_key(|(_, route)| route.span.start());
    let one = |kind, route: &EffectiveRoute<'_>, details| Change {
        kind,
        what: "route",
        names: vec![route.label.clone()],
        details,
    };
    changes.extend(gone.into_iter().map(|route| one(ChangeKind::Removed, route, Vec::new())));
    changes.extend(come.into_iter().map(|route| {
        let facets = route_facets(route);
        let said = ["target", "answer", "access"].into_iter();
        let details = said.filter_map(|facet| Some(format!("{facet} {}", facets.get(facet)?))).collect();
        one(ChangeKind::Added, route, details)
    }));
    // A change of `defaults` or of a service is the same for many routes: it is told once.
    let mut told: HashMap<Vec<String>, usize> = HashMap::new();
    for (before, after) in pairs {
        let (mut was, mut becomes) = (route_facets(before), route_facets(after));
        if was.contains_key("target") != becomes.contains_key("target") {
            // How a service is waited for says nothing beside an answer of the gateway's own.
            for facets in [&mut was, &mut becomes] {
                facets.retain(|facet, _| facet != "retries" && !facet.ends_with("timeout"));
            }
        }
        let details = differences(&was, &becomes);
        if details.is_empty() {
            continue;
        }
        if let Some(&index) = told.get(&details) {
            changes[index].names.push(after.label.clone());
        } else {
            told.insert(details.clone(), changes.len());
            changes.push(one(ChangeKind::Altered, after, details));
        }
    }
}

type Routes<'r, 'c> = Vec<&'r EffectiveRoute<'c>>;

/// Takes out of both lists the routes that have a key in common, in their order.
fn pair<'r, 'c>(
    gone: &mut Routes<'r, 'c>,
    come: &mut Routes<'r, 'c>,
    pairs: &mut Vec<(&'r EffectiveRoute<'c>, &'r EffectiveRoute<'c>)>,
    key: impl Fn(&EffectiveRoute<'_>) -> Option<String>,
) {
    let mut by_key: HashMap<String, VecDeque<&EffectiveRoute<'_>>> = HashMap::new();
    let mut rest = Vec::new();
    for route in come.drain(..) {
        match key(route) {
            Some(key) => by_key.entry(key).or_default().push_back(route),
            None => rest.push(route),
        }
    }
    gone.retain(|route| {
        let counterpart = key(route).and_then(|key| by_key.get_mut(&key)?.pop_front());
        pairs.extend(counterpart.map(|counterpart| (*route, counterpart)));
        counterpart.is_none()
    });
    come.extend(by_key.into_values().flatten().chain(rest));
    come.sort_by_key(|route| route.span.start());
}

/// A named route stays the same one whatever it matches.
fn name_key(route: &EffectiveRoute<'_>) -> Option<String> {
    let version = route.version.map_or("", |version| version.version.name.value.as_str());
    route.name.map(|name| format!("{} {version}", name.value))
}

/// What a route matches, all conditions taken together.
fn match_key(route: &EffectiveRoute<'_>) -> String {
    let mut key =
        format!("{:?} {:?} {:?}", route.methods, route.host.map(|host| &host.value), route.path.value);
    for (name, value) in route.headers {
        let _ = write!(key, " {name}={:?}", value.value);
    }
    for (name, value) in route.query {
        let _ = write!(key, " ?{name}={:?}", value.value);
    }
    let version = route.version.map(|version| &version.version.name.value);
    let _ = write!(
        key,
        " {:?} {:?}",
        route.device.map(|device| &device.value),
        route.when.map(|when| &when.value)
    );
    let _ = write!(key, " {version:?}");
    key
}

fn route_facets(route: &EffectiveRoute<'_>) -> Facets {
    let mut telling = Telling::default();
    telling.may_say("name", route.name.map(|name| &name.value));
    telling.list("methods", route.methods);
    telling.says("path", &route.path.value);
    telling.may_say("host", route.host.map(|host| &host.value));
    telling.headers("condition on header", route.headers);
    for (name, value) in route.query {
        telling.says(format!("condition on query parameter {name}"), &value.value);
    }
    telling.may_say("condition on device", route.device.map(|device| &device.value));
    telling.may_say("condition", route.when.map(|when| &when.value));
    match route.action {
        Action::Forward { service, rewrite } => {
            telling.says("target", format_args!("service {}", service.name.value));
            telling.may_say("rewrite", rewrite.map(|path| &path.value));
            telling.says("connect timeout", route.timeouts.connect);
            telling.says("first-byte timeout", route.timeouts.first_byte);
            telling.says("idle timeout", route.timeouts.idle);
            telling.may_say("total timeout", route.timeouts.total);
            telling.may_say("retries", (route.retries > 0).then_some(route.retries));
        }
        Action::Respond(respond) => {
            telling.says("answer", format_args!("status {}", respond.status.as_u16()));
            telling.may_say("answer's body", respond.body.as_ref().map(|body| format!("{:?}", body.value)));
            telling.headers("answer's header", &respond.headers);
        }
    }
    telling.says("access", if route.access.is_some() { "public" } else { "nobody" });
    if let Some(request) = route.request {
        telling.may_say("body limit", request.max_body);
        telling.list("content types", request.content_types.iter().map(|kind| &kind.0));
    }
    if let Some(response) = route.response {
        telling.headers("response header set", &response.headers.set);
        telling.headers("response header added", &response.headers.add);
        telling.list("response headers removed", &response.headers.remove);
    }
    telling.0
}

/// Names shown of a change that is the same for many things.
const MAX_NAMES: usize = 3;
