//! What can be said of those who call, without their secrets.

use std::collections::BTreeMap;

use super::Facets;
use crate::config::model::{
    AccessToken, App, AppKey, Authenticator, ClientAuth, Config, IdentityForm, IdentityHeaders, KeysAt, Oidc,
    Plan, SameSite,
};
use crate::config::values::{KeyHash, Scope};

pub(super) fn plan_facets(plan: &Plan) -> Facets {
    let mut facets = Facets::default();
    facets.may_say("rate limit", plan.rate_limit.as_ref());
    facets.may_say("quota", plan.quota.as_ref());
    facets
}

pub(super) fn auth_facets(way: &Authenticator) -> Facets {
    let mut facets = Facets::default();
    if let Some(api_key) = &way.api_key {
        facets.may_say("key's header", api_key.header.as_ref());
        facets.may_say("key's query parameter", api_key.query.as_ref());
        facets.says("keys as bearer tokens", api_key.bearer);
        facets.says("keys passed to services", api_key.pass);
    }
    if let Some(jwt) = &way.jwt {
        facets.list("issuer", &jwt.issuer);
        match &jwt.jwks {
            KeysAt::File(file) => facets.says("keys", file.value.display()),
            KeysAt::Url(url) => facets.says("keys", format_args!("{}, every {}", url.value, jwt.refresh)),
            KeysAt::Discovered(_) => {
                facets.says("keys", format_args!("where it says, every {}", jwt.refresh));
            }
        }
        if let Some(tls) = &jwt.tls {
            facets.says("TLS", tls);
        }
        match &jwt.audience {
            Some(audience) => facets.list("audience", audience),
            None => facets.says("audience", "any"),
        }
        facets.list("algorithms", jwt.algorithms.iter().map(|algorithm| algorithm.as_str()));
        facets.says("leeway", jwt.leeway);
        facets.says("scopes' claim", &jwt.scopes_claim);
        facets.says("user's claim", &jwt.user_claim);
        facets.says("app's claim", &jwt.app_claim);
        facets.list("required claims", &jwt.required);
        facets.says("tokens passed to services", jwt.pass);
    }
    if let Some(introspection) = &way.introspection {
        facets.says("asked", &introspection.url.value);
        facets.says("client", &introspection.client_id);
        facets.says("cache", introspection.cache);
        facets.says("negative cache", introspection.negative_cache);
        facets.says("time-out", introspection.timeout);
        facets.list("issuer", &introspection.issuer);
        match &introspection.audience {
            Some(audience) => facets.list("audience", audience),
            None => facets.says("audience", "any"),
        }
        facets.says("scopes' claim", &introspection.scopes_claim);
        facets.says("user's claim", &introspection.user_claim);
        facets.says("app's claim", &introspection.app_claim);
        facets.may_say("TLS", introspection.tls.as_ref());
        facets.says("tokens passed to services", introspection.pass);
    }
    if let Some(forward) = &way.forward {
        facets.says("asked", &forward.url.value);
        facets.list("fields of the question", &forward.pass);
        facets.list("fields for the service", &forward.keep);
        facets.may_say("user's field", forward.user.as_ref());
        facets.says("time-out", forward.timeout);
        facets.may_say("TLS", forward.tls.as_ref());
    }
    if let Some(mtls) = &way.mtls {
        facets.list("certificates", &mtls.allow);
        for (app, (_, patterns)) in &mtls.apps {
            facets.list(format!("certificates of {app}"), patterns);
        }
    }
    if let Some(oidc) = &way.oidc {
        login_facets(oidc, &mut facets);
    }
    if let Some(basic) = &way.basic {
        facets.says("users", basic.users.value.display());
        facets.says("time that passwords are known", basic.cache);
        facets.may_say("app", basic.app.as_ref().map(|app| &app.value));
        facets.list("scopes", basic.scopes.iter().map(Scope::as_str));
        facets.says("passwords passed to services", basic.pass);
    }
    if let Some(hmac) = &way.hmac {
        facets.says("hash", hmac.algorithm.as_str());
        facets.says("window", hmac.window);
        facets.says("signed of bodies", hmac.body.as_str());
        facets.says("bodies up to", hmac.max_body);
        facets.list("headers", hmac.headers.each());
        facets.says("signatures passed to services", hmac.pass);
    }
    if let Some(signature) = &way.signature {
        facets.list("algorithms", signature.algorithms.iter().map(|algorithm| algorithm.as_str()));
        facets.list("signed", &signature.components);
        facets.says("window", signature.window);
        facets.may_say("tag", signature.tag.as_ref());
        facets.may_say("label", signature.label.as_ref());
        for (id, key) in &signature.keys {
            let scopes: Vec<&str> = key.scopes.iter().map(Scope::as_str).collect();
            let (app, file) = (&key.app.value, key.file.value.display());
            facets.says(format!("public key {id}"), format!("{app}, {file}, {}", scopes.join(" ")));
        }
        facets.says("bodies up to", signature.max_body);
        facets.says("signatures passed to services", signature.pass);
    }
    facets
}

