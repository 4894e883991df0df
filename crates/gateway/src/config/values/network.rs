//! Networks, addresses to listen on, and endpoints to connect to.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

/// A network: `10.0.0.0/8`, `2001:db8::/32`, or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cidr {
    address: IpAddr,
    bits: u8,
}

impl Cidr {
    /// Reads a network; bits beyond the prefix must be zero, as they are a common slip.
    pub fn parse(text: &str) -> Result<Self, String> {
        const WHAT: &str = "expected a network, as in 10.0.0.0/8, 2001:db8::/32 or 192.0.2.7";
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| WHAT)?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            None => longest,
            Some(bits) if bits.bytes().all(|byte| byte.is_ascii_digit()) => bits.parse().map_err(|_| WHAT)?,
            Some(_) => return Err(WHAT.to_owned()),
        };
        if bits > longest {
            return Err(format!("a prefix of this kind of address has at most {longest} bits"));
        }
        let network = masked(address, bits);
        if network != address {
            return Err(format!("bits are set beyond the /{bits} prefix; the network itself ends in zeros"));
        }
        Ok(Self { address, bits })
    }

    /// Whether an address lies in this network; an IPv4 address in IPv6 clothes counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.address.is_ipv4() && masked(address, self.bits) == self.address
    }

    /// Its first and its last address.
    pub fn range(&self) -> (IpAddr, IpAddr) {
        let bits = u32::from(self.bits);
        let last = match self.address {
            IpAddr::V4(v4) => {
                let rest = u32::MAX.checked_shr(bits).unwrap_or_default();
                IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() | rest))
            }
            IpAddr::V6(v6) => {
                let rest = u128::MAX.checked_shr(bits).unwrap_or_default();
                IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() | rest))
            }
        };
        (self.address, last)
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

/// The address with all bits beyond the prefix cleared.
fn masked(address: IpAddr, bits: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or_default();
            IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() & mask))
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or_default();
            IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & mask))
        }
    }
}

/// An IP address and a port to listen on: `0.0.0.0:8080`, `[::1]:8080`, `localhost:8080`, or `:8080` for all IPv4
/// addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TcpAddress(SocketAddr);

impl TcpAddress {
    /// This address.
    pub const fn new(address: SocketAddr) -> Self {
        Self(address)
    }

    /// The address to bind.
    pub const fn socket(self) -> SocketAddr {
        self.0
    }

    /// Reads an address; names other than `localhost` are not looked up.
    pub fn parse(text: &str) -> Result<Self, String> {
        const WHAT: &str = "expected an address and a port, as in 0.0.0.0:8080, [::1]:8080 or :8080";
        let (host, port) = text.rsplit_once(':').ok_or(WHAT)?;
        let port = parse_port(port).ok_or(WHAT)?;
        let ip = match host {
            "" | "*" => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
            _ => match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
                Some(v6) => IpAddr::V6(v6.parse().map_err(|_| WHAT)?),
                None => IpAddr::V4(host.parse().map_err(|_| WHAT)?),
            },
        };
        Ok(Self(SocketAddr::new(ip, port)))
    }
}

impl fmt::Display for TcpAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where a Unix socket stands: an absolute path that fits into a socket's address.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UnixPath(Arc<str>);

impl UnixPath {
    /// Reads `unix:/run/app.sock`; nothing where the text does not begin with `unix:`.
    pub(super) fn parse(text: &str) -> Option<Result<Self, String>> {
        let path = strip_scheme(text, "unix:")?;
        // Of `unix:///run/app.sock`, as some programs write it, the path is the same.
        let path = path.strip_prefix("//").filter(|path| path.starts_with('/')).unwrap_or(path);
        Some(match path {
            _ if !path.starts_with('/') || path.starts_with("//") => {
                Err("the path of a Unix socket begins with /, as in unix:/run/app.sock".to_owned())
            }
            _ if path.len() > MAX_UNIX_PATH => {
                Err(format!("the path of a Unix socket has at most {MAX_UNIX_PATH} bytes"))
            }
            _ if path.ends_with('/') => Err("this path names a folder, not a Unix socket".to_owned()),
            _ if path.chars().any(char::is_control) => {
                Err("the path of a Unix socket has no control characters".to_owned())
            }
            _ => Ok(Self(path.into())),
        })
    }

