//! `identity`: what services are told of callers.

use schemars::JsonSchema;

use super::policy::Setting;
use crate::config::fault::Fault;
use crate::config::node::Node;
use crate::config::read::{Keys, Read, Reader};
use crate::config::source::Located;
use crate::config::values::{Duration, Secret};

/// What services are told of callers: in plain fields, in a signed one, in both, or not at all.
#[derive(Clone, Debug, PartialEq, JsonSchema)]
#[schemars(default)]
pub struct IdentityHeaders {
    /// How: `plain`, `signed`, or both; `off` tells nothing. Default: `plain`.
    #[schemars(with = "Setting<Vec<IdentityForm>>")]
    pub headers: Vec<IdentityForm>,
    /// Private keys for `signed`, in PEM, of Ed25519 (`EdDSA`) or P-256 (`ES256`), or shared secrets of at least 32 bytes (`HS256`). The
    /// first one signs; services can verify by all of them.
    #[schemars(with = "Option<Vec<Secret>>")]
    pub keys: Vec<Located<Secret>>,
    /// Who the gateway is: `iss`. Default: `tollgate`.
    pub issuer: String,
    /// How long services may believe it, from 10s to 1h. Default: `60s`.
    pub valid_for: Duration,
}

/// How services are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "lowercase")]
pub enum IdentityForm {
    /// In `X-Tollgate-App`, `-User`, `-Plan` and `-Scopes`.
    Plain,
    /// In `X-Tollgate-Identity`, a token (JWT) that the gateway has signed for this one service.
    Signed,
}

impl IdentityForm {
    /// Its name in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Signed => "signed",
        }
    }
}

impl Default for IdentityHeaders {
    fn default() -> Self {
        Self {
            headers: vec![IdentityForm::Plain],
            keys: Vec::new(),
            issuer: "tollgate".to_owned(),
            valid_for: Duration::from_secs(60),
        }
    }
}

impl Read for IdentityForm {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        reader.word(node, &[("plain", Self::Plain), ("signed", Self::Signed)])
    }
}

impl Read for IdentityHeaders {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let mut map = reader.map(node, &IDENTITY)?;
        let usual = Self::default();
        let headers: Option<Setting<Vec<IdentityForm>>> = map.optional("headers", reader);
        let headers = headers.map_or(usual.headers, |setting| setting.value().cloned().unwrap_or_default());
        let keys: Vec<Located<Secret>> = map.or("keys", Vec::new(), reader);
        let issuer = map.or("issuer", usual.issuer, reader);
        let valid_for: Duration = map.or("valid_for", usual.valid_for, reader);
        if map.is_empty_list("headers") {
            reader.wrong(map.key_span("headers"), "`headers` is empty: write `off` to tell services nothing");
        }
        let is_signed = headers.contains(&IdentityForm::Signed);
        if is_signed && (!map.has("keys") || map.is_empty_list("keys")) {
            let fault = Fault::error("missing_key", map.head(), "what is signed needs a key, under `keys`");
            reader.fault(
                fault.help("`openssl genpkey -algorithm ed25519` makes one; name it as \"${file:PATH}\""),
            );
        } else if !is_signed && map.has("keys") {
            reader.wrong(map.key_span("keys"), "these keys sign nothing: `headers` does not say `signed`");
        }
        if *valid_for < *Duration::from_secs(10) || *valid_for > *Duration::from_secs(3600) {
            reader.wrong(map.key_span("valid_for"), "expected a duration from 10s to 1h");
        }
        map.finish(reader);
        Some(Self { headers, keys, issuer, valid_for })
    }
}

pub(super) static IDENTITY: Keys =
    Keys { of: "`identity`", known: &["headers", "keys", "issuer", "valid_for"], later: &[], shared: None };
