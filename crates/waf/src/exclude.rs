//! What an operator does not want to be told: a rule, a range of them or a category, everywhere or at one place.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::{Category, RULES, Rule};

/// `5003`, `5000-5099`, `sql`; with a place `sql@query.q`, or all rules there `@body.html`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Exclusion {
    first: u16,
    last: u16,
    place: Option<String>,
}

impl Exclusion {
    /// Whether it silences this rule at this place. `query.filter` also covers `query.filter(name)`, and `body.items`
    /// covers `body.items[3].name`.
    pub(crate) fn covers(&self, rule: &Rule, place: &str) -> bool {
        (self.first..=self.last).contains(&rule.id)
            && self.place.as_deref().is_none_or(|own| {
                place
                    .strip_prefix(own)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[', '(']))
            })
    }
}

impl FromStr for Exclusion {
    type Err = ExclusionFault;

    fn from_str(text: &str) -> Result<Self, ExclusionFault> {
        let (rules, place) = match text.split_once('@') {
            Some((_, "")) => return Err(ExclusionFault::EmptyPlace),
            Some((rules, place)) => (rules, Some(place.to_owned())),
            None => (text, None),
        };
        let (first, last) = match rules.split_once('-') {
            _ if rules.is_empty() && place.is_some() => (0, u16::MAX),
            Some((first, last)) => (number(first)?, number(last)?),
            None => match Category::ALL.iter().find(|category| category.as_str() == rules) {
                Some(category) => range(*category),
                None => (number(rules)?, number(rules)?),
            },
        };
        if !RULES.iter().any(|rule| (first..=last).contains(&rule.id)) {
            return Err(ExclusionFault::NoSuchRule(rules.to_owned()));
        }
        Ok(Self { first, last, place })
    }
}

impl fmt::Display for Exclusion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { first, last, place } = self;
        let category = Category::ALL.iter().find(|category| range(**category) == (*first, *last));
        match category {
            Some(category) => f.write_str(category.as_str())?,
            None if *last == u16::MAX => {}
            None if first == last => write!(f, "{first}")?,
            None => write!(f, "{first}-{last}")?,
        }
        place.as_ref().map_or(Ok(()), |place| write!(f, "@{place}"))
    }
}

/// Why a text is no exclusion.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ExclusionFault {
    /// Neither a number nor a name.
    #[error("`{0}` is neither a rule's number, a range of them, nor a category")]
    Unreadable(String),
    /// A number that no rule has.
    #[error("there is no rule `{0}`")]
    NoSuchRule(String),
    /// An `@` with nothing behind it.
    #[error("after `@` stands a place, such as `query.q` or `body.items`")]
    EmptyPlace,
}

fn number(text: &str) -> Result<u16, ExclusionFault> {
    text.trim().parse().map_err(|_| ExclusionFault::Unreadable(text.to_owned()))
}

/// A category's numbers stand together.
fn range(category: Category) -> (u16, u16) {
    let mut ids = RULES.iter().filter(|rule| rule.category == category).map(|rule| rule.id);
    let first = ids.next().unwrap_or(0);
    (first, ids.next_back().unwrap_or(first))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule;

    #[test]
    fn exclusions_are_read_and_cover_what_they_say() {
        const CASES: [(&str, u16, &str, bool); 9] = [
            ("5001", 5001, "query.q", true),
            ("5001", 5002, "query.q", false),
            ("5000-5009", 5002, "path", true),
            ("sql", 5001, "body.a", true),
            ("sql", 4001, "body.a", false),
            ("sql@query.q", 5001, "query.q", true),
            ("sql@query.q", 5001, "query.qq", false),
            ("@body.items", 4001, "body.items[3].name", true),
            ("@query.q", 4001, "query.q(name)", true),
        ];
        for (text, id, place, expected) in CASES {
            let exclusion: Exclusion = text.parse().unwrap();
            assert_eq!(exclusion.to_string(), text);
            assert_eq!(exclusion.covers(rule(id).unwrap(), place), expected, "{text} {id} {place}");
        }
    }

    #[test]
    fn what_means_nothing_is_refused() {
        for text in ["", "sqli", "99", "1-", "sql@", "70000", "9-8"] {
            assert!(text.parse::<Exclusion>().is_err(), "{text}");
        }
    }
}
