//! Numbers as they are shown: short, and of one width as far as that goes.

use super::rates::Quantile;

/// What is not known yet, or never was.
pub(super) const NONE: &str = "-";

/// So many a second.
pub(super) fn rate(rate: f64) -> String {
    match rate {
        rate if rate <= 0.0 => "0".to_owned(),
        rate if rate < 0.05 => "<0.1".to_owned(),
        rate if rate < 99.95 => format!("{rate:.1}"),
        rate if rate < 99_999.5 => format!("{rate:.0}"),
        rate if rate < 9_999_500.0 => format!("{:.0}k", rate / 1e3),
        rate => format!("{:.0}M", rate / 1e6),
    }
}

/// A share from 0 to 1, in percent.
pub(super) fn percent(share: f64) -> String {
    match share * 100.0 {
        percent if percent <= 0.0 => "0".to_owned(),
        percent if percent < 0.05 => "<0.1".to_owned(),
        percent if percent < 9.95 => format!("{percent:.1}"),
        percent => format!("{percent:.0}"),
    }
}

/// How long so many took.
pub(super) fn quantile(quantile: Option<Quantile>) -> String {
    match quantile {
        None => NONE.to_owned(),
        Some(Quantile::Within(seconds)) => time(seconds),
        Some(Quantile::Beyond(seconds)) => format!(">{}", time(seconds)),
    }
}

fn time(seconds: f64) -> String {
    match seconds * 1e3 {
        millis if millis < 9.95 => format!("{millis:.1}ms"),
        millis if millis < 999.5 => format!("{millis:.0}ms"),
        millis if millis < 9_950.0 => format!("{:.1}s", millis / 1e3),
        millis => format!("{:.0}s", millis / 1e3),
    }
}

/// A long time, by its two largest units.
pub(super) fn age(seconds: f64) -> String {
    let seconds = seconds as u64;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{minutes}m {}s", seconds % 60),
        3600..86_400 => format!("{hours}h {minutes}m"),
        _ => format!("{days}d {hours}h"),
    }
}

/// `1 worker`, `2 workers`.
pub(super) fn count(number: u64, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        for (number, expected) in [
            (0.0, "0"),
            (0.01, "<0.1"),
            (0.25, "0.2"),
            (99.94, "99.9"),
            (99.96, "100"),
            (12_345.6, "12346"),
            (99_999.9, "100k"),
            (12_345_678.0, "12M"),
        ] {
            assert_eq!(rate(number), expected);
        }
        for (share, expected) in [(0.0, "0"), (0.0001, "<0.1"), (0.012, "1.2"), (0.0996, "10"), (1.0, "100")]
        {
            assert_eq!(percent(share), expected);
        }
        for (seconds, expected) in [
            (0.00042, "0.4ms"),
            (0.00996, "10ms"),
            (0.9994, "999ms"),
            (0.9996, "1.0s"),
            (9.96, "10s"),
            (60.0, "60s"),
        ] {
            assert_eq!(quantile(Some(Quantile::Within(seconds))), expected);
        }
        assert_eq!(quantile(Some(Quantile::Beyond(60.0))), ">60s");
        assert_eq!(quantile(None), "-");
        for (seconds, expected) in
            [(0.4, "0s"), (62.0, "1m 2s"), (3_660.0, "1h 1m"), (90_000.0, "1d 1h"), (864_000.0, "10d 0h")]
        {
            assert_eq!(age(seconds), expected);
        }
    }
}
