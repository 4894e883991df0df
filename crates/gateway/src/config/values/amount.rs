//! Amounts with units: how long, how large, how often, what share.

use std::fmt;
use std::ops::Deref;

/// A length of time of up to ten years: `250ms`, `5s`, `1m`, `2h`, `1d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Duration(std::time::Duration);

impl Duration {
    /// So many milliseconds.
    pub const fn from_millis(millis: u64) -> Self {
        Self(std::time::Duration::from_millis(millis))
    }

    /// So many seconds.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(std::time::Duration::from_secs(seconds))
    }

    /// Reads `250ms`, `5s`, `1m`, `2h` or `1d`.
    pub fn parse(text: &str) -> Result<Self, String> {
        const WHAT: &str = "expected a duration: a whole number and ms, s, m, h or d, as in 250ms or 5s";
        let (number, unit) = split(text).ok_or(WHAT)?;
        let millis = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "" if number == 0 => 1,
            "" => return Err("a duration needs a unit: ms, s, m, h or d".to_owned()),
            _ => return Err(WHAT.to_owned()),
        };
        match number.checked_mul(millis) {
            Some(millis) if millis <= MAX_MILLIS => Ok(Self::from_millis(millis)),
            _ => Err("a duration is at most 3650d".to_owned()),
        }
    }
}

impl Deref for Duration {
    type Target = std::time::Duration;

    fn deref(&self) -> &std::time::Duration {
        &self.0
    }
}

impl From<Duration> for std::time::Duration {
    fn from(duration: Duration) -> Self {
        duration.0
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        for (unit, name) in [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1000, "s")] {
            if millis >= unit && millis.is_multiple_of(unit) {
                return write!(f, "{}{name}", millis / unit);
            }
        }
        write!(f, "{millis}ms")
    }
}

/// A number of bytes: `512`, `64KiB` (1024s), `10MB` (1000s).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Size(u64);

impl Size {
    /// So many bytes.
    pub const fn from_bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// The number of bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }

    /// Reads `512`, `512B`, `64KiB`, `10MB` and so on up to `TiB`.
    pub fn parse(text: &str) -> Result<Self, String> {
        const WHAT: &str =
            "expected a size: a whole number of bytes, or with B, KB, MB, GB, TB, KiB, MiB, GiB or TiB";
        let (number, unit) = split(text).ok_or(WHAT)?;
        let factor = match unit {
            "" | "B" => 1,
            "kB" | "KB" => 1000,
            "MB" => 1000_u64.pow(2),
            "GB" => 1000_u64.pow(3),
            "TB" => 1000_u64.pow(4),
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            "TiB" => 1 << 40,
            _ => return Err(WHAT.to_owned()),
        };
        let bytes = number.checked_mul(factor).filter(|bytes| i64::try_from(*bytes).is_ok());
        bytes.map(Self).ok_or_else(|| "a size is less than 8 EiB".to_owned())
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, name) in [(1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")] {
            if self.0 >= unit && self.0.is_multiple_of(unit) {
                return write!(f, "{}{name}", self.0 / unit);
            }
        }
        for (unit, name) in [(1_000_000_000, "GB"), (1_000_000, "MB"), (1000, "KB")] {
            if self.0 >= unit && self.0.is_multiple_of(unit) {
                return write!(f, "{}{name}", self.0 / unit);
            }
        }
        write!(f, "{} bytes", self.0)
    }
}

/// So many of something in a second, minute, hour or day: `10/s`, `600/m`, `1000/h`, `50000/d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rate {
    /// How many; at least one.
    pub count: u64,
    /// In how long.
    pub period: Duration,
}

