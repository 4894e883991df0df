//! TLS of one listener, compiled: which certificate to show, and what to ask of clients.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustls::pki_types::CertificateRevocationListDer;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, ProducesTickets, WebPkiClientVerifier};
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};
use x509_parser::prelude::{CertificateRevocationList, FromDer};

use super::certificate::{self, Certificate, Served};
use super::fault::Flaw;
use super::resolver::Resolver;
use super::tickets::FleetTickets;
use super::{Builder, digest, pem};
use crate::config::{ClientCertificates, Listener, ListenerTls, Located, Protocols, TlsVersion};

/// TLS of one listener.
#[derive(Debug)]
pub struct ServerTls {
    config: Arc<ServerConfig>,
    /// How long a handshake may take.
    pub handshake_timeout: Duration,
    /// Handshakes under way at once, over all workers.
    pub handshakes: usize,
    under_way: Arc<AtomicUsize>,
    clients: Option<[u8; 32]>,
    certificates: Vec<Certificate>,
    is_development: bool,
}

impl ServerTls {
    /// What a handshake needs.
    pub fn config(&self) -> &Arc<ServerConfig> {
        &self.config
    }

    /// Counts a handshake in, unless as many are under way as may be.
    pub fn begin(&self) -> Option<Handshaking> {
        let handshaking = Handshaking { under_way: Arc::clone(&self.under_way) };
        // Counted first: two workers that look at the same time must not both see the last place.
        if self.under_way.fetch_add(1, Ordering::Relaxed) < self.handshakes {
            Some(handshaking)
        } else {
            None
        }
    }

    /// A digest of what verifies clients: the authorities, the lists, and whether they must come with a certificate. Nothing
    /// where they are not asked for one.
    pub fn clients(&self) -> Option<[u8; 32]> {
        self.clients
    }

    /// The certificates that it shows, in the order of the configuration.
    pub fn certificates(&self) -> &[Certificate] {
        &self.certificates
    }

    /// The certificate for development, where it shows one.
    pub fn development(&self) -> Option<&Certificate> {
        self.certificates.first().filter(|_| self.is_development)
    }
}

/// One handshake among those that the listener counts, until it is dropped.
#[derive(Debug)]
pub struct Handshaking {
    under_way: Arc<AtomicUsize>,
}

