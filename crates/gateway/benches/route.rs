//! What finding a route costs with 10, 10,000 and 100,000 of them, and what building costs in time and memory.
//!
//! `cargo bench -p tollgate-gateway --bench route`. Requests go over all routes in a mixed order, so that with many
//! routes the figures hold what the processor's caches do not.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Instant;

use gateway::expression::{Context, Expression};
use gateway::route::{Found, Params, PathPattern, Regexes, RequestView, RouteMatch, Router};
use http1::RequestHead;

fn main() {
    println!("routes   parse ms   build ms  bytes/route  ns/find  ns/miss  unreachable ms");
    for count in [10, 1_000, 10_000, 100_000] {
        measure(count);
    }
    println!();
    for text in [
        "request.path == '/x'",
        "request.method == 'GET' && request.query.debug == '1'",
        "request.path.matches('^/a[0-9]+$') || params.id == '7'",
        "request.query.all(name, name != 'admin')",
    ] {
        evaluate(text);
    }
}

/// A service's usual eight shapes of routes, again and again.
fn template(number: usize) -> String {
    let service = number / 8;
    match number % 8 {
        0 => format!("/service-{service}/users"),
        1 => format!("/service-{service}/users/{{id}}"),
        2 => format!("/service-{service}/users/{{id}}/posts/{{post}}"),
        3 => format!("/service-{service}/orders/{{id:[0-9]+}}"),
        4 => format!("/service-{service}/files/{{name}}.json"),
        5 => format!("/service-{service}/health"),
        6 => format!("/service-{service}/static/{{rest...}}"),
        _ => format!("/service-{service}/v1/reports/monthly"),
    }
}

fn request(number: usize) -> String {
    let text = template(number).replace("{id:[0-9]+}", "4711").replace("{rest...}", "css/site.css");
    text.replace("{id}", "ann").replace("{post}", "99").replace("{name}", "report")
}

fn measure(count: usize) {
    let before = resident();
    let start = Instant::now();
    let mut regexes = Regexes::default();
    let mut list = Vec::with_capacity(count);
    for number in 0..count {
        let Ok(path) = PathPattern::parse_with(&template(number), &mut regexes) else { continue };
        let methods = vec![http::Method::GET];
        list.push(RouteMatch { methods, ..RouteMatch::new(path) });
    }
    drop(regexes);
    let parse = start.elapsed();
    let start = Instant::now();
    let Ok(router) = Router::build(list) else { return };
    let build = start.elapsed();
    let bytes = resident().saturating_sub(before);
    let start = Instant::now();
    black_box(router.unreachable());
    let unreachable = start.elapsed();

    let heads = heads(count, request);
    let find = search(&router, &heads, true);
    let misses = self::heads(count, |number| format!("/service-{}/users/ann/nothing", number / 8));
    let miss = search(&router, &misses, false);
    println!(
        "{count:>6} {:>10.2} {:>10.2} {:>12} {find:>8.0} {miss:>8.0} {:>15.2}",
        parse.as_secs_f64() * 1e3,
        build.as_secs_f64() * 1e3,
        bytes / count,
        unreachable.as_secs_f64() * 1e3,
    );
}

/// Requests for all routes, at most as many as keep the requests themselves in the cache, far from each other.
fn heads(count: usize, path: impl Fn(usize) -> String) -> Vec<RequestHead> {
    let sample = count.min(8_192);
    (0..sample)
        .map(|at| RequestHead {
            path: path(at.wrapping_mul(7_919_993) % count),
            authority: "api.example.com:8080".to_owned(),
            ..RequestHead::default()
        })
        .collect()
}

/// Nanoseconds of one search, the best of ten rounds.
fn search(router: &Router, heads: &[RequestHead], expected: bool) -> f64 {
    const FINDS: usize = 500_000;
    let mut params = Params::new();
    let mut best = f64::MAX;
    for _ in 0..10 {
        let start = Instant::now();
        for head in heads.iter().cycle().take(FINDS) {
            let view = RequestView::new(head, CLIENT);
            let found = matches!(router.find(black_box(&view), &mut params), Found::Route(_));
            assert_eq!(found, expected, "{}", head.path);
        }
        best = best.min(start.elapsed().as_nanos() as f64 / FINDS as f64);
    }
    best
}

fn evaluate(text: &str) {
    const TIMES: u32 = 100_000;
    let Ok(expression) = Expression::compile(text) else { return };
    let head = RequestHead {
        path: "/a77/b".to_owned(),
        query: "debug=1&x=2".to_owned(),
        has_query: true,
        ..RequestHead::default()
    };
    let context = Context::new(&head, CLIENT);
    let start = Instant::now();
    for _ in 0..TIMES {
        let _ = black_box(expression.matches(black_box(&context)));
    }
    let nanoseconds = start.elapsed().as_nanos() as f64 / f64::from(TIMES);
    println!("{nanoseconds:>6.0} ns: {text}");
}

const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Resident bytes of this process; zero where the system does not tell.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).unwrap_or(0) * 4096
}
