//! `routes`: which requests, and what becomes of them.

use http::{HeaderName, Method, StatusCode};
use schemars::JsonSchema;

use super::policy::{POLICIES, Policies};
use super::split::Split;
use crate::config::fault::Fault;
use crate::config::node::{Node, Value};
use crate::config::read::{Keys, Read, Reader};
use crate::config::schema::{or_integer, or_text};
use crate::config::source::{Located, Span};
use crate::config::values::{check_name, header_name, header_value, method, status};

/// Which requests, and what becomes of them.
#[derive(Clone, Debug, PartialEq, JsonSchema)]
pub struct Route {
    /// Which requests belong here: `GET /users/{id}`, a path alone for any method, or a map.
    #[schemars(rename = "match")]
    pub matches: Match,
    /// Its name in logs, metrics and `explain`; each name once. Default: its methods, host and path.
    #[schemars(with = "Option<String>")]
    pub name: Option<Located<String>>,
    /// The service that answers, or several among which requests are split. A route has either `to` or `respond`.
    pub to: Option<Target>,
    /// The path that the service sees, with what the match captured: `/static/{rest}`. Default: the path as it came.
    #[schemars(with = "Option<String>")]
    pub rewrite: Option<Located<String>>,
    /// An answer that the gateway gives itself. A plain number is `status`.
    pub respond: Option<Box<Respond>>,
    /// Versions of its API that it belongs to. Default: all.
    #[schemars(default, with = "Vec<String>")]
    pub versions: Vec<Located<String>>,
    /// Policies of its own, in place of inherited ones.
    #[schemars(flatten)]
    pub policies: Policies,
    /// Where the route begins in the file.
    #[schemars(skip)]
    pub span: Span,
}

/// Which requests belong to a route: all conditions must hold. The most specific route wins, whatever the order.
#[derive(Clone, Debug, PartialEq, JsonSchema)]
#[schemars(transform = or_text)]
pub struct Match {
    /// Methods, such as `[GET, POST]`. Default: any.
    #[schemars(default, with = "Vec<String>")]
    pub methods: Vec<Method>,
    /// The path: `{name}` stands for one segment, `{name:regex}` for one that matches, `{name...}` for the rest.
    #[schemars(with = "String")]
    pub path: Located<String>,
    /// The host: `api.example.com` or `*.example.com`. Default: the API's, or any.
    #[schemars(with = "Option<String>")]
    pub host: Option<Located<String>>,
    /// Header fields and the values they must have.
    #[schemars(default, with = "std::collections::BTreeMap<String, String>")]
    pub headers: Headers,
    /// Query parameters and the values they must have.
    #[schemars(default, with = "std::collections::BTreeMap<String, String>")]
    pub query: Vec<(String, Located<String>)>,
    /// The kind of client, one of `devices`.
    #[schemars(with = "Option<String>")]
    pub device: Option<Located<String>>,
    /// A CEL expression that must be true, such as `request.size < 1000`.
    #[schemars(with = "Option<String>")]
    pub when: Option<Located<String>>,
}

/// Header fields: names and values, each name once.
pub type Headers = Vec<(HeaderName, Located<String>)>;

/// What answers a request. The name of a service is enough.
#[derive(Clone, Debug, PartialEq, JsonSchema)]
#[schemars(transform = or_text)]
pub struct Target {
    /// The name of a service.
    #[schemars(with = "Option<String>")]
    pub service: Option<Located<String>>,
    /// Several services, in the place of one.
    #[schemars(flatten)]
    pub split: Option<Box<Split>>,
}

impl Target {
    /// The services that it names.
    pub(in crate::config) fn services(&self) -> impl Iterator<Item = &Located<String>> {
        let branches = self.split.iter().flat_map(|split| &split.branches);
        self.service.iter().chain(branches.map(|branch| &branch.to))
    }
}

