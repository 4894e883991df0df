//! Which endpoint of a service gets the next request.
//!
//! A [`Balancer`] is built once per service, snapshot and worker, and only chooses: who is healthy is the caller's
//! `usable`, how busy each endpoint is stands in its [`Load`], and time and randomness come from outside. A pick
//! allocates nothing and takes no lock.

mod cookie;
mod draw;
mod hash;
mod load;
mod random;
mod rendezvous;
mod rotation;
#[cfg(test)]
mod tests;

use std::rc::Rc;
use std::time::Instant;

pub use cookie::{StickyId, find_cookie, set_cookie, sticky_id};
pub use hash::{hash_bytes, hash_ip};
pub use load::{FAILURE_COUNTS_AS, InFlight, Load, Loads};
pub use random::Random;
pub(super) use rendezvous::owner;

use cookie::StickyIds;
use draw::Draw;
use rendezvous::Rendezvous;
use rotation::Rotation;

/// The most endpoints one service may have.
pub const MAX_ENDPOINTS: usize = 4096;

/// How a service chooses among its endpoints.
///
/// In every policy an endpoint of weight 0 is drained: it is never picked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// In turn; heavier endpoints more often, their turns spread evenly.
    RoundRobin,
    /// Any endpoint with the same probability, whatever its weight.
    Random,
    /// Any endpoint with a probability in proportion to its weight.
    WeightedRandom,
    /// Of two endpoints drawn by weight, the one with fewer requests in flight for its weight.
    LeastRequests,
    /// Of two endpoints drawn by weight, the one that answers faster and waits less: peak-sensitive moving
    /// average of the latency, times requests in flight, for its weight.
    Ewma,
    /// The same endpoint for the same client address ([`hash_ip`] in [`Ask::hash`]).
    IpHash,
    /// The same endpoint for the same key ([`hash_bytes`] in [`Ask::hash`]).
    Hash,
    /// The endpoint that the client's cookie names, else in turn with a new cookie.
    Sticky {
        /// Keys the ids in the cookie. The same on all workers, restarts and gateways, or clients move; unknown
        /// outside, or ids can be tried out against guessed addresses.
        secret: [u8; 16],
    },
}

impl Policy {
    /// Its name as the configuration writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::RoundRobin => "round_robin",
            Self::Random => "random",
            Self::WeightedRandom => "weighted_random",
            Self::LeastRequests => "least_requests",
            Self::Ewma => "ewma",
            Self::IpHash => "ip_hash",
            Self::Hash => "hash",
            Self::Sticky { .. } => "sticky",
        }
    }
}

/// An endpoint as a balancer sees it.
#[derive(Clone, Debug)]
pub struct Endpoint<'a> {
    /// The endpoint's stable name, unlike every other's in the service: its URL.
    pub key: &'a str,
    /// Its share of the requests beside the other endpoints' weights; 0 drains it.
    pub weight: u32,
    /// What is known of its load, from [`Loads`], so that it survives a reload.
    pub load: Rc<Load>,
}

/// What a request brings to the choice.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// For [`Policy::Hash`] and [`Policy::IpHash`]: the hash of the request's key; without one the choice is random.
    pub hash: Option<u64>,
    /// For [`Policy::Sticky`]: the value of the client's cookie ([`find_cookie`]).
    pub sticky: Option<&'a [u8]>,
    /// Whether the request has been sent to another endpoint already: it had its turn, and does not take the next one's.
    pub again: bool,
    /// The worker's clock; a coarse one will do.
    pub now: Instant,
}

/// The choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pick {
    /// The endpoint's place in the slice that [`Balancer::new`] got.
    pub index: usize,
    /// Whether the client needs a cookie with [`Balancer::sticky_id`] of this endpoint.
    pub set_sticky: bool,
}

/// A service has more endpoints than [`MAX_ENDPOINTS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{count} endpoints in one service; the most is {MAX_ENDPOINTS}")]
pub struct TooManyEndpoints {
    /// How many it has.
    pub count: usize,
}

/// Chooses the endpoints of one service on one worker.
#[derive(Debug)]
pub struct Balancer {
    choice: Choice,
    /// The endpoints that have a weight; the parts below know them by their position here.
    candidates: Box<[Candidate]>,
    random: Random,
}

