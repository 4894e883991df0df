//! Reads certificates, keys and revocation lists from PEM files, within bounds, and says in words what is wrong with one.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};

use super::fault::Flaw;
use crate::config::read_bounded;

/// Bytes of one file: room for all authorities of a system twenty times over.
const MAX_FILE: u64 = 4 << 20;

/// The whole file.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, Flaw> {
    let unreadable = |cause| Flaw::new("unreadable_file", format!("cannot read {}: {cause}", path.display()));
    read_bounded(path, MAX_FILE).map_err(unreadable)
}

/// The certificates of a file, at least one.
pub(super) fn certificates(path: &Path, bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, Flaw> {
    let found: Vec<CertificateDer<'static>> = items(path, bytes, "bad_certificate")?;
    if !found.is_empty() {
        return Ok(found);
    }
    let flaw = Flaw::new("bad_certificate", format!("there is no certificate in {}", path.display()));
    Err(if has_label(bytes, "PRIVATE KEY") {
        flaw.help("it holds a private key: are `cert` and `key` swapped?")
    } else if is_der(bytes) {
        let path = path.display();
        flaw.help(format!("it seems to be DER; as PEM: openssl x509 -inform der -in {path} -out {path}.pem"))
    } else {
        flaw.help("expected PEM, which begins with -----BEGIN CERTIFICATE-----")
    })
}

/// The private key of a file.
pub(super) fn private_key(path: &Path, bytes: &[u8]) -> Result<PrivateKeyDer<'static>, Flaw> {
    if has_label(bytes, "ENCRYPTED") {
        let path = path.display();
        let flaw = Flaw::new("bad_key", format!("the key in {path} is encrypted with a passphrase"));
        return Err(flaw.help(format!("take it off: openssl pkey -in {path} -out {path}.plain")));
    }
    let found: Vec<PrivateKeyDer<'static>> = items(path, bytes, "bad_key")?;
    if let Some(key) = found.into_iter().next() {
        return Ok(key);
    }
    let flaw = Flaw::new("bad_key", format!("there is no private key in {}", path.display()));
    Err(if has_label(bytes, "CERTIFICATE") {
        flaw.help("it holds a certificate: are `cert` and `key` swapped?")
    } else if is_der(bytes) {
        let path = path.display();
        flaw.help(format!("it seems to be DER; as PEM: openssl pkey -inform der -in {path} -out {path}.pem"))
    } else {
        flaw.help("expected PEM, which begins with -----BEGIN PRIVATE KEY-----")
    })
}

/// The revocation lists of a file, at least one.
pub(super) fn revocation_lists(
    path: &Path,
    bytes: &[u8],
) -> Result<Vec<CertificateRevocationListDer<'static>>, Flaw> {
    let found: Vec<CertificateRevocationListDer<'static>> = items(path, bytes, "bad_crl")?;
    if !found.is_empty() {
        return Ok(found);
    }
    let flaw = Flaw::new("bad_crl", format!("there is no revocation list in {}", path.display()));
    Err(if is_der(bytes) {
        let path = path.display();
        flaw.help(format!("it seems to be DER; as PEM: openssl crl -inform der -in {path} -out {path}.pem"))
    } else {
        flaw.help("expected PEM, which begins with -----BEGIN X509 CRL-----")
    })
}

/// Whether everybody on the machine may read the file.
pub(super) fn is_open_to_others(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o004 != 0)
}

/// Whether the bytes begin with a sequence in DER that is as long as they are.
pub(super) fn is_der(bytes: &[u8]) -> bool {
    match bytes {
        [0x30, short, rest @ ..] if *short < 0x80 => rest.len() == usize::from(*short),
        [0x30, long, rest @ ..] => {
            let digits = usize::from(long & 0x7f);
            let length = rest.get(..digits.min(4)).unwrap_or_default();
            let length = length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
            (1..=4).contains(&digits) && rest.len() == digits + length
        }
        _ => false,
    }
}

fn items<T: PemObject>(path: &Path, bytes: &[u8], code: &'static str) -> Result<Vec<T>, Flaw> {
    T::pem_slice_iter(bytes)
        .collect::<Result<_, _>>()
        .map_err(|error| Flaw::new(code, format!("{} is not valid PEM: {error}", path.display())))
}

/// Whether a line of the file that marks or describes a part of it says this.
fn has_label(bytes: &[u8], label: &str) -> bool {
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let is_mark = |line: &[u8]| line.starts_with(b"-----BEGIN ") || line.starts_with(b"Proc-Type:");
    lines.any(|line| is_mark(line) && memchr::memmem::find(line, label.as_bytes()).is_some())
}
