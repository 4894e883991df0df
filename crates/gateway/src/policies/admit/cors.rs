//! `cors`: which pages of other origins may call from a browser, and read what they get (the Fetch standard, section 3.3).

use std::sync::Arc;

use http::{HeaderName, Method, StatusCode};
use http1::{Fields, Known, list};

use crate::answer::StaticAnswer;
use crate::config::Cors as Configured;
use crate::exchange::Exchange;
use crate::origins::{self, Origins};
use crate::policies::{Policy, Step};
use crate::refusal::{Refusal, Stage};

/// The compiled policy. What answers say of it is written down once.
#[derive(Debug)]
pub struct Cors {
    origins: Origins,
    /// Those that pages may use; nothing for any.
    methods: Option<Names>,
    /// Those that pages may send; nothing for any.
    headers: Option<Names>,
    /// Those that pages may read; empty for no more than the usual.
    expose: Box<[u8]>,
    credentials: bool,
    /// Seconds, in digits.
    max_age: Box<[u8]>,
    private_network: bool,
    strict: bool,
    summary: Box<str>,
    preflight: Arc<StaticAnswer>,
}

/// Names that are allowed.
#[derive(Debug)]
struct Names {
    all: Vec<Box<[u8]>>,
    /// As a field lists them.
    line: Box<[u8]>,
}

impl Cors {
    /// Compiles the configuration.
    pub fn new(config: &Configured) -> Self {
        let headers = config.headers.as_ref().filter(|names| !names.iter().any(|name| name.as_str() == "*"));
        Self {
            origins: Origins::new(&config.origins),
            methods: config.methods.as_ref().map(|methods| Names::new(methods.iter().map(Method::as_str))),
            headers: headers.map(|names| Names::new(names.iter().map(HeaderName::as_str))),
            expose: Names::new(config.expose.iter().map(HeaderName::as_str)).line,
            credentials: config.credentials,
            max_age: config.max_age.as_secs().to_string().into_bytes().into(),
            private_network: config.private_network,
            strict: config.strict,
            summary: config.to_string().into(),
            preflight: Arc::new(StaticAnswer::empty(StatusCode::NO_CONTENT)),
        }
    }

    /// Whether what a preflight asks for may be done.
    fn may_follow(&self, exchange: &Exchange) -> Result<(), Refusal> {
        let fields = &exchange.request.fields;
        if !self.origins.contain(origins::of(&exchange.request).unwrap_or_default()) {
            return Err(origin_not_allowed());
        }
        let method = fields.get(Known::AccessControlRequestMethod).unwrap_or_default();
        // Methods are written in one case.
        if self.methods.as_ref().is_some_and(|names| !names.all.iter().any(|known| **known == *method)) {
            return Err(preflight_refused("pages may not use this method here"));
        }
        if let Some(names) = &self.headers
            && !asked_headers(fields).flat_map(list).all(|name| names.contain(name))
        {
            return Err(preflight_refused("pages may not send one of these headers here"));
        }
        Ok(())
    }

    /// What a preflight is told besides what every answer says.
    fn write_preflight(&self, request: &Fields, answer: &mut Fields) {
        let method = request.get(Known::AccessControlRequestMethod).unwrap_or_default();
        let methods = self.methods.as_ref().map_or(method, |names| &names.line);
        answer.append_named(b"Access-Control-Allow-Methods", methods);
        match &self.headers {
            Some(names) if names.all.is_empty() => {}
            Some(names) => answer.append_named(b"Access-Control-Allow-Headers", &names.line),
            None => asked_headers(request).for_each(|asked| {
                answer.append_named(b"Access-Control-Allow-Headers", asked);
            }),
        }
        answer.append_named(b"Access-Control-Max-Age", &self.max_age);
        let asks = request.get_named(b"Access-Control-Request-Private-Network");
        if self.private_network && asks.is_some_and(|asks| asks == b"true") {
            answer.append_named(b"Access-Control-Allow-Private-Network", b"true");
        }
    }
}

impl Policy for Cors {
    fn name(&self) -> &'static str {
        "cors"
    }

    fn stage(&self) -> Stage {
        Stage::Admit
    }

    fn answers_preflights(&self) -> bool {
        true
    }

    fn on_request(&self, exchange: &mut Exchange) -> Step<'_> {
        if exchange.is_preflight {
            return match self.may_follow(exchange) {
                Ok(()) => Step::Respond(Arc::clone(&self.preflight)),
                Err(refusal) => Step::refuse(refusal),
            };
        }
        if self.strict
            && let Some(origin) = origins::of(&exchange.request)
            && !self.origins.contain(origin)
            // Browsers name the origin of a page that posts to its own, too.
            && !origins::is_own(origin, &exchange.request, exchange.is_tls())
        {
            return Step::refuse(origin_not_allowed());
        }
        Step::Continue
    }

    /// Refusals say it too, or no page could tell them from a network that is down.
    fn on_response(&self, exchange: &mut Exchange) {
        let Exchange { request, response, is_preflight, .. } = exchange;
        let answer = &mut response.fields;
        answer.retain(|field| field.known.is_some() || !is_about_this(field.name));
        let origin = origins::of(request).filter(|origin| self.origins.contain(origin));
        if self.origins.are_all() {
            answer.append_named(b"Access-Control-Allow-Origin", b"*");
        } else {
            add_to_vary(answer, b"Origin");
            let Some(origin) = origin else { return };
            answer.append_named(b"Access-Control-Allow-Origin", origin);
        }
        if self.credentials {
            answer.append_named(b"Access-Control-Allow-Credentials", b"true");
        }
        if *is_preflight {
            return self.write_preflight(&request.fields, answer);
        }
        if !self.expose.is_empty() {
            answer.append_named(b"Access-Control-Expose-Headers", &self.expose);
        }
    }

    fn explain(&self) -> String {
        self.summary.to_string()
    }
}

impl Names {
    fn new<'n>(names: impl Iterator<Item = &'n str>) -> Self {
        let all: Vec<&str> = names.collect();
        let line = all.join(", ").into_bytes().into();
        Self { all: all.into_iter().map(|name| name.as_bytes().into()).collect(), line }
    }

    /// Whether this is one of them, in any case.
    fn contain(&self, name: &[u8]) -> bool {
        self.all.iter().any(|known| known.eq_ignore_ascii_case(name))
    }
}

fn asked_headers(request: &Fields) -> impl Iterator<Item = &[u8]> {
    request.get_all_named(b"Access-Control-Request-Headers")
}

/// Whether this is a field of the protocol, of which one voice only may speak.
fn is_about_this(name: &[u8]) -> bool {
    const START: &[u8] = b"access-control-";
    name.len() > START.len() && name[..START.len()].eq_ignore_ascii_case(START)
}

/// Tells caches that an answer is not the same for all origins.
fn add_to_vary(answer: &mut Fields, name: &[u8]) {
    let is_it = |known: &[u8]| known == b"*" || known.eq_ignore_ascii_case(name);
    if !answer.get_all(Known::Vary).flat_map(list).any(is_it) {
        answer.append(Known::Vary, name);
    }
}

fn origin_not_allowed() -> Refusal {
    let detail = "pages of this origin may not call here";
    Refusal::new(StatusCode::FORBIDDEN, "origin_not_allowed", Stage::Admit, detail)
}

fn preflight_refused(detail: &'static str) -> Refusal {
    Refusal::new(StatusCode::FORBIDDEN, "preflight_refused", Stage::Admit, detail)
}
