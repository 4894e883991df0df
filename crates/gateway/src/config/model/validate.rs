//! `validate`: what requests, and answers, must be like.

use std::borrow::Cow;
use std::path::PathBuf;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::tls::watched_file;
use crate::config::fault::Fault;
use crate::config::node::{Node, Value};
use crate::config::read::{Keys, Read, Reader};
use crate::config::schema::or_text;
use crate::config::source::Located;
use crate::config::values::Size;

/// What requests must be like, and answers, by a JSON Schema or by an OpenAPI document. A plain file is `body`.
#[derive(Clone, Debug, PartialEq, Hash, JsonSchema)]
#[schemars(transform = or_text)]
pub struct ValidatePolicy {
    /// A file with the JSON Schema that bodies follow, in JSON or YAML. It is watched.
    #[schemars(with = "Option<String>")]
    pub body: Option<Located<PathBuf>>,
    /// A file with an OpenAPI document (3.0 or 3.1), in YAML or JSON; what it does not describe is refused. It is watched.
    #[schemars(with = "Option<String>")]
    pub openapi: Option<Located<PathBuf>>,
    /// The path before those of the document. Default: that of its `servers`.
    pub base: Option<String>,
    /// What becomes of query parameters and bodies that an operation does not speak of: `allow` or `refuse`. Default: `allow`.
    #[schemars(with = "Option<Unknown>")]
    pub unknown: Unknown,
    /// What becomes of services' answers that are not as the document says: `off` looks at none, `log` passes them on and tells
    /// the log, `block` answers 502 instead. `true` is `log`. Default: `off`.
    #[schemars(with = "Option<CheckResponse>")]
    pub response: CheckResponse,
    /// Bytes of a body that is held to be looked at. A request with more is refused with 413, an answer with more is not looked at
    /// (`log`) or replaced by a 502 (`block`). Default: `1MiB`.
    #[schemars(with = "Option<Size>")]
    pub max_body: Size,
}

/// What becomes of services' answers that are not as the document says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum CheckResponse {
    /// Nobody looks at answers.
    #[default]
    Off,
    /// They pass, and the log tells.
    Log,
    /// The gateway answers in their place.
    Block,
}

impl CheckResponse {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Log => "log",
            Self::Block => "block",
        }
    }
}

impl JsonSchema for CheckResponse {
    fn schema_name() -> Cow<'static, str> {
        "CheckResponse".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "enum": ["off", "log", "block", true, false] })
    }
}

/// What becomes of what an operation does not speak of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub enum Unknown {
    /// It passes.
    #[default]
    Allow,
    /// The request is refused.
    Refuse,
}

impl Unknown {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Refuse => "refuse",
        }
    }
}

impl Default for ValidatePolicy {
    fn default() -> Self {
        Self {
            body: None,
            openapi: None,
            base: None,
            unknown: Unknown::Allow,
            response: CheckResponse::Off,
            max_body: Size::from_bytes(1024 * 1024),
        }
    }
}

impl Read for ValidatePolicy {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let default = Self::default();
        if matches!(node.value, Value::Text(_)) {
            return Some(Self { body: Some(watched_file(node, reader)?), ..default });
        }
        let mut map = reader.map(node, &VALIDATE)?;
        let policy = Self {
            body: map.take("body").and_then(|node| watched_file(node, reader)),
            openapi: map.take("openapi").and_then(|node| watched_file(node, reader)),
            base: map.take("base").and_then(|node| reader.parsed(node, BASE, read_base)),
            unknown: map.or("unknown", default.unknown, reader),
            response: map.or("response", default.response, reader),
            max_body: map.or("max_body", default.max_body, reader),
        };
        match (map.has("body"), map.has("openapi")) {
            (true, true) => reader.wrong(
                map.key_span("openapi"),
                "a document describes bodies too: `validate` has `body` or `openapi`, not both",
            ),
            (false, false) => {
                let fault = Fault::error("bad_value", map.head(), "`validate` names nothing to go by");
                reader.fault(fault.help("`body` names a JSON Schema, `openapi` an OpenAPI document"));
            }
            _ => {}
        }
        for key in ["base", "unknown"].into_iter().filter(|key| map.has(key) && !map.has("openapi")) {
            reader.wrong(map.key_span(key), format!("`{key}` is for `openapi`"));
        }
        if map.has("response") && !map.has("openapi") {
            let message = "`response` is for `openapi`: a schema of bodies says nothing of answers";
            reader.wrong(map.key_span("response"), message);
        }
        map.finish(reader);
        Some(policy)
    }
}

impl Read for Unknown {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        reader.word(node, &[("allow", Self::Allow), ("refuse", Self::Refuse)])
    }
}

impl Read for CheckResponse {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        // A contract that has been turned on is looked at first: what blocks is asked for by name.
        if let Value::Text(text) = &node.value
            && let Ok(is_on) = text.parse()
        {
            return Some(if is_on { Self::Log } else { Self::Off });
        }
        reader.word(node, &[("off", Self::Off), ("log", Self::Log), ("block", Self::Block)])
    }
}

fn read_base(text: &str) -> Result<String, String> {
    if text.starts_with('/') && !text.contains(['?', '#', '{']) {
        Ok(text.to_owned())
    } else {
        Err(format!("expected {BASE}"))
    }
}

const BASE: &str = "a path such as /shop/v1";

pub(super) static VALIDATE: Keys = Keys {
    of: "`validate`",
    known: &["body", "openapi", "base", "unknown", "response", "max_body"],
    later: &[],
    shared: None,
};
