//! What all workers know of logins: sessions that are renewed at this moment or were just now, and logins that are done.
//!
//! Providers give a refresh token that counts once, and take the whole session back where it is used again. A browser sends several
//! requests at once, all with the same one: the first asks, and the others get what it got.

use std::collections::HashMap;
use std::future::Future;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::session::Session;
use crate::clock;

/// Seconds that a renewed session is kept for requests that were on their way with the old one.
const KEPT: u64 = 120;
/// Seconds until a provider that could not be reached is asked again for the same session.
const PAUSE: u64 = 10;
/// Entries of each kind.
const MOST: usize = 10_000;

/// What came of asking for new tokens.
#[derive(Debug, Clone)]
pub(super) enum Renewed {
    /// They are there.
    Session(Arc<Session>),
    /// The provider gives none: the session is over.
    Over,
    /// It could not be asked.
    Later,
}

/// What is known of logins in the whole process.
#[derive(Debug, Default)]
pub struct Logins {
    renewals: Mutex<Expiring<[u8; 32], watch::Receiver<Option<Renewed>>>>,
    done: Mutex<Expiring<Box<str>, ()>>,
}

/// Entries that are forgotten at their time, in seconds since the Unix epoch.
#[derive(Debug)]
struct Expiring<K, V>(HashMap<K, (u64, V)>);

impl<K, V> Default for Expiring<K, V> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Eq + Hash, V> Expiring<K, V> {
    fn get(&self, key: &K, now: u64) -> Option<&V> {
        self.0.get(key).filter(|(until, _)| now < *until).map(|(_, value)| value)
    }

    /// Whether there was room for it.
    fn put(&mut self, key: K, value: V, until: u64, now: u64) -> bool {
        if self.0.len() >= MOST {
            self.0.retain(|_, (until, _)| now < *until);
        }
        let has_room = self.0.len() < MOST;
        if has_room {
            self.0.insert(key, (until, value));
        }
        has_room
    }
}

impl Logins {
    /// Whether the login with this state is the first to be done. A state counts once, until then.
    pub(super) fn is_first(&self, state: &str, until: u64, now: u64) -> bool {
        let mut done = lock(&self.done);
        done.get(&state.into(), now).is_none() && done.put(state.into(), (), until, now)
    }

    /// What comes of asking with this refresh token, known by its digest: `ask` is run at most once, and to its end, whoever waits.
    pub(super) async fn renew<F: Future<Output = Renewed> + 'static>(
        self: &Arc<Self>,
        digest: [u8; 32],
        ask: impl FnOnce() -> F,
    ) -> Renewed {
        let now = clock::unix_seconds();
        let mut outcome = {
            let mut renewals = lock(&self.renewals);
            if let Some(known) = renewals.get(&digest, now) {
                known.clone()
            } else {
                let (told, outcome) = watch::channel(None);
                if !renewals.put(digest, outcome.clone(), now + KEPT, now) {
                    return Renewed::Later;
                }
                let (logins, asked) = (Arc::clone(self), ask());
                // Not by the request: were its client to leave, the new token would be lost, and the old one is spent.
                tokio::task::spawn_local(async move {
                    let renewed = asked.await;
                    logins.settle(&digest, &renewed);
                    // Nobody may wait any more.
                    let _ = told.send(Some(renewed));
                });
                outcome
            }
        };
        match outcome.wait_for(Option::is_some).await {
            Ok(renewed) => renewed.clone().unwrap_or(Renewed::Later),
            Err(_) => Renewed::Later,
        }
    }

    /// How long what came of it holds.
    fn settle(&self, digest: &[u8; 32], renewed: &Renewed) {
        let now = clock::unix_seconds();
        if let Some((until, _)) = lock(&self.renewals).0.get_mut(digest) {
            *until = now + if matches!(renewed, Renewed::Later) { PAUSE } else { KEPT };
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::cell::Cell;
    use std::rc::Rc;

    use tokio::task::LocalSet;

    use super::*;

    fn run<F: Future>(future: F) -> F::Output {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        LocalSet::new().block_on(&runtime, future)
    }

    #[test]
    fn requests_that_come_together_ask_once_and_those_that_come_late_get_the_same() {
        let (logins, asked) = (Arc::new(Logins::default()), Rc::new(Cell::new(0)));
        let ask = || {
            let asked = Rc::clone(&asked);
            async move {
                asked.set(asked.get() + 1);
                tokio::task::yield_now().await;
                Renewed::Over
            }
        };
        run(async {
            let (one, other) = tokio::join!(logins.renew([1; 32], ask), logins.renew([1; 32], ask));
            assert!(matches!((one, other), (Renewed::Over, Renewed::Over)));
            logins.renew([1; 32], ask).await;
            assert_eq!(asked.get(), 1);
            logins.renew([2; 32], ask).await;
            assert_eq!(asked.get(), 2);
        });
    }

    #[test]
    fn who_asked_may_leave() {
        let logins = Arc::new(Logins::default());
        run(async {
            let (go, gone) = tokio::sync::oneshot::channel::<()>();
            {
                let leaving = logins.renew([1; 32], || async {
                    let _ = gone.await;
                    Renewed::Over
                });
                tokio::pin!(leaving);
                assert!(tokio::time::timeout(std::time::Duration::ZERO, &mut leaving).await.is_err());
            }
            go.send(()).unwrap();
            let later = logins.renew([1; 32], || async { unreachable!() }).await;
            assert!(matches!(later, Renewed::Over));
        });
    }

    #[test]
    fn a_login_is_done_once() {
        let logins = Logins::default();
        assert!(logins.is_first("a", 100, 10));
        assert!(!logins.is_first("a", 100, 11));
        assert!(logins.is_first("b", 100, 11));
    }
}
