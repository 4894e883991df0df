//! Certificates and TLS clients of the OpenSSL command line: an authority that signs, revokes and staples, and
//! `s_client`, which tells how a handshake went. Beside it a client of rustls, for many handshakes in little time.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, OnceLock};

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};
use tempfile::TempDir;

use crate::PATIENCE;

/// An authority led by hand with OpenSSL's command line, in a folder of its own: it can also revoke, and be asked.
pub struct OpenSsl {
    folder: TempDir,
}

/// What to put into a certificate, besides its name.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wish<'w> {
    /// Host names that it is for.
    pub hosts: &'w [&'w str],
    /// Whether its key is RSA; else ECDSA.
    pub rsa: bool,
    /// For how many days from now it is valid; 365 when nobody says, none for one that expired long ago.
    pub days: Option<u32>,
}

impl OpenSsl {
    /// An authority that nobody knows yet.
    #[track_caller]
    pub fn new() -> Self {
        let authority = Self { folder: tempfile::tempdir().unwrap() };
        for (file, text) in [
            ("index.txt", ""),
            ("index.txt.attr", "unique_subject = no\n"),
            ("crlnumber", "01\n"),
            ("ca.cnf", CONFIG),
        ] {
            fs::write(authority.path(file), text).unwrap();
        }
        authority.openssl(&format!(
            "req -x509 {EC} -nodes -keyout ca.key -out ca.pem -days 3650 -subj /CN=Scene-Authority -config ca.cnf \
             -extensions authority"
        ));
        authority
    }

    /// The path of one of its files: `ca.pem`, `NAME.pem`, `NAME.key`.
    pub fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    /// Where they are.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The SHA-256 digest of `NAME.pem`, as hexadecimal digits.
    #[track_caller]
    pub fn fingerprint(&self, name: &str) -> String {
        let said = self.openssl(&format!("x509 -in {name}.pem -noout -fingerprint -sha256"));
        said.trim().rsplit('=').next().unwrap().replace(':', "").to_ascii_lowercase()
    }

    /// Makes `NAME.pem` and `NAME.key`, in the place of any that were there.
    #[track_caller]
    pub fn issue(&self, name: &str, wish: Wish) {
        let kind = if wish.rsa { "-newkey rsa:2048" } else { EC };
        let hosts: Vec<String> = wish.hosts.iter().map(|host| format!("DNS:{host}")).collect();
        let hosts = if hosts.is_empty() {
            String::new()
        } else {
            format!("-addext subjectAltName={}", hosts.join(","))
        };
        self.openssl(&format!(
            "req -new {kind} -nodes -keyout fresh.key -out fresh.csr -subj /CN={name} -config ca.cnf \
             -addext basicConstraints=CA:FALSE {hosts}"
        ));
        let validity = match wish.days {
            None => "-days 365".to_owned(),
            Some(0) => "-startdate 20200101000000Z -enddate 20210101000000Z".to_owned(),
            Some(days) => format!("-days {days}"),
        };
        self.openssl(&format!("ca -config ca.cnf -batch -notext -in fresh.csr -out fresh.pem {validity}"));
        fs::set_permissions(self.path("fresh.key"), fs::Permissions::from_mode(0o600)).unwrap();
        fs::rename(self.path("fresh.key"), self.path(&format!("{name}.key"))).unwrap();
        fs::rename(self.path("fresh.pem"), self.path(&format!("{name}.pem"))).unwrap();
    }

    /// Revokes the certificate of this name.
    #[track_caller]
    pub fn revoke(&self, name: &str) {
        self.openssl(&format!("ca -config ca.cnf -revoke {name}.pem"));
    }

    /// Writes the list of all that are revoked.
    #[track_caller]
    pub fn list(&self) -> PathBuf {
        self.openssl("ca -config ca.cnf -gencrl -crldays 30 -out fresh.crl");
        fs::rename(self.path("fresh.crl"), self.path("ca.crl")).unwrap();
        self.path("ca.crl")
    }

    /// Writes what it says of the certificate of this name when asked (OCSP).
    #[track_caller]
    pub fn ocsp(&self, name: &str) -> PathBuf {
        self.openssl(&format!("ocsp -issuer ca.pem -cert {name}.pem -reqout request.der"));
        self.openssl(&format!(
            "ocsp -index index.txt -rsigner ca.pem -rkey ca.key -CA ca.pem -reqin request.der -respout {name}.ocsp -ndays 30"
        ));
        self.path(&format!("{name}.ocsp"))
    }

    /// Puts the pair of one name in the place of another's: the certificate, its key, or both.
    #[track_caller]
    pub fn replace(&self, files: &[&str], from: &str, to: &str) {
        for kind in files {
            let beside = self.path("beside");
            fs::copy(self.path(&format!("{from}.{kind}")), &beside).unwrap();
            fs::rename(beside, self.path(&format!("{to}.{kind}"))).unwrap();
        }
    }

