//! Endpoints at a URL, which is asked again and again.

use std::sync::Arc;
use std::time::Duration;

use gateway::config::values::HttpUrl;
use gateway::tls::ClientTls;
use http::header::{ACCEPT, ETAG, IF_NONE_MATCH};
use http::{HeaderName, HeaderValue, Method, StatusCode};

use super::list;
use super::report::Report;
use crate::client::{self, Question};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Asks as often as it says.
pub(super) async fn search(
    url: &HttpUrl,
    headers: &[(HeaderName, HeaderValue)],
    every: Duration,
    tls: Option<&Arc<ClientTls>>,
    report: &mut Report,
) {
    let mut tag: Option<HeaderValue> = None;
    loop {
        let mut question = Question::new(Method::GET, url, url.path(), tls);
        question.fields.push((ACCEPT, HeaderValue::from_static("application/json")));
        question.fields.extend(headers.iter().cloned());
        question.fields.extend(tag.clone().map(|tag| (IF_NONE_MATCH, tag)));
        match client::ask(&question, PATIENCE).await {
            Ok(answer) if answer.status == StatusCode::NOT_MODIFIED && tag.is_some() => {
                report.unchanged(false);
            }
            Ok(answer) if answer.status == StatusCode::OK => match list::of_json(&answer.body) {
                Ok(found) => {
                    let is_believed = report.found(&found, false);
                    tag = answer.headers.get(ETAG).filter(|_| is_believed).cloned();
                }
                Err(why) => report.failed(&why),
            },
            Ok(answer) => report.failed(&format!("{url} answered {}", answer.status)),
            Err(why) => report.failed(&format!("{url}: {why}")),
        }
        tokio::time::sleep(crate::checks::jitter(every, 0.9..=1.1)).await;
    }
}
