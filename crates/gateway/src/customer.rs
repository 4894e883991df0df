//! What an address counts as, wherever clients are counted by theirs.

use std::net::{IpAddr, Ipv6Addr};

/// Leading bits of an address of IPv6 that are mostly one customer's.
pub(crate) const USUAL_PREFIX: u8 = 64;

/// The address itself; one of IPv6 stands for its /64, all of which is mostly one customer's.
pub(crate) fn customer(address: IpAddr) -> IpAddr {
    network(address, USUAL_PREFIX)
}

/// Does something with the octets of what an address counts as, where one of IPv6 stands for all with so many leading bits.
#[inline]
pub(crate) fn with_octets<T>(address: IpAddr, ipv6_prefix: u8, act: impl FnOnce(&[u8]) -> T) -> T {
    match address {
        // Mostly: and not by way of the others.
        IpAddr::V4(address) => act(&address.octets()),
        address @ IpAddr::V6(_) => match network(address, ipv6_prefix) {
            IpAddr::V4(address) => act(&address.octets()),
            IpAddr::V6(address) => act(&address.octets()),
        },
    }
}

fn network(address: IpAddr, ipv6_prefix: u8) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let mask = !u128::MAX.checked_shr(ipv6_prefix.into()).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & mask))
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn so_many_leading_bits_count() {
        for (address, prefix, expected) in [
            ("2001:db8:aaaa:bbbb:cccc::1", 64, "2001:db8:aaaa:bbbb::"),
            ("2001:db8:aaaa:bbbb:cccc::1", 56, "2001:db8:aaaa:bb00::"),
            ("2001:db8:aaaa:bbbb:cccc::1", 32, "2001:db8::"),
            ("2001:db8:aaaa:bbbb:cccc::1", 128, "2001:db8:aaaa:bbbb:cccc::1"),
            ("192.0.2.1", 32, "192.0.2.1"),
            ("::ffff:192.0.2.1", 32, "192.0.2.1"),
        ] {
            let found = network(address.parse().unwrap(), prefix);
            assert_eq!(found, expected.parse::<IpAddr>().unwrap(), "{address}/{prefix}");
        }
    }
}
