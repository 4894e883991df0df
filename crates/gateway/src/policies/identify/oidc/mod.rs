//! `oidc`: a login in the browser, and the session that follows it in an encrypted cookie.

mod attempt;
mod cookies;
mod pages;
mod provider;
mod renewal;
mod seal;
mod session;

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use aws_lc_rs::digest::{SHA256, digest};
use http::header::AUTHORIZATION;
use http::{HeaderValue, Method, StatusCode};
use http1::{Known, RequestHead};
use serde::de::DeserializeOwned;

use self::attempt::Attempt;
use self::cookies::Cookies;
use self::pages::{Callback, Logout};
use self::provider::{Failure, Provider};
pub use self::renewal::Logins;
use self::renewal::Renewed;
use self::seal::{Purpose, Seal};
use self::session::{Session, Terms};
use super::{Authenticator, Finding, Means, Place};
use crate::answer::StaticAnswer;
use crate::clock;
use crate::config::values::{Scope, Secret};
use crate::config::{self, LoginUrl};
use crate::exchange::Exchange;
use crate::identity::{Found, Own};
use crate::outside::Outside;
use crate::policies::Policy;

/// Logins of one browser that may be under way.
const MOST_ATTEMPTS: usize = 10;

/// The compiled way.
#[derive(Debug)]
pub struct Oidc {
    name: Box<str>,
    provider: Arc<Provider>,
    seal: Seal,
    cookies: Cookies,
    terms: Arc<Terms>,
    redirect: LoginUrl,
    logout: Option<Box<str>>,
    after_logout: Box<str>,
    /// What the provider is asked for.
    scopes: String,
    pass: bool,
    logins: Arc<Logins>,
}

impl Oidc {
    /// Compiles the configuration.
    pub fn build(name: &str, oidc: &config::Oidc, means: &Means<'_>) -> Self {
        let peer = means.peer(name, &oidc.description.value);
        let secret = oidc.client_secret.as_ref();
        let keys: Vec<&str> = oidc.cookie.key.iter().map(Secret::expose).collect();
        // A secret that only the gateway and the provider know is good for it, under a label of its own.
        let derived = secret.filter(|_| keys.is_empty()).map(Secret::expose);
        let context = format!("{name}\0{}\0{}", oidc.issuer, oidc.client_id);
        let mut scopes = "openid".to_owned();
        for scope in oidc.scopes.iter().map(Scope::as_str).filter(|scope| *scope != "openid") {
            scopes.push(' ');
            scopes.push_str(scope);
        }
        Self {
            name: name.into(),
            seal: Seal::new(keys.into_iter().chain(derived), &context),
            cookies: Cookies::new(&oidc.cookie, oidc.logout.as_deref()),
            terms: Arc::new(Terms::new(oidc)),
            redirect: oidc.redirect.clone(),
            logout: oidc.logout.as_deref().map(Into::into),
            after_logout: oidc.after_logout.as_str().into(),
            scopes,
            pass: oidc.pass,
            logins: Arc::clone(means.logins),
            provider: Arc::new(Provider {
                way: name.into(),
                told: AtomicU64::new(0),
                issuer: means.issuer(&peer, oidc),
                name: oidc.issuer.as_str().into(),
                peer,
                client_id: oidc.client_id.as_str().into(),
                secret: secret.cloned(),
                auth: oidc.client_auth,
            }),
        }
    }

    /// Where the browser believes to be: scheme, host and port.
    fn origin(&self, exchange: &Exchange) -> String {
        if let Some(origin) = &self.redirect.origin {
            return origin.clone();
        }
        let scheme = if self.is_secure(exchange) { "https" } else { "http" };
        let told = trusted(exchange, Known::XForwardedHost).filter(|host| is_authority(host));
        format!("{scheme}://{}", told.unwrap_or(&exchange.request.authority))
    }

    /// Whether the browser speaks https, to us or to who stands before us.
    fn is_secure(&self, exchange: &Exchange) -> bool {
        match &self.redirect.origin {
            Some(origin) => origin.starts_with("https://"),
            None => trusted(exchange, Known::XForwardedProto)
                .map_or(exchange.is_tls(), |scheme| scheme.eq_ignore_ascii_case("https")),
        }
    }

    fn open<T: DeserializeOwned>(&self, purpose: Purpose, closed: &[u8]) -> Option<T> {
        serde_json::from_slice(&self.seal.open(purpose, closed)?).ok()
    }

