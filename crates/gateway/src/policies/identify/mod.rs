//! `access`, first half: who calls. A route that is public does not ask.

pub mod api_key;
pub mod basic;
pub mod forward;
pub mod hmac;
pub mod introspection;
pub mod jwt;
pub mod mtls;
pub mod oidc;
pub mod signature;

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use http1::{Known, RequestHead};

use crate::answer::StaticAnswer;
use crate::config::values::HttpUrl;
use crate::config::{self, Config, Faults};
use crate::exchange::Exchange;
use crate::identity::{Callers, Found, Own};
use crate::outside::{Outside, Peer};
use crate::password::Turns;
use crate::policies::{Policy, Step};
use crate::refusal::{Refusal, Stage};
use crate::shared::{Nonces, Unusable, Use};
use crate::tls::ClientTls;
use jwt::{Demands, Issuer, KeySets, KeySource, Unverified};
// What `oidc` needs of tokens, as policies do not know each other.
use jwt::{Description as ProviderDescription, Verified as VerifiedToken};
use oidc::Logins;

/// A way to find out who calls.
pub trait Authenticator: fmt::Debug + Send + Sync {
    /// Looks for what proves it. The body is there once [`Finding::Body`] has asked for it, and perhaps before.
    fn identify<'w>(&'w self, exchange: &Exchange, body: Option<&[u8]>) -> Finding<'w>;

    /// Removes what proves it from what the service gets.
    fn strip(&self, request: &mut RequestHead);

    /// What a client is asked for (RFC 9110, section 11.6.1), in this realm. `is_wrong`: what it sent was.
    fn challenge(&self, realm: &str, is_wrong: bool) -> Vec<String>;

    /// What it looks for, for `tollgate explain` and for callers who bring nothing.
    fn explain(&self) -> String;

    /// Asks a caller who brought nothing in a way of its own: by an answer, or by refusing with a code of its own.
    fn invite<'w>(&'w self, exchange: &Exchange) -> Finding<'w> {
        let _ = exchange;
        Finding::Nothing
    }

    /// The paths that it answers at itself, on the hosts whose routes name it.
    fn places(self: Arc<Self>) -> Vec<Place> {
        Vec::new()
    }
}

/// A path at which a way to find out who calls answers itself, whatever routes there are.
#[derive(Debug)]
pub struct Place {
    /// What it is called in logs, metrics and explanations.
    pub name: String,
    /// The path, without parameters.
    pub path: String,
    /// The host; without one, each that the way is used on.
    pub host: Option<Box<str>>,
    /// Who answers every request there.
    pub policy: Arc<dyn Policy>,
}

