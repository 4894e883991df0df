//! Where the endpoints of a service are looked for. Who looks is the control plane, once for all workers; what it finds stands
//! in the [`Catalog`](super::catalog::Catalog).

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue};

use crate::config::Scheme;
use crate::config::values::{HttpUrl, Secret};
use crate::tls::ClientTls;

/// How a service's endpoints are looked for.
#[derive(Debug)]
pub struct Discovery {
    /// Who knows them.
    pub source: Source,
    /// What they speak where that does not say it.
    pub scheme: Scheme,
    /// TLS towards who knows them.
    pub tls: Option<Arc<ClientTls>>,
}

/// Who knows the endpoints of a service.
#[derive(Debug, PartialEq)]
pub enum Source {
    /// The addresses of a name.
    Dns {
        /// The name.
        name: String,
        /// The port of all endpoints.
        port: u16,
        /// How it is asked for.
        lookup: Lookup,
    },
    /// SRV records (RFC 2782).
    Srv {
        /// Their name.
        name: String,
        /// How they are asked for.
        lookup: Lookup,
    },
    /// A file with a list.
    File {
        /// Its path.
        path: PathBuf,
    },
    /// Keys in etcd.
    Etcd {
        /// Members of the cluster, tried in turn.
        urls: Vec<HttpUrl>,
        /// What the keys begin with.
        prefix: String,
        /// User and password.
        login: Option<(String, Secret)>,
    },
    /// A service in Consul.
    Consul {
        /// The agent.
        url: HttpUrl,
        /// The service's name there.
        service: String,
        /// What an instance must all have.
        tags: Vec<String>,
        /// The datacenter, where it is not the agent's.
        datacenter: Option<String>,
        /// The ACL token.
        token: Option<Secret>,
    },
    /// A URL that answers with a list.
    Http {
        /// The URL.
        url: HttpUrl,
        /// Fields of the question.
        headers: Vec<(HeaderName, HeaderValue)>,
        /// Between two questions.
        every: Duration,
    },
}

/// How DNS is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Lookup {
    /// The longest time between two questions.
    pub every: Duration,
    /// The server to ask instead of those of the system.
    pub server: Option<SocketAddr>,
}

impl PartialEq for Discovery {
    /// Whether the one would find what the other does, in the same way.
    fn eq(&self, other: &Self) -> bool {
        let has_same_tls = match (&self.tls, &other.tls) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (None, None) => true,
            _ => false,
        };
        has_same_tls && self.scheme == other.scheme && self.source == other.source
    }
}
