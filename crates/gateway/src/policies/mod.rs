//! Policies: one file each, grouped by stage, and the one list that orders them.
//!
//! A route runs just its own policies, in the order of the stages; users never sort them. A policy that a route does not have
//! costs it nothing.

pub mod admit;
pub mod authorize;
pub mod identify;
pub mod shape;

use http1::RequestHead;

use crate::exchange::Exchange;
use crate::refusal::{Refusal, Stage};

/// What a policy does with requests and answers. Synchronous, and without allocation unless it refuses.
pub trait Policy: std::fmt::Debug + Send + Sync {
    /// Its key in the configuration.
    fn name(&self) -> &'static str;

    /// The stage at which it looks at the request, or changes the answer.
    fn stage(&self) -> Stage;

    /// Looks at the request; it may change it.
    fn on_request(&self, exchange: &mut Exchange) -> Step {
        let _ = exchange;
        Step::Continue
    }

    /// Removes what the service must not see, which is part of looking at the request.
    fn strip(&self, request: &mut RequestHead) {
        let _ = request;
    }

    /// Changes the head of the answer.
    fn on_response(&self, exchange: &mut Exchange) {
        let _ = exchange;
    }

    /// What it would do, for `tollgate explain`: a clause such as `bodies up to 10 MiB`.
    fn explain(&self) -> String;
}

/// What follows from a policy's look at a request.
#[derive(Debug)]
pub enum Step {
    /// The next policy's turn.
    Continue,
    /// The request ends here.
    Refuse(Box<Refusal>),
}
