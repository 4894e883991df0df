//! Answers of services that a policy looks at before the client gets them, or while.

use std::rc::Rc;

use super::refused::{overloaded, response_too_large};
use super::{After, Exchange, Failed, shape_answer};
use crate::accept::{Client, Share, Tap, Untaken};
use crate::policies::{OnPassed, Review};
use crate::refusal::Refusal;
use crate::snapshot::Live;
use crate::upstream::call::Called;
use crate::upstream::hold::{Unheld, hold};
use crate::upstream::relay;
use crate::worker::Worker;

/// The body of an answer that a policy looks at.
enum Body<'p> {
    /// It is here, and counts until the client has it.
    Held { _share: Share },
    /// It is taken down on its way.
    Passing(Rc<Tap>, OnPassed<'p>),
}

/// Why a policy did not see the body of an answer, for the metrics: it had more bytes than are looked at.
const TOO_LONG: &str = "long";
/// Bodies of other answers took all the room that there is.
const NO_ROOM: &str = "full";
/// It did not come to its end.
const BROKEN: &str = "broken";

/// Brings the answer whose head is in the exchange to the client, unless the route's policy is against it.
pub(super) async fn relay(
    worker: &Worker,
    client: &mut Client,
    exchange: &mut Exchange,
    live: Rc<Live>,
    mut called: Box<Called>,
) -> Result<After, Failed> {
    let reviewer = exchange.route.and_then(|index| live.snapshot.routes[index].reviewer());
    let Some(review) = reviewer.and_then(|policy| policy.review(exchange)) else {
        shape_answer(&live, exchange);
        // A tunnel outlasts reloads, and must not keep what they replaced.
        drop(live);
        return Ok(pass_on(worker, client, exchange, called).await);
    };
    let body = match review {
        Review::Refuse(refusal) => return Err(refuse(worker, exchange, called, refusal)),
        Review::Watch(most, then) => {
            let most = usize::try_from(most).unwrap_or(usize::MAX);
            let tap = Tap::keeping(most, Share::new(&worker.kept));
            called.answer_tap = Some(Rc::clone(&tap));
            Body::Passing(tap, then)
        }
        Review::Hold(most, then) => match hold(worker, client, exchange, &mut called, most).await {
            Ok(share) => {
                let body = called.leg.connection.input.filled();
                let length = exchange.response.content_length.unwrap_or_default() as usize;
                if let Err(refusal) = then(exchange, body.get(..length).unwrap_or(body)) {
                    return Err(refuse(worker, exchange, called, refusal));
                }
                Body::Held { _share: share }
            }
            Err(unheld) => {
                let (result, failed) = match unheld {
                    Unheld::TooLong => (TOO_LONG, response_too_large(most).into()),
                    Unheld::NoRoom => (NO_ROOM, overloaded().into()),
                    Unheld::Broken(failed) => (BROKEN, failed),
                };
                exchange.outcome.review = Some(result);
                called.discard(worker, exchange);
                return Err(failed);
            }
        },
    };
    shape_answer(&live, exchange);
    let after = pass_on(worker, client, exchange, called).await;
    let Body::Passing(tap, see) = body else { return Ok(after) };
    tap.look(|body| match body {
        _ if after == After::Abort => exchange.outcome.unseen(BROKEN),
        Ok(body) => see(exchange, body),
        Err(Untaken::TooLong) => exchange.outcome.unseen(TOO_LONG),
        Err(Untaken::NoRoom) => exchange.outcome.unseen(NO_ROOM),
    });
    Ok(after)
}

async fn pass_on(
    worker: &Worker,
    client: &mut Client,
    exchange: &mut Exchange,
    mut called: Box<Called>,
) -> After {
    let after = relay::relay(worker, client, exchange, &mut called).await;
    called.end(worker);
    after
}

/// The client gets this in place of the answer.
fn refuse(worker: &Worker, exchange: &mut Exchange, called: Box<Called>, refusal: Box<Refusal>) -> Failed {
    called.discard(worker, exchange);
    Failed::Refused(refusal)
}
