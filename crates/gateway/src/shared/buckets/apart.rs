//! Buckets that are in different slots of a Redis Cluster, and so cannot be looked at in one step.

use std::sync::Arc;

use futures_util::future::join_all;

use super::{Name, SharedBuckets, Unanswered, Verdict};
use crate::buckets::{Empty, Pace};

impl SharedBuckets {
    /// Takes a token of each, or of none in the end. For as long as it takes to give them back, tokens are missing that were taken beside one
    /// that was refused: never are there more than a bucket allows.
    pub(super) async fn take_apart(
        self: &Arc<Self>,
        wanted: &[(Name, Pace)],
    ) -> Result<Result<Vec<u64>, (usize, Empty)>, Unanswered> {
        let mut places: Vec<usize> = (0..wanted.len()).collect();
        places.sort_by_key(|at| wanted[*at].0.slot);
        let groups = places.chunk_by(|one, other| wanted[*one].0.slot == wanted[*other].0.slot);
        let asked = groups.map(|group| async move {
            let of: Vec<_> = group.iter().map(|at| wanted[*at]).collect();
            (group, self.ask(1, &of).await)
        });
        let (mut full_in, mut taken) = (vec![0; wanted.len()], Vec::new());
        let (mut refused, mut is_known): (Option<(usize, Empty)>, bool) = (None, true);
        for (group, verdict) in join_all(asked).await {
            match verdict {
                Ok(Verdict::Taken(_, each)) => {
                    for (at, each) in group.iter().zip(each) {
                        full_in[*at] = each;
                        taken.push(wanted[*at]);
                    }
                }
                // It is the first that speaks, as in one step.
                Ok(Verdict::Empty(at, empty)) => {
                    let at = group[at];
                    refused = refused.filter(|(first, _)| *first < at).or(Some((at, empty)));
                }
                Err(Unanswered) => is_known = false,
            }
        }
        if refused.is_none() && is_known {
            return Ok(Ok(full_in));
        }
        self.give_back(taken);
        refused.map(Err).ok_or(Unanswered)
    }
}
