//! The paths that the gateway itself answers at: where the provider sends browsers back to, and where they log out.

use std::rc::Rc;
use std::sync::Arc;

use http::StatusCode;
use http1::{Known, RequestHead};

use super::attempt::{Attempt, Returned, id_of};
use super::provider::{Failure, word};
use super::seal::Purpose;
use super::{Oidc, UNAVAILABLE, is_navigation, redirect};
use crate::answer::StaticAnswer;
use crate::clock;
use crate::exchange::Exchange;
use crate::identity::{Found, Own};
use crate::outside::Outside;
use crate::policies::{Policy, Step};
use crate::refusal::{Refusal, Stage};

/// Where logins come back to.
#[derive(Debug)]
pub(super) struct Callback(Arc<Oidc>);

/// Where sessions end.
#[derive(Debug)]
pub(super) struct Logout(Arc<Oidc>);

/// What the operator is told of a login that has failed, and what the browser is.
#[derive(Debug, Clone, Copy)]
enum Failed {
    Refused,
    Wrong,
    Unavailable,
}

impl Callback {
    pub(super) fn new(way: Arc<Oidc>) -> Self {
        Self(way)
    }

    /// The login that an answer of the provider belongs to, if this browser has begun it, lately, and it has not been answered.
    fn attempt(&self, exchange: &Exchange, returned: &Returned, is_secure: bool) -> Option<Attempt> {
        let state = returned.state.as_deref()?;
        let closed = self.0.cookies.attempt(&exchange.request.fields, id_of(state)?, is_secure)?;
        let attempt: Attempt = self.0.open(Purpose::Attempt, closed)?;
        let now = clock::unix_seconds();
        let is_good = attempt.is_answered_by(state, now) && self.0.logins.is_first(state, attempt.until, now);
        is_good.then_some(attempt)
    }

    /// Ends a login: with a session, or with why there is none.
    async fn finish(
        &self,
        outside: Arc<Outside>,
        attempt: &Attempt,
        returned: &Returned,
        is_secure: bool,
    ) -> Result<Own, Failed> {
        let provider = &self.0.provider;
        let failed = |kind, why: &str| {
            provider.tell("a login has failed", why);
            Err(kind)
        };
        // Whoever answers for another provider mixes them up (RFC 9207, section 2.4).
        let says_who = provider
            .issuer
            .known_description()
            .is_some_and(|known| known.authorization_response_iss_parameter_supported);
        let is_theirs = returned.issuer.as_deref().map_or(!says_who, |issuer| issuer == &*provider.name);
        if !is_theirs {
            return failed(Failed::Wrong, "another provider answered");
        }
        if let Some(error) = &returned.error {
            return match error.as_str() {
                DENIED => Err(Failed::Refused),
                OVERLOADED | BROKEN => failed(Failed::Unavailable, &format!("it says {}", word(error))),
                _ => failed(Failed::Wrong, &format!("it says {}", word(error))),
            };
        }
        let Some(code) = &returned.code else { return failed(Failed::Wrong, "it gave no code") };
        let (claims, mut tokens) = match provider.redeem(&outside, attempt, code).await {
            Ok(granted) => granted,
            Err(Failure::Unavailable(why)) => return failed(Failed::Unavailable, &why),
            Err(Failure::Refused(why) | Failure::Wrong(why)) => return failed(Failed::Wrong, &why),
        };
        let now = clock::unix_seconds();
        let hint = tokens.id.take().and_then(|token| self.0.seal.close(Purpose::Hint, token.as_bytes()));
        let mut session = self.0.terms.begin(&claims, tokens, &self.0.scopes, now);
        if self.0.terms.identity(&session).is_none() {
            return failed(Failed::Wrong, "its ID token names no user in the `user_claim`");
        }
        match self.0.own_kept_anew(&mut session, now, is_secure) {
            Some(mut own) => {
                own.cookies.extend(self.0.cookies.set_hint(hint.as_deref(), is_secure));
                Ok(own)
            }
            None => failed(Failed::Wrong, "the session is too large for cookies: keep fewer `claims`"),
        }
    }
}

