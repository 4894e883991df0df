//! The subcommands, one file each.

mod check;
mod demo;
mod diff;
mod explain;
mod key;
mod run;
mod schema;
mod top;
mod version;

use std::fmt;
use std::process::ExitCode;

use clap::Subcommand;

/// What to do.
#[derive(Subcommand)]
pub(crate) enum Command {
    Run(run::Run),
    Check(check::Check),
    Diff(diff::Diff),
    Explain(explain::Explain),
    Key(key::Key),
    Schema(schema::Schema),
    Top(top::Top),
    Demo(demo::Demo),
    Version(version::Version),
}

impl Command {
    /// Does it. The code is what the process ends with.
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        match self {
            Self::Run(run) => run.run(),
            Self::Check(check) => check.run(),
            Self::Diff(diff) => diff.run(),
            Self::Explain(explain) => explain.run(),
            Self::Key(key) => key.run(),
            Self::Schema(schema) => Ok(schema.run()),
            Self::Top(top) => top.run(),
            Self::Demo(demo) => demo.run(),
            Self::Version(version) => Ok(version.run()),
        }
    }
}

/// Why a command could not do what it should: a sentence for the operator, and what to do about it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    text: String,
    code: u8,
}

/// The exit code of a command line that is wrong, and of a `diff` that cannot tell.
const MISUSE: u8 = 2;

impl Failure {
    /// A failure with this text.
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), code: 1 }
    }

    /// A command line that is wrong, though each of its arguments is right by itself.
    pub(crate) fn misuse(text: impl Into<String>) -> Self {
        Self { text: text.into(), code: MISUSE }
    }

    /// What the process ends with.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.code)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
