//! Headers as the specification gives them, headers as it forbids them, and any bytes at all.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::crc32c::crc32c;
use super::v2::{FIXED, LOCAL, PROXY, TYPE_CRC32C, checksum_of};
use super::*;

#[allow(clippy::unnecessary_wraps)] // as headers say it
fn client(source: &str, destination: &str) -> Option<Endpoints> {
    Some(Endpoints { source: source.parse().unwrap(), destination: destination.parse().unwrap() })
}

/// A header of version 2 with this block.
fn v2(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
    let mut header = v2::SIGNATURE.to_vec();
    header.extend_from_slice(&[command, family]);
    header.extend_from_slice(&u16::try_from(block.len()).unwrap().to_be_bytes());
    header.extend_from_slice(block);
    header
}

/// The block of `192.0.2.7:56324` to `198.51.100.1:443`, with these tagged values behind it.
fn inet(tagged: &[u8]) -> Vec<u8> {
    let mut block = vec![192, 0, 2, 7, 198, 51, 100, 1, 0xdc, 0x04, 0x01, 0xbb];
    block.extend_from_slice(tagged);
    block
}

fn inet6() -> Vec<u8> {
    let mut block = Vec::new();
    block.extend_from_slice(&"2001:db8::7".parse::<std::net::Ipv6Addr>().unwrap().octets());
    block.extend_from_slice(&"2001:db8::1".parse::<std::net::Ipv6Addr>().unwrap().octets());
    block.extend_from_slice(&[0xdc, 0x04, 0x01, 0xbb]);
    block
}

/// An IPv4 header with a checksum among other tagged values, off by this much.
fn checked(error: u32) -> Vec<u8> {
    let mut header =
        v2(PROXY, 0x11, &inet(&[4, 0, 1, 0, TYPE_CRC32C, 0, 4, 0, 0, 0, 0, 0xe0, 0, 2, b'a', b'b']));
    let at = FIXED + 12 + 4 + 3;
    let sum = checksum_of(&header, at).wrapping_add(error);
    header[at..at + 4].copy_from_slice(&sum.to_be_bytes());
    header
}

