//! `tls` of listeners and of services: which files hold certificates and keys, and who must prove who they are.
//! The files are read when the snapshot is built; here they are only named, so that the watcher knows them.

use std::fmt;
use std::path::PathBuf;

use schemars::JsonSchema;

use crate::config::node::{Node, Value};
use crate::config::read::{Keys, MapReader, Read, Reader};
use crate::config::schema::or_dev;
use crate::config::source::Located;
use crate::config::values::{Duration, Host};

/// TLS of a listener. `tls: dev` makes a certificate that signs itself, for development.
#[derive(Clone, Debug, PartialEq, JsonSchema)]
#[schemars(transform = or_dev)]
pub struct ListenerTls {
    /// Whether the certificate is one of the gateway's own making.
    #[schemars(skip)]
    pub is_dev: bool,
    /// Certificates with their keys. A client gets one for the name that it asks for (SNI): the exact name before
    /// `*.name`, the first of the list when none fits. A name may have one with an RSA and one with an ECDSA key.
    pub certificates: Vec<CertificateFiles>,
    /// The oldest version spoken, `1.2` or `1.3`. Default: `1.2`.
    #[schemars(default)]
    pub min_version: TlsVersion,
    /// Certificates of clients (mTLS). Default: clients are not asked for one.
    pub client: Option<ClientCertificates>,
    /// A file of 80 random bytes, or several times as many, that a fleet shares so that a session begun with one gateway
    /// is resumed by another: `openssl rand 80`. The first 80 bytes seal new tickets, all open old ones.
    /// With `client` no session is resumed. Default: keys of this process, which change every six hours.
    #[schemars(with = "Option<String>")]
    pub tickets: Option<Located<PathBuf>>,
    /// Time for a handshake, from the connection's start to its end. Default: `10s`.
    #[schemars(default = "default_handshake_timeout")]
    pub handshake_timeout: Duration,
    /// Handshakes under way at once, over all workers; further connections are closed. Default: `1000`.
    #[schemars(default = "default_handshakes")]
    pub handshakes: u32,
}

/// Which files are named, in short: what changes inside of them is no change of the configuration.
impl fmt::Display for ListenerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for files in &self.certificates {
            write!(f, "{} with {}, ", files.cert.display(), files.key.display())?;
            if let Some(ocsp) = &files.ocsp {
                write!(f, "stapled {}, ", ocsp.display())?;
            }
        }
        if self.is_dev {
            f.write_str("a certificate for development, ")?;
        }
        write!(f, "from {}", self.min_version.as_str())?;
        if let Some(client) = &self.client {
            let need = if client.required { "required" } else { "optional" };
            write!(f, ", client certificates of {} {need}", client.ca.display())?;
            for list in &client.crl {
                write!(f, ", unless revoked by {}", list.display())?;
            }
        }
        if let Some(tickets) = &self.tickets {
            write!(f, ", tickets by {}", tickets.display())?;
        }
        write!(f, ", {} handshakes of {} at once", self.handshakes, self.handshake_timeout)
    }
}

/// A certificate and its key.
#[derive(Clone, Debug, PartialEq, JsonSchema)]
pub struct CertificateFiles {
    /// The certificate in PEM, followed by those that it was signed with, up to but without the root.
    #[schemars(with = "String")]
    pub cert: Located<PathBuf>,
    /// Its private key in PEM, without a passphrase.
    #[schemars(with = "String")]
    pub key: Located<PathBuf>,
    /// An OCSP response in DER, sent along to clients that ask for it.
    #[schemars(with = "Option<String>")]
    pub ocsp: Option<Located<PathBuf>>,
}

/// What clients must show to prove who they are.
#[derive(Clone, Debug, PartialEq, JsonSchema)]
pub struct ClientCertificates {
    /// The authorities that clients' certificates are signed by, in PEM.
    #[schemars(with = "String")]
    pub ca: Located<PathBuf>,
    /// Whether a client without a certificate is turned away. One with a certificate that is not good always is.
    /// Default: `true`.
    #[schemars(default = "default_required")]
    pub required: bool,
    /// Lists of revoked certificates (CRLs) in PEM. With any, each certificate below a root must be covered by one that
    /// has not expired.
    #[schemars(default, with = "Vec<String>")]
    pub crl: Vec<Located<PathBuf>>,
}

