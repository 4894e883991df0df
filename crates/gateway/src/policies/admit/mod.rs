//! Stage `admit`: cheap checks on the head, before anyone asks who calls.

pub mod ban;
pub mod bots;
pub mod cors;
pub mod csrf;
pub mod ip;
pub mod request;
pub mod waf;
