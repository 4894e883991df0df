//! Databases of every kind, and damaged ones.
#![allow(clippy::unwrap_used)]

use std::net::IpAddr;

use proptest::prelude::*;

use super::writer::CountryDatabase;
use super::*;

const NETWORKS: &[(&str, &str)] =
    &[("192.0.2.0/24", "DE"), ("192.0.2.128/25", "AT"), ("198.51.100.7/32", "XK"), ("0.0.0.0/3", "US")];

const NETWORKS_OF_IPV6: &[(&str, &str)] = &[("2001:db8::/32", "CH"), ("2001:db8:1::/48", "FR")];

fn load(bytes: Vec<u8>) -> Result<Database, String> {
    let hash = xxh3_64(&bytes);
    Database::of_bytes(bytes, hash)
}

fn country(database: &Database, address: &str) -> &'static str {
    database.country(address.parse().unwrap()).as_str()
}

#[test]
fn trees_of_both_kinds_and_of_every_size_are_read() {
    for version in [4, 6] {
        for record_bits in [24, 28, 32] {
            let both = [NETWORKS, NETWORKS_OF_IPV6].concat();
            let networks = if version == 6 { &both } else { NETWORKS };
            let database =
                load(CountryDatabase { version, record_bits, ..CountryDatabase::USUAL }.of(networks))
                    .unwrap();
            for (address, expected) in [
                ("192.0.2.1", "DE"),
                ("192.0.2.200", "AT"),
                ("::ffff:192.0.2.200", "AT"),
                ("198.51.100.7", "XK"),
                ("198.51.100.8", "unknown"),
                ("1.2.3.4", "US"),
                ("255.255.255.255", "unknown"),
            ] {
                assert_eq!(
                    country(&database, address),
                    expected,
                    "{address} of {version}, {record_bits} bits"
                );
            }
            for (address, expected) in
                [("2001:db8::1", "CH"), ("2001:db8:1::1", "FR"), ("fe80::1", "unknown")]
            {
                let expected = if version == 6 { expected } else { "unknown" };
                assert_eq!(
                    country(&database, address),
                    expected,
                    "{address} of {version}, {record_bits} bits"
                );
            }
        }
    }
}

#[test]
fn records_of_every_layout_are_understood() {
    for path in
        [&["country", "iso_code"][..], &["registered_country", "iso_code"], &["country_code"], &["country"]]
    {
        let database = load(CountryDatabase { path, ..CountryDatabase::USUAL }.of(NETWORKS)).unwrap();
        assert_eq!(country(&database, "192.0.2.1"), "DE", "{path:?}");
    }
}

#[test]
fn what_is_no_database_of_countries_says_why() {
    let usual = CountryDatabase::USUAL.of(NETWORKS);
    let numbers = CountryDatabase { path: &["autonomous_system"], ..CountryDatabase::USUAL };
    let cut = usual[..usual.len() - 40].to_vec();
    for (bytes, words) in [
        (Vec::new(), "could not find MaxMind DB metadata"),
        (b"192.0.2.0/24,DE\n".to_vec(), "could not find MaxMind DB metadata"),
        (b"\x1f\x8b\x08\x00".to_vec(), "it is compressed"),
        (cut, "invalid database"),
        (usual[40..].to_vec(), "invalid database"),
        (numbers.of(NETWORKS), "nothing in it names a country"),
        (CountryDatabase::USUAL.of(&[("192.0.2.0/24", "EU")]), "nothing in it names a country"),
        (CountryDatabase { path: &[], ..CountryDatabase::USUAL }.of(NETWORKS), "expected map"),
    ] {
        let error = load(bytes).unwrap_err();
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn branches_that_grow_together_are_no_tree() {
    // Nodes whose branches both lead to the next one: 2^100 ways to the last of them.
    let mut file: Vec<u8> = (1..=100_u8).flat_map(|next| [0, 0, next, 0, 0, next]).collect();
    let usual = CountryDatabase::USUAL.of(&[("8000::/1", "DE")]);
    let count = usual.windows(10).position(|bytes| bytes == b"node_count").unwrap();
    file.extend(&usual[6..]);
    let at = file.len() - usual.len() + count + 11;
    file[at..at + 4].copy_from_slice(&101_u32.to_be_bytes());
    let error = load(file).unwrap_err();
    assert!(error.contains("grown together") || error.contains("invalid"), "{error}");
}

proptest! {
    #[test]
    fn a_damaged_database_is_refused_or_answers(
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in prop::option::of(any::<prop::sample::Index>()),
        bits in prop::sample::select(vec![24_u16, 28, 32]),
        probes in prop::collection::vec(any::<u128>(), 8),
    ) {
        let both = [NETWORKS, NETWORKS_OF_IPV6].concat();
        let mut bytes = CountryDatabase { record_bits: bits, ..CountryDatabase::USUAL }.of(&both);
        for (place, value) in flips {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        if let Ok(database) = load(bytes) {
            for probe in probes {
                database.country(IpAddr::V6(probe.into()));
                database.country(IpAddr::V4((probe as u32).into()));
            }
            for address in ["192.0.2.1", "192.0.2.200", "198.51.100.7", "2001:db8::1", "2001:db8:1::1"] {
                country(&database, address);
            }
        }
    }
}
