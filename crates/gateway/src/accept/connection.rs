//! A connection's way from the listener's socket to its protocol: PROXY header, TLS, then whichever protocol the client
//! chose, or none.

use std::io;
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;
use std::rc::Rc;
use std::sync::Arc;

use rustix::net::RecvFlags;
use rustls::HandshakeKind;
use tokio_rustls::TlsAcceptor;

use super::client::{Client, Origin, Security};
use super::forwarded::{PeerText, is_in};
use super::listener::{Listener, ListenerSpec};
use super::proxy_protocol::{self, Refused};
use super::requests::Portion;
use super::stream::{Socket, Stream};
use super::{h1, h2, tcp};
use crate::clock::{self, Deadline};
use crate::tls::{PeerCertificate, ServerTls};
use crate::worker::{OpenConnection, Worker};

/// The first byte of a TLS record that holds a handshake (RFC 8446, section 5.1).
const HANDSHAKE: u8 = 0x16;
/// What ALPN calls HTTP/2 (RFC 9113, section 3.2).
const HTTP2: &[u8] = b"h2";

/// Serves one connection until it ends.
pub async fn serve(
    worker: Rc<Worker>,
    listener: Rc<Listener>,
    mut open: OpenConnection,
    socket: Socket,
    peer: SocketAddr,
) {
    let settings = listener.settings();
    let Some(caller) = find_client(&worker, &settings, &socket, peer).await else { return };
    let Caller { peer: client, is_anonymous, destination } = caller;
    // The proxy's own connections, such as its health checks, are not limited.
    if client != peer && !open.is_admitted(&settings, client.ip()) {
        return;
    }
    let is_proxys = client == peer && is_in(peer.ip(), &settings.proxied);
    let peer = client;
    let mut security = Security::Clear;
    let mut is_http2 = !settings.protocols.http1;
    let stream = match &settings.tls {
        None => Stream::new(socket),
        // On the heap, and gone when the handshake is done.
        Some(tls) => match Box::pin(secure(&worker, tls, socket)).await {
            None => return,
            // What is passed on has no way to be told that it came in clear.
            Some(Secured::Clear(_)) if settings.tcp.is_some() => return,
            Some(Secured::Clear(socket)) => {
                security = Security::Missing;
                Stream::new(socket)
            }
            Some(Secured::Tls { stream, certificate, chose_http2 }) => {
                security = Security::Tls { certificate };
                is_http2 |= chose_http2;
                stream
            }
        },
    };
    let is_passed_on = settings.tcp.is_some();
    let admitted_by = settings.tls.as_ref().and_then(|tls| tls.clients());
    drop(settings);
    let peer_text = PeerText::new(peer.ip().to_canonical());
    let requests = Portion::new(Rc::clone(&listener), peer.ip(), is_proxys);
    // A pointer is handed on: each function on the way would keep room for a client of its own.
    let client = Box::new(Client::new(
        stream,
        Rc::new(Origin {
            peer,
            peer_text,
            is_anonymous,
            destination,
            listener,
            security,
            admitted_by,
            requests,
        }),
    ));
    // On the heap, so that a connection of HTTP/1.1, of which there are most, does not carry the others' state.
    if is_passed_on {
        Box::pin(tcp::serve(worker, open, *client)).await;
    } else if is_http2 {
        Box::pin(h2::serve(worker, open, *client)).await;
    } else {
        h1::serve(worker, open, client).await;
    }
}

/// Whose connection it is and where it was to go.
struct Caller {
    peer: SocketAddr,
    /// Whether it is somebody's behind the peer, who is not named.
    is_anonymous: bool,
    destination: Option<SocketAddr>,
}

