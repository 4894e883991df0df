//! `auth`: ways to find out who calls.

use http::HeaderName;
use schemars::JsonSchema;

use super::basic::Basic;
use super::forward::Forward;
use super::hmac::Hmac;
use super::introspection::Introspection;
use super::jwt::Jwt;
use super::mtls::Mtls;
use super::oidc::Oidc;
use super::route::{FRAMING, is_framing};
use super::signature::Signature;
use super::tls::ServiceTls;
use crate::config::node::{Key, Node};
use crate::config::read::{Keys, Read, Reader};
use crate::config::source::Located;

/// A way to find out who calls, of one kind.
#[derive(Clone, Debug, PartialEq, JsonSchema)]
pub struct Authenticator {
    /// Its name.
    #[schemars(skip)]
    pub name: Located<String>,
    /// A key of an application under `apps`, sent as `id.secret`.
    pub api_key: Option<ApiKey>,
    /// A token that somebody else has signed.
    pub jwt: Option<Box<Jwt>>,
    /// A certificate that the client has shown.
    pub mtls: Option<Mtls>,
    /// A login in the browser.
    pub oidc: Option<Box<Oidc>>,
    /// A token that somebody else is asked about.
    pub introspection: Option<Box<Introspection>>,
    /// Somebody else decides.
    pub forward: Option<Box<Forward>>,
    /// A user's name and password.
    pub basic: Option<Basic>,
    /// A signature by the secret of a key of an application under `apps`.
    pub hmac: Option<Box<Hmac>>,
    /// An HTTP message signature (RFC 9421).
    pub signature: Option<Box<Signature>>,
}

/// Where a key is looked for. Without `header`, `query` and `bearer`: in the header `X-API-Key`.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema)]
pub struct ApiKey {
    /// The header that holds it.
    #[schemars(with = "Option<String>")]
    pub header: Option<HeaderName>,
    /// The query parameter that holds it. Addresses end up in histories and other people's logs: a header is better.
    pub query: Option<String>,
    /// Whether it may come as `Authorization: Bearer …`. Default: `false`.
    #[schemars(default)]
    pub bearer: bool,
    /// Whether the service gets it too. Default: `false`.
    #[schemars(default)]
    pub pass: bool,
}

impl Authenticator {
    /// Whom it asks about callers, if anybody: whether by TLS, and how.
    pub fn outside(&self) -> Option<(bool, Option<&ServiceTls>)> {
        let (url, tls) = match self {
            Self { jwt: Some(jwt), .. } => (jwt.jwks.url()?, &jwt.tls),
            Self { oidc: Some(oidc), .. } => (&oidc.description, &oidc.tls),
            Self { introspection: Some(introspection), .. } => (&introspection.url, &introspection.tls),
            Self { forward: Some(forward), .. } => (&forward.url, &forward.tls),
            _ => return None,
        };
        Some((url.is_tls(), tls.as_deref()))
    }

    pub(super) fn read(name: &Key, node: &Node, reader: &mut Reader) -> Option<Self> {
        let mut map = reader.map(node, &AUTHENTICATOR)?;
        let mut kinds = AUTHENTICATOR.known.iter().filter(|kind| map.has(kind));
        if let (Some(_), Some(second)) = (kinds.next(), kinds.next()) {
            reader.wrong(map.key_span(second), "each way is of one kind: give this one a name of its own");
        }
        let way = Self {
            name: Located::new(name.text.to_string(), name.span),
            api_key: map.optional("api_key", reader),
            jwt: map.optional("jwt", reader),
            mtls: map.optional("mtls", reader),
            oidc: map.optional("oidc", reader),
            introspection: map.optional("introspection", reader),
            forward: map.optional("forward", reader),
            basic: map.optional("basic", reader),
            hmac: map.optional("hmac", reader),
            signature: map.optional("signature", reader),
        };
        if !AUTHENTICATOR.known.iter().chain(AUTHENTICATOR.later).any(|kind| map.has(kind)) {
            reader.wrong(
                map.head(),
                "this does not say how: `api_key`, `jwt`, `mtls`, `oidc`, `introspection`, `forward`, `basic`, `hmac`, `signature`",
            );
        }
        map.finish_kind(reader);
        let is_one = way.api_key.is_some()
            || way.jwt.is_some()
            || way.mtls.is_some()
            || way.oidc.is_some()
            || way.introspection.is_some()
            || way.forward.is_some()
            || way.basic.is_some()
            || way.hmac.is_some()
            || way.signature.is_some();
        is_one.then_some(way)
    }
}

impl Read for ApiKey {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let mut map = reader.map(node, &API_KEY)?;
        let mut api_key = Self {
            header: read_header(&mut map, reader),
            query: map.optional("query", reader),
            bearer: map.or("bearer", false, reader),
            pass: map.or("pass", false, reader),
        };
        if api_key.query.as_deref() == Some("") {
            reader.wrong(map.key_span("query"), "a parameter has a name");
        }
        if !map.has("header") && !map.has("query") && !api_key.bearer {
            api_key.header = Some(HeaderName::from_static(USUAL_HEADER));
        }
        map.finish(reader);
        Some(api_key)
    }
}

fn read_header(map: &mut crate::config::read::MapReader<'_>, reader: &mut Reader) -> Option<HeaderName> {
    let header: Located<HeaderName> = map.optional("header", reader)?;
    if is_framing(&header) {
        reader.wrong(header.span, FRAMING);
    } else if header.value == http::header::AUTHORIZATION {
        reader.wrong(header.span, "for keys in `Authorization: Bearer …` write `bearer: true`");
    }
    Some(header.value)
}

const USUAL_HEADER: &str = "x-api-key";

pub(super) static AUTHENTICATOR: Keys = Keys {
    of: "a way to find out who calls",
    known: &["api_key", "jwt", "mtls", "oidc", "introspection", "forward", "basic", "hmac", "signature"],
    later: &[],
    shared: None,
};

pub(super) static API_KEY: Keys =
    Keys { of: "`api_key`", known: &["header", "query", "bearer", "pass"], later: &[], shared: None };
