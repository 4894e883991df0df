//! `cors`: which pages of other origins may call from a browser, and read what they get.

use std::fmt;

use http::{HeaderName, Method};
use schemars::JsonSchema;

use crate::config::fault::Fault;
use crate::config::node::{Node, Value};
use crate::config::read::{Keys, Read, Reader};
use crate::config::schema::or_text_or_list;
use crate::config::source::Located;
use crate::config::values::{Duration, OriginPattern};

/// Which pages of other origins may call from a browser (the Fetch standard's CORS). The gateway answers preflights itself. One
/// origin, or a list of them, is enough.
#[derive(Clone, Debug, PartialEq, Eq, Hash, JsonSchema)]
#[schemars(transform = or_text_or_list)]
pub struct Cors {
    /// Where those pages come from: `https://app.example.com`, `https://*.example.com` for every name below, `"*"` for any page,
    /// `"null"` for files and frames in a sandbox.
    pub origins: Vec<OriginPattern>,
    /// Methods that they may use. Default: those that there are routes for.
    #[schemars(with = "Option<Vec<String>>")]
    pub methods: Option<Vec<Method>>,
    /// Headers that they may send. Default: any.
    #[schemars(with = "Option<Vec<String>>")]
    pub headers: Option<Vec<HeaderName>>,
    /// Headers of answers that they may read beside the usual ones, such as `X-Request-Id`. Default: none.
    #[schemars(default, with = "Vec<String>")]
    pub expose: Vec<HeaderName>,
    /// Whether browsers send cookies, passwords and certificates along. Needs origins that are named. Default: `false`.
    #[schemars(with = "Option<bool>")]
    pub credentials: bool,
    /// How long browsers remember the answer to a preflight. Default: `10m`.
    #[schemars(with = "Option<Duration>")]
    pub max_age: Duration,
    /// Whether pages of the internet may call although this gateway is in a private network. Default: `false`.
    #[schemars(with = "Option<bool>")]
    pub private_network: bool,
    /// Whether requests of pages of other origins are refused. Otherwise they are served, and the browser keeps the answer from the
    /// page. Default: `false`.
    #[schemars(with = "Option<bool>")]
    pub strict: bool,
}

impl Cors {
    fn of(origins: Vec<OriginPattern>) -> Self {
        Self {
            origins,
            methods: None,
            headers: None,
            expose: Vec::new(),
            credentials: false,
            max_age: Duration::from_secs(600),
            private_network: false,
            strict: false,
        }
    }
}

impl Read for Cors {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        if !matches!(node.value, Value::Map(_)) {
            let origins: Vec<OriginPattern> = Vec::read(node, reader)?;
            if origins.is_empty() && matches!(&node.value, Value::List(items) if items.is_empty()) {
                reader.wrong(node.head(), "this list is empty: name an origin, or write `off`");
            }
            return Some(Self::of(origins));
        }
        let mut map = reader.map(node, &CORS)?;
        let origins: Option<Vec<Located<OriginPattern>>> = map.required("origins", reader);
        let default = Self::of(Vec::new());
        let headers: Option<Vec<Located<HeaderName>>> = map.optional("headers", reader);
        let expose: Option<Vec<Located<HeaderName>>> = map.optional("expose", reader);
        let cors = Self {
            methods: map.optional("methods", reader),
            credentials: map.or("credentials", false, reader),
            max_age: map.or("max_age", default.max_age, reader),
            private_network: map.or("private_network", false, reader),
            strict: map.or("strict", false, reader),
            ..default
        };
        for key in ["origins", "methods"] {
            if map.is_empty_list(key) {
                let message = format!("`{key}` is empty: name one, or leave out what is not needed");
                reader.wrong(map.key_span(key), message);
            }
        }
        if cors.credentials {
            for origin in origins.iter().flatten() {
                let (message, help) = match origin.value {
                    OriginPattern::Any => (
                        "browsers send no credentials where any page may read the answer",
                        "name the origins, or leave out `credentials`",
                    ),
                    // Any page can put a frame in a sandbox, whose origin is this.
                    OriginPattern::Null => (
                        "any page can make its origin `null`, and would act as whoever looks at it",
                        "name the origins, or leave out `credentials`",
                    ),
                    _ => continue,
                };
                reader.fault(Fault::error("open_cors", origin.span, message).help(help));
            }
            for star in expose.iter().flatten().filter(|name| name.value.as_str() == "*") {
                let fault =
                    Fault::error("bad_value", star.span, "with `credentials` browsers take `*` for a name");
                reader.fault(fault.help("name the headers"));
            }
        }
        map.finish(reader);
        let names = |names: Vec<Located<HeaderName>>| names.into_iter().map(|name| name.value).collect();
        Some(Self {
            origins: origins?.into_iter().map(|origin| origin.value).collect(),
            headers: headers.map(names),
            expose: expose.map(names).unwrap_or_default(),
            ..cors
        })
    }
}

impl fmt::Display for Cors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn list<T: ToString>(items: &[T]) -> String {
            items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        }
        write!(f, "pages of {}", list(&self.origins))?;
        let words = [
            self.methods.as_ref().map(|methods| format!("methods {}", list(methods))),
            self.headers.as_ref().map(|headers| format!("headers {}", list(headers))),
            (!self.expose.is_empty()).then(|| format!("may read {}", list(&self.expose))),
            self.credentials.then(|| "with credentials".to_owned()),
            self.private_network.then(|| "from public networks".to_owned()),
            self.strict.then(|| "others are refused".to_owned()),
            Some(format!("remembered for {}", self.max_age)),
        ];
        words.into_iter().flatten().try_for_each(|words| write!(f, "; {words}"))
    }
}

pub(super) static CORS: Keys = Keys {
    of: "`cors`",
    known: &[
        "origins",
        "methods",
        "headers",
        "expose",
        "credentials",
        "max_age",
        "private_network",
        "strict",
    ],
    later: &[],
    shared: None,
};
