//! `ip`: which addresses may call.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use http::StatusCode;

use crate::config::values::{Cidr, Countries, Country};
use crate::config::{Fault, Faults, IpPolicy, Located, read_named_text};
use crate::exchange::Exchange;
use crate::geo::Database;
use crate::policies::{Policy, Step};
use crate::refusal::{Refusal, Stage};

/// Bytes of a list: some four million networks.
const MAX_FILE: u64 = 64 * 1024 * 1024;

/// The compiled policy.
#[derive(Debug)]
pub struct Ip {
    /// Those that may call; nothing for all.
    allow: Option<Networks>,
    deny: Networks,
    countries: Option<CountryRules>,
}

/// What depends on where an address is.
#[derive(Debug)]
struct CountryRules {
    geo: Arc<Database>,
    allow: Countries,
    deny: Countries,
}

/// Addresses in many networks. As ranges that do not touch, in order, finding one is a binary search, however many they are and
/// however they lie within each other.
#[derive(Debug, Default)]
struct Networks {
    v4: Box<[(u32, u32)]>,
    v6: Box<[(u128, u128)]>,
}

impl Ip {
    /// Compiles the configuration and reads its lists; what is wrong with those is reported. Without a database, which has been reported
    /// then, no country counts.
    pub fn build(config: &IpPolicy, geo: Option<Arc<Database>>, faults: &mut Faults) -> Self {
        let mut networks = |inline: &[Cidr], file: &Option<Located<PathBuf>>| {
            let mut all = inline.to_vec();
            if let Some(file) = file {
                read_list(file, &mut all, faults);
            }
            Networks::new(&all)
        };
        let has_allowed =
            !config.allow.is_empty() || config.allow_file.is_some() || !config.allow_countries.is_empty();
        let allow = networks(&config.allow, &config.allow_file);
        let deny = networks(&config.deny, &config.deny_file);
        let geo = geo.filter(|_| config.countries().next().is_some());
        let countries = geo.map(|geo| {
            let set = |named: &[Located<Country>]| named.iter().map(|country| country.value).collect();
            CountryRules { geo, allow: set(&config.allow_countries), deny: set(&config.deny_countries) }
        });
        Self { allow: has_allowed.then_some(allow), deny, countries }
    }

    /// Whether an address may call, and its country, where that matters.
    fn admits(&self, address: IpAddr) -> (bool, Option<Country>) {
        let country = self.countries.as_ref().map(|rules| rules.geo.country(address));
        let is_among = |named: fn(&CountryRules) -> Countries| {
            self.countries
                .as_ref()
                .zip(country)
                .is_some_and(|(rules, country)| named(rules).contains(country))
        };
        let is_denied = self.deny.contains(address) || is_among(|rules| rules.deny);
        let is_allowed =
            self.allow.as_ref().is_none_or(|allow| allow.contains(address) || is_among(|rules| rules.allow));
        (is_allowed && !is_denied, country)
    }
}

impl Policy for Ip {
    fn name(&self) -> &'static str {
        "ip"
    }

    fn stage(&self) -> Stage {
        Stage::Admit
    }

    fn on_request(&self, exchange: &mut Exchange) -> Step<'_> {
        let (is_admitted, country) = self.admits(exchange.caller.ip);
        exchange.outcome.country = country;
        if is_admitted {
            return Step::Continue;
        }
        let detail = "the address that this comes from may not call";
        Step::Refuse(Box::new(Refusal::new(StatusCode::FORBIDDEN, "ip_not_allowed", Stage::Admit, detail)))
    }

    fn explain(&self) -> String {
        let rules = self.countries.as_ref();
        let allowed = told(self.allow.as_ref(), rules.map(|rules| rules.allow));
        let denied = told(Some(&self.deny), rules.map(|rules| rules.deny));
        let parts =
            [allowed.map(|from| format!("from {from}")), denied.map(|from| format!("not from {from}"))];
        parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}