impl Rate {
    /// Reads `10/s`, `600/m`, `1000/h` or `50000/d`.
    pub fn parse(text: &str) -> Result<Self, String> {
        const WHAT: &str = "expected a rate: a whole number, `/` and s, m, h or d, as in 100/m";
        let (count, unit) = text.split_once('/').ok_or(WHAT)?;
        let (count, "") = split(count).ok_or(WHAT)? else {
            return Err(WHAT.to_owned());
        };
        let period = match unit {
            "s" => Duration::from_secs(1),
            "m" => Duration::from_secs(60),
            "h" => Duration::from_secs(3600),
            "d" => Duration::from_secs(86_400),
            _ => return Err(WHAT.to_owned()),
        };
        if count == 0 || count > MAX_COUNT {
            return Err(format!("a rate counts from 1 to {MAX_COUNT}"));
        }
        Ok(Self { count, period })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.period.as_secs() {
            1 => "s",
            60 => "m",
            3600 => "h",
            _ => "d",
        };
        write!(f, "{}/{unit}", self.count)
    }
}

/// So many refusals in so long: `100 refusals in 1m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Refusals {
    /// How many; at least one.
    pub count: u64,
    /// In how long; more than nothing.
    pub period: Duration,
}

impl Refusals {
    /// Reads `100 refusals in 1m`.
    pub fn parse(text: &str) -> Result<Self, String> {
        const WHAT: &str = "expected so many refusals in so long, as in `100 refusals in 1m`";
        let words: Vec<&str> = text.split_whitespace().collect();
        let [count, "refusals" | "refusal", "in", period] = words[..] else { return Err(WHAT.to_owned()) };
        let Some((count @ 1..=MAX_REFUSALS, "")) = split(count) else {
            return Err(format!("refusals are counted from 1 to {MAX_REFUSALS}, as in `100 refusals in 1m`"));
        };
        let period = Duration::parse(period)?;
        if period < Duration::from_secs(1) || period > Duration::from_secs(365 * 86_400) {
            return Err("refusals are counted over 1s to 365d".to_owned());
        }
        Ok(Self { count, period })
    }
}

impl fmt::Display for Refusals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} refusals in {}", self.count, self.period)
    }
}

/// A share from `0%` to `100%`, exact to a ten-thousandth of a percent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Percent {
    millionths: u32,
}

impl Percent {
    /// All of it.
    pub const ALL: Self = Self { millionths: 1_000_000 };

    /// So many percent, at most a hundred.
    pub const fn of(percent: u8) -> Self {
        let millionths = percent as u32 * 10_000;
        if millionths > Self::ALL.millionths { Self::ALL } else { Self { millionths } }
    }

    /// The share in millionths: `5%` is 50,000.
    pub const fn millionths(self) -> u32 {
        self.millionths
    }

    /// Reads `5%` or `0.25%`.
    pub fn parse(text: &str) -> Result<Self, String> {
        const WHAT: &str = "expected a percentage from 0% to 100%, as in 5% or 0.25%";
        let number = text.strip_suffix('%').ok_or(WHAT)?;
        let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
        let digits =
            |text: &str| !text.is_empty() && text.len() <= 4 && text.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(part) {
            return Err(WHAT.to_owned());
        }
        let whole: u32 = whole.parse().map_err(|_| WHAT)?;
        let part: u32 = format!("{part:0<4}").parse().map_err(|_| WHAT)?;
        let millionths = whole * 10_000 + part;
        if millionths > Self::ALL.millionths { Err(WHAT.to_owned()) } else { Ok(Self { millionths }) }
    }
}

/// A share in percent, as a plain number: `10`, `0.5`. The sign may stand behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Share(Percent);

impl Share {
    /// All of it.
    pub const ALL: Self = Self(Percent::ALL);

    /// The share in millionths: `5` is 50,000.
    pub const fn millionths(self) -> u32 {
        self.0.millionths()
    }

    /// Reads `5`, `0.25` or `5%`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let number = text.strip_suffix('%').unwrap_or(text);
        let share = Percent::parse(&format!("{number}%")).map(Self);
        share.map_err(|_| "expected a share in percent, a number from 0 to 100, as in 5 or 0.25".to_owned())
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.millionths / 10_000, self.millionths % 10_000);
        if part == 0 {
            return write!(f, "{whole}%");
        }
        write!(f, "{whole}.{}%", format!("{part:04}").trim_end_matches('0'))
    }
}

