//! TLS towards one service, compiled: whom to believe, and what to show.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, InvalidDnsNameError, ServerName, UnixTime};
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};

use super::certificate::Certificate;
use super::fault::Flaw;
use super::server::alpn;
use super::{Builder, digest, pem};
use crate::config::values::Host;
use crate::config::{Authenticator, Cluster, Located, Protocols, Scheme, Service, ServiceTls};

/// TLS towards one service.
#[derive(Debug)]
pub struct ClientTls {
    http1: Arc<ClientConfig>,
    http2: Arc<ClientConfig>,
    both: Arc<ClientConfig>,
    none: Arc<ClientConfig>,
    server_name: Option<ServerName<'static>>,
    certificate: Option<Certificate>,
    /// Of everything that it was made from: when nothing changed, a reload keeps it with its sessions.
    inputs: [u8; 32],
}

impl ClientTls {
    /// What a handshake needs that offers these protocols (ALPN). Sessions are resumed over all connections of a service.
    pub fn config(&self, protocols: Protocols) -> Arc<ClientConfig> {
        Arc::clone(match (protocols.http1, protocols.http2) {
            (true, true) => &self.both,
            (false, true) => &self.http2,
            (true, false) => &self.http1,
            (false, false) => &self.none,
        })
    }

    /// Whether the other was made from the same.
    pub fn is_like(&self, other: &Self) -> bool {
        self.inputs == other.inputs
    }

    /// The gateway's own certificate, where it shows one.
    pub fn certificate(&self) -> Option<&Certificate> {
        self.certificate.as_ref()
    }

    /// The name to ask for and to find in the certificate, for an endpoint at this host.
    pub fn server_name(&self, host: &Host) -> Result<ServerName<'static>, InvalidDnsNameError> {
        match &self.server_name {
            Some(name) => Ok(name.clone()),
            None => name_of(host),
        }
    }
}

fn name_of(host: &Host) -> Result<ServerName<'static>, InvalidDnsNameError> {
    match host {
        Host::Ip(ip) => Ok(ServerName::from(*ip)),
        // The dot that marks a name as whole is not part of it (RFC 6066, section 3).
        Host::Name(name) => {
            ServerName::try_from(name.strip_suffix('.').unwrap_or(name)).map(|name| name.to_owned())
        }
        // No endpoint on a Unix socket speaks TLS; its name would be this machine's.
        Host::Unix(_) => ServerName::try_from("localhost"),
    }
}

