//! Where the admin listener is, and what it wants to see.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use gateway::config::values::{EndpointUrl, Host, Secret};
use gateway::config::{self, Admin, Config};

use super::Failure;
use crate::origin::DEFAULT_FILE;
use crate::terminal;

/// Where to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) url: EndpointUrl,
    pub(super) token: Option<Secret>,
}

impl Address {
    /// What the command line says comes before the configuration, and a file that is named before the usual one.
    pub(super) fn find(
        file: Option<&Path>,
        admin: Option<EndpointUrl>,
        token: Option<Secret>,
    ) -> Result<Self, Failure> {
        let configured = match (file, &admin) {
            (Some(file), _) => Some(load(file)?),
            // The token of a file that happens to be here is not for an address that was named.
            (None, Some(_)) => None,
            (None, None) => load_usual(),
        };
        let told = configured.as_ref().map(|config| config.admin.as_ref());
        if told == Some(None) && admin.is_none() {
            return Err(Failure::new(
                "the configuration has no admin listener (`admin: off`), and without one nobody can ask",
            ));
        }
        let configured = told.flatten();
        let url = match (admin, configured) {
            (Some(url), _) => url,
            (None, configured) => of(configured.unwrap_or(&Admin::default()))?,
        };
        let configured = || configured?.token.clone();
        Ok(Self { url, token: token.or_else(configured) })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.url.fmt(f)
    }
}

/// The address of `--admin`.
pub(super) fn parse(text: &str) -> Result<EndpointUrl, String> {
    let url = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let url = EndpointUrl::parse(&url)?;
    if url.is_tls {
        return Err(
            "the admin listener speaks no TLS: ask on the gateway's own machine, or through a tunnel \
                    (`ssh -L 9900:127.0.0.1:9900 HOST`)"
                .to_owned(),
        );
    }
    if url.is_tcp || matches!(url.host, Host::Unix(_)) {
        return Err("expected a URL such as http://127.0.0.1:9900".to_owned());
    }
    Ok(url)
}

fn load(file: &Path) -> Result<Config, Failure> {
    match config::load(file) {
        Ok((config, _)) => Ok(config),
        Err(faults) => {
            terminal::complain(&faults.render(terminal::is_colored()));
            let file = file.display();
            Err(Failure::new(format!(
                "{file} is refused: {}\n\n  Name the address instead: tollgate top --admin http://127.0.0.1:9900",
                faults.counted()
            )))
        }
    }
}

/// The usual file, where it is there and good: one that is being mended must not keep anybody from watching.
fn load_usual() -> Option<Config> {
    let file = Path::new(DEFAULT_FILE);
    if !file.exists() {
        return None;
    }
    let loaded = config::load(file);
    if loaded.is_err() {
        terminal::note(&format!("{DEFAULT_FILE} has faults; asking at the usual address"));
    }
    loaded.ok().map(|(config, _)| config)
}

/// Where a listener is reached that the configuration describes so.
fn of(admin: &Admin) -> Result<EndpointUrl, Failure> {
    let address = admin.address.value.socket();
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    parse(&SocketAddr::new(ip, address.port()).to_string()).map_err(|_| {
        Failure::new(
            "the configuration leaves the port of the admin listener to the system: name it with `--admin`, \
             as the gateway said it when it started",
        )
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_leave_out_the_scheme_and_is_never_tls() {
        for (text, expected) in [
            ("http://127.0.0.1:9900", Some("http://127.0.0.1:9900")),
            ("127.0.0.1:9901", Some("http://127.0.0.1:9901")),
            ("gate.example.com:9900/", Some("http://gate.example.com:9900")),
            ("[::1]:9900", Some("http://[::1]:9900")),
            ("https://127.0.0.1:9900", None),
            ("tcp://127.0.0.1:9900", None),
            ("unix:/run/x", None),
            ("127.0.0.1:0", None),
            ("", None),
        ] {
            assert_eq!(parse(text).ok().map(|url| url.to_string()).as_deref(), expected, "{text}");
        }
        assert!(parse("https://a").unwrap_err().contains("ssh -L"));
    }

    #[test]
    fn the_command_line_comes_before_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let find = |admin: &str, url: Option<&str>, token: Option<&str>| {
            let file = folder.path().join("a.yaml");
            let services =
                "services: { a: http://127.0.0.1:1 }\nroutes: [ { match: /, to: a, access: public } ]";
            std::fs::write(&file, format!("admin: {admin}\n{services}\n")).unwrap();
            let token = token.map(|token| Secret::parse(token).unwrap());
            let found = Address::find(Some(&file), url.map(|url| parse(url).unwrap()), token);
            found
                .map(|address| (address.url.to_string(), address.token))
                .map_err(|failure| failure.to_string())
        };
        let both = "{ address: 0.0.0.0:9905, token: secret }";
        let secret = || Secret::parse("secret").ok();
        assert_eq!(find(both, None, None), Ok(("http://127.0.0.1:9905".to_owned(), secret())));
        assert_eq!(find(both, None, Some("t")).unwrap().1, Secret::parse("t").ok());
        assert_eq!(find(both, Some("b:1"), None), Ok(("http://b:1".to_owned(), secret())));
        assert_eq!(find("'[::1]:9905'", None, None), Ok(("http://[::1]:9905".to_owned(), None)));
        assert!(find("off", None, None).unwrap_err().contains("admin: off"));
        assert_eq!(find("off", Some("b:1"), None), Ok(("http://b:1".to_owned(), None)));
        assert!(find("127.0.0.1:0", None, None).unwrap_err().contains("--admin"));
    }

    #[test]
    fn a_named_file_with_faults_is_refused() {
        let missing = Address::find(Some(Path::new("/nowhere/a.yaml")), None, None).unwrap_err();
        assert!(missing.to_string().contains("tollgate top --admin"), "{missing}");
    }
}