impl Balancer {
    /// Compiles `policy` over `endpoints`. `seed` starts the random numbers and the turns; `worker` is the worker's
    /// number, so that workers with one seed do not all begin with the same endpoint.
    pub fn new(
        policy: Policy,
        endpoints: &[Endpoint<'_>],
        seed: u64,
        worker: usize,
    ) -> Result<Self, TooManyEndpoints> {
        if endpoints.len() > MAX_ENDPOINTS {
            return Err(TooManyEndpoints { count: endpoints.len() });
        }
        let random = Random::new(seed, worker);
        let active = || endpoints.iter().enumerate().filter(|(_, endpoint)| endpoint.weight > 0);
        let weights: Vec<u32> = active().map(|(_, endpoint)| endpoint.weight).collect();
        let turns = || Turns {
            rotation: Rotation::new(&weights, seed, worker, &random),
            draw: Draw::weighted(&weights),
        };
        let choice = match policy {
            Policy::RoundRobin => Choice::Turns(turns()),
            Policy::Random => Choice::Random(Draw::uniform(weights.len())),
            Policy::WeightedRandom => Choice::Random(Draw::weighted(&weights)),
            Policy::LeastRequests => Choice::LeastRequests(Draw::weighted(&weights)),
            Policy::Ewma => Choice::Ewma(Draw::weighted(&weights)),
            Policy::IpHash | Policy::Hash => Choice::Hash(
                Rendezvous::new(active().map(|(_, endpoint)| (endpoint.key, endpoint.weight))),
                Draw::weighted(&weights),
            ),
            Policy::Sticky { secret } => {
                Choice::Sticky(StickyIds::new(&secret, active().map(|(_, endpoint)| endpoint.key)), turns())
            }
        };
        let candidates = active()
            .map(|(index, endpoint)| Candidate {
                index,
                weight: endpoint.weight,
                load: Rc::clone(&endpoint.load),
            })
            .collect();
        Ok(Self { choice, candidates, random })
    }

    /// Chooses an endpoint for which `usable` says yes, or none if it says no to all that have a weight.
    /// `usable` gets the endpoint's index, at times more than once, and must not pick from this balancer itself.
    pub fn pick(&self, ask: &Ask<'_>, usable: &mut dyn FnMut(usize) -> bool) -> Option<Pick> {
        let usable = &mut |position: usize| usable(self.candidates[position].index);
        let position = match &self.choice {
            Choice::Turns(turns) => turns.next(ask, &self.random, usable)?,
            Choice::Random(draw) => draw.one(&self.random, usable)?,
            Choice::LeastRequests(draw) => self.better(draw, usable, Candidate::is_busier_than)?,
            Choice::Ewma(draw) => {
                self.better(draw, usable, |first, second| first.cost(ask.now) > second.cost(ask.now))?
            }
            Choice::Hash(owners, draw) => match ask.hash {
                Some(hash) => owners.owner(hash, usable)?,
                None => draw.one(&self.random, usable)?,
            },
            Choice::Sticky(ids, turns) => {
                let known = ask.sticky.and_then(|id| ids.position(id)).filter(|&position| usable(position));
                let position = match known {
                    Some(position) => position,
                    None => turns.next(ask, &self.random, usable)?,
                };
                return Some(Pick { index: self.candidates[position].index, set_sticky: known.is_none() });
            }
        };
        Some(Pick { index: self.candidates[position].index, set_sticky: false })
    }

    /// The value that makes a client stick to the endpoint at `index`; none unless the policy is
    /// [`Policy::Sticky`] and the endpoint has a weight.
    pub fn sticky_id(&self, index: usize) -> Option<&StickyId> {
        let Choice::Sticky(ids, _) = &self.choice else { return None };
        let position = self.candidates.binary_search_by_key(&index, |candidate| candidate.index).ok()?;
        ids.at(position)
    }

    /// The better of two endpoints drawn by weight. With nothing between them it is the first drawn, so that idle
    /// endpoints share by weight alone.
    fn better(
        &self,
        draw: &Draw,
        usable: &mut dyn FnMut(usize) -> bool,
        is_worse: impl Fn(&Candidate, &Candidate) -> bool,
    ) -> Option<usize> {
        let first = draw.one(&self.random, usable)?;
        match draw.one(&self.random, &mut |position| position != first && usable(position)) {
            Some(second) if is_worse(&self.candidates[first], &self.candidates[second]) => Some(second),
            _ => Some(first),
        }
    }
}

#[derive(Debug)]
enum Choice {
    Turns(Turns),
    Random(Draw),
    LeastRequests(Draw),
    Ewma(Draw),
    Hash(Rendezvous, Draw),
    Sticky(StickyIds, Turns),
}

/// One after the other; what is asked again is drawn. With turns for both, an endpoint that fails every request would be the
/// first choice of all of them whenever two take turns.
#[derive(Debug)]
struct Turns {
    rotation: Rotation,
    draw: Draw,
}

impl Turns {
    fn next(&self, ask: &Ask<'_>, random: &Random, usable: &mut dyn FnMut(usize) -> bool) -> Option<usize> {
        if ask.again { self.draw.one(random, usable) } else { self.rotation.next(usable) }
    }
}

#[derive(Debug)]
struct Candidate {
    index: usize,
    weight: u32,
    load: Rc<Load>,
}

impl Candidate {
    /// Whether this has more requests in flight for its weight than `other`.
    fn is_busier_than(&self, other: &Self) -> bool {
        u64::from(self.load.in_flight()) * u64::from(other.weight)
            > u64::from(other.load.in_flight()) * u64::from(self.weight)
    }

    fn cost(&self, now: Instant) -> f64 {
        self.load.cost(now) / f64::from(self.weight)
    }
}
