//! `mtls`: certificates that clients have shown.

use std::collections::BTreeMap;

use schemars::JsonSchema;

use crate::config::node::Node;
use crate::config::read::{Keys, Read, Reader, named};
use crate::config::source::Located;
use crate::config::values::CertificatePattern;

/// A certificate that the client has shown and the listener has verified (`tls.client`).
#[derive(Clone, Debug, Default, PartialEq, JsonSchema)]
pub struct Mtls {
    /// Certificates of known callers. A pattern is held against each part of the subject (`CN=partner-*`, `O=Example`), each
    /// alternative name (`dns:*.partner.example`, `uri:spiffe://example/*`, `email:…`, `ip:…`) and the fingerprint (`sha256:…`); `*`
    /// stands for anything.
    #[schemars(default, with = "Vec<CertificatePattern>")]
    pub allow: Vec<CertificatePattern>,
    /// Names under `apps`, each with the certificates that are that application's; they need not be in `allow`.
    #[schemars(with = "Option<BTreeMap<String, Vec<CertificatePattern>>>")]
    pub apps: BTreeMap<String, (Located<String>, Vec<CertificatePattern>)>,
}

impl Read for Mtls {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let mut map = reader.map(node, &MTLS)?;
        let allow = map.or("allow", Vec::new(), reader);
        let apps = map.take("apps").map(|node| {
            named(node, "patterns of certificates by app", reader, |name, node, reader| {
                let patterns = Vec::read(node, reader)?;
                Some((Located::new(name.text.to_string(), name.span), patterns))
            })
        });
        if !map.has("allow") && !map.has("apps") {
            reader.wrong(map.head(), "`mtls` says of no certificate whose it is: with `allow` or `apps`");
        }
        if map.is_empty_list("allow") {
            reader.wrong(map.key_span("allow"), "`allow` is empty: name one, or leave it out");
        }
        map.finish(reader);
        Some(Self { allow, apps: apps.unwrap_or_default() })
    }
}

pub(super) static MTLS: Keys = Keys { of: "`mtls`", known: &["allow", "apps"], later: &[], shared: None };
