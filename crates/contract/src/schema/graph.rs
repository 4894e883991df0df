//! A schema as a graph of what applies to which part of a value: what `explain` walks when a value was refused.
//!
//! It need not be whole: the verdict is the validator's. What is not understood here (`$dynamicRef`, `unevaluatedItems`,
//! references to identifiers) is left out, and an explanation that finds nothing says so.

use std::collections::HashMap;
use std::sync::Arc;

use jsonschema::{Draft, Validator};
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};

use super::compile;
use super::leaf::Leaf;
use crate::violation::join;

/// The place of a node in the graph.
pub(super) type Id = usize;

/// All schemas that can be reached from a root.
#[derive(Debug)]
pub(super) struct Graph {
    pub(super) nodes: Vec<Node>,
}

/// One schema.
#[derive(Debug, Default)]
pub(super) struct Node {
    /// Where it stands in the file.
    pub(super) pointer: String,
    /// It refuses everything, and says this.
    pub(super) never: Option<&'static str>,
    pub(super) leaves: Vec<Leaf>,
    pub(super) rules: Vec<Rule>,
}

/// What one schema says by other schemas.
#[derive(Debug)]
pub(super) enum Rule {
    All(Vec<Id>),
    Any(Vec<Id>),
    One(Vec<Id>),
    Not(Id),
    If {
        condition: Id,
        then: Option<Id>,
        otherwise: Option<Id>,
    },
    /// `properties` and what goes with it.
    Members(Members),
    /// `unevaluatedProperties`.
    Others(Id),
    Names(Id),
    Dependent(Vec<(String, Id)>),
    Items {
        first: Vec<Id>,
        rest: Option<Id>,
    },
    Contains {
        schema: Id,
        min: u64,
        max: u64,
    },
}

/// Which schema applies to which member of an object.
#[derive(Debug)]
pub(super) struct Members {
    pub(super) named: HashMap<String, Id>,
    /// By name: a validator of strings.
    pub(super) patterns: Vec<(Arc<Validator>, Id)>,
    pub(super) others: Option<Id>,
}

impl Graph {
    pub(super) fn of(schema: &Value, draft: Draft) -> Self {
        let mut builder = Builder {
            root: schema,
            draft,
            // Pointers are relative to the nearest identifier; those of the root change nothing.
            follows: !schema.as_object().is_some_and(|root| root.values().any(has_ids)),
            places: Vec::new(),
            known: HashMap::new(),
            checks: HashMap::new(),
        };
        builder.node(schema, String::new());
        // Filled in one by one instead of within each other: how deep they refer to each other is the file's choice.
        let mut nodes = Vec::new();
        while let Some((schema, pointer)) = builder.places.get(nodes.len()).cloned() {
            nodes.push(builder.fill(schema, pointer));
        }
        Self { nodes }
    }

    /// The node that is reached from the root by names of properties.
    pub(super) fn below(&self, names: &[&str]) -> Option<Id> {
        names.iter().try_fold(0, |id, name| {
            self.nodes[id].rules.iter().find_map(|rule| match rule {
                Rule::Members(members) => members.named.get(*name).copied(),
                _ => None,
            })
        })
    }
}

/// The value that a reference within the file leads to, with its pointer.
pub(crate) fn resolve<'v>(root: &'v Value, reference: &str) -> Option<(&'v Value, String)> {
    let pointer = percent_decode_str(reference.strip_prefix('#')?).decode_utf8().ok()?;
    Some((root.pointer(&pointer)?, pointer.into_owned()))
}

/// Whether a part of the schema is a resource of its own, to which pointers are relative.
pub(super) fn has_ids(schema: &Value) -> bool {
    match schema {
        Value::Object(object) => {
            object.get("$id").is_some_and(Value::is_string) || object.values().any(has_ids)
        }
        Value::Array(items) => items.iter().any(has_ids),
        _ => false,
    }
}

struct Builder<'v> {
    root: &'v Value,
    draft: Draft,
    follows: bool,
    /// Schemas in the order of their nodes.
    places: Vec<(&'v Value, String)>,
    known: HashMap<String, Id>,
    /// Prepared checks by their text: `{"type":"string"}` stands everywhere.
    checks: HashMap<String, Option<Arc<Validator>>>,
}

impl<'v> Builder<'v> {
    fn node(&mut self, schema: &'v Value, pointer: String) -> Id {
        if let Some(id) = self.known.get(&pointer) {
            return *id;
        }
        let id = self.places.len();
        self.known.insert(pointer.clone(), id);
        self.places.push((schema, pointer));
        id
    }