    /// The path.
    pub fn as_path(&self) -> &Path {
        Path::new(&*self.0)
    }
}

impl fmt::Display for UnixPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unix:{}", self.0)
    }
}

/// Where a listener listens: an IP address and a port, or `unix:/run/tollgate.sock`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ListenAddress {
    /// An IP address and a port.
    Tcp(SocketAddr),
    /// The path of a Unix socket.
    Unix(UnixPath),
}

impl ListenAddress {
    /// Where a gateway listens when nobody says: on loopback, so that nothing is open to others by accident.
    pub const USUAL: Self = Self::Tcp(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080));

    /// Reads an address of either kind.
    pub fn parse(text: &str) -> Result<Self, String> {
        match UnixPath::parse(text) {
            Some(path) => path.map(Self::Unix),
            None => TcpAddress::parse(text).map(|address| Self::Tcp(address.socket())),
        }
    }

    /// The IP address and port, unless it is a Unix socket.
    pub const fn tcp(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(address) => Some(*address),
            Self::Unix(_) => None,
        }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => path.fmt(f),
        }
    }
}

/// Who may connect to a Unix socket: the permission bits of its file, `0660` or `"0660"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileMode(u32);

impl FileMode {
    /// The owner and the group.
    pub const USUAL: Self = Self(0o660);

    /// Reads octal digits.
    pub fn parse(text: &str) -> Result<Self, String> {
        const WHAT: &str = "expected permissions in octal digits, as in 0660";
        let digits = text.strip_prefix("0o").unwrap_or(text);
        let is_octal = (3..=4).contains(&digits.len()) && digits.bytes().all(|b| (b'0'..=b'7').contains(&b));
        let bits =
            u32::from_str_radix(digits, 8).ok().filter(|bits| is_octal && *bits <= 0o777).ok_or(WHAT)?;
        Ok(Self(bits))
    }

    /// The permission bits.
    pub const fn bits(self) -> u32 {
        self.0
    }
}

impl fmt::Display for FileMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

/// The host of an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Host {
    /// An address, which needs no look-up.
    Ip(IpAddr),
    /// A name, in lower case.
    Name(String),
    /// A Unix socket on this machine.
    Unix(UnixPath),
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]"),
            Self::Ip(IpAddr::V4(ip)) => ip.fmt(f),
            Self::Name(name) => name.fmt(f),
            Self::Unix(path) => path.fmt(f),
        }
    }
}

/// Where an endpoint is: `http://host:port` or `https://host:port`, with a base path to put before each request's path
/// if needed; or the Unix socket `unix:/run/app.sock`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EndpointUrl {
    /// Whether the scheme is `https`.
    pub is_tls: bool,
    /// Where to connect.
    pub host: Host,
    /// The port; that of the scheme when the URL has none, 0 of a Unix socket.
    pub port: u16,
    /// Whether it speaks no HTTP: `tcp://`.
    pub is_tcp: bool,
    /// What goes before each request's path: empty, or `/…` without a slash at its end. A Unix socket has none.
    pub base: String,
}