/// Networks and countries in words, if there are any.
fn told(networks: Option<&Networks>, countries: Option<Countries>) -> Option<String> {
    let networks = networks.filter(|networks| networks.len() > 0).map(ToString::to_string);
    let countries =
        countries.filter(|countries| !countries.is_empty()).map(|countries| countries.to_string());
    let both: Vec<String> = networks.into_iter().chain(countries).collect();
    (!both.is_empty()).then(|| both.join(" or "))
}

impl Networks {
    fn new(networks: &[Cidr]) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for network in networks {
            match network.range() {
                (IpAddr::V4(first), IpAddr::V4(last)) => v4.push((first.to_bits(), last.to_bits())),
                (IpAddr::V6(first), IpAddr::V6(last)) => v6.push((first.to_bits(), last.to_bits())),
                // A network is of one kind.
                _ => {}
            }
        }
        let v4 = merge(v4, |last| last.checked_add(1));
        Self { v4, v6: merge(v6, |last| last.checked_add(1)) }
    }

    fn contains(&self, address: IpAddr) -> bool {
        match address.to_canonical() {
            IpAddr::V4(address) => is_in(&self.v4, address.to_bits()),
            IpAddr::V6(address) => is_in(&self.v6, address.to_bits()),
        }
    }

    fn len(&self) -> usize {
        self.v4.len() + self.v6.len()
    }
}

impl fmt::Display for Networks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.len() {
            1 => f.write_str("one range of addresses"),
            many => write!(f, "{many} ranges of addresses"),
        }
    }
}

/// The ranges in order, those that overlap or touch as one.
fn merge<T: Ord + Copy>(mut ranges: Vec<(T, T)>, next: impl Fn(T) -> Option<T>) -> Box<[(T, T)]> {
    ranges.sort_unstable();
    let mut merged: Vec<(T, T)> = Vec::with_capacity(ranges.len());
    for (first, last) in ranges {
        match merged.last_mut() {
            Some(before) if next(before.1).is_none_or(|next| first <= next) => before.1 = before.1.max(last),
            _ => merged.push((first, last)),
        }
    }
    merged.into()
}

fn is_in<T: Ord + Copy>(ranges: &[(T, T)], value: T) -> bool {
    let after = ranges.partition_point(|(first, _)| *first <= value);
    after.checked_sub(1).is_some_and(|place| value <= ranges[place].1)
}

