//! What workers share with each other, and with the other gateways of their fleet. Nothing here knows what it is for.

mod nonces;
mod redis;

pub use self::nonces::{Nonces, Unusable, Use};
pub use self::redis::{Driver, Redis, RedisReading, Unanswered};
