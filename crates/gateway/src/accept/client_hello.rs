//! The name that a TLS client asks for, read from its first bytes without taking part in the handshake (RFC 8446,
//! section 4.1.2; RFC 6066, section 3). Bytes in, a name out; no I/O.
//!
//! It only looks: whoever passes the connection on passes on every byte.

/// The longest `ClientHello` that is read, its records' heads included. Those of browsers take up to 2 KiB.
pub const MAX_LENGTH: usize = 16 * 1024;

/// What was learnt from a `ClientHello`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientHello {
    /// The name in `server_name`, in lower case; nothing when the client sent none.
    pub server_name: Option<Box<str>>,
}

/// Why the first bytes of a connection are no `ClientHello`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HelloFault {
    /// They are not TLS.
    #[error("the connection does not begin with a TLS handshake")]
    NotTls,
    /// They begin as TLS and do not go on as a `ClientHello`.
    #[error("the ClientHello is malformed")]
    Malformed,
    /// It is longer than [`MAX_LENGTH`].
    #[error("the ClientHello is too long")]
    TooLong,
}

impl HelloFault {
    /// The stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::NotTls => "client_hello_missing",
            Self::Malformed => "client_hello_malformed",
            Self::TooLong => "client_hello_too_long",
        }
    }
}

/// A fatal alert that goes out before any key is agreed on (RFC 8446, section 6).
pub const fn fatal_alert(description: u8) -> [u8; 7] {
    [ALERT, 3, 3, 0, 2, FATAL, description]
}

/// No service has this name.
pub const UNRECOGNIZED_NAME: u8 = 112;
/// A message that could not be read.
pub const DECODE_ERROR: u8 = 50;

/// Reads the `ClientHello` from the first bytes of a connection; `None` while more of it is needed, which is at most
/// [`MAX_LENGTH`] bytes in all.
pub fn parse(bytes: &[u8]) -> Result<Option<ClientHello>, HelloFault> {
    let mut message = Message::default();
    let mut rest = bytes;
    // Each turn takes a record of one byte at least, of `MAX_LENGTH`.
    loop {
        let record = match split_record(rest)? {
            Some((record, after)) => {
                rest = after;
                record
            }
            None if bytes.len() >= MAX_LENGTH => return Err(HelloFault::TooLong),
            None => return Ok(None),
        };
        message.add(record);
        if let Some(body) = message.body()? {
            return read_body(body).map(Some).ok_or(HelloFault::Malformed);
        }
        if bytes.len() - rest.len() >= MAX_LENGTH {
            return Err(HelloFault::TooLong);
        }
    }
}

/// A record's fragment, and what follows it.
type Split<'a> = (&'a [u8], &'a [u8]);

/// Splits the first record off; nothing while it is not there whole.
fn split_record(bytes: &[u8]) -> Result<Option<Split<'_>>, HelloFault> {
    let is_expected = |at: usize, expected: u8| bytes.get(at).is_none_or(|byte| *byte == expected);
    // The version of the record says nothing but that it is TLS (RFC 8446, section 5.1).
    if !is_expected(0, HANDSHAKE) || !is_expected(1, 3) {
        return Err(HelloFault::NotTls);
    }
    let [_, _, _, high, low, fragment @ ..] = bytes else { return Ok(None) };
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    match length {
        // No record of a handshake is empty (RFC 8446, section 5.1).
        0 => Err(HelloFault::Malformed),
        _ if length > MAX_RECORD => Err(HelloFault::TooLong),
        _ => Ok(fragment.split_at_checked(length)),
    }
}

/// The handshake message as its records come: usually one, which is not copied.
#[derive(Default)]
struct Message<'a> {
    only: &'a [u8],
    joined: Vec<u8>,
}

impl<'a> Message<'a> {
    fn add(&mut self, fragment: &'a [u8]) {
        if self.only.is_empty() && self.joined.is_empty() {
            self.only = fragment;
            return;
        }
        self.joined.extend_from_slice(std::mem::take(&mut self.only));
        self.joined.extend_from_slice(fragment);
    }

    /// The message without its type and length, once it is there whole.
    fn body(&self) -> Result<Option<&[u8]>, HelloFault> {
        let bytes = if self.joined.is_empty() { self.only } else { &self.joined };
        match bytes {
            [kind, ..] if *kind != CLIENT_HELLO => Err(HelloFault::Malformed),
            [_, high, middle, low, body @ ..] => {
                let length = u32::from_be_bytes([0, *high, *middle, *low]) as usize;
                if length > MAX_LENGTH {
                    return Err(HelloFault::TooLong);
                }
                // Nothing may follow in the same record (RFC 8446, section 5.1).
                if body.len() > length { Err(HelloFault::Malformed) } else { Ok(body.get(..length)) }
            }
            _ => Ok(None),
        }
    }
}

