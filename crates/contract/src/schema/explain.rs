//! What is wrong with a value that was refused, within a budget: whoever sends it chooses its size and shape.

use std::collections::{HashMap, HashSet};
use std::ptr;

use serde_json::{Map, Value};

use super::graph::{Graph, Id, Node, Rule};
use crate::violation::{Place, Violation, Violations, join, push_name};

/// The most looks of one schema at one value: some ten milliseconds.
const MAX_LOOKS: usize = 20_000;

/// How deep schemas may lead into each other: values are 64 levels deep at most, and some stand at the same level.
const MAX_DEPTH: usize = 256;

/// Adds what is wrong with a value that the schema of this node refuses.
pub(super) fn explain(graph: &Graph, node: Id, value: &Value, place: &Place, violations: &mut Violations) {
    let before = violations.len();
    let mut walk = Walk {
        graph,
        place,
        violations,
        looks: MAX_LOOKS,
        depth: 0,
        explained: HashSet::new(),
        judged: HashMap::new(),
    };
    walk.explain(node, value, &mut String::new());
    if violations.len() == before {
        let pointer = graph.nodes[node].pointer.clone();
        violations.push(Violation::new(place.clone(), "", "is not as its schema says").by(pointer));
    }
}

struct Walk<'w> {
    graph: &'w Graph,
    place: &'w Place,
    violations: &'w mut Violations,
    looks: usize,
    depth: usize,
    explained: HashSet<(Id, *const Value)>,
    judged: HashMap<(Id, *const Value), bool>,
}

impl<'w> Walk<'w> {
    /// Tells what one schema finds at a value, and all schemas below it.
    fn explain(&mut self, id: Id, value: &Value, at: &mut String) {
        if self.violations.is_full() || !self.explained.insert((id, ptr::from_ref(value))) || !self.enter() {
            return;
        }
        let node: &'w Node = &self.graph.nodes[id];
        if let Some(message) = node.never {
            self.tell(at.clone(), message.to_owned(), &node.pointer, "");
        }
        for leaf in &node.leaves {
            leaf.tell(value, at, &mut |pointer, message| {
                self.tell(pointer, message, &node.pointer, &leaf.keyword);
            });
        }
        for rule in &node.rules {
            self.explain_rule(node, rule, value, at);
        }
        self.depth -= 1;
    }

    fn explain_rule(&mut self, node: &'w Node, rule: &'w Rule, value: &Value, at: &mut String) {
        match (rule, value) {
            (Rule::All(list), _) => {
                for id in list {
                    self.explain(*id, value, at);
                }
            }
            (Rule::Any(list), _) if list.iter().any(|id| self.accepts(*id, value)) => {}
            (Rule::Any(list), _) => self.explain_branches(node, "anyOf", list, value, at),
            (Rule::One(list), _) => match list.iter().filter(|id| self.accepts(**id, value)).count() {
                0 => self.explain_branches(node, "oneOf", list, value, at),
                1 => {}
                n => {
                    let message = format!("is as {n} of the {} forms say, and may be only one", list.len());
                    self.tell(at.clone(), message, &node.pointer, "oneOf");
                }
            },
            (Rule::Not(id), _) if self.accepts(*id, value) => {
                self.tell(at.clone(), "is what it must not be".to_owned(), &node.pointer, "not");
            }
            (Rule::If { condition, then, otherwise }, _) => {
                let branch = if self.accepts(*condition, value) { then } else { otherwise };
                if let Some(id) = branch {
                    self.explain(*id, value, at);
                }
            }
            (Rule::Dependent(schemas), Value::Object(object)) => {
                for (_, id) in schemas.iter().filter(|(name, _)| object.contains_key(name)) {
                    self.explain(*id, value, at);
                }
            }
            (Rule::Names(id), Value::Object(object)) => {
                for name in object.keys() {
                    if !self.accepts_name(*id, name) {
                        let message = "has a name that is not allowed".to_owned();
                        self.tell(join(at, name), message, &node.pointer, "propertyNames");
                    }
                }
            }
            (Rule::Members(_) | Rule::Items { .. }, _) => {
                let length = at.len();
                each_part(rule, value, &mut |step, id, part| {
                    match step {
                        Step::Name(name) => push_name(at, name),
                        Step::Index(index) => push_name(at, &index.to_string()),
                    }
                    self.explain(id, part, at);
                    at.truncate(length);
                    !self.violations.is_full() && self.looks > 0
                });
            }
            (Rule::Others(id), Value::Object(object)) => {
                let mut seen = HashSet::new();
                self.collect_seen(node, object, value, &mut seen);
                let length = at.len();
                for (name, part) in object.iter().filter(|(name, _)| !seen.contains(name.as_str())) {
                    push_name(at, name);
                    self.explain(*id, part, at);
                    at.truncate(length);
                }
            }
            (Rule::Contains { schema, min, max }, Value::Array(items)) => {
                let count = items.iter().filter(|item| self.accepts(*schema, item)).count() as u64;
                if count < *min || count > *max {
                    let bound =
                        if count < *min { format!("at least {min}") } else { format!("at most {max}") };
                    let message = format!("must hold {bound} of the items that its schema asks for");
                    self.tell(at.clone(), message, &node.pointer, "contains");
                }
            }
            _ => {}
        }
    }

