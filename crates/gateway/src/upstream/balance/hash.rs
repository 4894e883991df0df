//! Hashes of what a request is balanced by. They stay the same between workers, restarts and gateways, so that peers
//! send the same key to the same endpoint.

use std::net::IpAddr;

use xxhash_rust::xxh3::xxh3_64;

/// The hash of a key for [`Policy::Hash`](super::Policy::Hash).
pub fn hash_bytes(key: &[u8]) -> u64 {
    xxh3_64(key)
}

/// The hash of a client's address for [`Policy::IpHash`](super::Policy::IpHash).
///
/// All of an IPv4 address, also when it is mapped into IPv6: a /24 would send whole offices and carriers to one
/// endpoint. The first 64 bits of an IPv6 address: a host changes the rest at will (RFC 8981).
pub fn hash_ip(address: IpAddr) -> u64 {
    match address.to_canonical() {
        IpAddr::V4(address) => xxh3_64(&address.octets()),
        IpAddr::V6(address) => xxh3_64(&address.octets()[..8]),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_client_hash_alike() {
        const CASES: &[(&str, &str, bool)] = &[
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("192.0.2.1", "::ffff:192.0.2.1", true),
            ("2001:db8:0:1::1", "2001:db8:0:1:ffff::2", true),
            ("2001:db8:0:1::1", "2001:db8:0:2::1", false),
        ];
        for &(one, other, alike) in CASES {
            let [first, second] = [one, other].map(|text| hash_ip(text.parse().unwrap()));
            assert_eq!(first == second, alike, "{one} and {other}");
        }
    }

    #[test]
    fn hashes_are_the_same_on_every_gateway() {
        assert_eq!(hash_bytes(b""), 0x2d06_8005_38d3_94c2);
    }
}
