//! `hedge`: a slow request is asked of another endpoint too.

use std::fmt;

use http::Method;
use schemars::{JsonSchema, Schema, SchemaGenerator};

use crate::config::node::{Node, Value};
use crate::config::read::{Keys, Read, Reader};
use crate::config::schema::or_text;
use crate::config::values::Duration;

/// A request whose answer is slow to begin is sent to another endpoint as well; the first answer wins, and the other is given up. Each
/// counts against the `budget` of `retry`. A percentile or duration alone is `after`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, JsonSchema)]
#[schemars(transform = or_text)]
pub struct Hedge {
    /// When: after a time, or after as long as so many percent of the service's answers take to begin, `p50` to `p99`.
    pub after: HedgeAfter,
    /// Methods of requests to send twice: `GET`, `HEAD` or `OPTIONS`, which change nothing. Default: `[GET, HEAD]`.
    #[schemars(with = "Option<Vec<String>>")]
    pub methods: Vec<Method>,
}

/// How long an endpoint has for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HedgeAfter {
    /// This long.
    Time(Duration),
    /// As long as so many percent of the answers take.
    Percentile(u8),
}

impl HedgeAfter {
    fn parse(text: &str) -> Result<Self, String> {
        const WHAT: &str = "expected a percentile from p50 to p99, or a duration such as 200ms";
        let time = match text.strip_prefix('p') {
            Some(percent) if percent.len() == 2 && percent.bytes().all(|byte| byte.is_ascii_digit()) => {
                let percent = percent.parse().ok().filter(|percent| (50..=99).contains(percent));
                return percent.map(Self::Percentile).ok_or_else(|| WHAT.to_owned());
            }
            Some(_) => return Err(WHAT.to_owned()),
            None => Duration::parse(text).map_err(|_| WHAT.to_owned())?,
        };
        if time.is_zero() {
            return Err("a duration of more than zero is needed here".to_owned());
        }
        Ok(Self::Time(time))
    }
}

impl fmt::Display for HedgeAfter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Time(time) => time.fmt(f),
            Self::Percentile(percent) => write!(f, "p{percent}"),
        }
    }
}

impl JsonSchema for HedgeAfter {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "HedgeAfter".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let time = generator.subschema_for::<Duration>();
        schemars::json_schema!({ "anyOf": [{ "type": "string", "pattern": "^p[5-9][0-9]$" }, time] })
    }
}

impl Read for Hedge {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let usual = || vec![Method::GET, Method::HEAD];
        if matches!(node.value, Value::Text(_)) {
            return Some(Self { after: HedgeAfter::read(node, reader)?, methods: usual() });
        }
        let mut map = reader.map(node, &HEDGE)?;
        let after = map.required("after", reader);
        let methods = map.take("methods").map(|node| read_methods(node, reader));
        map.finish(reader);
        Some(Self { after: after?, methods: methods.unwrap_or_else(usual) })
    }
}

fn read_methods(node: &Node, reader: &mut Reader) -> Vec<Method> {
    let mut methods = Vec::new();
    for item in reader.items(node, "methods") {
        let Some(method) = Method::read(item, reader) else { continue };
        if matches!(method, Method::GET | Method::HEAD | Method::OPTIONS) {
            methods.push(method);
        } else {
            reader.wrong(item.span, "only GET, HEAD and OPTIONS can be asked of two endpoints at a time");
        }
    }
    methods
}

impl Read for HedgeAfter {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        reader.parsed(node, "a percentile or a duration", Self::parse)
    }
}

pub(super) static HEDGE: Keys =
    Keys { of: "`hedge`", known: &["after", "methods"], later: &[], shared: None };
