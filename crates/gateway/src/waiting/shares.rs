//! Who has how many under way at a limit where somebody waits, and who may have another. It holds no lock and knows no time.
//!
//! While others are there, whoever has its even share already leaves one free. So a caller with less need not wait until somebody
//! ends; and as requests then come in at all moments, they do not all end at one. `docs/decisions/0023-one-left-free.md` has the why.

use std::collections::HashMap;

/// The shares of one limit.
#[derive(Debug, Default)]
pub(super) struct Shares {
    /// Callers of whom something is under way.
    under_way: HashMap<u64, u32>,
    /// The caller that came last, and the last that is another.
    last: Option<Seen>,
    before: Option<Seen>,
    /// Requests that have been let in: what time is measured by, as service times differ from a millisecond to hours.
    let_in: u64,
}

/// A caller, and how many had been let in when it came.
#[derive(Debug, Clone, Copy)]
struct Seen {
    caller: u64,
    at: u64,
}

impl Shares {
    /// Notes that somebody comes.
    pub(super) fn came(&mut self, caller: u64) {
        if self.last.is_some_and(|last| last.caller != caller) {
            self.before = self.last;
        }
        self.last = Some(Seen { caller, at: self.let_in });
    }

    /// Whether a caller may have another under way beside these.
    pub(super) fn allow(&self, caller: u64, under_way: u32, max: u32) -> bool {
        match max.saturating_sub(under_way) {
            0 => false,
            1 if max >= LEAST_TO_SHARE => self.is_alone(caller, max) || self.is_below_share(caller, max),
            _ => true,
        }
    }

    pub(super) fn let_in(&mut self, caller: u64) {
        self.let_in += 1;
        *self.under_way.entry(caller).or_default() += 1;
    }

    pub(super) fn ended(&mut self, caller: u64) {
        if let Some(count) = self.under_way.get_mut(&caller) {
            *count -= 1;
            if *count == 0 {
                self.under_way.remove(&caller);
            }
        }
    }

    /// Requests let in so far.
    pub(super) fn count(&self) -> u64 {
        self.let_in
    }

    /// Whether nobody else has come for a while.
    fn is_alone(&self, caller: u64, max: u32) -> bool {
        let other = if self.last.is_some_and(|last| last.caller == caller) { self.before } else { self.last };
        other.is_none_or(|other| self.let_in - other.at > u64::from(max) * TURNOVERS)
    }

    /// Rounded up: together those who ask for much may have all.
    fn is_below_share(&self, caller: u64, max: u32) -> bool {
        let callers = u32::try_from(self.under_way.len()).unwrap_or(u32::MAX).max(2);
        self.under_way.get(&caller).is_none_or(|count| *count < max.div_ceil(callers))
    }
}

/// Of fewer than these under way, one left free would be too much.
const LEAST_TO_SHARE: u32 = 6;

/// For how long somebody else counts as being there: until all that may be under way have changed so often.
const TURNOVERS: u64 = 100;

#[cfg(test)]
mod tests {
    use super::*;

    const NOISY: u64 = 1;
    const QUIET: u64 = 2;

    fn with(counts: &[(u64, u32)]) -> Shares {
        let mut shares = Shares::default();
        for (caller, count) in counts {
            shares.came(*caller);
            (0..*count).for_each(|_| shares.let_in(*caller));
        }
        shares
    }

    #[test]
    fn who_is_alone_may_have_all() {
        let shares = with(&[(NOISY, 9)]);
        assert!(shares.allow(NOISY, 9, 10));
        assert!(!shares.allow(NOISY, 10, 10) && !shares.allow(QUIET, 10, 10));
    }

    #[test]
    fn who_has_its_share_leaves_one_to_who_has_less() {
        let mut shares = with(&[(QUIET, 1), (NOISY, 8)]);
        assert!(!shares.allow(NOISY, 9, 10));
        assert!(shares.allow(QUIET, 9, 10) && shares.allow(3, 9, 10));
        shares.ended(NOISY);
        assert!(shares.allow(NOISY, 8, 10));
        // Two that ask for much take all there is.
        let shares = with(&[(NOISY, 5), (QUIET, 4)]);
        assert!(shares.allow(QUIET, 9, 10) && !shares.allow(NOISY, 9, 10));
    }

    #[test]
    fn others_count_for_a_while() {
        let mut shares = with(&[(QUIET, 1), (NOISY, 8)]);
        shares.ended(QUIET);
        for _ in 0..992 {
            assert!(!shares.allow(NOISY, 9, 10));
            shares.ended(NOISY);
            shares.came(NOISY);
            shares.let_in(NOISY);
        }
        shares.let_in(NOISY);
        assert!(shares.allow(NOISY, 9, 10));
        shares.came(QUIET);
        assert!(!shares.allow(NOISY, 9, 10));
    }

    #[test]
    fn where_few_are_under_way_none_is_left_free() {
        let shares = with(&[(QUIET, 1), (NOISY, 3)]);
        assert!(shares.allow(NOISY, 4, 5));
        assert!(!shares.allow(NOISY, 5, 6));
    }
}
