//! `waf`, its second half: whether the body of a request looks like an attack, together with what was found in its head.

use std::sync::Arc;

use http1::Framing;

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
        if matches!(exchange.request.framing, Framing::None) || !Firewall::looks_into(&exchange.request) {
            return Step::Continue;
        }
        let most = self.0.max_body;
        if self.0.is_cut {
            Step::start_of_body(most, |exchange, body| self.judge(exchange, body))
        } else {
            Step::body(most, |exchange, body| self.judge(exchange, body))
        }
    }

    fn explain(&self) -> String {
        "bodies, together with what was found in the head".to_owned()
    }
}
