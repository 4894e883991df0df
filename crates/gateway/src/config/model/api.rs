//! `apis`: routes with a shared front, and the life of their versions.

use http::HeaderName;
use schemars::JsonSchema;

use super::policy::{POLICIES, Policies};
use super::route::Route;
use crate::config::fault::Fault;
use crate::config::node::{Key, Node, Value};
use crate::config::read::{Keys, Reader};
use crate::config::source::Located;
use crate::config::values::{Date, check_name, header_name};

/// Routes with a shared front: one host, one base path, one set of policies and versions.
#[derive(Clone, Debug, PartialEq, JsonSchema)]
pub struct Api {
    /// Its name.
    #[schemars(skip)]
    pub name: Located<String>,
    /// What people call it. Default: its name.
    pub title: Option<String>,
    /// The host that its routes answer on: `api.example.com` or `*.example.com`. Default: any.
    #[schemars(with = "Option<String>")]
    pub host: Option<Located<String>>,
    /// What the paths of its routes begin with: `/shop`. Default: nothing.
    #[schemars(with = "Option<String>")]
    pub base: Option<Located<String>>,
    /// Its versions, and how a request chooses one. Default: it has none.
    pub versions: Option<Versions>,
    /// Its routes.
    #[schemars(default)]
    pub routes: Vec<Route>,
    /// Policies that hold for all its routes.
    #[schemars(flatten)]
    pub policies: Policies,
}

/// The versions of an API: how a request chooses one (`by`), and each version under its name.
#[derive(Clone, Debug, PartialEq, JsonSchema)]
pub struct Versions {
    /// How a request chooses a version. Default: `path`.
    #[schemars(default)]
    pub by: VersionBy,
    /// The versions, in the order of the file.
    #[schemars(flatten, with = "std::collections::BTreeMap<String, Version>")]
    pub list: Vec<Version>,
}

/// How a request chooses a version: `path`, by the first segment behind the base path, as in `/shop/v1/…`; `header`, by
/// the header `X-Api-Version`; `media_type`, by a media type in `Accept`, as in `application/vnd.shop.v2+json` for the
/// API `shop`; or a map that names the header or the media type.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[schemars(transform = crate::config::schema::or_version_words, rename_all = "snake_case")]
pub enum VersionBy {
    /// By the first segment behind the base path: `/shop/v1/…`.
    #[default]
    #[schemars(skip)]
    Path,
    /// By this header, whose value is the version's name. Without the header the current version answers.
    Header(#[schemars(with = "String")] HeaderName),
    /// By the media type in `Accept`: this name, a dot and the version, as in `application/vnd.shop.v2+json` for
    /// `application/vnd.shop`; or a parameter of it or of JSON, as in `application/json;version=2`. Without either the
    /// current version answers, also to those who ask for versions of other types.
    MediaType(String),
}

/// A version of an API.
#[derive(Clone, Debug, PartialEq, JsonSchema)]
pub struct Version {
    /// Its name.
    #[schemars(skip)]
    pub name: Located<String>,
    /// Where it stands in its life.
    pub state: VersionState,
    /// The day its state began. A deprecated or retired version sends it as `Deprecation` (RFC 9745), and without it
    /// sends none.
    pub since: Option<Date>,
    /// The day on which it will be or was retired, sent as `Sunset` (RFC 8594).
    pub sunset: Option<Date>,
}

/// Where a version stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub enum VersionState {
    /// The one to use; it answers requests that name no version. At most one is.
    Current,
    /// Works, beside the current one.
    Supported,
    /// Works, and says that it will not for long.
    Deprecated,
    /// Is gone: answered with 410.
    Retired,
}

impl Api {
    /// Reads an API; also one with faults, as far as it goes.
    pub(super) fn read(key: &Key, node: &Node, reader: &mut Reader) -> Option<Self> {
        let mut map = reader.map(node, &API)?;
        let title = map.optional("title", reader);
        let host = map.optional("host", reader);
        let base = map.optional("base", reader);
        let versions = map.take("versions").and_then(|node| Versions::read(node, &key.text, reader));
        let routes = map.or("routes", Vec::new(), reader);
        let policies = Policies::take(&mut map, reader);
        map.finish(reader);
        let name = Located::new(key.text.to_string(), key.span);
        Some(Self { name, title, host, base, versions, routes, policies })
    }
}

