//! `logs`: what is written about each request.

use std::path::PathBuf;

use schemars::JsonSchema;

use crate::config::node::{Node, Value};
use crate::config::read::{Keys, Read, Reader};
use crate::config::schema::or_text;
use crate::config::values::{Percent, StatusRange};

/// What is written about each request. `logs: off` and `logs: stdout` are short for `access`.
#[derive(Clone, Debug, PartialEq, JsonSchema)]
#[schemars(default, transform = or_text)]
pub struct Logs {
    /// Where the access log goes: `stdout`, `off`, or the path of a file. Default: `stdout`.
    #[schemars(with = "String")]
    pub access: AccessLog,
    /// Its format: `json`, one object a line, or `common`, the NCSA common log format. Default: `json`.
    pub format: LogFormat,
    /// The share of requests to log, by status of the answer: `{ "2xx": 10%, "404": 1% }`. Default: all.
    #[schemars(with = "std::collections::BTreeMap<String, Percent>")]
    pub sample: Vec<(StatusRange, Percent)>,
}

/// Where the access log goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AccessLog {
    /// To standard output.
    #[default]
    Stdout,
    /// Nowhere.
    Off,
    /// To the end of a file, which is reopened on SIGHUP.
    File(PathBuf),
}

/// How a line of the access log looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub enum LogFormat {
    /// One JSON object.
    #[default]
    Json,
    /// The NCSA common log format.
    Common,
}

impl Default for Logs {
    fn default() -> Self {
        Self { access: AccessLog::Stdout, format: LogFormat::Json, sample: Vec::new() }
    }
}

impl Read for Logs {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        if matches!(node.value, Value::Text(_)) {
            return Some(Self { access: AccessLog::read(node, reader)?, ..Self::default() });
        }
        let mut map = reader.map(node, &LOGS)?;
        let access = map.or("access", AccessLog::default(), reader);
        let formats = [("json", LogFormat::Json), ("common", LogFormat::Common)];
        let format = map.take("format").and_then(|node| reader.word(node, &formats)).unwrap_or_default();
        let sample = map.take("sample").map(|node| read_sample(node, reader)).unwrap_or_default();
        map.finish(reader);
        Some(Self { access, format, sample })
    }
}

impl Read for AccessLog {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let text = reader.text(node, "stdout, off or the path of a file")?;
        match text.as_str() {
            "stdout" => Some(Self::Stdout),
            "off" => Some(Self::Off),
            path if path.contains("://") => {
                reader.not_yet(node.span, "a log that is sent elsewhere");
                None
            }
            "" => {
                reader.wrong(node.span, "expected stdout, off or the path of a file");
                None
            }
            path => Some(Self::File(reader.path(path))),
        }
    }
}

fn read_sample(node: &Node, reader: &mut Reader) -> Vec<(StatusRange, Percent)> {
    let mut sample: Vec<(StatusRange, Percent)> = Vec::new();
    for (key, value) in reader.entries(node, "shares by status, as in { \"2xx\": 10% }") {
        let share = Percent::read(value, reader);
        match (StatusRange::parse(&key.text), share) {
            (Err(complaint), _) => reader.wrong(key.span, complaint),
            (Ok(range), _) if sample.iter().any(|(other, _)| other.overlaps(range)) => {
                reader.wrong(key.span, "these status codes have a share already");
            }
            (Ok(range), Some(share)) => sample.push((range, share)),
            (Ok(_), None) => {}
        }
    }
    sample
}

pub(super) static LOGS: Keys =
    Keys { of: "`logs`", known: &["access", "format", "sample"], later: &["redact"], shared: None };