/// An answer that the gateway gives itself. A plain number is `status`.
#[derive(Clone, Debug, PartialEq, Hash, JsonSchema)]
#[schemars(transform = or_integer)]
pub struct Respond {
    /// Its status, from 200 to 599. Default: `200`.
    #[schemars(default, with = "u16")]
    pub status: StatusCode,
    /// Its body. Default: none.
    #[schemars(with = "Option<String>")]
    pub body: Option<Located<String>>,
    /// Its header fields. A body is `text/plain; charset=utf-8` unless they say otherwise.
    #[schemars(default, with = "std::collections::BTreeMap<String, String>")]
    pub headers: Headers,
}

impl Read for Route {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let mut map = reader.map(node, &ROUTE)?;
        let matches = map.required("match", reader);
        let name = map.take("name").and_then(|node| {
            let checked = |text: &str| check_name(text).map(|()| text.to_owned());
            reader.parsed(node, "a name", checked).map(|name| Located::new(name, node.span))
        });
        let to = map.optional("to", reader);
        let rewrite = map.optional("rewrite", reader);
        let respond = map.optional("respond", reader);
        let versions = map.or("versions", Vec::new(), reader);
        let policies = Policies::take(&mut map, reader);
        if map.has("to") && map.has("respond") {
            reader.wrong(map.key_span("respond"), "a route has either `to` or `respond`, not both");
        }
        if !["to", "respond", "compose"].into_iter().any(|key| map.has(key) || map.misspelled(key)) {
            let message = "this route leads nowhere";
            reader.fault(
                Fault::error("missing_key", map.head(), message)
                    .help("add `to: <service>`, or `respond:` for an answer of the gateway's own"),
            );
        }
        if map.has("respond") && map.has("rewrite") {
            reader.wrong(map.key_span("rewrite"), "`rewrite` has no effect beside `respond`");
        }
        if map.has("respond") && map.has("mirror") {
            reader.wrong(
                map.key_span("mirror"),
                "`mirror` has no effect beside `respond`: no service is called",
            );
        }
        let span = map.head();
        map.finish(reader);
        Some(Self { matches: matches?, name, to, rewrite, respond, versions, policies, span })
    }
}

impl Read for Match {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        if matches!(node.value, Value::Text(_)) {
            return read_short(node, reader);
        }
        let mut map = reader.map(node, &MATCH)?;
        let path = map.required("path", reader);
        let matches = Match {
            methods: map.or("methods", Vec::new(), reader),
            path: Located::new(String::new(), map.head()),
            host: map.optional("host", reader),
            headers: map.take("headers").map(|node| read_fields(node, reader)).unwrap_or_default(),
            query: map.take("query").map(|node| read_query(node, reader)).unwrap_or_default(),
            device: map.optional("device", reader),
            when: map.optional("when", reader),
        };
        map.finish(reader);
        Some(Match { path: path?, ..matches })
    }
}

/// Reads `METHOD[,METHOD] PATH` or a path alone.
fn read_short(node: &Node, reader: &mut Reader) -> Option<Match> {
    let text = Located::new(reader.text(node, "METHOD[,METHOD] PATH")?, node.span);
    let mut methods = Vec::new();
    let mut start = 0;
    if !text.value.starts_with('/') {
        let Some(space) = text.value.find(' ') else {
            let fault = Fault::error(
                "bad_value",
                node.span,
                "expected METHOD[,METHOD] PATH, and a path begins with `/`",
            );
            reader.fault(fault.help("as in `GET /users/{id}`, or `/users/{id}` for any method"));
            return None;
        };
        let mut at = 0;
        for word in text.value[..space].split(',') {
            match method(word) {
                Ok(method) => methods.push(method),
                Err(complaint) => {
                    let span = reader.source().part(&text, at..at + word.len());
                    reader.wrong(span, complaint);
                }
            }
            at += word.len() + 1;
        }
        start = space + (text.value.len() - space - text.value[space..].trim_start().len());
    }
    let span = reader.source().part(&text, start..text.value.len());
    let path = Located::new(text.value[start..].to_owned(), span);
    let rest =
        Match { methods, path, host: None, headers: Vec::new(), query: Vec::new(), device: None, when: None };
    Some(rest)
}

