//! What a route does with its requests besides one call: they are split, copied, and made to fail on purpose.

use std::sync::Arc;

use http::HeaderName;

use super::{Compiler, is_retired, parts};
use crate::config::values::Share;
use crate::config::{self, EffectiveRoute};
use crate::expression::{Root, Roots};
use crate::route::PathPattern;
use crate::upstream::balance::{hash_bytes, sticky_id};
use crate::upstream::injection::{Injection, Lot};
use crate::upstream::mirror::Mirror;
use crate::upstream::split::{Branch, Split, SplitBy};

impl Compiler<'_> {
    /// How a route's requests are split among services.
    pub(super) fn split(
        &mut self,
        split: &config::Split,
        route: &EffectiveRoute<'_>,
        path: &PathPattern,
    ) -> Option<Split> {
        let by = match &split.by {
            config::SplitBy::Cookie(name) => SplitBy::Cookie(Arc::from(name.value.as_str())),
            config::SplitBy::Header(name) => SplitBy::Header(name.as_str().into()),
            config::SplitBy::Hash(text) => {
                SplitBy::Key(self.of_route(text, path, Roots::BEFORE_RESPONSE.without(Root::Body))?)
            }
        };
        let branches = split.branches.iter().zip(&route.branches).map(|(branch, call)| {
            let name = branch.to.value.as_str();
            Some(Branch {
                service: *self.services.get(name)?,
                name: Arc::from(name),
                weight: branch.weight,
                is_sticky: branch.sticky,
                limits: self.limits(&call.timeouts, call.retry, call.hedge, route.priority),
                id: sticky_id(&parts::sticky_secret(name), name),
                hash: hash_bytes(name.as_bytes()),
            })
        });
        let branches = branches.collect::<Option<_>>()?;
        Some(Split { branches, by, force: split.force.as_ref().map(|name| name.as_str().into()) })
    }

    /// Where copies of a route's requests go. A retired version has none: its requests are refused.
    pub(super) fn mirror(&self, route: &EffectiveRoute<'_>) -> Option<Box<Mirror>> {
        let (mirror, call) = route.mirror.as_ref().filter(|_| !is_retired(route.version))?;
        Some(Box::new(Mirror {
            service: *self.services.get(mirror.to.value.as_str())?,
            share: mirror.percent.millionths(),
            max_body: mirror.max_body.bytes(),
            max_in_flight: mirror.max_in_flight as usize,
            timeouts: parts::timeouts(&call.timeouts),
            summary: mirror.to_string().into(),
        }))
    }
}

/// Trouble made on purpose.
pub(super) fn fault(route: &EffectiveRoute<'_>) -> Option<Box<Injection>> {
    let fault = route.fault?;
    let lot = |percent: Share, header: &Option<HeaderName>| Lot {
        share: percent.millionths(),
        header: header.as_ref().map(|name| name.as_str().into()),
    };
    let delay = fault.delay.as_ref().map(|delay| (*delay.time, lot(delay.percent, &delay.header)));
    let abort = fault.abort.as_ref().map(|abort| (abort.status, lot(abort.percent, &abort.header)));
    Some(Box::new(Injection { delay, abort, summary: fault.to_string().into() }))
}
