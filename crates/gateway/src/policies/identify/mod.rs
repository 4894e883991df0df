//! `access`, first half: who calls. A route that is public does not ask.

pub mod api_key;
pub mod jwt;
pub mod mtls;

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use http::StatusCode;
use http1::{Known, RequestHead};

use crate::config::{Config, Faults};
use crate::exchange::Exchange;
use crate::identity::{Found, Own};
use crate::policies::{Policy, Step};
use crate::refusal::{Refusal, Stage};

/// A way to find out who calls.
pub trait Authenticator: fmt::Debug + Send + Sync {
    /// Looks for what proves it.
    fn identify(&self, exchange: &Exchange) -> Finding;

    /// Removes what proves it from what the service gets.
    fn strip(&self, request: &mut RequestHead);

    /// What a client is asked for (RFC 9110, section 11.6.1), in this realm. `is_wrong`: what it sent was.
    fn challenge(&self, realm: &str, is_wrong: bool) -> Vec<String>;

    /// What it looks for, for `tollgate explain` and for callers who bring nothing.
    fn explain(&self) -> String;
}

/// What a way to find out who calls has found.
#[derive(Debug)]
pub enum Finding {
    /// Nothing that it could look at.
    Nothing,
    /// Something that proves nothing; the code says why as far as a caller may know.
    Refused(&'static str),
    /// Who calls.
    Caller(Found),
}

impl From<Result<Rc<Own>, &'static str>> for Finding {
    fn from(verified: Result<Rc<Own>, &'static str>) -> Self {
        verified.map_or_else(Self::Refused, |own| Self::Caller(Found::Own(own)))
    }
}

/// The compiled policy.
#[derive(Debug)]
pub struct Identify {
    /// In the order in which they are tried, each with its name.
    ways: Vec<(Box<str>, Arc<dyn Authenticator>)>,
    /// Whether each must find the caller, or one.
    needs_all: bool,
    /// What the credentials are for, in challenges.
    realm: Box<str>,
}

impl Identify {
    /// Tries these ways in their order.
    pub fn new(ways: Vec<(Box<str>, Arc<dyn Authenticator>)>, needs_all: bool, realm: &str) -> Self {
        // Of a quoted string nothing is left to escape (RFC 9110, section 5.6.4).
        let realm = realm.chars().filter(|c| !matches!(c, '"' | '\\')).collect::<String>().into();
        Self { ways, needs_all, realm }
    }

    /// The first whom one of the ways finds; where none does, what was wrong first.
    fn find_any(&self, exchange: &Exchange) -> Result<Found, &'static str> {
        let mut fault = None;
        for (_, way) in &self.ways {
            match way.identify(exchange) {
                Finding::Caller(found) => return Ok(found),
                Finding::Refused(code) => fault = fault.or(Some(code)),
                Finding::Nothing => {}
            }
        }
        Err(fault.unwrap_or(MISSING))
    }

    /// Whom the first of the ways finds, when all others find the same application.
    fn find_all(&self, exchange: &Exchange) -> Result<Found, &'static str> {
        let mut first = None;
        for (_, way) in &self.ways {
            let found = match way.identify(exchange) {
                Finding::Caller(found) => found,
                Finding::Refused(code) => return Err(code),
                Finding::Nothing => return Err(MISSING),
            };
            let first = first.get_or_insert_with(|| found.clone());
            if !is_same_app(exchange, first, &found) {
                return Err(CONTRADICTION);
            }
        }
        first.ok_or(MISSING)
    }

    /// What a caller can bring, without the operator's names for it.
    fn asked(&self) -> String {
        let asked: Vec<String> = self.ways.iter().map(|(_, way)| way.explain()).collect();
        asked.join(if self.needs_all { ", and " } else { ", or " })
    }

    fn refuse(&self, code: &'static str) -> Step {
        let detail: Cow<'static, str> = match code {
            MISSING => format!("nothing in the request says who calls: it needs {}", self.asked()).into(),
            EXPIRED => "the key has expired: use its successor".into(),
            CONTRADICTION => "what the request says of its caller is about two of them".into(),
            _ => "what the request says of its caller proves nothing".into(),
        };
        let mut refusal = Refusal::new(StatusCode::UNAUTHORIZED, code, Stage::Identify, detail);
        for challenge in self.ways.iter().flat_map(|(_, way)| way.challenge(&self.realm, code != MISSING)) {
            refusal = refusal.with_field(Known::WwwAuthenticate, challenge);
        }
        Step::Refuse(Box::new(refusal))
    }
}

