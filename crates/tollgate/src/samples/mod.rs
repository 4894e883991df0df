//! The services that `tollgate demo` stands in front of: users, orders and products.
//!
//! Each is a small HTTP/1.1 server over records in memory, started on as many listeners as it is to have endpoints.
//! Every answer says which endpoint gave it (`X-Served-By`, and `served_by` in JSON), and every request may ask for
//! trouble (`trouble.rs`). This is how a user sees a gateway balance, retry and time out.

mod answer;
mod live;
mod records;
#[cfg(test)]
mod tests;
mod trouble;

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Bytes;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use answer::Endpoint;
use records::Records;

/// The most connections that one endpoint serves at a time; further ones wait.
const MAX_CONNECTIONS: usize = 4096;

/// How long to leave a listener alone that cannot accept, for want of descriptors say.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// Which of the sample services.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sample {
    /// `/users`, `/users/{id}`.
    Users,
    /// `/orders`, `/orders?user={id}`, `/orders/{id}`.
    Orders,
    /// `/products`, `/products/{path...}`.
    Products,
}

impl Sample {
    /// The service's name, which is also the first segment of its paths.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Users => "users",
            Self::Orders => "orders",
            Self::Products => "products",
        }
    }
}

/// The sample services with their records. Endpoints of one service share them, so that a user who was added through
/// one is found through the others.
#[derive(Debug)]
pub(crate) struct Samples {
    users: Arc<Records>,
    orders: Arc<Records>,
    products: Arc<Records>,
}

impl Samples {
    /// The services with the records that they start with.
    pub(crate) fn new() -> Self {
        let records = |sample| Arc::new(Records::of(sample));
        Self {
            users: records(Sample::Users),
            orders: records(Sample::Orders),
            products: records(Sample::Products),
        }
    }

    /// Starts an endpoint of `sample` on `listener`, on the tokio runtime that this is called on. It serves until
    /// the task is aborted, which also closes its connections.
    pub(crate) fn start(
        &self,
        sample: Sample,
        listener: std::net::TcpListener,
    ) -> io::Result<JoinHandle<()>> {
        listener.set_nonblocking(true)?;
        let served_by = format!("{}@{}", sample.name(), listener.local_addr()?);
        let records = match sample {
            Sample::Users => &self.users,
            Sample::Orders => &self.orders,
            Sample::Products => &self.products,
        };
        let (alive, ended) = watch::channel(());
        let endpoint =
            Endpoint::new(sample, &served_by, Arc::clone(records), ended).map_err(io::Error::other)?;
        Ok(tokio::spawn(accept(Arc::new(endpoint), TcpListener::from_std(listener)?, alive)))
    }
}

/// Serves `listener`. A WebSocket outlives the connection that it began as, and ends when `_alive` is dropped.
async fn accept(endpoint: Arc<Endpoint>, listener: TcpListener, _alive: watch::Sender<()>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if connections.len() < MAX_CONNECTIONS => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve(Arc::clone(&endpoint), stream));
                }
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(endpoint: Arc<Endpoint>, stream: TcpStream) {
    // Neither matters to anyone but this client, who sees the connection end.
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| {
        let endpoint = Arc::clone(&endpoint);
        async move { Ok::<_, Infallible>(endpoint.answer(request).await) }
    });
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades()
        .await;
}
