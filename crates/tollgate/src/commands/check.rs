//! `tollgate check`: every fault of a configuration at once.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::Failure;
use crate::origin::Origin;
use crate::terminal;

/// Show every fault of a configuration; the exit code is 1 when it has errors
#[derive(Args)]
pub(crate) struct Check {
    /// The configuration [default: tollgate.yaml]
    file: Option<PathBuf>,
    /// The same, as `run` and `explain` take it
    #[arg(short, long, value_name = "FILE", conflicts_with = "file", hide = true)]
    config: Option<PathBuf>,
}

impl Check {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        let origin = Origin::file(self.file.or(self.config));
        let config = origin.compile_and_show()?.config;
        let routes = count(config.routes().len(), "route");
        let services = count(config.services.len(), "service");
        let listeners = count(config.listeners.len(), "listener");
        terminal::show(&format!("{origin}: ok, {routes}, {services}, {listeners}\n"));
        Ok(ExitCode::SUCCESS)
    }
}

fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}
