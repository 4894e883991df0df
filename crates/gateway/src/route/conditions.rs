//! What a route asks of a request beyond host, path and method.

use std::fmt;
use std::sync::Arc;

use super::params::{decode_query, query_pairs};
use super::value::named;
use super::{Device, Params, PathPattern, RequestView, RouteMatch, ValueMatch, VersionBy, VersionMatch};
use crate::expression::{Context, Expression};

/// The conditions of one route, in the order in which they are looked at: the cheap ones first.
#[derive(Debug)]
pub(super) struct Conditions {
    version: Option<VersionMatch>,
    headers: Box<[(Box<str>, ValueMatch)]>,
    query: Box<[(Box<str>, ValueMatch)]>,
    device: Option<Arc<Device>>,
    when: Option<Expression>,
}

/// The first condition that a request does not meet.
#[derive(Debug)]
pub(super) enum Unmet<'r> {
    Version(&'r VersionMatch),
    Header(&'r str, &'r ValueMatch),
    Query(&'r str, &'r ValueMatch),
    Device(&'r str),
    When(&'r Expression),
    /// The expression gave an error or no bool.
    WhenFault(&'r Expression, String),
}

impl Conditions {
    /// Takes the conditions out of a route; `None` when it has none.
    pub(super) fn take(route: &mut RouteMatch) -> Option<Box<Self>> {
        let conditions = Self {
            version: route.version.take().filter(VersionMatch::is_condition),
            headers: std::mem::take(&mut route.headers).into(),
            query: std::mem::take(&mut route.query).into(),
            device: route.device.take(),
            when: route.when.take(),
        };
        (conditions.count() > 0).then(|| Box::new(conditions))
    }

    /// How many they are.
    pub(super) fn count(&self) -> u32 {
        (self.headers.len() + self.query.len()) as u32
            + u32::from(self.version.is_some())
            + u32::from(self.device.is_some())
            + u32::from(self.when.is_some())
    }

    /// How much the conditions on values demand together.
    pub(super) fn exactness(&self) -> u32 {
        self.headers.iter().chain(&self.query).map(|(_, value)| value.exactness()).sum()
    }

    /// Whether one of them is an expression.
    pub(super) fn has_expression(&self) -> bool {
        self.when.is_some()
    }

    /// A text that is equal for routes whose conditions are met by the very same requests.
    pub(super) fn fingerprint(&self) -> String {
        let list = |pairs: &[(Box<str>, ValueMatch)], lower: bool| {
            let mut texts: Vec<String> = pairs
                .iter()
                .map(|(name, value)| {
                    let name = if lower { name.to_ascii_lowercase() } else { name.to_string() };
                    format!("{name:?}={:?}", value.to_string())
                })
                .collect();
            texts.sort_unstable();
            texts.dedup();
            texts.join(",")
        };
        format!(
            "{:?} {} {} {:?} {:?}",
            self.version,
            list(&self.headers, true),
            list(&self.query, false),
            self.device.as_ref().map(|device| &device.name),
            self.when.as_ref().map(Expression::as_str),
        )
    }

    /// The first condition that the request does not meet. `params` holds what the route's template took.
    pub(super) fn check(
        &self,
        view: &RequestView<'_>,
        pattern: &PathPattern,
        params: &mut Params,
    ) -> Result<(), Unmet<'_>> {
        let head = view.head;
        if let Some(version) = self.version.as_ref().filter(|version| !version.accepts(head)) {
            return Err(Unmet::Version(version));
        }
        for (name, expected) in &self.headers {
            if !named(&head.fields, name).any(|value| expected.accepts(value)) {
                return Err(Unmet::Header(name, expected));
            }
        }
        let query = head.query().unwrap_or_default();
        for (name, expected) in &self.query {
            if !query_has(query, name, expected, &mut params.scratch) {
                return Err(Unmet::Query(name, expected));
            }
        }
        if let Some(device) = self.device.as_ref().filter(|device| !device.recognises(&head.fields)) {
            return Err(Unmet::Device(&device.name));
        }
        let Some(when) = &self.when else { return Ok(()) };
        let context = Context {
            params: Some(params.bind(pattern, &head.path)),
            devices: view.devices,
            is_tls: view.is_tls,
            certificate: view.certificate,
            ..Context::new(head, view.client)
        };
        match when.matches(&context) {
            Ok(true) => Ok(()),
            Ok(false) => Err(Unmet::When(when)),
            Err(reason) => Err(Unmet::WhenFault(when, reason)),
        }
    }
}

/// Whether any parameter of the query bears this name and such a value, both decoded.
fn query_has(query: &str, name: &str, expected: &ValueMatch, scratch: &mut Vec<u8>) -> bool {
    query_pairs(query).any(|(written, value)| {
        *decode_query(written, scratch) == *name && expected.accepts(&decode_query(value, scratch))
    })
}

impl Unmet<'_> {
    /// Whether an expression failed instead of answering.
    pub(super) fn is_fault(&self) -> bool {
        matches!(self, Self::WhenFault(..))
    }
}

impl fmt::Display for Unmet<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(version) => {
                let VersionMatch { by, version, .. } = version;
                match by {
                    VersionBy::Path => write!(formatter, "it asks for version {version} in the path"),
                    VersionBy::Header(name) => {
                        write!(formatter, "it asks for version {version} in `{name}`")
                    }
                    VersionBy::MediaType(name) => {
                        write!(
                            formatter,
                            "it asks for version {version} in `Accept`, as in `{name}.{version}`"
                        )
                    }
                }
            }
            Self::Header(name, ValueMatch::Present) => write!(formatter, "the header `{name}` is missing"),
            Self::Header(name, value) => write!(formatter, "no header `{name}` is `{value}`"),
            Self::Query(name, ValueMatch::Present) => {
                write!(formatter, "the query parameter `{name}` is missing")
            }
            Self::Query(name, value) => write!(formatter, "no query parameter `{name}` is `{value}`"),
            Self::Device(name) => write!(formatter, "the client is not the device `{name}`"),
            Self::When(when) => write!(formatter, "`{when}` is false"),
            Self::WhenFault(when, reason) => write!(formatter, "`{when}` gives no answer: {reason}"),
        }
    }
}
