//! What plans say, found by the plan of who calls.

use crate::exchange::Exchange;

/// What each of some plans says, in the order of their names.
#[derive(Debug)]
pub struct Plans<T>(Box<[(Box<str>, T)]>);

impl<T> Plans<T> {
    /// Whether no plan says anything.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What the caller's plan says.
    pub(crate) fn of(&self, exchange: &Exchange) -> Option<&T> {
        if self.is_empty() {
            return None;
        }
        let plan = &exchange.identity()?.plan;
        let at = self.0.binary_search_by(|(name, _)| name.cmp(plan)).ok()?;
        Some(&self.0[at].1)
    }

    /// What each says, for `tollgate explain`.
    pub(crate) fn explain(&self, told: impl Fn(&T) -> String) -> impl Iterator<Item = String> {
        self.0.iter().map(move |(name, said)| format!("with the plan {name}: {}", told(said)))
    }
}

/// They come in the order of their names.
impl<T> FromIterator<(Box<str>, T)> for Plans<T> {
    fn from_iter<I: IntoIterator<Item = (Box<str>, T)>>(plans: I) -> Self {
        Self(plans.into_iter().collect())
    }
}

impl<T> Default for Plans<T> {
    fn default() -> Self {
        Self(Box::default())
    }
}
