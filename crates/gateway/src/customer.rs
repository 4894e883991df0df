//! What an address counts as, wherever clients are counted by theirs.

use std::net::{IpAddr, Ipv6Addr};

/// The address itself; one of IPv6 stands for its /64, all of which is mostly one customer's.
pub(crate) fn customer(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// Does something with the octets of what an address counts as.
#[inline]
pub(crate) fn with_octets<T>(address: IpAddr, act: impl FnOnce(&[u8]) -> T) -> T {
    match address {
        // Mostly: and not by way of the others.
        IpAddr::V4(address) => act(&address.octets()),
        address @ IpAddr::V6(_) => match customer(address) {
            IpAddr::V4(address) => act(&address.octets()),
            IpAddr::V6(address) => act(&address.octets()),
        },
    }
}
