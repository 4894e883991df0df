//! The walk of one request in words, for `tollgate explain`. Nothing is sent.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr};

use http::Method;
use http1::{RequestHead, parse_request};

use super::{CallLimits, Route, Snapshot, Target};
use crate::record::redact;
use crate::refusal::Stage;
use crate::route::{Candidate, Found, Params, RequestView, Verdict};
use crate::upstream::NO_BOUND;
use crate::upstream::fallback::Fallback;
use crate::upstream::retry::Rules;
use crate::upstream::split::{Split, SplitBy};

/// The stages between the route and the call, in order.
const MIDDLE: [Stage; 6] =
    [Stage::Admit, Stage::Identify, Stage::Authorize, Stage::Limit, Stage::Validate, Stage::Cache];

impl Snapshot {
    /// Explains the request with these bytes as its head.
    pub fn explain(&self, bytes: &[u8]) -> String {
        let mut head = RequestHead::default();
        let mut text = String::new();
        let limits = self.listeners.first().map(|listener| listener.head).unwrap_or_default();
        match parse_request(bytes, &mut 0, &limits, &mut head) {
            Ok(Some(_)) => self.walk(&mut head, &mut text),
            Ok(None) => line(&mut text, Stage::Parse, "the head is not whole"),
            Err(fault) => {
                let refused = format!("refused with {} ({}): {fault}", fault.status().as_u16(), fault.code());
                line(&mut text, Stage::Parse, &refused);
            }
        }
        text
    }

    fn walk(&self, head: &mut RequestHead, text: &mut String) {
        let query = self.query_behind(", query ", head);
        let host = if head.host().is_empty() { "none" } else { head.host() };
        line(text, Stage::Parse, &format!("{} {}{query}, host {host}", head.method, target(head)));
        let client = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let view = RequestView { devices: &self.devices, ..RequestView::new(head, client) };
        let mut params = Params::new();
        let (found, is_preflight) = self.find(&view, &mut params);
        let candidates = self.router.explain(&view);
        let route = match found {
            Found::Route(index) => {
                line(text, Stage::Route, &self.title(index));
                let bound = params.bind(self.router.params_of(index), &head.path);
                for (name, value) in bound.iter() {
                    detail(
                        text,
                        &format!("{{{name}}} is {}", if value.is_empty() { "empty" } else { value }),
                    );
                }
                Some(&self.routes[index])
            }
            Found::NoRoute => {
                line(text, Stage::Route, "none matches: 404 (no_route)");
                None
            }
            Found::MethodNotAllowed(allow) => {
                let refused = format!("none takes this method: 405 (method_not_allowed), Allow: {allow}");
                line(text, Stage::Route, &refused);
                None
            }
            Found::Options(allow) => {
                line(text, Stage::Route, &format!("answered by the gateway: 204, Allow: {allow}"));
                None
            }
        };
        for Candidate { route, verdict } in &candidates {
            // A preflight's route takes the method that it asks about.
            if let Verdict::Loses(why) = verdict
                && !is_preflight
            {
                detail(text, &format!("not {}: {why}", self.title(*route)));
            }
        }
        if is_preflight {
            return route.into_iter().for_each(|route| explain_preflight(route, text));
        }
        if let Some(route) = route {
            self.explain_route(route, head, &params, text);
        }
    }

    fn explain_route(&self, route: &Route, head: &mut RequestHead, params: &Params, text: &mut String) {
        for stage in MIDDLE {
            explain_policies(route, stage, head, text);
        }
        route.policies().iter().for_each(|policy| policy.strip(head));
        if let Some(fault) = route.fault().filter(|_| !matches!(route.target, Target::Retired)) {
            line(text, Stage::Call, &format!("fault: {}", fault.summary));
        }
        match &route.target {
            Target::Respond(answer) => {
                let body = if answer.body.is_empty() {
                    "no body".to_owned()
                } else {
                    format!("a body of {} bytes", answer.body.len())
                };
                line(
                    text,
                    Stage::Call,
                    &format!("none: the gateway answers {} with {body}", answer.status.as_u16()),
                );
            }
            Target::Retired => {
                line(text, Stage::Call, "none: the version is retired, so the gateway answers 410");
            }
            Target::Service(index) => {
                if let Some(path) = seen_path(route, head, params, text) {
                    self.explain_call(*index, &route.limits, head, &path, text);
                }
            }
            Target::Split(split) => {
                if let Some(path) = seen_path(route, head, params, text) {
                    self.explain_split(split, head, &path, text);
                }
            }
        }
        if let Some(mirror) = route.mirror() {
            line(text, Stage::Call, &format!("mirror: copies, {}", mirror.summary));
        }
        explain_policies(route, Stage::Shape, head, text);
    }

    fn explain_split(&self, split: &Split, head: &RequestHead, path: &str, text: &mut String) {
        let forced = split.force.as_ref().and_then(|name| {
            let branch = split.named(head.fields.get_named(name.as_bytes())?)?;
            Some((name, branch))
        });
        if let Some((name, branch)) = forced {
            line(text, Stage::Call, &format!("one of {} services: {name} names it", split.branches.len()));
            return self.explain_call(branch.service, &branch.limits, head, path, text);
        }
        let by = match &split.by {
            SplitBy::Header(name) => format!("the header {name}, or chance"),
            SplitBy::Key(expression) => format!("{expression}, or chance"),
            SplitBy::Cookie(name) if split.branches.iter().any(|branch| branch.is_sticky) => {
                format!("the cookie {name}, or chance")
            }
            SplitBy::Cookie(_) => "chance".to_owned(),
        };
        line(text, Stage::Call, &format!("one of {} services, by {by}", split.branches.len()));
        let total: u32 = split.branches.iter().map(|branch| branch.weight).sum();
        for branch in &split.branches {
            let keeps = if branch.is_sticky { ", who got it keeps it" } else { "" };
            detail(text, &format!("{} of {total} to {}{keeps}", branch.weight, branch.name));
        }
        for branch in &split.branches {
            self.explain_call(branch.service, &branch.limits, head, path, text);
        }
    }

