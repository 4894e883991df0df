//! A JSON Schema, prepared for judging many values.

mod compile;
mod explain;
mod graph;
mod leaf;

use jsonschema::{Draft, Validator};
use serde_json::Value;

use crate::fault::Fault;
use crate::json;
pub(crate) use graph::resolve;

use crate::violation::{Place, Violation, Violations};

/// A schema of draft 2020-12, 2019-09 or 7, as its `$schema` says; 2020-12 where it says nothing.
///
/// `format` is asserted. References lead only to places within the schema. Regular expressions are matched in linear
/// time: a schema whose patterns look around or back is refused.
#[derive(Debug)]
pub struct Schema {
    verdict: Validator,
    graph: graph::Graph,
}

impl Schema {
    /// Reads a schema, which is JSON or YAML.
    pub fn read(text: &[u8]) -> Result<Self, Vec<Fault>> {
        let schema = json::read_contract(text)?;
        compile::check_kind(&schema).map_err(|fault| vec![fault])?;
        let draft = compile::draft(&schema).map_err(|fault| vec![fault])?;
        Self::of(&schema, draft).map_err(|fault| vec![fault])
    }

    /// Prepares a schema that has been read.
    pub(crate) fn of(schema: &Value, draft: Draft) -> Result<Self, Fault> {
        let verdict = compile::build(schema, draft)?;
        Ok(Self { verdict, graph: graph::Graph::of(schema, draft) })
    }

    /// Judges a text, which must be JSON without repeated names and not nested deeper than 64 levels.
    ///
    /// Its length is not bounded here.
    pub fn validate(&self, text: &[u8]) -> Result<(), Violations> {
        let mut violations = Violations::default();
        match json::read(text) {
            Ok(value) if self.accepts(&value) => return Ok(()),
            Ok(value) => self.explain(Part::ROOT, &value, &Place::Body, &mut violations),
            Err(error) => violations.push(Violation::body("", format!("is not JSON: {error}"))),
        }
        Err(violations)
    }

    /// Whether a value is as the schema says.
    pub(crate) fn accepts(&self, value: &Value) -> bool {
        self.verdict.is_valid(value)
    }

    /// The schema of what is reached by these names from the root, where its `properties` say so.
    pub(crate) fn part(&self, names: &[&str]) -> Option<Part> {
        self.graph.below(names).map(Part)
    }

    /// Adds what is wrong with a value that was refused: one violation at least.
    pub(crate) fn explain(&self, part: Part, value: &Value, place: &Place, violations: &mut Violations) {
        explain::explain(&self.graph, part.0, value, place, violations);
    }
}

/// A schema within a schema.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part(graph::Id);

impl Part {
    /// The schema itself.
    pub(crate) const ROOT: Self = Self(0);
}
