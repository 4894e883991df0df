//! Clients that ask without a pause, and count every request that fails in any way.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use crate::client::Ask;
use crate::eventually;
use crate::message::Answer;
use crate::socket::Socket;

/// Clients at work until they are stopped.
pub struct Load {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    stopped: AtomicBool,
    /// The server is about to go: a connection that it says it closes is not opened again.
    ending: AtomicBool,
    answered: AtomicU64,
    failures: Mutex<Vec<String>>,
}

/// What became of the requests.
#[derive(Debug)]
pub struct Tally {
    /// Answered with 200 and whole.
    pub answered: u64,
    /// One sentence for each that was not.
    pub failures: Vec<String>,
}

impl Tally {
    /// Something was answered, and nothing failed.
    #[track_caller]
    pub fn expect_no_failure(&self) {
        let shown = &self.failures[..self.failures.len().min(10)];
        assert!(
            self.failures.is_empty(),
            "{} failed, {} answered: {shown:#?}",
            self.failures.len(),
            self.answered
        );
        assert!(self.answered > 0, "nothing was asked");
    }
}

/// Starts that many clients, each on a keep-alive connection of its own, all asking for `target`.
pub fn load(address: SocketAddr, clients: usize, target: &str) -> Load {
    load_with(address, clients, target, &[])
}

/// The same with these fields.
pub fn load_with(address: SocketAddr, clients: usize, target: &str, fields: &[(&str, &str)]) -> Load {
    let shared = Arc::new(Shared::default());
    let ask = Ask::new(address, "GET", target);
    let request = fields.iter().fold(ask, |ask, (name, value)| ask.header(name, value)).bytes();
    let client = |_| {
        let (shared, request) = (Arc::clone(&shared), request.clone());
        std::thread::spawn(move || shared.ask(address, &request))
    };
    let clients = (0..clients).map(client).collect();
    Load { shared, clients }
}

impl Load {
    /// How many were answered so far.
    pub fn answered(&self) -> u64 {
        self.shared.answered.load(Ordering::Relaxed)
    }

    /// Waits until that many more were answered.
    #[track_caller]
    pub fn expect_more(&self, more: u64) {
        let before = self.answered();
        let gone = || self.clients.iter().all(JoinHandle::is_finished);
        eventually("the load goes on", || self.answered() >= before + more || gone());
    }

    /// From now on a connection that is closed after an answer is not opened again. Said before the server ends.
    pub fn expect_ending(&self) {
        self.shared.ending.store(true, Ordering::SeqCst);
    }

    /// Stops the clients and counts.
    pub fn stop(self) -> Tally {
        self.shared.stopped.store(true, Ordering::SeqCst);
        self.join()
    }

    /// Waits until every client has come to its end by itself, and counts.
    pub fn join(self) -> Tally {
        for client in self.clients {
            client.join().unwrap();
        }
        let answered = self.shared.answered.load(Ordering::SeqCst);
        let failures = std::mem::take(&mut *self.shared.failures.lock().unwrap());
        Tally { answered, failures }
    }
}

impl Shared {
    fn ask(&self, address: SocketAddr, request: &[u8]) {
        let mut socket = Socket::connect(address);
        while !self.stopped.load(Ordering::Relaxed) {
            let sent = socket.send(request);
            let answer = Answer::read(&mut socket, "GET");
            let closes = answer.as_ref().map_or(true, Answer::closes);
            match answer {
                Ok(answer) if answer.status == 200 => {
                    self.answered.fetch_add(1, Ordering::Relaxed);
                }
                Ok(answer) => self.fail(format!("{answer:?}")),
                Err(broken) => self.fail(format!("sent: {sent}; {broken:?}")),
            }
            if !closes {
                continue;
            }
            if self.ending.load(Ordering::SeqCst) {
                return;
            }
            socket = Socket::connect(address);
        }
    }

    /// Counts a failure; when nothing works any more, there is no point in going on.
    fn fail(&self, why: String) {
        let mut failures = self.failures.lock().unwrap();
        failures.push(why);
        if failures.len() > 100 {
            self.stopped.store(true, Ordering::SeqCst);
        }
    }
}
