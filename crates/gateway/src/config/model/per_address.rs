//! Bounds of what one address may have of a listener: `connections_per_ip`, `requests_per_ip`. They hold where nobody has set them, and
//! the default spares addresses that may well be many clients', which it would be wrong to bound unasked.

use std::fmt;

use super::listener::Limits;
use super::policy::Setting;
use crate::buckets::Pace;
use crate::config::node::Node;
use crate::config::read::{Read, Reader};
use crate::config::values::{Duration, Rate};

/// What one address may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PerAddress<T> {
    /// So much.
    pub most: T,
    /// Whether nobody has said so: then it is not for addresses that are near.
    pub is_default: bool,
}

impl Limits {
    /// Connections open at once.
    pub fn connections_of_an_address(&self) -> Option<PerAddress<u32>> {
        PerAddress::of(self.connections_per_ip.as_ref(), CONNECTIONS)
    }

    /// Requests in a time.
    pub fn requests_of_an_address(&self) -> Option<PerAddress<Rate>> {
        PerAddress::of(self.requests_per_ip.as_ref(), REQUESTS)
    }
}

impl<T: Copy> PerAddress<T> {
    fn of(setting: Option<&Setting<T>>, default: T) -> Option<Self> {
        match setting {
            None => Some(Self { most: default, is_default: true }),
            Some(Setting::Off) => None,
            Some(Setting::On(most)) => Some(Self { most: *most, is_default: false }),
        }
    }
}

impl<T: fmt::Display> fmt::Display for PerAddress<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.most, if self.is_default { " by default" } else { "" })
    }
}

/// The rate of requests as a bucket of tokens. Nothing for what is too fast to be counted.
pub fn request_pace(rate: Rate) -> Option<Pace> {
    Pace::new(rate.count, *rate.period, rate.count.checked_mul(AT_ONCE)?)
}

/// Reads `requests_per_ip`.
pub(super) fn read_requests(node: &Node, reader: &mut Reader) -> Option<Setting<Rate>> {
    let setting: Setting<Rate> = Setting::read(node, reader)?;
    if setting.value().is_some_and(|rate| request_pace(*rate).is_none()) {
        reader.wrong(node.span, "a limit is at most 1000000/s");
        return None;
    }
    Some(setting)
}

/// More than a browser or a program opens; less than would leave others without.
const CONNECTIONS: u32 = 1000;

/// More than one client asks for, and many behind one address together.
const REQUESTS: Rate = Rate { count: 5000, period: Duration::from_secs(1) };

/// How many times the rate may come at once.
const AT_ONCE: u64 = 2;