/// What stands in a `ClientHello`; `None` when it is malformed.
fn read_body(body: &[u8]) -> Option<ClientHello> {
    let (_version_and_random, rest) = body.split_at_checked(2 + 32)?;
    let (session, rest) = split_short(rest)?;
    let (ciphers, rest) = split_long(rest)?;
    let (compressions, rest) = split_short(rest)?;
    if session.len() > 32 || ciphers.is_empty() || ciphers.len() % 2 != 0 || compressions.is_empty() {
        return None;
    }
    if rest.is_empty() {
        // Before TLS 1.3 extensions may be missing altogether (RFC 5246, section 7.4.1.2).
        return Some(ClientHello { server_name: None });
    }
    let (mut extensions, rest) = split_long(rest)?;
    if !rest.is_empty() {
        return None;
    }
    let mut server_name = None;
    // Each turn takes four bytes at least, of `MAX_LENGTH`.
    while let [high, low, after @ ..] = extensions {
        let (value, after) = split_long(after)?;
        extensions = after;
        if u16::from_be_bytes([*high, *low]) == SERVER_NAME
            && server_name.replace(read_name(value)?).is_some()
        {
            return None;
        }
    }
    extensions.is_empty().then_some(ClientHello { server_name })
}

/// The one name of the list: names of other kinds were never defined (RFC 6066, section 3).
fn read_name(value: &[u8]) -> Option<Box<str>> {
    let (list, rest) = split_long(value)?;
    let [HOST_NAME, list @ ..] = list else { return None };
    let (name, others) = split_long(list)?;
    if !rest.is_empty() || !others.is_empty() || !is_name(name) {
        return None;
    }
    Some(str::from_utf8(name).ok()?.to_ascii_lowercase().into())
}

/// Whether it is a DNS name, as clients send it: without a dot at its end.
fn is_name(name: &[u8]) -> bool {
    let is_label = |label: &[u8]| {
        (1..=63).contains(&label.len())
            && label.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(byte))
    };
    name.len() <= 253 && name.split(|byte| *byte == b'.').all(is_label)
}

/// A value behind its length in one byte, and what follows it.
fn split_short(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first()?;
    rest.split_at_checked(usize::from(*length))
}

/// A value behind its length in two bytes, and what follows it.
fn split_long(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
}

