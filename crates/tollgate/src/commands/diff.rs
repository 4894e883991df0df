//! `tollgate diff`: what changes for a user between two configurations.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use gateway::config;

use super::Failure;
use crate::origin::Origin;
use crate::terminal;

/// Show what changes for a user between two configurations; the exit code is 1 when something does
#[derive(Args)]
pub(crate) struct Diff {
    /// The configuration as it is
    old: PathBuf,
    /// The configuration as it will be
    new: PathBuf,
}

impl Diff {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        let old = Origin::File(self.old).compile_and_show()?.config;
        let new = Origin::File(self.new).compile_and_show()?.config;
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
