//! Stage `route`: which route a request belongs to.
//!
//! A [`Router`] is built once for a snapshot and only read after. It finds by tree, never by scan, and
//! allocates nothing; `docs/routing.md` says in the user's words which route wins.

mod conditions;
mod explain;
mod host;
mod methods;
mod params;
mod pattern;
mod rewrite;
mod router;
mod segment;
mod table;
mod tree;
mod unreachable;
mod value;
mod version;

use std::net::IpAddr;
use std::sync::Arc;

use http::Method;
use http1::RequestHead;

use crate::tls::PeerCertificate;

pub use explain::{Candidate, MAX_CANDIDATES, Verdict};
pub use host::{HostFault, HostPattern, MAX_HOST};
pub use methods::{AllowList, MAX_EXTENSION_METHODS};
pub use params::{BoundParams, Params, decode};
pub(crate) use params::{decode_query, is_named, query_pairs};
pub use pattern::{MAX_NAME, MAX_PATTERN, MAX_REGEX, MAX_SEGMENTS, PathPattern, PatternFault};
pub use rewrite::{Rewrite, RewriteFault, UnsafePath};
pub use router::{MAX_ROUTES, Router, RouterFault};
pub use segment::{MAX_REGEX_PROGRAM, Regexes};
pub use unreachable::Unreachable;
pub use value::{Device, MAX_VALUE, ValueMatch, detect};
pub use version::{VersionBy, VersionMatch, media_type_versions, same_version};

use crate::expression::Expression;

/// What a request must be to belong to a route.
#[derive(Debug)]
pub struct RouteMatch {
    /// The host it is for.
    pub host: HostPattern,
    /// The methods it takes; empty for any but CONNECT. GET takes HEAD too.
    pub methods: Vec<Method>,
    /// The path.
    pub path: PathPattern,
    /// Headers and what one of their values must be.
    pub headers: Vec<(Box<str>, ValueMatch)>,
    /// Query parameters and what one of their values must be, both decoded.
    pub query: Vec<(Box<str>, ValueMatch)>,
    /// The kind of client it is for.
    pub device: Option<Arc<Device>>,
    /// An expression over `request`, `params` and `device` that must be true.
    pub when: Option<Expression>,
    /// The version of the API that it is in.
    pub version: Option<VersionMatch>,
}

impl RouteMatch {
    /// Every request to this path.
    pub fn new(path: PathPattern) -> Self {
        Self {
            host: HostPattern::Any,
            methods: Vec::new(),
            path,
            headers: Vec::new(),
            query: Vec::new(),
            device: None,
            when: None,
            version: None,
        }
    }
}

/// What routing sees of a request.
#[derive(Debug, Clone, Copy)]
pub struct RequestView<'a> {
    /// The head.
    pub head: &'a RequestHead,
    /// The method to route for: the request's own, or for a CORS preflight the one that it asks about.
    pub method: &'a Method,
    /// The client's address.
    pub client: IpAddr,
    /// The configuration's devices, for expressions that say `device`.
    pub devices: &'a [Arc<Device>],
    /// Whether it came encrypted.
    pub is_tls: bool,
    /// What the client has shown in the handshake.
    pub certificate: Option<&'a PeerCertificate>,
}

impl<'a> RequestView<'a> {
    /// A request with its own method, in clear, and no devices.
    pub fn new(head: &'a RequestHead, client: IpAddr) -> Self {
        Self { head, method: &head.method, client, devices: &[], is_tls: false, certificate: None }
    }
}

/// What a search found.
#[derive(Debug, Clone, Copy)]
pub enum Found<'r> {
    /// The route at this position of the list that the router was built from.
    Route(usize),
    /// No route is for this request: 404.
    NoRoute,
    /// Routes are for its host and path, but none for its method: 405 with this `Allow`.
    MethodNotAllowed(AllowList<'r>),
    /// OPTIONS, and no route of its own: 204 with this `Allow`.
    Options(AllowList<'r>),
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
