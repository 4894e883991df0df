//! The firewall's engine: nothing panics on any request, at any level, and what is found is bounded.
#![no_main]

use libfuzzer_sys::fuzz_target;
use waf::{Inspector, MOST_HITS, Options, Report, Request, Scratch};

const TYPES: [Option<&[u8]>; 7] = [
    None,
    Some(b"application/json"),
    Some(b"application/x-www-form-urlencoded"),
    Some(b"multipart/form-data; boundary=b"),
    Some(b"application/xml"),
    Some(b"text/plain"),
    Some(b"application/octet-stream"),
];

fuzz_target!(|bytes: &[u8]| {
    // The first byte chooses the body's type and the level; lines are the path, the query, a header and the body.
    let Some((choice, bytes)) = bytes.split_first() else { return };
    let mut lines = bytes.splitn(4, |byte| *byte == b'\n');
    let mut line = || lines.next().unwrap_or_default();
    let (path, query, header, body) = (line(), line(), line(), line());
    let content_type = TYPES[*choice as usize % TYPES.len()];
    let inspector = Inspector::new(Options { paranoia: 1 + choice / 64, ..Options::default() });
    let (mut scratch, mut report) = (Scratch::default(), Report::default());
    let request = Request { method: "POST", path, query: Some(query) };
    let headers = [("cookie", header), ("user-agent", header), ("content-type", content_type.unwrap_or(header))];
    inspector.inspect_head(&request, headers, &mut scratch, &mut report);
    inspector.inspect_body(content_type, body, &mut scratch, &mut report);
    assert!(report.hits().len() <= MOST_HITS);
    assert!(report.hits().is_empty() == (report.total() == 0));
});
