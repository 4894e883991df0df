//! `waf`: what is done about requests that look like an attack.

use std::fmt;

use schemars::JsonSchema;
use waf::Exclusion;

use crate::config::node::{Node, Value};
use crate::config::read::{Keys, Read, Reader};
use crate::config::schema::or_text;
use crate::config::source::Located;
use crate::config::values::Size;

/// A web application firewall: what is done about requests that look like an attack. `block` or `detect` alone is the `mode`.
#[derive(Clone, Debug, PartialEq, Hash, JsonSchema)]
#[schemars(default, transform = or_text)]
pub struct Waf {
    /// `block` refuses them with 403; `detect` only says so in the access log and the metrics. Default: `block`.
    pub mode: WafMode,
    /// From 1, with few false alarms, to 4, which suspects nearly everything. Default: `1`.
    pub paranoia: u32,
    /// The points from which on a request is an attack. A critical rule has 5, a hint 2. Default: `5`.
    pub threshold: u32,
    /// What is not looked for: a rule's number, a range of them, a category or, after `@`, a place: `5013`, `sql@query.q`, `"@body.html"`.
    /// Default: nothing is left out.
    #[schemars(with = "Vec<String>")]
    pub exclude: Vec<Exclusion>,
    /// Bytes of a body that are held to be looked at. Default: `128KiB`.
    pub max_body: Size,
    /// What becomes of longer bodies: `refuse` them with 413, or look at their start and send them on, `cut`. With `detect` nothing is
    /// refused. Default: `refuse`.
    pub oversize: Oversize,
    /// Whether the access log leaves out the bytes that a rule matched; those of cookies and passwords never stand in it. Default: `false`.
    pub redact: bool,
}

/// What is done about an attack.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub enum WafMode {
    /// It is refused.
    #[default]
    Block,
    /// It is logged and counted.
    Detect,
}

/// What becomes of bodies that are longer than what is looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub enum Oversize {
    /// They are refused.
    #[default]
    Refuse,
    /// Their start is looked at.
    Cut,
}

impl Default for Waf {
    fn default() -> Self {
        Self {
            mode: WafMode::Block,
            paranoia: 1,
            threshold: 5,
            exclude: Vec::new(),
            max_body: Size::from_bytes(128 << 10),
            oversize: Oversize::Refuse,
            redact: false,
        }
    }
}

impl Read for Waf {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let default = Self::default();
        if matches!(node.value, Value::Text(_)) {
            return Some(Self { mode: WafMode::read(node, reader)?, ..default });
        }
        let mut map = reader.map(node, &WAF)?;
        let exclude: Vec<Located<Exclusion>> = map.or("exclude", Vec::new(), reader);
        let waf = Self {
            mode: map.or("mode", default.mode, reader),
            paranoia: map.count("paranoia", default.paranoia, 1..=4, reader),
            threshold: map.count("threshold", default.threshold, 1..=1000, reader),
            exclude: exclude.into_iter().map(|exclusion| exclusion.value).collect(),
            max_body: map.or("max_body", default.max_body, reader),
            oversize: map.or("oversize", default.oversize, reader),
            redact: map.or("redact", default.redact, reader),
        };
        if waf.mode == WafMode::Detect && map.has("oversize") && waf.oversize == Oversize::Refuse {
            let message = "`detect` refuses nothing: longer bodies are looked at as far as `max_body` goes";
            reader.wrong(map.key_span("oversize"), message);
        }
        map.finish(reader);
        Some(waf)
    }
}

impl Read for WafMode {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        reader.word(node, &[("block", Self::Block), ("detect", Self::Detect)])
    }
}

impl Read for Oversize {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        reader.word(node, &[("refuse", Self::Refuse), ("cut", Self::Cut)])
    }
}

impl Read for Exclusion {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        reader.parsed(node, "a rule's number, a range of them, a category, or a place after `@`", |text| {
            text.parse().map_err(|fault: waf::ExclusionFault| fault.to_string())
        })
    }
}

impl fmt::Display for Waf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { mode, paranoia, threshold, exclude, max_body, redact, .. } = self;
        let does = match mode {
            WafMode::Block => "blocks",
            WafMode::Detect => "detects",
        };
        write!(f, "{does} at {threshold} points, level {paranoia}, bodies up to {max_body}")?;
        if self.is_cut() {
            f.write_str(" and the start of longer ones")?;
        }
        for (place, exclusion) in exclude.iter().enumerate() {
            write!(f, "{} {exclusion}", if place == 0 { "; without" } else { "," })?;
        }
        f.write_str(if *redact { "; logs no matches" } else { "" })
    }
}

impl Waf {
    /// Whether longer bodies are looked at as far as `max_body` goes.
    pub fn is_cut(&self) -> bool {
        self.mode == WafMode::Detect || self.oversize == Oversize::Cut
    }
}

pub(super) static WAF: Keys = Keys {
    of: "`waf`",
    known: &["mode", "paranoia", "threshold", "exclude", "max_body", "oversize", "redact"],
    later: &[],
    shared: None,
};
