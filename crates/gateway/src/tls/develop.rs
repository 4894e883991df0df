//! The certificate of `tls: dev`: made by the gateway, signed by itself, believed by nobody who does not choose to.

use std::net::IpAddr;

use rcgen::{CertificateParams, DnType, KeyPair, PKCS_ECDSA_P256_SHA256, SanType, date_time_ymd};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use super::certificate::{self, Served};
use super::fault::Flaw;
use crate::clock::civil_from_days;

/// What a certificate for development is called where others have a file.
pub(super) const FILE: &str = "dev";

/// Days for which it is valid: longer than any process of a developer runs, shorter than what browsers refuse.
const DAYS: u64 = 365;

/// Makes a certificate for `localhost`, the loopback addresses and one more address.
pub(super) fn make(extra: Option<IpAddr>, now: u64, provider: &CryptoProvider) -> Result<Served, Flaw> {
    let failed = |error: rcgen::Error| {
        Flaw::new("no_certificate", format!("cannot make a certificate for development: {error}"))
    };
    let mut parameters = CertificateParams::new(vec!["localhost".to_owned()]).map_err(failed)?;
    let loopback = ["127.0.0.1", "::1"].into_iter().filter_map(|text| text.parse().ok());
    parameters.subject_alt_names.extend(loopback.chain(extra).map(SanType::IpAddress));
    parameters.distinguished_name.remove(DnType::CommonName);
    parameters.distinguished_name.push(DnType::CommonName, "Tollgate development certificate");
    let date = |seconds: u64| {
        let (year, month, day) = civil_from_days(seconds / 86_400);
        date_time_ymd(i32::try_from(year).unwrap_or(9999), month as u8, day as u8)
    };
    // From yesterday on, so that a clock that is a little behind does not matter.
    parameters.not_before = date(now.saturating_sub(86_400));
    parameters.not_after = date(now + DAYS * 86_400);
    parameters.extended_key_usages.push(rcgen::ExtendedKeyUsagePurpose::ServerAuth);
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(failed)?;
    let made = parameters.self_signed(&key).map_err(failed)?;
    let private = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    certificate::serve(FILE, vec![made.der().clone()], private, provider)
}
