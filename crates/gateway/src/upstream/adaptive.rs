//! Adaptive concurrency: how many calls a service is given at once follows from how long it takes to answer.
//!
//! When more calls are under way than a service can work on, they wait in it, and every answer takes longer: the calls that are
//! turned away then are those that would have come too late. Each worker has a limit of its own, and looks at windows of answers
//! beside a baseline, the latency of the service when it has little to do. A latency above `target` times the baseline lowers
//! the limit in proportion; one below it raises the limit while that is reached. The baseline follows the latency down at once, up only
//! while the limit is far away; under lasting pressure the limit is cut for a moment from time to time, to see what the latency is
//! without it.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::config::Priority;
use crate::record::ServiceMetrics;

/// How far the limit may go, and what it follows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdaptiveRules {
    /// The latency, beside that of a service that has little to do, above which it is given less.
    pub target: f64,
    /// The lowest limit of a worker.
    pub min: u32,
    /// The highest.
    pub max: u32,
}

/// A service's limit on one worker. It outlives reloads.
#[derive(Debug)]
pub struct Adaptive {
    rules: Cell<AdaptiveRules>,
    /// Calls whose answers have not begun.
    waiting: Cell<u32>,
    limit: Cell<f64>,
    /// The latency in seconds when it has little to do.
    baseline: Cell<Option<f64>>,
    window: RefCell<Window>,
    /// Windows one after another that were too slow.
    slow: Cell<u32>,
    /// Since the limit was first cut for a latency that is too high.
    descent: Cell<Option<Descent>>,
    look: Cell<Look>,
    /// The period of the wall clock in which it last looked.
    looked_in: Cell<u64>,
    metrics: Arc<ServiceMetrics>,
}

/// What was seen since the limit was last thought about.
#[derive(Debug, Default)]
struct Window {
    began: Option<Instant>,
    answers: u32,
    /// Of all their latencies, in seconds, and the shortest.
    sum: f64,
    shortest: f64,
    /// The most calls that waited at once.
    most: u32,
    /// Whether a call was turned away.
    is_pressed: bool,
}

/// A limit that is lowered, window by window.
#[derive(Debug, Clone, Copy)]
struct Descent {
    /// What was made use of before.
    from: f64,
    /// The longest latency since then, in seconds: at first what waits in the service may still be growing.
    latency: f64,
    /// When it was last lowered.
    lowered: Instant,
}

/// Whether the limit is cut to see the latency without it.
#[derive(Debug, Clone, Copy)]
enum Look {
    /// It is not.
    None,
    /// The calls from before are still under way; the limit was this.
    Emptying { began: Instant, limit: f64 },
    /// What is answered now tells the baseline.
    Measuring { limit: f64 },
}

/// The time, by both clocks.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    /// By which times are measured.
    pub instant: Instant,
    /// That all machines agree on, in milliseconds of Unix time.
    pub unix_ms: u64,
}

/// A call that waits for its answer; counted until it is dropped.
#[derive(Debug)]
pub struct Waiting(Rc<Adaptive>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.waiting.set(self.0.waiting.get() - 1);
    }
}

impl Adaptive {
    /// One that knows nothing yet.
    pub fn new(rules: AdaptiveRules, metrics: Arc<ServiceMetrics>) -> Self {
        let adaptive = Self {
            rules: Cell::new(rules),
            waiting: Cell::new(0),
            limit: Cell::new(FIRST_LIMIT),
            baseline: Cell::new(None),
            window: RefCell::default(),
            slow: Cell::new(0),
            descent: Cell::new(None),
            look: Cell::new(Look::None),
            looked_in: Cell::new(0),
            metrics,
        };
        adaptive.set_rules(rules);
        adaptive
    }

    /// Other rules hold; what has been learnt is kept.
    pub fn set_rules(&self, rules: AdaptiveRules) {
        self.rules.set(rules);
        self.set_limit(self.limit.get());
    }

