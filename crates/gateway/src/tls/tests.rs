//! TLS from the configuration to the handshake, in memory: both ends are ours, foreign peers have scenes of their own.
#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{
    CertificateRevocationListParams, CertifiedIssuer, KeyIdMethod, KeyPair, RevokedCertParams, SerialNumber,
};
use rustls::{ClientConnection, HandshakeKind, ProtocolVersion, ServerConnection};
use tempfile::TempDir;

use super::testing::{Kind, authority, key, parameters};
use super::*;
use crate::config::values::Host;
use crate::config::{self, Config, Protocols, Surroundings};

/// 2026-01-01.
const NOW: u64 = 1_767_225_600;

/// A folder with certificates, and what outlives the configurations that name them.
struct Scene {
    folder: TempDir,
    authority: CertifiedIssuer<'static, KeyPair>,
    registry: Registry,
}

impl Scene {
    fn new() -> Self {
        let scene = Self {
            folder: tempfile::tempdir().unwrap(),
            authority: authority("Test Authority"),
            registry: Registry::default(),
        };
        scene.write("ca.pem", scene.authority.pem());
        scene
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.path(name), bytes).unwrap();
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// Writes `name.pem` and `name.key` for these hosts.
    fn pair(&self, name: &str, hosts: &[&str], kind: Kind) {
        let key = key(kind);
        let mut parameters = parameters(hosts);
        parameters.serial_number = Some(SerialNumber::from(name.as_bytes().to_vec()));
        parameters.distinguished_name.push(rcgen::DnType::CommonName, name);
        self.write(&format!("{name}.pem"), parameters.signed_by(&key, &self.authority).unwrap().pem());
        self.write(&format!("{name}.key"), key.serialize_pem());
    }