fn login_facets(oidc: &Oidc, facets: &mut Facets) {
    facets.says("issuer", &oidc.issuer);
    if let Some(tls) = &oidc.tls {
        facets.says("TLS", tls);
    }
    let auth = match (&oidc.client_secret, oidc.client_auth) {
        (None, _) => "without a secret",
        (Some(_), ClientAuth::Basic) => "secret as basic credentials",
        (Some(_), ClientAuth::Post) => "secret in the body",
    };
    facets.says("client", format_args!("{}, {auth}", oidc.client_id));
    let origin = oidc.redirect.origin.as_deref().unwrap_or_default();
    facets.says("redirect", format_args!("{origin}{}", oidc.redirect.path));
    facets.may_say("logout", oidc.logout.as_ref());
    facets.says("after logout", &oidc.after_logout);
    facets.list("scopes", oidc.scopes.iter().map(Scope::as_str));
    facets.list("algorithms", oidc.algorithms.iter().map(|algorithm| algorithm.as_str()));
    facets.says("leeway", oidc.leeway);
    facets.says("user's claim", &oidc.user_claim);
    facets.says("scopes' claim", &oidc.scopes_claim);
    facets.list("claims kept", &oidc.claims);
    let (name, _) = oidc.cookie.names();
    let domain = oidc.cookie.domain.as_deref().map(|domain| format!(" of {domain}")).unwrap_or_default();
    let same_site = match oidc.cookie.same_site {
        SameSite::Lax => "lax",
        SameSite::None => "none",
    };
    facets.says("cookie", format_args!("{name}{domain}, same site {same_site}"));
    facets.says("session", format_args!("{} idle, {} in all", oidc.session.idle, oidc.session.max));
    facets.says("access token passed to services", oidc.token == AccessToken::Pass);
    facets.says("cookies passed to services", oidc.pass);
}

pub(super) fn app_facets(app: &App) -> Facets {
    let mut facets = Facets::default();
    facets.may_say("plan", app.plan.as_ref().map(|plan| &plan.value));
    for key in &app.keys {
        facets.says(format!("key {}", key.id.value.as_str()), key_text(key));
    }
    facets
}

fn key_text(key: &AppKey) -> String {
    let scopes: Vec<&str> = key.scopes.iter().map(Scope::as_str).collect();
    let scopes = if scopes.is_empty() { "without scopes".to_owned() } else { scopes.join(", ") };
    let expires = key.expires.as_ref().map(|date| format!(", until {}", date.value)).unwrap_or_default();
    format!("{scopes}{expires}")
}

pub(super) fn identity_facets(identity: &IdentityHeaders) -> Facets {
    let mut facets = Facets::default();
    facets.says("headers", "off");
    facets.list("headers", identity.headers.iter().map(|form| form.as_str()));
    if identity.headers.contains(&IdentityForm::Signed) {
        facets.says("number of keys", identity.keys.len());
        facets.says("issuer", &identity.issuer);
        facets.says("validity", identity.valid_for);
    }
    facets
}

/// The secrets, to see whether one changes.
pub(super) fn keys(config: &Config) -> BTreeMap<(String, String), KeyHash> {
    let keys = config.apps.iter().flat_map(|(app, known)| known.keys.iter().map(move |key| (app, key)));
    let keyed =
        keys.filter_map(|(app, key)| Some(((app.clone(), key.id.value.as_str().to_owned()), key.digest()?)));
    keyed.collect()
}