    /// No branch takes the value: where one alone is of its shape, what that one finds is told.
    fn explain_branches(
        &mut self,
        node: &'w Node,
        keyword: &str,
        list: &[Id],
        value: &Value,
        at: &mut String,
    ) {
        let mut alike = list.iter().filter(|id| self.is_alike(**id, value, 0));
        if let (Some(id), None) = (alike.next(), alike.next()) {
            let before = self.violations.len();
            self.explain(*id, value, at);
            if self.violations.len() > before {
                return;
            }
        }
        let message = format!("is as none of the {} forms say that are allowed", list.len());
        self.tell(at.clone(), message, &node.pointer, keyword);
    }

    /// Whether the value has the type that the schema asks for, and its members those that tell forms apart.
    fn is_alike(&self, id: Id, value: &Value, hops: usize) -> bool {
        let node = &self.graph.nodes[id];
        let is_shape = |keyword: &str| matches!(keyword, "type" | "const" | "enum");
        node.never.is_none()
            && node.leaves.iter().all(|leaf| !is_shape(&leaf.keyword) || leaf.accepts(value))
            && node.rules.iter().all(|rule| match (rule, value) {
                (Rule::All(list), _) => hops > 3 || list.iter().all(|id| self.is_alike(*id, value, hops + 1)),
                (Rule::Members(members), Value::Object(object)) => members.named.iter().all(|(name, id)| {
                    let tells_apart = |leaf: &&super::leaf::Leaf| matches!(&*leaf.keyword, "const" | "enum");
                    let mut leaves = self.graph.nodes[*id].leaves.iter().filter(tells_apart);
                    object.get(name).is_none_or(|part| leaves.all(|leaf| leaf.accepts(part)))
                }),
                _ => true,
            })
    }

    /// Whether a schema takes a value, as far as the graph and the budget say.
    fn accepts(&mut self, id: Id, value: &Value) -> bool {
        let key = (id, ptr::from_ref(value));
        if let Some(known) = self.judged.get(&key) {
            return *known;
        }
        if !self.enter() {
            return true;
        }
        // Where a schema asks itself about the same value, the rest of it decides.
        self.judged.insert(key, true);
        let node: &'w Node = &self.graph.nodes[id];
        let verdict = node.never.is_none()
            && node.leaves.iter().all(|leaf| leaf.accepts(value))
            && node.rules.iter().all(|rule| self.accepts_rule(rule, value));
        self.judged.insert(key, verdict);
        self.depth -= 1;
        verdict
    }

    fn accepts_rule(&mut self, rule: &'w Rule, value: &Value) -> bool {
        match (rule, value) {
            (Rule::All(list), _) => list.iter().all(|id| self.accepts(*id, value)),
            (Rule::Any(list), _) => list.iter().any(|id| self.accepts(*id, value)),
            (Rule::One(list), _) => list.iter().filter(|id| self.accepts(**id, value)).count() == 1,
            (Rule::Not(id), _) => !self.accepts(*id, value),
            (Rule::If { condition, then, otherwise }, _) => {
                let branch = if self.accepts(*condition, value) { then } else { otherwise };
                branch.is_none_or(|id| self.accepts(id, value))
            }
            (Rule::Dependent(schemas), Value::Object(object)) => schemas
                .iter()
                .filter(|(name, _)| object.contains_key(name))
                .all(|(_, id)| self.accepts(*id, value)),
            (Rule::Names(id), Value::Object(object)) => {
                object.keys().all(|name| self.accepts_name(*id, name))
            }
            (Rule::Members(_) | Rule::Items { .. }, _) => {
                let mut verdict = true;
                each_part(rule, value, &mut |_, id, part| {
                    verdict = verdict && self.accepts(id, part);
                    verdict
                });
                verdict
            }
            (Rule::Contains { schema, min, max }, Value::Array(items)) => {
                let count = items.iter().filter(|item| self.accepts(*schema, item)).count() as u64;
                (*min..=*max).contains(&count)
            }
            _ => true,
        }
    }

