//! Checks of who may call: names that `access` and `apps` use, and keys that belong to two.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::check::with_advice;
use super::fault::{Fault, Faults};
use super::model::{
    AccessTerms, Authenticator, Config, Declared, ListenerTls, PUBLIC, Setting, Signature, SignatureAlgorithm,
};
use super::read::nearest;
use super::source::{Located, Span};
use super::values::Secret;

/// Reports what is wrong with ways to find out who calls, applications and plans, and with what names them.
pub(super) fn check(config: &Config, declared: &Declared, faults: &mut Faults) {
    for terms in all_terms(config) {
        terms.ways().for_each(|way| check_way(declared, way, faults));
        for app in &terms.apps {
            check_name(&declared.apps, app, ("unknown_app", "app", "apps"), faults);
        }
        for plan in &terms.plans {
            check_name(&declared.plans, plan, ("unknown_plan", "plan", "plans"), faults);
        }
    }
    let mapped = config.auth.values().filter_map(|way| way.mtls.as_ref()).flat_map(|mtls| mtls.apps.values());
    mapped.for_each(|(app, _)| check_name(&declared.apps, app, ("unknown_app", "app", "apps"), faults));
    check_cookies(config, faults);
    let acting = config.auth.values().filter_map(|way| way.basic.as_ref()?.app.as_ref());
    acting.for_each(|app| check_name(&declared.apps, app, ("unknown_app", "app", "apps"), faults));
    let public_keys =
        config.auth.values().filter_map(|way| way.signature.as_ref()).flat_map(|signature| &signature.keys);
    for (_, key) in public_keys {
        check_name(&declared.apps, &key.app, ("unknown_app", "app", "apps"), faults);
    }
    let mut ids: HashMap<&str, Span> = HashMap::new();
    for app in config.apps.values() {
        if let Some(plan) = &app.plan {
            check_name(&declared.plans, plan, ("unknown_plan", "plan", "plans"), faults);
        }
        for key in &app.keys {
            if ids.insert(key.id.value.as_str(), key.id.span).is_some() {
                let fault = Fault::error("duplicate_key", key.id.span, "another key has this id already");
                faults.push(fault.help("ids are unique among all apps, as they are all that names a key"));
            }
            let is_weak = |text: &str| text.len() < GOOD_SECRET;
            if key.secret.as_ref().is_some_and(|secret| is_weak(secret.expose())) {
                let message =
                    format!("this secret has fewer than {GOOD_SECRET} characters, and can be guessed");
                let fault = Fault::warning("weak_secret", key.id.span, message);
                faults.push(fault.help("`tollgate key new` makes one that cannot"));
            }
        }
    }
}

/// Reports what nobody uses.
pub(super) fn check_unused(config: &Config, faults: &mut Faults) {
    check_certificates(config, faults);
    check_signers(config, faults);
    let used: HashSet<&str> =
        all_terms(config).flat_map(AccessTerms::ways).map(|way| way.value.as_str()).collect();
    for way in config.auth.values().filter(|way| !used.contains(way.name.value.as_str())) {
        faults.push(Fault::warning("unused_auth", way.name.span, "no `access` names this"));
    }
}

/// A way that no connection can go.
fn check_certificates(config: &Config, faults: &mut Faults) {
    let asks = |tls: &ListenerTls| tls.client.is_some();
    if config.listeners.iter().any(|listener| listener.tls.as_deref().is_some_and(asks)) {
        return;
    }
    for way in config.auth.values().filter(|way| way.mtls.is_some()) {
        let fault =
            Fault::warning("no_certificates", way.name.span, "no listener asks clients for certificates");
        faults.push(fault.help("add `tls: { client: { ca: FILE } }` to a listener"));
    }
}

/// Signatures that nobody can make, and keys that are good for nothing else.
fn check_signers(config: &Config, faults: &mut Faults) {
    let is_by_secret = |way: &&Authenticator| {
        let needs_secret = |signature: &Signature| {
            signature.keys.is_empty() && signature.algorithms.contains(&SignatureAlgorithm::HmacSha256)
        };
        way.hmac.is_some() || way.signature.as_deref().is_some_and(needs_secret)
    };
    let Some(signed) = config.auth.values().find(is_by_secret) else { return };
    let keys = || config.apps.values().flat_map(|app| &app.keys);
    let help = "give it `secret: ${env:NAME}` in place of `hash`: a signature cannot be verified by a hash";
    if keys().all(|key| key.secret.is_none()) {
        let message = "no key under `apps` can sign: none stands there with its secret";
        return faults.push(Fault::warning("no_signing_key", signed.name.span, message).help(help));
    }
    if config.auth.values().any(|way| way.api_key.is_some()) {
        return;
    }
    for key in keys().filter(|key| key.secret.is_none()) {
        let message = "this key can neither be sent, as no way under `auth` takes keys, nor sign";
        faults.push(Fault::warning("no_signing_key", key.id.span, message).help(help));
    }
}

/// Logins whose sessions would replace each other.
fn check_cookies(config: &Config, faults: &mut Faults) {
    let mut names: HashSet<&str> = HashSet::new();
    for way in config.auth.values() {
        let Some(oidc) = &way.oidc else { continue };
        // Whoever has a cookie could try out what it is encrypted with.
        let is_weak = |secret: &Secret| secret.expose().len() < GOOD_SECRET;
        if oidc.cookie.key.is_empty() && oidc.client_secret.as_ref().is_some_and(is_weak) {
            let message = format!(
                "the `client_secret`, from which the key of its cookies is derived, has fewer than {GOOD_SECRET} characters"
            );
            let fault = Fault::warning("weak_secret", way.name.span, message);
            faults.push(fault.help("have the provider make another, or write `cookie: { key: … }`"));
        }
        let (name, _) = oidc.cookie.names();
        if !names.insert(name) {
            let message = format!("another login keeps its session in the cookie `{name}` already");
            let fault = Fault::error("duplicate_cookie", way.name.span, message);
            faults.push(fault.help("give this one a name of its own: `cookie: { name: … }`"));
        }
    }
}

/// What every `access` asks of callers.
fn all_terms(config: &Config) -> impl Iterator<Item = &AccessTerms> {
    config.policies().filter_map(|policies| policies.access.as_ref().and_then(Setting::value)?.terms())
}

fn check_way(declared: &Declared, way: &Located<String>, faults: &mut Faults) {
    if declared.auth.contains(&way.value) {
        return;
    }
    let fault = Fault::error("unknown_auth", way.span, "there is no way of this name under `auth`");
    if nearest(&way.value, &[PUBLIC]).is_some() {
        return faults.push(fault.help("did you mean `public`?"));
    }
    faults.push(with_advice(fault, way, &declared.auth, "auth"));
}

fn check_name(
    declared: &BTreeSet<String>,
    used: &Located<String>,
    (code, what, section): (&'static str, &str, &str),
    faults: &mut Faults,
) {
    if !declared.contains(&used.value) {
        let fault = Fault::error(code, used.span, format!("there is no {what} of this name"));
        faults.push(with_advice(fault, used, declared, section));
    }
}

/// Characters of a secret that is no password: 16 random ones are more than anybody can try.
const GOOD_SECRET: usize = 16;
