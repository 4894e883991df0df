//! Limits that are in different slots of a Redis Cluster, or in one that is just moving, and so cannot be looked at in one step.

use std::sync::Arc;

use futures_util::future::join_all;

use super::{Granted, NotRun, Rest, SharedBuckets, Unanswered, Verdict, Wanted};
use crate::buckets::Empty;

impl SharedBuckets {
    /// Takes of each, or of none in the end. For as long as it takes to give back, it is missing what was taken beside one that was refused:
    /// never is there more than a limit allows.
    pub(super) async fn take_apart(
        self: &Arc<Self>,
        wanted: &[Wanted],
    ) -> Result<Result<Granted, (usize, Empty)>, Unanswered> {
        let mut places: Vec<usize> = (0..wanted.len()).collect();
        places.sort_by_key(|at| wanted[*at].name.slot);
        let groups = places.chunk_by(|one, other| wanted[*one].name.slot == wanted[*other].name.slot);
        let asked = groups.map(|group| self.ask_in_one(wanted, group));
        let (mut rest, mut taken) = (vec![None::<Rest>; wanted.len()], Vec::new());
        let mut refused: Option<(usize, Empty)> = None;
        for (group, verdict) in join_all(asked).await.into_iter().flatten() {
            match verdict {
                Ok(Verdict::Granted(granted)) => {
                    for (at, each) in group.iter().zip(granted.rest) {
                        rest[*at] = each;
                        taken.extend(each.map(|each| (wanted[*at], each.at)));
                    }
                }
                // It is the first that speaks, as in one step.
                Ok(Verdict::Empty(at, empty)) => {
                    let at = group[at];
                    refused = refused.filter(|(first, _)| *first < at).or(Some((at, empty)));
                }
                Err(_) => {}
            }
        }
        match refused {
            None if taken.is_empty() => Err(Unanswered),
            None => Ok(Ok(Granted { requests: 1, rest })),
            Some(empty) => {
                self.give_back(taken);
                Ok(Err(empty))
            }
        }
    }

    /// Asks for those at these places, which are in one slot: in one step, or each by itself where the slot is just moving, as each is
    /// wholly here or there.
    async fn ask_in_one<'p>(
        &self,
        wanted: &[Wanted],
        places: &'p [usize],
    ) -> Vec<(&'p [usize], Result<Verdict, NotRun>)> {
        let ask = async |places: &'p [usize]| {
            let of: Vec<_> = places.iter().map(|at| wanted[*at]).collect();
            (places, self.ask(1, &of).await)
        };
        match ask(places).await {
            (_, Err(NotRun::HalfMoved)) => join_all(places.chunks(1).map(ask)).await,
            answered => vec![answered],
        }
    }
}
