//! What is wrong with a file, before it has a place in the configuration.

use crate::config::{Fault, Span};

/// What is wrong with a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Flaw {
    code: &'static str,
    message: String,
    help: Option<String>,
}

impl Flaw {
    pub(super) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), help: None }
    }

    /// The same with advice.
    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// An error at the place that names the file.
    pub(super) fn at(self, span: Span) -> Fault {
        let fault = Fault::error(self.code, span, self.message);
        match self.help {
            Some(help) => fault.help(help),
            None => fault,
        }
    }
}