/// TLS towards a service: for its `https://` endpoints.
#[derive(Clone, Debug, Default, PartialEq, JsonSchema)]
#[schemars(default)]
pub struct ServiceTls {
    /// The authorities that the service's certificate is signed by, in PEM. Default: those of the system.
    #[schemars(with = "Option<String>")]
    pub ca: Option<Located<PathBuf>>,
    /// The name to ask for (SNI) and to find in the certificate. Default: the host of the endpoint's URL.
    #[schemars(with = "Option<String>")]
    pub server_name: Option<Located<Host>>,
    /// The gateway's own certificate, for services that ask for one (mTLS), in PEM; needs `key`.
    #[schemars(with = "Option<String>")]
    pub cert: Option<Located<PathBuf>>,
    /// Its private key in PEM, without a passphrase.
    #[schemars(with = "Option<String>")]
    pub key: Option<Located<PathBuf>>,
    /// Whether any certificate is believed. Anybody on the way can then read and change everything. Default: `false`.
    #[schemars(with = "bool")]
    pub insecure: Option<Located<bool>>,
}

impl ServiceTls {
    /// Whether any certificate is believed.
    pub fn is_insecure(&self) -> bool {
        self.insecure.as_ref().is_some_and(|insecure| insecure.value)
    }
}

/// Which files are named, in short.
impl fmt::Display for ServiceTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.ca {
            _ if self.is_insecure() => f.write_str("insecure, any certificate is believed")?,
            Some(ca) => write!(f, "certificates of {}", ca.display())?,
            None => f.write_str("certificates of the system's authorities")?,
        }
        if let Some(name) = &self.server_name {
            write!(f, " for {}", name.value)?;
        }
        if let (Some(cert), Some(key)) = (&self.cert, &self.key) {
            write!(f, ", its own is {} with {}", cert.display(), key.display())?;
        }
        Ok(())
    }
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsVersion {
    /// RFC 5246.
    #[default]
    Tls12,
    /// RFC 8446.
    Tls13,
}

impl TlsVersion {
    /// As it is written: `1.2`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tls12 => "1.2",
            Self::Tls13 => "1.3",
        }
    }
}

impl serde::Serialize for TlsVersion {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl JsonSchema for TlsVersion {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "TlsVersion".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": ["string", "number"],
            "description": "a version of TLS: 1.2 or 1.3",
            "enum": ["1.2", "1.3", 1.2, 1.3]
        })
    }
}

fn default_handshake_timeout() -> Duration {
    Duration::from_secs(10)
}

fn default_handshakes() -> u32 {
    1000
}

fn default_required() -> bool {
    true
}

impl Read for ListenerTls {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let mut tls = Self {
            is_dev: false,
            certificates: Vec::new(),
            min_version: TlsVersion::default(),
            client: None,
            tickets: None,
            handshake_timeout: default_handshake_timeout(),
            handshakes: default_handshakes(),
        };
        if matches!(node.value, Value::Text(_)) {
            tls.is_dev = reader.word(node, &[("dev", true)])?;
            return Some(tls);
        }
        let mut map = reader.map(node, &LISTENER_TLS)?;
        match map.take("certificates") {
            Some(node) => {
                let items = reader.items(node, "a list of certificates");
                tls.certificates =
                    items.iter().filter_map(|item| CertificateFiles::read(item, reader)).collect();
                if items.is_empty() && matches!(node.value, Value::List(_)) {
                    reader.wrong(map.key_span("certificates"), "TLS needs at least one certificate");
                }
                if items.len() > MAX_CERTIFICATES {
                    let message = format!("a listener has at most {MAX_CERTIFICATES} certificates");
                    reader.wrong(map.key_span("certificates"), message);
                }
            }
            None if map.has("acme") => {}
            None => map.missing("certificates", reader),
        }
        let versions = [("1.2", TlsVersion::Tls12), ("1.3", TlsVersion::Tls13)];
        tls.min_version =
            map.take("min_version").and_then(|node| reader.word(node, &versions)).unwrap_or_default();
        tls.client = map.optional("client", reader);
        tls.tickets = optional_file(&mut map, "tickets", reader);
        tls.handshake_timeout = map.positive("handshake_timeout", tls.handshake_timeout, reader);
        tls.handshakes = map.count("handshakes", tls.handshakes, 1..=1_000_000, reader);
        map.finish(reader);
        Some(tls)
    }
}

