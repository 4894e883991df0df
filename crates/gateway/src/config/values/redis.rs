//! Where the fleet keeps what its gateways share.

use std::fmt;

use super::network::{Host, UnixPath, parse_port};

/// Where a Redis is. Without credentials, which have keys of their own.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisUrl {
    /// What is asked.
    pub servers: RedisServers,
    /// Whether all connections are encrypted.
    pub is_tls: bool,
    /// The number of the database.
    pub database: u32,
}

/// What a Redis consists of.
#[derive(Clone, PartialEq, Eq)]
pub enum RedisServers {
    /// One server.
    One(RedisServer),
    /// The server that these sentinels call the master of this name.
    Sentinels(Vec<RedisServer>, String),
    /// A Redis Cluster that these belong to.
    Cluster(Vec<RedisServer>),
}

/// One server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisServer {
    /// Where it is.
    pub host: Host,
    /// The port; 0 of a Unix socket.
    pub port: u16,
}

/// Servers that a URL may name.
const MOST_SERVERS: usize = 32;
/// Databases of a Redis at most, as far as anybody has them.
const MOST_DATABASES: u32 = 1 << 20;

impl RedisUrl {
    /// Reads `redis://`, `rediss://` (with TLS), either with `+sentinel` or `+cluster`; or `unix:` and a path.
    pub fn parse(text: &str) -> Result<Self, String> {
        const WHAT: &str = "expected the URL of a Redis, such as redis://127.0.0.1:6379, rediss://…, unix:/run/redis.sock, \
                            redis+sentinel://10.0.0.1:26379,10.0.0.2:26379/mymaster or redis+cluster://10.0.0.1:7000,10.0.0.2:7000";
        if let Some(path) = UnixPath::parse(text) {
            let servers = RedisServers::One(RedisServer { host: Host::Unix(path?), port: 0 });
            return Ok(Self { servers, is_tls: false, database: 0 });
        }
        let (scheme, rest) = text.split_once("://").ok_or(WHAT)?;
        let (is_tls, kind) = match scheme.strip_prefix("redis").ok_or(WHAT)? {
            kind if kind.starts_with('s') => (true, &kind[1..]),
            kind => (false, kind),
        };
        if rest.contains('@') {
            return Err("this URL has no user: `user` and `password` are keys of their own".to_owned());
        }
        if rest.contains(['?', '#']) {
            return Err("this URL ends with host and port, or with the number of a database".to_owned());
        }
        let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (servers, database) = match kind {
            "" => {
                let [server] = &*servers(hosts, 6379)? else {
                    return Err("a URL of several servers begins with redis+sentinel:// or redis+cluster://"
                        .to_owned());
                };
                (RedisServers::One(server.clone()), path)
            }
            "+sentinel" => {
                let (name, database) = path.split_once('/').unwrap_or((path, ""));
                if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
                    const NAME: &str = "after the sentinels the name of the master is expected, as in redis+sentinel://10.0.0.1:26379/mymaster";
                    return Err(NAME.to_owned());
                }
                (RedisServers::Sentinels(servers(hosts, 26379)?, name.to_owned()), database)
            }
            "+cluster" if path.is_empty() => (RedisServers::Cluster(servers(hosts, 6379)?), ""),
            "+cluster" => return Err("a Redis Cluster has no databases, and its URL no path".to_owned()),
            _ => return Err(WHAT.to_owned()),
        };
        Ok(Self { servers, is_tls, database: number(database)? })
    }
}

/// The number of a database, 0 where there is none.
fn number(text: &str) -> Result<u32, String> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    match text {
        "" => Some(0),
        _ => text.parse().ok().filter(|number| is_number && *number < MOST_DATABASES),
    }
    .ok_or_else(|| "this URL ends with the number of a database".to_owned())
}

fn servers(text: &str, port: u16) -> Result<Vec<RedisServer>, String> {
    let servers: Option<Vec<_>> = text.split(',').map(|server| RedisServer::parse(server, port)).collect();
    let servers = servers.ok_or("expected a host and a port, or several with commas between them")?;
    if servers.len() > MOST_SERVERS {
        return Err(format!("expected at most {MOST_SERVERS} servers: of a large cluster a few are enough"));
    }
    Ok(servers)
}

