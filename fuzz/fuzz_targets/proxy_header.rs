//! A PROXY header: the same however its bytes come; once written again, read back as it was.
#![no_main]

use gateway::accept::proxy_protocol::{Header, MAX_LENGTH, Version, encode, parse};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let at_once = parse(bytes);
    let in_parts = (0..=bytes.len()).map(|length| parse(&bytes[..length])).find(|read| *read != Ok(None));
    assert_eq!(in_parts.unwrap_or(Ok(None)), at_once);
    let Ok(Some(header)) = at_once else { return };
    assert!(header.length <= bytes.len().min(MAX_LENGTH));
    for version in [Version::V1, Version::V2] {
        let mut written = Vec::new();
        encode(version, header.client, &mut written);
        let Ok(Some(Header { client, length })) = parse(&written) else { panic!("{header:?} cannot be read back") };
        assert_eq!(length, written.len());
        let plain = |header: Option<gateway::accept::proxy_protocol::Endpoints>| {
            header.map(|ends| [ends.source, ends.destination].map(|end| (end.ip().to_canonical(), end.port())))
        };
        assert_eq!(plain(client), plain(header.client));
    }
});
