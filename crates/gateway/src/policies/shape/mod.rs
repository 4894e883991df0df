//! Stage `shape`: changes to the request and the answer.

pub mod lifecycle;
pub mod response;
pub mod secure_headers;