    fn close<T: serde::Serialize>(&self, purpose: Purpose, content: &T) -> Option<String> {
        self.seal.close(purpose, &serde_json::to_vec(content).ok()?)
    }

    /// The session in a cookie, if it is one and not over.
    fn session(&self, closed: &[u8], now: u64) -> Option<Session> {
        let session: Session = self.open(Purpose::Session, closed)?;
        (!self.terms.is_over(&session, now)).then_some(session)
    }

    /// Whose session it is, as services are told.
    fn own(&self, session: &Session) -> Option<Own> {
        let mut own = Own::new(self.terms.identity(session)?, &self.name);
        if let Some(token) = &session.access {
            let mut value = HeaderValue::try_from(format!("Bearer {token}")).ok()?;
            value.set_sensitive(true);
            own.fields.push((AUTHORIZATION, value));
        }
        Some(own)
    }

    /// The same, where the browser is to keep it anew.
    fn own_kept_anew(&self, session: &mut Session, now: u64, is_secure: bool) -> Option<Own> {
        session.used = now;
        let mut own = self.own(session)?;
        let closed = self.close(Purpose::Session, session)?;
        own.cookies = self.cookies.set_session(&closed, is_secure)?;
        Some(own)
    }

    /// Goes on with a session whose use is to be written down, or whose tokens are to be renewed.
    fn keep_up<'w>(&'w self, exchange: &Exchange, session: Session, now: u64) -> Finding<'w> {
        let is_secure = self.is_secure(exchange);
        match session.due(now) {
            None => self.touch(session, now, is_secure),
            Some(refresh) => {
                let mut key = [0; 32];
                key.copy_from_slice(digest(&SHA256, refresh.as_bytes()).as_ref());
                let outside = Arc::clone(&exchange.live.snapshot.outside);
                Finding::Wait(Box::pin(self.renew(session, key, outside, is_secure)))
            }
        }
    }

    fn touch(&self, mut session: Session, now: u64, is_secure: bool) -> Finding<'_> {
        let own = if self.terms.is_to_be_touched(&session, now) {
            self.own_kept_anew(&mut session, now, is_secure)
        } else {
            self.own(&session)
        };
        own.map_or(Finding::Nothing, |own| Finding::Caller(Found::Own(Rc::new(own))))
    }

    async fn renew(
        &self,
        session: Session,
        key: [u8; 32],
        outside: Arc<Outside>,
        is_secure: bool,
    ) -> Finding<'_> {
        let (provider, terms) = (Arc::clone(&self.provider), Arc::clone(&self.terms));
        let old = session.clone();
        let renewed = self.logins.renew(key, || ask_for_renewal(provider, terms, old, outside)).await;
        let now = clock::unix_seconds();
        match renewed {
            Renewed::Session(renewed) => {
                let own = self.own_kept_anew(&mut (*renewed).clone(), now, is_secure);
                own.map_or(Finding::Nothing, |own| Finding::Caller(Found::Own(Rc::new(own))))
            }
            Renewed::Over => Finding::Nothing,
            // Who has logged in stays so while the provider is away.
            Renewed::Later => self.touch(session, now, is_secure),
        }
    }

    /// Sends a browser to the provider.
    async fn send_away(&self, attempt: Attempt, forgotten: Vec<String>, is_secure: bool) -> Finding<'_> {
        let Some(description) = self.provider.issuer.description().await else {
            return Finding::Unavailable(UNAVAILABLE);
        };
        let page =
            description.authorization_endpoint.as_deref().ok_or("it describes no page to log in".to_owned());
        let mut page = match page.and_then(|url| self.provider.page(url)) {
            Ok(page) => page,
            Err(why) => {
                self.provider.tell("no login", &why);
                return Finding::Unavailable(UNAVAILABLE);
            }
        };
        for (name, value) in [
            ("response_type=", "code"),
            ("client_id=", &*self.provider.client_id),
            ("redirect_uri=", &attempt.redirect),
            ("scope=", &self.scopes),
            ("state=", &attempt.state()),
            ("nonce=", &attempt.nonce),
            ("code_challenge=", &attempt.challenge()),
            ("code_challenge_method=", "S256"),
        ] {
            page.add(name, value);
        }
        let Some(closed) = self.close(Purpose::Attempt, &attempt) else {
            return Finding::Unavailable(UNAVAILABLE);
        };
        let set = self.cookies.set_attempt(&attempt.id, &closed, attempt::LONGEST, is_secure);
        Finding::Respond(Arc::new(redirect(&page.text, forgotten.into_iter().chain([set]))))
    }
}