/// Whether two findings are about one application, or one of them about none.
fn is_same_app(exchange: &Exchange, one: &Found, other: &Found) -> bool {
    let callers = &exchange.live.snapshot.callers;
    match (callers.identity(one), callers.identity(other)) {
        (Some(one), Some(other)) => one.app.is_empty() || other.app.is_empty() || one.app == other.app,
        _ => false,
    }
}

impl Policy for Identify {
    fn name(&self) -> &'static str {
        "access"
    }

    fn stage(&self) -> Stage {
        Stage::Identify
    }

    fn on_request(&self, exchange: &mut Exchange) -> Step {
        let found = if self.needs_all { self.find_all(exchange) } else { self.find_any(exchange) };
        self.strip(&mut exchange.request);
        match found {
            Ok(found) => {
                exchange.found = Some(found);
                Step::Continue
            }
            Err(code) => self.refuse(code),
        }
    }

    fn strip(&self, request: &mut RequestHead) {
        self.ways.iter().for_each(|(_, way)| way.strip(request));
    }

    fn explain(&self) -> String {
        let ways: Vec<String> =
            self.ways.iter().map(|(name, way)| format!("{name} ({})", way.explain())).collect();
        match (ways.as_slice(), self.needs_all) {
            ([one], _) => one.clone(),
            (several, true) => format!("all of {}", several.join(", ")),
            (several, false) => format!("any of {}", several.join(", ")),
        }
    }
}

/// The token that a request brings as `Bearer` credentials; an empty one, which is nobody's, where it brings two.
fn bearer(request: &RequestHead) -> Option<&[u8]> {
    let mut tokens = request.fields.get_all(Known::Authorization).filter_map(bearer_token);
    let token = tokens.next()?;
    Some(if tokens.next().is_none() { token } else { b"" })
}

/// The token of `Bearer` credentials (RFC 6750, section 2.1); the scheme's case does not matter (RFC 9110, section 11.1).
fn bearer_token(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked("Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| token.trim_ascii())
}

/// Removes `Bearer` credentials from what the service gets, and leaves others.
fn strip_bearer(request: &mut RequestHead) {
    let fields = &mut request.fields;
    fields.retain(|field| field.known != Some(Known::Authorization) || bearer_token(field.value).is_none());
}

/// What asks for `Bearer` credentials (RFC 6750, section 3).
fn bearer_challenge(realm: &str, is_wrong: bool) -> String {
    let error = if is_wrong { ", error=\"invalid_token\"" } else { "" };
    format!("Bearer realm=\"{realm}\"{error}")
}

/// All ways to find out who calls, by their names; what is wrong with their files is reported.
pub fn build_ways(
    config: &Config,
    way_of: impl Fn(&str) -> Option<u32>,
    faults: &mut Faults,
) -> HashMap<Box<str>, Arc<dyn Authenticator>> {
    let mut ways: HashMap<Box<str>, Arc<dyn Authenticator>> = HashMap::new();
    for (name, way) in &config.auth {
        let built: Option<Arc<dyn Authenticator>> = match (&way.api_key, &way.jwt, &way.mtls) {
            (Some(api_key), ..) => {
                way_of(name).map(|place| Arc::new(api_key::ApiKey::build(api_key, place)) as Arc<_>)
            }
            (None, Some(jwt), _) => {
                jwt::Jwt::build(name, jwt, config, faults).map(|jwt| Arc::new(jwt) as Arc<_>)
            }
            (None, None, Some(mtls)) => Some(Arc::new(mtls::Mtls::build(name, mtls, config)) as Arc<_>),
            (None, None, None) => None,
        };
        ways.extend(built.map(|built| (name.as_str().into(), built)));
    }
    ways
}

const MISSING: &str = "credentials_missing";
const CONTRADICTION: &str = "credentials_contradict";
/// A key that was right once.
pub const EXPIRED: &str = "key_expired";
