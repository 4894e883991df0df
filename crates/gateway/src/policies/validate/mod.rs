//! Stage `validate`: what a request says, of those that may be made.

pub mod contract;
pub mod json;
pub mod waf;
