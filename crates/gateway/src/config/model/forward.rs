//! `forward`: somebody else decides about every request.

use http::HeaderName;
use http::header::{AUTHORIZATION, COOKIE};
use schemars::JsonSchema;

use super::outside::check_tls;
use super::route::{FRAMING, is_framing};
use super::tls::ServiceTls;
use crate::config::node::Node;
use crate::config::read::{Keys, MapReader, Read, Reader};
use crate::config::source::Located;
use crate::config::values::{Duration, HttpUrl};

/// Somebody else, who is asked about every request and decides: a 2xx answer lets it through, and any other that is no failure
/// goes to the client.
#[derive(Clone, Debug, PartialEq, JsonSchema)]
pub struct Forward {
    /// Who is asked, with a GET that has the request's method, host and target in `X-Forwarded-…` and no body.
    #[schemars(with = "String")]
    pub url: Located<HttpUrl>,
    /// Header fields of the request that the question has too. Default: `authorization` and `cookie`.
    #[schemars(with = "Option<Vec<String>>")]
    pub pass: Vec<HeaderName>,
    /// Header fields of the answer that the service gets; it gets none of these names from clients. Default: none.
    #[schemars(with = "Option<Vec<String>>")]
    pub keep: Vec<HeaderName>,
    /// The header field of the answer that names the user.
    #[schemars(with = "Option<String>")]
    pub user: Option<HeaderName>,
    /// How long the answer is waited for. Default: `2s`.
    #[schemars(default = "default_timeout")]
    pub timeout: Duration,
    /// TLS to who is asked.
    pub tls: Option<Box<ServiceTls>>,
}

impl Read for Forward {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let mut map = reader.map(node, &FORWARD)?;
        let url: Option<Located<HttpUrl>> = map.required("url", reader);
        let pass = read_names(&mut map, "pass", reader).unwrap_or_else(|| vec![AUTHORIZATION, COOKIE]);
        let keep = read_names(&mut map, "keep", reader).unwrap_or_default();
        let user = map.optional("user", reader);
        let timeout = map.or("timeout", default_timeout(), reader);
        let tls: Option<Box<ServiceTls>> = map.optional("tls", reader);
        if let Some(url) = &url {
            check_tls(&map, url.is_tls(), tls.as_deref(), reader);
        }
        map.finish(reader);
        Some(Self { url: url?, pass, keep, user, timeout, tls })
    }
}

fn read_names(map: &mut MapReader<'_>, key: &'static str, reader: &mut Reader) -> Option<Vec<HeaderName>> {
    let names: Vec<Located<HeaderName>> = map.optional(key, reader)?;
    for name in names.iter().filter(|name| is_framing(name)) {
        reader.wrong(name.span, FRAMING);
    }
    Some(names.into_iter().map(|name| name.value).collect())
}

fn default_timeout() -> Duration {
    Duration::from_secs(2)
}

pub(super) static FORWARD: Keys = Keys {
    of: "`forward`",
    known: &["url", "pass", "keep", "user", "timeout", "tls"],
    later: &[],
    shared: None,
};
