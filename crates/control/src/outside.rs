//! Asks, for the workers, those who know callers; and fetches the keys that issuers of tokens publish.

use std::sync::Arc;
use std::time::{Duration, Instant};

use gateway::notice::notice;
use gateway::outside::{Answer, Inquiry, Peer};
use gateway::policies::identify::jwt::{COOLDOWN, Description, KeySet, KeySource, PATIENCE};
use gateway::snapshot::Snapshot;
use http::header::ACCEPT;
use http::{HeaderValue, Method, StatusCode};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc};

use crate::client::{Pool, Question};
use crate::plain::plain;

/// Questions that are asked at once.
const MOST_AT_ONCE: usize = 1024;
/// Bytes of an answer.
const MOST_BODY: usize = 1024 * 1024;
/// The pause after the first failure to fetch keys, and the longest.
const PAUSES: (Duration, Duration) = (COOLDOWN, Duration::from_secs(30));

/// Talks to those who know callers.
#[derive(Clone)]
pub struct Envoy {
    runtime: Handle,
    pool: Arc<Pool>,
}

impl Envoy {
    pub(crate) fn new(runtime: Handle) -> Self {
        Self { runtime, pool: Arc::default() }
    }

    /// Asks what the workers of this snapshot, and of all that follow it, want to know; and fetches the keys that it verifies
    /// tokens by. To be called for each snapshot.
    pub fn serve(&self, snapshot: &Snapshot) {
        if let Some(inbox) = snapshot.outside.take_inbox() {
            self.runtime.spawn(answer_all(inbox, Arc::clone(&self.pool)));
        }
        for set in snapshot.key_sets.all() {
            if set.is_mine_to_keep() {
                self.runtime.spawn(keep(Arc::downgrade(&set), Arc::clone(&self.pool)));
            }
        }
    }
}

async fn answer_all(mut inbox: mpsc::Receiver<Inquiry>, pool: Arc<Pool>) {
    let places = Arc::new(Semaphore::new(MOST_AT_ONCE));
    while let Some(Inquiry { question, mut reply }) = inbox.recv().await {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let pool = Arc::clone(&pool);
        tokio::spawn(async move {
            let peer = &question.peer;
            let path = question.path.as_deref().unwrap_or(peer.url.path());
            let mut asked = Question::new(question.method.clone(), &peer.url, path, peer.tls.as_ref());
            asked.fields = question.fields;
            asked.body = question.body;
            let answer = tokio::select! {
                answer = pool.ask(&asked, MOST_BODY, question.patience) => answer,
                // Nobody waits for it any more.
                () = reply.closed() => return,
            };
            // The same.
            let _ = reply.send(answer);
            drop(place);
        });
    }
}

/// Fetches the keys of an issuer as long as a snapshot uses them.
async fn keep(set: std::sync::Weak<KeySet>, pool: Arc<Pool>) {
    let mut pause = PAUSES.0;
    loop {
        let Some(held) = set.upgrade() else { return };
        let source = held.source().clone();
        let fetched = fetch(&held, &source, &pool).await.and_then(|text| held.answered(&text));
        let url = &source.peer.url;
        let wait = match fetched {
            Ok(is_new) => {
                if is_new {
                    notice(format_args!("{url}: {} keys to verify tokens by", held.count()));
                }
                pause = PAUSES.0;
                source.refresh
            }
            Err(why) => {
                if held.failed(Instant::now()) {
                    let kept = held.count();
                    notice(format_args!("{url}: no new keys to verify tokens by, {kept} are known: {why}"));
                }
                let wait = pause;
                pause = (pause * 2).min(PAUSES.1);
                wait
            }
        };
        drop(held);
        tokio::time::sleep(COOLDOWN).await;
        let rest = crate::checks::jitter(wait, 0.9..=1.0).saturating_sub(COOLDOWN);
        let until = tokio::time::Instant::now() + rest;
        // Short looks, so that a set that is used no longer does not stay for its next turn.
        while tokio::time::Instant::now() < until {
            let Some(held) = set.upgrade() else { return };
            let look = until.min(tokio::time::Instant::now() + Duration::from_secs(5));
            if tokio::time::timeout_at(look, held.wanted()).await.is_ok() {
                break;
            }
        }
    }
}

async fn fetch(set: &KeySet, source: &KeySource, pool: &Pool) -> Result<Vec<u8>, String> {
    let Some(issuer) = &source.issuer else {
        return Ok(get(&source.peer, pool).await?.body.to_vec());
    };
    let description = get(&source.peer, pool).await?;
    let description: Description = serde_json::from_slice(&description.body)
        .map_err(|error| format!("its answer describes no issuer: {}", plain(&error.to_string())))?;
    // Whoever describes another issuer may not vouch for this one (OpenID Connect Discovery 1.0, section 4.3).
    if *description.issuer != **issuer {
        return Err(format!("it describes another issuer: {}", plain(&description.issuer)));
    }
    let url = source.peer.trusted(&description.jwks_uri)?;
    set.described(description);
    let peer = Peer { url, tls: source.peer.tls.clone() };
    Ok(get(&peer, pool).await?.body.to_vec())
}

async fn get(peer: &Peer, pool: &Pool) -> Result<Answer, String> {
    let mut question = Question::new(Method::GET, &peer.url, peer.url.path(), peer.tls.as_ref());
    question.fields.push((ACCEPT, HeaderValue::from_static("application/json")));
    let answer = pool.ask(&question, MOST_BODY, PATIENCE).await?;
    if answer.status == StatusCode::OK { Ok(answer) } else { Err(format!("it answered {}", answer.status)) }
}
