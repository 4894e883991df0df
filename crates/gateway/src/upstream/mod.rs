//! Stage `call`: services, their endpoints and connections.

pub mod balance;
