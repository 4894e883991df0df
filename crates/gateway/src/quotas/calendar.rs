//! When a quota begins anew.

use std::sync::atomic::{AtomicU64, Ordering};

use jiff::civil::Date;
use jiff::{Span, Timestamp};

use crate::config::values::{CalendarUnit, Zone};

/// The periods of a quota: days, weeks or months of a time zone.
#[derive(Debug)]
pub struct Calendar {
    unit: CalendarUnit,
    zone: Zone,
    /// The period as it was last found: its end and its day, in one number.
    current: AtomicU64,
}

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    /// The number of the day with which it begins, from 1970-01-01 on.
    pub day: u32,
    /// Seconds since the Unix epoch at which the next one begins.
    pub ends: u64,
}

impl Calendar {
    /// The periods of this kind, in this zone.
    pub fn new(unit: CalendarUnit, zone: Zone) -> Self {
        Self { unit, zone, current: AtomicU64::new(0) }
    }

    /// The period at this time, in seconds since the Unix epoch.
    #[inline]
    pub fn period(&self, now: u64) -> Period {
        let known = Period::unpack(self.current.load(Ordering::Relaxed));
        // A clock that was set back may have left the period altogether.
        if now < known.ends && known.ends - now <= self.unit.longest() { known } else { self.look_up(now) }
    }

    /// The day with which the period of an earlier time began.
    pub fn day_at(&self, then: u64) -> u32 {
        self.find(then).map_or(0, |period| period.day)
    }

    /// The zone whose days they are.
    pub fn zone(&self) -> &Zone {
        &self.zone
    }

    /// When a period began, as its zone writes it.
    pub fn date(day: u32) -> String {
        date_of(day).map_or_else(String::new, |date| date.to_string())
    }

    /// A time as the zone writes it (RFC 3339).
    pub fn time(&self, seconds: u64) -> String {
        let Ok(time) = Timestamp::from_second(seconds.cast_signed()) else { return String::new() };
        let offset = self.zone.rules().to_offset(time);
        time.display_with_offset(offset).to_string()
    }

    #[cold]
    fn look_up(&self, now: u64) -> Period {
        // Only years that have more than four digits have no period.
        let period = self.find(now).unwrap_or(Period { day: 0, ends: u64::MAX >> DAY_BITS });
        self.current.store(period.pack(), Ordering::Relaxed);
        period
    }

    fn find(&self, now: u64) -> Option<Period> {
        let today = self.zone.rules().to_datetime(Timestamp::from_second(now.cast_signed()).ok()?).date();
        let (first, length) = match self.unit {
            CalendarUnit::Day => (today, Span::new().days(1)),
            CalendarUnit::Week => {
                let since_monday = today.weekday().to_monday_zero_offset();
                (today.checked_sub(Span::new().days(since_monday)).ok()?, Span::new().weeks(1))
            }
            CalendarUnit::Month => (today.first_of_month(), Span::new().months(1)),
        };
        // Where clocks are set forward at midnight, it begins with the first moment that there is.
        let next = first.checked_add(length).ok()?.to_zoned(self.zone.rules().clone()).ok()?;
        let ends = u64::try_from(next.timestamp().as_second()).ok()?;
        Some(Period { day: day_of(first)?, ends })
    }
}

impl Period {
    fn pack(self) -> u64 {
        self.ends << DAY_BITS | u64::from(self.day)
    }

    fn unpack(packed: u64) -> Self {
        Self { day: (packed & ((1 << DAY_BITS) - 1)) as u32, ends: packed >> DAY_BITS }
    }
}

fn day_of(date: Date) -> Option<u32> {
    let since = EPOCH.until(date).ok()?;
    u32::try_from(since.get_days()).ok()
}

fn date_of(day: u32) -> Option<Date> {
    EPOCH.checked_add(Span::new().try_days(day).ok()?).ok()
}

