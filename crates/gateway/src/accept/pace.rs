//! How long a client may take over its body: a longest pause, and a least rate where one is set.
//!
//! The rate is kept as time that is left. Waiting for the client spends it, each byte earns some again, and there is never more of it than the
//! longest pause. Time in which the service does not take what is there is nobody's fault here.

use std::time::{Duration, Instant};

/// The pace of one body.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Bytes in a second; zero for no least rate.
    rate: u64,
    pause: Duration,
    left: Duration,
    waits_since: Option<Instant>,
    taken: u64,
}

impl Pace {
    /// The pace of a body of which nothing is there yet.
    pub fn new(pause: Duration, rate: u64) -> Self {
        Self { rate, pause, left: pause, waits_since: None, taken: 0 }
    }

    /// Until when more must come, now that so many bytes have come in all.
    pub fn wait(&mut self, now: Instant, taken: u64) -> Instant {
        let Some(earned) = ((taken - self.taken.min(taken)) * 1000).checked_div(self.rate) else {
            return now + self.pause;
        };
        let spent = self.waits_since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        self.left = (self.left.saturating_sub(spent) + Duration::from_millis(earned)).min(self.pause);
        self.taken = taken;
        self.waits_since = Some(now);
        now + self.left
    }

    /// It is not the client's turn.
    pub fn rest(&mut self, now: Instant) {
        if let Some(since) = self.waits_since.take() {
            self.left = self.left.saturating_sub(now.saturating_duration_since(since));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSE: Duration = Duration::from_secs(30);

    #[test]
    fn without_a_rate_each_piece_has_the_whole_pause() {
        let start = Instant::now();
        let mut pace = Pace::new(PAUSE, 0);
        for (at, taken) in [(0, 0), (29, 1), (58, 2), (87, 3)] {
            let now = start + Duration::from_secs(at);
            assert_eq!(pace.wait(now, taken), now + PAUSE);
        }
    }

    #[test]
    fn who_trickles_runs_out_of_time_and_who_keeps_the_rate_does_not() {
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let mut trickle = Pace::new(PAUSE, 1000);
        assert_eq!(trickle.wait(at(0), 0), at(30));
        let due = trickle.wait(at(29), 1);
        assert_eq!(due, at(30) + Duration::from_millis(1));
        let mut steady = Pace::new(PAUSE, 1000);
        for second in 0..1000 {
            assert!(steady.wait(at(second), second * 1000) > at(second + 20));
        }
        // No more is earned than a pause, however much came at once.
        let mut burst = Pace::new(PAUSE, 1000);
        burst.wait(at(0), 0);
        assert_eq!(burst.wait(at(1), 1_000_000_000), at(31));
    }

    #[test]
    fn time_that_the_service_takes_is_not_counted() {
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let mut pace = Pace::new(PAUSE, 1000);
        pace.wait(at(0), 0);
        pace.rest(at(10));
        assert_eq!(pace.wait(at(1000), 0), at(1020));
    }
}
