//! When the gateway itself has too much to do: a part of the requests is refused at once, so that the others are answered in time.
//!
//! A worker that comes late to what is ready, again and again, refuses more and more until it is in time, then less and less. A
//! process that has used up its memory refuses all but what matters most. Both are looked at all the time, and a request costs a look
//! at one number.

use std::cell::Cell;
use std::fs;
use std::sync::LazyLock;
use std::time::Duration;

use crate::config::Priority;

/// When there is too much to do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bounds {
    /// How late a worker may come to what is ready.
    pub lag: Option<Duration>,
    /// The share of the memory that the process may have, in millionths.
    pub memory: Option<u32>,
}

/// How often a worker looks whether it is late.
pub const LOOK_EVERY: Duration = Duration::from_millis(100);
/// At which of these looks it looks at the memory too: every tenth.
pub const MEMORY_EVERY: u32 = 10;

/// What one worker refuses.
#[derive(Debug, Default)]
pub struct Overload {
    /// Of requests of normal priority, in thousandths.
    share: Cell<u32>,
    /// Looks in a row at which the worker was late.
    late: Cell<u32>,
    has_no_memory: Cell<bool>,
    /// What the requests so far have left over of a refusal, in thousandths.
    rest: Cell<u32>,
}

/// A change that the operator should hear of.
#[derive(Debug, PartialEq, Eq)]
pub enum Turn {
    /// The worker comes late.
    Late,
    /// It is in time again.
    InTime,
    /// The process has used up its memory.
    NoMemory,
    /// It has room again.
    Room,
}

impl Overload {
    /// Whether a request of this priority is refused.
    pub fn refuses(&self, priority: Priority) -> bool {
        if self.share.get() == 0 && !self.has_no_memory.get() {
            return false;
        }
        if self.has_no_memory.get() && priority != Priority::High {
            return true;
        }
        let share = self.share.get();
        let share = match priority {
            Priority::Low => (share * 2).min(ALL),
            Priority::Normal => share,
            // Only when nearly all others are refused, and it is not enough.
            Priority::High => share.saturating_sub(ALL - ALL / 10) * 10,
        };
        // Of ten requests at a share of a third, the third, the sixth and the ninth.
        let rest = self.rest.get() + share;
        self.rest.set(rest % ALL);
        rest >= ALL
    }

    /// The share of requests of normal priority that is refused, in thousandths.
    pub fn share(&self) -> u32 {
        if self.has_no_memory.get() { ALL } else { self.share.get() }
    }

    /// The worker came this late to a look.
    pub fn saw_lag(&self, lag: Duration, bounds: Bounds) -> Option<Turn> {
        let before = self.share.get();
        let Some(bound) = bounds.lag else {
            self.share.set(0);
            return (before > 0).then_some(Turn::InTime);
        };
        // One late look may be a machine that was asleep.
        self.late.set(if lag > bound { self.late.get() + 1 } else { 0 });
        if self.late.get() >= SURE {
            self.share.set((before + MORE).min(ALL));
        } else if lag < bound / 2 {
            self.share.set(before.saturating_sub(LESS));
        }
        match (before, self.share.get()) {
            (0, now) if now > 0 => Some(Turn::Late),
            (before, 0) if before > 0 => Some(Turn::InTime),
            _ => None,
        }
    }

    /// The process holds so many bytes of so many that it may.
    pub fn saw_memory(&self, used: u64, of: u64, bounds: Bounds) -> Option<Turn> {
        let bound = bounds.memory.map_or(u64::MAX, |share| of / 1_000_000 * u64::from(share));
        let had_none = self.has_no_memory.get();
        // It does not go back and forth at the bound.
        let has_none = used > if had_none { bound / 20 * 19 } else { bound };
        self.has_no_memory.set(has_none);
        match (had_none, has_none) {
            (false, true) => Some(Turn::NoMemory),
            (true, false) => Some(Turn::Room),
            _ => None,
        }
    }
}

/// Bytes that the process holds in memory.
pub fn memory_used() -> Option<u64> {
    kilobytes(&fs::read_to_string("/proc/self/status").ok()?, "VmRSS:")
}

/// Bytes that it may hold: what its cgroup is given, else what the machine has.
pub fn memory_limit() -> Option<u64> {
    static LIMIT: LazyLock<Option<u64>> = LazyLock::new(|| {
        let number = |path: &str| fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
        let of_cgroup = cgroup_files(&fs::read_to_string("/proc/self/cgroup").unwrap_or_default());
        let of_cgroup = of_cgroup.iter().filter_map(|file| number(file)).min();
        let meminfo = fs::read_to_string("/proc/meminfo").ok()?;
        let total = kilobytes(&meminfo, "MemTotal:")?;
        Some(of_cgroup.map_or(total, |limit| limit.min(total)))
    });
    *LIMIT
}

