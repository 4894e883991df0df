//! Everything a client, a service or an operator can see, scene by scene, each with a gateway of its own. One binary,
//! so that the scenes that wait for a time limit wait together.
#![allow(clippy::unwrap_used)]

mod breakers;
mod canary;
mod cli;
mod connections;
mod discovery;
mod failures;
mod fallback;
mod framing;
mod grpc;
mod grpc_tonic;
mod grpc_web;
mod headers;
mod hedging;
mod http2;
mod http2_attacks;
mod http2_smuggling;
mod interim;
mod limits;
mod malformed;
mod multiplexing;
mod overload;
mod peers;
mod proxy_protocol;
mod record;
mod registries;
mod reload;
mod routing;
mod scripts;
mod services;
mod smuggling;
mod streaming;
mod suites;
mod systemd;
mod tcp;
mod tls;
mod tls_clients;
mod tls_reload;
mod tls_services;
mod top;
mod tunnels;
mod unix;
mod upgrade;
mod versions;
mod web_sockets;
