//! `response`: changes to the header fields of the answer.

use crate::config::ResponsePolicy;
use crate::exchange::Exchange;
use crate::policies::Policy;
use crate::refusal::Stage;

/// The compiled policy: first `remove`, then `set`, then `add`.
#[derive(Debug)]
pub struct Response {
    remove: Vec<Box<[u8]>>,
    set: Vec<Header>,
    add: Vec<Header>,
}

/// A name and a value.
type Header = (Box<[u8]>, Box<[u8]>);

impl Response {
    /// Compiles the configuration; nothing when it changes nothing.
    pub fn build(config: &ResponsePolicy) -> Option<Self> {
        let pairs = |headers: &crate::config::Headers| -> Vec<Header> {
            headers.iter().map(|(name, value)| (bytes(name.as_str()), bytes(&value.value))).collect()
        };
        let policy = Self {
            remove: config.headers.remove.iter().map(|name| bytes(name.as_str())).collect(),
            set: pairs(&config.headers.set),
            add: pairs(&config.headers.add),
        };
        let is_empty = policy.remove.is_empty() && policy.set.is_empty() && policy.add.is_empty();
        (!is_empty).then_some(policy)
    }
}

fn bytes(text: &str) -> Box<[u8]> {
    text.as_bytes().into()
}

impl Policy for Response {
    fn name(&self) -> &'static str {
        "response"
    }

    fn stage(&self) -> Stage {
        Stage::Shape
    }

    fn on_response(&self, exchange: &mut Exchange) {
        let fields = &mut exchange.response.fields;
        for name in &self.remove {
            fields.remove_named(name);
        }
        for (name, value) in &self.set {
            fields.set_named(name, value);
        }
        for (name, value) in &self.add {
            fields.append_named(name, value);
        }
    }

    fn explain(&self) -> String {
        let mut clauses = Vec::new();
        for (verb, names) in [
            ("removes", self.remove.iter().collect::<Vec<_>>()),
            ("sets", self.set.iter().map(|(name, _)| name).collect()),
            ("adds", self.add.iter().map(|(name, _)| name).collect()),
        ] {
            if !names.is_empty() {
                let names: Vec<_> = names.iter().map(|name| String::from_utf8_lossy(name)).collect();
                clauses.push(format!("{verb} {}", names.join(", ")));
            }
        }
        clauses.join("; ")
    }
}
