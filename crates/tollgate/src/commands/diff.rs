//! `tollgate diff`: what changes for a user between two configurations.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use gateway::config::{self, Config};

use super::Failure;
use crate::origin::Origin;
use crate::terminal;

/// Show what changes for a user between two configurations; the exit code is 1 when something does, 2 when one of
/// them cannot be read
#[derive(Args)]
pub(crate) struct Diff {
    /// The configuration as it is
    old: PathBuf,
    /// The configuration as it will be
    new: PathBuf,
}

impl Diff {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        let old = load(self.old)?;
        let new = load(self.new)?;
        let changes = config::diff(&old, &new);
        if changes.is_empty() {
            terminal::show("nothing changes\n");
            return Ok(ExitCode::SUCCESS);
        }
        for change in changes {
            terminal::show(&format!("{change}\n"));
        }
        Ok(ExitCode::FAILURE)
    }
}

/// A script must be able to tell "something changes" from "I do not know".
fn load(path: PathBuf) -> Result<Config, Failure> {
    let compiled = Origin::File(path).compile_and_show();
    compiled.map(|compiled| compiled.config).map_err(|failure| Failure::misuse(failure.to_string()))
}