/// The digits at the front as a number, and what follows them.
pub(super) fn split(text: &str) -> Option<(u64, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    Some((text[..digits].parse().ok()?, &text[digits..]))
}

/// Ten years.
const MAX_MILLIS: u64 = 3650 * 86_400_000;

/// The largest count of a rate: counters of limits stay far from overflow.
const MAX_COUNT: u64 = 1_000_000_000_000;

/// The most refusals that are counted.
const MAX_REFUSALS: u64 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_a_unit_and_show_as_written() {
        for text in ["250ms", "5s", "1m", "2h", "1d", "90s", "0ms"] {
            assert_eq!(Duration::parse(text).map(|d| d.to_string()), Ok(text.to_owned()));
        }
        for text in
            ["", "5", "s", "-1s", "1.5s", "5 s", "1m30s", "5S", "9999999999999999999s", "4000d", "１s"]
        {
            assert!(Duration::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_tell_thousands_from_1024s() {
        for (text, bytes) in
            [("0", 0), ("512", 512), ("1B", 1), ("64KiB", 65_536), ("10MB", 10_000_000), ("1GiB", 1 << 30)]
        {
            assert_eq!(Size::parse(text).map(Size::bytes), Ok(bytes), "{text}");
        }
        for text in ["", "KiB", "1.5MB", "10mb", "10 MB", "-1", "9999999TiB"] {
            assert!(Size::parse(text).is_err(), "{text}");
        }
        assert_eq!(Size::from_bytes(10_000_000).to_string(), "10MB");
        assert_eq!(Size::from_bytes(65_536).to_string(), "64KiB");
        assert_eq!(Size::from_bytes(1001).to_string(), "1001 bytes");
    }

    #[test]
    fn rates_have_a_count_and_a_period() {
        for text in ["10/s", "600/m", "1000/h", "50000/d"] {
            assert_eq!(Rate::parse(text).map(|rate| rate.to_string()), Ok(text.to_owned()));
        }
        for text in ["", "10", "0/s", "/s", "10/", "10/w", "10/ s", "1.5/s", "9999999999999/s"] {
            assert!(Rate::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn refusals_are_counted_over_a_time() {
        for text in ["100 refusals in 1m", "2 refusals in 90s", "1000000 refusals in 1s"] {
            assert_eq!(Refusals::parse(text).map(|refusals| refusals.to_string()), Ok(text.to_owned()));
        }
        assert!(Refusals::parse("1 refusal in 1d").is_ok());
        for text in [
            "",
            "100",
            "100/m",
            "0 refusals in 1m",
            "5 refusals in 1",
            "5 refusals in 1ms",
            "5 refusals in 366d",
            "1000001 refusals in 1s",
            "x refusals in 1m",
            "5 requests in 1m",
            "5 refusals in 1m each",
        ] {
            assert!(Refusals::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn shares_are_numbers_and_may_have_a_sign() {
        for (text, shown) in [("0", "0%"), ("10", "10%"), ("0.25", "0.25%"), ("5%", "5%"), ("100", "100%")] {
            assert_eq!(Share::parse(text).map(|share| share.to_string()), Ok(shown.to_owned()));
        }
        for text in ["", "%", "5%%", "101", "-1", "ten"] {
            assert!(Share::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn percentages_stay_between_none_and_all() {
        for (text, millionths) in
            [("0%", 0), ("5%", 50_000), ("0.25%", 2500), ("100%", 1_000_000), ("0.0001%", 1)]
        {
            assert_eq!(Percent::parse(text).map(Percent::millionths), Ok(millionths), "{text}");
            assert_eq!(Percent::parse(text).map(|p| p.to_string()), Ok(text.to_owned()));
        }
        for text in ["", "5", "%", "101%", "100.1%", "-1%", "1.%", "0.00001%", "99999%"] {
            assert!(Percent::parse(text).is_err(), "{text}");
        }
    }
}
