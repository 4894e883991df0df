//! What outlives a reload: the keys that seal sessions, the certificate for development, the authorities of the system.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use rustls::RootCertStore;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::ProducesTickets;

use super::certificate::Served;
use super::develop;
use super::fault::Flaw;

/// What snapshots of one process have in common; each hands it to the next.
#[derive(Debug)]
pub struct Registry {
    provider: Arc<CryptoProvider>,
    tickets: Mutex<Option<Arc<dyn ProducesTickets>>>,
    /// By the address that they are for besides loopback.
    development: Mutex<HashMap<Option<IpAddr>, Served>>,
    system_roots: OnceLock<Arc<RootCertStore>>,
}

impl Default for Registry {
    fn default() -> Self {
        Self {
            provider: Arc::new(aws_lc_rs::default_provider()),
            tickets: Mutex::default(),
            development: Mutex::default(),
            system_roots: OnceLock::new(),
        }
    }
}

impl Registry {
    /// The cryptography of every handshake. It is always named: a process default could be another.
    pub(super) fn provider(&self) -> Arc<CryptoProvider> {
        Arc::clone(&self.provider)
    }

    /// Tickets by keys of this process, which change every six hours and are believed for twelve.
    pub(super) fn tickets(&self) -> Result<Arc<dyn ProducesTickets>, Flaw> {
        let mut tickets = lock(&self.tickets);
        if let Some(known) = &*tickets {
            return Ok(Arc::clone(known));
        }
        let new = aws_lc_rs::Ticketer::new().map_err(|error| {
            Flaw::new("no_tickets", format!("cannot make keys for session tickets: {error}"))
        })?;
        *tickets = Some(Arc::clone(&new));
        Ok(new)
    }

    /// The certificate for development, made when it is first asked for.
    pub(super) fn development(&self, address: IpAddr, now: u64) -> Result<Served, Flaw> {
        let extra = Some(address).filter(|address| !address.is_unspecified() && !is_usual(*address));
        let mut made = lock(&self.development);
        if let Some(known) = made.get(&extra) {
            return Ok(known.clone());
        }
        let new = develop::make(extra, now, &self.provider)?;
        made.insert(extra, new.clone());
        Ok(new)
    }

    /// The authorities that the system believes, read once.
    pub(super) fn system_roots(&self) -> Arc<RootCertStore> {
        let read = || {
            let mut roots = RootCertStore::empty();
            // Some systems hold one that cannot be read; the others still count.
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            Arc::new(roots)
        };
        Arc::clone(self.system_roots.get_or_init(read))
    }
}

/// Whether every certificate for development is for this address.
fn is_usual(address: IpAddr) -> bool {
    address == IpAddr::from([127, 0, 0, 1]) || address == IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1])
}

/// A panic elsewhere leaves what is inside whole: it only grows by one entry at a time.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