/// Adds the networks that a file lists, or reports the first line that is none.
fn read_list(file: &Located<PathBuf>, networks: &mut Vec<Cidr>, faults: &mut Faults) {
    let shown = file.value.display();
    let Some(text) = faults.take(read_named_text(file, MAX_FILE)) else { return };
    for (number, line) in text.lines().enumerate() {
        let entry = line.split('#').next().unwrap_or_default().trim();
        if entry.is_empty() {
            continue;
        }
        match Cidr::parse(entry) {
            Ok(network) => networks.push(network),
            Err(complaint) => {
                let message = format!("{shown}, line {}: {complaint}", number + 1);
                return faults.push(Fault::error("bad_list", file.span, message));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    fn networks(texts: &[&str]) -> Networks {
        Networks::new(&texts.iter().map(|text| Cidr::parse(text).unwrap()).collect::<Vec<_>>())
    }

    #[test]
    fn what_is_denied_is_refused_whatever_is_allowed() {
        let ip = Ip {
            allow: Some(networks(&["10.0.0.0/8", "2001:db8::/32"])),
            deny: networks(&["10.1.0.0/16", "2001:db8:1::/48"]),
            countries: None,
        };
        for (address, admitted) in [
            ("10.0.0.1", true),
            ("10.1.2.3", false),
            ("10.2.0.0", true),
            ("11.0.0.0", false),
            ("::ffff:10.0.0.1", true),
            ("::ffff:10.1.0.1", false),
            ("2001:db8::1", true),
            ("2001:db8:1::1", false),
            ("::1", false),
        ] {
            assert_eq!(ip.admits(address.parse().unwrap()), (admitted, None), "{address}");
        }
        let open = Ip { allow: None, deny: networks(&["0.0.0.0/0"]), countries: None };
        assert!(!open.admits("255.255.255.255".parse().unwrap()).0);
        assert!(open.admits("::".parse().unwrap()).0);
    }

    #[test]
    fn a_country_may_call_beside_networks_and_what_is_denied_wins() {
        let known = [("192.0.2.0/24", "DE"), ("198.51.100.0/24", "KP"), ("203.0.113.0/24", "FR")];
        let geo = Arc::new(Database::of_networks(&known));
        let countries = |codes: &[&str]| codes.iter().map(|code| Country::of_code(code)).collect();
        let rules = |allow: &[&str], deny: &[&str]| {
            Some(CountryRules { geo: Arc::clone(&geo), allow: countries(allow), deny: countries(deny) })
        };
        let german = Ip {
            allow: Some(networks(&["10.0.0.0/8"])),
            deny: networks(&["192.0.2.7"]),
            countries: rules(&["DE"], &[]),
        };
        let careful = Ip { allow: None, deny: networks(&[]), countries: rules(&[], &["KP", "unknown"]) };
        let open = Ip { allow: None, deny: networks(&[]), countries: rules(&[], &["KP"]) };
        for (address, country, by) in [
            ("192.0.2.1", "DE", [true, true, true]),
            ("::ffff:192.0.2.1", "DE", [true, true, true]),
            ("192.0.2.7", "DE", [false, true, true]),
            ("198.51.100.1", "KP", [false, false, false]),
            ("203.0.113.1", "FR", [false, true, true]),
            ("10.1.2.3", "unknown", [true, false, true]),
            ("2001:db8::1", "unknown", [false, false, true]),
        ] {
            for (ip, admitted) in [&german, &careful, &open].into_iter().zip(by) {
                let expected = (admitted, Some(Country::of_code(country)));
                assert_eq!(ip.admits(address.parse().unwrap()), expected, "{address}, {}", ip.explain());
            }
        }
        assert_eq!(german.explain(), "from one range of addresses or DE, not from one range of addresses");
        assert_eq!(careful.explain(), "not from KP, unknown");
    }

    #[test]
    fn networks_that_touch_or_lie_in_each_other_are_one() {
        assert_eq!(networks(&["10.0.0.0/9", "10.128.0.0/9", "10.1.0.0/16", "10.0.0.7"]).len(), 1);
        assert_eq!(networks(&["10.0.0.0/9", "10.128.0.1"]).len(), 2);
        assert_eq!(networks(&["255.255.255.255", "0.0.0.0", "::", "ffff::/16"]).len(), 4);
        assert_eq!(networks(&["::/0", "0.0.0.0/0", "1.2.3.4", "::1"]).len(), 2);
    }

    proptest! {
        #[test]
        fn many_networks_hold_what_one_of_them_holds(
            all in prop::collection::vec((any::<u32>(), 0_u8..=32), 0..40), probes in prop::collection::vec(any::<u32>(), 40),
        ) {
            let all: Vec<Cidr> = all
                .into_iter()
                .map(|(address, bits)| {
                    let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
                    Cidr::parse(&format!("{}/{bits}", std::net::Ipv4Addr::from_bits(address & mask))).unwrap()
                })
                .collect();
            let together = Networks::new(&all);
            let edges = all.iter().flat_map(|network| {
                let (IpAddr::V4(first), IpAddr::V4(last)) = network.range() else { unreachable!() };
                let (first, last) = (first.to_bits(), last.to_bits());
                [first.wrapping_sub(1), first, last, last.wrapping_add(1)]
            });
            for probe in edges.chain(probes) {
                let address = IpAddr::V4(std::net::Ipv4Addr::from_bits(probe));
                prop_assert_eq!(together.contains(address), all.iter().any(|network| network.contains(address)));
            }
        }
    }
}
