//! What an evaluation may look at, and how a slot of it becomes a value.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use cel::ExecutionError;
use cel::common::traits::Container;
use cel::common::types::{
    CelBool, CelDouble, CelInt, CelList, CelMap, CelMapKey, CelNull, CelString, CelUInt, DYN_TYPE, Type,
};
use cel::common::value::{CowVal, Val};
use cel::context::VariableResolver;
use http1::{Fields, Framing, RequestHead};
use regex::Regex;
use serde_json::Value as Json;

use super::bind::{Bound, STEP, Slot};
use super::members::Fact;
use crate::route::{BoundParams, Device, decode, decode_query, detect, query_pairs};
use crate::tls::PeerCertificate;

/// What an expression is evaluated over; all of it is borrowed, and what is not known yet is left out.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// `request`
    pub head: &'a RequestHead,
    /// `request.client_ip`
    pub client: IpAddr,
    /// Whether `request.scheme` is `https`.
    pub is_tls: bool,
    /// `certificate`: what the client has shown, verified; absent when it has shown none.
    pub certificate: Option<&'a PeerCertificate>,
    /// `request.body`, when it was read and is JSON.
    pub body: Option<&'a Json>,
    /// `params`
    pub params: Option<BoundParams<'a>>,
    /// `device` is the name of the first of these that the request comes from.
    pub devices: &'a [Arc<Device>],
    /// `api`: its name; empty for a route outside of one.
    pub api: &'a str,
    /// `route`: its name.
    pub route: &'a str,
    /// `identity`; absent for an anonymous caller.
    pub identity: Option<IdentityFacts<'a>>,
    /// `response`
    pub response: Option<ResponseFacts<'a>>,
}

/// `identity`; an empty text is an absent one.
#[derive(Debug, Clone, Copy, Default)]
pub struct IdentityFacts<'a> {
    /// `identity.app`
    pub app: &'a str,
    /// `identity.user`
    pub user: &'a str,
    /// `identity.plan`
    pub plan: &'a str,
    /// `identity.scopes`
    pub scopes: &'a [Box<str>],
    /// `identity.claims`
    pub claims: Option<&'a Json>,
}

/// `response`
#[derive(Clone, Copy)]
pub struct ResponseFacts<'a> {
    /// `response.status`
    pub status: u16,
    /// `response.headers`
    pub fields: &'a Fields,
    /// `response.body`, when it was read and is JSON.
    pub body: Option<&'a Json>,
}

impl<'a> Context<'a> {
    /// A request of which only the head and the client are known.
    pub fn new(head: &'a RequestHead, client: IpAddr) -> Self {
        Self {
            head,
            client,
            is_tls: false,
            certificate: None,
            body: None,
            params: None,
            devices: &[],
            api: "",
            route: "",
            identity: None,
            response: None,
        }
    }
}

/// Steps that all comprehensions of one evaluation may take together.
pub const MAX_STEPS: usize = 10_000;
/// Values that one member may be made of when it is looked up: a list's elements, a map's entries, all levels.
pub const MAX_VALUES: usize = 10_000;

/// Looks slots up for one evaluation.
pub(super) struct Facts<'a> {
    bound: &'a Bound,
    /// Nothing where an expression is evaluated that speaks of no request.
    context: Option<&'a Context<'a>>,
    /// Steps that comprehensions took. Atomic only because the evaluator asks for `Sync`.
    steps: AtomicUsize,
}

/// A pattern of `matches`, as a value that "contains" the texts it is found in.
#[derive(Debug)]
pub(super) struct Pattern(pub(super) Regex);

impl<'a> Facts<'a> {
    pub(super) fn new(bound: &'a Bound, context: Option<&'a Context<'a>>) -> Self {
        Self { bound, context, steps: AtomicUsize::new(0) }
    }

    /// Whether the evaluation ended because it took too long or looked up too much.
    pub(super) fn ran_out(&self) -> bool {
        self.steps.load(Ordering::Relaxed) > MAX_STEPS
    }

    fn step(&self) -> Option<CowVal<'_, '_>> {
        let taken = self.steps.fetch_add(1, Ordering::Relaxed);
        (taken < MAX_STEPS).then(|| CowVal::owned(CelBool::from(true)))
    }

