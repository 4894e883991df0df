//! Where addresses are: a database in the format of MaxMind DB, held in memory.
//! All of it is looked at when a configuration is loaded. A request only walks its tree: that allocates nothing and cannot fail.

use std::collections::HashSet;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use maxminddb::{MaxMindDbError, Reader, WithinOptions};
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use xxhash_rust::xxh3::xxh3_64;

use crate::config::values::Country;
use crate::config::{Fault, Faults, Geo, read_named};

/// Bytes of a database: those of cities have some 100 MiB.
const MAX_FILE: u64 = 512 * 1024 * 1024;

/// Leaves that a tree may have for each of its nodes. One more than nodes is what a tree has; of more the branches have grown together,
/// and walking them might never end.
const MAX_LEAVES: usize = 3;

/// The countries of addresses.
pub struct Database {
    reader: Reader<Vec<u8>>,
    /// Whether it says nothing of IPv6.
    is_v4_only: bool,
    hash: u64,
}

impl Database {
    /// Reads the database of a configuration, unless it is the one that was there before; what is wrong with it is reported.
    pub fn load(config: &Geo, before: Option<&Arc<Self>>, faults: &mut Faults) -> Option<Arc<Self>> {
        let file = &config.database;
        let shown = file.value.display();
        let bytes = faults.take(read_named(file, MAX_FILE))?;
        let hash = xxh3_64(&bytes);
        if let Some(same) = before.filter(|before| before.hash == hash) {
            return Some(Arc::clone(same));
        }
        match Self::of_bytes(bytes, hash) {
            Ok(database) => Some(Arc::new(database)),
            Err(error) => {
                faults.push(Fault::error("bad_geo", file.span, format!("{shown}: {error}")));
                None
            }
        }
    }

    fn of_bytes(bytes: Vec<u8>, hash: u64) -> Result<Self, String> {
        if bytes.starts_with(GZIP) {
            return Err("it is compressed; unpack it, a database ends in .mmdb".to_owned());
        }
        let reader = Reader::from_source(bytes).map_err(|error| error.to_string())?;
        if !names_countries(&reader).map_err(|error| error.to_string())? {
            let kind = reader.metadata().database_type.as_str();
            return Err(format!("nothing in it names a country; it says of itself that it is {kind:?}"));
        }
        let is_v4_only = reader.metadata().ip_version == 4;
        Ok(Self { reader, is_v4_only, hash })
    }

    /// The country of an address.
    pub fn country(&self, address: IpAddr) -> Country {
        let address = address.to_canonical();
        if self.is_v4_only && address.is_ipv6() {
            return Country::UNKNOWN;
        }
        let record = self.reader.lookup(address).and_then(|found| found.decode::<Record>());
        // Every record has been read before; one that could not be would know nothing.
        record.ok().flatten().map_or(Country::UNKNOWN, |record| record.country())
    }
}

#[cfg(test)]
impl Database {
    /// One that knows these networks, for tests of others.
    pub(crate) fn of_networks(networks: &[(&str, &str)]) -> Self {
        let bytes = writer::CountryDatabase::USUAL.of(networks);
        Self::of_bytes(bytes, 0).unwrap_or_else(|error| panic!("{error}"))
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Database").field(&self.reader.metadata().database_type).finish()
    }
}

/// Reads all of a database, each record once, and tells whether one of them knows a country.
fn names_countries(reader: &Reader<Vec<u8>>) -> Result<bool, MaxMindDbError> {
    let most = (reader.metadata().node_count as usize).saturating_mul(MAX_LEAVES);
    let mut seen = HashSet::new();
    let mut is_any_known = false;
    // Empty leaves are counted as well, or there would be no bound.
    let all = WithinOptions::default().include_networks_without_data();
    for (count, network) in reader.networks(all)?.enumerate() {
        if count > most {
            return Err(MaxMindDbError::invalid_database("branches of its tree have grown together"));
        }
        let network = network?;
        if network.offset().is_some_and(|offset| seen.insert(offset)) {
            let record = network.decode::<Record>()?;
            is_any_known |= record.is_some_and(|record| record.country() != Country::UNKNOWN);
        }
    }
    Ok(is_any_known)
}

/// What the known databases say of an address, each in its own way: `country.iso_code` (MaxMind, DB-IP), `country_code` (IPinfo lite),
/// `country` (IPinfo).
#[derive(Deserialize)]
struct Record {
    #[serde(default)]
    country: Place,
    #[serde(default)]
    country_code: Place,
    /// Where the address is registered: all that is known of some, satellites say.
    #[serde(default)]
    registered_country: Place,
}

impl Record {
    fn country(&self) -> Country {
        let all = [&self.country, &self.country_code, &self.registered_country].map(|place| place.0);
        all.into_iter().find(|country| *country != Country::UNKNOWN).unwrap_or(Country::UNKNOWN)
    }
}

/// A country as a text or as a map with `iso_code`.
struct Place(Country);

impl Default for Place {
    fn default() -> Self {
        Self(Country::UNKNOWN)
    }
}

impl<'de> Deserialize<'de> for Place {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PlaceVisitor)
    }
}

struct PlaceVisitor;

impl<'de> Visitor<'de> for PlaceVisitor {
    type Value = Place;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a country")
    }

    fn visit_str<E>(self, text: &str) -> Result<Place, E> {
        Ok(Place(Country::of_code(text)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Place, A::Error> {
        let mut place = Place::default();
        while let Some(key) = map.next_key::<&str>()? {
            if key == "iso_code" {
                place = Place(Country::of_code(map.next_value()?));
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(place)
    }
}

/// How a gzip file begins (RFC 1952, section 2.3.1).
const GZIP: &[u8] = &[0x1f, 0x8b];

#[cfg(test)]
#[path = "../../../tests/src/country_database.rs"]
#[allow(unreachable_pub, clippy::unwrap_used)]
pub(crate) mod writer;

#[cfg(test)]
mod tests;
