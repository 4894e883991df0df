//! `tollgate run`: serves a configuration until a signal ends it.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::Failure;
use crate::origin::Origin;
use crate::serve::serve;

/// Serve a configuration
#[derive(Args)]
pub(crate) struct Run {
    /// The configuration [default: tollgate.yaml]
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Worker threads [default: `workers` of the configuration, or one per core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    workers: Option<u32>,
    /// Serve without a file: everything goes to this URL
    #[arg(long, value_name = "URL", conflicts_with = "config")]
    to: Option<String>,
}

impl Run {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        let origin = match self.to {
            Some(url) => Origin::Target(url),
            None => Origin::file(self.config),
        };
        serve(origin, self.workers, || {})
    }
}
