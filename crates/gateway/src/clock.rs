//! A coarse clock per worker, and deadlines that cost a store.
//!
//! The clock is read when the worker wakes, when a request has been sent and when an exchange ends; everything between
//! uses that reading. A deadline moves with every exchange, but its timer is only touched when it fires too early or when the new
//! deadline is earlier than the timer: on a busy connection that is once in many seconds instead of twice a request.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::time::Sleep;

thread_local! {
    // The runtime's unpark hook has no access to the worker, so the worker's clock is its thread's.
    static NOW: Cell<Option<Instant>> = const { Cell::new(None) };
    // What is answered from one moment until another: thousands of questions a second have the same answer.
    static ANSWER: Cell<Option<(Instant, Instant, u64)>> = const { Cell::new(None) };
    static WALL: Cell<(Option<Instant>, u64)> = const { Cell::new((None, 0)) };
    static DATE: Cell<(u64, [u8; DATE_LENGTH])> = const { Cell::new((u64::MAX, [0; DATE_LENGTH])) };
}

/// The time as of the worker's last reading.
pub fn now() -> Instant {
    NOW.get().unwrap_or_else(refresh)
}

/// Reads the time anew, for this thread.
pub fn refresh() -> Instant {
    let now = Instant::now();
    NOW.set(Some(now));
    now
}

/// Milliseconds since the Unix epoch as of the last reading. The wall clock itself is read at most once a second.
pub fn unix_ms() -> u64 {
    let now = now();
    if let Some((from, until, ms)) = ANSWER.get()
        && from <= now
        && now < until
    {
        return ms;
    }
    let (until, ms) = unix_ms_at(now);
    ANSWER.set(Some((now, until, ms)));
    ms
}

/// The same in whole seconds.
pub fn unix_seconds() -> u64 {
    unix_ms() / 1000
}

/// What [`unix_ms`] is for this reading, and until when it is so.
fn unix_ms_at(now: Instant) -> (Instant, u64) {
    let (read_at, read_ms) = WALL.get();
    if let Some(read_at) = read_at {
        let since = now.saturating_duration_since(read_at);
        if since < Duration::from_secs(1) {
            let whole = since.as_millis() as u64;
            return (read_at + Duration::from_millis(whole + 1), read_ms + whole);
        }
    }
    let ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
    WALL.set((Some(now), ms));
    (now + Duration::from_millis(1), ms)
}

/// The value of a `Date` field (IMF-fixdate, RFC 9110, section 5.6.7) for now.
pub fn date() -> [u8; DATE_LENGTH] {
    let seconds = unix_seconds();
    let (made_for, date) = DATE.get();
    if made_for == seconds {
        return date;
    }
    let date = format_date(seconds);
    DATE.set((seconds, date));
    date
}

/// Nanoseconds as whole seconds, rounded up: who waits so long has waited long enough.
pub fn whole_seconds(nanoseconds: u64) -> u64 {
    nanoseconds.div_ceil(1_000_000_000)
}

/// When something must have happened, for the one task that polls it.
#[derive(Debug, Default)]
pub struct Deadline {
    due: Cell<Option<Instant>>,
    timer: RefCell<Option<Pin<Box<Sleep>>>>,
}

impl Deadline {
    /// Moves the deadline.
    pub fn set(&self, due: Instant) {
        self.due.set(Some(due));
    }

    /// Removes the deadline.
    pub fn clear(&self) {
        self.due.set(None);
    }

