//! Certificates for tests, made when they are asked for.
#![allow(clippy::unwrap_used)]

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256,
};
use rustls::pki_types::PrivateKeyDer;

use super::certificate::{self, Served};

/// A kind of key.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Ecdsa,
    Rsa,
}

/// A new key.
pub(super) fn key(kind: Kind) -> KeyPair {
    match kind {
        Kind::Ecdsa => KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap(),
        Kind::Rsa => KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap(),
    }
}

/// A certificate for these names, signed by itself.
pub(super) fn served(names: &[&str], kind: Kind) -> Served {
    let key = key(kind);
    let made = parameters(names).self_signed(&key).unwrap();
    let private = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    certificate::serve("test", vec![made.der().clone()], private, &provider).unwrap()
}

/// What a certificate for these names says.
pub(super) fn parameters(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut parameters = CertificateParams::new(names).unwrap();
    parameters.not_before = rcgen::date_time_ymd(2020, 1, 1);
    parameters.not_after = rcgen::date_time_ymd(2100, 1, 1);
    parameters
}

/// An authority of this name.
pub(super) fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut parameters = parameters(&[]);
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    parameters.distinguished_name.push(DnType::CommonName, name);
    CertifiedIssuer::self_signed(parameters, key(Kind::Ecdsa)).unwrap()
}
