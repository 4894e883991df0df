//! Words to the operator, on standard error.

use std::fmt;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Says one line. Where nobody listens any more it is lost, which does no harm to who said it.
pub fn notice(text: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr().lock(), "tollgate: {text}");
}

/// Of something that may happen without end: when it was told last, and how often it has not been.
#[derive(Debug)]
pub struct NowAndThen {
    began: Instant,
    /// In seconds from the beginning.
    told: AtomicU64,
    untold: AtomicU64,
}

impl NowAndThen {
    /// Nothing has happened yet.
    pub fn since(began: Instant) -> Self {
        Self { began, told: AtomicU64::new(u64::MAX), untold: AtomicU64::new(0) }
    }

    /// Counts once more, and says how often it was since it was told, if it is time to tell again.
    pub fn count(&self, now: Instant) -> Option<u64> {
        self.untold.fetch_add(1, Ordering::Relaxed);
        let now = now.saturating_duration_since(self.began).as_secs();
        let told = self.told.load(Ordering::Relaxed);
        let is_time = told == u64::MAX || now >= told + TELL_EVERY.as_secs();
        let is_ours = || self.told.compare_exchange(told, now, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        (is_time && is_ours()).then(|| self.untold.swap(0, Ordering::Relaxed))
    }
}

/// Of something that comes and goes: what the operator knows of it. Of either it is told no more than now and then.
#[derive(Debug, Default)]
pub struct Told {
    is_lost: bool,
    /// When it was last told that it is there, and that it is lost.
    at: [Option<Instant>; 2],
}

impl Told {
    /// Whether it is time to tell that it is lost, or that it is no more.
    pub fn is_news(&mut self, is_lost: bool, now: Instant) -> bool {
        let last = &mut self.at[usize::from(is_lost)];
        let is_time = last.is_none_or(|last| now.saturating_duration_since(last) >= TELL_EVERY);
        let is_news = is_lost != self.is_lost && is_time;
        if is_news {
            (self.is_lost, *last) = (is_lost, Some(now));
        }
        is_news
    }
}

/// Who does something without end must not make lines without end.
const TELL_EVERY: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_on_is_told_now_and_then() {
        let began = Instant::now();
        let refusals = NowAndThen::since(began);
        let at = |seconds: u64| refusals.count(began + Duration::from_secs(seconds));
        assert_eq!([at(0), at(0), at(9), at(10), at(11)], [Some(1), None, None, Some(3), None]);
    }

    #[test]
    fn what_comes_and_goes_is_told_at_once_and_then_not_again_for_a_while() {
        let (began, mut told) = (Instant::now(), Told::default());
        let mut is_news = |seconds, is_lost| told.is_news(is_lost, began + Duration::from_secs(seconds));
        assert_eq!(
            [is_news(0, false), is_news(1, true), is_news(2, true), is_news(3, false)],
            [false, true, false, true]
        );
        // It flaps.
        assert_eq!([is_news(4, true), is_news(5, false), is_news(10, true)], [false; 3]);
        // It stays lost, and then comes back for good.
        assert_eq!([is_news(11, true), is_news(12, false), is_news(13, false)], [true, false, true]);
    }
}
