//! What was used of the quotas that are in force, for who asks at the admin address.

use serde::Serialize;

use super::{Calendar, InForce};

/// A quota, and what callers have used of it in its current period.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    place: String,
    quota: String,
    limit: u64,
    per: &'static str,
    zone: String,
    soft: bool,
    shared: bool,
    /// The first day of the period.
    began: String,
    /// When the next one begins.
    ends: String,
    /// Callers that have used something, more than are listed where those are many.
    callers: usize,
    /// Those that have used most first.
    usage: Vec<Caller>,
}

/// What one caller has used.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Caller {
    by: &'static str,
    name: String,
    used: u64,
    left: u64,
}

/// What is asked for. Nothing for all of it.
#[derive(Debug, Default)]
pub struct Question {
    /// Only quotas of this place: `plan gold`.
    pub place: Option<String>,
    /// Only callers of this kind: `app`.
    pub by: Option<String>,
    /// Only the caller of this name.
    pub name: Option<String>,
    /// How many callers of each quota at most.
    pub most: usize,
}

/// The answer at this time, in seconds since the Unix epoch.
pub fn report(quotas: &[InForce], question: &Question, now: u64) -> Vec<Report> {
    let asked =
        |quota: &&InForce| question.place.as_deref().is_none_or(|place| place == &*quota.book.title.place);
    quotas.iter().filter(asked).map(|quota| one(quota, question, now)).collect()
}

fn one(
    InForce { book, rate, calendar, is_soft, is_shared }: &InForce,
    question: &Question,
    now: u64,
) -> Report {
    let period = calendar.period(now);
    let mut usage: Vec<Caller> = book
        .usage(period.day)
        .into_iter()
        .map(|(who, used)| Caller {
            by: who.kind(),
            name: who.name(),
            used,
            left: rate.count.saturating_sub(used),
        })
        .filter(|used| question.by.as_deref().is_none_or(|by| by == used.by))
        .filter(|used| question.name.as_deref().is_none_or(|name| name == used.name))
        .collect();
    usage.sort_by(|one, other| other.used.cmp(&one.used).then_with(|| one.name.cmp(&other.name)));
    let callers = usage.len();
    usage.truncate(question.most);
    Report {
        place: book.title.place.to_string(),
        quota: book.title.name.to_string(),
        limit: rate.count,
        per: rate.unit.word(),
        zone: calendar.zone().to_string(),
        soft: *is_soft,
        shared: *is_shared,
        began: Calendar::date(period.day),
        ends: calendar.time(period.ends),
        callers,
        usage,
    }
}
