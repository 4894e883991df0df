//! `signature`: HTTP Message Signatures (RFC 9421).

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;

use super::hmac::{BODY_BOUNDS, default_max_body, default_window, read_window};
use super::tls::watched_file;
use crate::config::node::{Key, Node};
use crate::config::read::{Keys, Read, Reader, named};
use crate::config::source::Located;
use crate::config::values::{Component, Duration, Scope, Size};

/// Requests that the caller has signed as RFC 9421 says, in `Signature-Input` and `Signature`. `keyid` is the id of a key under `apps`
/// that stands there with its `secret` (for `hmac-sha256`), or a name under `keys`. A signature has `created`, `keyid` and `nonce`.
#[derive(Clone, Debug, PartialEq, JsonSchema)]
pub struct Signature {
    /// How requests may be signed. Default: all of them.
    #[schemars(default = "default_algorithms")]
    pub algorithms: Vec<SignatureAlgorithm>,
    /// What a signature must cover: fields in lower case, and `@method`, `@target-uri`, `@authority`, `@scheme`,
    /// `@request-target`, `@path` and `@query`. What covers more is good, too: `@target-uri` covers authority, scheme, path and query.
    /// `content-digest` is asked of requests that have a body. Default: `@method`, `@authority`, `@path`, `@query` and
    /// `content-digest`.
    #[schemars(default = "default_components")]
    pub components: Vec<Component>,
    /// How old a signature may be, and how far `created` may be ahead of the gateway's time, from 1s to 1h. Default: `300s`.
    #[schemars(default = "default_window")]
    pub window: Duration,
    /// What its `tag` must be. Default: any, or none.
    pub tag: Option<String>,
    /// Which of several signatures is looked at. Default: there must be just one.
    pub label: Option<String>,
    /// Public keys by the `keyid` that names them.
    #[schemars(default)]
    pub keys: BTreeMap<String, SignatureKey>,
    /// Bytes of body that are looked at, where `content-digest` is signed; requests with more are refused. Default: `1MiB`.
    #[schemars(default = "default_max_body")]
    pub max_body: Size,
    /// Whether the service gets the signature too. Default: `false`.
    #[schemars(default)]
    pub pass: bool,
}

/// A public key, and whose it is.
#[derive(Clone, Debug, PartialEq, JsonSchema)]
pub struct SignatureKey {
    /// The name of the application under `apps`.
    #[schemars(with = "String")]
    pub app: Located<String>,
    /// The file with the public key, PEM: Ed25519, or ECDSA on P-256. It is watched.
    #[schemars(with = "String")]
    pub file: Located<PathBuf>,
    /// What it is for.
    #[schemars(default, with = "Vec<String>")]
    pub scopes: Vec<Scope>,
}

/// How a request is signed (RFC 9421, section 6.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, JsonSchema)]
pub enum SignatureAlgorithm {
    /// HMAC with SHA-256, by the secret of a key under `apps`.
    #[schemars(rename = "hmac-sha256")]
    HmacSha256,
    /// Ed25519.
    #[schemars(rename = "ed25519")]
    Ed25519,
    /// ECDSA on the curve P-256, with SHA-256.
    #[schemars(rename = "ecdsa-p256-sha256")]
    EcdsaP256Sha256,
}

impl SignatureAlgorithm {
    /// The registry's name for it.
    pub fn as_str(self) -> &'static str {
        ALGORITHMS.iter().find(|(_, known)| *known == self).map_or("", |(name, _)| name)
    }
}

impl Read for SignatureAlgorithm {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        reader.word(node, ALGORITHMS)
    }
}

impl Read for Signature {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let mut map = reader.map(node, &SIGNATURE)?;
        let signature = Self {
            algorithms: map.or("algorithms", default_algorithms(), reader),
            components: map.or("components", default_components(), reader),
            window: read_window(&mut map, reader),
            tag: map.optional("tag", reader),
            label: map.optional("label", reader),
            keys: map
                .take("keys")
                .map(|node| named(node, "public keys by `keyid`", reader, SignatureKey::read))
                .unwrap_or_default(),
            max_body: map.size("max_body", default_max_body(), BODY_BOUNDS, reader),
            pass: map.or("pass", false, reader),
        };
        if map.is_empty_list("algorithms") {
            reader.wrong(map.key_span("algorithms"), "`algorithms` is empty: no signature could be right");
        }
        if map.is_empty_list("components") {
            let message = "`components` is empty: a signature that covers nothing says nothing";
            reader.wrong(map.key_span("components"), message);
        }
        map.finish(reader);
        Some(signature)
    }
}

impl SignatureKey {
    fn read(_: &Key, node: &Node, reader: &mut Reader) -> Option<Self> {
        let mut map = reader.map(node, &SIGNATURE_KEY)?;
        let app = map.required("app", reader);
        let file = map.demand("file", reader).and_then(|node| watched_file(node, reader));
        let scopes = map.or("scopes", Vec::new(), reader);
        map.finish(reader);
        Some(Self { app: app?, file: file?, scopes })
    }
}

fn default_algorithms() -> Vec<SignatureAlgorithm> {
    ALGORITHMS.iter().map(|(_, algorithm)| *algorithm).collect()
}

fn default_components() -> Vec<Component> {
    let names = ["@method", "@authority", "@path", "@query", "content-digest"];
    names.into_iter().filter_map(|name| Component::parse(name).ok()).collect()
}

const ALGORITHMS: &[(&str, SignatureAlgorithm)] = &[
    ("hmac-sha256", SignatureAlgorithm::HmacSha256),
    ("ed25519", SignatureAlgorithm::Ed25519),
    ("ecdsa-p256-sha256", SignatureAlgorithm::EcdsaP256Sha256),
];

pub(super) static SIGNATURE: Keys = Keys {
    of: "`signature`",
    known: &["algorithms", "components", "window", "tag", "label", "keys", "max_body", "pass"],
    later: &[],
    shared: None,
};

pub(super) static SIGNATURE_KEY: Keys =
    Keys { of: "a public key", known: &["app", "file", "scopes"], later: &[], shared: None };
