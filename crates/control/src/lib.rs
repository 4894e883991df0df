//! The control plane: everything that is not a request, on threads of its own, so that no request waits for it.
//!
//! It knows the data plane only by the closures it is given: what to call for the metrics, for a reload, for
//! a signal. Nothing here decides what a configuration means.

mod admin;
mod certificates;
mod checks;
mod client;
mod dial;
mod discovery;
mod handover;
mod outside;
mod plain;
mod readiness;
mod reload;
mod sharing;
mod signals;
mod store;
mod systemd;
mod token;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError, mpsc as threads};
use std::time::{Duration, SystemTime};

use gateway::upstream::catalog::Catalog;
use gateway::upstream::health::Healths;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, watch};

pub use admin::{AdminState, AskQuotas};
pub use certificates::Expiry;
pub use checks::Checks;
pub use discovery::{Discoverer, is_read_alike};
pub use handover::{Binary, Bundle, Predecessor, Successor};
pub use outside::Envoy;
pub use readiness::Readiness;
pub use reload::{Reload, Reloader, Watch};
pub use sharing::Sharing;
pub use signals::Signal;
pub use store::Store;
pub use systemd::{Notifier, PassedSocket, passed_sockets};
pub use token::Token;

/// The control plane has little to do; one thread may scrape while another answers a probe.
const THREADS: usize = 2;

/// How long the last answers on the admin listener are waited for.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// How often certificates are looked at.
const REMINDED_EVERY: Duration = Duration::from_hours(1);

/// The control plane's runtime. Dropping it ends the admin listener and the watch for signals.
pub struct Control {
    runtime: Runtime,
    is_admin_closing: watch::Sender<bool>,
    /// Whoever answers on the admin listener holds a sender.
    admin_use: Mutex<Option<mpsc::Receiver<()>>>,
}

impl Control {
    /// Starts its threads. Fails when the system refuses them.
    pub fn start() -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("control")
            .enable_all()
            .build()?;
        Ok(Self { runtime, is_admin_closing: watch::Sender::new(false), admin_use: Mutex::default() })
    }

    /// Answers on the admin listener until it is closed or the control plane is dropped, while the gateway drains too.
    /// Returns the address that it is bound to.
    pub fn serve_admin(&self, listener: TcpListener, state: AdminState) -> io::Result<SocketAddr> {
        let address = listener.local_addr()?;
        listener.set_nonblocking(true)?;
        let _guard = self.runtime.enter();
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let (in_use, admin_use) = mpsc::channel(1);
        self.runtime.spawn(admin::serve(listener, state, self.is_admin_closing.subscribe(), in_use));
        *self.admin_use.lock().unwrap_or_else(PoisonError::into_inner) = Some(admin_use);
        Ok(address)
    }

    /// Stops answering on the admin listener: another process does from now on. What is asked already is answered before
    /// this returns, if that takes no longer than a moment; so that nobody is told by this process what it does next.
    pub fn close_admin(&self) {
        self.is_admin_closing.send_replace(true);
        let admin_use = self.admin_use.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut admin_use) = admin_use {
            // Nothing is ever sent: it ends when the last sender is dropped.
            let ended =
                self.runtime.block_on(async { tokio::time::timeout(LAST_ANSWERS, admin_use.recv()).await });
            drop(ended);
        }
    }

    /// Calls `on_signal` for every signal that concerns the gateway, from a thread of the control plane: it
    /// should only pass the word on.
    pub fn on_signal(&self, on_signal: impl FnMut(Signal) + Send + 'static) -> io::Result<()> {
        let _guard = self.runtime.enter();
        let signals = signals::Signals::install()?;
        self.runtime.spawn(signals.forward(on_signal));
        Ok(())
    }

    /// Says when certificates are about to expire, as long as the control plane lives. `clock` tells the time.
    pub fn remind(
        &self,
        readiness: Arc<Readiness>,
        clock: impl Fn() -> SystemTime + Send + 'static,
        say: impl Fn(&str) + Send + 'static,
    ) {
        self.runtime.spawn(async move {
            loop {
                readiness.reminders(clock()).iter().for_each(|line| say(line));
                tokio::time::sleep(REMINDED_EVERY).await;
            }
        });
    }

    /// Active health checks, none of which run yet. They end with the control plane.
    pub fn checks(&self, healths: Arc<Healths>) -> Checks {
        Checks::new(self.runtime.handle().clone(), healths)
    }

    /// Searches for endpoints, none of which run yet. What they find stands in the catalog. They end with the control plane.
    pub fn discoverer(&self, catalog: Arc<Catalog>) -> Discoverer {
        Discoverer::new(self.runtime.handle().clone(), catalog)
    }

    /// Talks to those who know callers, on behalf of workers.
    pub fn envoy(&self) -> Envoy {
        Envoy::new(self.runtime.handle().clone())
    }

    /// What fleets share: connections that are kept, as long as the control plane lives.
    pub fn sharing(&self) -> Sharing {
        Sharing::new(self.runtime.handle().clone())
    }

    /// The signals as a channel, for a thread that has nothing else to do than to wait for them.
    pub fn signals(&self) -> io::Result<threads::Receiver<Signal>> {
        let (sender, receiver) = threads::channel();
        self.on_signal(move |signal| {
            // The receiver is gone only when the process is about to end.
            let _ = sender.send(signal);
        })?;
        Ok(receiver)
    }
}