/// What a way to find out who calls has found.
pub enum Finding<'w> {
    /// Nothing that it could look at.
    Nothing,
    /// Something that proves nothing; the code says why as far as a caller may know.
    Refused(&'static str),
    /// Somebody who may not, and is told so in this way; from [`Authenticator::invite`], how to prove it.
    Respond(Arc<StaticAnswer>),
    /// Something that cannot be looked at now; the code says what is missing for it.
    Unavailable(&'static str),
    /// Who calls.
    Caller(Found),
    /// Something that needs the request's body too, of at most so many bytes: it asks to be asked again with it.
    Body(u64),
    /// Something that takes a while to look at.
    Wait(Pin<Box<dyn Future<Output = Finding<'w>> + 'w>>),
}

impl From<Result<Rc<Own>, &'static str>> for Finding<'_> {
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

/// How far the ways have been asked.
#[derive(Default)]
struct Asked {
    /// The way whose turn it is.
    place: usize,
    /// Whom the first of them found, where all must.
    first: Option<Found>,
    /// What was wrong, where one is enough.
    fault: Option<Fault>,
}

/// Why nobody was found.
enum Fault {
    Wrong(&'static str),
    Answered(Arc<StaticAnswer>),
    Unavailable(&'static str),
}

impl Identify {
    /// Tries these ways in their order.
    pub fn new(ways: Vec<(Box<str>, Arc<dyn Authenticator>)>, needs_all: bool, realm: &str) -> Self {
        // Of a quoted string nothing is left to escape (RFC 9110, section 5.6.4).
        let realm = realm.chars().filter(|c| !matches!(c, '"' | '\\')).collect::<String>().into();
        Self { ways, needs_all, realm }
    }

    /// Asks the ways whose turn is still to come.
    fn ask<'p>(&'p self, exchange: &mut Exchange, mut asked: Asked, body: Option<&[u8]>) -> Step<'p> {
        while let Some((_, way)) = self.ways.get(asked.place) {
            match way.identify(exchange, body) {
                Finding::Body(most) => {
                    return Step::body(most, |exchange, body| self.ask(exchange, asked, Some(body)));
                }
                Finding::Wait(future) => {
                    return Step::wait(future, |exchange, finding| self.go_on(exchange, asked, finding));
                }
                finding => {
                    if let Some(result) = self.take(exchange, &mut asked, finding) {
                        return self.conclude(exchange, result, asked.place);
                    }
                }
            }
        }
        let place = asked.place;
        self.conclude(exchange, asked.result(), place)
    }

    /// Goes on with what the way that was waited for has found.
    fn go_on<'p>(&'p self, exchange: &mut Exchange, mut asked: Asked, finding: Finding<'p>) -> Step<'p> {
        match finding {
            Finding::Wait(future) => {
                Step::wait(future, |exchange, finding| self.go_on(exchange, asked, finding))
            }
            finding => match self.take(exchange, &mut asked, finding) {
                Some(result) => self.conclude(exchange, result, asked.place),
                None => self.ask(exchange, asked, None),
            },
        }
    }

    /// Takes what a way has found; who calls, or why nobody does, once that is clear.
    fn take(
        &self,
        exchange: &Exchange,
        asked: &mut Asked,
        finding: Finding<'_>,
    ) -> Option<Result<Found, Fault>> {
        let fault = match finding {
            Finding::Caller(found) if !self.needs_all => return Some(Ok(found)),
            Finding::Caller(found) => {
                let first = asked.first.get_or_insert_with(|| found.clone());
                if !is_same_app(exchange, first, &found) {
                    return Some(Err(Fault::Wrong(CONTRADICTION)));
                }
                asked.place += 1;
                return None;
            }
            Finding::Refused(code) => Fault::Wrong(code),
            Finding::Respond(answer) => Fault::Answered(answer),
            Finding::Unavailable(code) => Fault::Unavailable(code),
            Finding::Nothing | Finding::Body(_) | Finding::Wait(_) => Fault::Wrong(MISSING),
        };
        if self.needs_all {
            return Some(Err(fault));
        }
        asked.fault = match (asked.fault.take(), fault) {
            (known, Fault::Wrong(MISSING)) => known,
            // What cannot be looked at now may be right, and an answer says more than a code.
            (None, fault)
            | (Some(Fault::Wrong(_)), fault @ (Fault::Answered(_) | Fault::Unavailable(_)))
            | (Some(Fault::Answered(_)), fault @ Fault::Unavailable(_)) => Some(fault),
            (known, _) => known,
        };
        asked.place += 1;
        None
    }

    /// Ends with what was found. `place` is the way whose turn it was.
    fn conclude<'p>(
        &'p self,
        exchange: &mut Exchange,
        result: Result<Found, Fault>,
        place: usize,
    ) -> Step<'p> {
        if matches!(result, Err(Fault::Wrong(MISSING))) {
            return self.invite(exchange, place);
        }
        self.strip(&mut exchange.request);
        match result {
            Ok(found) => {
                if let Found::Own(own) = &found {
                    for (name, value) in &own.fields {
                        // What the caller brought under it is not the service's business.
                        if name == http::header::AUTHORIZATION {
                            exchange.request.fields.remove(Known::Authorization);
                        }
                        exchange.request.fields.append_named(name.as_str().as_bytes(), value.as_bytes());
                    }
                }
                exchange.found = Some(found);
                Step::Continue
            }
            Err(Fault::Answered(answer)) => Step::Respond(answer),
            Err(Fault::Wrong(code)) => self.refuse(code),
            Err(Fault::Unavailable(code)) => unavailable(code),
        }
    }

    /// Asks for what is missing: as the first way does that has a way of its own to ask.
    fn invite<'p>(&'p self, exchange: &mut Exchange, place: usize) -> Step<'p> {
        let ways = if self.needs_all { self.ways.get(place..=place).unwrap_or_default() } else { &self.ways };
        let found = ways.iter().map(|(_, way)| way.invite(exchange));
        let found = found.into_iter().find(|finding| !matches!(finding, Finding::Nothing));
        let invited = |exchange: &mut Exchange, finding| {
            self.strip(&mut exchange.request);
            match finding {
                Finding::Respond(answer) => Step::Respond(answer),
                Finding::Refused(code) => self.refuse(code),
                Finding::Unavailable(code) => unavailable(code),
                _ => self.refuse(MISSING),
            }
        };
        match found {
            Some(Finding::Wait(future)) => Step::wait(future, invited),
            finding => invited(exchange, finding.unwrap_or(Finding::Nothing)),
        }
    }

    /// What a caller can bring, without the operator's names for it.
    fn asked(&self) -> String {
        let asked: Vec<String> = self.ways.iter().map(|(_, way)| way.explain()).collect();
        asked.join(if self.needs_all { ", and " } else { ", or " })
    }

    fn refuse(&self, code: &'static str) -> Step<'_> {
        let detail: Cow<'static, str> = match code {
            MISSING => format!("nothing in the request says who calls: it needs {}", self.asked()).into(),
            LOGIN => "there is no session: open the page in a browser to log in".into(),
            EXPIRED => "the key has expired: use its successor".into(),
            CONTRADICTION => "what the request says of its caller is about two of them".into(),
            _ => "what the request says of its caller proves nothing".into(),
        };
        let is_wrong = !matches!(code, MISSING | LOGIN);
        let mut refusal = Refusal::new(StatusCode::UNAUTHORIZED, code, Stage::Identify, detail);
        for challenge in self.ways.iter().flat_map(|(_, way)| way.challenge(&self.realm, is_wrong)) {
            refusal = refusal.with_field(Known::WwwAuthenticate, challenge);
        }
        Step::refuse(refusal)
    }
}

