//! Amounts by the calendar: so many in each day, week or month of a time zone.

use std::fmt;
use std::hash::{Hash, Hasher};

use jiff::tz::TimeZone;

use super::amount::split;

/// What a calendar counts by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CalendarUnit {
    /// From midnight to midnight.
    Day,
    /// From Monday to Monday (ISO 8601).
    Week,
    /// From the first to the first.
    Month,
}

/// So many in each day, week or month: `10000/d`, `50000/w`, `1000000/month`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CalendarRate {
    /// How many; at least one.
    pub count: u64,
    /// In each of what.
    pub unit: CalendarUnit,
}

/// A time zone by its name: `UTC`, `Europe/Zurich`.
#[derive(Clone, Debug)]
pub struct Zone {
    name: Box<str>,
    rules: TimeZone,
}

impl CalendarUnit {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
        }
    }

    /// As it is written behind a count.
    fn written(self) -> &'static str {
        match self {
            Self::Day => "d",
            Self::Week => "w",
            Self::Month => "month",
        }
    }
}

impl CalendarRate {
    /// Reads `10000/d`, `50000/w` or `1000000/month`.
    pub fn parse(text: &str) -> Result<Self, String> {
        const WHAT: &str = "expected a quota: a whole number, `/` and d, w or month, as in 10000/d";
        let (count, unit) = text.split_once('/').ok_or(WHAT)?;
        let (count, "") = split(count).ok_or(WHAT)? else {
            return Err(WHAT.to_owned());
        };
        let unit = match unit {
            "d" | "day" => CalendarUnit::Day,
            "w" | "week" => CalendarUnit::Week,
            "month" => CalendarUnit::Month,
            // Elsewhere it is a minute.
            "m" => return Err("`m` is a minute elsewhere: write `/month`".to_owned()),
            "s" | "h" => {
                return Err("a quota is for a day, a week or a month; `rate_limit` is for less".to_owned());
            }
            _ => return Err(WHAT.to_owned()),
        };
        if count == 0 || count > MOST {
            return Err(format!("a quota counts from 1 to {MOST}"));
        }
        Ok(Self { count, unit })
    }
}

impl Zone {
    /// Reads the name of a time zone, as the IANA's database has it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let rules = match text {
            "UTC" => TimeZone::UTC,
            _ => TimeZone::get(text).map_err(
                |_| "there is no time zone of this name; known are UTC, Europe/Zurich and the like",
            )?,
        };
        let name = rules.iana_name().unwrap_or(text).into();
        Ok(Self { name, rules })
    }

    /// Its rules.
    pub fn rules(&self) -> &TimeZone {
        &self.rules
    }
}

impl Default for Zone {
    fn default() -> Self {
        Self { name: "UTC".into(), rules: TimeZone::UTC }
    }
}

impl PartialEq for Zone {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Zone {}

impl Hash for Zone {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl fmt::Display for CalendarRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.count, self.unit.written())
    }
}

/// What an account can hold ([`crate::quotas`]), and more than anybody sells.
const MOST: u64 = 1_000_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotas_have_a_count_and_a_unit_of_the_calendar() {
        for text in ["10000/d", "1/w", "1000000000000/month"] {
            assert_eq!(CalendarRate::parse(text).map(|rate| rate.to_string()), Ok(text.to_owned()));
        }
        assert_eq!(CalendarRate::parse("7/day"), CalendarRate::parse("7/d"));
        for text in ["", "10", "0/d", "/d", "10/", "10/m", "10/s", "10/y", "1.5/d", "1000000000001/d"] {
            assert!(CalendarRate::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn zones_are_those_of_the_database() {
        assert_eq!(Zone::parse("UTC"), Ok(Zone::default()));
        assert_eq!(Zone::parse("europe/zurich").map(|zone| zone.to_string()), Ok("Europe/Zurich".to_owned()));
        for text in ["", "Zurich", "+01:00", "CEST", "Europe/Zürich"] {
            assert!(Zone::parse(text).is_err(), "{text}");
        }
    }
}
