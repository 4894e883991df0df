//! `hmac`: requests that the caller has signed with the secret of a key.

use http::HeaderName;
use schemars::JsonSchema;

use super::route::{FRAMING, is_framing};
use crate::config::node::Node;
use crate::config::read::{Keys, MapReader, Read, Reader};
use crate::config::source::Located;
use crate::config::values::{Duration, Size};

/// Requests that are signed with the secret of a key under `apps`, one that stands there as `secret`. Signed are method, path with
/// query, timestamp, nonce and body, each on a line of its own.
#[derive(Clone, Debug, PartialEq, JsonSchema)]
pub struct Hmac {
    /// The hash of the HMAC. Default: `sha256`.
    #[schemars(default)]
    pub algorithm: HmacHash,
    /// How far the timestamp may be from the gateway's time, either way, from 1s to 1h. Default: `300s`.
    #[schemars(default = "default_window")]
    pub window: Duration,
    /// What stands for the body in what is signed: the body itself (`raw`), or its SHA-256 in hexadecimal digits (`sha256`).
    /// Default: `raw`.
    #[schemars(default)]
    pub body: SignedBody,
    /// Bytes of body that are looked at; requests with more are refused. Default: `1MiB`.
    #[schemars(default = "default_max_body")]
    pub max_body: Size,
    /// The headers that hold it.
    #[schemars(default)]
    pub headers: HmacHeaders,
    /// Whether the service gets the signature too. Default: `false`.
    #[schemars(default)]
    pub pass: bool,
}

/// The headers of a signed request.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(default)]
pub struct HmacHeaders {
    /// The id of the key. Default: `X-API-Key`.
    #[schemars(with = "String")]
    pub key: HeaderName,
    /// Seconds since the Unix epoch. Default: `X-Timestamp`.
    #[schemars(with = "String")]
    pub timestamp: HeaderName,
    /// What no other request of this key has, from 8 to 128 letters, digits and any of `-._~+/=`. Default: `X-Nonce`.
    #[schemars(with = "String")]
    pub nonce: HeaderName,
    /// The signature, in hexadecimal digits or base64. Default: `X-Signature`.
    #[schemars(with = "String")]
    pub signature: HeaderName,
}

/// The hash of an HMAC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub enum HmacHash {
    /// SHA-256.
    #[default]
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

/// What stands for the body in what is signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub enum SignedBody {
    /// The body itself.
    #[default]
    Raw,
    /// Its SHA-256 in hexadecimal digits.
    Sha256,
}

impl HmacHash {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        HASHES.iter().find(|(_, known)| *known == self).map_or("", |(name, _)| name)
    }
}

impl SignedBody {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        BODIES.iter().find(|(_, known)| *known == self).map_or("", |(name, _)| name)
    }
}

impl HmacHeaders {
    /// All of them.
    pub fn each(&self) -> [&HeaderName; 4] {
        [&self.key, &self.timestamp, &self.nonce, &self.signature]
    }
}

impl Default for HmacHeaders {
    fn default() -> Self {
        Self {
            key: HeaderName::from_static("x-api-key"),
            timestamp: HeaderName::from_static("x-timestamp"),
            nonce: HeaderName::from_static("x-nonce"),
            signature: HeaderName::from_static("x-signature"),
        }
    }
}

impl Read for Hmac {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let mut map = reader.map(node, &HMAC)?;
        let hmac = Self {
            algorithm: map.or("algorithm", HmacHash::default(), reader),
            window: read_window(&mut map, reader),
            body: map.or("body", SignedBody::default(), reader),
            max_body: map.size("max_body", default_max_body(), BODY_BOUNDS, reader),
            headers: map.or("headers", HmacHeaders::default(), reader),
            pass: map.or("pass", false, reader),
        };
        map.finish(reader);
        Some(hmac)
    }
}

/// Reads how far clocks may differ.
pub(super) fn read_window(map: &mut MapReader<'_>, reader: &mut Reader) -> Duration {
    let window = map.or("window", default_window(), reader);
    if !(1..=3600).contains(&window.as_secs()) || window.subsec_nanos() != 0 {
        reader.wrong(map.key_span("window"), "expected whole seconds, from 1s to 1h");
    }
    window
}

impl Read for HmacHeaders {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let mut map = reader.map(node, &HMAC_HEADERS)?;
        let usual = Self::default();
        let mut one = |key: &'static str, usual: HeaderName| {
            let Some(header) = map.optional::<Located<HeaderName>>(key, reader) else { return usual };
            if is_framing(&header.value) || header.value == http::header::HOST {
                reader.wrong(header.span, FRAMING);
            }
            header.value
        };
        let headers = Self {
            key: one("key", usual.key),
            timestamp: one("timestamp", usual.timestamp),
            nonce: one("nonce", usual.nonce),
            signature: one("signature", usual.signature),
        };
        let all = headers.each();
        if (1..all.len()).any(|place| all[..place].contains(&all[place])) {
            reader.wrong(map.head(), "each of these is a header of its own");
        }
        map.finish(reader);
        Some(headers)
    }
}

impl Read for HmacHash {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        reader.word(node, HASHES)
    }
}

impl Read for SignedBody {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        reader.word(node, BODIES)
    }
}

pub(super) fn default_window() -> Duration {
    Duration::from_secs(300)
}

pub(super) fn default_max_body() -> Size {
    Size::from_bytes(1024 * 1024)
}

const HASHES: &[(&str, HmacHash)] =
    &[("sha256", HmacHash::Sha256), ("sha384", HmacHash::Sha384), ("sha512", HmacHash::Sha512)];

const BODIES: &[(&str, SignedBody)] = &[("raw", SignedBody::Raw), ("sha256", SignedBody::Sha256)];

/// Bytes of body that a signature may have the gateway keep.
pub(super) const BODY_BOUNDS: std::ops::RangeInclusive<u64> = 0..=64 * 1024 * 1024;

pub(super) static HMAC: Keys = Keys {
    of: "`hmac`",
    known: &["algorithm", "window", "body", "max_body", "headers", "pass"],
    later: &[],
    shared: None,
};

pub(super) static HMAC_HEADERS: Keys = Keys {
    of: "the headers of a signed request",
    known: &["key", "timestamp", "nonce", "signature"],
    later: &[],
    shared: None,
};
