//! Sliding windows of a few requests, exactly: each request that counts has a place of its own.
//!
//! Such a place is a bucket of one token, which takes as long as the window to come back. A window of so many requests is as many
//! places, of which a request takes one that is free: so all that holds of buckets holds here too.

use super::{Empty, Key, Places, Taken, Window};

/// Whether a place is free.
pub(super) fn look(places: Places, key: Key, window: Window, now: u64) -> Result<(), Empty> {
    let until = now.saturating_add(window.length());
    let mut busy = Busy::default();
    for at in 0..window.count() {
        let number = places.read(key.beside(at), until, now).number;
        if number <= now {
            return Ok(());
        }
        busy.add(number);
    }
    Err(busy.empty(now))
}

/// Takes a free place.
pub(super) fn take(places: Places, key: Key, window: Window, now: u64) -> Result<Taken, Empty> {
    let until = now.saturating_add(window.length());
    let mut busy = Busy::default();
    let mut change = None;
    let mut left = 0;
    for key in (0..window.count()).map(|at| key.beside(at)) {
        let number = places.read(key, until, now).number;
        if number > now {
            busy.add(number);
        } else if change.is_some() {
            left += 1;
        } else {
            let occupy = |number| if number <= now { Ok(until) } else { Err(number) };
            match places.change(key, until, now, |kept| occupy(kept.number)) {
                Ok(taken) => {
                    change = Some(taken);
                    busy.add(until);
                }
                // Another worker was faster.
                Err(number) => busy.add(number),
            }
        }
    }
    let Some(change) = change else { return Err(busy.empty(now)) };
    Ok(Taken { left, full_in: busy.last - now, change })
}

/// Between when and when the places that are taken are free again.
#[derive(Default)]
struct Busy {
    first: Option<u64>,
    last: u64,
}

impl Busy {
    fn add(&mut self, until: u64) {
        self.first = Some(self.first.map_or(until, |first| first.min(until)));
        self.last = self.last.max(until);
    }

    fn empty(self, now: u64) -> Empty {
        Empty { wait: self.first.unwrap_or(now) - now, full_in: self.last.saturating_sub(now) }
    }
}
