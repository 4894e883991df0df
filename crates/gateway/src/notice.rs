//! Words to the operator, on standard error.

use std::fmt;
use std::io::{self, Write};

/// Says one line. Where nobody listens any more it is lost, which does no harm to who said it.
pub fn notice(text: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr().lock(), "tollgate: {text}");
}
