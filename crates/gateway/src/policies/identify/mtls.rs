//! `mtls`: the certificate that the client has shown in the handshake, which the listener has verified.

use http1::RequestHead;

use super::{Authenticator, Finding};
use crate::config::values::CertificatePattern;
use crate::config::{self, Config};
use crate::exchange::Exchange;
use crate::identity::Identity;
use crate::tls::PeerCertificate;

/// The compiled way.
#[derive(Debug)]
pub struct Mtls {
    name: Box<str>,
    allow: Vec<CertificatePattern>,
    /// Applications, their plans, and what their certificates look like.
    apps: Vec<(Box<str>, Box<str>, Vec<CertificatePattern>)>,
}

impl Mtls {
    /// Compiles the configuration. Names of apps that are none have been refused before.
    pub fn build(name: &str, mtls: &config::Mtls, config: &Config) -> Self {
        let apps = mtls.apps.iter().map(|(app, (_, patterns))| {
            let plan = config.apps.get(app).map_or("", config::App::plan_name);
            (app.as_str().into(), plan.into(), patterns.clone())
        });
        Self { name: name.into(), allow: mtls.allow.clone(), apps: apps.collect() }
    }

    fn identity(&self, certificate: &PeerCertificate) -> Option<Identity> {
        let fingerprint = format!("sha256:{}", certificate.fingerprint);
        let alternative = certificate.sans.iter().map(String::as_str);
        let names: Vec<&str> =
            parts(&certificate.subject).chain(alternative).chain([fingerprint.as_str()]).collect();
        let is_any = |patterns: &[CertificatePattern]| {
            names.iter().any(|name| patterns.iter().any(|pattern| pattern.matches(name)))
        };
        let app = self.apps.iter().find(|(_, _, patterns)| is_any(patterns));
        if app.is_none() && !is_any(&self.allow) {
            return None;
        }
        let user = match certificate.sans.first() {
            Some(first) if certificate.subject.is_empty() => first,
            _ => &certificate.subject,
        };
        let mut identity = Identity::with_scopes(Vec::new());
        identity.user = user.as_str().into();
        if let Some((app, plan, _)) = app {
            (identity.app, identity.plan) = (app.clone(), plan.clone());
        }
        Some(identity)
    }
}

/// The parts of a subject in the notation of RFC 4514, undivided by what is escaped: `CN=a\,O=b` is one.
fn parts(subject: &str) -> impl Iterator<Item = &str> {
    let mut rest = subject;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let mut is_escaped = false;
        let end = rest.find(|c: char| {
            let is_end = matches!(c, ',' | '+') && !is_escaped;
            is_escaped = c == '\\' && !is_escaped;
            is_end
        });
        let (part, after) = end.map_or((rest, ""), |end| (&rest[..end], &rest[end + 1..]));
        rest = after;
        Some(part)
    })
}

impl Authenticator for Mtls {
    fn identify<'w>(&'w self, exchange: &Exchange, _body: Option<&[u8]>) -> Finding<'w> {
        let Some(certificate) = exchange.certificate() else { return Finding::Nothing };
        // Whether it is good the handshake has said; whose it is changes with the configuration alone.
        let verify = || Ok((self.identity(certificate).ok_or("certificate_unknown")?, f64::INFINITY));
        exchange.live.proofs.owner(&self.name, 0, certificate.fingerprint.as_bytes(), 0.0, verify).into()
    }

    fn strip(&self, _: &mut RequestHead) {}

    fn challenge(&self, realm: &str, _: bool) -> Vec<String> {
        // There is no scheme of HTTP for what the handshake shows.
        vec![format!("ClientCertificate realm=\"{realm}\"")]
    }

    fn explain(&self) -> String {
        "a client's certificate".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_has_parts_and_an_escaped_comma_divides_none() {
        for (subject, expected) in [
            ("", &[][..]),
            ("CN=a", &["CN=a"]),
            ("CN=partner-7,O=Example", &["CN=partner-7", "O=Example"]),
            ("CN=x\\,CN=partner-7,O=Example", &["CN=x\\,CN=partner-7", "O=Example"]),
            ("CN=x\\\\,O=b", &["CN=x\\\\", "O=b"]),
            ("CN=a+OU=b,O=c", &["CN=a", "OU=b", "O=c"]),
        ] {
            assert_eq!(parts(subject).collect::<Vec<_>>(), expected, "{subject}");
        }
    }
}