impl Policy for Callback {
    fn name(&self) -> &'static str {
        "login"
    }

    fn stage(&self) -> Stage {
        Stage::Identify
    }

    fn on_request(&self, exchange: &mut Exchange) -> Step<'_> {
        let is_secure = self.0.is_secure(exchange);
        let returned = exchange.request.query().and_then(Returned::read).unwrap_or_default();
        let Some(attempt) = self.attempt(exchange, &returned, is_secure) else {
            let detail = "this is no answer to a login that this browser has begun in the last ten minutes: open the page again that \
                          you came for";
            return Step::refuse(refusal(StatusCode::BAD_REQUEST, "login_state_unknown", detail));
        };
        let outside = Arc::clone(&exchange.live.snapshot.outside);
        let page = format!("{}{}", self.0.origin(exchange), attempt.page);
        let cleared = self.0.cookies.clear_attempt(&attempt.id, is_secure);
        let finished = async move { self.finish(outside, &attempt, &returned, is_secure).await };
        Step::wait(finished, move |exchange, finished| match finished {
            Ok(mut own) => {
                let cookies = std::mem::take(&mut own.cookies);
                exchange.found = Some(Found::Own(Rc::new(own)));
                Step::Respond(Arc::new(redirect(&page, cookies.into_iter().chain([cleared]))))
            }
            Err(failed) => Step::refuse(failed.refusal().with_field(Known::SetCookie, cleared)),
        })
    }

    fn strip(&self, request: &mut RequestHead) {
        self.0.cookies.strip(request);
    }

    fn explain(&self) -> String {
        format!("ends logins at {}", self.0.provider.name)
    }
}

impl Failed {
    fn refusal(self) -> Refusal {
        match self {
            Self::Refused => refusal(
                StatusCode::FORBIDDEN,
                "login_refused",
                "the provider was told not to let this login happen",
            ),
            Self::Wrong => refusal(
                StatusCode::BAD_GATEWAY,
                "login_failed",
                "the login did not work out between the gateway and its provider; whoever runs the gateway finds the reason in its log",
            ),
            Self::Unavailable => {
                let detail = "the provider does not answer at the moment; try again soon";
                refusal(StatusCode::SERVICE_UNAVAILABLE, UNAVAILABLE, detail).with_retry_after(1)
            }
        }
    }
}

fn refusal(status: StatusCode, code: &'static str, detail: &'static str) -> Refusal {
    Refusal::new(status, code, Stage::Identify, detail).with_field(Known::CacheControl, "no-store")
}

impl Logout {
    pub(super) fn new(way: Arc<Oidc>) -> Self {
        Self(way)
    }

    /// The ID token of the login, while its session lasts: the provider then knows who asks, and need not ask the user.
    fn hint(&self, exchange: &Exchange) -> Option<String> {
        let (way, fields) = (&self.0, &exchange.request.fields);
        let closed = way.cookies.session(fields, way.is_secure(exchange))?;
        way.session(&closed, clock::unix_seconds())?;
        String::from_utf8(way.seal.open(Purpose::Hint, way.cookies.hint(fields)?)?).ok()
    }

    /// Where the session ends at the provider too (`OpenID` Connect RP-Initiated Logout 1.0), or the page that follows.
    fn next(&self, exchange: &Exchange) -> String {
        let after = format!("{}{}", self.0.origin(exchange), self.0.after_logout);
        let provider = &self.0.provider;
        let description = provider.issuer.known_description();
        let end = description.as_deref().and_then(|known| known.end_session_endpoint.as_deref());
        match end.map(|url| provider.page(url)) {
            Some(Ok(mut page)) => {
                page.add("client_id=", &provider.client_id);
                if let Some(token) = self.hint(exchange) {
                    page.add("id_token_hint=", &token);
                }
                page.add("post_logout_redirect_uri=", &after);
                page.text
            }
            _ => after,
        }
    }
}

impl Policy for Logout {
    fn name(&self) -> &'static str {
        "logout"
    }

    fn stage(&self) -> Stage {
        Stage::Identify
    }

    fn on_request(&self, exchange: &mut Exchange) -> Step<'_> {
        // A picture on somebody's page logs nobody out.
        if !is_navigation(&exchange.request) {
            let detail = "a browser that opens this page logs out; a program removes its cookies";
            return Step::refuse(refusal(StatusCode::FORBIDDEN, "logout_not_opened", detail));
        }
        let is_secure = self.0.is_secure(exchange);
        let cleared = self.0.cookies.clear_all(&exchange.request.fields, is_secure);
        Step::Respond(Arc::new(redirect(&self.next(exchange), cleared)) as Arc<StaticAnswer>)
    }

    fn strip(&self, request: &mut RequestHead) {
        self.0.cookies.strip(request);
    }

    fn explain(&self) -> String {
        format!("ends sessions of logins at {}", self.0.provider.name)
    }
}

/// Errors of a provider (RFC 6749, section 4.1.2.1): the user or a rule said no, or it has trouble of its own.
const DENIED: &str = "access_denied";
const OVERLOADED: &str = "temporarily_unavailable";
const BROKEN: &str = "server_error";