    fn explain_call(
        &self,
        service: usize,
        limits: &CallLimits,
        head: &RequestHead,
        path: &str,
        text: &mut String,
    ) {
        let service = &self.services[service];
        let query = self.query_behind("?", head);
        line(text, Stage::Call, &format!("service {}, {}", service.name, service.balance.name()));
        for endpoint in &*service.endpoints {
            let weight = match endpoint.weight {
                1 => String::new(),
                0 => " (weight 0: gets none)".to_owned(),
                weight => format!(" (weight {weight})"),
            };
            let authority = &endpoint.authority;
            let base = &endpoint.base;
            let sent = match head.method {
                Method::CONNECT => format!("CONNECT {} through http://{authority}{weight}", head.authority),
                _ => format!("{} http://{authority}{base}{path}{query}{weight}", head.method),
            };
            detail(text, &sent);
        }
        let CallLimits { timeouts, retry, hedge, .. } = limits;
        let tls = timeouts.tls.map(|tls| format!("TLS within {tls:?}, ")).unwrap_or_default();
        detail(
            text,
            &format!(
                "connect within {:?}, {tls}first byte within {:?}, idle at most {:?}, total {:?}",
                timeouts.connect, timeouts.first_byte, timeouts.idle, timeouts.total
            ),
        );
        detail(text, &explain_retry(retry, head));
        if let Some(hedge) = hedge.as_ref().filter(|hedge| hedge.fit(head)) {
            detail(text, &format!("asked of another endpoint too after {}", hedge.after));
        }
        match &service.fallback {
            Some(Fallback::Respond(answer)) => {
                detail(text, &format!("answered with {} when it cannot be called", answer.status.as_u16()));
            }
            Some(Fallback::To { service, .. }) => {
                detail(text, &format!("sent to service {service} when it cannot be called"));
            }
            None => {}
        }
        if !head.upgrade.is_empty() || head.method == Method::CONNECT {
            let (idle, total) = (timeouts.tunnel_idle, timeouts.tunnel_total);
            let total = if total < NO_BOUND { format!("{total:?}") } else { "without bound".to_owned() };
            detail(text, &format!("as a tunnel: idle at most {idle:?}, total {total}"));
        }
    }

    /// The query, if there is one, behind these words and without secrets.
    fn query_behind(&self, words: &str, head: &RequestHead) -> String {
        let query = head.query().map(|query| redact(query, &self.secret_parameters));
        query.map(|query| format!("{words}{query}")).unwrap_or_default()
    }

    fn title(&self, index: usize) -> String {
        let name = &self.routes[index].name;
        let pattern = self.router.params_of(index).as_str();
        if name.contains(pattern) { name.to_string() } else { format!("{name} ({pattern})") }
    }
}

/// The path that the service sees; without one the request is refused.
fn seen_path(route: &Route, head: &RequestHead, params: &Params, text: &mut String) -> Option<String> {
    let mut path = head.path.clone();
    if let Some(rewrite) = route.rewrite() {
        match rewrite.apply(&head.path, params, &mut path) {
            Ok(()) => line(text, Stage::Shape, &format!("the path becomes {path}")),
            Err(fault) => {
                line(text, Stage::Shape, &format!("refused with 400 (path_ambiguous): {fault}"));
                return None;
            }
        }
    }
    Some(path)
}

fn explain_retry(retry: &Rules, head: &RequestHead) -> String {
    let further = match retry.attempts - 1 {
        0 => return "tried once".to_owned(),
        1 => "tried once more".to_owned(),
        further => format!("tried up to {further} times more"),
    };
    let resends = retry.resends(&head.method);
    let words = [
        ("no connection", retry.on_connect),
        ("a broken connection", retry.on_reset && resends),
        ("a time-out", retry.on_timeout && resends),
    ];
    let mut causes: Vec<String> =
        words.iter().filter(|(_, holds)| *holds).map(|(word, _)| (*word).to_owned()).collect();
    if resends {
        causes.extend(retry.statuses.iter().map(u16::to_string));
    }
    if causes.is_empty() {
        return format!("tried once, as {} may not be sent twice", head.method);
    }
    format!("{further} after {}", causes.join(", "))
}

/// What the request asks for: CONNECT has an authority instead of a path.
fn target(head: &RequestHead) -> &str {
    if head.method == Method::CONNECT { &head.authority } else { &head.path }
}

/// The policies of a route as far as the one that answers preflights.
fn explain_preflight(route: &Route, text: &mut String) {
    let policies = route.policies();
    let last = policies.iter().position(|policy| policy.answers_preflights());
    for policy in &policies[..last.map_or(0, |last| last + 1)] {
        line(text, policy.stage(), &format!("{}: {}", policy.name(), policy.explain()));
    }
    line(text, Stage::Admit, "this is a preflight: `cors` of the route that it asks about answers it");
}

fn explain_policies(route: &Route, stage: Stage, head: &RequestHead, text: &mut String) {
    for policy in route.policies().iter().filter(|policy| policy.stage() == stage) {
        line(text, stage, &format!("{}: {}", policy.name(), policy.explain()));
        if let Some(found) = policy.explain_request(head) {
            detail(text, &found);
        }
    }
}

fn line(text: &mut String, stage: Stage, what: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{:<10} {what}", stage.as_str());
}

fn detail(text: &mut String, what: &str) {
    let _ = writeln!(text, "{:<10}   {what}", "");
}
