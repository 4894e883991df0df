//! What it costs to inspect a request that is none: a browser's head, and bodies of a kilobyte.
//!
//! `cargo bench -p tollgate-waf --bench inspect`. A kilobyte of JSON is to cost 10 us at most at paranoia level 1.

use std::hint::black_box;
use std::time::Instant;

use waf::{Inspector, Options, Report, Request, Scratch};

const ROUNDS: usize = 200;
const CALLS: usize = 200;

fn main() {
    println!("{:<44} {:>6} {:>10} {:>10}", "ns (best of 200 rounds)", "bytes", "a call", "a KB");
    let json = json();
    let form = form();
    let text = prose();
    for paranoia in 1..=4 {
        let inspector = Inspector::new(Options { paranoia, ..Options::default() });
        measure(&format!("a browser's head, level {paranoia}"), head_bytes(), &mut |scratch, report| {
            let request = Request {
                method: "GET",
                path: b"/v1/users/12345/orders",
                query: Some(b"page=2&sort=price&q=red+shoes"),
            };
            inspector.inspect_head(black_box(&request), HEADERS, scratch, report);
        });
        for (name, content_type, body) in [
            ("JSON", "application/json", &json),
            ("a form", "application/x-www-form-urlencoded", &form),
            ("prose", "text/plain", &text),
        ] {
            measure(&format!("{name}, level {paranoia}"), body.len(), &mut |scratch, report| {
                inspector.inspect_body(Some(content_type.as_bytes()), black_box(body), scratch, report);
            });
        }
    }
}

fn measure(name: &str, bytes: usize, work: &mut dyn FnMut(&mut Scratch, &mut Report)) {
    let (mut scratch, mut report) = (Scratch::default(), Report::default());
    let mut best = u128::MAX;
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        for _ in 0..CALLS {
            report.clear();
            work(&mut scratch, &mut report);
        }
        best = best.min(begun.elapsed().as_nanos());
    }
    let call = best as f64 / CALLS as f64;
    println!("{name:<44} {bytes:>6} {call:>10.0} {:>10.0}", call * 1024.0 / bytes as f64);
}

const HEADERS: [(&str, &[u8]); 7] = [
    ("host", b"shop.example.com"),
    ("user-agent", b"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36"),
    ("accept", b"text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"),
    ("accept-encoding", b"gzip, deflate, br"),
    ("accept-language", b"en-US,en;q=0.9,de;q=0.8"),
    ("referer", b"https://shop.example.com/products?page=2&sort=price"),
    ("cookie", b"session=6f1c2a9e4b7d4f0c8a51; theme=dark; lang=en"),
];

fn head_bytes() -> usize {
    HEADERS.iter().map(|(name, value)| name.len() + value.len() + 4).sum::<usize>() + 60
}

/// An order as a shop would send it, a kilobyte of it.
fn json() -> Vec<u8> {
    let mut body = String::from(
        r#"{"order":{"id":"ord_7f3a91c2","customer":{"name":"Maria O'Neill","email":"maria@example.com","phone":"+49 30 1234567","address":{"street":"Unter den Linden 5","city":"Berlin","zip":"10117"}},"items":["#,
    );
    while body.len() < 940 {
        body.push_str(r#"{"sku":"SHOE-42-RED","title":"Running shoes, red & white (size 42)","quantity":1,"price":"89.90"},"#);
    }
    body.pop();
    body.push_str(r#"],"note":"Please ring twice - the bell is broken."}}"#);
    body.into_bytes()
}

fn form() -> Vec<u8> {
    let mut body = String::from("csrf=9d1e5c0b7a&");
    while body.len() < 1000 {
        body.push_str(
            "name=Maria+O%27Neill&street=Unter+den+Linden+5&note=Please+ring+twice+-+the+bell+is+broken.&",
        );
    }
    body.into_bytes()
}

fn prose() -> Vec<u8> {
    "The committee didn't agree on the order of the agenda, and selected items from last year's list instead. "
        .repeat(10)
        .into_bytes()
}
