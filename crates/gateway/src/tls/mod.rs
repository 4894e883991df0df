//! TLS on both sides: what listeners show to clients and ask of them, and what services must show.
//!
//! Certificates, keys and lists belong to a snapshot: they are read when it is built, and one that is bad refuses the
//! snapshot as a whole. What must outlive a reload stands in [`Registry`]. No socket is touched here.

mod certificate;
mod client;
mod develop;
mod fault;
mod name;
mod peer;
mod pem;
mod registry;
mod resolver;
mod server;
mod tickets;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use rustls::crypto::CryptoProvider;

pub use certificate::Certificate;
pub use client::ClientTls;
pub use peer::PeerCertificate;
pub use registry::Registry;
pub use server::{Handshaking, ServerTls};

use crate::config::{Fault, Faults, Located};
use fault::Flaw;

/// Builds the TLS of a snapshot. What is wrong with a file is reported at the place that names it.
#[derive(Debug)]
pub struct Builder<'b> {
    faults: &'b mut Faults,
    registry: &'b Registry,
    provider: Arc<CryptoProvider>,
    /// Seconds since the Unix epoch.
    now: u64,
}

impl<'b> Builder<'b> {
    /// A builder that reports to these faults; `now` counts seconds since the Unix epoch.
    pub fn new(faults: &'b mut Faults, registry: &'b Registry, now: u64) -> Self {
        Self { faults, registry, provider: registry.provider(), now }
    }

    /// The value, or a fault at the place that was read for it.
    fn told<T, V>(&mut self, place: &Located<V>, result: Result<T, Flaw>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(flaw) => {
                self.faults.push(flaw.at(place.span));
                None
            }
        }
    }

    fn warn<V>(&mut self, place: &Located<V>, code: &'static str, message: String, help: Option<String>) {
        let fault = Fault::warning(code, place.span, message);
        self.faults.push(match help {
            Some(help) => fault.help(help),
            None => fault,
        });
    }
}

/// The SHA-256 digest of these bytes.
fn digest(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    for part in parts {
        // Lengths keep two neighbours from being taken for one another.
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    let mut bytes = [0; 32];
    bytes.copy_from_slice(context.finish().as_ref());
    bytes
}
