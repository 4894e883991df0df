//! What a fleet shares: the connection to its Redis is made and kept here, so that workers only send and wait.

use std::time::Duration;

use gateway::shared::SharedBuckets;
use gateway::snapshot::Snapshot;
use tokio::runtime::Handle;

/// Keeps the connections that snapshots have.
#[derive(Debug)]
pub struct Sharing {
    runtime: Handle,
}

impl Sharing {
    pub(crate) fn new(runtime: Handle) -> Self {
        Self { runtime }
    }

    /// Says what is new of quotas that are shared once more, but waits no longer than this. Not on a thread of the control plane.
    pub fn settle(&self, snapshot: &Snapshot, limit: Duration) {
        if let Some(fleet) = snapshot.fleet() {
            self.runtime.block_on(async {
                // What finds no answer is in the store, or lost with the process.
                let _ = tokio::time::timeout(limit, fleet.settle(snapshot.quotas())).await;
            });
        }
    }

    /// Begins to connect where a configuration has something new to connect to, and waits for the first attempt, but no longer than
    /// this. The connection is kept as long as a snapshot has it. Not on a thread of the control plane.
    pub fn prepare(&self, snapshot: &Snapshot, limit: Duration) {
        let Some(redis) = snapshot.redis() else { return };
        if let Some(driver) = redis.driver() {
            self.runtime.spawn(driver);
        }
        if let Some(keeper) = snapshot.fleet().and_then(SharedBuckets::keeper) {
            self.runtime.spawn(keeper);
        }
        if let Some(settler) = snapshot.fleet().and_then(|fleet| fleet.settler(snapshot.quotas())) {
            self.runtime.spawn(settler);
        }
        self.runtime.block_on(async {
            // Without an answer in time, what needs it is refused until there is one.
            let _ = tokio::time::timeout(limit, redis.tried()).await;
        });
    }
}