impl EndpointUrl {
    /// Reads a URL of scheme `http` or `https` (RFC 9110, section 4.2) without user, query and fragment, or `unix:` and a
    /// path.
    pub fn parse(text: &str) -> Result<Self, String> {
        const WHAT: &str = "expected a URL such as http://127.0.0.1:9001";
        const SCHEMES: &str = "an endpoint's URL begins with http:// or https://";
        if let Some(path) = UnixPath::parse(text) {
            let host = Host::Unix(path?);
            return Ok(Self { is_tls: false, host, port: 0, is_tcp: false, base: String::new() });
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            let is_only_the_scheme_missing = Self::parse(&format!("http://{text}")).is_ok();
            let complaint = if is_only_the_scheme_missing { SCHEMES } else { WHAT };
            return Err(complaint.to_owned());
        };
        let is_tls = scheme.eq_ignore_ascii_case("https");
        let is_tcp = scheme.eq_ignore_ascii_case("tcp");
        if !is_tls && !is_tcp && !scheme.eq_ignore_ascii_case("http") {
            return Err(SCHEMES.to_owned());
        }
        if rest.contains(['?', '#', '@']) {
            return Err("an endpoint's URL has no user, no query and no fragment".to_owned());
        }
        let (authority, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
        if !path.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte)) {
            return Err("the path of this URL holds characters that must be percent-encoded".to_owned());
        }
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, parse_port(port).ok_or(WHAT)?),
            _ if is_tcp => {
                return Err("a tcp:// endpoint names its port, as in tcp://127.0.0.1:6379".to_owned());
            }
            _ => (authority, default_port(is_tls)),
        };
        if is_tcp && !path.is_empty() {
            return Err("a tcp:// endpoint is a host and a port, without a path".to_owned());
        }
        if port == 0 {
            return Err("an endpoint's port is not 0".to_owned());
        }
        let host = Host::parse(host).ok_or(WHAT)?;
        Ok(Self { is_tls, host, port, is_tcp, base: path.trim_end_matches('/').to_owned() })
    }
}

impl fmt::Display for EndpointUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match (self.is_tcp, self.is_tls) {
            (true, _) => "tcp",
            (false, true) => "https",
            (false, false) => "http",
        };
        match &self.host {
            Host::Unix(path) => path.fmt(f),
            host => write!(f, "{scheme}://{host}:{}{}", self.port, self.base),
        }
    }
}

impl EndpointUrl {
    /// Host and port as a `Host` field says them: without the port where it is the scheme's own. A Unix socket is on
    /// this machine.
    pub fn authority(&self) -> String {
        match &self.host {
            Host::Unix(_) => "localhost".to_owned(),
            host if self.port == default_port(self.is_tls) => host.to_string(),
            host => format!("{host}:{}", self.port),
        }
    }
}

/// The port of a URL that has none (RFC 9110, section 4.2).
pub(super) fn default_port(is_tls: bool) -> u16 {
    if is_tls { 443 } else { 80 }
}

/// Bytes in the path of a Unix socket: `sun_path` without the zero at its end.
const MAX_UNIX_PATH: usize = 107;

/// What follows a scheme, which may stand in any case.
fn strip_scheme<'t>(text: &'t str, scheme: &str) -> Option<&'t str> {
    let (start, rest) = text.split_at_checked(scheme.len())?;
    start.eq_ignore_ascii_case(scheme).then_some(rest)
}

pub(super) fn parse_port(text: &str) -> Option<u16> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

