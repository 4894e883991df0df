//! Days, for the life of an API's versions.

use std::fmt;

/// A day, beginning at midnight UTC: `2027-03-31`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date {
    year: u16,
    month: u8,
    day: u8,
}

impl Date {
    /// Reads `YYYY-MM-DD`, from 1970 on.
    pub fn parse(text: &str) -> Result<Self, String> {
        const WHAT: &str = "expected a day as YYYY-MM-DD, from 1970-01-01 on";
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        let mut parts = text.split('-');
        let (Some(year), Some(month), Some(day), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(WHAT.to_owned());
        };
        if (year.len(), month.len(), day.len()) != (4, 2, 2) || ![year, month, day].into_iter().all(digits) {
            return Err(WHAT.to_owned());
        }
        let year: u16 = year.parse().map_err(|_| WHAT)?;
        let month: u8 = month.parse().map_err(|_| WHAT)?;
        let day: u8 = day.parse().map_err(|_| WHAT)?;
        if year < 1970 {
            return Err(WHAT.to_owned());
        }
        if !(1..=12).contains(&month) || day == 0 || day > days_in(year, month) {
            return Err("there is no such day in the calendar".to_owned());
        }
        Ok(Self { year, month, day })
    }

    /// Seconds from 1970 to the day's first moment.
    pub fn unix_seconds(self) -> u64 {
        let years: u64 = (1970..self.year).map(|year| if is_leap(year) { 366 } else { 365 }).sum();
        let months: u64 = (1..self.month).map(|month| u64::from(days_in(self.year, month))).sum();
        (years + months + u64::from(self.day) - 1) * 86_400
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

fn is_leap(year: u16) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_in(year: u16, month: u8) -> u8 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn days_follow_the_calendar() {
        for (text, seconds) in [
            ("1970-01-01", 0),
            ("2000-03-01", 951_868_800),
            ("2027-03-31", 1_806_451_200),
            ("2024-02-29", 1_709_164_800),
        ] {
            let date = Date::parse(text).unwrap();
            assert_eq!(date.unix_seconds(), seconds, "{text}");
            assert_eq!(date.to_string(), text);
        }
        for text in [
            "",
            "2027",
            "2027-3-31",
            "2027-02-29",
            "2027-13-01",
            "2027-00-01",
            "1969-12-31",
            "2027-01-01-1",
            "+027-01-01",
        ] {
            assert!(Date::parse(text).is_err(), "{text}");
        }
    }
}
