//! An issuer whose tokens others than `jwt` verify, and what it says of itself.

use std::sync::Arc;

use super::key_set::{Description, KeySet, Unverified};
use super::token::{Demands, KEY_UNKNOWN, Verified};
use crate::clock;

/// An issuer of tokens, and what they must be.
#[derive(Debug)]
pub struct Issuer {
    keys: Arc<KeySet>,
    demands: Demands,
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
        match verify() {
            Err(KEY_UNKNOWN) => self.keys.verify_anew(token, verify).await,
            known => known.map_err(Unverified::Wrong),
        }
    }
}