const EPOCH: Date = Date::constant(1970, 1, 1);
const DAY_BITS: u32 = 24;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn at(time: &str) -> u64 {
        time.parse::<Timestamp>().unwrap().as_second().cast_unsigned()
    }

    fn period(unit: CalendarUnit, zone: &str, now: &str) -> (String, u64) {
        let period = Calendar::new(unit, Zone::parse(zone).unwrap()).period(at(now));
        (Calendar::date(period.day), period.ends)
    }

    #[test]
    fn periods_begin_at_midnight_of_their_zone() {
        use CalendarUnit::{Day, Month, Week};
        for (unit, zone, now, began, ends) in [
            (Day, "UTC", "2026-11-22T10:00:00Z", "2026-11-22", "2026-11-23T00:00:00Z"),
            (Day, "UTC", "2026-11-22T23:59:59Z", "2026-11-22", "2026-11-23T00:00:00Z"),
            (Day, "UTC", "2026-11-23T00:00:00Z", "2026-11-23", "2026-11-24T00:00:00Z"),
            (Day, "Europe/Zurich", "2026-11-22T23:30:00Z", "2026-11-23", "2026-11-23T23:00:00Z"),
            (Day, "Asia/Kolkata", "2026-11-22T18:29:59Z", "2026-11-22", "2026-11-22T18:30:00Z"),
            // The day on which clocks are set back has 25 hours, the one on which they are set forward 23.
            (Day, "Europe/Zurich", "2026-10-25T00:30:00Z", "2026-10-25", "2026-10-25T23:00:00Z"),
            (Day, "Europe/Zurich", "2026-03-29T12:00:00Z", "2026-03-29", "2026-03-29T22:00:00Z"),
            // There is no midnight on the day on which clocks are set forward there.
            (Day, "Africa/Cairo", "2026-04-23T12:00:00Z", "2026-04-23", "2026-04-23T22:00:00Z"),
            (Week, "UTC", "2026-11-22T10:00:00Z", "2026-11-16", "2026-11-23T00:00:00Z"),
            (Week, "UTC", "2026-11-23T00:00:00Z", "2026-11-23", "2026-11-30T00:00:00Z"),
            (Week, "America/New_York", "2026-11-23T04:59:59Z", "2026-11-16", "2026-11-23T05:00:00Z"),
            (Month, "UTC", "2026-02-28T23:59:59Z", "2026-02-01", "2026-03-01T00:00:00Z"),
            (Month, "UTC", "2028-02-29T00:00:00Z", "2028-02-01", "2028-03-01T00:00:00Z"),
            (Month, "Europe/Zurich", "2026-12-31T23:00:00Z", "2027-01-01", "2027-01-31T23:00:00Z"),
        ] {
            assert_eq!(period(unit, zone, now), (began.to_owned(), at(ends)), "{unit:?} {zone} {now}");
        }
    }

    #[test]
    fn a_period_is_found_again_whichever_way_the_clock_goes() {
        let calendar = Calendar::new(CalendarUnit::Day, Zone::default());
        let day = |now: &str| Calendar::date(calendar.period(at(now)).day);
        for (now, began) in [
            ("2026-11-22T10:00:00Z", "2026-11-22"),
            ("2026-11-22T11:00:00Z", "2026-11-22"),
            ("2026-11-23T00:00:01Z", "2026-11-23"),
            ("2031-01-01T00:00:00Z", "2031-01-01"),
            ("2026-11-23T00:00:02Z", "2026-11-23"),
        ] {
            assert_eq!(day(now), began, "{now}");
        }
    }

    #[test]
    fn what_belongs_to_yesterday_is_told_so_today() {
        let calendar = Calendar::new(CalendarUnit::Day, Zone::default());
        let midnight = at("2026-11-23T00:00:00Z");
        assert_eq!(Calendar::date(calendar.period(midnight).day), "2026-11-23");
        assert_eq!(Calendar::date(calendar.day_at(midnight - 1)), "2026-11-22");
        assert_eq!(Calendar::date(calendar.day_at(midnight)), "2026-11-23");
    }

    #[test]
    fn times_are_written_as_the_zone_has_them() {
        let calendar = Calendar::new(CalendarUnit::Day, Zone::parse("Europe/Zurich").unwrap());
        assert_eq!(calendar.time(at("2026-11-30T23:00:00Z")), "2026-12-01T00:00:00+01:00");
    }
}