fn unavailable<'p>(code: &'static str) -> Step<'p> {
    let detail = "who calls cannot be found out at the moment; try again soon";
    let refusal = Refusal::new(StatusCode::SERVICE_UNAVAILABLE, code, Stage::Identify, detail);
    Step::refuse(refusal.with_retry_after(1))
}

impl Asked {
    /// Who calls, after the last of the ways.
    fn result(self) -> Result<Found, Fault> {
        self.first.ok_or(self.fault.unwrap_or(Fault::Wrong(MISSING)))
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

    fn on_request(&self, exchange: &mut Exchange) -> Step<'_> {
        self.ask(exchange, Asked::default(), None)
    }

    fn strip(&self, request: &mut RequestHead) {
        self.ways.iter().for_each(|(_, way)| way.strip(request));
    }

    fn on_response(&self, exchange: &mut Exchange) {
        let Some(Found::Own(own)) = &exchange.found else { return };
        for cookie in &own.cookies {
            exchange.response.fields.append(Known::SetCookie, cookie.as_bytes());
        }
        if !own.cookies.is_empty() {
            // No cache may give one user's session to another.
            exchange.response.fields.set(Known::CacheControl, b"no-store");
        }
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

/// The token that a request brings as `Bearer` credentials (RFC 6750, section 2.1); an empty one, which is nobody's, where it brings two.
fn bearer(request: &RequestHead) -> Option<&[u8]> {
    of_scheme(request, BEARER)
}

/// What a request brings as credentials of this scheme; nothing behind it, which is nobody's, where it brings two.
fn of_scheme<'r>(request: &'r RequestHead, scheme: &[u8]) -> Option<&'r [u8]> {
    let mut all = request.fields.get_all(Known::Authorization).filter_map(|value| behind(value, scheme));
    let one = all.next()?;
    Some(if all.next().is_none() { one } else { b"" })
}

/// What stands behind the scheme, whose case does not matter (RFC 9110, section 11.1).
fn behind<'v>(value: &'v [u8], scheme: &[u8]) -> Option<&'v [u8]> {
    let (named, rest) = value.split_at_checked(scheme.len())?;
    named.eq_ignore_ascii_case(scheme).then(|| rest.trim_ascii())
}

/// Removes `Bearer` credentials from what the service gets, and leaves others.
fn strip_bearer(request: &mut RequestHead) {
    strip_scheme(request, BEARER);
}

fn strip_scheme(request: &mut RequestHead, scheme: &[u8]) {
    request
        .fields
        .retain(|field| field.known != Some(Known::Authorization) || behind(field.value, scheme).is_none());
}

const BEARER: &[u8] = b"Bearer ";

/// What asks for `Bearer` credentials (RFC 6750, section 3).
fn bearer_challenge(realm: &str, is_wrong: bool) -> String {
    let error = if is_wrong { ", error=\"invalid_token\"" } else { "" };
    format!("Bearer realm=\"{realm}\"{error}")
}

