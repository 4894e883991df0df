//! Scenes: the real binary between a client and a backend whose every byte the test decides.
//!
//! A scene reads as a sentence: `let users = backend(..); let gate = gateway("…yaml…"); gate.get("/x").expect(200)`.
//! Nothing here sleeps to wait for something: a scene waits for a line, a byte, a signal or, where the event has
//! none, asks again until [`PATIENCE`] is over.

// Everything here runs inside tests: what goes wrong must end the scene, with what was seen.
#![allow(clippy::unwrap_used, clippy::missing_panics_doc)]
// An expectation is met or ends the scene; what it gives back is for one more.
#![allow(clippy::return_self_not_must_use)]

mod backend;
mod certificates;
mod client;
mod country_database;
mod fault_proxy;
mod gateway;
mod grpc;
mod haproxy;
pub mod http2;
pub mod limits;
mod load;
mod login;
mod message;
mod metrics;
mod peers;
mod redis_fleets;
mod registries;
mod socket;
mod suites;
mod terminal;
pub mod tls;
mod transport;
mod wait;

pub use backend::{Backend, Call, Seen, backend, backend_on, hello, named, raw_backend};
pub use certificates::{Authority, Pair};
pub use client::{Ask, Wire};
pub use country_database::CountryDatabase;
pub use fault_proxy::{FaultProxy, Faults, fault_proxy};
pub use gateway::{Gateway, binary, fill, front, front_with, gateway, gateway_with, tollgate};
pub use grpc::{GrpcCall, GrpcOutcome, GrpcServer, buf_curl, grpc_call, grpc_server, grpc_server_with};
pub use haproxy::{Haproxy, haproxy, http2_relay, proxy_relay, tls_relay};
pub use load::{Load, Tally, load, load_with};
pub use login::{Chromium, OpenIdProvider, Page, chromium, openid_provider};
pub use message::{Answer, Fields, Interim};
pub use metrics::Metrics;
pub use peers::{
    Browser, Curl, FileServer, Nginx, WebSocket, WebSocketListener, WebSocketServer, browser, curl,
    file_server, free_port, nginx, python, script_path, web_socket, web_socket_listener, web_socket_server,
};
pub use redis_fleets::{
    RedisCluster, SentinelRedis, redis_cluster, redis_cluster_by_tls, sentinel_redis, sentinel_redis_by_tls,
};
pub use registries::{ConsulDouble, DnsServer, Etcd, Instance, consul_double, dns_server, etcd};
pub use rustix::process::Signal as Sent;
pub use socket::{Broken, Ending, Socket};
pub use suites::{Verdicts, expect_intermediate_tls, httpwg, installed, varnishtest, web_socket_cases};
pub use terminal::{Terminal, terminal};
pub use transport::{
    Redis, TlsServer, redis, redis_by_tls, redis_cli, redis_with, tls_handshake, tls_server,
};
pub use wait::{PATIENCE, Raised, Signal, eventually, full_run};
