//! More requests than can be answered: by a service, and by the gateway itself.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use tollgate_tests::{Ask, Backend, Gateway, backend, eventually, gateway_with, hello};

/// A service that works on so many calls at once, and how many others wait in it.
struct Busy {
    service: Backend,
    waiting: Arc<AtomicUsize>,
}

fn busy(at_once: usize, takes: Duration) -> Busy {
    let waiting = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&waiting);
    let working = Arc::new((Mutex::new(0), Condvar::new()));
    let service = backend(move |call| {
        counted.fetch_add(1, Ordering::SeqCst);
        let (count, changed) = &*working;
        let mut held = changed.wait_while(count.lock().unwrap(), |count| *count >= at_once).unwrap();
        *held += 1;
        drop(held);
        counted.fetch_sub(1, Ordering::SeqCst);
        // The work itself.
        thread::sleep(takes);
        *count.lock().unwrap() -= 1;
        changed.notify_one();
        call.reply(200, "done");
    });
    Busy { service, waiting }
}

/// What clients that ask again and again are told, status by status, until something is so.
fn ask_until(
    gate: &Gateway,
    clients: usize,
    targets: &[&str],
    is_so: impl Fn() -> bool,
) -> Vec<(String, u16)> {
    let is_over = Arc::new(Mutex::new(false));
    let address = gate.address();
    let asking: Vec<_> = (0..clients)
        .map(|client| {
            let (is_over, target) = (Arc::clone(&is_over), targets[client % targets.len()].to_owned());
            thread::spawn(move || {
                let mut told = Vec::new();
                while !*is_over.lock().unwrap() {
                    let status = Ask::new(address, "GET", &target).try_send().unwrap().status;
                    told.push((target.clone(), status));
                    if status == 503 {
                        // As `Retry-After` asks, though not for as long.
                        thread::sleep(Duration::from_millis(5));
                    }
                }
                told
            })
        })
        .collect();
    eventually("enough is known", is_so);
    *is_over.lock().unwrap() = true;
    asking.into_iter().flat_map(|client| client.join().unwrap()).collect()
}

fn gate_to(busy: &Busy, adaptive: &str) -> Gateway {
    gateway_with(
        "
        services: { busy: { endpoints: <busy>, <adaptive> } }
        defaults: { access: public }
        routes:
          - { match: '/{rest...}', to: busy }
          - { match: '/pay', to: busy, priority: high }
          - { match: '/look', to: busy, priority: low }
        ",
        &[("busy", &busy.service), ("adaptive", &adaptive)],
    )
}

#[test]
fn a_service_that_has_enough_to_do_is_given_no_more() {
    let service = busy(4, Duration::from_millis(20));
    let gate = gate_to(&service, "adaptive: { target: 1.5, min: 1 }");
    let limit = || gate.metrics().sum("tollgate_adaptive_limit", &[("service", "busy")]);
    let told = ask_until(&gate, 32, &["/x"], || {
        limit() < 20.0 && gate.metrics().sum("tollgate_adaptive_shed_total", &[]) > 50.0
    });
    let count = |status| told.iter().filter(|(_, told)| *told == status).count();
    assert!(count(200) > 50 && count(503) > 0 && count(200) + count(503) == told.len(), "{told:?}");
    let metrics = gate.metrics();
    let refused = metrics.sum("tollgate_refusals_total", &[("code", "service_overloaded")]) as usize;
    assert_eq!(refused, count(503));
    assert!(metrics.sum("tollgate_adaptive_baseline_seconds", &[]) > 0.0);
    // It is not what a breaker or an ejection would heed.
    gate.get("/x").expect(200);
    let without = busy(4, Duration::from_millis(20));
    let gate = gate_to(&without, "balance: round_robin");
    let told = ask_until(&gate, 32, &["/x"], || without.waiting.load(Ordering::SeqCst) > 25);
    assert!(told.iter().all(|(_, status)| *status == 200));
}

#[test]
fn who_is_turned_away_is_told_when_to_come_back() {
    let (arrived, go) = (tollgate_tests::Signal::new(), tollgate_tests::Signal::new());
    let (raised, awaited) = (arrived.clone(), go.clone());
    let service = backend(move |call| {
        raised.raise();
        awaited.wait();
        call.reply(200, "done");
    });
    let gate = gateway_with(
        "
        services: { busy: { endpoints: <busy>, adaptive: { min: 1, max: 1 }, retry: { attempts: 3, on: [connect, 503] } } }
        routes: [{ match: '/{rest...}', to: busy, access: public }]
        ",
        &[("busy", &service)],
    );
    let mut first = gate.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
    arrived.wait();
    let refused = gate.get("/x").expect(503).expect_header("Retry-After", "1");
    let problem = refused.expect_refusal("service_overloaded");
    assert_eq!(problem["service"], "busy");
    go.raise();
    first.answer().expect(200);
    gate.get("/x").expect(200);
    assert_eq!(service.requests().len(), 2, "what is turned away reaches nobody");
    let log = gate.log(3);
    assert_eq!(log.iter().filter(|line| line["code"] == "service_overloaded").count(), 1);
}

#[test]
fn calls_of_high_priority_are_answered_while_others_are_turned_away() {
    let service = busy(8, Duration::from_millis(20));
    let gate = gate_to(&service, "adaptive: { target: 1.5, min: 8 }");
    // Let it learn first.
    let shed = || gate.metrics().sum("tollgate_adaptive_shed_total", &[]);
    let settled = Instant::now() + Duration::from_secs(2);
    ask_until(&gate, 40, &["/look"], || shed() > 100.0 && Instant::now() > settled);
    let before = shed();
    // Two of twenty clients pay: the service could do that alone.
    let targets = [&["/pay", "/pay"][..], &["/look"; 18][..]].concat();
    let told = ask_until(&gate, 40, &targets, || shed() > before + 200.0);
    let share = |target: &str| {
        let of_it: Vec<_> = told.iter().filter(|(asked, _)| asked == target).collect();
        of_it.iter().filter(|(_, status)| *status == 503).count() as f64 / of_it.len() as f64
    };
    assert!(share("/pay") < share("/look") / 2.0, "{} of /pay, {} of /look", share("/pay"), share("/look"));
}

#[test]
fn a_gateway_that_has_used_up_its_memory_answers_what_matters_and_its_admin_listener() {
    let service = hello();
    let config = |memory: &str| {
        format!(
            "overload: {{ memory: {memory} }}\n\
             services: {{ hello: '{service}' }}\n\
             defaults: {{ access: public }}\n\
             routes: [{{ match: '/{{rest...}}', to: hello }}, {{ match: /pay, to: hello, priority: high }}]\n"
        )
    };
    // No process is that small.
    let gate = tollgate_tests::gateway(config("0.001%"));
    gate.expect_line("the process has used up its memory");
    let mut wire = gate.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
    wire.answer().expect(503).expect_header("Retry-After", "1").expect_refusal("gateway_overloaded");
    wire.send("GET /pay HTTP/1.1\r\nHost: a\r\n\r\n");
    wire.answer().expect(200);
    assert_eq!(service.requests().len(), 1);
    assert!(gate.metrics().sum("tollgate_overload_refused_share", &[]) > 0.9);
    gate.expect_reload(|| gate.replace_config(&config("off")));
    gate.expect_line("the process has memory again");
    gate.get("/x").expect(200);
}