impl Host {
    /// An address or a host name (RFC 1123, section 2.1; underscores as container networks use them).
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(v6) = text.strip_prefix('[') {
            return v6.strip_suffix(']')?.parse().ok().map(|ip| Host::Ip(IpAddr::V6(ip)));
        }
        if let Ok(ip) = text.parse::<Ipv4Addr>() {
            return Some(Host::Ip(IpAddr::V4(ip)));
        }
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        };
        let labels = text.strip_suffix('.').unwrap_or(text);
        // A name whose last label is a number would be taken for a mistyped address.
        let numeric =
            labels.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
        (text.len() <= 253 && !numeric && labels.split('.').all(label))
            .then(|| Host::Name(text.to_ascii_lowercase()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_network_contains_what_shares_its_prefix() {
        for (network, address, expected) in [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("0.0.0.0/0", "203.0.113.9", true),
            ("0.0.0.0/0", "::1", false),
            ("192.0.2.7", "192.0.2.7", true),
            ("192.0.2.7", "192.0.2.8", false),
            ("10.0.0.0/8", "::ffff:10.1.2.3", true),
            ("2001:db8::/32", "2001:db8:1::1", true),
            ("2001:db8::/32", "2001:db9::1", false),
            ("::/0", "2001:db9::1", true),
        ] {
            let contains = Cidr::parse(network).unwrap().contains(address.parse().unwrap());
            assert_eq!(contains, expected, "{address} in {network}");
        }
        for text in
            ["", "10.0.0.0/33", "10.0.0.1/8", "10.0.0.0/", "10.0.0.0/+8", "::/129", "example.com", "10/8"]
        {
            assert!(Cidr::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn addresses_to_listen_on_name_no_hosts() {
        for (text, expected) in [
            ("0.0.0.0:8080", "0.0.0.0:8080"),
            (":8080", "0.0.0.0:8080"),
            ("localhost:1", "127.0.0.1:1"),
            ("[::1]:8080", "[::1]:8080"),
            ("unix:/run/tollgate.sock", "unix:/run/tollgate.sock"),
            ("UNIX:///run/t g.sock", "unix:/run/t g.sock"),
        ] {
            assert_eq!(ListenAddress::parse(text).unwrap().to_string(), expected);
        }
        for text in [
            "",
            "8080",
            "127.0.0.1",
            "example.com:80",
            ":99999",
            ":+80",
            "::1:80",
            "[::1:80",
            "1.2.3.4:",
            "unix:",
            "unix:tollgate.sock",
            "unix:80",
            "unix:/run/",
            "unix:/a\0b",
        ] {
            assert!(ListenAddress::parse(text).is_err(), "{text}");
        }
        let path = |length: usize| format!("unix:/{}", "x".repeat(length - 1));
        assert!(ListenAddress::parse(&path(MAX_UNIX_PATH)).is_ok());
        assert!(ListenAddress::parse(&path(MAX_UNIX_PATH + 1)).is_err());
        assert!(TcpAddress::parse("unix:/run/tollgate.sock").is_err());
    }

    #[test]
    fn permissions_are_octal_digits() {
        for (text, bits) in [("0660", 0o660), ("600", 0o600), ("0o777", 0o777)] {
            assert_eq!(FileMode::parse(text).unwrap().bits(), bits, "{text}");
        }
        for text in ["", "0", "66", "0680", "1777", "rw-rw----", "00660", "+660"] {
            assert!(FileMode::parse(text).is_err(), "{text}");
        }
        assert_eq!(FileMode::USUAL.to_string(), "0660");
    }

    #[test]
    fn endpoints_are_plain_urls_or_unix_sockets() {
        for (text, expected) in [
            ("http://127.0.0.1:9001", "http://127.0.0.1:9001"),
            ("http://Users.Internal", "http://users.internal:80"),
            ("HTTP://a_b:81/base/", "http://a_b:81/base"),
            ("http://[2001:db8::1]:8/x", "http://[2001:db8::1]:8/x"),
            ("http://[::1]", "http://[::1]:80"),
            ("tcp://db.internal:5432", "tcp://db.internal:5432"),
            ("TCP://[::1]:6379", "tcp://[::1]:6379"),
            ("HTTPS://a/b", "https://a:443/b"),
            ("https://10.0.0.7:50051", "https://10.0.0.7:50051"),
            ("unix:/run/app.sock", "unix:/run/app.sock"),
        ] {
            assert_eq!(EndpointUrl::parse(text).unwrap().to_string(), expected, "{text}");
        }
        for text in [
            "",
            "127.0.0.1:9001",
            "https://",
            "ftp://a",
            "tcp://a",
            "tcp://a:1/",
            "tcp://a:0",
            "http://",
            "http://a:0",
            "http://a:x",
            "http://u@a",
            "http://a/?q",
            "http://a/ b",
            "http://-a",
            "http://1.2.3",
            "http://300.1.1.1",
            "http://[::1",
            "http://a..b",
            "http://a/{x}",
            "unix:app.sock",
            "unix://app.sock",
        ] {
            assert!(EndpointUrl::parse(text).is_err(), "{text}");
        }
    }
}