impl Builder<'_> {
    /// Compiles the TLS of a service, if any of its endpoints speaks it. What did not change since `before` is kept.
    pub fn service(&mut self, service: &Service, before: Option<&Arc<ClientTls>>) -> Option<Arc<ClientTls>> {
        let tls = service.tls.as_deref();
        let first = service.endpoints.iter().find(|endpoint| endpoint.url.value.is_tls);
        if let Some(first) = first {
            return self.client(tls, &Located::new((), first.url.span), before);
        }
        let discover = service.discover.as_deref().filter(|discover| discover.may_find_tls())?;
        // Perhaps none that is found speaks it: no reason to refuse to start on a system without authorities.
        let is_certain = discover.scheme() == Scheme::Https || tls.is_some();
        if !is_certain && self.registry.system_roots().is_empty() {
            return None;
        }
        self.client(tls, &Located::new((), service.name.span), before)
    }

    /// Compiles TLS towards the source of a service's endpoints, if that speaks it.
    pub fn discovery(
        &mut self,
        service: &Service,
        before: Option<&Arc<ClientTls>>,
    ) -> Option<Arc<ClientTls>> {
        let discover = service.discover.as_deref().filter(|discover| discover.asks_by_tls())?;
        self.client(discover.tls.as_deref(), &Located::new((), service.name.span), before)
    }

    /// Compiles TLS towards who knows callers, if that speaks it.
    pub fn outside(&mut self, way: &Authenticator) -> Option<Arc<ClientTls>> {
        let (is_tls, tls) = way.outside()?;
        is_tls.then(|| self.client(tls, &Located::new((), way.name.span), None))?
    }

    /// Compiles TLS towards the fleet's Redis, if that speaks it.
    pub fn redis(&mut self, cluster: &Cluster, before: Option<&Arc<ClientTls>>) -> Option<Arc<ClientTls>> {
        let url = &cluster.redis;
        url.value.is_tls.then(|| self.client(cluster.tls.as_deref(), &Located::new((), url.span), before))?
    }

    /// Compiles what the configuration says of TLS towards somebody; `at` is where it is spoken of.
    fn client(
        &mut self,
        tls: Option<&ServiceTls>,
        at: &Located<()>,
        before: Option<&Arc<ClientTls>>,
    ) -> Option<Arc<ClientTls>> {
        let usual = ServiceTls::default();
        let tls = tls.unwrap_or(&usual);
        let files = [&tls.ca, &tls.cert, &tls.key].map(Option::as_ref);
        let read = files.map(|place| self.bytes(place));
        let own = match (&tls.cert, &tls.key) {
            (Some(cert), Some(key)) => Some(self.pair(cert, key)),
            _ => None,
        };
        let name = tls.server_name.as_ref();
        let name = match name.map(|name| (name, name_of(&name.value))) {
            Some((place, name)) => {
                let name = name.map_err(|_| Flaw::new("bad_value", "this name cannot be asked for in TLS"));
                Some(self.told(place, name)?)
            }
            None => None,
        };
        let [ca, cert, key] = read;
        let (ca, cert, key) = (ca?, cert?, key?);
        let own = match own {
            Some(own) => Some(own?),
            None => None,
        };
        // Not where they stand: that changes with any line above.
        let paths = files.map(|place| place.map(|place| &place.value));
        let words = format!("{paths:?} {name:?} {}", tls.is_insecure());
        let inputs = digest(&[words.as_bytes(), &ca, &cert, &key]);
        if let Some(before) = before.filter(|before| before.inputs == inputs) {
            return Some(Arc::clone(before));
        }
        let verifier: Arc<dyn ServerCertVerifier> = if tls.is_insecure() {
            Arc::new(Anybody { provider: Arc::clone(&self.provider) })
        } else {
            self.verifier(at, tls.ca.as_ref().map(|place| (place, ca.as_slice())))?
        };
        let builder = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| Flaw::new("no_tls", error.to_string()));
        let builder = self.told(at, builder)?.dangerous().with_custom_certificate_verifier(verifier);
        let certificate = own.as_ref().map(|own| own.certificate.clone());
        let mut config = match own {
            Some(own) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(own.key))),
            None => builder.with_no_client_auth(),
        };
        config.resumption = Resumption::in_memory_sessions(SESSIONS);
        let offering = |protocols| {
            let mut config = config.clone();
            config.alpn_protocols = alpn(protocols);
            Arc::new(config)
        };
        Some(Arc::new(ClientTls {
            http1: offering(Protocols::HTTP1),
            http2: offering(Protocols::HTTP2),
            both: offering(Protocols::BOTH),
            none: offering(Protocols::NONE),
            server_name: name,
            certificate,
            inputs,
        }))
    }

    /// The bytes of a file, none where no file is named; without a value when it cannot be read.
    fn bytes(&mut self, place: Option<&Located<PathBuf>>) -> Option<Vec<u8>> {
        let Some(place) = place else { return Some(Vec::new()) };
        let read = pem::read(&place.value);
        self.told(place, read)
    }

    fn verifier(
        &mut self,
        endpoint: &Located<()>,
        ca: Option<(&Located<PathBuf>, &[u8])>,
    ) -> Option<Arc<dyn ServerCertVerifier>> {
        let roots = match ca {
            Some((place, bytes)) => self.roots(place, bytes)?,
            None => self.registry.system_roots(),
        };
        if roots.is_empty() {
            let message = "this system has no authorities that could vouch for the certificate";
            let help = "install `ca-certificates`, or name the authority: `tls: { ca: FILE }`";
            return self.told(endpoint, Err(Flaw::new("no_roots", message).help(help)));
        }
        let verifier = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&self.provider)).build();
        let verifier = verifier.map_err(|error| Flaw::new("no_roots", error.to_string()));
        self.told(endpoint, verifier).map(|verifier| verifier as Arc<dyn ServerCertVerifier>)
    }
}

/// Believes every certificate (`insecure: true`). That the peer has the key of what it shows is checked all the same.
#[derive(Debug)]
struct Anybody {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Server names of one service whose sessions are kept, each with a few tickets.
const SESSIONS: usize = 256;