    /// Leave for a call of this priority; none when the service has enough to do.
    pub fn admit(self: &Rc<Self>, priority: Priority) -> Option<Waiting> {
        let waiting = self.waiting.get();
        let most = (self.limit.get() * share(priority)).max(1.0);
        let mut window = self.window.borrow_mut();
        if f64::from(waiting) + 1.0 > most {
            window.is_pressed = true;
            self.metrics.shed.add(1);
            return None;
        }
        self.waiting.set(waiting + 1);
        window.most = window.most.max(waiting + 1);
        Some(Waiting(Rc::clone(self)))
    }

    /// An answer has begun this long after its request was sent.
    pub fn answered(&self, latency: Duration, now: Now) {
        let mut window = self.window.borrow_mut();
        let began = *window.began.get_or_insert(now.instant);
        let seconds = latency.as_secs_f64();
        window.shortest = if window.answers == 0 { seconds } else { window.shortest.min(seconds) };
        window.answers += 1;
        window.sum += seconds;
        let lasted = now.instant.saturating_duration_since(began);
        let is_full = lasted >= WINDOW && window.answers >= ENOUGH;
        if is_full || lasted >= LONGEST_WINDOW {
            // Those that wait now are part of what comes.
            let next = Window { most: self.waiting.get(), ..Window::default() };
            let seen = std::mem::replace(&mut *window, next);
            drop(window);
            self.think(&seen, now);
        }
    }

    /// A call has failed after this long. One that was given up has waited; one that was refused tells nothing of the latency.
    pub fn failed(&self, waited: Duration, now: Now) {
        let bound = self.baseline.get().map_or(f64::MAX, |baseline| baseline * self.rules.get().target);
        if waited.as_secs_f64() >= bound {
            self.answered(waited, now);
        }
    }

    fn think(&self, seen: &Window, now: Now) {
        let mean = seen.sum / f64::from(seen.answers);
        match self.look.get() {
            Look::Emptying { began, limit } => return self.empty(seen, began, limit, now.instant),
            Look::Measuring { limit } => {
                // Others may have kept it busy meanwhile: what they added is not learnt at once.
                let most = self.baseline.get().map_or(mean, |baseline| baseline * MOST_UP);
                self.set_baseline(mean.min(most));
                return self.end_look(limit);
            }
            Look::None => {}
        }
        let baseline = self.follow(mean, seen);
        let target = self.rules.get().target;
        let ratio = mean / baseline;
        let limit = self.limit.get();
        let reached = seen.is_pressed || f64::from(seen.most) >= limit.floor();
        if ratio > target {
            self.slow.set(self.slow.get() + 1);
            // Where the limit is far away, one slow window may be chance.
            if reached || self.slow.get() >= SURE {
                self.lower(mean, target / ratio, seen, now.instant);
            }
        } else {
            self.slow.set(0);
            self.descent.set(None);
            if reached {
                let step = if ratio < f64::midpoint(1.0, target) { limit * FAST } else { limit.sqrt() / 2.0 };
                self.set_limit(limit + step.max(1.0));
            }
        }
        self.begin_look_if_due(reached, now);
    }

    /// Lowers the limit to this part of what is made use of. Where answers take as long with a quarter of the calls as they did,
    /// the calls are not why: then the latency is a new baseline.
    fn lower(&self, mean: f64, part: f64, seen: &Window, now: Instant) {
        let (limit, min) = (self.limit.get(), f64::from(self.rules.get().min));
        let used = limit.min(f64::from(seen.most).max(min));
        let mut descent = self.descent.get().unwrap_or(Descent { from: used, latency: mean, lowered: now });
        if limit <= (descent.from / LOOK_CUT).max(min) {
            if !self.holds(seen, mean, descent.lowered, now) {
                return;
            }
            if mean > descent.latency * STILL {
                self.set_baseline(mean);
                self.set_limit(descent.from);
                self.descent.set(None);
                self.slow.set(0);
                return;
            }
            descent = Descent { from: used, latency: mean, lowered: now };
        }
        self.descent.set(Some(Descent { lowered: now, latency: descent.latency.max(mean), ..descent }));
        self.set_limit(used * part.max(LARGEST_CUT));
    }

