//! `tollgate version`: which version this is.

use std::env::consts::{ARCH, OS};
use std::process::ExitCode;

use clap::Args;

use crate::terminal;

/// Print the version
#[derive(Args)]
pub(crate) struct Version {}

impl Version {
    #[allow(clippy::unused_self)] // as the other commands
    pub(super) fn run(self) -> ExitCode {
        terminal::show(&format!("tollgate {} ({ARCH}-{OS})\n", env!("CARGO_PKG_VERSION")));
        ExitCode::SUCCESS
    }
}
