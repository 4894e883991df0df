//! Between protocols: what gRPC, gRPC-Web and WebSocket say, without sockets. Bytes and heads go in, bytes and facts
//! come out; who reads and writes them stands in `accept` and `upstream`.

pub mod base64_stream;
pub mod grpc;
pub mod grpc_timeout;
pub mod grpc_web;
pub mod websocket;