/// Reads header fields that are to be written: those that frame a message are the gateway's own business.
pub(super) fn read_headers(node: &Node, reader: &mut Reader) -> Headers {
    let headers = read_fields(node, reader);
    for (key, _) in reader.entries(node, "header fields by name") {
        if header_name(&key.text).is_ok_and(|name| is_framing(&name)) {
            reader.wrong(key.span, FRAMING);
        }
    }
    headers
}

fn read_fields(node: &Node, reader: &mut Reader) -> Headers {
    let mut headers: Headers = Vec::new();
    for (key, value) in reader.entries(node, "header fields by name") {
        let text =
            reader.parsed(value, "the value of a header", |text| header_value(text).map(|_| text.to_owned()));
        match (header_name(&key.text), text) {
            (Err(complaint), _) => reader.wrong(key.span, complaint),
            (Ok(name), _) if headers.iter().any(|(other, _)| *other == name) => {
                reader.fault(Fault::error("duplicate_key", key.span, "this header stands here twice"));
            }
            (Ok(name), Some(text)) => headers.push((name, Located::new(text, value.span))),
            (Ok(_), None) => {}
        }
    }
    headers
}

fn read_query(node: &Node, reader: &mut Reader) -> Vec<(String, Located<String>)> {
    let entries = reader.entries(node, "query parameters by name");
    entries
        .iter()
        .filter_map(|(key, value)| Some((key.text.to_string(), Located::read(value, reader)?)))
        .collect()
}

/// Whether a field frames a message or belongs to one connection (RFC 9110, section 7.6.1): not for users to touch.
pub(super) fn is_framing(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection" | "content-length" | "keep-alive" | "te" | "trailer" | "transfer-encoding" | "upgrade"
    )
}

pub(super) const FRAMING: &str = "this header belongs to one connection; the gateway writes it itself";

impl Read for Target {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        if matches!(node.value, Value::Text(_)) {
            return Located::read(node, reader).map(|service| Self { service: Some(service), split: None });
        }
        let mut map = reader.map(node, &TARGET)?;
        let is_other = map.has("split") || TARGET.later.iter().any(|key| map.has(key));
        let service =
            if is_other { map.optional("service", reader) } else { map.required("service", reader) };
        if map.has("service") && map.has("split") {
            reader.wrong(map.key_span("split"), "`to` has either `service` or `split`, not both");
        }
        let split = Split::take(&mut map, reader).map(Box::new);
        map.finish_kind(reader);
        (service.is_some() || split.is_some()).then_some(Self { service, split })
    }
}

impl Read for Respond {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        if matches!(node.value, Value::Text(_)) {
            let status = StatusCode::read(node, reader)?;
            return Some(Self { status, body: None, headers: Vec::new() });
        }
        let mut map = reader.map(node, &RESPOND)?;
        let status = map.or("status", StatusCode::OK, reader);
        let body = map.optional("body", reader);
        let headers = map.take("headers").map(|node| read_headers(node, reader)).unwrap_or_default();
        let bodiless = status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED;
        if bodiless && body.is_some() {
            reader
                .wrong(map.key_span("body"), format!("an answer of status {} has no body", status.as_u16()));
        }
        map.finish(reader);
        Some(Self { status, body, headers })
    }
}

impl Read for Method {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        reader.parsed(node, "a method", method)
    }
}

impl Read for HeaderName {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        reader.parsed(node, "the name of a header", header_name)
    }
}

impl Read for StatusCode {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        reader.parsed(node, "a status", status)
    }
}

pub(super) static ROUTE: Keys = Keys {
    of: "a route",
    known: &["match", "name", "to", "rewrite", "respond", "versions"],
    later: &[],
    shared: Some(&POLICIES),
};

pub(super) static MATCH: Keys = Keys {
    of: "a match",
    known: &["methods", "path", "host", "headers", "query", "device", "when"],
    later: &[],
    shared: None,
};

/// The keys of `to`. Each later one is a kind of target with further keys of its own.
pub(super) static TARGET: Keys = Keys {
    of: "`to`",
    known: &["service", "split", "by", "force"],
    later: &["grpc", "graphql", "websocket", "mqtt"],
    shared: None,
};

pub(super) static RESPOND: Keys =
    Keys { of: "`respond`", known: &["status", "body", "headers"], later: &[], shared: None };
