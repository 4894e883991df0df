//! Which service the connections of a `tcp` listener lead to.

use std::sync::Arc;

use crate::route::HostPattern;
use crate::upstream::Timeouts;

/// The services of a listener, by the name that the client asks for.
#[derive(Debug, Default)]
pub struct Targets {
    /// The nearest name first.
    names: Vec<(HostPattern, Target)>,
    default: Option<Target>,
}

/// A service and what reaching it may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its name: a connection may outlive the snapshot that the listener's settings are of.
    pub service: Arc<str>,
    /// Of these `connect` and `idle` count, and those of tunnels.
    pub timeouts: Timeouts,
    /// How many endpoints are tried.
    pub attempts: u32,
}

impl Targets {
    /// Services by names, and one for all else.
    pub fn new(mut names: Vec<(HostPattern, Target)>, default: Option<Target>) -> Self {
        names.sort_by(|(one, _), (other, _)| one.compare(other));
        Self { names, default }
    }

    /// Whether it depends on the client's first bytes.
    pub fn want_name(&self) -> bool {
        !self.names.is_empty()
    }

    /// The service for a client that asks for this name, in lower case, or for none.
    pub fn find(&self, name: Option<&str>) -> Option<&Target> {
        let named = name.and_then(|name| self.names.iter().find(|(pattern, _)| pattern.matches(name)));
        named.map(|(_, target)| target).or(self.default.as_ref())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::Duration;

    use super::*;

    fn target(service: &str) -> Target {
        let second = Duration::from_secs(1);
        let timeouts = Timeouts {
            tls: None,
            connect: second,
            first_byte: second,
            idle: second,
            total: second,
            tunnel_idle: second,
            tunnel_total: second,
        };
        Target { service: service.into(), timeouts, attempts: 2 }
    }

    #[test]
    fn the_nearest_name_wins() {
        let names = ["*.example.com", "*.db.example.com", "a.db.example.com", "*.org"];
        let names = names.iter().map(|name| (HostPattern::parse(name).unwrap(), target(name)));
        let targets = Targets::new(names.collect(), Some(target("default")));
        for (name, expected) in [
            (Some("a.db.example.com"), "a.db.example.com"),
            (Some("b.db.example.com"), "*.db.example.com"),
            (Some("db.example.com"), "*.example.com"),
            (Some("example.com"), "default"),
            (Some("a.b.org"), "*.org"),
            (None, "default"),
        ] {
            assert_eq!(targets.find(name), Some(&target(expected)), "{name:?}");
        }
        assert_eq!(Targets::default().find(None), None);
    }
}