    fn value(&self, slot: &'a Slot) -> Option<Box<dyn Val + 'a>> {
        let context = self.context?;
        Some(match slot.fact {
            Fact::Method => text(context.head.method.as_str()),
            Fact::Path => text(context.head.path.as_str()),
            Fact::Host => text(context.head.host()),
            Fact::Scheme => text(if context.is_tls { "https" } else { "http" }),
            Fact::Subject => return present(&context.certificate?.subject),
            Fact::Sans => {
                let sans: Vec<_> = context.certificate?.sans.iter().map(|san| text(&**san)).collect();
                Box::new(CelList::from(sans))
            }
            Fact::Fingerprint => text(context.certificate?.fingerprint.as_str()),
            Fact::ClientIp => text(context.client.to_string()),
            Fact::Size => number(match context.head.framing {
                Framing::None => 0,
                Framing::Length(length) => i64::try_from(length).ok()?,
                // Nobody knows before the body has come: absent, so that no bound on it holds.
                Framing::Chunked | Framing::UntilClose => return None,
            }),
            Fact::Query => {
                let query = context.head.query().unwrap_or_default();
                return texts(&slot.path, |name| query_value(query, name), || query_map(query));
            }
            Fact::Headers => return fields(&slot.path, &context.head.fields),
            Fact::Body => return self.json(context.body?, &slot.path),
            Fact::Params => {
                let params = context.params?;
                return texts(&slot.path, |name| params.decoded(name), || params_map(&params));
            }
            Fact::Device => text(detect(context.devices, &context.head.fields).unwrap_or_default()),
            Fact::Api => text(context.api),
            Fact::Route => text(context.route),
            Fact::App => return present(context.identity?.app),
            Fact::User => return present(context.identity?.user),
            Fact::Plan => return present(context.identity?.plan),
            Fact::Scopes => {
                let scopes: Vec<_> = context.identity?.scopes.iter().map(|scope| text(&**scope)).collect();
                Box::new(CelList::from(scopes))
            }
            Fact::Claims => return self.json(context.identity?.claims?, &slot.path),
            Fact::Status => number(context.response?.status.into()),
            Fact::ResponseHeaders => return fields(&slot.path, context.response?.fields),
            Fact::ResponseBody => return self.json(context.response?.body?, &slot.path),
        })
    }

    fn is_there(&self, slot: &'a Slot) -> bool {
        let Some(context) = self.context else { return false };
        match (slot.fact, slot.path.first()) {
            (Fact::Headers, Some(name)) => has_field(&context.head.fields, name),
            (Fact::ResponseHeaders, Some(name)) => {
                context.response.is_some_and(|response| has_field(response.fields, name))
            }
            _ => self.value(slot).is_some(),
        }
    }

    /// What the path leads to, no more of the document than that.
    fn json(&self, document: &'a Json, path: &[String]) -> Option<Box<dyn Val + 'a>> {
        let found = path.iter().try_fold(document, |value, member| value.as_object()?.get(member))?;
        let mut left = MAX_VALUES;
        let value = json_value(found, &mut left);
        if value.is_none() {
            self.steps.store(MAX_STEPS + 1, Ordering::Relaxed);
        }
        value
    }
}

impl VariableResolver for Facts<'_> {
    fn resolve<'b>(&'b self, variable: &str) -> Option<CowVal<'b, 'b>> {
        if variable == STEP {
            return self.step();
        }
        let name = variable.strip_prefix('@')?;
        if let Some(number) = name.strip_prefix('p') {
            let pattern = self.bound.patterns.get(number.parse::<usize>().ok()?)?;
            return Some(CowVal::Borrowed(pattern));
        }
        let slot = self.bound.slots.get(name.parse::<usize>().ok()?)?;
        if slot.is_test {
            return Some(CowVal::owned(CelBool::from(self.is_there(slot))));
        }
        self.value(slot).map(|value| CowVal::Owned(value as Box<dyn Val + 'b>))
    }
}

impl Val for Pattern {
    fn get_type(&self) -> &Type {
        <Self as Val>::cel_type()
    }

    fn cel_type() -> &'static Type {
        &DYN_TYPE
    }

    fn as_container(&self) -> Option<&dyn Container> {
        Some(self)
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v>
    where
        Self: 'v,
    {
        Box::new(Self(self.0.clone()))
    }
}

impl Container for Pattern {
    fn contains(&self, value: &dyn Val) -> Result<bool, ExecutionError> {
        let text = value.downcast_ref::<CelString<'_>>().ok_or_else(|| {
            ExecutionError::function_error("matches", format!("{} is no text", value.get_type().name()))
        })?;
        Ok(self.0.is_match(text.inner()))
    }
}

impl fmt::Debug for Context<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Values of requests do not belong into logs by accident.
        formatter.debug_struct("Context").field("route", &self.route).finish_non_exhaustive()
    }
}

