//! Proofs that a worker has verified, so that each is once: tokens, certificates, and what others say of tokens.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use aws_lc_rs::digest::{Context, SHA256};
use tokio::sync::watch;

use super::{Identity, Own};

/// The latest thousand or two that are known; what has ended is no longer one.
#[derive(Debug, Default)]
pub struct Proofs {
    generations: RefCell<Generations>,
    flights: RefCell<HashMap<Digest, watch::Receiver<()>>>,
}

/// Of a proof, and of what it is a proof to.
pub(crate) type Digest = [u8; 32];

/// Whose a proof is, or the code of why it is nobody's.
type Verdict = Result<Rc<Own>, &'static str>;

/// When the young are too many they become the old, and the old are forgotten: one that is used stays.
#[derive(Debug, Default)]
struct Generations {
    young: HashMap<Digest, Kept>,
    old: HashMap<Digest, Kept>,
}

#[derive(Debug, Clone)]
struct Kept {
    /// Seconds since the Unix epoch.
    until: f64,
    verdict: Verdict,
}

/// Who finds out about a proof that takes a while.
#[derive(Debug)]
pub enum Flight<'p> {
    /// Whoever holds this, until it is dropped.
    Lead(Leads<'p>),
    /// Another request: this changes when it has ended.
    Follow(watch::Receiver<()>),
}

/// The right to find out about a proof while others wait.
#[derive(Debug)]
pub struct Leads<'p> {
    proofs: &'p Proofs,
    digest: Digest,
    _landing: watch::Sender<()>,
}

impl Drop for Leads<'_> {
    fn drop(&mut self) {
        self.proofs.flights.borrow_mut().remove(&self.digest);
    }
}

/// Proofs of one generation.
const MOST_PROOFS: usize = 1000;

impl Proofs {
    /// What a proof in the way of that name is known by: what one way has verified another may not have. What was verified by
    /// keys of another generation counts no more.
    pub fn digest(way: &str, generation: u64, proof: &[u8]) -> Digest {
        let mut context = Context::new(&SHA256);
        for part in [way.as_bytes(), b"\0", &generation.to_le_bytes(), proof] {
            context.update(part);
        }
        let mut digest = [0; 32];
        digest.copy_from_slice(context.finish().as_ref());
        digest
    }

    /// Whose proof this is in the way of that name: as it was verified before, or as `verify` finds, who also says until when
    /// it holds. Times are seconds since the Unix epoch.
    pub fn owner(
        &self,
        way: &str,
        generation: u64,
        proof: &[u8],
        now: f64,
        verify: impl FnOnce() -> Result<(Identity, f64), &'static str>,
    ) -> Verdict {
        let digest = Self::digest(way, generation, proof);
        if let Some(known) = self.known(&digest, now) {
            return known;
        }
        let (identity, until) = verify()?;
        let own = Rc::new(Own::new(identity, way));
        self.keep(digest, until, Ok(Rc::clone(&own)));
        Ok(own)
    }

    /// What is known of it, if that still holds.
    pub fn known(&self, digest: &Digest, now: f64) -> Option<Verdict> {
        let mut generations = self.generations.borrow_mut();
        if let Some(known) = generations.young.get(digest) {
            return (now < known.until).then(|| known.verdict.clone());
        }
        let known = generations.old.remove(digest).filter(|known| now < known.until)?;
        let verdict = known.verdict.clone();
        generations.add(*digest, known);
        Some(verdict)
    }

    /// Keeps it until then.
    pub fn keep(&self, digest: Digest, until: f64, verdict: Verdict) {
        self.generations.borrow_mut().add(digest, Kept { until, verdict });
    }

    /// Who finds out about it: the first that asks, and when that gave up, the next.
    pub fn fly(&self, digest: &Digest) -> Flight<'_> {
        let mut flights = self.flights.borrow_mut();
        if let Some(flight) = flights.get(digest) {
            return Flight::Follow(flight.clone());
        }
        let (landing, flight) = watch::channel(());
        flights.insert(*digest, flight);
        Flight::Lead(Leads { proofs: self, digest: *digest, _landing: landing })
    }
}

impl Generations {
    fn add(&mut self, digest: Digest, kept: Kept) {
        if self.young.len() >= MOST_PROOFS {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(digest, kept);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_is_known_until_it_ends_or_too_many_others_came() {
        let proofs = Proofs::default();
        let own = || Ok(Rc::new(Own::new(Identity::default(), "")));
        let digest = |number: usize| {
            let mut digest = [0; 32];
            digest[..8].copy_from_slice(&number.to_le_bytes());
            digest
        };
        proofs.keep(digest(0), 10.0, own());
        assert!(proofs.known(&digest(0), 9.9).is_some());
        assert!(proofs.known(&digest(0), 10.0).is_none());
        assert!(proofs.known(&digest(1), 9.0).is_none());
        for number in 1..10 * MOST_PROOFS {
            proofs.keep(digest(number), 10.0, own());
            // One that is used stays.
            assert!(proofs.known(&digest(0), 9.0).is_some(), "{number}");
        }
        assert!(proofs.known(&digest(1), 9.0).is_none());
        let generations = proofs.generations.borrow();
        assert!(generations.young.len() + generations.old.len() <= 2 * MOST_PROOFS);
    }

    #[test]
    fn one_finds_out_and_the_others_wait() {
        let proofs = Proofs::default();
        let Flight::Lead(leads) = proofs.fly(&[1; 32]) else { panic!("the first leads") };
        let Flight::Follow(mut flight) = proofs.fly(&[1; 32]) else { panic!("the second follows") };
        assert!(matches!(proofs.fly(&[2; 32]), Flight::Lead(_)), "another proof is another matter");
        assert!(flight.has_changed().is_ok());
        drop(leads);
        assert!(flight.has_changed().is_err(), "it is over");
        assert!(flight.borrow_and_update().eq(&()));
        assert!(
            matches!(proofs.fly(&[1; 32]), Flight::Lead(_)),
            "who waited finds out where nothing came of it"
        );
    }
}
