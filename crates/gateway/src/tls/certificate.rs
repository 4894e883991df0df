//! A certificate that is served, with its key: read, compared with one another, and what is known of it.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::fault::Flaw;
use super::{Builder, name, pem};
use crate::clock::civil_from_days;
use crate::config::{CertificateFiles, Located};
use crate::hexadecimal;

/// What is known of a certificate that is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The file that it came from; `dev` for one of the gateway's own making.
    pub file: String,
    /// The host names that it is for, in lower case, `*.` in front of some.
    pub names: Vec<String>,
    /// Its subject as RFC 4514 writes it: `CN=api.example.com`.
    pub subject: String,
    /// Its serial number in hexadecimal digits.
    pub serial: String,
    /// The SHA-256 digest of its DER in hexadecimal digits.
    pub fingerprint: String,
    /// From when it is valid, in seconds since the Unix epoch.
    pub not_before: u64,
    /// Until when it is valid, in seconds since the Unix epoch.
    pub not_after: u64,
}

/// A certificate with its key, and what is known of it.
#[derive(Debug, Clone)]
pub(super) struct Served {
    pub(super) key: Arc<CertifiedKey>,
    pub(super) certificate: Certificate,
}

impl Certificate {
    /// What it is called: its first host name, else its subject.
    pub fn name(&self) -> &str {
        self.names.first().unwrap_or(&self.subject)
    }

    /// The last day on which it is valid: `2027-03-31`.
    pub fn last_day(&self) -> String {
        day(self.not_after)
    }

    /// Reads what a certificate says.
    pub(super) fn parse(file: &str, der: &[u8]) -> Result<Self, Flaw> {
        let invalid = || Flaw::new("bad_certificate", format!("{file} holds no valid X.509 certificate"));
        let (_, parsed) = X509Certificate::from_der(der).map_err(|_| invalid())?;
        let names = parsed.subject_alternative_name().map_err(|_| invalid())?;
        let names = names.iter().flat_map(|names| &names.value.general_names);
        let validity = parsed.validity();
        Ok(Self {
            file: file.to_owned(),
            names: names
                .filter_map(|name| match name {
                    GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
                    _ => None,
                })
                .collect(),
            subject: name::text(parsed.subject()),
            serial: hexadecimal::encode(parsed.raw_serial()),
            fingerprint: fingerprint(der),
            not_before: u64::try_from(validity.not_before.timestamp()).unwrap_or_default(),
            not_after: u64::try_from(validity.not_after.timestamp()).unwrap_or_default(),
        })
    }
}

impl Builder<'_> {
    /// Reads a pair of files; without a value when one of them is bad.
    pub(super) fn certificate(&mut self, files: &CertificateFiles) -> Option<Served> {
        let served = self.pair(&files.cert, &files.key);
        let response = files.ocsp.as_ref().map(|place| self.told(place, read_ocsp(place)));
        let mut served = served?;
        if let Some(response) = response {
            let response = response?;
            let mut key = CertifiedKey::clone(&served.key);
            key.ocsp = Some(response);
            served.key = Arc::new(key);
        }
        Some(served)
    }

    /// Reads a certificate and its key and sees whether they fit.
    pub(super) fn pair(
        &mut self,
        cert: &Located<std::path::PathBuf>,
        key: &Located<std::path::PathBuf>,
    ) -> Option<Served> {
        let chain = pem::read(&cert.value).and_then(|bytes| pem::certificates(&cert.value, &bytes));
        let chain = self.told(cert, chain);
        let private = pem::read(&key.value).and_then(|bytes| pem::private_key(&key.value, &bytes));
        let private = self.told(key, private);
        if private.is_some() && pem::is_open_to_others(&key.value) {
            let path = key.value.display();
            let message = format!("everybody on this machine can read the key in {path}");
            self.warn(key, "open_key", message, Some(format!("chmod 600 {path}")));
        }
        let (chain, private) = (chain?, private?);
        if chain.len() > MAX_CHAIN {
            let message = format!("{} holds more than {MAX_CHAIN} certificates", cert.value.display());
            self.told::<(), _>(cert, Err(Flaw::new("bad_certificate", message)));
            return None;
        }
        let certificate = Certificate::parse(&cert.value.display().to_string(), &chain[0]);
        let certificate = self.told(cert, certificate)?;
        let signer = self.provider.key_provider.load_private_key(private).map_err(|_| {
            let message = format!("the key in {} is of a kind that cannot be used", key.value.display());
            Flaw::new("bad_key", message)
                .help("use RSA (2048 bits or more), ECDSA P-256, P-384 or P-521, or Ed25519")
        });
        let pair = CertifiedKey::new(chain, self.told(key, signer)?);
        if let Err(flaw) = check_fit(&pair, cert, key) {
            return self.told(key, Err(flaw));
        }
        self.warn_of_dates(cert, &certificate);
        Some(Served { key: Arc::new(pair), certificate })
    }

    fn warn_of_dates(&mut self, place: &Located<std::path::PathBuf>, certificate: &Certificate) {
        let path = place.value.display();
        if certificate.not_after < self.now {
            let message = format!("the certificate in {path} expired on {}", day(certificate.not_after));
            self.warn(place, "certificate_expired", message, None);
        } else if certificate.not_before > self.now {
            let message =
                format!("the certificate in {path} is not valid before {}", day(certificate.not_before));
            self.warn(place, "certificate_not_yet_valid", message, None);
        }
    }
}

