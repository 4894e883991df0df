//! Databases of countries in the format of `MaxMind` DB, version 2.0, written for tests. A tree of nodes, each with a record for
//! the bit 0 and one for 1; 16 zero bytes; the data; and what the database says of itself.

use std::net::IpAddr;

/// A database that knows these networks, the later ones within earlier ones; a record's place is the path of a member and its value.
pub struct CountryDatabase {
    /// 4 or 6: what the addresses of the tree are. IPv4 networks lie in the first 2^32 addresses of a tree of IPv6.
    pub version: u16,
    /// Bits of a record: 24, 28 or 32.
    pub record_bits: u16,
    /// The members that hold the code: `["country", "iso_code"]`.
    pub path: &'static [&'static str],
}

/// What a branch leads to.
#[derive(Clone, Copy)]
enum Leads {
    Nowhere,
    Node(usize),
    /// The data at this offset.
    Data(usize),
}

impl CountryDatabase {
    /// As `GeoLite2-Country` is.
    pub const USUAL: Self = Self { version: 6, record_bits: 24, path: &["country", "iso_code"] };

    /// The bytes of the file.
    pub fn of(&self, networks: &[(&str, &str)]) -> Vec<u8> {
        let mut data = Vec::new();
        let mut tree = vec![[Leads::Nowhere; 2]];
        for (network, code) in networks {
            let offset = data.len();
            self.record(code, &mut data);
            let (bits, length) = self.prefix(network);
            insert(&mut tree, bits, length, Leads::Data(offset));
        }
        let mut file = Vec::new();
        for node in &tree {
            let [left, right] = node.map(|leads| match leads {
                Leads::Nowhere => tree.len(),
                Leads::Node(number) => number,
                Leads::Data(offset) => tree.len() + SEPARATOR + offset,
            } as u32);
            let (one, other) = (left.to_be_bytes(), right.to_be_bytes());
            match self.record_bits {
                24 => file.extend([&one[1..], &other[1..]].concat()),
                28 => file.extend([&one[1..], &[one[0] << 4 | other[0]], &other[1..]].concat()),
                _ => file.extend([one, other].concat()),
            }
        }
        file.extend([0; SEPARATOR]);
        file.extend(data);
        file.extend(b"\xab\xcd\xefMaxMind.com");
        self.metadata(tree.len() as u32, &mut file);
        file
    }

    fn record(&self, code: &str, data: &mut Vec<u8>) {
        for member in self.path {
            control(MAP, 1, data);
            text(member, data);
        }
        text(code, data);
    }

    /// A network's bits from the highest on, and how many of them there are.
    fn prefix(&self, network: &str) -> (u128, usize) {
        let (address, length) = network.split_once('/').unwrap();
        let length: usize = length.parse().unwrap();
        match address.parse().unwrap() {
            IpAddr::V4(address) if self.version == 6 => (u128::from(address.to_bits()), 96 + length),
            IpAddr::V4(address) => (u128::from(address.to_bits()) << 96, length),
            IpAddr::V6(address) => (address.to_bits(), length),
        }
    }

    fn metadata(&self, nodes: u32, file: &mut Vec<u8>) {
        control(MAP, 9, file);
        text("node_count", file);
        control(UINT32, 4, file);
        file.extend(nodes.to_be_bytes());
        text("build_epoch", file);
        control(UINT64, 8, file);
        file.extend(1_700_000_000_u64.to_be_bytes());
        for (name, number) in [
            ("record_size", self.record_bits),
            ("ip_version", self.version),
            ("binary_format_major_version", 2),
            ("binary_format_minor_version", 0),
        ] {
            text(name, file);
            control(UINT16, 2, file);
            file.extend(number.to_be_bytes());
        }
        text("database_type", file);
        text("Test-Country", file);
        text("languages", file);
        control(ARRAY, 0, file);
        text("description", file);
        control(MAP, 1, file);
        text("en", file);
        text("countries for tests", file);
    }
}

/// Leads the addresses of a prefix there; a leaf that is in the way is split, as the later network lies within it.
fn insert(tree: &mut Vec<[Leads; 2]>, bits: u128, length: usize, leads: Leads) {
    let mut node = 0;
    for place in 0..length {
        let bit = (bits >> (127 - place) & 1) as usize;
        if place + 1 == length {
            tree[node][bit] = leads;
            return;
        }
        node = match tree[node][bit] {
            Leads::Node(next) => next,
            leaf => {
                tree.push([leaf; 2]);
                tree[node][bit] = Leads::Node(tree.len() - 1);
                tree.len() - 1
            }
        };
    }
}

/// The kind of a value and its size; kinds beyond 7 stand in a byte of their own. Texts of tests are short: sizes from 29 on would
/// take more bytes.
fn control(kind: u8, size: u8, out: &mut Vec<u8>) {
    assert!(size < 29);
    if kind > 7 {
        out.extend([size, kind - 7]);
    } else {
        out.push(kind << 5 | size);
    }
}

fn text(value: &str, out: &mut Vec<u8>) {
    control(TEXT, value.len() as u8, out);
    out.extend(value.as_bytes());
}

/// Zero bytes between the tree and the data.
const SEPARATOR: usize = 16;

const TEXT: u8 = 2;
const UINT16: u8 = 5;
const UINT32: u8 = 6;
const MAP: u8 = 7;
const UINT64: u8 = 9;
const ARRAY: u8 = 11;
