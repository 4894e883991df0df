//! What workers share with each other, and with the other gateways of their fleet. Nothing here knows what it is for.

mod buckets;
mod dial;
mod fleet;
mod link;
mod nodes;
mod nonces;
mod quotas;
mod redis;
mod script;
mod slot;

pub use self::buckets::{Drawn, Lease, Name, Rest, SharedBuckets, Wanted};
pub use self::nonces::{Nonces, Unusable, Use};
pub use self::redis::{Redis, RedisReading, Unanswered};
