//! Stage `accept`: sockets, the buffers behind them, and the protocol ends.

pub mod addresses;
mod buffer;
pub mod client;
pub mod client_hello;
pub mod connection;
pub mod forwarded;
mod h1;
pub mod h2;
mod kept;
pub mod listener;
pub mod pace;
pub mod proxy_protocol;
mod pump;
pub mod requests;
pub mod socket;
mod stream;
mod tap;
pub mod tcp;
pub mod whole_body;

pub use buffer::{Buffer, Buffers, Outbox};
pub use client::Client;
pub use kept::{Kept, Share};
pub use pump::{Ends, Pump, Side, Trouble};
pub use stream::{Socket, Stream};
pub use tap::{Tap, Untaken};
