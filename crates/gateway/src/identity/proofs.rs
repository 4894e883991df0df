//! Proofs that a worker has verified, so that each is once: tokens, certificates, passwords, and what others say of tokens.

use std::cell::RefCell;
use std::collections::HashMap;
use std::future::Future;
use std::rc::Rc;

use aws_lc_rs::digest::{Context, SHA256};
use tokio::sync::OnceCell;

use super::{Identity, Own};
use crate::recent::Recent;

/// Proofs that a worker has verified, so that each is once: tokens, certificates and passwords. It knows the latest thousand or two; what
/// has ended is no longer one.
#[derive(Debug, Default)]
pub struct Proofs {
    right: Recent<Proof, Rc<Own>>,
    /// Apart from the right ones, which no flood of guesses is to wash away.
    wrong: Recent<Proof, &'static str>,
    /// Those that are being verified, each for all who wait for it.
    asked: RefCell<HashMap<Proof, Rc<OnceCell<Verdict>>>>,
}

/// A proof, by its digest and that of the way that it is for: what one way has verified another may not have.
pub type Proof = [u8; 32];

/// Whose proof one is, or why it is none.
pub type Verdict = Result<Rc<Own>, &'static str>;

impl Proofs {
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
        let digest = digest(way, generation, proof);
        if let Some(known) = self.right.get(&digest, now) {
            return Ok(known);
        }
        let (identity, until) = verify()?;
        let own = Rc::new(Own::new(identity, way));
        self.right.keep(digest, until, Rc::clone(&own));
        Ok(own)
    }

    /// Keeps whose proof this is until then, for a way that verifies by itself.
    pub fn keep(&self, proof: Proof, until: f64, own: Rc<Own>) {
        self.right.keep(proof, until, own);
    }

    /// What was found out about a proof, right or wrong.
    pub fn known(&self, proof: &Proof, now: f64) -> Option<Verdict> {
        let right = self.right.get(proof, now).map(Ok);
        right.or_else(|| self.wrong.get(proof, now).map(Err))
    }

    /// As `verify` finds, who is asked once however many wait for the same, and says until when that holds; or the code of why it cannot
    /// be told now. The longest of the waits is only that of who asked first, unless that one leaves.
    pub async fn found_once(
        &self,
        proof: Proof,
        verify: impl Future<Output = Result<(Verdict, f64), &'static str>>,
    ) -> Result<Verdict, &'static str> {
        let cell = Rc::clone(self.asked.borrow_mut().entry(proof).or_default());
        let asking = Asking { proofs: self, proof, cell };
        let verify = async {
            let (verdict, until) = verify.await?;
            match &verdict {
                Ok(own) => self.right.keep(proof, until, Rc::clone(own)),
                Err(code) => self.wrong.keep(proof, until, code),
            }
            Ok(verdict)
        };
        asking.cell.get_or_try_init(|| verify).await.cloned()
    }
}

/// The digest of a proof in the way of that name. What was verified by keys of another generation counts no more.
pub fn digest(way: &str, generation: u64, proof: &[u8]) -> Proof {
    let mut context = Context::new(&SHA256);
    for part in [way.as_bytes(), b"\0", &generation.to_le_bytes(), proof] {
        context.update(part);
    }
    let mut digest = [0; 32];
    digest.copy_from_slice(context.finish().as_ref());
    digest
}

/// One who waits for a verdict; the last one cleans up.
struct Asking<'p> {
    proofs: &'p Proofs,
    proof: Proof,
    cell: Rc<OnceCell<Verdict>>,
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        // The other one is the table's own.
        if Rc::strong_count(&self.cell) <= 2 {
            self.proofs.asked.borrow_mut().remove(&self.proof);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_verdict_is_found_once_for_all_who_wait_and_then_known() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (proofs, asked) = (Proofs::default(), std::cell::Cell::new(0));
        let asked = &asked;
        let found = |verdict: Result<Verdict, &'static str>, pauses: usize| async move {
            asked.set(asked.get() + 1);
            for _ in 0..pauses {
                tokio::task::yield_now().await;
            }
            verdict.map(|verdict| (verdict, 9.0))
        };
        let own = || Ok(Ok(Rc::new(Own::new(Identity::default(), "w"))));
        runtime.block_on(async {
            let right = digest("w", 0, b"ann:apple");
            let (one, other) = tokio::join!(
                proofs.found_once(right, found(own(), 3)),
                proofs.found_once(right, found(Ok(Err("never")), 0))
            );
            assert!(one.unwrap().is_ok() && other.unwrap().is_ok());
            assert!(proofs.known(&right, 8.0).unwrap().is_ok() && proofs.known(&right, 9.0).is_none());
            let wrong = digest("w", 0, b"ann:pear");
            assert!(proofs.found_once(wrong, found(Ok(Err("wrong")), 0)).await.unwrap().is_err());
            assert_eq!(proofs.known(&wrong, 8.0).unwrap().unwrap_err(), "wrong");
            assert_eq!(asked.get(), 2);
            // What cannot be told now is asked anew, by the next of those who wait.
            let (one, other) = tokio::join!(
                proofs.found_once(digest("x", 0, b""), found(Err("busy"), 3)),
                proofs.found_once(digest("x", 0, b""), found(own(), 0))
            );
            assert_eq!((one.unwrap_err(), other.unwrap().is_ok()), ("busy", true));
        });
        assert!(proofs.asked.borrow().is_empty(), "nobody waits any more");
        assert_ne!(digest("a", 0, b"b"), digest("b", 0, b"b"));
    }
}