/// Asks for new tokens. It needs nothing of the request that made it necessary, and goes on without it.
async fn ask_for_renewal(
    provider: Arc<Provider>,
    terms: Arc<Terms>,
    old: Session,
    outside: Arc<Outside>,
) -> Renewed {
    let refresh = old.refresh.as_deref().unwrap_or_default();
    match provider.refresh(&outside, refresh, old.subject()).await {
        Ok((claims, tokens)) => {
            let now = clock::unix_seconds();
            Renewed::Session(Arc::new(terms.renew(&old, claims.as_ref(), tokens, now)))
        }
        Err(Failure::Unavailable(why)) => {
            provider.tell("a session goes on without new tokens", &why);
            Renewed::Later
        }
        // That a session has ended there is nothing to tell of.
        Err(Failure::Refused(_)) => Renewed::Over,
        Err(Failure::Wrong(why)) => {
            provider.tell("a session has ended", &why);
            Renewed::Over
        }
    }
}

/// An answer that sends a browser elsewhere, with cookies.
fn redirect(location: &str, cookies: impl IntoIterator<Item = String>) -> StaticAnswer {
    let answer = StaticAnswer::empty(StatusCode::FOUND)
        .with_field(Known::Location, location)
        .with_field(Known::CacheControl, "no-store");
    cookies.into_iter().fold(answer, |answer, cookie| answer.with_field(Known::SetCookie, &cookie))
}

/// What a peer who is trusted says first in a field.
fn trusted(exchange: &Exchange, name: Known) -> Option<&str> {
    let value = exchange.request.fields.get(name).filter(|_| exchange.caller.trusted)?;
    let first = value.split(|byte| *byte == b',').next().unwrap_or_default();
    std::str::from_utf8(first.trim_ascii()).ok()
}

/// Whether a text is a host, perhaps with a port.
fn is_authority(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte))
}

/// Whether a browser opens a page: not a script, a picture or another program.
fn is_navigation(request: &RequestHead) -> bool {
    let fields = &request.fields;
    let is_safe = matches!(request.method, Method::GET | Method::HEAD);
    let mode = fields.get_named(b"sec-fetch-mode").is_none_or(|mode| mode == b"navigate");
    let is_script = fields.get_named(b"x-requested-with").is_some();
    let takes_pages = fields.get_all(Known::Accept).any(|accept| {
        accept.split(|byte| *byte == b',').any(|kind| {
            let kind = kind.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
            kind.eq_ignore_ascii_case(b"text/html")
        })
    });
    is_safe && mode && !is_script && takes_pages && request.upgrade.is_empty()
}

impl Authenticator for Oidc {
    fn identify<'w>(&'w self, exchange: &Exchange, _body: Option<&[u8]>) -> Finding<'w> {
        let fields = &exchange.request.fields;
        let Some(closed) = self.cookies.session(fields, self.is_secure(exchange)) else {
            return Finding::Nothing;
        };
        let seconds = clock::unix_seconds();
        let now = seconds as f64;
        let proofs = &exchange.live.proofs;
        let proof = crate::identity::digest(&self.name, 0, &closed);
        if let Some(Ok(own)) = proofs.known(&proof, now) {
            return Finding::Caller(Found::Own(own));
        }
        // One that has ended or was changed is none.
        let Some(session) = self.session(&closed, seconds) else { return Finding::Nothing };
        let until = self.terms.settled_until(&session);
        if seconds >= until {
            return self.keep_up(exchange, session, seconds);
        }
        let Some(own) = self.own(&session).map(Rc::new) else { return Finding::Nothing };
        proofs.keep(proof, until as f64, Rc::clone(&own));
        Finding::Caller(Found::Own(own))
    }

    fn invite<'w>(&'w self, exchange: &Exchange) -> Finding<'w> {
        let request = &exchange.request;
        if !is_navigation(request) || exchange.request.authority.is_empty() {
            return Finding::Refused(REQUIRED);
        }
        let is_secure = self.is_secure(exchange);
        let back = format!("{}{}", self.origin(exchange), self.redirect.path);
        let forgotten = self.cookies.clear_attempts(&request.fields, MOST_ATTEMPTS, is_secure);
        match Attempt::begin(&request.path, request.query(), back, clock::unix_seconds()) {
            Some(attempt) => Finding::Wait(Box::pin(self.send_away(attempt, forgotten, is_secure))),
            None => Finding::Unavailable(UNAVAILABLE),
        }
    }

    fn strip(&self, request: &mut RequestHead) {
        if !self.pass {
            self.cookies.strip(request);
        }
    }

    fn challenge(&self, realm: &str, _: bool) -> Vec<String> {
        // There is no registered scheme for what a browser keeps.
        vec![format!("Cookie realm=\"{realm}\"")]
    }

    fn explain(&self) -> String {
        format!("a login in the browser at {}", self.provider.name)
    }

    fn places(self: Arc<Self>) -> Vec<Place> {
        let host = self.redirect.host.as_deref().map(Into::into);
        let place = |what: &str, path: &str, policy: Arc<dyn Policy>| Place {
            name: format!("{} {what}", self.name),
            path: path.to_owned(),
            host: Option::clone(&host),
            policy,
        };
        let callback = place("callback", &self.redirect.path, Arc::new(Callback::new(Arc::clone(&self))));
        let logout = self.logout.as_deref();
        let logout = logout.map(|path| place("logout", path, Arc::new(Logout::new(Arc::clone(&self)))));
        [callback].into_iter().chain(logout).collect()
    }
}