fn text<'a>(text: impl Into<CelString<'a>>) -> Box<dyn Val + 'a> {
    Box::new(text.into())
}

fn present(value: &str) -> Option<Box<dyn Val + '_>> {
    (!value.is_empty()).then(|| text(value))
}

fn number<'a>(value: i64) -> Box<dyn Val + 'a> {
    Box::new(CelInt::from(value))
}

type Texts<'a> = HashMap<Cow<'a, str>, Cow<'a, str>>;

/// One text of a map, or the map.
fn texts<'a>(
    path: &[String],
    one: impl FnOnce(&str) -> Option<Cow<'a, str>>,
    all: impl FnOnce() -> Texts<'a>,
) -> Option<Box<dyn Val + 'a>> {
    if let Some(name) = path.first() {
        return one(name).map(text);
    }
    let entries = all().into_iter().map(|(name, value)| {
        let key = match name {
            Cow::Borrowed(name) => CelMapKey::from(name),
            Cow::Owned(name) => CelMapKey::from(name),
        };
        (key, text(value))
    });
    Some(Box::new(CelMap::from(entries.collect::<HashMap<_, _>>())))
}

fn params_map<'a>(params: &BoundParams<'a>) -> Texts<'a> {
    params.iter().map(|(name, value)| (Cow::Borrowed(name), decode(value))).collect()
}

fn query_value<'a>(query: &'a str, name: &str) -> Option<Cow<'a, str>> {
    let mut scratch = Vec::new();
    let (_, value) = query_pairs(query).find(|(written, _)| *decode_query(written, &mut scratch) == *name)?;
    Some(decoded(value))
}

/// The first value of every name.
fn query_map(query: &str) -> Texts<'_> {
    let mut map = Texts::new();
    for (name, value) in query_pairs(query).take(MAX_VALUES) {
        map.entry(decoded(name)).or_insert_with(|| decoded(value));
    }
    map
}

fn decoded(text: &str) -> Cow<'_, str> {
    let mut scratch = Vec::new();
    match decode_query(text, &mut scratch) {
        Cow::Borrowed(same) if std::ptr::eq(same, text) => Cow::Borrowed(text),
        decoded => Cow::Owned(decoded.into_owned()),
    }
}

fn fields<'a>(path: &[String], fields: &'a Fields) -> Option<Box<dyn Val + 'a>> {
    texts(
        path,
        |name| {
            let values = fields.iter().filter(|field| field.name.eq_ignore_ascii_case(name.as_bytes()));
            values
                .map(|field| String::from_utf8_lossy(field.value))
                .reduce(|earlier, value| joined(&earlier, &value))
        },
        || {
            let mut map = Texts::new();
            for field in fields.iter() {
                let name = String::from_utf8_lossy(field.name).to_ascii_lowercase();
                let value = String::from_utf8_lossy(field.value);
                let all = match map.remove(name.as_str()) {
                    Some(earlier) => joined(&earlier, &value),
                    None => value,
                };
                map.insert(name.into(), all);
            }
            map
        },
    )
}

/// Several fields of one name are one list (RFC 9110, section 5.3).
fn joined(earlier: &str, value: &str) -> Cow<'static, str> {
    Cow::Owned(format!("{earlier}, {value}"))
}

fn has_field(fields: &Fields, name: &str) -> bool {
    fields.iter().any(|field| field.name.eq_ignore_ascii_case(name.as_bytes()))
}

/// A JSON value, its texts borrowed; `None` when it is made of more values than are left.
fn json_value<'a>(json: &'a Json, left: &mut usize) -> Option<Box<dyn Val + 'a>> {
    *left = left.checked_sub(1)?;
    Some(match json {
        Json::Null => Box::new(CelNull),
        Json::Bool(value) => Box::new(CelBool::from(*value)),
        Json::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => Box::new(CelInt::from(number)),
            (None, Some(number)) => Box::new(CelUInt::from(number)),
            (None, None) => Box::new(CelDouble::from(number.as_f64().unwrap_or(f64::NAN))),
        },
        Json::String(value) => Box::new(CelString::from(value.as_str())),
        Json::Array(values) => {
            let list: Option<Vec<_>> = values.iter().map(|value| json_value(value, left)).collect();
            Box::new(CelList::from(list?))
        }
        Json::Object(members) => {
            let map: Option<HashMap<_, _>> = members
                .iter()
                .map(|(name, value)| Some((CelMapKey::from(name.as_str()), json_value(value, left)?)))
                .collect();
            Box::new(CelMap::from(map?))
        }
    })
}
