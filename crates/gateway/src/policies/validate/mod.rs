//! Stage `validate`: what is in the body, of who may send one.

pub mod json;
