//! What the engine is shown of a request, borrowed from whoever holds it.

/// A request's line; its headers are given beside it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Request<'a> {
    /// The method, as sent.
    pub method: &'a str,
    /// The path as sent, still percent-encoded, without the query.
    pub path: &'a [u8],
    /// What follows `?`, still percent-encoded; `None` where there is no `?`.
    pub query: Option<&'a [u8]>,
}