impl Versions {
    fn read(node: &Node, api: &str, reader: &mut Reader) -> Option<Self> {
        let mut map = reader.map(node, &VERSIONS)?;
        let by = map.take("by").and_then(|node| VersionBy::read(node, api, reader)).unwrap_or_default();
        let mut list: Vec<Version> = Vec::new();
        let versions = map.rest();
        if versions.is_empty() {
            reader.wrong(map.head(), "`versions` needs at least one version, as in `v1: { state: current }`");
        }
        for (key, node) in versions {
            if let Err(complaint) = check_name(&key.text) {
                reader.wrong(key.span, complaint);
            }
            let Some(version) = Version::read(key, node, reader) else {
                continue;
            };
            let second = version.state == VersionState::Current
                && list.iter().any(|earlier| earlier.state == VersionState::Current);
            if second {
                let message = "a second version is `current`; only one can answer requests that name none";
                reader
                    .fault(Fault::error("bad_value", key.span, message).help("make the others `supported`"));
            }
            list.push(version);
        }
        map.finish(reader);
        Some(Self { by, list })
    }
}

impl VersionBy {
    fn read(node: &Node, api: &str, reader: &mut Reader) -> Option<Self> {
        if !matches!(node.value, Value::Map(_)) {
            let words = [("path", 0), ("header", 1), ("media_type", 2)];
            return reader.word(node, &words).map(|word: usize| match word {
                0 => Self::Path,
                1 => Self::Header(HeaderName::from_static("x-api-version")),
                _ => Self::MediaType(format!("application/vnd.{}", api.to_ascii_lowercase())),
            });
        }
        let mut map = reader.map(node, &VERSION_BY)?;
        if map.has("header") == map.has("media_type") {
            reader.wrong(map.head(), "expected one of `header` and `media_type`");
        }
        let header =
            map.take("header").and_then(|node| reader.parsed(node, "the name of a header", header_name));
        let media_type = map.take("media_type").and_then(|node| {
            reader.parsed(node, "a media type", |text| match text.split_once('/') {
                Some((kind, name)) if is_token(kind) && is_token(name) => Ok(text.to_ascii_lowercase()),
                _ => Err("expected a media type such as application/vnd.shop".to_owned()),
            })
        });
        map.finish(reader);
        header.map(Self::Header).or(media_type.map(Self::MediaType))
    }
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
}

impl Version {
    fn read(key: &Key, node: &Node, reader: &mut Reader) -> Option<Self> {
        let mut map = reader.map(node, &VERSION)?;
        let words = [
            ("current", VersionState::Current),
            ("supported", VersionState::Supported),
            ("deprecated", VersionState::Deprecated),
            ("retired", VersionState::Retired),
        ];
        let state = map.demand("state", reader).and_then(|node| reader.word(node, &words));
        let since = map.optional("since", reader);
        let sunset: Option<Date> = map.optional("sunset", reader);
        if let (Some(since), Some(sunset)) = (since, sunset)
            && sunset < since
        {
            reader.wrong(map.key_span("sunset"), "`sunset` lies before `since`");
        }
        map.finish(reader);
        let name = Located::new(key.text.to_string(), key.span);
        // A state that could not be read keeps its name known, so that routes may name it without a second fault.
        Some(Self { name, state: state.unwrap_or(VersionState::Supported), since, sunset })
    }
}

pub(super) static API: Keys = Keys {
    of: "an API",
    known: &["title", "host", "base", "versions", "routes"],
    later: &[],
    shared: Some(&POLICIES),
};

pub(super) static VERSIONS: Keys = Keys { of: "`versions`", known: &["by"], later: &[], shared: None };

pub(super) static VERSION_BY: Keys =
    Keys { of: "`by`", known: &["header", "media_type"], later: &[], shared: None };

pub(super) static VERSION: Keys =
    Keys { of: "a version", known: &["state", "since", "sunset"], later: &["openapi"], shared: None };
