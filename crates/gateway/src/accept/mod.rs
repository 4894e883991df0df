//! Stage `accept`: sockets and protocol ends.
