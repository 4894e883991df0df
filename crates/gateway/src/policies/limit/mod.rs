//! Stage `limit`: how much of it a caller who may have it may have.

pub mod concurrency;
pub mod quota;
pub mod rate_limit;
pub mod spike;
pub mod throttle;