/// Whether key and certificate belong together.
fn check_fit(
    pair: &CertifiedKey,
    cert: &Located<std::path::PathBuf>,
    key: &Located<std::path::PathBuf>,
) -> Result<(), Flaw> {
    match pair.keys_match() {
        Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => return Ok(()),
        Err(Error::InconsistentKeys(_)) => {}
        Err(_) => {
            let message = format!("{} holds no valid X.509 certificate", cert.value.display());
            return Err(Flaw::new("bad_certificate", message));
        }
    }
    let (cert, key) = (cert.value.display(), key.value.display());
    let fits = |chain: &CertificateDer<'static>| {
        CertifiedKey::new(vec![chain.clone()], Arc::clone(&pair.key)).keys_match().is_ok()
    };
    let flaw = Flaw::new("key_mismatch", format!("the key in {key} does not fit the certificate in {cert}"));
    Err(if pair.cert.iter().skip(1).any(fits) {
        flaw.help(format!("it fits another certificate in {cert}: the server's own must come first"))
    } else {
        flaw.help(
            "give the key that the certificate was made with; it may be that only one file was replaced",
        )
    })
}

fn read_ocsp(place: &Located<std::path::PathBuf>) -> Result<Vec<u8>, Flaw> {
    let bytes = pem::read(&place.value)?;
    if pem::is_der(&bytes) && bytes.len() <= MAX_OCSP {
        return Ok(bytes);
    }
    let message = format!("there is no OCSP response in {}", place.value.display());
    Err(Flaw::new("bad_ocsp", message).help("expected DER, as `openssl ocsp -respout FILE` writes it"))
}

/// Puts together what was made in memory.
pub(super) fn serve(
    file: &str,
    chain: Vec<CertificateDer<'static>>,
    private: rustls::pki_types::PrivateKeyDer<'static>,
    provider: &CryptoProvider,
) -> Result<Served, Flaw> {
    let certificate = Certificate::parse(file, chain.first().map_or(&[], |der| der))?;
    let key = CertifiedKey::from_der(chain, private, provider)
        .map_err(|error| Flaw::new("bad_key", format!("{file}: {error}")))?;
    Ok(Served { key: Arc::new(key), certificate })
}

/// The SHA-256 digest of a certificate in hexadecimal digits.
pub(super) fn fingerprint(der: &[u8]) -> String {
    hexadecimal::encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, der).as_ref())
}

/// The day of a time: `2027-03-31`.
pub(super) fn day(seconds: u64) -> String {
    let (year, month, day) = civil_from_days(seconds / 86_400);
    format!("{year:04}-{month:02}-{day:02}")
}

/// Certificates in one chain: clients give up on fewer.
const MAX_CHAIN: usize = 16;

/// Bytes of an OCSP response: it goes out with every full handshake.
const MAX_OCSP: usize = 64 << 10;