    #[track_caller]
    fn openssl(&self, arguments: &str) -> String {
        let mut command = Command::new("openssl");
        command.current_dir(self.folder.path()).args(arguments.split_whitespace()).stdin(Stdio::null());
        let output = command.output().unwrap_or_else(|error| panic!("openssl does not run: {error}"));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "openssl {arguments}\n{said}");
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Default for OpenSsl {
    fn default() -> Self {
        Self::new()
    }
}

/// What `s_client` said of one connection, and what it was answered.
#[derive(Debug)]
pub struct Told(String);

/// Shakes hands and sends one request, as `openssl s_client` with these arguments.
#[track_caller]
pub fn s_client(address: SocketAddr, arguments: &[&str]) -> Told {
    let mut command = Command::new("timeout");
    command.args(["20", "openssl", "s_client", "-ign_eof", "-connect", &address.to_string()]);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("openssl does not run: {error}"));
    // It may have ended already, when the handshake failed.
    let _ = child
        .stdin
        .take()
        .unwrap()
        .write_all(b"GET /x HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n");
    let output = child.wait_with_output().unwrap();
    let both = [output.stdout, output.stderr].concat();
    Told(String::from_utf8_lossy(&both).into_owned())
}

impl Told {
    /// Everything.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// That all of these words were said.
    #[track_caller]
    pub fn expect(self, words: &[&str]) -> Self {
        for words in words {
            assert!(self.0.contains(words), "{words:?} is not in\n{}", self.0);
        }
        self
    }

    /// That the handshake failed, or the connection ended before there was an answer; and these words.
    #[track_caller]
    pub fn expect_no_answer(self, words: &str) -> Self {
        assert!(!self.0.contains("HTTP/1.1 "), "there was an answer:\n{}", self.0);
        self.expect(&[words])
    }

    /// Whether the session went on that an earlier connection began.
    pub fn is_resumed(&self) -> bool {
        self.0.contains("\nReused, TLSv1.")
    }

    /// The name in the certificate that was shown.
    pub fn subject(&self) -> &str {
        self.0.lines().find_map(|line| line.trim().strip_prefix("subject=CN = ")).unwrap_or_default()
    }
}

/// A TLS connection that stays open, by a client that believes everybody and resumes nothing.
pub struct Secured(StreamOwned<ClientConnection, TcpStream>);

impl Secured {
    /// Connects and shakes hands.
    #[track_caller]
    pub fn connect(address: SocketAddr, host: &'static str) -> Self {
        static CONFIG: OnceLock<Arc<ClientConfig>> = OnceLock::new();
        let config = CONFIG.get_or_init(|| {
            let provider = Arc::new(aws_lc_rs::default_provider());
            let builder = ClientConfig::builder_with_provider(Arc::clone(&provider));
            let builder = builder.with_safe_default_protocol_versions().unwrap().dangerous();
            let mut config =
                builder.with_custom_certificate_verifier(Arc::new(Anybody(provider))).with_no_client_auth();
            config.resumption = Resumption::disabled();
            Arc::new(config)
        });
        let session = ClientConnection::new(Arc::clone(config), host.try_into().unwrap()).unwrap();
        let socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_nodelay(true).unwrap();
        let mut stream = StreamOwned::new(session, socket);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock).unwrap_or_else(|error| panic!("no handshake: {error}"));
        }
        Self(stream)
    }

    /// Asks for `/x`; the answer must be 200 with a body that ends in `pong`.
    #[track_caller]
    pub fn expect_pong(&mut self) {
        self.0.write_all(b"GET /x HTTP/1.1\r\nHost: a.test\r\n\r\n").unwrap();
        let (mut answer, mut buffer) = (Vec::new(), [0; 4096]);
        while !answer.ends_with(b"\r\n\r\npong") {
            let count = self.0.read(&mut buffer).unwrap_or_else(|error| panic!("no answer: {error}"));
            answer.extend(&buffer[..count]);
            assert!(count > 0, "cut off after {:?}", String::from_utf8_lossy(&answer));
        }
        assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&answer));
    }
}

/// Believes every certificate: what is shown is looked at by others.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

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
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// How to make a key for ECDSA.
const EC: &str = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1";

const CONFIG: &str = "\
[ca]
default_ca = this
[this]
database = index.txt
rand_serial = yes
crlnumber = crlnumber
crl_extensions = list
new_certs_dir = .
default_md = sha256
policy = any
copy_extensions = copy
certificate = ca.pem
private_key = ca.key
default_days = 365
default_crl_days = 30
[any]
commonName = supplied
[req]
distinguished_name = name
prompt = no
[name]
[authority]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign,digitalSignature
subjectKeyIdentifier = hash
[list]
authorityKeyIdentifier = keyid
";
