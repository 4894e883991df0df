//! `tollgate schema`: the JSON Schema of the language, for editors.

use std::process::ExitCode;

use clap::Args;
use gateway::config;

use crate::terminal;

/// Print the JSON Schema of the configuration, for editors
#[derive(Args)]
pub(crate) struct Schema {}

impl Schema {
    #[allow(clippy::unused_self)] // as the other commands
    pub(super) fn run(self) -> ExitCode {
        terminal::show(&format!("{:#}\n", config::schema()));
        ExitCode::SUCCESS
    }
}