#[test]
fn headers_of_the_specification_are_read() {
    let over_ipv4 = client("192.0.2.7:56324", "198.51.100.1:443");
    let over_ipv6 = client("[2001:db8::7]:56324", "[2001:db8::1]:443");
    let longest = format!("PROXY UNKNOWN {}\r\n", "f".repeat(91));
    let cases: &[(&[u8], Option<Endpoints>)] = &[
        (b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n", over_ipv4),
        (b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", client("255.255.255.255:65535", "255.255.255.255:65535")),
        (b"PROXY TCP4 1.2.3.4 5.6.7.8 0 1\r\n", client("1.2.3.4:0", "5.6.7.8:1")),
        (b"PROXY TCP6 2001:db8::7 2001:DB8:0:0:0:0:0:1 56324 443\r\n", over_ipv6),
        (b"PROXY TCP6 ::ffff:192.0.2.7 ::1 1 2\r\n", client("[::ffff:192.0.2.7]:1", "[::1]:2")),
        (b"PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
         client("[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535", "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535")),
        (b"PROXY UNKNOWN\r\n", None),
        (b"PROXY UNKNOWN what follows is to be ignored\r\n", None),
        (longest.as_bytes(), None),
        (&v2(PROXY, 0x11, &inet(&[])), over_ipv4),
        (&v2(PROXY, 0x21, &inet6()), over_ipv6),
        (&v2(PROXY, 0x11, &inet(&[4, 0, 0, 1, 0, 2, b'h', b'2'])), over_ipv4),
        (&checked(0), over_ipv4),
        (&v2(LOCAL, 0x00, &[]), None),
        (&v2(LOCAL, 0xff, b"thrown away"), None),
        (&v2(PROXY, 0x00, &[]), None),
        (&v2(PROXY, 0x00, b"skipped"), None),
        // Of datagrams, and of Unix sockets: not this connection's addresses.
        (&v2(PROXY, 0x12, &inet(&[])), None),
        (&v2(PROXY, 0x10, &inet(&[])), None),
        (&v2(PROXY, 0x31, &[b'/'; 216]), None),
        (&v2(PROXY, 0x11, &inet(&[[4, 0x10, 0].as_slice(), &[0; 4096]].concat())), over_ipv4),
    ];
    for (bytes, client) in cases {
        let shown = String::from_utf8_lossy(bytes);
        let is_local = bytes.starts_with(&[v2::SIGNATURE, &[LOCAL]].concat());
        let header = Header { client: *client, is_local, length: bytes.len() };
        assert_eq!(parse(bytes), Ok(Some(header)), "{shown}");
        let followed = [bytes, b"GET / HTTP/1.1\r\n".as_slice()].concat();
        assert_eq!(parse(&followed), Ok(Some(header)), "{shown}");
        for length in 0..bytes.len() {
            assert_eq!(parse(&bytes[..length]), Ok(None), "the first {length} bytes of {shown}");
        }
    }
}

#[test]
fn whatever_is_no_header_is_a_fault() {
    let too_long = format!("PROXY UNKNOWN {}\r\n", "f".repeat(92));
    let endless = [b"PROXY UNKNOWN ".as_slice(), &[b'f'; 200]].concat();
    let cases: &[(&[u8], HeaderFault)] = &[
        (b"GET / HTTP/1.1\r\n", HeaderFault::Missing),
        (b"P ", HeaderFault::Missing),
        (b"proxy TCP4 192.0.2.7 198.51.100.1 56324 443\r\n", HeaderFault::Missing),
        (b"\x16\x03\x01", HeaderFault::Missing),
        (b"\r\n\r\n\x00\r\nQUIT\r", HeaderFault::Missing),
        (too_long.as_bytes(), HeaderFault::TooLong),
        (&endless, HeaderFault::TooLong),
        (b"PROXY TCP4 192.0.2.7 198.51.100.1 56324\r\n", HeaderFault::Malformed),
        (b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 443 \r\n", HeaderFault::Malformed),
        (b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 443 x\r\n", HeaderFault::Malformed),
        (b"PROXY TCP4  192.0.2.7 198.51.100.1 56324 443\r\n", HeaderFault::Malformed),
        (b"PROXY  TCP4 192.0.2.7 198.51.100.1 56324 443\r\n", HeaderFault::Malformed),
        (b"PROXY TCP4 192.0.2.07 198.51.100.1 56324 443\r\n", HeaderFault::Malformed),
        (b"PROXY TCP4 192.0.2.256 198.51.100.1 56324 443\r\n", HeaderFault::Malformed),
        (b"PROXY TCP4 192.0.2 198.51.100.1 56324 443\r\n", HeaderFault::Malformed),
        (b"PROXY TCP4 192.0.2.7 198.51.100.1 056324 443\r\n", HeaderFault::Malformed),
        (b"PROXY TCP4 192.0.2.7 198.51.100.1 00 443\r\n", HeaderFault::Malformed),
        (b"PROXY TCP4 192.0.2.7 198.51.100.1 +1 443\r\n", HeaderFault::Malformed),
        (b"PROXY TCP4 192.0.2.7 198.51.100.1 65536 443\r\n", HeaderFault::Malformed),
        (b"PROXY TCP4 192.0.2.7 198.51.100.1  443\r\n", HeaderFault::Malformed),
        (b"PROXY TCP4 ::1 ::1 1 2\r\n", HeaderFault::Malformed),
        (b"PROXY TCP6 192.0.2.7 198.51.100.1 1 2\r\n", HeaderFault::Malformed),
        (b"PROXY TCP6 [::1] ::1 1 2\r\n", HeaderFault::Malformed),
        (b"PROXY TCP6 ::1%lo ::1 1 2\r\n", HeaderFault::Malformed),
        (b"PROXY UDP4 192.0.2.7 198.51.100.1 1 2\r\n", HeaderFault::Malformed),
        (b"PROXY TCP4\r\n", HeaderFault::Malformed),
        (b"PROXY \r\n", HeaderFault::Malformed),
        (b"PROXY UNKNOWN\n", HeaderFault::Malformed),
        (b"PROXY UNKNOWN\rx\r\n", HeaderFault::Malformed),
        (b"PROXY UNKNOWNX\r\n", HeaderFault::Malformed),
        (b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\xff\r\n", HeaderFault::Malformed),
        // A version, a command, a family and a transport that do not exist.
        (&v2(0x11, 0x11, &inet(&[])), HeaderFault::Malformed),
        (&v2(0x22, 0x11, &inet(&[])), HeaderFault::Malformed),
        (&v2(PROXY, 0x41, &inet(&[])), HeaderFault::Malformed),
        (&v2(PROXY, 0x13, &inet(&[])), HeaderFault::Malformed),
        // Addresses that are cut off, and tagged values that do not fit.
        (&v2(PROXY, 0x11, &inet(&[])[..11]), HeaderFault::Malformed),
        (&v2(PROXY, 0x21, &inet6()[..35]), HeaderFault::Malformed),
        (&v2(PROXY, 0x31, &[0; 215]), HeaderFault::Malformed),
        (&v2(PROXY, 0x11, &inet(&[4])), HeaderFault::Malformed),
        (&v2(PROXY, 0x11, &inet(&[4, 0])), HeaderFault::Malformed),
        (&v2(PROXY, 0x11, &inet(&[4, 0, 2, 0])), HeaderFault::Malformed),
        (&v2(PROXY, 0x12, &inet(&[4, 0, 2, 0])), HeaderFault::Malformed),
        (&v2(PROXY, 0x11, &inet(&[TYPE_CRC32C, 0, 3, 0, 0, 0])), HeaderFault::Malformed),
        (&v2(PROXY, 0x11, &inet(&[3, 0, 4, 0, 0, 0, 0, 3, 0, 4, 0, 0, 0, 0])), HeaderFault::Malformed),
        (&checked(1), HeaderFault::Checksum),
        (&v2(LOCAL, 0, &[0; MAX_LENGTH]), HeaderFault::TooLong),
    ];
    for (bytes, fault) in cases {
        let shown = String::from_utf8_lossy(bytes);
        assert_eq!(parse(bytes), Err(*fault), "{shown}");
        // Nor does it become one on the way.
        for length in 0..bytes.len() {
            let early = parse(&bytes[..length]);
            assert!(early == Ok(None) || early == Err(*fault), "the first {length} bytes of {shown}");
        }
    }
}

#[test]
fn headers_are_written_as_the_specification_wants_them() {
    let written = |version, client| {
        let mut out = Vec::new();
        encode(version, client, &mut out);
        out
    };
    let over_ipv4 = client("192.0.2.7:56324", "198.51.100.1:443");
    let text = |client| String::from_utf8(written(Version::V1, client)).unwrap();
    assert_eq!(text(over_ipv4), "PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n");
    assert_eq!(text(client("[2001:db8::7]:1", "[::1]:2")), "PROXY TCP6 2001:db8::7 ::1 1 2\r\n");
    assert_eq!(
        text(client("[::ffff:192.0.2.7]:1", "[::ffff:192.0.2.1]:2")),
        "PROXY TCP4 192.0.2.7 192.0.2.1 1 2\r\n"
    );
    assert_eq!(
        text(client("192.0.2.7:1", "[2001:db8::1]:2")),
        "PROXY TCP6 ::ffff:192.0.2.7 2001:db8::1 1 2\r\n"
    );
    assert_eq!(text(None), "PROXY UNKNOWN\r\n");
    assert_eq!(written(Version::V2, over_ipv4), v2(PROXY, 0x11, &inet(&[])));
    assert_eq!(
        written(Version::V2, client("[2001:db8::7]:56324", "[2001:db8::1]:443")),
        v2(PROXY, 0x21, &inet6())
    );
    assert_eq!(written(Version::V2, None), v2(PROXY, 0, &[]));
}

#[test]
fn an_address_with_a_flipped_bit_does_not_pass_the_checksum() {
    for at in FIXED..FIXED + 12 {
        for bit in 0..8 {
            let mut header = checked(0);
            header[at] ^= 1 << bit;
            assert_eq!(parse(&header), Err(HeaderFault::Checksum), "bit {bit} of byte {at}");
        }
    }
}

fn any_endpoints() -> impl Strategy<Value = Endpoints> {
    any::<(SocketAddr, SocketAddr)>().prop_map(|(source, destination)| Endpoints { source, destination })
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(client in any_endpoints(), is_second in any::<bool>(), rest in any::<Vec<u8>>()) {
        let version = if is_second { Version::V2 } else { Version::V1 };
        let mut bytes = Vec::new();
        encode(version, Some(client), &mut bytes);
        let length = bytes.len();
        bytes.extend_from_slice(&rest);
        let header = parse(&bytes).unwrap().unwrap();
        prop_assert_eq!(header.length, length);
        let read = header.client.unwrap();
        let plain = |address: SocketAddr| (address.ip().to_canonical(), address.port());
        prop_assert_eq!(plain(read.source), plain(client.source));
        prop_assert_eq!(plain(read.destination), plain(client.destination));
    }

    #[test]
    fn any_bytes_behind_a_signature_are_read_the_same_in_parts(
        is_second in any::<bool>(),
        command in proptest::sample::select(vec![LOCAL, PROXY, 0x22]),
        family in any::<u8>(),
        block in proptest::collection::vec(any::<u8>(), 0..400),
    ) {
        let bytes = if is_second { v2(command, family, &block) } else { [v1::SIGNATURE, &block].concat() };
        let at_once = parse(&bytes);
        if let Ok(Some(header)) = at_once {
            prop_assert!(header.length <= bytes.len());
        }
        let in_parts = (0..=bytes.len()).map(|length| parse(&bytes[..length])).find(|read| *read != Ok(None));
        prop_assert_eq!(in_parts.unwrap_or(Ok(None)), at_once);
    }

    #[test]
    fn the_checksum_depends_on_every_byte(bytes in proptest::collection::vec(any::<u8>(), 1..100), at in any::<prop::sample::Index>()) {
        let at = at.index(bytes.len());
        let mut other = bytes.clone();
        other[at] = !other[at];
        prop_assert_ne!(crc32c(bytes.into_iter()), crc32c(other.into_iter()));
    }
}
