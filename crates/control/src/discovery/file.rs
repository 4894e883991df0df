//! Endpoints in a file, which is looked at a few times a second as the configuration is.

use std::path::Path;
use std::time::Duration;

use super::list;
use super::report::Report;
use crate::reload::Watch;

/// How often the file is looked at. A change is taken when two looks in a row find the same.
const EVERY: Duration = Duration::from_millis(250);

/// Reads the file whenever it has changed.
pub(super) async fn read(path: &Path, report: &mut Report) {
    let mut watch = Watch::default();
    watch.extend([path.to_owned()]);
    loop {
        let file = path.to_owned();
        // A file system may hang, and must not hold up what else the control plane does.
        let read = tokio::task::spawn_blocking(move || list::of_file(&file)).await;
        match read.unwrap_or_else(|_| Err("reading it panicked; this is a fault of Tollgate".to_owned())) {
            Ok(found) => {
                report.found(&found, true);
            }
            Err(why) => report.failed(&why),
        }
        let Some(changed) = until_changed(watch).await else { return };
        watch = changed;
    }
}

async fn until_changed(mut watch: Watch) -> Option<Watch> {
    loop {
        tokio::time::sleep(EVERY).await;
        let looked = tokio::task::spawn_blocking(move || {
            let is_changed = watch.has_settled_change();
            (watch, is_changed)
        });
        let (seen, is_changed) = looked.await.ok()?;
        if is_changed {
            return Some(seen);
        }
        watch = seen;
    }
}
