//! The limits of plans: those of its caller's plan are for a request too, beside those of its route.
//!
//! They stand at the plan, so that all routes count together, and once for all routes. A request finds those of its plan by the plan's name.

use super::{Expressions, Limits, Tables};
use crate::config;

/// The plans that have limits, in the order of their names.
#[derive(Debug, Default)]
pub struct Plans(Vec<Plan>);

#[derive(Debug)]
struct Plan {
    name: Box<str>,
    limits: Limits,
}

impl Plans {
    /// Adds the limits of a plan, with their expressions. Plans come in the order of their names.
    pub fn add(
        &mut self,
        name: &str,
        limits: &[config::RateLimit],
        expressions: Vec<Expressions>,
        tables: Tables<'_>,
    ) {
        let place = format!("plan {name}");
        let limits = Limits::compile(limits, expressions, &place, Some(name), tables);
        self.0.push(Plan { name: name.into(), limits });
    }

    /// Whether no plan has limits.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Those of the plan of this name.
    pub(super) fn of(&self, name: &str) -> Option<&Limits> {
        let place = self.0.binary_search_by(|plan| (*plan.name).cmp(name)).ok()?;
        Some(&self.0[place].limits)
    }

    /// What each would do, for `tollgate explain`.
    pub(super) fn explain(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|plan| format!("with the plan {}: {}", plan.name, plan.limits.explain()))
    }
}
