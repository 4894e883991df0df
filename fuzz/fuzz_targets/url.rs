//! A target: normal forms are stable, begin with a slash, and hold nothing that two programs read in two ways.
#![no_main]

use http1::{normalise_path, normalise_query};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut once = String::new();
    if normalise_path(bytes, &mut once).is_ok() {
        let mut twice = String::new();
        assert_eq!(normalise_path(once.as_bytes(), &mut twice), Ok(()));
        assert_eq!(once, twice);
        assert!(once.starts_with('/') && !once.contains("//") && !once.contains(['\\', '?', '#']));
        assert!(once.bytes().all(|byte| byte.is_ascii_graphic()));
        for segment in once.replace("%2F", "/").replace("%5C", "/").replace("%3B", ";").split('/') {
            let plain = segment.split(';').next().unwrap_or_default();
            assert!(plain != "." && plain != "..", "{once}");
        }
    }
    let mut once = String::new();
    if normalise_query(bytes, &mut once).is_ok() {
        let mut twice = String::new();
        assert_eq!(normalise_query(once.as_bytes(), &mut twice), Ok(()));
        assert_eq!(once, twice);
        assert!(once.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#'));
    }
});