    /// Whether the deadline has passed; if not, the task is woken when it does.
    pub fn poll_passed(&self, context: &mut Context<'_>) -> Poll<()> {
        let Some(due) = self.due.get() else { return Poll::Pending };
        if now() >= due {
            return Poll::Ready(());
        }
        let mut slot = self.timer.borrow_mut();
        let timer = slot.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due.into())));
        if timer.deadline() > due.into() {
            timer.as_mut().reset(due.into());
        }
        while timer.as_mut().poll(context).is_ready() {
            if refresh() >= due {
                return Poll::Ready(());
            }
            timer.as_mut().reset(due.into());
        }
        Poll::Pending
    }

    /// Runs a future until it ends or the deadline passes (`None`).
    pub async fn bound<F: Future>(&self, future: F) -> Option<F::Output> {
        let mut future = std::pin::pin!(future);
        std::future::poll_fn(|context| {
            if let Poll::Ready(output) = future.as_mut().poll(context) {
                return Poll::Ready(Some(output));
            }
            self.poll_passed(context).map(|()| None)
        })
        .await
    }
}

/// Length of an IMF-fixdate.
pub const DATE_LENGTH: usize = 29;

/// An IMF-fixdate of these seconds since the Unix epoch.
pub fn format_date(seconds: u64) -> [u8; DATE_LENGTH] {
    const DAYS: [&[u8; 3]; 7] = [b"Thu", b"Fri", b"Sat", b"Sun", b"Mon", b"Tue", b"Wed"];
    const MONTHS: [&[u8; 3]; 12] =
        [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];
    let days = seconds / 86_400;
    let (year, month, day) = civil_from_days(days);
    let mut date = *b"Thu, 01 Jan 1970 00:00:00 GMT";
    date[..3].copy_from_slice(DAYS[(days % 7) as usize]);
    two_digits(&mut date[5..7], day);
    date[8..11].copy_from_slice(MONTHS[month as usize - 1]);
    two_digits(&mut date[12..14], year / 100);
    two_digits(&mut date[14..16], year % 100);
    two_digits(&mut date[17..19], seconds / 3600 % 24);
    two_digits(&mut date[20..22], seconds / 60 % 60);
    two_digits(&mut date[23..25], seconds % 60);
    date
}

fn two_digits(out: &mut [u8], number: u64) {
    out[0] = b'0' + (number / 10 % 10) as u8;
    out[1] = b'0' + (number % 10) as u8;
}

/// Year, month and day of a day counted from 1970-01-01, by counting in eras of 400 years that begin in March.
pub fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_written_as_http_wants_them() {
        const CASES: [(u64, &[u8; DATE_LENGTH]); 4] = [
            (0, b"Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777, b"Sun, 06 Nov 1994 08:49:37 GMT"),
            (951_782_400, b"Tue, 29 Feb 2000 00:00:00 GMT"),
            (4_102_444_799, b"Thu, 31 Dec 2099 23:59:59 GMT"),
        ];
        for (seconds, date) in CASES {
            assert_eq!(&format_date(seconds), date);
        }
    }

    #[test]
    fn milliseconds_of_the_epoch_are_right_as_long_as_they_are_said_to_be() {
        let start = Instant::now();
        let (until, first) = unix_ms_at(start);
        assert_eq!(until, start + Duration::from_millis(1));
        assert_eq!(unix_ms_at(start + Duration::from_nanos(999_999)), (until, first));
        assert_eq!(unix_ms_at(until), (until + Duration::from_millis(1), first + 1));
        let late = start + Duration::from_micros(999_999);
        assert_eq!(unix_ms_at(late), (start + Duration::from_secs(1), first + 999));
    }

    #[test]
    fn a_deadline_that_moves_away_does_not_pass_early() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        runtime.block_on(async {
            let deadline = Deadline::default();
            deadline.set(refresh() + Duration::from_millis(5));
            let never = std::future::pending::<()>();
            assert!(deadline.bound(never).await.is_none());
            let began = refresh();
            deadline.set(began + Duration::from_hours(1));
            assert!(deadline.bound(tokio::time::sleep(Duration::from_millis(1))).await.is_some());
            deadline.set(began + Duration::from_millis(2));
            assert!(deadline.bound(std::future::pending::<()>()).await.is_none());
        });
    }

    #[test]
    fn waits_are_told_in_whole_seconds_that_suffice() {
        assert_eq!([0, 1, 1_000_000_000, 1_000_000_001].map(whole_seconds), [0, 1, 1, 2]);
    }
}
