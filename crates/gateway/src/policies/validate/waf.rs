//! `waf`, its second half: whether the body of a request looks like an attack, together with what was found in its head.

use std::sync::Arc;

use waf::{FIRST_BYTES, Interest, is_text};

use crate::exchange::Exchange;
use crate::firewall::Firewall;
use crate::policies::{Policy, Step};
use crate::refusal::{Refusal, Stage};

/// The compiled policy.
#[derive(Debug)]
pub struct WafOfBody(Arc<Firewall>);

impl WafOfBody {
    /// Shows bodies to this firewall.
    pub fn new(firewall: Arc<Firewall>) -> Self {
        Self(firewall)
    }

    fn look(&self) -> Step<'_> {
        let most = self.0.max_body;
        if self.0.is_cut {
            Step::start_of_body(most, |exchange, body| self.judge(exchange, body))
        } else {
            Step::body(most, |exchange, body| self.judge(exchange, body))
        }
    }

    fn judge(&self, exchange: &mut Exchange, body: &[u8]) -> Step<'_> {
        let mut report =
            exchange.outcome.findings.take().map(|found| found.into_report()).unwrap_or_default();
        self.0.inspect_body(&exchange.request, body, &mut report);
        if exchange.note_findings(&self.0, report) {
            return Step::refuse(Refusal::attack(Stage::Validate));
        }
        Step::Continue
    }
}

impl Policy for WafOfBody {
    fn name(&self) -> &'static str {
        "waf"
    }

    fn stage(&self) -> Stage {
        Stage::Validate
    }

    fn on_request(&self, exchange: &mut Exchange) -> Step<'_> {
        match Firewall::interest(&exchange.request) {
            Interest::Never => Step::Continue,
            Interest::IfText => Step::start_of_body(FIRST_BYTES as u64, |_, start| {
                if is_text(start) { self.look() } else { Step::Continue }
            }),
            Interest::Always => self.look(),
        }
    }

    fn explain(&self) -> String {
        "bodies, together with what was found in the head".to_owned()
    }
}