impl RedisServer {
    /// Reads a host and, where it is not the usual one, a port.
    fn parse(text: &str, usual: u16) -> Option<Self> {
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, parse_port(port)?),
            _ => (text, usual),
        };
        Self::at(host, port)
    }

    /// The server at this host, as a Redis writes it: IPv6 without brackets.
    pub fn at(host: &str, port: u16) -> Option<Self> {
        let host = match host.parse() {
            Ok(ip) => Host::Ip(ip),
            Err(_) => Host::parse(host)?,
        };
        (port != 0).then_some(Self { host, port })
    }
}

impl fmt::Display for RedisServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Unix(path) => path.fmt(f),
            host => write!(f, "{host}:{}", self.port),
        }
    }
}

impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |servers: &[RedisServer]| {
            servers.iter().map(RedisServer::to_string).collect::<Vec<_>>().join(",")
        };
        let scheme = if self.is_tls { "rediss" } else { "redis" };
        match &self.servers {
            RedisServers::One(server) if matches!(server.host, Host::Unix(_)) => return server.fmt(f),
            RedisServers::One(server) => write!(f, "{scheme}://{server}")?,
            RedisServers::Sentinels(sentinels, name) => {
                write!(f, "{scheme}+sentinel://{}/{name}", list(sentinels))?;
            }
            RedisServers::Cluster(nodes) => write!(f, "{scheme}+cluster://{}", list(nodes))?,
        }
        if self.database == 0 { Ok(()) } else { write!(f, "/{}", self.database) }
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_redis_is_where_its_url_says() {
        for (text, shown) in [
            ("redis://127.0.0.1:6379", "redis://127.0.0.1:6379"),
            ("redis://127.0.0.1", "redis://127.0.0.1:6379"),
            ("redis://[::1]:7000/", "redis://[::1]:7000"),
            ("redis://redis.internal:7000/3", "redis://redis.internal:7000/3"),
            ("rediss://redis.internal", "rediss://redis.internal:6379"),
            ("unix:/run/redis.sock", "unix:/run/redis.sock"),
            ("redis+sentinel://a,b:7/shop", "redis+sentinel://a:26379,b:7/shop"),
            ("rediss+sentinel://a/shop/2", "rediss+sentinel://a:26379/shop/2"),
            ("redis+cluster://10.0.0.1:7000,[::1]", "redis+cluster://10.0.0.1:7000,[::1]:6379"),
            ("rediss+cluster://a", "rediss+cluster://a:6379"),
        ] {
            assert_eq!(RedisUrl::parse(text).unwrap().to_string(), shown, "{text}");
        }
    }

    #[test]
    fn what_is_no_url_of_a_redis_is_refused_without_being_quoted() {
        for wrong in [
            "",
            "127.0.0.1:6379",
            "http://127.0.0.1",
            "redis://:secret@127.0.0.1",
            "redis+cluster://:secret@127.0.0.1",
            "redis://",
            "redis://a:0",
            "redis://a:x",
            "redis://a/b",
            "redis://a/+1",
            "redis://a/1/2",
            "redis://a?db=1",
            "redis://a,b",
            "redis+sentinel://a",
            "redis+sentinel://a/",
            "redis+sentinel:///shop",
            "redis+sentinel://a,,b/shop",
            "redis+cluster://a/1",
            "redis+ring://a",
            "redisss://a",
            "unix:run/redis.sock",
        ] {
            let said = RedisUrl::parse(wrong).unwrap_err();
            assert!(!said.contains("secret"), "{wrong}: {said}");
        }
        assert!(RedisUrl::parse(&format!("redis+cluster://{}", ["a"; 33].join(","))).is_err());
    }

    #[test]
    fn servers_are_named_as_a_cluster_names_them() {
        for (host, shown) in
            [("10.0.0.1", "10.0.0.1:7"), ("::1", "[::1]:7"), ("Redis-1.internal", "redis-1.internal:7")]
        {
            assert_eq!(RedisServer::at(host, 7).unwrap().to_string(), shown);
        }
        for wrong in ["", "?", "a b"] {
            assert_eq!(RedisServer::at(wrong, 7), None);
        }
    }
}
