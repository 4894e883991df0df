//! `access`, second half: whether a caller who is known may.

use http::StatusCode;
use http1::Known;

use crate::config::AccessTerms;
use crate::config::values::Scope;
use crate::exchange::Exchange;
use crate::expression::Expression;
use crate::identity::Identity;
use crate::policies::{Policy, Step};
use crate::refusal::{Refusal, Stage};

/// The compiled policy.
#[derive(Debug)]
pub struct Authorize {
    scopes: Box<[Box<str>]>,
    apps: Box<[Box<str>]>,
    plans: Box<[Box<str>]>,
    when: Option<Expression>,
}

impl Authorize {
    /// Compiles the configuration, with its condition; nothing when whoever is known may.
    pub fn build(config: &AccessTerms, when: Option<Expression>) -> Option<Self> {
        let names = |names: &[crate::config::Located<String>]| {
            names.iter().map(|name| name.value.as_str().into()).collect::<Box<[_]>>()
        };
        let policy = Self {
            scopes: config.scopes.iter().map(|scope| Scope::as_str(scope).into()).collect(),
            apps: names(&config.apps),
            plans: names(&config.plans),
            when,
        };
        let Self { scopes, apps, plans, when } = &policy;
        let has_any = !scopes.is_empty() || !apps.is_empty() || !plans.is_empty() || when.is_some();
        has_any.then_some(policy)
    }

    /// The code of the first thing that is missing.
    fn lack(&self, identity: &Identity) -> Option<&'static str> {
        let among = |name: &str, allowed: &[Box<str>]| {
            allowed.is_empty() || allowed.iter().any(|known| **known == *name)
        };
        if !among(&identity.app, &self.apps) {
            return Some("app_not_allowed");
        }
        if !among(&identity.plan, &self.plans) {
            return Some("plan_not_allowed");
        }
        self.scopes.iter().any(|scope| !identity.scopes.contains(scope)).then_some(NO_SCOPE)
    }

    fn refuse(&self, code: &'static str) -> Step<'_> {
        let detail = match code {
            NO_SCOPE => format!("this needs the scopes {}", self.scopes.join(" ")),
            _ => "the caller is known, and may not do this".to_owned(),
        };
        let mut refusal = Refusal::new(StatusCode::FORBIDDEN, code, Stage::Authorize, detail);
        if code == NO_SCOPE {
            // RFC 6750, section 3.1.
            let challenge =
                format!("Bearer error=\"insufficient_scope\", scope=\"{}\"", self.scopes.join(" "));
            refusal = refusal.with_field(Known::WwwAuthenticate, challenge);
        }
        Step::refuse(refusal)
    }
}

impl Policy for Authorize {
    fn name(&self) -> &'static str {
        "access"
    }

    fn stage(&self) -> Stage {
        Stage::Authorize
    }

    fn on_request(&self, exchange: &mut Exchange) -> Step<'_> {
        let Some(identity) = exchange.identity() else { return self.refuse(NOT_ALLOWED) };
        if let Some(code) = self.lack(identity) {
            return self.refuse(code);
        }
        match &self.when {
            // What cannot be told is no permission.
            Some(when) if !when.matches(&exchange.context()).unwrap_or(false) => self.refuse(NOT_ALLOWED),
            _ => Step::Continue,
        }
    }

    fn explain(&self) -> String {
        let lists = [("scopes", &self.scopes), ("apps", &self.apps), ("plans", &self.plans)];
        let named = lists.into_iter().filter(|(_, names)| !names.is_empty());
        let mut clauses: Vec<String> =
            named.map(|(what, names)| format!("{what} {}", names.join(", "))).collect();
        clauses.extend(self.when.as_ref().map(|when| format!("when {}", when.as_str())));
        clauses.join("; ")
    }
}

const NO_SCOPE: &str = "scope_missing";
const NOT_ALLOWED: &str = "not_allowed";
