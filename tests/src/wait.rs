//! Waiting without sleeping for luck: signals between threads, and asking again until a deadline.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// How long anything may take before a scene gives up. Generous, because builds may share the machine.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A one-way gate between a scene and a backend's script: once raised it stays so.
#[derive(Clone, Default)]
pub struct Signal(Arc<(Mutex<bool>, Condvar)>);

impl Signal {
    /// A signal that nobody has raised.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets every waiter pass, now and later.
    pub fn raise(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    /// Whether it was raised.
    pub fn is_raised(&self) -> bool {
        *self.0.0.lock().unwrap()
    }

    /// Waits until it is raised; ends the scene when nobody does.
    pub fn wait(&self) {
        let raised = self.0.0.lock().unwrap();
        let (raised, _) = self.0.1.wait_timeout_while(raised, PATIENCE, |raised| !*raised).unwrap();
        assert!(*raised, "a signal was awaited and never raised");
    }
}

/// Asks until the answer is yes; ends the scene, naming what was awaited, when patience is over. Only for events
/// that announce themselves in no other way.
pub fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "awaited in vain: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Raises a flag when it is dropped: threads that run until then do not outlive a scene that has failed.
pub struct Raised<'f>(pub &'f AtomicBool);

impl Drop for Raised<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Whether the long forms of the scenes were asked for (`TOLLGATE_FULL=1`).
pub fn full_run() -> bool {
    std::env::var_os("TOLLGATE_FULL").is_some_and(|value| value != "0")
}
