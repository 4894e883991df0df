//! A connection's way from the listener's socket to its protocol: TLS, then whichever protocol the client chose.

use std::net::SocketAddr;
use std::rc::Rc;

use super::client::{Client, Origin};
use super::forwarded::PeerText;
use super::listener::Listener;
use super::stream::{Socket, Stream};
use super::{h1, h2};
use crate::worker::{OpenConnection, Worker};

/// Serves one connection until it ends.
pub async fn serve(
    worker: Rc<Worker>,
    listener: Rc<Listener>,
    open: OpenConnection,
    socket: Socket,
    peer: SocketAddr,
) {
    let origin =
        Rc::new(Origin { peer, peer_text: PeerText::new(peer.ip().to_canonical()), listener, is_tls: false });
    let client = Client::new(Stream::new(socket), origin);
    let protocols = client.listener().protocols;
    if protocols.http1 {
        h1::serve(worker, open, client).await;
    } else {
        h2::serve(worker, open, client).await;
    }
}
