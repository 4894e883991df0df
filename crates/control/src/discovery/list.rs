//! Endpoints as sources write them down: a URL, or a map with `url` and `weight`; a list of them; a YAML file.

use std::path::Path;

use gateway::config;
use serde::Deserialize;

use super::report::{Found, MAX_WEIGHT};
use crate::plain::plain;

/// One endpoint in JSON.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Url(String),
    Map { url: String, weight: Option<u32> },
}

impl From<Written> for Found {
    fn from(written: Written) -> Self {
        match written {
            Written::Url(url) => Self::at(url),
            Written::Map { url, weight } => {
                Self { weight: weight.unwrap_or(1).min(MAX_WEIGHT), ..Self::at(url) }
            }
        }
    }
}

/// A list in JSON.
pub(super) fn of_json(text: &[u8]) -> Result<Vec<Found>, String> {
    let list: Vec<Written> = serde_json::from_slice(text)
        .map_err(|error| format!("its answer is no list of endpoints: {}", plain(&error.to_string())))?;
    Ok(list.into_iter().map(Found::from).collect())
}

/// One endpoint: JSON, or the URL alone.
pub(super) fn of_value(value: &[u8]) -> Result<Found, String> {
    let text = std::str::from_utf8(value).map_err(|_| "it is no text")?.trim();
    if text.starts_with(['{', '"']) {
        let written: Written = serde_json::from_str(text).map_err(|error| error.to_string())?;
        return Ok(written.into());
    }
    Ok(Found::at(text))
}

/// A YAML file with a list as under `endpoints`; what is wrong with it as the operator reads it of the configuration.
pub(super) fn of_file(path: &Path) -> Result<Vec<Found>, String> {
    let endpoints = config::load_endpoints(path).map_err(|faults| faults.render(false))?;
    let found = endpoints
        .into_iter()
        .map(|endpoint| Found { weight: endpoint.weight, ..Found::at(endpoint.url.value.to_string()) });
    Ok(found.collect())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_a_url_or_a_map() {
        for (value, url, weight) in [
            ("http://10.0.0.1:80", "http://10.0.0.1:80", 1),
            (" 10.0.0.1:80\n", "10.0.0.1:80", 1),
            (r#"{"url": "http://a:1", "weight": 5, "zone": "b"}"#, "http://a:1", 5),
            (r#"{"url": "http://a:1"}"#, "http://a:1", 1),
            (r#""http://a:1""#, "http://a:1", 1),
            (r#"{"url": "http://a:1", "weight": 4000000000}"#, "http://a:1", 1000),
        ] {
            let found = of_value(value.as_bytes()).unwrap();
            assert_eq!((found.url.as_str(), found.weight), (url, weight), "{value}");
        }
        for value in [&b"{"[..], b"{}", b"{\"url\": 1}", b"{\"url\": \"a\", \"weight\": -1}", b"\xff"] {
            assert!(of_value(value).is_err(), "{value:?}");
        }
    }

    #[test]
    fn a_list_is_whole_or_nothing() {
        let list = of_json(br#"["http://a:1", {"url": "http://b:1", "weight": 0}]"#).unwrap();
        assert_eq!(list.iter().map(|one| one.weight).collect::<Vec<_>>(), [1, 0]);
        for text in ["", "{}", "[1]", "[\"http://a:1\",", "null", "<html>"] {
            assert!(of_json(text.as_bytes()).is_err(), "{text}");
        }
    }
}