/// There is no session.
const REQUIRED: &str = "login_required";
/// The provider cannot be asked.
const UNAVAILABLE: &str = "login_unavailable";

/// Opens what came as a cookie, in pieces and whole, and reads what came from a provider. For the fuzz target.
#[doc(hidden)]
pub fn is_nothing(bytes: &[u8]) -> bool {
    let seal = Seal::new(["a key that nobody knows"].into_iter(), "");
    let mut request = RequestHead::default();
    request.fields.append(Known::Cookie, bytes);
    let cookies = Cookies::new(&config::LoginCookie::default(), None);
    let session =
        cookies.session(&request.fields, true).and_then(|closed| seal.open(Purpose::Session, &closed));
    cookies.strip(&mut request);
    let is_stripped = cookies.session(&request.fields, true).is_none();
    let returned = std::str::from_utf8(bytes).ok().and_then(attempt::Returned::read);
    let id = returned.and_then(|returned| Some(attempt::id_of(returned.state.as_deref()?)?.len()));
    let purposes = [Purpose::Session, Purpose::Attempt, Purpose::Hint];
    let is_closed = purposes.iter().all(|purpose| seal.open(*purpose, bytes).is_none());
    session.is_none() && is_closed && is_stripped && id.is_none_or(|length| length == 11)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn request(fields: &[(&str, &str)]) -> RequestHead {
        let mut request = RequestHead::default();
        for (name, value) in fields {
            request.fields.append_named(name.as_bytes(), value.as_bytes());
        }
        request
    }

    #[test]
    fn a_browser_that_opens_a_page_says_so() {
        const HTML: (&str, &str) = ("Accept", "text/html,application/xhtml+xml,*/*;q=0.8");
        for (fields, is_one) in [
            (&[HTML][..], true),
            (&[("accept", "application/json, Text/HTML;q=0.1")], true),
            (&[HTML, ("Sec-Fetch-Mode", "navigate")], true),
            (&[HTML, ("Sec-Fetch-Mode", "no-cors")], false),
            (&[HTML, ("X-Requested-With", "XMLHttpRequest")], false),
            (&[("Accept", "*/*")], false),
            (&[("Accept", "text/htmlx")], false),
            (&[], false),
        ] {
            assert_eq!(is_navigation(&request(fields)), is_one, "{fields:?}");
        }
        let mut posted = request(&[HTML]);
        posted.method = Method::POST;
        assert!(!is_navigation(&posted));
    }

    #[test]
    fn a_host_that_is_told_is_one() {
        for good in ["app.example.com", "app.example.com:8443", "[::1]:80"] {
            assert!(is_authority(good), "{good}");
        }
        for bad in ["", "a/b", "a@b", "a b", "a?b", "a\\b", "a#"] {
            assert!(!is_authority(bad), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn nothing_opens_that_nobody_has_closed(bytes: Vec<u8>, cookies in "(__Host-tg_login|[a-z]{1,3})(\\.[0-9try.]{0,5})?=[a-z0-9.;= ]{0,40}") {
            prop_assert!(is_nothing(&bytes));
            prop_assert!(is_nothing(cookies.as_bytes()));
        }
    }
}
