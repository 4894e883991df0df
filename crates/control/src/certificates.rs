//! Keeps an eye on how long certificates are valid: what `/readyz` says of them, and reminders while there is time.

use std::collections::HashMap;

use serde_json::{Value, json};

/// A certificate as far as time is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expiry {
    /// What it is called: its first host name, else its subject.
    pub name: String,
    /// The file that it came from.
    pub file: String,
    /// What tells it from every other.
    pub fingerprint: String,
    /// Until when it is valid, in seconds since the Unix epoch.
    pub not_after: u64,
    /// Whether clients see it; services do otherwise.
    pub faces_clients: bool,
}

/// The certificates of the configuration in force.
#[derive(Debug, Default)]
pub(crate) struct Certificates {
    list: Vec<Expiry>,
    /// Whether clients can come in some other way than by one of them.
    has_clear: bool,
    /// What was last said of each, by fingerprint.
    reminded: HashMap<String, Reminder>,
}

/// What is said of a certificate: once for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reminder {
    /// So many days are left, or a few less.
    Days(u64),
    /// The last days, and those after them, each by its number.
    Daily(u64),
}

impl Certificates {
    /// These are in force now. What was said of those that stay is remembered.
    pub(crate) fn replace(&mut self, list: Vec<Expiry>, has_clear: bool) {
        self.reminded.retain(|known, _| list.iter().any(|one| one.fingerprint == *known));
        (self.list, self.has_clear) = (list, has_clear);
    }

    /// Whether no client can come in: every way leads past a certificate that has expired.
    pub(crate) fn are_all_expired(&self, now: u64) -> bool {
        let mut shown = self.list.iter().filter(|one| one.faces_clients).peekable();
        !self.has_clear && shown.peek().is_some() && shown.all(|one| one.not_after < now)
    }

    pub(crate) fn is_any_expired(&self, now: u64) -> bool {
        self.list.iter().any(|one| one.not_after < now)
    }

    /// What is to be said now: 30 and 14 days ahead once, from 3 days on once a day.
    pub(crate) fn remind(&mut self, now: u64) -> Vec<String> {
        let mut lines = Vec::new();
        for one in &self.list {
            let Some(reminder) = reminder(one.not_after, now) else { continue };
            if self.reminded.insert(one.fingerprint.clone(), reminder) != Some(reminder) {
                lines.push(sentence(one, now));
            }
        }
        lines
    }

    /// The part of `/readyz`: the soonest first. Names of files are `shown` only to those who may read the configuration.
    pub(crate) fn body(&self, now: u64, is_file_shown: bool) -> Value {
        if self.list.is_empty() {
            return Value::Null;
        }
        let mut soon: Vec<&Expiry> =
            self.list.iter().filter(|one| one.not_after < now + FIRST * DAY).collect();
        soon.sort_by_key(|one| one.not_after);
        let listed: Vec<Value> = soon
            .iter()
            .take(MAX_LISTED)
            .map(|one| {
                let mut entry = json!({
                    "name": one.name,
                    "state": if one.not_after < now { "expired" } else { "expiring" },
                    "not_after": one.not_after,
                });
                if is_file_shown {
                    entry["file"] = one.file.as_str().into();
                }
                entry
            })
            .collect();
        json!({
            "count": self.list.len(),
            "expired": self.list.iter().filter(|one| one.not_after < now).count(),
            "next_expiry": self.list.iter().map(|one| one.not_after).filter(|until| *until >= now).min(),
            "soon": listed,
        })
    }
}

fn reminder(not_after: u64, now: u64) -> Option<Reminder> {
    let left = not_after.saturating_sub(now);
    match left {
        0..=LAST_SECONDS => Some(Reminder::Daily(now / DAY)),
        _ if left <= SECOND * DAY => Some(Reminder::Days(SECOND)),
        _ if left <= FIRST * DAY => Some(Reminder::Days(FIRST)),
        _ => None,
    }
}

fn sentence(one: &Expiry, now: u64) -> String {
    let Expiry { name, file, not_after, faces_clients, .. } = one;
    let Some(left) = not_after.checked_sub(now) else {
        return format!(
            "the certificate of {name} ({file}) HAS EXPIRED: {} turn away",
            if *faces_clients { "clients" } else { "services" }
        );
    };
    match left / DAY {
        0 => format!("the certificate of {name} ({file}) expires TODAY or tomorrow"),
        1 => format!("the certificate of {name} ({file}) expires in 1 day"),
        days => format!("the certificate of {name} ({file}) expires in {days} days"),
    }
}