/// Finds it as the socket says, or the PROXY header of a peer that must send one. Nothing when it does not.
async fn find_client(
    worker: &Worker,
    settings: &ListenerSpec,
    socket: &Socket,
    peer: SocketAddr,
) -> Option<Caller> {
    let header = if settings.proxied.is_empty() || !is_in(peer.ip(), &settings.proxied) {
        None
    } else {
        let deadline = Deadline::default();
        deadline.set(clock::now() + settings.header_timeout);
        match Box::pin(deadline.bound(proxy_protocol::read(socket))).await {
            Some(Ok(header)) => Some(header),
            Some(Err(Refused::Fault(fault))) => {
                worker.shard.connection_refused(fault.code());
                return None;
            }
            Some(Err(Refused::Gone)) => return None,
            None => {
                worker.shard.connection_refused("proxy_protocol_timeout");
                return None;
            }
        }
    };
    Some(match header.and_then(|header| header.client) {
        Some(client) => {
            Caller { peer: client.source, is_anonymous: false, destination: Some(client.destination) }
        }
        None => Caller {
            peer,
            is_anonymous: header.is_some_and(|header| !header.is_local),
            destination: settings.tells_destination.then(|| socket.local_address()).flatten(),
        },
    })
}

/// What came of a handshake.
enum Secured {
    Tls {
        stream: Stream,
        certificate: Option<PeerCertificate>,
        chose_http2: bool,
    },
    /// The client did not begin one.
    Clear(Socket),
}

/// Leads the handshake, within its time and among those that may be under way.
async fn secure(worker: &Worker, tls: &ServerTls, socket: Socket) -> Option<Secured> {
    let deadline = Deadline::default();
    deadline.set(clock::now() + tls.handshake_timeout);
    let Some(secured) = deadline.bound(shake_hands(worker, tls, socket)).await else {
        worker.shard.tls_handshake("timeout");
        return None;
    };
    secured
}

async fn shake_hands(worker: &Worker, tls: &ServerTls, socket: Socket) -> Option<Secured> {
    // Looked at first: rustls would answer a request in clear with an alert, which its sender cannot read.
    let mut first = [0];
    let peek = |descriptor: BorrowedFd<'_>| {
        Ok(rustix::net::recv(descriptor, &mut first, RecvFlags::PEEK).map(|(_, count)| count)?)
    };
    if socket.receive_with(peek).await.ok()? == 0 {
        return None;
    }
    if first[0] != HANDSHAKE {
        worker.shard.tls_handshake("clear");
        return Some(Secured::Clear(socket));
    }
    // Not before there is something to do: who only connects takes nobody's place.
    let Some(_handshaking) = tls.begin() else {
        worker.shard.tls_handshake("refused");
        return None;
    };
    let acceptor = TlsAcceptor::from(Arc::clone(tls.config()));
    let stream = match acceptor.accept(socket).await {
        Ok(stream) => stream,
        Err(error) => {
            worker.shard.tls_handshake(reason(&error));
            return None;
        }
    };
    let (_, session) = stream.get_ref();
    let is_resumed = session.handshake_kind() == Some(HandshakeKind::Resumed);
    let Ok(certificate) = PeerCertificate::shown(session.peer_certificates()) else {
        worker.shard.tls_handshake("client_certificate");
        return None;
    };
    worker.shard.tls_handshake(if is_resumed { "resumed" } else { "full" });
    let chose_http2 = session.alpn_protocol() == Some(HTTP2);
    Some(Secured::Tls { stream: Stream::tls(stream), certificate, chose_http2 })
}

/// Why a handshake failed, as the metrics tell it.
fn reason(error: &io::Error) -> &'static str {
    let Some(error) = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>()) else {
        return "gone";
    };
    match error {
        rustls::Error::NoCertificatesPresented | rustls::Error::InvalidCertificate(_) => "client_certificate",
        rustls::Error::PeerIncompatible(_) | rustls::Error::NoApplicationProtocol => "incompatible",
        // The client did not like what it was shown: as a rule, a certificate that it does not trust.
        rustls::Error::AlertReceived(_) => "alert",
        _ => "malformed",
    }
}
