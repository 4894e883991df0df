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
}
