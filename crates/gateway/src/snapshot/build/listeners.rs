//! The listeners of a configuration.

use std::sync::Arc;

use super::Compiler;
use crate::accept::addresses::AddressLimits;
use crate::accept::listener::ListenerSpec;
use crate::accept::requests::RequestLimit;
use crate::accept::socket::ListenerName;
use crate::config::values::FileMode;
use crate::config::{self, Config};
use crate::exchange::HTTPS;
use crate::snapshot::Snapshot;
use crate::tls::ServerTls;

/// The stable name of a listener: port 0 may stand there more than once, each time for a port of its own.
pub(super) fn stable_name(listeners: &[config::Listener], index: usize) -> ListenerName {
    let address = listeners[index].address.value.clone();
    let nth = listeners[..index].iter().filter(|earlier| earlier.address.value == address).count();
    ListenerName { address, nth }
}

/// What is listened on, each with what it had before.
pub(super) fn compile_listeners(
    compiler: &mut Compiler<'_>,
    security: Vec<Option<Arc<ServerTls>>>,
    before: Option<&Snapshot>,
) -> Vec<Arc<ListenerSpec>> {
    let Config { listeners, services, .. } = compiler.config;
    let tells_destination = services.values().any(|service| service.proxy_protocol.is_some());
    let mut compiled: Vec<Arc<ListenerSpec>> = Vec::with_capacity(listeners.len());
    for (index, (listener, tls)) in listeners.iter().zip(security).enumerate() {
        let limits = &listener.limits;
        let address_limits = AddressLimits {
            connections: limits.connections_of_an_address(),
            rate: limits.connection_rate_per_ip,
        };
        let name = stable_name(listeners, index);
        let known = before.and_then(|before| before.listener(&name));
        let requests = limits.requests_of_an_address().and_then(|limit| {
            let before = known.and_then(|known| known.requests.as_ref());
            RequestLimit::new(limit, &name, before, || Arc::clone(compiler.buckets.get_or_insert_default()))
        });
        compiled.push(Arc::new(ListenerSpec {
            name,
            mode: listener.mode.unwrap_or(FileMode::USUAL),
            redirect_https: listener.redirect.map(|_| https_port(listeners)),
            trusted: listener.trust_forwarded.as_ref().map(|trust| trust.from.clone()).unwrap_or_default(),
            proxied: listener.proxy_protocol.as_ref().map(|proxy| proxy.from.clone()).unwrap_or_default(),
            tcp: listener.tcp.as_ref().map(|tcp| compiler.tcp(tcp)),
            tells_destination,
            connections: limits.connections as usize,
            address_limits,
            header_timeout: *limits.header_timeout,
            body_timeout: *limits.body_timeout,
            body_rate: limits.body_rate.map_or(0, config::values::Size::bytes),
            idle_timeout: *limits.idle_timeout,
            head: http1::Limits {
                line: limits.line_size.bytes() as usize,
                head: limits.header_size.bytes() as usize,
                headers: limits.headers as usize,
            },
            protocols: listener.protocols,
            streams: limits.streams,
            tls,
            open: known.map_or_else(Arc::default, |known| Arc::clone(&known.open)),
            addresses: address_limits.is_some().then(|| {
                let before = known.and_then(|known| known.addresses.as_ref());
                before.map_or_else(Arc::default, Arc::clone)
            }),
            requests,
        }));
    }
    compiled
}

/// The port of the first listener with TLS; the usual one where another machine has it, or the kernel chooses.
fn https_port(listeners: &[config::Listener]) -> u16 {
    let ports = listeners.iter().filter(|listener| listener.tls.is_some()).filter_map(|listener| {
        let config::values::ListenAddress::Tcp(address) = listener.address.value else { return None };
        (address.port() != 0).then_some(address.port())
    });
    ports.into_iter().next().unwrap_or(HTTPS)
}
