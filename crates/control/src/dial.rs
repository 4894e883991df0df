//! A connection of the control plane's own: to an endpoint that is checked, or to who knows endpoints.

use std::io;
use std::time::Duration;

use gateway::accept::proxy_protocol;
use gateway::config::Protocols;
use gateway::config::values::Host;
use gateway::tls::ClientTls;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

/// After how long without a word a peer is asked whether it is still there, and how often until it is given up.
const KEEPALIVE: (Duration, u32) = (Duration::from_secs(10), 3);

/// A connection's bytes.
pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// Where to connect, and how.
pub(crate) struct Dial<'d> {
    /// To whom.
    pub(crate) host: &'d Host,
    /// The port; of no meaning for a Unix socket.
    pub(crate) port: u16,
    /// The PROXY header that the connection begins with.
    pub(crate) proxy_protocol: Option<proxy_protocol::Version>,
    /// TLS: the name that the certificate is for, and the protocols that are offered.
    pub(crate) tls: Option<(&'d ClientTls, &'d Host, Protocols)>,
}

/// Connects. Whether HTTP/2 was chosen in a TLS handshake. The caller bounds its time.
pub(crate) async fn dial(how: &Dial<'_>) -> Result<(Box<dyn Io>, bool), String> {
    let failed = |error: io::Error| error.to_string();
    let mut socket: Box<dyn Io> = match how.host {
        Host::Ip(ip) => Box::new(tended(TcpStream::connect((*ip, how.port)).await.map_err(failed)?)),
        Host::Name(name) => Box::new(tended(TcpStream::connect((&**name, how.port)).await.map_err(failed)?)),
        Host::Unix(path) => Box::new(UnixStream::connect(path.as_path()).await.map_err(failed)?),
    };
    if let Some(version) = how.proxy_protocol {
        let mut header = Vec::new();
        proxy_protocol::encode(version, None, &mut header);
        socket.write_all(&header).await.map_err(failed)?;
    }
    let Some((tls, name, offered)) = how.tls else { return Ok((socket, false)) };
    let name = tls.server_name(name).map_err(|error| error.to_string())?;
    let stream = TlsConnector::from(tls.config(offered)).connect(name, socket).await.map_err(failed)?;
    let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    Ok((Box::new(stream), is_http2))
}

/// A peer that went without a word would be waited for without end.
fn tended(socket: TcpStream) -> TcpStream {
    let (time, retries) = KEEPALIVE;
    let keepalive = TcpKeepalive::new().with_time(time).with_interval(time).with_retries(retries);
    // Without it a loss is noticed later.
    let _ = SockRef::from(&socket).set_tcp_keepalive(&keepalive);
    socket
}