    /// Writes a list that revokes the pairs of these names and is good until that year.
    fn revoke(&self, file: &str, names: &[&str], until: i32) {
        let revoked = names.iter().map(|name| RevokedCertParams {
            serial_number: SerialNumber::from(name.as_bytes().to_vec()),
            revocation_time: rcgen::date_time_ymd(2021, 1, 1),
            reason_code: None,
            invalidity_date: None,
        });
        let list = CertificateRevocationListParams {
            this_update: rcgen::date_time_ymd(2021, 1, 1),
            next_update: rcgen::date_time_ymd(until, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        self.write(file, list.signed_by(&self.authority).unwrap().pem().unwrap());
    }

    fn config(&self, text: &str) -> (Config, Faults) {
        let text = format!("{text}\nroutes: [ {{ match: /, respond: 200, access: public }} ]");
        let surroundings = Surroundings::new(self.folder.path(), |_| None);
        config::load_source(config::Source::new("x", text), surroundings)
            .unwrap_or_else(|faults| panic!("{}", faults.render(false)))
    }

    /// The TLS of the only listener, and what was said.
    fn listen(&self, tls: &str) -> (Option<Arc<ServerTls>>, String) {
        let (config, _) = self.config(&format!("listeners: [ {{ address: '127.0.0.1:0', {tls} }} ]"));
        let mut faults = config.faults();
        let built = Builder::new(&mut faults, &self.registry, NOW).listener(&config.listeners[0], None);
        let has_failed = faults.has_errors();
        assert_eq!(built.is_none(), has_failed);
        (built, self.told(&faults))
    }

    /// The TLS of a listener that has nothing wrong.
    #[track_caller]
    fn server(&self, tls: &str) -> Arc<ServerTls> {
        let (built, told) = self.listen(tls);
        assert_eq!(told, "");
        built.unwrap()
    }

    /// The TLS of a service at `https://a.test` that has nothing wrong.
    #[track_caller]
    fn client(&self, tls: &str) -> Arc<ClientTls> {
        let (config, _) =
            self.config(&format!("services: {{ s: {{ endpoints: 'https://a.test', tls: {tls} }} }}"));
        let mut faults = config.faults();
        let built = Builder::new(&mut faults, &self.registry, NOW).service(&config.services["s"], None);
        assert_eq!(self.told(&faults), "");
        built.unwrap()
    }

    /// Codes and messages, a line each, without the scene's folder.
    fn told(&self, faults: &Faults) -> String {
        let folder = format!("{}/", self.folder.path().display());
        let lines = faults.list().into_iter().fold(String::new(), |mut text, fault| {
            let _ = writeln!(
                text,
                "{}: {} ({})",
                fault.code,
                fault.message,
                fault.help.as_deref().unwrap_or("-")
            );
            text
        });
        lines.replace(&folder, "")
    }
}

/// What came of a handshake.
#[derive(Debug)]
struct Met {
    server: ServerConnection,
    client: ClientConnection,
}

impl Met {
    /// The protocol that was agreed on.
    fn protocol(&self) -> &str {
        std::str::from_utf8(self.server.alpn_protocol().unwrap_or_default()).unwrap()
    }

    fn is_resumed(&self) -> bool {
        self.server.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// The subject that the server saw.
    fn subject(&self) -> Option<String> {
        PeerCertificate::parse(self.server.peer_certificates()?.first()?).map(|peer| peer.subject)
    }
}

/// Lets both ends talk until the handshake is done and the tickets have arrived.
fn meet(
    server: &ServerTls,
    client: &ClientTls,
    host: &str,
    offered: Protocols,
) -> Result<Met, rustls::Error> {
    let name = client.server_name(&Host::parse(host).unwrap()).unwrap();
    let mut client = ClientConnection::new(client.config(offered), name)?;
    let mut server = ServerConnection::new(Arc::clone(server.config()))?;
    for _ in 0..8 {
        carry(&mut client, &mut server)?;
        carry(&mut server, &mut client)?;
    }
    assert!(!client.is_handshaking() && !server.is_handshaking());
    Ok(Met { server, client })
}

fn carry<S, R>(
    from: &mut rustls::ConnectionCommon<S>,
    to: &mut rustls::ConnectionCommon<R>,
) -> Result<(), rustls::Error>
where
    S: rustls::SideData,
    R: rustls::SideData,
{
    let mut bytes = Vec::new();
    while from.wants_write() {
        from.write_tls(&mut bytes).unwrap();
    }
    let mut rest = bytes.as_slice();
    while !rest.is_empty() {
        to.read_tls(&mut rest).unwrap();
        to.process_new_packets()?;
    }
    Ok(())
}

const A: &str = "certificates: { cert: a.pem, key: a.key }";

#[test]
fn both_ends_agree_on_a_protocol_and_the_newest_version() {
    let scene = Scene::new();
    scene.pair("a", &["a.test"], Kind::Ecdsa);
    let client = scene.client("{ ca: ca.pem }");
    for (spoken, offered, expected) in [
        ("[http1, http2]", Protocols::BOTH, Some("h2")),
        ("[http1, http2]", Protocols::HTTP1, Some("http/1.1")),
        ("[http1, http2]", Protocols::HTTP2, Some("h2")),
        ("[http1]", Protocols::BOTH, Some("http/1.1")),
        ("[http2]", Protocols::BOTH, Some("h2")),
        ("[http1]", Protocols::HTTP2, None),
    ] {
        let server = scene.server(&format!("protocols: {spoken}, tls: {{ {A} }}"));
        let met = meet(&server, &client, "a.test", offered);
        assert_eq!(met.as_ref().ok().map(Met::protocol), expected, "{spoken} {offered}");
        assert!(
            met.is_ok_and(|met| met.server.protocol_version() == Some(ProtocolVersion::TLSv1_3))
                || expected.is_none()
        );
    }
}

#[test]
fn a_service_is_believed_only_by_whom_the_configuration_names() {
    let scene = Scene::new();
    scene.pair("a", &["a.test", "b.test"], Kind::Ecdsa);
    let stranger = authority("Stranger");
    scene.write("stranger.pem", stranger.pem());
    let server = scene.server(&format!("tls: {{ {A} }}"));
    for (tls, host, is_believed) in [
        ("{ ca: ca.pem }", "a.test", true),
        ("{ ca: ca.pem }", "b.test.", true),
        ("{ ca: ca.pem }", "c.test", false),
        ("{ ca: ca.pem }", "127.0.0.1", false),
        ("{ ca: ca.pem, server_name: b.test }", "127.0.0.1", true),
        ("{ ca: ca.pem, server_name: c.test }", "a.test", false),
        ("{ ca: stranger.pem }", "a.test", false),
        ("{ insecure: true }", "c.test", true),
    ] {
        let met = meet(&server, &scene.client(tls), host, Protocols::BOTH);
        assert_eq!(met.is_ok(), is_believed, "{tls} {host}");
    }
}

#[test]
fn a_session_is_resumed_over_a_reload_but_never_where_clients_show_certificates() {
    let scene = Scene::new();
    scene.pair("a", &["a.test"], Kind::Ecdsa);
    scene.pair("partner", &[], Kind::Ecdsa);
    let random: Vec<u8> = (0..160u8).collect();
    scene.write("fleet.key", &random);
    scene.write("rolled.key", [&random[80..], &random[..80]].concat());
    let elsewhere = Scene { registry: Registry::default(), ..Scene::new() };
    for file in ["a.pem", "a.key", "fleet.key", "ca.pem"] {
        elsewhere.write(file, fs::read(scene.path(file)).unwrap());
    }
    let mtls = |more: &str| format!("tls: {{ {A}, client: {{ ca: ca.pem{more} }} }}");
    let plain = format!("tls: {{ {A} }}");
    let fleet = format!("tls: {{ {A}, tickets: fleet.key }}");
    for (first, second, is_resumed) in [
        (scene.server(&plain), scene.server(&plain), true),
        (scene.server(&plain), elsewhere.server(&plain), false),
        (scene.server(&fleet), elsewhere.server(&fleet), true),
        (scene.server(&fleet), scene.server(&plain), false),
        (scene.server(&fleet), scene.server(&format!("tls: {{ {A}, tickets: rolled.key }}")), true),
        (scene.server(&mtls("")), scene.server(&mtls("")), false),
        (scene.server(&mtls(", required: false")), scene.server(&mtls(", required: false")), false),
        (scene.server(&mtls("")), scene.server(&plain), false),
        (scene.server(&plain), scene.server(&mtls("")), false),
    ] {
        let client = scene.client("{ ca: ca.pem, cert: partner.pem, key: partner.key }");
        let met = meet(&first, &client, "a.test", Protocols::BOTH).unwrap();
        assert!(!met.is_resumed());
        let again = meet(&second, &client, "a.test", Protocols::BOTH).unwrap();
        assert_eq!(again.is_resumed(), is_resumed, "{first:?} {second:?}");
        assert_eq!(again.subject().is_some(), asks(&second));
    }
    let (server, told) =
        scene.listen(&format!("tls: {{ {A}, client: {{ ca: ca.pem }}, tickets: fleet.key }}"));
    assert!(told.starts_with("unused_tickets: "), "{told}");
    assert!(!server.unwrap().config().ticketer.enabled());
}

#[test]
fn tls_towards_a_service_is_kept_when_it_only_stands_elsewhere_and_made_anew_when_it_changed() {
    let scene = Scene::new();
    scene.pair("own", &[], Kind::Ecdsa);
    let client = |above: &str, tls: &str, before| {
        let text = format!("{above}services: {{ s: {{ endpoints: 'https://a.test', tls: {tls} }} }}");
        let (config, _) = scene.config(&text);
        let mut faults = config.faults();
        Builder::new(&mut faults, &scene.registry, NOW).service(&config.services["s"], before).unwrap()
    };
    let own = "{ ca: ca.pem, cert: own.pem, key: own.key, server_name: b.test }";
    let first = client("", own, None);
    for (above, tls, is_kept) in [
        ("", own, true),
        ("# Moved\nworkers: 3\n", own, true),
        ("", "{  cert: own.pem, key: own.key, server_name: b.test, ca: ca.pem }", true),
        ("", "{ ca: ca.pem, cert: own.pem, key: own.key, server_name: c.test }", false),
        ("", "{ ca: ca.pem, server_name: b.test }", false),
    ] {
        assert_eq!(Arc::ptr_eq(&first, &client(above, tls, Some(&first))), is_kept, "{above}{tls}");
    }
}

/// Whether clients are asked for certificates there.
fn asks(server: &ServerTls) -> bool {
    !format!("{:?}", server.config()).contains("NoClientAuth")
}

#[test]
fn clients_show_certificates_where_they_must_and_revoked_ones_never_do() {
    let scene = Scene::new();
    scene.pair("a", &["a.test"], Kind::Ecdsa);
    scene.pair("partner", &[], Kind::Ecdsa);
    scene.pair("revoked", &[], Kind::Rsa);
    scene.revoke("good.crl", &["revoked"], 2100);
    let own = |name: &str| format!("{{ ca: ca.pem, cert: {name}.pem, key: {name}.key }}");
    let nobody = "{ ca: ca.pem }".to_owned();
    for (client, shown, expected) in [
        ("ca: ca.pem", own("partner"), Some(Some("CN=partner"))),
        ("ca: ca.pem", own("revoked"), Some(Some("CN=revoked"))),
        ("ca: ca.pem", nobody.clone(), None),
        ("ca: ca.pem, required: false", nobody.clone(), Some(None)),
        ("ca: ca.pem, required: false", own("partner"), Some(Some("CN=partner"))),
        ("ca: ca.pem, crl: good.crl", own("partner"), Some(Some("CN=partner"))),
        ("ca: ca.pem, crl: [good.crl]", own("revoked"), None),
        ("ca: ca.pem, crl: good.crl, required: false", own("revoked"), None),
        ("ca: ca.pem, crl: good.crl, required: false", nobody, Some(None)),
    ] {
        let server = scene.server(&format!("tls: {{ {A}, client: {{ {client} }} }}"));
        let met = meet(&server, &scene.client(&shown), "a.test", Protocols::HTTP1);
        let subject = met.as_ref().ok().map(Met::subject);
        let subject = subject
            .as_ref()
            .map(|subject| subject.as_deref().map(|subject| subject.split(',').next().unwrap()));
        assert_eq!(subject, expected, "{client} {shown}");
    }
    // A list that is out of date turns everybody away: nobody knows who was revoked since.
    scene.revoke("old.crl", &[], 2022);
    let (server, told) = scene.listen(&format!("tls: {{ {A}, client: {{ ca: ca.pem, crl: old.crl }} }}"));
    assert!(
        told.starts_with("crl_expired: the revocation list in old.crl was to be renewed by 2022-01-01"),
        "{told}"
    );
    assert!(meet(&server.unwrap(), &scene.client(&own("partner")), "a.test", Protocols::HTTP1).is_err());
}

#[test]
fn what_verifies_clients_is_known_again_when_it_stays_the_same() {
    let scene = Scene::new();
    scene.pair("a", &["a.test"], Kind::Ecdsa);
    scene.revoke("one.crl", &[], 2100);
    scene.revoke("other.crl", &["someone"], 2100);
    let clients = |client: &str| scene.server(&format!("tls: {{ {A}{client} }}")).clients();
    assert_eq!(clients(""), None);
    let ways = [
        ", client: { ca: ca.pem }",
        ", client: { ca: ca.pem, required: false }",
        ", client: { ca: ca.pem, crl: one.crl }",
        ", client: { ca: ca.pem, crl: other.crl }",
    ];
    for (place, way) in ways.iter().enumerate() {
        assert!(clients(way).is_some());
        assert_eq!(ways.iter().position(|other| clients(other) == clients(way)), Some(place), "{way}");
    }
}

#[test]
fn an_ocsp_response_is_stapled_and_the_oldest_version_is_held() {
    let scene = Scene::new();
    scene.pair("a", &["a.test"], Kind::Rsa);
    scene.write("a.ocsp", b"\x30\x03\x0a\x01\x00");
    let server = scene.server(
        "tls: { certificates: { cert: a.pem, key: a.key, ocsp: a.ocsp }, min_version: '1.3', handshake_timeout: 2s, handshakes: 2 }",
    );
    let hello = meet(&server, &scene.client("{ ca: ca.pem }"), "a.test", Protocols::HTTP1).unwrap();
    assert_eq!(hello.client.peer_certificates().map(<[_]>::len), Some(1));
    assert_eq!(server.handshake_timeout, std::time::Duration::from_secs(2));
    let under_way = [server.begin(), server.begin(), server.begin()];
    assert_eq!(under_way.each_ref().map(Option::is_some), [true, true, false]);
    drop(under_way);
    assert!(server.begin().is_some());
}

#[test]
fn what_is_wrong_with_a_file_is_told_with_what_to_do() {
    let scene = Scene::new();
    scene.pair("a", &["a.test"], Kind::Ecdsa);
    scene.pair("b", &["b.test"], Kind::Ecdsa);
    let text = |name: &str| fs::read_to_string(scene.path(name)).unwrap();
    scene.write("both.pem", text("b.pem") + &text("a.pem"));
    scene.write(
        "locked.key",
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAA==\n-----END ENCRYPTED PRIVATE KEY-----\n",
    );
    scene.write("broken.pem", "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n");
    scene.write("hollow.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    scene.write("der.pem", b"\x30\x03\x0a\x01\x00");
    scene.write("open.key", text("a.key"));
    fs::set_permissions(scene.path("open.key"), fs::Permissions::from_mode(0o644)).unwrap();
    let mut old = parameters(&["a.test"]);
    old.not_after = rcgen::date_time_ymd(2025, 12, 30);
    let mut early = parameters(&["a.test"]);
    early.not_before = rcgen::date_time_ymd(2026, 12, 30);
    for (name, parameters) in [("old", old), ("early", early), ("nameless", parameters(&[]))] {
        let key = key(Kind::Ecdsa);
        scene.write(&format!("{name}.pem"), parameters.signed_by(&key, &scene.authority).unwrap().pem());
        scene.write(&format!("{name}.key"), key.serialize_pem());
    }
    for (cert, key, expected) in [
        (
            "a.pem",
            "b.key",
            "key_mismatch: the key in b.key does not fit the certificate in a.pem (give the key",
        ),
        (
            "both.pem",
            "a.key",
            "key_mismatch: the key in a.key does not fit the certificate in both.pem (it fits another",
        ),
        ("both.pem", "b.key", ""),
        ("a.key", "a.pem", "bad_certificate: there is no certificate in a.key (it holds a private key: are"),
        ("a.pem", "a.pem", "bad_key: there is no private key in a.pem (it holds a certificate: are"),
        (
            "a.pem",
            "locked.key",
            "bad_key: the key in locked.key is encrypted with a passphrase (take it off: openssl pkey",
        ),
        ("broken.pem", "a.key", "bad_certificate: broken.pem is not valid PEM"),
        ("hollow.pem", "a.key", "bad_certificate: hollow.pem holds no valid X.509 certificate"),
        ("der.pem", "a.key", "bad_certificate: there is no certificate in der.pem (it seems to be DER"),
        ("a.pem", "der.pem", "bad_key: there is no private key in der.pem (it seems to be DER"),
        ("none.pem", "a.key", "unreadable_file: cannot read none.pem: No such file"),
        (
            "a.pem",
            "open.key",
            "open_key: everybody on this machine can read the key in open.key (chmod 600 open.key",
        ),
        ("old.pem", "old.key", "certificate_expired: the certificate in old.pem expired on 2025-12-30"),
        (
            "early.pem",
            "early.key",
            "certificate_not_yet_valid: the certificate in early.pem is not valid before 2026-12-30",
        ),
        ("nameless.pem", "nameless.key", ""),
    ] {
        let (_, told) = scene.listen(&format!("tls: {{ certificates: {{ cert: {cert}, key: {key} }} }}"));
        assert!(told.starts_with(expected) && told.is_empty() == expected.is_empty(), "{cert} {key}: {told}");
    }
    let (_, told) = scene.listen(
        "tls: { certificates: [ { cert: a.pem, key: a.key }, { cert: nameless.pem, key: nameless.key } ] }",
    );
    assert!(
        told.starts_with(
            "unused_certificate: no client gets the certificate in nameless.pem: it names no host"
        ),
        "{told}"
    );
}

#[test]
fn a_certificate_for_development_stays_the_same_over_reloads() {
    let scene = Scene::new();
    let (first, again) = (scene.server("tls: dev"), scene.server("tls: dev"));
    assert_eq!(first.development(), again.development());
    let made = first.development().unwrap();
    assert_eq!((made.names.as_slice(), made.file.as_str()), (&["localhost".to_owned()][..], "dev"));
    let client = scene.client("{ insecure: true }");
    let met = meet(&first, &client, "localhost", Protocols::BOTH).unwrap();
    let shown = met.client.peer_certificates().unwrap();
    assert_eq!(PeerCertificate::parse(&shown[0]).unwrap().sans, ["dns:localhost", "ip:127.0.0.1", "ip:::1"]);
    let other = scene.registry.development("192.0.2.7".parse().unwrap(), NOW).unwrap();
    assert_ne!(&other.certificate, made);
    scene.pair("a", &["a.test"], Kind::Ecdsa);
    assert!(scene.server(&format!("tls: {{ {A} }}")).development().is_none());
}

#[test]
fn a_service_whose_files_stay_the_same_keeps_its_sessions() {
    let scene = Scene::new();
    scene.pair("a", &["a.test"], Kind::Ecdsa);
    let (config, _) = scene.config("services: { s: { endpoints: 'https://a.test', tls: { ca: ca.pem } } }");
    let mut faults = config.faults();
    let mut builder = Builder::new(&mut faults, &scene.registry, NOW);
    let first = builder.service(&config.services["s"], None).unwrap();
    let second = builder.service(&config.services["s"], Some(&first)).unwrap();
    assert!(Arc::ptr_eq(&first, &second));
    scene.write("ca.pem", authority("Another").pem());
    let third = builder.service(&config.services["s"], Some(&first)).unwrap();
    assert!(!Arc::ptr_eq(&first, &third));
}
