//! An issuer whose tokens others than `jwt` verify, and what it says of itself.

use std::sync::Arc;

use super::key_set::{Description, KeySet, Missing};
use super::token::{Demands, KEY_UNKNOWN, Verified, key_name};
use crate::clock;

/// An issuer of tokens, and what they must be.
#[derive(Debug)]
pub struct Issuer {
    keys: Arc<KeySet>,
    demands: Demands,
}

/// Why a token counts for nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unverified {
    /// It is not what it must be; the code says why.
    Wrong(&'static str),
    /// The issuer's keys are not known, and it does not answer.
    Unavailable,
}

impl Issuer {
    /// One whose keys are in that set.
    pub fn new(keys: Arc<KeySet>, demands: Demands) -> Self {
        Self { keys, demands }
    }

    /// What it says of itself, once it has; it may take a while.
    pub async fn description(&self) -> Option<Arc<Description>> {
        self.keys.look_for_description().await
    }

    /// What it says of itself, if it has already.
    pub fn known_description(&self) -> Option<Arc<Description>> {
        self.keys.description()
    }

    /// Verifies a token; a key that is new is waited for.
    pub async fn verify(&self, token: &[u8]) -> Result<Verified, Unverified> {
        let verify = || {
            let now = clock::unix_ms() as f64 / 1000.0;
            self.demands.verify(token, &self.keys.known().keys, now)
        };
        let known = match verify() {
            Err(KEY_UNKNOWN) => {
                let name = key_name(token);
                match self.keys.look_for(&name).await {
                    Ok(()) => {}
                    Err(Missing::Unknown) => return Err(Unverified::Wrong(KEY_UNKNOWN)),
                    Err(Missing::Unavailable) => return Err(Unverified::Unavailable),
                }
                let result = verify();
                if matches!(result, Err(KEY_UNKNOWN)) {
                    self.keys.note_absent(&name);
                }
                result
            }
            known => known,
        };
        known.map_err(Unverified::Wrong)
    }
}
