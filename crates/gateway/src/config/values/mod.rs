//! Values that cannot be wrong once they are read: durations, sizes, rates, networks, addresses.
//! Every complaint says what is expected and never quotes the value, which may be a secret.

mod amount;
mod calendar;
mod country;
mod credential;
mod date;
mod network;
mod origin;
mod protocol;
mod redis;
mod signing;
mod source;
mod store;

pub use amount::{Duration, Percent, Rate, Refusals, Share, Size};
pub use calendar::{CalendarRate, CalendarUnit, Zone};
pub use country::{Countries, Country};
pub use credential::{CertificatePattern, KeyHash, KeyId, Scope};
pub use date::Date;
pub use network::{Cidr, EndpointUrl, FileMode, Host, ListenAddress, TcpAddress, UnixPath};
pub use origin::OriginPattern;
pub use protocol::{Pattern, Secret, StatusRange};
pub(super) use protocol::{header_name, header_value, method, status};
pub use redis::{RedisServer, RedisServers, RedisUrl};
pub use signing::Component;
pub use source::{HostPort, HttpUrl};
pub use store::StoreUrl;

use super::node::Node;
use super::read::{Read, Reader};

/// A value with one textual form: gives it its reader and its JSON Schema.
macro_rules! textual {
    ($($kind:ty: $what:literal, $pattern:expr;)*) => {$(
        impl Read for $kind {
            fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
                reader.parsed(node, $what, <$kind>::parse)
            }
        }

        impl schemars::JsonSchema for $kind {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($kind).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                let pattern: Option<&str> = $pattern;
                let mut schema = schemars::json_schema!({ "type": "string", "description": $what });
                if let Some(pattern) = pattern {
                    schema.insert("pattern".to_owned(), format!("^({pattern}|.*\\$\\{{.*)$").into());
                }
                schema
            }
        }
    )*};
}

textual! {
    Duration: "a duration: 250ms, 5s, 1m, 2h, 1d", Some("[0-9]+(ms|s|m|h|d)");
    Percent: "a percentage: 5%, 0.1%", Some("[0-9]+(\\.[0-9]+)?%");
    Rate: "a rate: 10/s, 600/m, 1000/h, 50000/d", Some("[0-9]+/(s|m|h|d)");
    CalendarRate: "a quota: 10000/d, 50000/w, 1000000/month", Some("[0-9]+/(d|day|w|week|month)");
    Zone: "a time zone: UTC, Europe/Zurich", None;
    StoreUrl: "a store: sqlite:tollgate.db", Some("sqlite:.+");
    Refusals: "how many refusals in how long: 100 refusals in 1m", Some("[0-9]+ refusals? in [0-9]+(s|m|h|d)");
    Cidr: "a network: 10.0.0.0/8, 2001:db8::/32, or one address", None;
    ListenAddress: "an address to listen on: 0.0.0.0:8080, [::1]:8080, :8080 (all addresses), unix:/run/tollgate.sock", None;
    TcpAddress: "an address to listen on: 127.0.0.1:9900, [::1]:9900, :9900 (all addresses)", None;
    Date: "a day: 2027-03-31", Some("[0-9]{4}-[0-9]{2}-[0-9]{2}");
    EndpointUrl: "the URL of an endpoint: http://127.0.0.1:9001, or unix:/run/app.sock", None;
    HttpUrl: "a URL: http://127.0.0.1:2379", None;
    HostPort: "a name and a port: search.internal:8080", None;
    OriginPattern: "an origin: https://app.example.com, https://*.example.com, \"null\", or \"*\" for any", None;
    Pattern: "a regular expression, matched anywhere in the value", None;
    KeyId: "the name of a key: letters, digits, `-` and `_`", Some("[A-Za-z0-9_-]{1,64}");
    KeyHash: "the hash of a secret: sha256: and 64 hexadecimal digits", Some("sha256:[0-9A-Fa-f]{64}");
    Scope: "a scope: one word", None;
    CertificatePattern: "names of certificates: CN=partner-*, dns:*.example.com, uri:spiffe://example/*, sha256:…", None;
    Component: "a field in lower case, or @method, @target-uri, @authority, @scheme, @request-target, @path, @query", None;
    RedisUrl: "a Redis: redis://127.0.0.1:6379, rediss://…, unix:/run/redis.sock, redis+sentinel://…/mymaster, redis+cluster://…", None;
}

impl Read for Secret {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        reader.secret(node, SECRET)
    }
}

impl schemars::JsonSchema for Secret {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "description": SECRET })
    }
}

const SECRET: &str = "a secret; best from outside: ${env:NAME}, ${file:/run/secrets/x}";

impl Read for FileMode {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        reader.parsed(node, "permissions in octal digits: 0660", Self::parse)
    }
}

impl schemars::JsonSchema for FileMode {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "FileMode".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": ["string", "integer"],
            "description": "permissions in octal digits: 0660",
            "pattern": "^((0o)?[0-7]{3,4}|.*\\$\\{.*)$"
        })
    }
}

impl serde::Serialize for Duration {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl serde::Serialize for Percent {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl serde::Serialize for Size {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Read for Share {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        reader.parsed(node, "a share in percent: 10, 0.5", Self::parse)
    }
}

impl schemars::JsonSchema for Share {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Share".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": ["number", "string"],
            "description": "a share in percent: 10, 0.5",
            "minimum": 0,
            "maximum": 100,
            "pattern": "^([0-9]+(\\.[0-9]+)?%?|.*\\$\\{.*)$"
        })
    }
}

impl Read for Size {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        reader.parsed(node, "a size: 512, 64KiB, 10MB", Self::parse)
    }
}

impl schemars::JsonSchema for Size {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Size".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": ["string", "integer"],
            "description": "a size: 512 (bytes), 64KiB, 10MB",
            "minimum": 0,
            "pattern": "^([0-9]+(B|kB|KB|MB|GB|TB|KiB|MiB|GiB|TiB)?|.*\\$\\{.*)$"
        })
    }
}

/// Whether this can be a name that users give to services, routes, APIs, apps and devices: they become metric labels and parts of paths.
pub fn check_name(name: &str) -> Result<(), String> {
    if name.is_empty() || name.len() > MAX_NAME {
        return Err(format!("a name has 1 to {MAX_NAME} characters"));
    }
    if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)) {
        return Err("a name is made of letters, digits, `-`, `_` and `.`".to_owned());
    }
    Ok(())
}

/// Characters in a name.
const MAX_NAME: usize = 128;
