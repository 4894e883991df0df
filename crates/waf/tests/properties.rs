//! Nothing panics on any bytes, hits are bounded, and what was found does not depend on memory used before.

#![allow(missing_docs)]

use proptest::prelude::*;
use waf::{Inspector, MOST_HITS, Options, Report, Request, Scratch};

const TYPES: [Option<&str>; 7] = [
    None,
    Some("application/json"),
    Some("application/x-www-form-urlencoded"),
    Some("multipart/form-data; boundary=b"),
    Some("application/xml"),
    Some("text/plain"),
    Some("application/octet-stream"),
];

fn inspect(
    inspector: &Inspector,
    path: &[u8],
    value: &[u8],
    content_type: Option<&str>,
    scratch: &mut Scratch,
) -> Report {
    let mut report = Report::default();
    let request = Request { method: "POST", path, query: Some(value) };
    let headers = [("cookie", value), ("user-agent", value), ("content-type", value), ("range", value)];
    inspector.inspect_head(&request, headers, scratch, &mut report);
    inspector.inspect_body(content_type.map(str::as_bytes), value, scratch, &mut report);
    report
}

/// Bytes that the detectors branch on, in any order.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let pieces = prop::sample::select(vec![
        "'",
        "\"",
        "`",
        "(",
        ")",
        "<",
        ">",
        "/*",
        "*/",
        "--",
        "#",
        ";",
        "|",
        "&",
        "$(",
        "${",
        "\\",
        "\\u00",
        "%",
        "%25",
        "&#x",
        "..",
        "/",
        "=",
        " ",
        "\n",
        "\r",
        "\0",
        "select",
        "union",
        " or ",
        "from",
        "script",
        "onload",
        "style",
        "cat",
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "@@",
        "1",
        "0x",
        "1e",
        "<!",
        "<?",
        "--b",
        "--b\r\n",
        "\u{ff07}",
        "<a ",
        "<![CDATA[",
        "if ",
        "for ",
        "sleep(",
        "()",
        "?",
        "*",
        "\u{e9}",
        "a",
        "||",
        "&&",
        "+",
        "top ",
        "case ",
        "when ",
        "like ",
        "between ",
        "in (",
        "is ",
        "null ",
        "not ",
        "having ",
        "exec",
        "declare ",
        "order by ",
        "limit ",
        "insert ",
        "drop ",
        "char(",
        "exists(",
        "::",
        "int",
        "->>",
        "0x41",
        "admin",
        "data:",
        "document",
        "window",
        "{{",
        "%{",
        "<#",
        "$_get",
        "url(",
    ]);
    prop::collection::vec(pieces, 0..60).prop_map(|pieces| pieces.concat().into_bytes())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_it_panic(
        path in prop::collection::vec(any::<u8>(), 0..40),
        value in prop_oneof![hostile(), prop::collection::vec(any::<u8>(), 0..200)],
        kind in 0..TYPES.len(),
        paranoia in 1_u8..=4,
    ) {
        let inspector = Inspector::new(Options { paranoia, ..Options::default() });
        let mut scratch = Scratch::default();
        let one = inspect(&inspector, &path, &value, TYPES[kind], &mut scratch);
        let again = inspect(&inspector, &path, &value, TYPES[kind], &mut scratch);
        prop_assert_eq!(one.hits(), again.hits());
        prop_assert!(one.hits().len() <= MOST_HITS);
        prop_assert_eq!(one.total() == 0, one.hits().is_empty());
    }

    #[test]
    fn a_higher_level_finds_no_less(value in hostile()) {
        let mut scratch = Scratch::default();
        let totals: Vec<u32> = (1..=4).map(|paranoia| {
            let inspector = Inspector::new(Options { paranoia, ..Options::default() });
            let report = inspect(&inspector, b"/", &value, None, &mut scratch);
            if report.hits().len() == MOST_HITS { u32::MAX } else { report.total() }
        }).collect();
        prop_assert!(totals.is_sorted() || totals.contains(&u32::MAX));
    }
}
