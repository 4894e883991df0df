//! Policies: one file each, grouped by stage, and the one list that orders them.
//!
//! A route runs just its own policies, in the order of the stages; users never sort them. A policy that a route does not have
//! costs it nothing.

pub mod admit;
pub mod authorize;
pub mod identify;
pub mod limit;
pub mod shape;
pub mod validate;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use http1::RequestHead;

use crate::answer::StaticAnswer;
use crate::exchange::Exchange;
use crate::refusal::{Refusal, Stage};

/// What a policy does with requests and answers. Synchronous, and without allocation unless it refuses or waits.
pub trait Policy: std::fmt::Debug + Send + Sync {
    /// Its key in the configuration.
    fn name(&self) -> &'static str;

    /// The stage at which it looks at the request, or changes the answer.
    fn stage(&self) -> Stage;

    /// Looks at the request; it may change it.
    fn on_request(&self, exchange: &mut Exchange) -> Step<'_> {
        let _ = exchange;
        Step::Continue
    }

    /// Whether it answers preflights for its route, which then come here whatever methods the route takes.
    fn answers_preflights(&self) -> bool {
        false
    }

    /// Removes what the service must not see, which is part of looking at the request.
    fn strip(&self, request: &mut RequestHead) {
        let _ = request;
    }

    /// Whether it reviews what services answer. Of a route's policies one may.
    fn reviews_answers(&self) -> bool {
        false
    }

    /// Looks at the head of a service's answer, as that sent it, and says if that is not all.
    fn review(&self, exchange: &mut Exchange) -> Option<Review<'_>> {
        let _ = exchange;
        None
    }

    /// Changes the head of the answer.
    fn on_response(&self, exchange: &mut Exchange) {
        let _ = exchange;
    }

    /// What it would do, for `tollgate explain`: a clause such as `bodies up to 10 MiB`.
    fn explain(&self) -> String;

    /// What it finds in this request, for `tollgate explain`, where that can be told without sending it.
    fn explain_request(&self, request: &RequestHead) -> Option<String> {
        let _ = request;
        None
    }
}

/// What follows from a policy's look at a request. It may hold on to its policy.
pub enum Step<'p> {
    /// The next policy's turn.
    Continue,
    /// The request ends here, with this answer.
    Respond(Arc<StaticAnswer>),
    /// The request ends here.
    Refuse(Box<Refusal>),
    /// The policy has to see the request's body, whole, and goes on with it. A body of more bytes than these is refused.
    Body(u64, OnBody<'p>),
    /// The policy looks at so many bytes of the request's body, or all of it where it is shorter, and goes on with them.
    StartOfBody(u64, OnBody<'p>),
    /// The policy has to wait, and then goes on. It is given up when the client leaves or the request's time is over.
    Wait(Waiting<'p>),
    /// The same, and it waits for the request's turn at a limit, which is counted.
    Queue(Waiting<'p>),
}

/// What follows from a policy's look at the head of a service's answer.
pub enum Review<'p> {
    /// It does not go to the client; this does.
    Refuse(Box<Refusal>),
    /// It goes to the client, and the policy sees its body afterwards, if that has no more bytes than these.
    Watch(u64, OnPassed<'p>),
    /// It waits until the policy has seen its body. One of more bytes than these is refused.
    Hold(u64, OnAnswer<'p>),
}

/// What a policy makes of the body of an answer that has gone out.
pub type OnPassed<'p> = Box<dyn FnOnce(&mut Exchange, &[u8]) + 'p>;

/// What a policy says of an answer whose body it sees.
pub type OnAnswer<'p> = Box<dyn FnOnce(&mut Exchange, &[u8]) -> Result<(), Box<Refusal>> + 'p>;

/// How a policy goes on when the body is there.
pub type OnBody<'p> = Box<dyn FnOnce(&mut Exchange, &[u8]) -> Step<'p> + 'p>;

/// What a policy waits for; how it goes on comes out of it.
pub type Waiting<'p> = Pin<Box<dyn Future<Output = Resume<'p>> + 'p>>;

/// How a policy goes on that has waited.
pub type Resume<'p> = Box<dyn FnOnce(&mut Exchange) -> Step<'p> + 'p>;

impl<'p> Step<'p> {
    /// Refuses the request.
    pub fn refuse(refusal: Refusal) -> Self {
        Self::Refuse(Box::new(refusal))
    }

    /// Goes on when the body, of at most so many bytes, is there.
    pub fn body(most: u64, then: impl FnOnce(&mut Exchange, &[u8]) -> Self + 'p) -> Self {
        Self::Body(most, Box::new(then))
    }

    /// Goes on when so many bytes of the body, or all of it, are there.
    pub fn start_of_body(most: u64, then: impl FnOnce(&mut Exchange, &[u8]) -> Self + 'p) -> Self {
        Self::StartOfBody(most, Box::new(then))
    }

    /// Goes on when the future has ended.
    pub fn wait<T: 'p>(
        future: impl Future<Output = T> + 'p,
        then: impl FnOnce(&mut Exchange, T) -> Self + 'p,
    ) -> Self {
        Self::Wait(waiting(future, then))
    }

    /// Goes on when it is the request's turn, which the end of the future says.
    pub fn queue<T: 'p>(
        future: impl Future<Output = T> + 'p,
        then: impl FnOnce(&mut Exchange, T) -> Self + 'p,
    ) -> Self {
        Self::Queue(waiting(future, then))
    }
}

fn waiting<'p, T: 'p>(
    future: impl Future<Output = T> + 'p,
    then: impl FnOnce(&mut Exchange, T) -> Step<'p> + 'p,
) -> Waiting<'p> {
    Box::pin(async move {
        let result = future.await;
        Box::new(move |exchange: &mut Exchange| then(exchange, result)) as Resume<'p>
    })
}
