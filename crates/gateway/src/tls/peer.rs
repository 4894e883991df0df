//! The certificate that a client has shown: what policies, logs and expressions may know of it.
//! Whether it is to be believed was decided in the handshake; nothing here is believed without.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rustls::pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::certificate::fingerprint;
use super::name;

/// The verified certificate of a client. It is read once, when its connection begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerCertificate {
    /// The subject's name as RFC 4514 writes it: `CN=partner-7,O=Example`. Empty where the names are all in `sans`.
    pub subject: String,
    /// The alternative names: `dns:a.example`, `ip:192.0.2.7`, `uri:spiffe://example/a`, `email:a@example`.
    pub sans: Vec<String>,
    /// The SHA-256 digest of its DER in 64 hexadecimal digits, in lower case.
    pub fingerprint: String,
}

/// A certificate was verified, and cannot be read all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unreadable;

impl PeerCertificate {
    /// What a client has shown and the handshake has verified; nothing if it has shown none. One that cannot be read must not
    /// pass for none: a rule that turns somebody away would not know them.
    pub fn shown(chain: Option<&[CertificateDer<'_>]>) -> Result<Option<Self>, Unreadable> {
        let Some(chain) = chain else { return Ok(None) };
        chain.first().and_then(Self::parse).map(Some).ok_or(Unreadable)
    }

    /// Reads the first certificate of a verified chain. Names that are too long, too many or not text are left out.
    pub fn parse(der: &CertificateDer<'_>) -> Option<Self> {
        let (_, parsed) = X509Certificate::from_der(der).ok()?;
        let names = parsed.subject_alternative_name().ok()?;
        let names = names.iter().flat_map(|names| &names.value.general_names);
        Some(Self {
            subject: name::text(parsed.subject()),
            sans: names.filter_map(alternative).take(MAX_NAMES).collect(),
            fingerprint: fingerprint(der),
        })
    }
}

fn alternative(name: &GeneralName<'_>) -> Option<String> {
    let (kind, value) = match name {
        GeneralName::DNSName(name) => ("dns", name.to_ascii_lowercase()),
        GeneralName::URI(uri) => ("uri", (*uri).to_owned()),
        GeneralName::RFC822Name(address) => ("email", (*address).to_owned()),
        GeneralName::IPAddress(bytes) => ("ip", address(bytes)?.to_string()),
        _ => return None,
    };
    // All of these are ASCII (RFC 5280, section 4.2.1.6); others could break a log line or a header.
    let is_plain = value.bytes().all(|byte| byte.is_ascii_graphic());
    (is_plain && (1..=MAX_NAME).contains(&value.len())).then(|| format!("{kind}:{value}"))
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
        return Some(Ipv4Addr::from(v4).into());
    }
    <[u8; 16]>::try_from(bytes).ok().map(|v6| Ipv6Addr::from(v6).into())
}

/// Alternative names of one certificate.
const MAX_NAMES: usize = 64;

/// Bytes of an alternative name.
const MAX_NAME: usize = 1024;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::{any, proptest};
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    use super::*;

    fn peer(sans: Vec<SanType>) -> PeerCertificate {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name.push(DnType::CommonName, "partner-7");
        parameters.subject_alt_names = sans;
        let made = parameters.self_signed(&KeyPair::generate().unwrap()).unwrap();
        PeerCertificate::parse(made.der()).unwrap()
    }

    #[test]
    fn a_peer_is_known_by_its_names_and_its_fingerprint() {
        let peer = peer(vec![
            SanType::DnsName("Partner.Example".try_into().unwrap()),
            SanType::IpAddress("192.0.2.7".parse().unwrap()),
            SanType::IpAddress("2001:db8::1".parse().unwrap()),
            SanType::URI("spiffe://example/partner".try_into().unwrap()),
            SanType::Rfc822Name("ops@example.com".try_into().unwrap()),
        ]);
        assert!(peer.subject.starts_with("CN=partner-7"), "{}", peer.subject);
        let expected = [
            "dns:partner.example",
            "ip:192.0.2.7",
            "ip:2001:db8::1",
            "uri:spiffe://example/partner",
            "email:ops@example.com",
        ];
        assert_eq!(peer.sans, expected);
        assert_eq!(peer.fingerprint.len(), 64);
    }

    #[test]
    fn names_that_could_break_a_header_or_a_bound_are_left_out() {
        let uri = |text: &str| SanType::URI(text.try_into().unwrap());
        let long = format!("spiffe://{}", "a".repeat(MAX_NAME));
        let told = peer(vec![uri("a b"), uri("a\r\nX: y"), uri(&long), uri("")]);
        assert!(told.sans.is_empty(), "{:?}", told.sans);
        let many = peer((0..200).map(|number| uri(&format!("urn:{number}"))).collect());
        assert_eq!(many.sans.len(), MAX_NAMES);
    }

    proptest! {
        #[test]
        fn no_damage_to_a_certificate_gets_past_the_bounds(
            damage in proptest::collection::vec((0..2048_usize, any::<u8>()), 1..6),
            cut in 0..4096_usize,
        ) {
            static DER: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
            let mut der = DER.get_or_init(whole).clone();
            for (at, byte) in damage {
                if let Some(place) = der.get_mut(at) {
                    *place = byte;
                }
            }
            der.truncate(cut);
            if let Some(peer) = PeerCertificate::parse(&CertificateDer::from(der)) {
                assert!(peer.subject.len() <= name::MAX_NAME && !peer.subject.contains(char::is_control));
                assert!(peer.sans.iter().all(|name| name.bytes().all(|byte| byte.is_ascii_graphic())));
            }
        }
    }

    /// A certificate with names of every kind.
    fn whole() -> Vec<u8> {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name.push(DnType::CommonName, "a, b");
        parameters.distinguished_name.push(DnType::CustomDnType(vec![1, 3, 6]), "x");
        parameters.subject_alt_names = vec![
            SanType::DnsName("a.example".try_into().unwrap()),
            SanType::IpAddress("192.0.2.7".parse().unwrap()),
            SanType::URI("urn:a".try_into().unwrap()),
        ];
        parameters.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn what_is_no_certificate_is_no_peer() {
        for bytes in [&b""[..], b"\x30\x00", b"\x30\x84\xff\xff\xff\xff", &[0x30; 100]] {
            assert_eq!(PeerCertificate::parse(&CertificateDer::from(bytes)), None);
        }
    }

    #[test]
    fn a_verified_certificate_that_cannot_be_read_does_not_pass_for_none() {
        let whole = CertificateDer::from(whole());
        let unreadable = CertificateDer::from(&b"\x30\x00"[..]);
        let is_known = |chain: Option<&[CertificateDer<'_>]>| {
            PeerCertificate::shown(chain).map(|certificate| certificate.is_some())
        };
        assert_eq!(is_known(None), Ok(false));
        assert_eq!(is_known(Some(&[whole.clone(), unreadable.clone()])), Ok(true));
        assert_eq!(is_known(Some(&[unreadable, whole])), Err(Unreadable));
        assert_eq!(is_known(Some(&[])), Err(Unreadable));
    }
}
