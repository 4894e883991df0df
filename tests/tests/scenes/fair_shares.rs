//! `concurrency` with a queue: what an app that asks for too much leaves to others.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use tollgate_tests::{Gateway, backend, eventually, gateway_with};

/// Every request takes as long, so that all that begin together would end together.
const SERVICE: Duration = Duration::from_millis(50);

const CONFIG: &str = "
workers: 2
services: { slow: <slow> }
auth: { keys: { api_key: {} } }
apps:
  noisy: { keys: [ { id: noisy, secret: 0123456789abcdef } ] }
  quiet: { keys: [ { id: quiet, secret: 0123456789abcdef } ] }
defaults: { access: keys, retry: off }
routes:
  - { match: '/{rest...}', to: slow, concurrency: { max: 10, queue: 200, queue_for: 30s } }
";

fn ask(gate: &Gateway, app: &str) -> Duration {
    let key = format!("{app}.0123456789abcdef");
    let began = Instant::now();
    gate.ask("GET", "/x").header("X-API-Key", &key).send().expect(200);
    began.elapsed()
}

/// Requests one after the other, at moments that have nothing to do with how long one takes; gives how long nine of ten take at most.
fn quiet_one(gate: &Gateway) -> Duration {
    let mut times: Vec<Duration> = (0..100)
        .map(|number| {
            thread::sleep(Duration::from_millis(number * 37 % 61));
            ask(gate, "quiet")
        })
        .collect();
    times.sort();
    times[89]
}

#[test]
fn an_app_at_ten_times_its_share_leaves_another_nearly_as_fast_as_alone() {
    let service = backend(|call| {
        thread::sleep(SERVICE);
        call.reply(200, "done");
    });
    let gate = gateway_with(CONFIG, &[("slow", &service)]);
    let alone = quiet_one(&gate);
    let is_over = Arc::new(AtomicBool::new(false));
    thread::scope(|scope| {
        for _ in 0..50 {
            scope.spawn(|| {
                while !is_over.load(SeqCst) {
                    ask(&gate, "noisy");
                }
            });
        }
        eventually("it waits", || gate.metrics().sum("tollgate_requests_waiting", &[]) > 20.0);
        let beside = quiet_one(&gate);
        is_over.store(true, SeqCst);
        // Where all end together it is nearly twice as long.
        assert!(beside <= alone * 3 / 2, "{beside:?} instead of {alone:?}");
    });
}
