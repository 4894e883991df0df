//! `tollgate run`: serves a configuration until a signal ends it.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use gateway::config::values::{EndpointUrl, Host, ListenAddress};

use super::Failure;
use crate::origin::Origin;
use crate::serve::serve;

/// Serve a configuration
#[derive(Args)]
pub(crate) struct Run {
    /// The same as `-c`, as `check` takes it
    #[arg(conflicts_with = "config", hide = true)]
    file: Option<PathBuf>,
    /// The configuration [default: tollgate.yaml]
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Worker threads [default: `workers` of the configuration, or one per core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    workers: Option<u32>,
    /// Serve without a file: everything goes to this URL; `localhost:3000` is `http://localhost:3000`
    #[arg(long, value_name = "URL", conflicts_with_all = ["file", "config"], value_parser = target)]
    to: Option<EndpointUrl>,
    /// Where to listen, without a file [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS", requires = "to", value_parser = ListenAddress::parse)]
    listen: Option<ListenAddress>,
}

impl Run {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        let origin = match self.to {
            Some(url) => target_of(&url, self.listen)?,
            None => Origin::file(self.file.or(self.config)),
        };
        serve(origin, self.workers, || {})
    }
}

/// The URL that everything goes to. Who leaves out the scheme most often means a server of their own, in clear.
fn target(text: &str) -> Result<EndpointUrl, String> {
    let url = if text.contains("://") || text.starts_with("unix:") {
        text.to_owned()
    } else {
        format!("http://{text}")
    };
    EndpointUrl::parse(&url)
}

/// Refuses a target that is the gateway itself: the first request would go in circles until every connection is in use.
fn target_of(url: &EndpointUrl, listen: Option<ListenAddress>) -> Result<Origin, Failure> {
    let own = listen.clone().unwrap_or(ListenAddress::USUAL);
    let is_itself = match (&own, &url.host) {
        (ListenAddress::Unix(own), Host::Unix(path)) => own == path,
        (ListenAddress::Tcp(own), host) if own.port() == url.port => match host {
            Host::Ip(ip) => *ip == own.ip() || own.ip().is_unspecified() && ip.is_loopback(),
            Host::Name(name) => name == "localhost" && (own.ip().is_unspecified() || own.ip().is_loopback()),
            Host::Unix(_) => false,
        },
        _ => false,
    };
    if is_itself {
        let is_taken = own.tcp().is_some_and(|own| own.port() == 8081);
        return Err(Failure::misuse(format!(
            "{own} is where Tollgate itself listens; choose another address for it, \
             as in `tollgate run --to {url} --listen 127.0.0.1:{}`",
            if is_taken { 8080 } else { 8081 }
        )));
    }
    Ok(Origin::Target { url: url.to_string(), listen })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_target_without_a_scheme_is_http() {
        for (text, expected) in [
            ("http://localhost:3000", Some("http://localhost:3000")),
            ("LOCALHOST:3000", Some("http://localhost:3000")),
            ("127.0.0.1:3000/base", Some("http://127.0.0.1:3000/base")),
            ("[::1]:3000", Some("http://[::1]:3000")),
            ("users", Some("http://users:80")),
            ("3000", None),
            (":3000", None),
            ("https://localhost", Some("https://localhost:443")),
            ("ftp://localhost", None),
            ("unix:/run/app.sock", Some("unix:/run/app.sock")),
            ("unix:app.sock", None),
            ("localhost:3000?x", None),
            ("", None),
        ] {
            assert_eq!(target(text).ok().map(|url| url.to_string()).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn a_target_that_is_the_gateway_itself_is_refused() {
        for (url, listen, is_refused) in [
            ("localhost:8080", None, true),
            ("127.0.0.1:8080", None, true),
            ("localhost:8080", Some("127.0.0.1:8081"), false),
            ("localhost:8081", Some("0.0.0.0:8081"), true),
            ("10.0.0.7:8080", Some("0.0.0.0:8080"), false),
            ("users:8080", None, false),
            ("localhost:3000", None, false),
            ("unix:/run/app.sock", None, false),
            ("unix:/run/app.sock", Some("unix:/run/app.sock"), true),
            ("localhost:8080", Some("unix:/run/app.sock"), false),
        ] {
            let listen = listen.map(|text| ListenAddress::parse(text).unwrap());
            let refused =
                target_of(&target(url).unwrap(), listen.clone()).err().map(|failure| failure.to_string());
            assert_eq!(refused.is_some(), is_refused, "{url} {listen:?}: {refused:?}");
            assert!(refused.is_none_or(|text| text.contains("--listen 127.0.0.1:80")));
        }
    }
}
