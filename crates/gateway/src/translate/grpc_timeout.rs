//! `grpc-timeout`: how long a gRPC caller waits (gRPC over HTTP/2, "Requests": `Timeout`).

use std::time::Duration;

/// The field's name.
pub const NAME: &[u8] = b"grpc-timeout";

/// Digits that a value may have.
const MOST_DIGITS: usize = 8;
/// The largest number of so many digits.
const LARGEST: u128 = 99_999_999;

/// Units and their length in nanoseconds, the finest first.
const UNITS: [(u8, u128); 6] = [
    (b'n', 1),
    (b'u', 1_000),
    (b'm', 1_000_000),
    (b'S', 1_000_000_000),
    (b'M', 60_000_000_000),
    (b'H', 3_600_000_000_000),
];

/// Reads one to eight digits and a unit: `10S`, `250m`. Nothing when it is anything else.
pub fn parse(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    if digits.is_empty() || digits.len() > MOST_DIGITS || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let (_, nanoseconds) = UNITS.iter().find(|(letter, _)| letter == unit)?;
    let number = digits.iter().fold(0, |number, digit| number * 10 + u128::from(digit - b'0'));
    // At most 99,999,999 hours: that fits.
    Some(Duration::from_nanos_u128(number * nanoseconds))
}

/// A value of the field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeoutText {
    bytes: [u8; MOST_DIGITS + 1],
    start: usize,
}

impl TimeoutText {
    /// In the finest unit that eight digits can say it in, rounded down: nobody is told to have more time than there is. Nothing left
    /// is one nanosecond, as the number must be positive.
    pub fn new(left: Duration) -> Self {
        let nanoseconds = left.as_nanos().max(1);
        let fitting = UNITS.iter().find(|(_, unit)| nanoseconds / unit <= LARGEST);
        let (letter, mut number) =
            fitting.map_or((b'H', LARGEST), |(letter, unit)| (*letter, nanoseconds / unit));
        let mut bytes = [letter; MOST_DIGITS + 1];
        let mut start = MOST_DIGITS;
        while number > 0 {
            start -= 1;
            bytes[start] = b'0' + (number % 10) as u8;
            number /= 10;
        }
        Self { bytes, start }
    }

    /// As it stands in the field.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[self.start..]
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_timeout_is_digits_and_a_unit() {
        const CASES: [(&str, Option<Duration>); 20] = [
            ("1H", Some(Duration::from_hours(1))),
            ("2M", Some(Duration::from_mins(2))),
            ("10S", Some(Duration::from_secs(10))),
            ("250m", Some(Duration::from_millis(250))),
            ("7u", Some(Duration::from_micros(7))),
            ("99999999n", Some(Duration::from_nanos(99_999_999))),
            ("00000001S", Some(Duration::from_secs(1))),
            ("0S", Some(Duration::ZERO)),
            ("99999999H", Some(Duration::from_hours(99_999_999))),
            ("", None),
            ("S", None),
            ("10", None),
            ("123456789n", None),
            ("1s", None),
            ("1h", None),
            ("-1S", None),
            ("+1S", None),
            ("1 S", None),
            ("1.5S", None),
            ("1Sm", None),
        ];
        for (text, expected) in CASES {
            assert_eq!(parse(text.as_bytes()), expected, "{text:?}");
        }
    }

    #[test]
    fn a_timeout_is_written_in_the_finest_unit_that_holds_it() {
        const CASES: [(Duration, &str); 8] = [
            (Duration::ZERO, "1n"),
            (Duration::from_nanos(1), "1n"),
            (Duration::from_nanos(99_999_999), "99999999n"),
            (Duration::from_nanos(100_000_999), "100000u"),
            (Duration::from_mins(1), "60000000u"),
            (Duration::from_secs(100), "100000m"),
            (Duration::from_hours(24), "86400000m"),
            (Duration::from_hours(10 * 365 * 24), "5256000M"),
        ];
        for (duration, expected) in CASES {
            assert_eq!(TimeoutText::new(duration).as_bytes(), expected.as_bytes(), "{duration:?}");
        }
        assert_eq!(TimeoutText::new(Duration::MAX).as_bytes(), b"99999999H");
    }

    proptest! {
        #[test]
        fn what_is_written_reads_as_at_most_what_was_meant(
            seconds in 0..400_000_000_000_u64,
            nanoseconds in 0..1_000_000_000_u32,
        ) {
            let meant = Duration::new(seconds, nanoseconds).max(Duration::from_nanos(1));
            let read = parse(TimeoutText::new(meant).as_bytes()).unwrap();
            prop_assert!(read <= meant);
            // Eight digits are exact to better than one part in a million, but for the coarsest units.
            if meant < Duration::from_hours(1_000_000) {
                prop_assert!(meant.abs_diff(read) <= meant / 10_000 + Duration::from_nanos(1), "{meant:?} {read:?}");
            }
        }
    }
}