    fn fill(&mut self, schema: &'v Value, pointer: String) -> Node {
        let mut node = Node { pointer, ..Node::default() };
        if schema == &Value::Bool(false) {
            node.never = Some("is not allowed here");
        }
        let Some(schema) = schema.as_object() else { return node };
        if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
            if let Some((target, pointer)) = resolve(self.root, reference).filter(|_| self.follows) {
                node.rules.push(Rule::All(vec![self.node(target, pointer)]));
            }
            // What stands beside a reference means nothing before draft 2019-09.
            if self.draft == Draft::Draft7 {
                return node;
            }
        }
        for (keyword, value) in schema {
            let check = |builder: &mut Self| builder.check(&json!({ keyword: value }));
            node.leaves.extend(Leaf::of(keyword, value, || check(self)));
        }
        // Marked by the translation of an OpenAPI document.
        if schema.get("not").and_then(Value::as_object).is_some_and(Map::is_empty) {
            node.never = Some(match schema {
                _ if schema.contains_key("readOnly") => "is read-only: only answers have it",
                _ if schema.contains_key("writeOnly") => "is write-only: only requests have it",
                _ => "is not allowed here",
            });
            return node;
        }
        self.combine(schema, &mut node);
        self.members(schema, &mut node);
        self.items(schema, &mut node);
        node
    }

    fn combine(&mut self, schema: &'v Map<String, Value>, node: &mut Node) {
        let at = node.pointer.clone();
        for (keyword, rule) in
            [("allOf", Rule::All as fn(Vec<Id>) -> Rule), ("anyOf", Rule::Any), ("oneOf", Rule::One)]
        {
            if let Some(list) = self.list(schema, keyword, &at) {
                node.rules.push(rule(list));
            }
        }
        if let Some(refused) = self.one(schema, "not", &at) {
            node.rules.push(Rule::Not(refused));
        }
        if let Some(condition) = self.one(schema, "if", &at) {
            let then = self.one(schema, "then", &at);
            let otherwise = self.one(schema, "else", &at);
            node.rules.push(Rule::If { condition, then, otherwise });
        }
        for keyword in ["dependentSchemas", "dependencies"] {
            let schemas = self.named(schema, keyword, &at);
            if !schemas.is_empty() {
                node.rules.push(Rule::Dependent(schemas));
            }
        }
    }

    fn members(&mut self, schema: &'v Map<String, Value>, node: &mut Node) {
        let at = node.pointer.clone();
        let named: HashMap<String, Id> = self.named(schema, "properties", &at).into_iter().collect();
        let patterns: Vec<(Arc<Validator>, Id)> = self
            .named(schema, "patternProperties", &at)
            .into_iter()
            .filter_map(|(pattern, id)| Some((self.check(&json!({ "pattern": pattern }))?, id)))
            .collect();
        let others = self.one(schema, "additionalProperties", &at);
        if !named.is_empty() || !patterns.is_empty() || others.is_some() {
            node.rules.push(Rule::Members(Members { named, patterns, others }));
        }
        if let Some(others) = self.one(schema, "unevaluatedProperties", &at) {
            node.rules.push(Rule::Others(others));
        }
        if let Some(names) = self.one(schema, "propertyNames", &at) {
            node.rules.push(Rule::Names(names));
        }
    }

    fn items(&mut self, schema: &'v Map<String, Value>, node: &mut Node) {
        let at = node.pointer.clone();
        let (first, rest) = if self.draft == Draft::Draft202012 {
            (self.list(schema, "prefixItems", &at), self.one(schema, "items", &at))
        } else {
            match self.list(schema, "items", &at) {
                Some(first) => (Some(first), self.one(schema, "additionalItems", &at)),
                None => (None, self.one(schema, "items", &at)),
            }
        };
        if first.is_some() || rest.is_some() {
            node.rules.push(Rule::Items { first: first.unwrap_or_default(), rest });
        }
        if let Some(id) = self.one(schema, "contains", &at) {
            let bound = |keyword| {
                let value = schema.get(keyword).filter(|_| self.draft != Draft::Draft7)?;
                value.as_u64().or_else(|| value.as_f64().map(|number| number as u64))
            };
            let (min, max) = (bound("minContains").unwrap_or(1), bound("maxContains").unwrap_or(u64::MAX));
            node.rules.push(Rule::Contains { schema: id, min, max });
        }
    }

    fn one(&mut self, schema: &'v Map<String, Value>, keyword: &str, at: &str) -> Option<Id> {
        let value = schema.get(keyword).filter(|value| value.is_object() || value.is_boolean())?;
        Some(self.node(value, join(at, keyword)))
    }

    fn list(&mut self, schema: &'v Map<String, Value>, keyword: &str, at: &str) -> Option<Vec<Id>> {
        let list = schema.get(keyword)?.as_array()?;
        let at = join(at, keyword);
        Some((0..).zip(list).map(|(index, value)| self.node(value, format!("{at}/{index}"))).collect())
    }

    fn named(&mut self, schema: &'v Map<String, Value>, keyword: &str, at: &str) -> Vec<(String, Id)> {
        let Some(map) = schema.get(keyword).and_then(Value::as_object) else { return Vec::new() };
        let at = join(at, keyword);
        map.iter()
            .filter(|(_, value)| value.is_object() || value.is_boolean())
            .map(|(name, value)| (name.clone(), self.node(value, join(&at, name))))
            .collect()
    }

    fn check(&mut self, schema: &Value) -> Option<Arc<Validator>> {
        let key = schema.to_string();
        if let Some(known) = self.checks.get(&key) {
            return known.clone();
        }
        let built = compile::build(schema, self.draft).ok().map(Arc::new);
        self.checks.insert(key, built.clone());
        built
    }
}
