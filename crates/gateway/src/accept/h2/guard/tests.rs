//! Floods are cut, use is not.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use proptest::prelude::*;

use super::*;

pub(super) const HEAD: usize = 32 * 1024;

pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = payload.len() as u32;
    [&length.to_be_bytes()[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A guard that has seen the preface.
fn guard(now: Instant) -> Guard {
    let mut guard = Guard::new(HEAD, now);
    guard.watch(PREFACE, now).unwrap();
    guard
}

/// How many times in a row the bytes may come, if fewer than `most`.
fn endured(guard: &mut Guard, bytes: &[u8], now: Instant, most: usize) -> Result<usize, (usize, Attack)> {
    for count in 0..most {
        guard.watch(bytes, now).map_err(|attack| (count, attack))?;
    }
    Ok(most)
}

#[test]
fn floods_are_cut_at_their_budget_and_told_by_name() {
    let window = |increment: u32| frame(8, 0, 0, &increment.to_be_bytes());
    let cases = [
        (frame(3, 0, 1, &[0; 4]), 500, Attack::RapidReset),
        (frame(4, 0, 0, &[]), 128, Attack::SettingsFlood),
        (frame(4, 1, 0, &[]), 128, Attack::SettingsFlood),
        (frame(4, 0, 0, &[0; 96 * 31]), 4, Attack::SettingsFlood),
        (frame(6, 0, 0, &[0; 8]), 200, Attack::PingFlood),
        (frame(6, 1, 0, &[0; 8]), 200, Attack::PingFlood),
        (frame(2, 0, 9, &[0; 5]), 1000, Attack::PriorityFlood),
        (frame(16, 0, 0, b"\0\0\0\x01u=1"), 1000, Attack::PriorityFlood),
        (window(65_535), 4000, Attack::WindowUpdateFlood),
        (window(1), 1000, Attack::WindowUpdateFlood),
        // The reserved bit says nothing.
        (window(0x8000_0001), 1000, Attack::WindowUpdateFlood),
        (frame(0, 0, 1, &[]), 100, Attack::EmptyDataFlood),
        (frame(0, PADDED, 1, &[5, 0, 0, 0, 0, 0]), 100, Attack::EmptyDataFlood),
        (frame(0, 0, 1, b"x"), 20_000, Attack::TinyDataFlood),
        (frame(0, PADDED, 1, &[4, b'x', 0, 0, 0, 0]), 20_000, Attack::TinyDataFlood),
        (frame(0, END_STREAM, 1, &[]), 20_000, Attack::TinyDataFlood),
        (frame(7, 0, 0, &[0; 8]), 200, Attack::UnknownFrameFlood),
        (frame(0x2a, 0xff, 7, b"grease"), 200, Attack::UnknownFrameFlood),
    ];
    let now = Instant::now();
    for (bytes, budget, attack) in cases {
        let mut guard = guard(now);
        assert_eq!(endured(&mut guard, &bytes, now, 100_000), Err((budget, attack)), "{bytes:?}");
        assert_eq!(guard.watch(b"", now), Err(attack), "it stays an attack");
    }
}

#[test]
fn a_budget_comes_back_with_time() {
    let start = Instant::now();
    let mut guard = guard(start);
    let ping = frame(6, 0, 0, &[0; 8]);
    assert_eq!(endured(&mut guard, &ping, start, 200), Ok(200));
    let later = start + Duration::from_secs(1);
    assert_eq!(endured(&mut guard, &ping, later, 30), Err((20, Attack::PingFlood)));
    let mut guard = self::guard(start);
    for second in 0..100_000 {
        // Ten a second, for a day and more.
        let now = start + Duration::from_secs(second);
        assert_eq!(endured(&mut guard, &ping, now, 10), Ok(10));
    }
    assert_eq!(endured(&mut guard, &ping, start + Duration::from_secs(1 << 40), 200), Ok(200));
}

#[test]
fn cancelled_requests_are_paid_for_by_answered_ones() {
    let now = Instant::now();
    let open = |stream: u32| frame(1, END_HEADERS | END_STREAM, stream, &[0x82, 0x84, 0x86]);
    let cancel = |stream: u32| frame(3, 0, stream, &[0, 0, 0, 8]);
    let streams = |count: u32| (0..count).map(|number| number * 2 + 1);
    let mut rapid = guard(now);
    let mut pairs = streams(2001).map(|stream| [open(stream), cancel(stream)].concat());
    assert_eq!(pairs.position(|pair| rapid.watch(&pair, now).is_err()), Some(500));
    // Half of them cancelled, as by clients with little patience, half answered.
    let mut impatient = guard(now);
    for stream in streams(20_000) {
        impatient.watch(&open(stream), now).unwrap();
        if stream % 4 == 1 {
            impatient.watch(&cancel(stream), now).unwrap();
        } else {
            impatient.served();
        }
    }
}

#[test]
fn requests_are_no_flood_and_neither_are_trailers() {
    let now = Instant::now();
    let mut guard = guard(now);
    let trailers = frame(1, END_HEADERS | END_STREAM, 1, &[]);
    assert_eq!(endured(&mut guard, &trailers, now, 10_000), Ok(10_000));
}

#[test]
fn a_head_must_end() {
    let now = Instant::now();
    let head = frame(1, END_STREAM, 1, b"");
    let mut empty = guard(now);
    empty.watch(&head, now).unwrap();
    let more = frame(9, 0, 1, b"");
    assert_eq!(endured(&mut empty, &more, now, 100), Err((8, Attack::ContinuationFlood)));
    let mut large = guard(now);
    large.watch(&head, now).unwrap();
    let more = frame(9, 0, 1, &vec![0; HEAD]);
    assert_eq!(endured(&mut large, &more, now, 100), Err((4, Attack::ContinuationFlood)));
    let mut many = guard(now);
    for stream in 0..1000 {
        let end = frame(9, END_HEADERS, 1, &[0; 16_384]);
        let head = frame(1, 0, stream * 2 + 1, &[0; 16_384]);
        many.watch(&[head, frame(9, 0, 1, b"x"), end].concat(), now).unwrap();
        many.served();
    }
}

#[test]
fn what_is_written_pays_for_the_answers_to_it() {
    let now = Instant::now();
    let mut download = guard(now);
    let grants = [frame(8, 0, 0, &[0, 0, 0, 40]), frame(8, 0, 1, &[0, 0, 0, 40])].concat();
    for _ in 0..100_000 {
        // A DATA frame of 40 bytes, for which the client grants as much again, twice, and then measures the path.
        download.wrote(&[0; 9 + 40]);
        download.watch(&grants, now).unwrap();
        download.watch(&frame(6, 0, 0, &[0; 8]), now).unwrap();
    }
    // One byte of window at a time: what it lets us write does not pay for it.
    let mut dribble = guard(now);
    let crumb = frame(8, 0, 1, &[0, 0, 0, 1]);
    let cut = (0..10_000).position(|_| {
        dribble.wrote(&[0; 9 + 1]);
        dribble.watch(&crumb, now).is_err()
    });
    assert!(cut.is_some_and(|cut| cut < 2000));
    // The answers to pings do not pay for pings.
    let mut pings = guard(now);
    let cut = (0..10_000).position(|_| {
        pings.wrote(&[0; 9 + 8]);
        pings.watch(&frame(6, 0, 0, &[0; 8]), now).is_err()
    });
    assert!(cut.is_some_and(|cut| cut < 500));
}

#[test]
fn honest_uploads_and_grease_are_no_attack() {
    let now = Instant::now();
    let mut guard = guard(now);
    let piece = [frame(0x2a, 0, 1, b"grease"), frame(0, 0, 1, &[b'x'; 16_384])].concat();
    assert_eq!(endured(&mut guard, &piece, now, 10_000), Ok(10_000));
    // Messages of gRPC, each in a frame of its own.
    let message = frame(0, 0, 1, &[0; 25]);
    assert_eq!(endured(&mut guard, &message, now, 100_000), Ok(100_000));
}

#[test]
fn what_is_not_http2_is_left_to_be_refused() {
    let now = Instant::now();
    let mut guard = Guard::new(HEAD, now);
    let noise = [b"PRI * HTTP/2.1", &frame(3, 0, 1, &[0; 4]).repeat(10_000)[..]].concat();
    assert_eq!(guard.watch(&noise, now), Ok(()));
    assert_eq!(guard.watch(&noise, now), Ok(()));
}

/// Frames that matter, in runs long enough to spend a budget.
fn frames() -> impl Strategy<Value = Vec<u8>> {
    let kind = prop_oneof![0u8..=9, Just(16u8), any::<u8>()];
    let one = (kind, any::<u8>(), 0u32..50, prop::collection::vec(any::<u8>(), 0..20), 1usize..200);
    let run = one
        .prop_map(|(kind, flags, stream, payload, times)| frame(kind, flags, stream, &payload).repeat(times));
    prop::collection::vec(run, 0..20).prop_map(|runs| [&PREFACE[..], &runs.concat()].concat())
}

/// The first verdict of a guard that sees the bytes in pieces of these sizes, over and over.
fn verdict(bytes: &[u8], sizes: &[usize], now: Instant) -> Result<(), Attack> {
    let mut guard = Guard::new(64, now);
    let mut rest = bytes;
    let mut sizes = sizes.iter().cycle();
    while !rest.is_empty() {
        let size = sizes.next().map_or(rest.len(), |size| rest.len().min(*size));
        guard.watch(&rest[..size], now)?;
        rest = &rest[size..];
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn how_the_bytes_are_split_changes_no_verdict(
        bytes in frames(),
        sizes in prop::collection::vec(1usize..40, 1..10),
    ) {
        let now = Instant::now();
        let whole = verdict(&bytes, &[], now);
        prop_assert_eq!(verdict(&bytes, &sizes, now), whole);
        prop_assert_eq!(verdict(&bytes, &[1], now), whole);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..2000), size in 1usize..50) {
        let _ = verdict(&bytes, &[size], Instant::now());
        let _ = verdict(&[&PREFACE[..], &bytes].concat(), &[size], Instant::now());
    }
}
