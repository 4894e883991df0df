//! Discovery: the endpoints of a service are looked for, by one task for all workers, as long as the configuration wants it.
//!
//! What a source finds goes into the catalog, and what changes there is put in force a moment later, many changes at once. The
//! last good answer holds: neither a failure nor an empty answer takes endpoints away.

mod consul;
mod dns;
mod etcd;
mod file;
mod http;
mod list;
mod report;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gateway::config::values::EndpointUrl;
use gateway::snapshot::Snapshot;
use gateway::upstream::ServiceSpec;
use gateway::upstream::catalog::{Catalog, Sought};
use gateway::upstream::discovery::{Discovery, Source};
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use report::Report;

/// How long changes are gathered before they are put in force together.
const GATHER: Duration = Duration::from_millis(25);
/// The pause after the first failure, and the longest: each is twice as long as the one before.
const PAUSES: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));

/// The searches that run.
#[derive(Debug)]
pub struct Discoverer {
    runtime: Handle,
    catalog: Arc<Catalog>,
    /// That something was found, or that a search has failed.
    news: Arc<Notify>,
    /// That something is to be put in force.
    changes: Arc<Notify>,
    running: Mutex<HashMap<Arc<str>, Running>>,
}

#[derive(Debug)]
struct Running {
    sought: Sought,
    task: AbortHandle,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Discoverer {
    pub(crate) fn new(runtime: Handle, catalog: Arc<Catalog>) -> Self {
        Self { runtime, catalog, news: Arc::default(), changes: Arc::default(), running: Mutex::default() }
    }

    /// Begins the searches that this configuration wants beside those that run, and waits for the first answers, but no longer
    /// than this: a service should not be called before anybody knows where it is. Not on a thread of the control plane.
    pub fn prepare(&self, snapshot: &Snapshot, limit: Duration) {
        self.begin(snapshot);
        let until = Instant::now() + limit;
        self.runtime.block_on(async {
            loop {
                let news = self.news.notified();
                if wanted(snapshot).all(|(service, sought)| self.catalog.has_tried(&service.name, &sought)) {
                    return;
                }
                if tokio::time::timeout_at(until, news).await.is_err() {
                    return;
                }
            }
        });
    }

    /// Searches for what this configuration wants from now on, and for nothing else.
    pub fn apply(&self, snapshot: &Snapshot) {
        self.begin(snapshot);
        let wanted: HashMap<&str, Sought> =
            wanted(snapshot).map(|(service, sought)| (&*service.name, sought)).collect();
        self.running().retain(|service, _| wanted.contains_key(&**service));
        self.catalog.retain(|service, sought| wanted.get(service) == Some(sought));
    }

    /// Calls `publish` whenever something that was found is to be put in force, as long as the control plane lives.
    pub fn on_change(&self, publish: impl Fn() + Send + Sync + 'static) {
        let changes = Arc::clone(&self.changes);
        let publish = Arc::new(publish);
        self.runtime.spawn(async move {
            loop {
                changes.notified().await;
                tokio::time::sleep(GATHER).await;
                let publish = Arc::clone(&publish);
                // It may wait for a reload.
                let published = tokio::task::spawn_blocking(move || publish()).await;
                drop(published);
            }
        });
    }

    /// Begins what is wanted and does not run yet. What is looked for in another way than before is begun anew.
    fn begin(&self, snapshot: &Snapshot) {
        let mut running = self.running();
        for (service, sought) in wanted(snapshot) {
            let name = &service.name;
            self.catalog.expect(name, &sought, std::time::Instant::now());
            if running.get(name).is_some_and(|known| known.sought == sought) {
                continue;
            }
            let report = Report::new(
                Arc::clone(name),
                sought.clone(),
                Arc::clone(&self.catalog),
                Arc::clone(&self.news),
                Arc::clone(&self.changes),
            );
            let task = self.runtime.spawn(search(Arc::clone(&sought.discovery), report)).abort_handle();
            running.insert(Arc::clone(name), Running { sought, task });
        }
    }

    fn running(&self) -> MutexGuard<'_, HashMap<Arc<str>, Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// For the fuzzer: reads bytes as each registry's answer, where the first says in what pieces they come. Whether it makes no
/// difference.
#[doc(hidden)]
pub fn is_read_alike(bytes: &[u8]) -> bool {
    let Some((cut, text)) = bytes.split_first() else { return true };
    let lists = [list::of_json(text), consul::instances(text), list::of_value(text).map(|one| vec![one])];
    // Others wrote what they hold, and it is told to the operator.
    for found in lists.into_iter().flatten().flatten() {
        let _ = EndpointUrl::parse(&found.url);
        assert!(!crate::plain::plain(&found.url).contains(char::is_control), "it could move the cursor");
    }
    etcd::is_read_alike(text, usize::from(*cut))
}

/// The services that look for their endpoints.
fn wanted(snapshot: &Snapshot) -> impl Iterator<Item = (&Arc<ServiceSpec>, Sought)> {
    snapshot.services.iter().filter_map(|service| Some((service, Sought::by(service)?)))
}

/// Searches as long as it is wanted.
async fn search(discovery: Arc<Discovery>, mut report: Report) {
    let tls = discovery.tls.as_ref();
    match &discovery.source {
        Source::Dns { name, port, lookup } => dns::addresses(name, *port, lookup, &mut report).await,
        Source::Srv { name, lookup } => dns::services(name, lookup, &mut report).await,
        Source::File { path } => file::read(path, &mut report).await,
        Source::Etcd { urls, prefix, login } => {
            etcd::Etcd::new(urls, prefix, login.as_ref(), tls).search(&mut report).await;
        }
        Source::Consul { url, service, tags, datacenter, token } => {
            let path = consul::path(service, tags, datacenter.as_deref());
            consul::search(url, &path, token.as_ref(), tls, &mut report).await;
        }
        Source::Http { url, headers, every } => http::search(url, headers, *every, tls, &mut report).await,
    }
}

/// The pauses after failures one after another.
struct Pauses {
    next: Duration,
}

impl Pauses {
    fn new() -> Self {
        Self { next: PAUSES.0 }
    }

    /// All is well: the next failure is the first.
    fn reset(&mut self) {
        *self = Self::new();
    }

    /// Before another is asked, whose failure would not be the second of one.
    async fn breathe() {
        tokio::time::sleep(crate::checks::jitter(PAUSES.0, 0.5..=1.0)).await;
    }

    async fn rest(&mut self) {
        let pause = crate::checks::jitter(self.next, 0.5..=1.0);
        self.next = (self.next * 2).min(PAUSES.1);
        tokio::time::sleep(pause).await;
    }
}
