//! `waf`, its first half: whether the line and the header fields of a request look like an attack. What is in the body is looked at in
//! stage `validate`, when it is known who sends it.

use std::sync::Arc;

use http1::RequestHead;
use waf::Report;

use crate::exchange::Exchange;
use crate::firewall::Firewall;
use crate::policies::{Policy, Step};
use crate::refusal::{Refusal, Stage};

/// The compiled policy.
#[derive(Debug)]
pub struct WafOfHead(Arc<Firewall>);

impl WafOfHead {
    /// Shows heads to this firewall.
    pub fn new(firewall: Arc<Firewall>) -> Self {
        Self(firewall)
    }
}

impl Policy for WafOfHead {
    fn name(&self) -> &'static str {
        "waf"
    }

    fn stage(&self) -> Stage {
        Stage::Admit
    }

    fn on_request(&self, exchange: &mut Exchange) -> Step<'_> {
        let mut report = Report::default();
        self.0.inspect_head(&exchange.request, &mut report);
        if exchange.note_findings(&self.0, report) {
            return Step::refuse(Refusal::attack(Stage::Admit));
        }
        Step::Continue
    }

    fn explain(&self) -> String {
        self.0.to_string()
    }

    fn explain_request(&self, request: &RequestHead) -> Option<String> {
        let mut report = Report::default();
        self.0.inspect_head(request, &mut report);
        let hits = report.hits().iter().map(|hit| {
            format!(
                "{} at {}: {} ({} points)",
                hit.rule.id,
                hit.place,
                hit.rule.name,
                hit.rule.severity.points()
            )
        });
        let hits = hits.collect::<Vec<_>>().join(", ");
        let does = if self.0.blocks(&report) { "refused with 403 (waf_blocked)" } else { "let through" };
        (!hits.is_empty()).then(|| format!("{does} with {} points: {hits}", report.total()))
    }
}