/// Seconds of a day.
const DAY: u64 = 86_400;

/// Days ahead of the first reminder and of the second, and seconds ahead of the daily ones.
const FIRST: u64 = 30;
const SECOND: u64 = 14;
const LAST_SECONDS: u64 = 3 * DAY;

/// Certificates that `/readyz` lists.
const MAX_LISTED: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    fn until(fingerprint: &str, day: u64) -> Expiry {
        let fingerprint = fingerprint.to_owned();
        Expiry {
            name: "a.test".to_owned(),
            file: "a.pem".to_owned(),
            fingerprint,
            not_after: day * DAY,
            faces_clients: true,
        }
    }

    #[test]
    fn reminders_come_30_and_14_days_ahead_and_daily_from_the_third_last_on() {
        let mut certificates = Certificates::default();
        certificates.replace(vec![until("1", 100)], false);
        let said: Vec<(u64, String)> = (600..1030)
            .flat_map(|tenth| {
                let lines = certificates.remind(tenth * DAY / 10);
                lines.into_iter().map(move |line| (tenth, line))
            })
            .collect();
        let days: Vec<u64> = said.iter().map(|(tenth, _)| *tenth).collect();
        assert_eq!(days, [700, 860, 970, 980, 990, 1000, 1010, 1020]);
        let words =
            ["in 30 days", "in 14 days", "in 3 days", "in 2 days", "in 1 day", "TODAY", "EXPIRED", "EXPIRED"];
        for ((_, line), words) in said.iter().zip(words) {
            assert!(line.contains(words), "{line} does not say {words}");
        }
    }

    #[test]
    fn a_reload_repeats_no_reminder_and_a_new_certificate_has_its_own() {
        let mut certificates = Certificates::default();
        certificates.replace(vec![until("1", 100)], false);
        assert_eq!(certificates.remind(90 * DAY).len(), 1);
        certificates.replace(vec![until("1", 100), until("2", 95)], false);
        assert_eq!(certificates.remind(90 * DAY).len(), 1);
        certificates.replace(vec![until("2", 95)], false);
        certificates.replace(vec![until("1", 100)], false);
        assert_eq!(certificates.remind(90 * DAY).len(), 1, "what was gone is new");
        assert!(certificates.remind(60 * DAY).is_empty());
    }

    #[test]
    fn an_expired_certificate_is_told_and_only_all_of_them_make_unready() {
        let mut certificates = Certificates::default();
        for (list, has_clear, is_any, are_all) in [
            (vec![], false, false, false),
            (vec![until("1", 100)], false, false, false),
            (vec![until("1", 10), until("2", 100)], false, true, false),
            (vec![until("1", 10), until("2", 20)], false, true, true),
            (vec![until("1", 10)], true, true, false),
            (vec![Expiry { faces_clients: false, ..until("1", 10) }], false, true, false),
        ] {
            certificates.replace(list, has_clear);
            assert_eq!(certificates.is_any_expired(50 * DAY), is_any);
            assert_eq!(certificates.are_all_expired(50 * DAY), are_all);
        }
    }

    #[test]
    fn the_next_days_are_listed_the_soonest_first() {
        let mut certificates = Certificates::default();
        assert_eq!(certificates.body(0, true), Value::Null);
        certificates.replace(vec![until("1", 100), until("2", 60), until("3", 40)], false);
        let body = certificates.body(50 * DAY, true);
        assert_eq!(
            (&body["count"], &body["expired"], &body["next_expiry"]),
            (&json!(3), &json!(1), &json!(60 * DAY))
        );
        let soon = json!([
            { "name": "a.test", "state": "expired", "not_after": 40 * DAY, "file": "a.pem" },
            { "name": "a.test", "state": "expiring", "not_after": 60 * DAY, "file": "a.pem" },
        ]);
        assert_eq!(body["soon"], soon);
        assert!(!certificates.body(50 * DAY, false).to_string().contains("a.pem"));
    }
}
