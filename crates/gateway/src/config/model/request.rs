//! `request`: what a request may bring.

use std::fmt;

use schemars::JsonSchema;

use crate::config::node::{Node, Value};
use crate::config::read::{Keys, Read, Reader};
use crate::config::schema::or_true;
use crate::config::values::Size;

/// What a request may bring.
#[derive(Clone, Debug, Default, PartialEq, Hash, JsonSchema)]
pub struct RequestPolicy {
    /// Bytes of a request's body; more is refused with 413. Default: no limit, as bodies are not held in memory.
    pub max_body: Option<Size>,
    /// Media types a request's body may have, such as `application/json` or `image/*`; others are refused with 415.
    /// Default: any.
    #[schemars(default, with = "Vec<String>")]
    pub content_types: Vec<MediaType>,
    /// Bytes of the path and the query together; more is refused with 414. Default: what the listener's `line_size` leaves.
    pub url: Option<Size>,
    /// Header fields; more are refused with 431. Default: the listener's `headers`.
    pub headers: Option<u32>,
    /// Bytes of all header fields, names and values; more is refused with 431. Default: the listener's `header_size`.
    pub header_size: Option<Size>,
    /// How much there may be in a JSON body: `true`, or a map that says it. Bodies are held in memory for it, up to `max_body`, or 1 MiB
    /// without one. Default: it is not looked at.
    pub json: Option<JsonLimits>,
}

/// How much there may be in a JSON body. What is more is refused with 413, and what is no JSON with 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, JsonSchema)]
#[schemars(default, transform = or_true)]
pub struct JsonLimits {
    /// Arrays and objects in each other, from 1 to 1000. Default: `32`.
    pub depth: u32,
    /// Members of one object. Default: `1000`.
    pub keys: u32,
    /// Elements of one array. Default: `10000`.
    pub array: u32,
    /// Bytes of one string or name, as it is written. Default: `256KiB`.
    pub string: Size,
    /// Values in all, arrays and objects among them. Default: `100000`.
    pub values: u32,
}

impl JsonLimits {
    /// Bytes of a body that is looked at where nothing is said of bodies.
    pub const USUAL_BODY: u64 = 1 << 20;
}

impl Default for JsonLimits {
    fn default() -> Self {
        Self { depth: 32, keys: 1000, array: 10_000, string: Size::from_bytes(256 << 10), values: 100_000 }
    }
}

/// A media type without parameters, in lower case; its second part may be `*`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MediaType(pub String);

impl Read for RequestPolicy {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let mut map = reader.map(node, &REQUEST)?;
        let policy = Self {
            max_body: map.optional("max_body", reader),
            content_types: map.or("content_types", Vec::new(), reader),
            url: map.take("url").and_then(|node| reader.size(node, 1..=LARGEST_HEAD)),
            headers: map.take("headers").and_then(|node| reader.count(node, 1..=1000)),
            header_size: map.take("header_size").and_then(|node| reader.size(node, 1..=LARGEST_HEAD)),
            json: map.optional("json", reader),
        };
        if policy.json.is_some() && policy.max_body.is_some_and(|most| most.bytes() > LARGEST_LOOKED_AT) {
            let most = Size::from_bytes(LARGEST_LOOKED_AT);
            let message =
                format!("JSON is held in memory to be looked at: `max_body` is at most {most} then");
            reader.wrong(map.key_span("max_body"), message);
        }
        map.finish(reader);
        Some(policy)
    }
}

impl Read for JsonLimits {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        if matches!(node.value, Value::Text(_)) {
            return reader.word(node, &[("true", ())]).map(|()| Self::default());
        }
        let mut map = reader.map(node, &JSON)?;
        let default = Self::default();
        let limits = Self {
            depth: map.count("depth", default.depth, 1..=1000, reader),
            keys: map.count("keys", default.keys, 0..=u32::MAX, reader),
            array: map.count("array", default.array, 0..=u32::MAX, reader),
            string: map.or("string", default.string, reader),
            values: map.count("values", default.values, 1..=u32::MAX - 1, reader),
        };
        map.finish(reader);
        Some(limits)
    }
}

impl fmt::Display for JsonLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { depth, keys, array, string, values } = self;
        write!(f, "{depth} deep, {keys} members, {array} elements, strings of {string}, {values} values")
    }
}

impl Read for MediaType {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        reader.parsed(node, "a media type", Self::parse)
    }
}

impl MediaType {
    /// Reads `type/subtype` or `type/*` (RFC 9110, section 8.3.1), without parameters.
    fn parse(text: &str) -> Result<Self, String> {
        let token = |part: &str| {
            !part.is_empty()
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
        };
        match text.split_once('/') {
            Some((kind, subtype)) if token(kind) && kind != "*" && token(subtype) => {
                Ok(Self(text.to_ascii_lowercase()))
            }
            _ => Err("expected a media type such as application/json or image/*".to_owned()),
        }
    }
}

pub(super) static REQUEST: Keys = Keys {
    of: "`request`",
    known: &["max_body", "content_types", "url", "headers", "header_size", "json"],
    later: &[],
    shared: None,
};

pub(super) static JSON: Keys =
    Keys { of: "`json`", known: &["depth", "keys", "array", "string", "values"], later: &[], shared: None };

/// Bytes of a head: no listener takes more.
const LARGEST_HEAD: u64 = 1 << 20;
/// Bytes of a body that is held in memory to be looked at.
const LARGEST_LOOKED_AT: u64 = 16 << 20;
