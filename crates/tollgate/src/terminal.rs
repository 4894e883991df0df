//! What the commands say, and where: results to standard output, everything about them to standard error.
//!
//! Nobody may be listening any more (`tollgate schema | head`); then what is said is lost, without a panic.

use std::env;
use std::io::{self, IsTerminal, Write};

use gateway::notice::notice;

/// Prints a result.
pub(crate) fn show(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Tells the operator something about the gateway itself. The lines of the start are a contract: tests and
/// scripts wait for them.
pub(crate) fn note(text: &str) {
    notice(format_args!("{}", text.trim_end()));
}

/// Shows faults of a configuration, as they were rendered.
pub(crate) fn complain(faults: &str) {
    let _ = io::stderr().lock().write_all(faults.as_bytes());
}

/// Whether standard error shows colours, and its reader wants them (<https://no-color.org>).
pub(crate) fn is_colored() -> bool {
    let is_unwanted = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let is_dumb = env::var_os("TERM").is_some_and(|term| term == "dumb");
    !is_unwanted && !is_dumb && io::stderr().is_terminal()
}
