//! Turns at long computations: a few at once in the whole process, however many workers ask, and a bounded number who wait.

use std::sync::Arc;
use std::thread::available_parallelism;

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

/// Who may compute, and who may wait for it.
#[derive(Debug)]
pub struct Turns {
    running: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
}

/// More at once would leave a worker no thread to look names up on.
const MOST_AT_ONCE: usize = 8;
/// Who waits for each of them: with a tenth of a second for each, the last one waits some three seconds.
const WAITING: usize = 32;

impl Default for Turns {
    /// Half of the machine.
    fn default() -> Self {
        let cores = available_parallelism().map_or(1, usize::from);
        Self::new((cores / 2).clamp(1, MOST_AT_ONCE))
    }
}

impl Turns {
    fn new(at_once: usize) -> Self {
        Self {
            running: Arc::new(Semaphore::new(at_once)),
            waiting: Arc::new(Semaphore::new(at_once * WAITING)),
        }
    }

    /// Computes away from the thread that asks, when its turn has come; nothing comes of it where too many wait.
    pub async fn compute<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let place = self.waiting.try_acquire().ok()?;
        let turn = Arc::clone(&self.running).acquire_owned().await.ok()?;
        drop(place);
        // The turn ends with the work, also where nobody waits for it any more.
        let computed = spawn_blocking(move || {
            let result = work();
            drop(turn);
            result
        });
        computed.await.ok()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::Mutex;
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn few_compute_at_once_and_too_many_are_sent_away() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let turns = Arc::new(Turns::new(1));
            let (release, released) = mpsc::channel::<()>();
            let (begin, begun) = tokio::sync::oneshot::channel();
            let released = Mutex::new(released);
            let first = tokio::spawn({
                let turns = Arc::clone(&turns);
                async move {
                    let work = move || {
                        let _ = begin.send(());
                        released.lock().unwrap().recv().is_ok()
                    };
                    turns.compute(work).await
                }
            });
            begun.await.unwrap();
            let waiting: Vec<_> = (0..WAITING)
                .map(|number| {
                    let turns = Arc::clone(&turns);
                    tokio::spawn(async move { turns.compute(move || number).await })
                })
                .collect();
            while turns.waiting.available_permits() > 0 {
                tokio::task::yield_now().await;
            }
            assert_eq!(turns.compute(|| ()).await, None);
            // One who leaves makes room.
            waiting[0].abort();
            while turns.waiting.available_permits() == 0 {
                tokio::task::yield_now().await;
            }
            release.send(()).unwrap();
            assert_eq!(first.await.unwrap(), Some(true));
            for (number, task) in waiting.into_iter().enumerate().skip(1) {
                assert_eq!(task.await.unwrap(), Some(number));
            }
            assert_eq!(turns.compute(|| 7).await, Some(7));
        });
    }
}
