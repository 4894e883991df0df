//! `secure_headers`: what browsers are told to refuse on behalf of the user.

use std::fmt;

use schemars::JsonSchema;

use super::policy::Setting;
use crate::config::node::{Node, Value};
use crate::config::read::{Keys, Read, Reader};
use crate::config::schema::{or_text, or_true};
use crate::config::values::{Duration, header_value};

/// Headers that make browsers careful. `true` sets all that have a default. What a service sends itself stays.
#[derive(Clone, Debug, PartialEq, Eq, Hash, JsonSchema)]
#[schemars(transform = or_true)]
pub struct SecureHeaders {
    /// `Strict-Transport-Security`: for how long browsers come by https only. Sent where the client came by https.
    /// A plain duration is `max_age`; `off` sends none. Default: `365d`.
    #[schemars(with = "Option<Setting<Hsts>>")]
    pub hsts: Option<Hsts>,
    /// `X-Frame-Options`: whose pages may show this one in a frame: `deny` (nobody's), `same_origin`, `off`.
    /// Default: `deny`.
    #[schemars(with = "Option<Setting<FrameOptions>>")]
    pub frame_options: Option<FrameOptions>,
    /// `X-Content-Type-Options: nosniff`: no guessing at what a body is. Default: `true`.
    #[schemars(with = "Option<bool>")]
    pub nosniff: bool,
    /// `Referrer-Policy`: how much other sites learn of where their visitors come from, in the words of that header, or
    /// `off`. Default: `strict-origin-when-cross-origin`.
    #[schemars(with = "Option<String>")]
    pub referrer_policy: Option<&'static str>,
    /// `Content-Security-Policy`: what a page may load. Default: none.
    pub content_security_policy: Option<String>,
    /// `Permissions-Policy`: what of the browser a page may use. Default: none.
    pub permissions_policy: Option<String>,
}

/// For how long browsers come by https only (RFC 6797). A plain duration is `max_age`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, JsonSchema)]
#[schemars(default, transform = or_text)]
pub struct Hsts {
    /// For how long, counted from each answer. Default: `365d`.
    pub max_age: Duration,
    /// Whether it holds for all names below this one. Default: `false`.
    pub subdomains: bool,
    /// Whether the name may go on the lists that browsers come with. Needs `subdomains` and a year. Default: `false`.
    pub preload: bool,
}

/// Whose pages may show this one in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub enum FrameOptions {
    /// Nobody's.
    Deny,
    /// Those of the same origin.
    SameOrigin,
}

impl fmt::Display for SecureHeaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        if let Some(hsts) = self.hsts {
            let subdomains = if hsts.subdomains { " with subdomains" } else { "" };
            let preload = if hsts.preload { " preloaded" } else { "" };
            parts.push(format!("https for {}{subdomains}{preload}", hsts.max_age));
        }
        parts.extend(self.frame_options.map(|options| match options {
            FrameOptions::Deny => "no frames".to_owned(),
            FrameOptions::SameOrigin => "frames of the same origin".to_owned(),
        }));
        parts.extend(self.nosniff.then(|| "no sniffing".to_owned()));
        parts.extend(self.referrer_policy.map(|policy| format!("referrer {policy}")));
        parts.extend(
            self.content_security_policy.as_ref().map(|policy| format!("content security {policy:?}")),
        );
        parts.extend(self.permissions_policy.as_ref().map(|policy| format!("permissions {policy:?}")));
        f.write_str(&parts.join(", "))
    }
}

impl Default for SecureHeaders {
    fn default() -> Self {
        Self {
            hsts: Some(Hsts::default()),
            frame_options: Some(FrameOptions::Deny),
            nosniff: true,
            referrer_policy: Some("strict-origin-when-cross-origin"),
            content_security_policy: None,
            permissions_policy: None,
        }
    }
}

impl Default for Hsts {
    fn default() -> Self {
        Self { max_age: Duration::from_secs(YEAR), subdomains: false, preload: false }
    }
}

impl Read for SecureHeaders {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        if matches!(node.value, Value::Text(_)) {
            return reader.word(node, &[("true", ())]).map(|()| Self::default());
        }
        let mut map = reader.map(node, &SECURE_HEADERS)?;
        let default = Self::default();
        let headers = Self {
            hsts: value(map.or("hsts", Setting::On(Hsts::default()), reader)),
            frame_options: value(map.or("frame_options", Setting::On(FrameOptions::Deny), reader)),
            nosniff: map.or("nosniff", default.nosniff, reader),
            referrer_policy: match map.take("referrer_policy") {
                Some(node) if node.is("off") => None,
                Some(node) => reader.word(node, &REFERRER_POLICIES.map(|word| (word, word))),
                None => default.referrer_policy,
            },
            content_security_policy: map
                .take("content_security_policy")
                .and_then(|node| read_policy(node, reader)),
            permissions_policy: map.take("permissions_policy").and_then(|node| read_policy(node, reader)),
        };
        map.finish(reader);
        Some(headers)
    }
}

fn value<T>(setting: Setting<T>) -> Option<T> {
    match setting {
        Setting::Off => None,
        Setting::On(value) => Some(value),
    }
}

fn read_policy(node: &Node, reader: &mut Reader) -> Option<String> {
    reader.parsed(node, "the value of a header", |text| header_value(text).map(|_| text.to_owned()))
}

impl Read for Hsts {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        if matches!(node.value, Value::Text(_)) {
            return Some(Self { max_age: Duration::read(node, reader)?, ..Self::default() });
        }
        let mut map = reader.map(node, &HSTS)?;
        let default = Self::default();
        let hsts = Self {
            max_age: map.or("max_age", default.max_age, reader),
            subdomains: map.or("subdomains", default.subdomains, reader),
            preload: map.or("preload", default.preload, reader),
        };
        if hsts.preload && (!hsts.subdomains || hsts.max_age.as_secs() < YEAR) {
            let message =
                "the lists of browsers take only names with `subdomains: true` and a `max_age` of 365d";
            reader.wrong(map.key_span("preload"), message);
        }
        map.finish(reader);
        Some(hsts)
    }
}

impl Read for FrameOptions {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        reader.word(node, &[("deny", Self::Deny), ("same_origin", Self::SameOrigin)])
    }
}

pub(super) static SECURE_HEADERS: Keys = Keys {
    of: "`secure_headers`",
    known: &[
        "hsts",
        "frame_options",
        "nosniff",
        "referrer_policy",
        "content_security_policy",
        "permissions_policy",
    ],
    later: &[],
    shared: None,
};

pub(super) static HSTS: Keys =
    Keys { of: "`hsts`", known: &["max_age", "subdomains", "preload"], later: &[], shared: None };

/// The words of `Referrer-Policy` (W3C Referrer Policy, section 3).
const REFERRER_POLICIES: [&str; 8] = [
    "no-referrer",
    "no-referrer-when-downgrade",
    "same-origin",
    "origin",
    "strict-origin",
    "origin-when-cross-origin",
    "strict-origin-when-cross-origin",
    "unsafe-url",
];

/// Seconds of 365 days.
const YEAR: u64 = 365 * 86_400;
