//! A script that Redis runs as one step. It is sent whole to a Redis that does not know it yet, and by its digest afterwards.

use std::fmt::Write as _;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use redis::{Cmd, cmd};

/// A script in Lua.
#[derive(Debug)]
pub(super) struct Script {
    text: &'static str,
    /// What Redis calls it.
    digest: String,
}

impl Script {
    pub(super) fn new(text: &'static str) -> Self {
        let mut hex = String::new();
        for byte in digest(&SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes()).as_ref() {
            // A text takes whatever is written.
            let _ = write!(hex, "{byte:02x}");
        }
        Self { text, digest: hex }
    }

    /// The command that runs it where it is known.
    pub(super) fn known(&self, keys: &[String], numbers: &[u64]) -> Cmd {
        command("EVALSHA", &self.digest, keys, numbers)
    }

    /// The command that runs it anywhere.
    pub(super) fn whole(&self, keys: &[String], numbers: &[u64]) -> Cmd {
        command("EVAL", self.text, keys, numbers)
    }
}

fn command(name: &str, script: &str, keys: &[String], numbers: &[u64]) -> Cmd {
    let mut command = cmd(name);
    command.arg(script).arg(keys.len()).arg(keys).arg(numbers);
    command
}
