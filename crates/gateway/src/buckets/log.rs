//! Sliding windows of a few requests, exactly: each request that counts has a place of its own.
//!
//! Such a place is a bucket of one token, which takes as long as the window to come back. A window of so many requests is as many
//! places, of which a request takes one that is free: so all that holds of buckets holds here too.
//!
//! A request that turns out to have cost more takes the place that is free first: as there are more requests then than places, the one that
//! goes there would free nothing anyway.

use super::{Empty, Key, LONGEST_LOG, Places, Taken, Window};

/// Whether so many places are free.
pub(super) fn look(places: Places, key: Key, window: Window, cost: u64, now: u64) -> Result<(), Empty> {
    let until = now.saturating_add(window.length());
    let mut free = 0;
    let mut busy = Busy::default();
    for at in 0..window.count() {
        match places.read(key.beside(at), until, now).number {
            number if number > now => busy.add(number),
            _ => free += 1,
        }
        if free == cost {
            return Ok(());
        }
    }
    Err(busy.empty(cost - free, now))
}

/// Takes so many free places, or none.
pub(super) fn take(places: Places, key: Key, window: Window, cost: u64, now: u64) -> Result<Taken, Empty> {
    let until = now.saturating_add(window.length());
    let mut busy = Busy::default();
    let mut taken = Taken { left: 0, full_in: 0, change: None, more: Vec::new() };
    let mut missing = cost;
    for key in (0..window.count()).map(|at| key.beside(at)) {
        let number = places.read(key, until, now).number;
        if number > now {
            busy.add(number);
        } else if missing == 0 {
            taken.left += 1;
        } else {
            let occupy = |number| if number <= now { Ok(until) } else { Err(number) };
            match places.change(key, until, now, |kept| occupy(kept.number)) {
                Ok(change) => {
                    taken.add(change);
                    missing -= 1;
                }
                // Another worker was faster.
                Err(number) => busy.add(number),
            }
        }
    }
    if missing > 0 {
        taken.changes().for_each(|change| places.restore(change));
        return Err(busy.empty(missing, now));
    }
    taken.full_in = busy.last().max(until) - now;
    Ok(taken)
}

/// Takes so many places, also those that are not free; all of them at most.
pub(super) fn owe(places: Places, key: Key, window: Window, more: u64, now: u64) {
    let until = now.saturating_add(window.length());
    let mut missing = more.min(window.count());
    while missing > 0 {
        let place = |at| {
            let key = key.beside(at);
            (places.read(key, until, now).number.max(now), key)
        };
        let Some((number, key)) = (0..window.count()).map(place).min_by_key(|(number, _)| *number) else {
            return;
        };
        if number >= until {
            return;
        }
        let is_known = |kept: u64| if kept.max(now) == number { Ok(until) } else { Err(()) };
        // Another worker may have been faster: then another place is the first.
        if places.change(key, until, now, |kept| is_known(kept.number)).is_ok() {
            missing -= 1;
        }
    }
}

/// Frees so many places that were taken then.
pub(super) fn put_back(places: Places, key: Key, window: Window, (less, at): (u64, u64), now: u64) {
    let until = at.saturating_add(window.length());
    let free = |kept| if kept == until { now } else { kept };
    let mut missing = less;
    for key in (0..window.count()).map(|at| key.beside(at)) {
        if missing > 0 && places.set(key).lower(key.0, now, free) {
            missing -= 1;
        }
    }
}

/// How many places are free, and nanoseconds until all are.
pub(super) fn standing(places: Places, key: Key, window: Window, now: u64) -> (u64, u64) {
    let until = now.saturating_add(window.length());
    let all = (0..window.count()).map(|at| places.read(key.beside(at), until, now).number);
    all.fold((0, 0), |(free, full_in), number| {
        (free + u64::from(number <= now), full_in.max(number.saturating_sub(now)))
    })
}

/// When the places that are taken are free again.
#[derive(Default)]
struct Busy {
    until: [u64; LONGEST_LOG as usize],
    count: usize,
}

impl Busy {
    fn add(&mut self, until: u64) {
        if let Some(free) = self.until.get_mut(self.count) {
            *free = until;
            self.count += 1;
        }
    }

    fn last(&self) -> u64 {
        self.until.into_iter().max().unwrap_or(0)
    }

    /// With so many too few.
    fn empty(mut self, missing: u64, now: u64) -> Empty {
        let until = &mut self.until[..self.count];
        until.sort_unstable();
        let enough = until.get((missing as usize).saturating_sub(1)).or(until.last()).copied();
        Empty { wait: enough.unwrap_or(now) - now, full_in: self.last().saturating_sub(now) }
    }
}
