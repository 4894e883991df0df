//! `csrf`: requests that a page of another origin makes in the name of whoever looks at it.

use std::fmt;

use schemars::JsonSchema;

use crate::config::fault::Fault;
use crate::config::node::{Node, Value};
use crate::config::read::{Keys, Read, Reader};
use crate::config::schema::or_true;
use crate::config::source::Located;
use crate::config::values::OriginPattern;

/// Refuses requests that change something, and WebSockets, where a browser sends them for a page of another origin: it would add the
/// cookies of whoever looks at that page. `true` lets only pages of the API's own origin through.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, JsonSchema)]
#[schemars(transform = or_true)]
pub struct Csrf {
    /// Other origins whose pages may: `https://app.example.com`, or `https://*.example.com` for every name below. Default: none.
    #[schemars(default, with = "Vec<OriginPattern>")]
    pub origins: Vec<OriginPattern>,
}

impl Read for Csrf {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        if matches!(node.value, Value::Text(_)) {
            return reader.word(node, &[("true", ())]).map(|()| Self::default());
        }
        let mut map = reader.map(node, &CSRF)?;
        let origins: Vec<Located<OriginPattern>> = map.or("origins", Vec::new(), reader);
        for origin in &origins {
            if matches!(origin.value, OriginPattern::Any | OriginPattern::Null) {
                let message = "any page can be of this origin, and nothing would be refused";
                let fault = Fault::error("open_csrf", origin.span, message);
                reader.fault(fault.help("name the origins, or write `csrf: off`"));
            }
        }
        map.finish(reader);
        Some(Self { origins: origins.into_iter().map(|origin| origin.value).collect() })
    }
}

impl fmt::Display for Csrf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("pages of its own origin")?;
        self.origins.iter().try_for_each(|origin| write!(f, ", {origin}"))
    }
}

pub(super) static CSRF: Keys = Keys { of: "`csrf`", known: &["origins"], later: &[], shared: None };