/// Who signed, where nobody has used the nonce before.
fn once(used: Use<'_>, found: Found) -> Finding<'_> {
    let finding = |used, found| match used {
        Ok(()) => Finding::Caller(found),
        Err(Unusable::Used) => Finding::Refused("signature_replayed"),
        Err(Unusable::Full) => Finding::Unavailable("nonces_full"),
        Err(Unusable::Unknown) => Finding::Unavailable("nonces_unavailable"),
    };
    match used {
        Use::Now(used) => finding(used, found),
        Use::Asked(asked) => Finding::Wait(Box::pin(async move { finding(asked.await, found) })),
    }
}

/// What ways to find out who calls are built with, beside the configuration.
#[derive(Debug)]
pub struct Means<'m> {
    /// The callers that the configuration knows.
    pub callers: &'m Callers,
    /// TLS to those who are asked, by the names of the ways.
    pub tls: HashMap<Box<str>, Arc<ClientTls>>,
    /// Keys that issuers publish.
    pub key_sets: &'m KeySets,
    /// What is known of logins.
    pub logins: &'m Arc<Logins>,
    /// The way out for questions.
    pub outside: &'m Arc<Outside>,
    /// Turns at passwords, of the whole process.
    pub turns: &'m Arc<Turns>,
    /// What may not be used again.
    pub nonces: &'m Nonces,
}

impl Means<'_> {
    /// Whom the way of this name asks at that URL.
    fn peer(&self, way: &str, url: &HttpUrl) -> Arc<Peer> {
        Arc::new(Peer { url: url.clone(), tls: self.tls.get(way).cloned() })
    }

    /// The provider of a login, whose description is at that peer.
    fn issuer(&self, peer: &Arc<Peer>, oidc: &config::Oidc) -> Issuer {
        let issuer = Some(oidc.issuer.as_str().into());
        let keys = self.key_sets.at(KeySource { peer: Arc::clone(peer), issuer, refresh: REFRESH });
        let demands = Demands {
            algorithms: oidc.algorithms.clone(),
            issuers: vec![oidc.issuer.clone()],
            audiences: Some(vec![oidc.client_id.clone()]),
            leeway: oidc.leeway.as_secs_f64(),
            required: Vec::new(),
        };
        Issuer::new(keys, demands)
    }
}

/// All ways to find out who calls, by their names; what is wrong with their files is reported.
pub fn build_ways(
    config: &Config,
    means: &Means<'_>,
    faults: &mut Faults,
) -> HashMap<Box<str>, Arc<dyn Authenticator>> {
    let mut ways: HashMap<Box<str>, Arc<dyn Authenticator>> = HashMap::new();
    for (name, way) in &config.auth {
        if let Some(built) = build_way(name, way, config, means, faults) {
            ways.insert(name.as_str().into(), built);
        }
    }
    ways
}

/// A way of its kind; nothing where that cannot be built, which is reported.
fn build_way(
    name: &str,
    way: &config::Authenticator,
    config: &Config,
    means: &Means<'_>,
    faults: &mut Faults,
) -> Option<Arc<dyn Authenticator>> {
    use config::Authenticator as Way;
    Some(match way {
        Way { api_key: Some(api_key), .. } => {
            Arc::new(api_key::ApiKey::build(api_key, means.callers.way(name)?))
        }
        Way { jwt: Some(jwt), .. } => Arc::new(jwt::Jwt::build(name, jwt, config, means, faults)?),
        Way { mtls: Some(mtls), .. } => Arc::new(mtls::Mtls::build(name, mtls, config)),
        Way { oidc: Some(oidc), .. } => Arc::new(oidc::Oidc::build(name, oidc, means)),
        Way { introspection: Some(introspection), .. } => {
            Arc::new(introspection::Introspection::build(name, introspection, config, means))
        }
        Way { forward: Some(forward), .. } => Arc::new(forward::Forward::build(name, forward, means)),
        Way { basic: Some(basic), .. } => {
            Arc::new(basic::Basic::build(name, basic, config, means.turns, faults)?)
        }
        Way { hmac: Some(hmac), .. } => {
            Arc::new(hmac::Hmac::build(hmac, means.callers.way(name)?, means.nonces.clone(), config))
        }
        Way { signature: Some(signature), .. } => {
            let place = (name, means.callers.way(name)?);
            let nonces = means.nonces.clone();
            Arc::new(signature::Signature::build(place, signature, nonces, config, faults)?)
        }
        _ => return None,
    })
}

/// How often a provider of logins is asked for its description and keys.
const REFRESH: Duration = Duration::from_mins(5);
/// No session is there, and none can be begun like this.
const LOGIN: &str = "login_required";
const MISSING: &str = "credentials_missing";
const CONTRADICTION: &str = "credentials_contradict";
/// A signature that is not written to the letter.
const MALFORMED_SIGNATURE: &str = "signature_malformed";
/// One that is too old, or from the future.
const STALE_SIGNATURE: &str = "signature_stale";
/// One that no key has made: which key was meant, and whether there is one, nobody is told.
const WRONG_SIGNATURE: &str = "signature_wrong";
/// A key that was right once.
pub const EXPIRED: &str = "key_expired";
