//! `tollgate run`: serves a configuration until a signal ends it.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use gateway::config::values::EndpointUrl;

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
    to: Option<String>,
}

impl Run {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        let origin = match self.to {
            Some(url) => Origin::Target(url),
            None => Origin::file(self.file.or(self.config)),
        };
        serve(origin, self.workers, || {})
    }
}

/// The URL that everything goes to. Who leaves out the scheme can only mean `http`: an endpoint has no other yet.
fn target(text: &str) -> Result<String, String> {
    let url = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    EndpointUrl::parse(&url).map(|_| url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_without_a_scheme_is_http() {
        for (text, expected) in [
            ("http://localhost:3000", Some("http://localhost:3000")),
            ("localhost:3000", Some("http://localhost:3000")),
            ("127.0.0.1:3000/base", Some("http://127.0.0.1:3000/base")),
            ("[::1]:3000", Some("http://[::1]:3000")),
            ("users", Some("http://users")),
            ("3000", None),
            (":3000", None),
            ("https://localhost", None),
            ("localhost:3000?x", None),
            ("", None),
        ] {
            assert_eq!(target(text).ok().as_deref(), expected, "{text}");
        }
    }
}
