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

/// Whether standard error shows colours, and its reader wants them.
pub(crate) fn is_colored() -> bool {
    wants_color() && can_draw() && io::stderr().is_terminal()
}

/// Whether the reader wants colours (<https://no-color.org>).
pub(crate) fn wants_color() -> bool {
    env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Whether the terminal can do more than to print one line below the other.
pub(crate) fn can_draw() -> bool {
    env::var_os("TERM").is_none_or(|term| term != "dumb")
}
