//! `shared` and `on_outage` of a limit: whether the gateways of a fleet count together.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::config::node::Node;
use crate::config::read::{Read, Reader};

/// How the gateways of a fleet count together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sharing {
    /// They ask Redis for every request.
    Exact,
    /// Each takes a few tokens at once from Redis.
    Fast,
}

/// What becomes of a shared limit while Redis does not answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub enum OnOutage {
    /// Each gateway allows its part of the limit.
    #[default]
    Local,
    /// What the limit is for is refused.
    Refuse,
    /// There is no limit.
    Allow,
}

impl OnOutage {
    /// As it is written.
    pub fn word(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Refuse => "refuse",
            Self::Allow => "allow",
        }
    }
}

impl Read for Sharing {
    /// Nothing for `false`.
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let words = [("true", Some(Self::Exact)), ("false", None), ("fast", Some(Self::Fast))];
        reader.word(node, &words).flatten()
    }
}

impl Read for OnOutage {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        reader.word(node, &[Self::Local, Self::Refuse, Self::Allow].map(|word| (word.word(), word)))
    }
}

impl JsonSchema for Sharing {
    fn schema_name() -> Cow<'static, str> {
        "Sharing".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [{ "type": "boolean" }, { "const": "fast" }] })
    }
}