/// The files that may hold the limit of a process with this `/proc/self/cgroup`: its own cgroup's, and of those above it (man 7
/// cgroups). In a container its own is the root.
fn cgroup_files(text: &str) -> Vec<String> {
    let mut files = Vec::new();
    for line in text.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
        let (root, file) = match controllers {
            "" => ("/sys/fs/cgroup", "memory.max"),
            _ if controllers.split(',').any(|one| one == "memory") => {
                ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
            }
            _ => continue,
        };
        let mut path = path.trim_end_matches('/');
        loop {
            files.push(format!("{root}{path}/{file}"));
            let Some((above, _)) = path.rsplit_once('/') else { break };
            path = above;
        }
    }
    files
}

/// The bytes that a line of this name tells in kilobytes.
fn kilobytes(text: &str, name: &str) -> Option<u64> {
    let told = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(told.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

/// All requests, in thousandths.
const ALL: u32 = 1000;
/// What the share grows and shrinks by at each look.
const MORE: u32 = 100;
const LESS: u32 = 50;
/// Late looks in a row that are no chance.
const SURE: u32 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { lag: Some(Duration::from_millis(100)), memory: Some(900_000) };

    fn refused(overload: &Overload, priority: Priority) -> usize {
        (0..1000).filter(|_| overload.refuses(priority)).count()
    }

    #[test]
    fn a_worker_that_stays_late_refuses_more_and_more_and_then_less_and_less() {
        let overload = Overload::default();
        let (late, fine) = (Duration::from_millis(101), Duration::from_millis(1));
        assert_eq!(overload.saw_lag(late, BOUNDS), None);
        assert_eq!(overload.saw_lag(fine, BOUNDS), None);
        for _ in 0..2 {
            assert_eq!(overload.saw_lag(late, BOUNDS), None, "it may be chance");
        }
        assert_eq!(overload.saw_lag(late, BOUNDS), Some(Turn::Late));
        for (priority, expected) in [(Priority::Low, 200), (Priority::Normal, 100), (Priority::High, 0)] {
            assert_eq!(refused(&overload, priority), expected, "{priority:?}");
        }
        for _ in 0..20 {
            overload.saw_lag(late, BOUNDS);
        }
        for priority in [Priority::Low, Priority::Normal, Priority::High] {
            assert_eq!(refused(&overload, priority), 1000, "{priority:?}");
        }
        let turns: Vec<_> = (0..30).filter_map(|_| overload.saw_lag(fine, BOUNDS)).collect();
        assert_eq!(turns, [Turn::InTime]);
        assert_eq!(refused(&overload, Priority::Low), 0);
    }

    #[test]
    fn a_process_without_memory_answers_what_matters_most() {
        let overload = Overload::default();
        assert_eq!(overload.saw_memory(899_999_999, 1_000_000_000, BOUNDS), None);
        assert_eq!(overload.saw_memory(900_000_001, 1_000_000_000, BOUNDS), Some(Turn::NoMemory));
        for (priority, expected) in [(Priority::Low, 1000), (Priority::Normal, 1000), (Priority::High, 0)] {
            assert_eq!(refused(&overload, priority), expected, "{priority:?}");
        }
        assert_eq!(overload.saw_memory(890_000_000, 1_000_000_000, BOUNDS), None, "too near");
        assert_eq!(overload.saw_memory(800_000_000, 1_000_000_000, BOUNDS), Some(Turn::Room));
        assert_eq!(overload.saw_memory(u64::MAX, 1_000_000_000, Bounds::default()), None);
        assert_eq!(refused(&overload, Priority::Normal), 0);
    }

    #[test]
    fn the_limit_of_a_cgroup_is_looked_for_on_the_way_up() {
        let of = |text: &str| cgroup_files(text).join(" ");
        assert_eq!(of("0::/\n"), "/sys/fs/cgroup/memory.max");
        assert_eq!(
            of("0::/system.slice/tollgate.service\n"),
            "/sys/fs/cgroup/system.slice/tollgate.service/memory.max /sys/fs/cgroup/system.slice/memory.max \
             /sys/fs/cgroup/memory.max"
        );
        assert_eq!(
            of("5:cpu,cpuacct:/a\n4:memory:/a\nnonsense\n"),
            "/sys/fs/cgroup/memory/a/memory.limit_in_bytes /sys/fs/cgroup/memory/memory.limit_in_bytes"
        );
    }

    #[test]
    fn the_memory_of_this_process_is_known() {
        let (used, limit) = (memory_used(), memory_limit());
        assert!(used.is_some_and(|used| used > 1 << 20) && used < limit, "{used:?} of {limit:?}");
    }
}
