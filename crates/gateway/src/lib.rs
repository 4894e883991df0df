//! The data plane: what happens to a request, from the socket to the log line.
//!
//! Read `exchange.rs` first: it is the life of one request, stage by stage.

pub mod accept;
pub mod allowance;
pub mod answer;
pub mod buckets;
pub mod clock;
pub mod config;
mod customer;
pub mod exchange;
pub mod expression;
mod firewall;
pub mod geo;
pub mod hexadecimal;
pub mod identity;
mod json_text;
mod limit_by;
pub mod notice;
pub mod origins;
pub mod outcome;
pub mod outside;
pub mod overload;
pub mod password;
pub mod plans;
pub mod policies;
pub mod quotas;
pub mod recent;
pub mod record;
pub mod refusal;
pub mod route;
pub mod server;
pub mod shared;
pub mod signed_identity;
pub mod snapshot;
pub mod status;
pub mod tls;
pub mod translate;
pub mod upstream;
pub mod waiting;
pub mod worker;
