//! `secure_headers`: headers that make browsers careful.

use http1::Known;

use crate::config::{FrameOptions, Hsts, SecureHeaders as Configured};
use crate::exchange::Exchange;
use crate::policies::Policy;
use crate::refusal::Stage;

/// The compiled policy: a header that the service sends itself stays as it is.
#[derive(Debug)]
pub struct SecureHeaders {
    /// Where the client came by https: a browser would not believe it otherwise (RFC 6797, section 8.1).
    strict_transport: Option<Box<[u8]>>,
    always: Vec<(&'static str, Box<[u8]>)>,
}

impl SecureHeaders {
    /// Compiles the configuration; nothing when it sets nothing.
    pub fn build(config: &Configured) -> Option<Self> {
        let frame_options = config.frame_options.map(|options| match options {
            FrameOptions::Deny => "DENY",
            FrameOptions::SameOrigin => "SAMEORIGIN",
        });
        let always: Vec<_> = [
            ("X-Content-Type-Options", config.nosniff.then_some("nosniff")),
            ("X-Frame-Options", frame_options),
            ("Referrer-Policy", config.referrer_policy),
            ("Content-Security-Policy", config.content_security_policy.as_deref()),
            ("Permissions-Policy", config.permissions_policy.as_deref()),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?.as_bytes().into())))
        .collect();
        let strict_transport = config.hsts.map(|hsts| strict_transport(hsts).into_bytes().into());
        (strict_transport.is_some() || !always.is_empty()).then_some(Self { strict_transport, always })
    }
}

/// The value of `Strict-Transport-Security` (RFC 6797, section 6.1).
fn strict_transport(hsts: Hsts) -> String {
    let mut value = format!("max-age={}", hsts.max_age.as_secs());
    if hsts.subdomains {
        value.push_str("; includeSubDomains");
    }
    if hsts.preload {
        value.push_str("; preload");
    }
    value
}

/// Whether the client came by https: to this gateway, or to a trusted one in front of it that says so.
fn came_by_https(exchange: &Exchange) -> bool {
    exchange.is_tls()
        || exchange.caller.trusted
            && exchange
                .request
                .fields
                .get(Known::XForwardedProto)
                .is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"https"))
}

impl Policy for SecureHeaders {
    fn name(&self) -> &'static str {
        "secure_headers"
    }

    fn stage(&self) -> Stage {
        Stage::Shape
    }

    fn on_response(&self, exchange: &mut Exchange) {
        let strict_transport = self.strict_transport.as_ref().filter(|_| came_by_https(exchange));
        let strict_transport = strict_transport.map(|value| ("Strict-Transport-Security", value));
        let always = self.always.iter().map(|(name, value)| (*name, value));
        let fields = &mut exchange.response.fields;
        for (name, value) in strict_transport.into_iter().chain(always) {
            if fields.get_named(name.as_bytes()).is_none() {
                fields.append_named(name.as_bytes(), value);
            }
        }
    }

    fn explain(&self) -> String {
        let always = self.always.iter().map(|(name, _)| *name);
        let strict_transport = self.strict_transport.iter().map(|_| "Strict-Transport-Security over https");
        format!("sets {}", always.chain(strict_transport).collect::<Vec<_>>().join(", "))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::config::values::Duration;

    #[test]
    fn strict_transport_is_written_as_browsers_read_it() {
        let year = Duration::from_secs(31_536_000);
        for (hsts, expected) in [
            (Hsts::default(), "max-age=31536000"),
            (Hsts { max_age: Duration::from_secs(0), ..Hsts::default() }, "max-age=0"),
            (Hsts { max_age: year, subdomains: true, preload: false }, "max-age=31536000; includeSubDomains"),
            (
                Hsts { max_age: year, subdomains: true, preload: true },
                "max-age=31536000; includeSubDomains; preload",
            ),
        ] {
            assert_eq!(strict_transport(hsts), expected);
        }
    }

    #[test]
    fn what_is_off_is_not_set_and_nothing_at_all_is_no_policy() {
        let nothing = Configured {
            hsts: None,
            frame_options: None,
            nosniff: false,
            referrer_policy: None,
            content_security_policy: None,
            permissions_policy: None,
        };
        assert!(SecureHeaders::build(&nothing).is_none());
        let usual = SecureHeaders::build(&Configured::default()).unwrap();
        let expected = "sets X-Content-Type-Options, X-Frame-Options, Referrer-Policy, \
                        Strict-Transport-Security over https";
        assert_eq!(usual.explain(), expected);
        let one = SecureHeaders::build(&Configured { nosniff: true, ..nothing }).unwrap();
        assert_eq!(one.explain(), "sets X-Content-Type-Options");
    }
}
