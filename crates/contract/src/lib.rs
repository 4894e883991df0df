//! Messages against their contract: JSON Schema and OpenAPI documents.
//!
//! A contract is read once, when the configuration is loaded, and every fault in it is told then. A message is
//! judged by what was prepared: nothing is compiled, fetched or resolved while a request waits. What is wrong with
//! a message is told in full, within bounds, without repeating what stands in it: a value may be a secret.
//!
//! The verdict on JSON is the `jsonschema` crate's. Its explanations are not asked for: they hold every error at
//! once and take time exponential in the depth of a message where a schema refers to itself from two branches.
//! `schema::explain` finds them within a budget instead.

mod fault;
mod form;
mod json;
mod multipart;
mod openapi;
mod schema;
mod violation;

pub use fault::Fault;
pub use json::read_json;
pub use openapi::{
    Found, Headers, OpenApi, OpenApiOptions, Operation, OperationId, Parameters, RequestView, ResponseBody,
    ResponseView,
};
pub use schema::Schema;
pub use violation::{Kind, MAX_VIOLATIONS, Place, Violation, Violations};
