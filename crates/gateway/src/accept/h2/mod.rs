//! The HTTP/2 end towards clients: what guards it, and how its heads become the gateway's.

mod attack;
mod budget;
mod guard;
mod limits;

pub use attack::Attack;
pub use guard::Guard;
pub use limits::{client_builder, server_builder};