impl Read for CertificateFiles {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let mut map = reader.map(node, &CERTIFICATE_FILES)?;
        let cert = map.demand("cert", reader).and_then(|node| watched_file(node, reader));
        let key = map.demand("key", reader).and_then(|node| watched_file(node, reader));
        let ocsp = optional_file(&mut map, "ocsp", reader);
        map.finish(reader);
        Some(Self { cert: cert?, key: key?, ocsp })
    }
}

impl Read for ClientCertificates {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let mut map = reader.map(node, &CLIENT_CERTIFICATES)?;
        let ca = map.demand("ca", reader).and_then(|node| watched_file(node, reader));
        let required = map.or("required", default_required(), reader);
        let crl = match map.take("crl") {
            Some(node) => {
                let items = reader.items(node, FILE);
                items.iter().filter_map(|item| watched_file(item, reader)).collect()
            }
            None => Vec::new(),
        };
        map.finish(reader);
        Some(Self { ca: ca?, required, crl })
    }
}

impl Read for ServiceTls {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let mut map = reader.map(node, &SERVICE_TLS)?;
        let tls = Self {
            ca: optional_file(&mut map, "ca", reader),
            server_name: map.take("server_name").and_then(|node| {
                let name = reader.parsed(node, SERVER_NAME, |text| {
                    Host::parse(text).ok_or_else(|| format!("expected {SERVER_NAME}"))
                })?;
                Some(Located::new(name, node.span))
            }),
            cert: optional_file(&mut map, "cert", reader),
            key: optional_file(&mut map, "key", reader),
            insecure: map.optional("insecure", reader),
        };
        if map.has("cert") != map.has("key") {
            let there = if map.has("cert") { "cert" } else { "key" };
            reader.wrong(map.key_span(there), "`cert` and `key` belong together");
        }
        if tls.is_insecure() && map.has("ca") {
            reader.wrong(map.key_span("ca"), "with `insecure: true` nothing is compared with `ca`");
        }
        map.finish(reader);
        Some(tls)
    }
}

fn optional_file(
    map: &mut MapReader<'_>,
    key: &'static str,
    reader: &mut Reader,
) -> Option<Located<PathBuf>> {
    map.take(key).and_then(|node| watched_file(node, reader))
}

/// The path of a file that the configuration is made from, relative to the configuration file.
pub(super) fn watched_file(node: &Node, reader: &mut Reader) -> Option<Located<PathBuf>> {
    let path = reader.parsed(node, FILE, |text| {
        if text.is_empty() || text.contains('\0') {
            return Err(format!("expected {FILE}"));
        }
        Ok(text.to_owned())
    })?;
    Some(Located::new(reader.file(&path), node.span))
}

pub(super) static LISTENER_TLS: Keys = Keys {
    of: "`tls` of a listener",
    known: &["certificates", "min_version", "client", "tickets", "handshake_timeout", "handshakes"],
    later: &["acme"],
    shared: None,
};

pub(super) static CERTIFICATE_FILES: Keys =
    Keys { of: "a certificate", known: &["cert", "key", "ocsp"], later: &[], shared: None };

pub(super) static CLIENT_CERTIFICATES: Keys =
    Keys { of: "`client`", known: &["ca", "required", "crl"], later: &[], shared: None };

pub(super) static SERVICE_TLS: Keys = Keys {
    of: "`tls` of a service",
    known: &["ca", "server_name", "cert", "key", "insecure"],
    later: &[],
    shared: None,
};

const FILE: &str = "the path of a file";

const SERVER_NAME: &str = "a host name or an address";

/// Certificates of one listener: with their keys, twice as many files, all of which are watched.
const MAX_CERTIFICATES: usize = 1000;
