//! What claims say of a caller, whoever vouches for them.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::Identity;
use crate::config::Config;
use crate::config::values::Scope;

/// Bytes of a user's name.
const LONGEST_USER: usize = 1024;

/// Which claim says what.
#[derive(Debug)]
pub(crate) struct ClaimNames {
    pub(crate) scopes: String,
    pub(crate) user: String,
    pub(crate) app: String,
    /// The plans of the applications that are known.
    pub(crate) apps: HashMap<Box<str>, Box<str>>,
}

impl ClaimNames {
    /// Those of a way that finds the applications of this configuration.
    pub(crate) fn new(scopes: &str, user: &str, app: &str, config: &Config) -> Self {
        let apps = config.apps.iter().map(|(name, app)| (name.as_str().into(), app.plan_name().into()));
        Self { scopes: scopes.to_owned(), user: user.to_owned(), app: app.to_owned(), apps: apps.collect() }
    }

    /// Who the claims are about; nobody where that could not be written into a field or a line.
    pub(crate) fn identity(&self, claims: Map<String, Value>) -> Option<Identity> {
        let text = |name: &str| find(&claims, name).and_then(Value::as_str).unwrap_or_default();
        let user = text(&self.user);
        if user.len() > LONGEST_USER || user.contains(char::is_control) {
            return None;
        }
        let scopes: Vec<Box<str>> = match find(&claims, &self.scopes) {
            Some(Value::String(scopes)) => of_words(scopes.split(' ')),
            // One with a space in it would pass for two.
            Some(Value::Array(scopes)) => of_words(scopes.iter().filter_map(Value::as_str)),
            _ => Vec::new(),
        };
        let mut identity = Identity::with_scopes(scopes);
        identity.user = user.into();
        if let Some((app, plan)) = self.apps.get_key_value(text(&self.app)) {
            (identity.app, identity.plan) = (app.clone(), plan.clone());
        }
        identity.claims = Some(Value::Object(claims));
        Some(identity)
    }
}

/// Those that are scopes.
fn of_words<'w>(words: impl Iterator<Item = &'w str>) -> Vec<Box<str>> {
    words.filter(|word| Scope::parse(word).is_ok()).map(Into::into).collect()
}

/// A claim by its name, or by the path to it.
pub(crate) fn find<'c>(claims: &'c Map<String, Value>, name: &str) -> Option<&'c Value> {
    claims.get(name).or_else(|| {
        let mut steps = name.split('.');
        let first = claims.get(steps.next()?)?;
        steps.try_fold(first, |value, step| value.as_object()?.get(step))
    })
}

/// Whether `aud`, a text or a list of texts, has one of these.
pub(crate) fn names_one(claim: Option<&Value>, audiences: &[String]) -> bool {
    let is_one = |value: &Value| value.as_str().is_some_and(|text| audiences.iter().any(|one| one == text));
    match claim {
        Some(Value::Array(list)) => list.iter().all(Value::is_string) && list.iter().any(is_one),
        Some(value) => is_one(value),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    #[test]
    fn claims_say_who_calls() {
        let names = |scopes: &str, user: &str| ClaimNames {
            scopes: scopes.to_owned(),
            user: user.to_owned(),
            app: "azp".to_owned(),
            apps: HashMap::from([("mobile".into(), "gold".into())]),
        };
        let of = |names: &ClaimNames, claims: Value| {
            let Value::Object(claims) = claims else { unreachable!() };
            names.identity(claims)
        };
        let usual = names("scope", "sub");
        let ann = of(&usual, json!({ "sub": "ann", "scope": "read write", "azp": "mobile", "tenant": "t1" }))
            .unwrap();
        assert_eq!((&*ann.user, &*ann.app, &*ann.plan), ("ann", "mobile", "gold"));
        assert_eq!(*ann.scopes, ["read".into(), "write".into()]);
        assert_eq!(ann.facts().claims.unwrap()["tenant"], "t1");
        let stranger =
            of(&usual, json!({ "sub": "bob", "azp": "made-up", "scope": ["a", "b c", 1, "d\u{1}"] }))
                .unwrap();
        assert_eq!((&*stranger.app, &*stranger.plan), ("", ""), "only what is configured is an app");
        assert_eq!(*stranger.scopes, ["a".into()], "a scope with a space in it would pass for two");
        let nested = names("realm_access.roles", "https://example.com/user");
        let carl = json!({ "realm_access": { "roles": ["admin"] }, "https://example.com/user": "carl" });
        let carl = of(&nested, carl).unwrap();
        assert_eq!((&*carl.user, &*carl.scopes), ("carl", &["admin".into()][..]));
        assert!(of(&usual, json!({ "sub": "a\r\nX-Tollgate-App: bank" })).is_none());
        assert!(of(&usual, json!({ "sub": "x".repeat(2000) })).is_none());
        assert_eq!(&*of(&usual, json!({ "sub": 7 })).unwrap().user, "");
    }
}