/// Kinds of records (RFC 8446, section 5.1).
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
/// The level of an alert that ends the connection.
const FATAL: u8 = 2;
/// The kind of the first message.
const CLIENT_HELLO: u8 = 1;
/// The extension that holds the name, and the only kind of name in it.
const SERVER_NAME: u16 = 0;
const HOST_NAME: u8 = 0;
/// The longest fragment of a record.
const MAX_RECORD: usize = 1 << 14;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::Arc;

    use proptest::prelude::*;
    use rustls::pki_types::ServerName;

    use super::*;

    /// A length in two bytes, and what it counts.
    fn long(value: &[u8]) -> Vec<u8> {
        [&u16::try_from(value.len()).unwrap().to_be_bytes(), value].concat()
    }

    /// The value of the extension for this name.
    fn server_name(name: &[u8]) -> Vec<u8> {
        long(&[&[HOST_NAME], long(name).as_slice()].concat())
    }

    /// A `ClientHello`, without its record, with these extensions.
    fn hello(extensions: &[(u16, Vec<u8>)]) -> Vec<u8> {
        let extensions: Vec<u8> = extensions
            .iter()
            .flat_map(|(kind, value)| [&kind.to_be_bytes(), long(value).as_slice()].concat())
            .collect();
        message(&[&[3; 34], [0].as_slice(), &long(&[0x13, 1]), &[1, 0], &long(&extensions)].concat())
    }

    fn message(body: &[u8]) -> Vec<u8> {
        [&[CLIENT_HELLO], &u32::try_from(body.len()).unwrap().to_be_bytes()[1..], body].concat()
    }

    /// These bytes in records of this size.
    fn records(message: &[u8], size: usize) -> Vec<u8> {
        message
            .chunks(size)
            .flat_map(|fragment| [&[HANDSHAKE, 3, 1], long(fragment).as_slice()].concat())
            .collect()
    }

    fn record(message: &[u8]) -> Vec<u8> {
        records(message, MAX_RECORD)
    }

    fn named(name: &str) -> ClientHello {
        ClientHello { server_name: Some(name.into()) }
    }

    /// What a client of rustls sends first.
    fn from_rustls(name: &str) -> Vec<u8> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let mut client = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
        let mut bytes = Vec::new();
        client.write_tls(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn the_name_is_found_however_the_bytes_come() {
        let greased =
            [(0x1a1a, vec![]), (SERVER_NAME, server_name(b"DB.Example.com")), (16, b"\0\x03\x02h2".to_vec())];
        let plain = hello(&greased);
        let old = message(&[&[3; 34], [0].as_slice(), &long(&[0x13, 1]), &[1, 0]].concat());
        for (bytes, expected) in [
            (from_rustls("db.example.com"), named("db.example.com")),
            (from_rustls("192.0.2.7"), ClientHello { server_name: None }),
            (record(&plain), named("db.example.com")),
            (records(&plain, 1), named("db.example.com")),
            (records(&plain, 7), named("db.example.com")),
            (record(&hello(&[(SERVER_NAME, server_name(b"a_b.c-d"))])), named("a_b.c-d")),
            (record(&hello(&[])), ClientHello { server_name: None }),
            (record(&old), ClientHello { server_name: None }),
        ] {
            assert_eq!(parse(&bytes), Ok(Some(expected.clone())));
            assert_eq!(parse(&[bytes.as_slice(), b"\x14\x03\x03"].concat()), Ok(Some(expected)));
            for length in 0..bytes.len() {
                assert_eq!(parse(&bytes[..length]), Ok(None), "{length} of {} bytes", bytes.len());
            }
        }
    }

    #[test]
    fn what_is_no_client_hello_is_a_fault() {
        let name = |value: Vec<u8>| record(&hello(&[(SERVER_NAME, value)]));
        let good = hello(&[(SERVER_NAME, server_name(b"a.example"))]);
        let followed = [good.as_slice(), &[0]].concat();
        let cut: Vec<u8> = good[4..good.len() - 1].to_vec();
        let body = |parts: &[&[u8]]| record(&message(&[[3; 34].as_slice(), &parts.concat()].concat()));
        for (bytes, fault) in [
            (b"GET / HTTP/1.1\r\n".to_vec(), HelloFault::NotTls),
            (b"\x16\x02\x00".to_vec(), HelloFault::NotTls),
            (b"\x15\x03\x03".to_vec(), HelloFault::NotTls),
            (record(&[2, 0, 0, 1, 0]), HelloFault::Malformed),
            (vec![HANDSHAKE, 3, 1, 0, 0], HelloFault::Malformed),
            (vec![HANDSHAKE, 3, 1, 0x40, 1], HelloFault::TooLong),
            (record(&[CLIENT_HELLO, 0, 0x40, 1]), HelloFault::TooLong),
            ([records(&good[..9], 9), vec![0x17, 3, 3]].concat(), HelloFault::NotTls),
            (record(&followed), HelloFault::Malformed),
            (record(&message(&cut)), HelloFault::Malformed),
            (record(&message(&[])), HelloFault::Malformed),
            (body(&[&[33], &[0; 33], &[0, 2, 0x13, 1], &[1, 0]]), HelloFault::Malformed),
            (body(&[&[0], &[0, 0], &[1, 0]]), HelloFault::Malformed),
            (body(&[&[0], &[0, 3, 0, 0, 0], &[1, 0]]), HelloFault::Malformed),
            (body(&[&[0], &[0, 2, 0x13, 1], &[0]]), HelloFault::Malformed),
            (body(&[&[0], &[0, 2, 0x13, 1], &[1, 0], &[0, 0, 0]]), HelloFault::Malformed),
            (body(&[&[0], &[0, 2, 0x13, 1], &[1, 0], &[0, 1, 0]]), HelloFault::Malformed),
            (name(vec![]), HelloFault::Malformed),
            (name(long(&[])), HelloFault::Malformed),
            (name([server_name(b"a.example"), vec![0]].concat()), HelloFault::Malformed),
            (name(long(&[&[1], long(b"a.example").as_slice()].concat())), HelloFault::Malformed),
            (
                name(long(&[&[0], long(b"a.b").as_slice(), &[0], &long(b"c.d")].concat())),
                HelloFault::Malformed,
            ),
            (name(server_name(b"")), HelloFault::Malformed),
            (name(server_name(b"a.example.")), HelloFault::Malformed),
            (name(server_name(b"a..example")), HelloFault::Malformed),
            (name(server_name(b"a b.example")), HelloFault::Malformed),
            (name(server_name(b"a\0.example")), HelloFault::Malformed),
            (name(server_name("ä.example".as_bytes())), HelloFault::Malformed),
            (name(server_name(&[b'a'; 64])), HelloFault::Malformed),
            (record(&hello(&[(0, server_name(b"a.b")), (0, server_name(b"a.b"))])), HelloFault::Malformed),
        ] {
            assert_eq!(parse(&bytes), Err(fault), "{bytes:x?}");
        }
    }

    #[test]
    fn no_more_is_collected_than_the_bound() {
        let long = message(&vec![0; MAX_LENGTH - 4]);
        for size in [1, 100, MAX_LENGTH - 10] {
            let bytes = records(&long, size);
            let ended = (0..=bytes.len()).step_by(97).find(|length| parse(&bytes[..*length]) != Ok(None));
            assert!(ended.is_some_and(|length| length < MAX_LENGTH + 97), "{size}: {ended:?}");
        }
    }

    proptest! {
        #[test]
        fn any_change_to_a_real_one_is_read_or_refused_the_same_in_parts(
            changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
            size in 1..300_usize,
        ) {
            let mut bytes = records(&hello(&[(SERVER_NAME, server_name(b"a.example")), (51, vec![7; 40])]), size);
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            let at_once = parse(&bytes);
            let in_parts = (0..=bytes.len()).map(|length| parse(&bytes[..length])).find(|read| *read != Ok(None));
            prop_assert_eq!(in_parts.unwrap_or(Ok(None)), at_once);
        }
    }
}
