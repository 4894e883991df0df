//! Stage `accept`: sockets, the buffers behind them, and the protocol ends.

mod buffer;
pub mod forwarded;
pub mod h1;
pub mod h2;
pub mod listener;
mod pump;
mod stream;

pub use buffer::{Buffer, Buffers, Outbox};
pub use pump::{Ends, Pump, Side, Trouble};
pub use stream::Stream;