    /// Adds the names of members that a schema, or one that applies beside it, looks at.
    fn collect_seen<'v>(
        &mut self,
        node: &'w Node,
        object: &'v Map<String, Value>,
        value: &Value,
        seen: &mut HashSet<&'v str>,
    ) {
        if !self.enter() {
            return;
        }
        for rule in &node.rules {
            let beside: Vec<Id> = match rule {
                Rule::Members(members) => {
                    let others = members.others.is_some();
                    let text = |name: &str| Value::String(name.to_owned());
                    seen.extend(object.keys().map(String::as_str).filter(|name| {
                        others
                            || members.named.contains_key(*name)
                            || members.patterns.iter().any(|(pattern, _)| pattern.is_valid(&text(name)))
                    }));
                    continue;
                }
                Rule::All(list) => list.clone(),
                Rule::Any(list) | Rule::One(list) => {
                    list.iter().copied().filter(|id| self.accepts(*id, value)).collect()
                }
                Rule::If { condition, then, .. } if self.accepts(*condition, value) => {
                    [Some(*condition), *then].into_iter().flatten().collect()
                }
                Rule::If { otherwise, .. } => otherwise.iter().copied().collect(),
                Rule::Dependent(schemas) => {
                    let applies = |(name, _): &&(String, Id)| object.contains_key(name);
                    schemas.iter().filter(applies).map(|(_, id)| *id).collect()
                }
                _ => continue,
            };
            for id in beside {
                self.collect_seen(&self.graph.nodes[id], object, value, seen);
            }
        }
        self.depth -= 1;
    }

    /// Judged apart: the name becomes a value for the moment only, and its address may come again.
    fn accepts_name(&mut self, id: Id, name: &str) -> bool {
        let mut walk = Walk {
            graph: self.graph,
            place: self.place,
            violations: self.violations,
            looks: self.looks,
            depth: self.depth,
            explained: HashSet::new(),
            judged: HashMap::new(),
        };
        let verdict = walk.accepts(id, &Value::String(name.to_owned()));
        self.looks = walk.looks;
        verdict
    }

    /// Takes from the budget, and goes one step deeper.
    fn enter(&mut self) -> bool {
        if self.looks == 0 || self.depth == MAX_DEPTH {
            return false;
        }
        self.looks -= 1;
        self.depth += 1;
        true
    }

    fn tell(&mut self, pointer: String, message: String, schema: &str, keyword: &str) {
        let schema = if keyword.is_empty() { schema.to_owned() } else { join(schema, keyword) };
        self.violations.push(Violation::new(self.place.clone(), pointer, message).by(schema));
    }
}

/// The way from a value to a part of it.
enum Step<'v> {
    Name(&'v str),
    Index(usize),
}

/// Calls for every part of a value to which the rule applies a schema, until told to stop.
fn each_part(rule: &Rule, value: &Value, call: &mut dyn FnMut(Step<'_>, Id, &Value) -> bool) {
    match (rule, value) {
        (Rule::Members(members), Value::Object(object)) => {
            for (name, part) in object {
                let named = members.named.get(name).copied();
                let text =
                    Value::String(if members.patterns.is_empty() { String::new() } else { name.clone() });
                let patterns = members.patterns.iter().filter(|(pattern, _)| pattern.is_valid(&text));
                let mut found = false;
                for id in named.into_iter().chain(patterns.map(|(_, id)| *id)) {
                    found = true;
                    if !call(Step::Name(name), id, part) {
                        return;
                    }
                }
                let others = members.others.filter(|_| !found);
                if others.is_some_and(|id| !call(Step::Name(name), id, part)) {
                    return;
                }
            }
        }
        (Rule::Items { first, rest }, Value::Array(items)) => {
            for (index, item) in items.iter().enumerate() {
                let Some(id) = first.get(index).copied().or(*rest) else { return };
                if !call(Step::Index(index), id, item) {
                    return;
                }
            }
        }
        _ => {}
    }
}
