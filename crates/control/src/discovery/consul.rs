//! Endpoints in Consul: blocking queries of its HTTP API, which answer when something has changed.

use std::sync::Arc;
use std::time::Duration;

use gateway::config::values::{HttpUrl, Secret};
use gateway::tls::ClientTls;
use http::{HeaderName, HeaderValue, Method, StatusCode};
use serde::Deserialize;

use super::Pauses;
use super::report::{Found, Report};
use crate::client::{self, Question};
use crate::plain::plain;

/// How long a query waits for a change.
const WAIT: Duration = Duration::from_mins(1);
/// How long its answer may take: Consul adds up to a sixteenth of the wait, so that not all come at once.
const PATIENCE: Duration = Duration::from_secs(60 + 60 / 16 + 10);
/// Between two queries, as Consul's documentation asks for where an index moves all the time.
const PAUSE: Duration = Duration::from_millis(100);

/// An instance of a service (`/v1/health/service/:service`), as far as it is of interest.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Instance {
    node: Node,
    service: Service,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Node {
    #[serde(default)]
    address: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Service {
    #[serde(default)]
    address: String,
    port: u16,
    weights: Option<Weights>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Weights {
    passing: u32,
}

/// The path of the query for instances of this service that pass their checks and have all these tags.
pub(super) fn path(service: &str, tags: &[String], datacenter: Option<&str>) -> String {
    let mut path = format!("/v1/health/service/{}?passing=1", encoded(service));
    for tag in tags {
        path.push_str("&tag=");
        path.push_str(&encoded(tag));
    }
    if let Some(datacenter) = datacenter {
        path.push_str("&dc=");
        path.push_str(&encoded(datacenter));
    }
    path
}

/// Asks, and asks again from where the last answer stood.
pub(super) async fn search(
    url: &HttpUrl,
    path: &str,
    token: Option<&Secret>,
    tls: Option<&Arc<ClientTls>>,
    report: &mut Report,
) {
    let mut index = 0;
    let mut pauses = Pauses::new();
    loop {
        match ask(url, path, token, tls, index).await {
            Ok((next, found)) => {
                // An index that goes backwards begins anew, as after a restore; one of 0 would not wait.
                index = if next < index { 0 } else { next.max(1) };
                if report.found(&found, true) {
                    pauses.reset();
                }
                tokio::time::sleep(PAUSE).await;
            }
            Err(why) => {
                index = 0;
                report.failed(&format!("{url}: {why}"));
                pauses.rest().await;
            }
        }
    }
}

async fn ask(
    url: &HttpUrl,
    path: &str,
    token: Option<&Secret>,
    tls: Option<&Arc<ClientTls>>,
    index: u64,
) -> Result<(u64, Vec<Found>), String> {
    let path = match index {
        0 => path.to_owned(),
        index => format!("{path}&index={index}&wait={}s", WAIT.as_secs()),
    };
    let mut question = Question::new(Method::GET, url, &path, tls);
    if let Some(token) = token {
        let mut value = HeaderValue::from_str(token.expose()).map_err(|_| "its token is no header value")?;
        value.set_sensitive(true);
        question.fields.push((HeaderName::from_static("x-consul-token"), value));
    }
    let answer = client::ask(&question, PATIENCE).await?;
    if answer.status != StatusCode::OK {
        return Err(format!("it answered {}", client::told(&answer)));
    }
    let next = answer.headers.get("x-consul-index").and_then(|index| index.to_str().ok()?.parse().ok());
    let next = next.ok_or("its answer has no X-Consul-Index")?;
    Ok((next, instances(&answer.body)?))
}

/// The endpoints that an answer lists.
pub(super) fn instances(text: &[u8]) -> Result<Vec<Found>, String> {
    let instances: Vec<Instance> = serde_json::from_slice(text)
        .map_err(|error| format!("its answer is no list of instances: {}", plain(&error.to_string())))?;
    Ok(instances.iter().map(endpoint).collect())
}

/// An instance that names no address of its own is at its node's.
fn endpoint(instance: &Instance) -> Found {
    let Service { address, port, weights } = &instance.service;
    let address = if address.is_empty() { &instance.node.address } else { address };
    let host = if address.contains(':') { format!("[{address}]") } else { address.clone() };
    let weight = weights.as_ref().map_or(1, |weights| weights.passing);
    Found { weight, ..Found::at(format!("{host}:{port}")) }
}

/// As it stands in a path or a query (RFC 3986, section 2.3).
fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_change_the_query() {
        let path = path("a/b?x", &["v2".to_owned(), "a&b".to_owned()], Some("eu west"));
        assert_eq!(path, "/v1/health/service/a%2Fb%3Fx?passing=1&tag=v2&tag=a%26b&dc=eu%20west");
    }

    #[test]
    fn an_instance_is_at_its_own_address_or_at_its_nodes() {
        let told = r#"[
            {"Node": {"Address": "10.0.0.1"}, "Service": {"Address": "", "Port": 80}},
            {"Node": {"Address": "10.0.0.1"}, "Service": {"Address": "10.9.9.9", "Port": 81, "Weights": {"Passing": 5, "Warning": 1}}},
            {"Node": {"Address": "10.0.0.1"}, "Service": {"Address": "2001:db8::1", "Port": 82}},
            {"Node": {"Address": "10.0.0.1"}, "Service": {"Address": "web.internal", "Port": 83}}
        ]"#;
        let instances = instances(told.as_bytes()).unwrap();
        let found: Vec<_> = instances.into_iter().map(|found| (found.url, found.weight)).collect();
        let expected =
            [("10.0.0.1:80", 1), ("10.9.9.9:81", 5), ("[2001:db8::1]:82", 1), ("web.internal:83", 1)];
        assert_eq!(found, expected.map(|(url, weight)| (url.to_owned(), weight)));
    }
}