impl Drop for Handshaking {
    fn drop(&mut self) {
        self.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Builder<'_> {
    /// Compiles the TLS of a listener, if it has any. The count of its handshakes `before` goes on.
    pub fn listener(&mut self, listener: &Listener, before: Option<&ServerTls>) -> Option<Arc<ServerTls>> {
        let tls = listener.tls.as_deref()?;
        let served = self.served(listener, tls);
        let clients = tls.client.as_ref().map(|client| self.clients(client));
        let tickets = if tls.client.is_none() {
            Some(self.tickets(listener, tls))
        } else {
            self.warn_of_unused_tickets(tls);
            None
        };
        // Everything is looked at before any of it is given up, so that all faults show at once.
        let served = served?;
        let (clients, tickets) = (known(clients)?, known(tickets)?);
        let (verifier, clients) = clients.unzip();
        let (resolver, unused) = Resolver::new(&served);
        for place in unused {
            self.warn_of_unused(&tls.certificates[place].cert, &served[place].certificate);
        }
        let versions: &[&SupportedProtocolVersion] = match tls.min_version {
            TlsVersion::Tls12 => &[&TLS13, &TLS12],
            TlsVersion::Tls13 => &[&TLS13],
        };
        let builder = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(versions)
            .map_err(|error| Flaw::new("no_tls", error.to_string()));
        let builder = self.told(&listener.address, builder)?;
        let builder = match verifier {
            Some(verifier) => builder.with_client_cert_verifier(verifier),
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(Arc::new(resolver));
        config.alpn_protocols = alpn(listener.protocols);
        // Sessions live in their tickets: nothing is kept here, and no lock is taken.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        match tickets {
            Some(tickets) => config.ticketer = tickets,
            // A session that goes on is not verified again: where clients show certificates, none does. Without a ticketer
            // TLS 1.2 has no tickets, and those of TLS 1.3 would name sessions that nobody keeps.
            None => config.send_tls13_tickets = 0,
        }
        Some(Arc::new(ServerTls {
            config: Arc::new(config),
            handshake_timeout: *tls.handshake_timeout,
            handshakes: tls.handshakes as usize,
            under_way: before.map_or_else(Arc::default, |before| Arc::clone(&before.under_way)),
            clients,
            certificates: served.into_iter().map(|served| served.certificate).collect(),
            is_development: tls.is_dev,
        }))
    }

    fn served(&mut self, listener: &Listener, tls: &ListenerTls) -> Option<Vec<Served>> {
        if tls.is_dev {
            // Who comes by a Unix socket asks for a name of this machine.
            let address = listener.address.value.tcp().map_or(Ipv4Addr::LOCALHOST.into(), |tcp| tcp.ip());
            let made = self.registry.development(address, self.now);
            return self.told(&listener.address, made).map(|served| vec![served]);
        }
        let read: Vec<Option<Served>> =
            tls.certificates.iter().map(|files| self.certificate(files)).collect();
        read.into_iter().collect()
    }

    fn warn_of_unused(&mut self, place: &Located<PathBuf>, certificate: &Certificate) {
        let message = if certificate.names.is_empty() {
            format!("no client gets the certificate in {}: it names no host", place.value.display())
        } else {
            let names = certificate.names.join(", ");
            format!(
                "no client gets the certificate in {}: another comes first for {names}",
                place.value.display()
            )
        };
        self.warn(place, "unused_certificate", message, None);
    }

    fn warn_of_unused_tickets(&mut self, tls: &ListenerTls) {
        if let Some(place) = &tls.tickets {
            let message =
                "no session is resumed where clients are asked for certificates: `tickets` does nothing here";
            self.warn(place, "unused_tickets", message.to_owned(), None);
        }
    }

    /// What verifies clients' certificates, and the digest of what it was made from.
    fn clients(&mut self, client: &ClientCertificates) -> Option<(Arc<dyn ClientCertVerifier>, [u8; 32])> {
        let read = pem::read(&client.ca.value);
        let authorities = self.told(&client.ca, read);
        let roots = authorities.as_ref().and_then(|bytes| self.roots(&client.ca, bytes));
        let mut parts = Vec::from_iter(authorities);
        let mut lists = Vec::new();
        for place in &client.crl {
            let read = pem::read(&place.value).and_then(|bytes| {
                let found = pem::revocation_lists(&place.value, &bytes)?;
                parts.push(bytes);
                Ok(found)
            });
            let found = self.told(place, read)?;
            self.warn_of_stale(place, &found);
            lists.extend(found);
        }
        let builder =
            WebPkiClientVerifier::builder_with_provider(roots?, Arc::clone(&self.provider)).with_crls(lists);
        // A list that is out of date says nothing about who was revoked since.
        let builder = builder.enforce_revocation_expiration();
        let builder = if client.required { builder } else { builder.allow_unauthenticated() };
        let verifier = builder.build().map_err(|error| {
            let message = format!("clients' certificates cannot be checked: {error}");
            let help = "lists are of version 2, with a number and the authority's key identifier (RFC 5280, section 5); \
                        for openssl: `crlnumber` and `crl_extensions` in its configuration";
            Flaw::new("bad_crl", message).help(help)
        });
        let verifier = self.told(client.crl.first().unwrap_or(&client.ca), verifier)?;
        let need: &[u8] = if client.required { b"required" } else { b"optional" };
        let parts: Vec<&[u8]> = std::iter::once(need).chain(parts.iter().map(Vec::as_slice)).collect();
        Some((verifier, digest(&parts)))
    }

    /// The authorities of a file.
    pub(super) fn roots(&mut self, place: &Located<PathBuf>, bytes: &[u8]) -> Option<Arc<RootCertStore>> {
        let mut roots = RootCertStore::empty();
        let read = pem::certificates(&place.value, bytes).and_then(|certificates| {
            for (index, der) in certificates.into_iter().enumerate() {
                roots.add(der).map_err(|_| {
                    let message =
                        format!("certificate {} in {} is no authority's", index + 1, place.value.display());
                    Flaw::new("bad_certificate", message)
                })?;
            }
            Ok(Arc::new(roots))
        });
        self.told(place, read)
    }

    fn warn_of_stale(&mut self, place: &Located<PathBuf>, lists: &[CertificateRevocationListDer<'_>]) {
        let due = lists.iter().filter_map(|list| {
            let (_, list) = CertificateRevocationList::from_der(list).ok()?;
            u64::try_from(list.next_update()?.timestamp()).ok()
        });
        if let Some(due) = due.min().filter(|due| *due < self.now) {
            let message = format!(
                "the revocation list in {} was to be renewed by {}: no client that it covers gets in",
                place.value.display(),
                certificate::day(due)
            );
            self.warn(place, "crl_expired", message, None);
        }
    }

    fn tickets(&mut self, listener: &Listener, tls: &ListenerTls) -> Option<Arc<dyn ProducesTickets>> {
        let Some(place) = &tls.tickets else {
            let own = self.registry.tickets();
            return self.told(&listener.address, own);
        };
        if pem::is_open_to_others(&place.value) {
            let path = place.value.display();
            let message = format!("everybody on this machine can read the keys in {path}");
            self.warn(place, "open_key", message, Some(format!("chmod 600 {path}")));
        }
        let read = pem::read(&place.value).and_then(|bytes| FleetTickets::read(&place.value, &bytes));
        self.told(place, read).map(|tickets| Arc::new(tickets) as Arc<dyn ProducesTickets>)
    }
}

/// What was asked for, if anything was; nothing at all where making it failed.
#[allow(clippy::option_option)]
fn known<T>(made: Option<Option<T>>) -> Option<Option<T>> {
    match made {
        Some(made) => made.map(Some),
        None => Some(None),
    }
}

/// The protocols as they are named in a handshake, the preferred first (RFC 7301, section 6).
pub(super) fn alpn(protocols: Protocols) -> Vec<Vec<u8>> {
    let h2 = protocols.http2.then(|| b"h2".to_vec());
    let http1 = protocols.http1.then(|| b"http/1.1".to_vec());
    h2.into_iter().chain(http1).collect()
}
