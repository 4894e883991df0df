//! What it costs to watch an HTTP/2 connection: frame headers that a client's requests, uploads and grants are made of.
//!
//! `cargo bench -p tollgate-gateway --bench guard`. Bytes come as a socket gives them, 8 KiB at a time. A frame is to cost
//! 10 ns at most, which is nothing beside the microseconds that serving one takes.

use std::hint::black_box;
use std::time::Instant;

use gateway::accept::h2::Guard;

/// Frames in one round.
const FRAMES: usize = 10_000;
const ROUNDS: usize = 200;

fn main() {
    println!("{:<48} {:>8}", "ns a frame (best of 200 rounds)", "ns");
    measure("HEADERS of 40 bytes", &[frame(1, 0x5, 1, 40)]);
    measure("DATA of 16 KiB", &[frame(0, 0, 1, 16_384)]);
    measure("DATA of 100 bytes", &[frame(0, 0, 1, 100)]);
    measure("WINDOW_UPDATE, paid for by an answer", &[frame(8, 0, 0, 4)]);
    measure(
        "HEADERS, DATA and WINDOW_UPDATE by turns",
        &[frame(1, 0x4, 1, 40), frame(0, 1, 1, 100), frame(8, 0, 0, 4)],
    );
}

fn measure(name: &str, frames: &[Vec<u8>]) {
    let bytes: Vec<u8> = frames.iter().cycle().take(FRAMES).flatten().copied().collect();
    let now = Instant::now();
    let answer = vec![0; 16 * 1024];
    let mut best = u128::MAX;
    for _ in 0..ROUNDS {
        let mut guard = Guard::new(32 * 1024, now);
        guard.watch(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", now).expect("no attack");
        let begun = Instant::now();
        for piece in bytes.chunks(8 * 1024) {
            guard.wrote(black_box(&answer));
            guard.watch(black_box(piece), now).expect("no attack");
        }
        best = best.min(begun.elapsed().as_nanos());
    }
    println!("{name:<48} {:>8.1}", best as f64 / FRAMES as f64);
}

fn frame(kind: u8, flags: u8, stream: u32, length: usize) -> Vec<u8> {
    let header = (length as u32).to_be_bytes();
    [&header[1..], &[kind, flags], &stream.to_be_bytes(), &vec![1; length]].concat()
}
