//! URLs of those who know callers, and how they are spoken to.

use std::net::IpAddr;

use super::tls::ServiceTls;
use crate::config::node::{Node, Value};
use crate::config::read::{MapReader, Read, Reader};
use crate::config::source::{Located, Span};
use crate::config::values::{Host, HttpUrl};

/// A URL whose answers are believed: nobody on the way may change them.
pub(super) fn read_trusted_url(
    node: &Node,
    tls: Option<&ServiceTls>,
    reader: &mut Reader,
) -> Option<Located<HttpUrl>> {
    trusted(HttpUrl::read(node, reader)?, node.span, tls, reader)
}

/// The same of one that has been read.
fn trusted(
    url: HttpUrl,
    span: Span,
    tls: Option<&ServiceTls>,
    reader: &mut Reader,
) -> Option<Located<HttpUrl>> {
    let is_unsafe = !url.is_tls() && !is_here(url.host()) && !tls.is_some_and(ServiceTls::is_insecure);
    if is_unsafe {
        let what = "whoever is on the way could answer instead: write https://, or `tls: { insecure: true }` where \
                    nobody can be";
        reader.wrong(span, what);
        return None;
    }
    Some(Located::new(url, span))
}

/// Where an issuer describes itself, behind its own URL (`OpenID` Connect Discovery 1.0, section 4); `otherwise` is what can be done
/// where it has none.
pub(super) fn description(
    issuer: &str,
    span: Span,
    tls: Option<&ServiceTls>,
    otherwise: &str,
    reader: &mut Reader,
) -> Option<Located<HttpUrl>> {
    const DESCRIPTION: &str = "/.well-known/openid-configuration";
    match HttpUrl::parse(&format!("{}{DESCRIPTION}", issuer.strip_suffix('/').unwrap_or(issuer))) {
        Ok(url) => trusted(url, span, tls, reader),
        Err(why) => {
            reader.wrong(span, format!("{why}{otherwise}"));
            None
        }
    }
}

/// Whether a host is this machine.
fn is_here(host: &Host) -> bool {
    match host {
        Host::Ip(IpAddr::V4(ip)) => ip.is_loopback(),
        Host::Ip(IpAddr::V6(ip)) => ip.is_loopback(),
        Host::Name(name) => name == "localhost",
        Host::Unix(_) => true,
    }
}

/// Whether a text is meant as a URL.
pub(super) fn is_url(node: &Node) -> bool {
    matches!(&node.value, Value::Text(text) if text.contains("://"))
}

/// `tls` goes with URLs that speak it.
pub(super) fn check_tls(map: &MapReader<'_>, is_tls: bool, tls: Option<&ServiceTls>, reader: &mut Reader) {
    if map.has("tls") && !is_tls && !tls.is_some_and(ServiceTls::is_insecure) {
        reader.wrong(map.key_span("tls"), "no URL here begins with https://");
    }
}