    /// Whether what was answered in this window came under the limit that holds since then.
    fn holds(&self, seen: &Window, mean: f64, since: Instant, now: Instant) -> bool {
        let is_over = now.saturating_duration_since(since).as_secs_f64() > 2.0 * mean + WINDOW.as_secs_f64();
        is_over && f64::from(seen.most) <= self.limit.get().max(1.0)
    }

    /// The baseline, as this window leaves it.
    fn follow(&self, mean: f64, seen: &Window) -> f64 {
        let followed = match self.baseline.get() {
            // Where all come at once, the first of them found it idle.
            None => seen.shortest,
            Some(baseline) if mean < baseline => baseline + (mean - baseline) * DOWN,
            // With so little to do it is not slow because of us.
            Some(baseline) if f64::from(seen.most) * 2.0 < self.limit.get() && !seen.is_pressed => {
                baseline + (mean - baseline).min(baseline) * UP
            }
            Some(baseline) => baseline,
        };
        self.set_baseline(followed);
        followed.max(SHORTEST)
    }

    /// All workers look at the same time, and so do all gateways whose clocks agree: while one of them alone held back, the
    /// others would keep the service busy. Not while the limit is still coming down: a part of one that is far too high shows nothing.
    fn begin_look_if_due(&self, reached: bool, now: Now) {
        let period = now.unix_ms / LOOK_EVERY.as_millis() as u64;
        if !reached || self.descent.get().is_some() || self.looked_in.replace(period) == period {
            return;
        }
        let limit = self.limit.get();
        self.look.set(Look::Emptying { began: now.instant, limit });
        self.set_limit(limit / LOOK_CUT);
    }

    fn empty(&self, seen: &Window, began: Instant, limit: f64, now: Instant) {
        if self.holds(seen, seen.sum / f64::from(seen.answers), began, now) {
            self.look.set(Look::Measuring { limit });
        } else if now.saturating_duration_since(began) > LONGEST_LOOK {
            self.end_look(limit);
        }
    }

    fn end_look(&self, limit: f64) {
        self.set_limit(limit);
        self.look.set(Look::None);
    }

    fn set_baseline(&self, seconds: f64) {
        let seconds = seconds.max(SHORTEST);
        self.baseline.set(Some(seconds));
        self.metrics.baseline_us.set((seconds * 1e6) as u64);
    }

    fn set_limit(&self, limit: f64) {
        let AdaptiveRules { min, max, .. } = self.rules.get();
        let limit = limit.clamp(f64::from(min), f64::from(max));
        self.limit.set(limit);
        self.metrics.limit.set(limit as u64);
    }
}

/// The part of the limit that calls of a priority may fill: what is left is for those that matter more.
fn share(priority: Priority) -> f64 {
    match priority {
        Priority::Low => 0.7,
        Priority::Normal => 0.9,
        Priority::High => 1.0,
    }
}

/// The limit before anything is known.
const FIRST_LIMIT: f64 = 100.0;
/// How long a window lasts at least, and how many answers it has; at most so long with fewer.
const WINDOW: Duration = Duration::from_millis(100);
const ENOUGH: u32 = 20;
const LONGEST_WINDOW: Duration = Duration::from_secs(1);
/// The most that one window cuts the limit to.
const LARGEST_CUT: f64 = 0.7;
/// The part that a limit grows by while the latency is near the baseline.
const FAST: f64 = 0.2;
/// The part of a difference that the baseline follows in one window.
const DOWN: f64 = 0.3;
const UP: f64 = 0.05;
/// How much the baseline may grow by one look.
const MOST_UP: f64 = 1.25;
/// The part of a latency that is the same latency still.
const STILL: f64 = 0.7;
/// Slow windows in a row that are no chance.
const SURE: u32 = 12;
/// How often, under lasting pressure, the latency without it is looked at; for how long at most; and what the limit is cut by.
const LOOK_EVERY: Duration = Duration::from_secs(30);
const LONGEST_LOOK: Duration = Duration::from_secs(2);
const LOOK_CUT: f64 = 4.0;
/// A baseline is not shorter, in seconds: what is below comes from this machine, not from the service.
const SHORTEST: f64 = 0.000_2;

#[cfg(test)]
mod tests;
