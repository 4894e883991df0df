//! Answers that the gateway gives by itself and that are no refusals: the configuration, or a policy, says what is in them.

use http::StatusCode;
use http1::{Fields, Known};

/// An answer of the gateway's own.
#[derive(Debug, Clone)]
pub struct StaticAnswer {
    /// Its status.
    pub status: StatusCode,
    /// Its fields.
    pub fields: Vec<(Box<str>, Box<[u8]>)>,
    /// Its body.
    pub body: Box<[u8]>,
}

impl StaticAnswer {
    /// An answer without a body.
    pub fn empty(status: StatusCode) -> Self {
        Self { status, fields: Vec::new(), body: Box::default() }
    }

    /// Appends its fields to an answer's.
    pub fn write_fields(&self, fields: &mut Fields) {
        for (name, value) in &self.fields {
            fields.append_named(name.as_bytes(), value);
        }
    }

    /// Adds a field.
    #[must_use]
    pub fn with_field(mut self, name: Known, value: &str) -> Self {
        self.fields.push((name.as_str().into(), value.as_bytes().into()));
        self
    }
}
