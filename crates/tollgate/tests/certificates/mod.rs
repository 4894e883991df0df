//! The files that the guide and the examples name, certificates, keys and lists, made anew for each run of the tests.

#![allow(clippy::unwrap_used)]

#[path = "../../../../tests/src/country_database.rs"]
#[allow(unreachable_pub)]
mod country_database;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType, IsCa,
    KeyIdMethod, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, SerialNumber,
};

/// Pairs by name: what they are for, and whether their key is RSA.
const PAIRS: [(&str, &[&str], bool); 4] = [
    ("api", &["api.example.com"], false),
    ("api-rsa", &["api.example.com"], true),
    ("wild", &["*.example.com"], false),
    ("gateway", &["gateway.example.com"], false),
];

/// The public key of RFC 8037, appendix A.2.
const JWK_SET: &str =
    r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

/// A user whose password is `apple`.
const USERS: &str = "ann:$2y$10$TxqfWkAxao6wXXWaXbYxJOgCQ3AVqruMexksDTIk0Z9NOcnOJpLwK\n";

/// The public key of RFC 9421, appendix B.1.4.
const PUBLIC_KEY: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=
-----END PUBLIC KEY-----
";

/// Writes into this folder `certs/` and the other files.
pub(crate) fn write(folder: &Path) {
    fs::write(folder.join("keys.json"), JWK_SET).unwrap();
    fs::write(folder.join("users.htpasswd"), USERS).unwrap();
    fs::write(folder.join("identity.key"), KeyPair::generate().unwrap().serialize_pem()).unwrap();
    fs::write(folder.join("partner.pem"), PUBLIC_KEY).unwrap();
    fs::write(folder.join("bank.secret"), "a secret of some length").unwrap();
    let countries = country_database::CountryDatabase::USUAL.of(&[("192.0.2.0/24", "DE")]);
    fs::write(folder.join("GeoLite2-Country.mmdb"), countries).unwrap();
    for list in ["partners.txt", "blocked.txt"] {
        fs::write(folder.join(list), "198.51.100.0/24 # one on each line\n").unwrap();
    }
    for (folder_name, name, text) in [
        ("schemas", "order.json", include_str!("../../../../examples/schemas/order.json")),
        ("specs", "shop.yaml", include_str!("../../../../examples/specs/shop.yaml")),
    ] {
        fs::create_dir(folder.join(folder_name)).unwrap();
        fs::write(folder.join(folder_name).join(name), text).unwrap();
    }
    let folder = folder.join("certs");
    fs::create_dir(&folder).unwrap();
    let write = |name: &str, bytes: &[u8]| {
        fs::write(folder.join(name), bytes).unwrap();
        fs::set_permissions(folder.join(name), fs::Permissions::from_mode(0o600)).unwrap();
    };
    let authority = authority();
    for (name, hosts, is_rsa) in PAIRS {
        let kind = if is_rsa { &PKCS_RSA_SHA256 } else { &PKCS_ECDSA_P256_SHA256 };
        let key = KeyPair::generate_for(kind).unwrap();
        let made = parameters(name, hosts).signed_by(&key, &authority).unwrap();
        write(&format!("{name}.pem"), (made.pem() + &authority.pem()).as_bytes());
        write(&format!("{name}.key"), key.serialize_pem().as_bytes());
    }
    for name in ["ca.pem", "clients-ca.pem"] {
        write(name, authority.pem().as_bytes());
    }
    let list = CertificateRevocationListParams {
        this_update: rcgen::date_time_ymd(2026, 1, 1),
        next_update: rcgen::date_time_ymd(2100, 1, 1),
        crl_number: SerialNumber::from(1),
        issuing_distribution_point: None,
        revoked_certs: Vec::new(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    write("clients.crl", list.signed_by(&authority).unwrap().pem().unwrap().as_bytes());
    write("tickets.key", &(0..80).collect::<Vec<u8>>());
    // A response of the status `tryLater`, which is a whole one (RFC 6960, section 4.2.1).
    write("wild.ocsp", &[0x30, 3, 0x0a, 1, 3]);
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut parameters = parameters("An authority", &[]);
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap()
}

fn parameters(name: &str, hosts: &[&str]) -> CertificateParams {
    let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
    let mut parameters = CertificateParams::new(hosts).unwrap();
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters.not_before = rcgen::date_time_ymd(2026, 1, 1);
    parameters.not_after = rcgen::date_time_ymd(2100, 1, 1);
    parameters
}
