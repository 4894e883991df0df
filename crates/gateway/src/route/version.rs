//! The version of an API that a request asks for: by path, by a header, or by media type.

use http1::RequestHead;

use super::value::named;

/// Which version of an API a route belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct VersionMatch {
    /// Where a request says which version it wants.
    pub by: VersionBy,
    /// The version as the configuration names it, e.g. `v2`.
    pub version: Box<str>,
    /// Whether requests that name no version get this one.
    pub default: bool,
}

/// Where a request says which version it wants.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum VersionBy {
    /// In its path, which the route's template then holds: there is nothing else to compare.
    Path,
    /// In this header, e.g. `X-Api-Version: v2` (or `2`).
    Header(Box<str>),
    /// In `Accept`, by this media type: of `application/vnd.shop` version 2 is `application/vnd.shop.v2+json`,
    /// `application/vnd.shop+json;version=2` or `application/json;version=2`.
    MediaType(Box<str>),
}

impl VersionMatch {
    /// Whether the request asks for this version, or for none and this is the default.
    pub fn accepts(&self, head: &RequestHead) -> bool {
        match &self.by {
            VersionBy::Path => true,
            VersionBy::Header(name) => match named(&head.fields, name).next() {
                Some(wanted) => same_version(&self.version, wanted),
                None => self.default,
            },
            VersionBy::MediaType(name) => {
                let mut named_one = false;
                for range in named(&head.fields, "accept").flat_map(|accept| accept.split(',')) {
                    for wanted in media_type_versions(name, range) {
                        if same_version(&self.version, wanted) {
                            return true;
                        }
                        named_one = true;
                    }
                }
                self.default && !named_one
            }
        }
    }

    /// Whether it looks at anything beside the path.
    pub(super) fn is_condition(&self) -> bool {
        self.by != VersionBy::Path
    }
}

/// Whether two versions are the same when `v2` and `2` are.
pub fn same_version(left: &str, right: &str) -> bool {
    bare_version(left).eq_ignore_ascii_case(bare_version(right))
}

/// The versions that one media range of an `Accept` names, for the media type `of`: what stands behind its name, and its
/// `version` (or `v`) parameter. Other types have parameters of these names too (browsers send
/// `application/signed-exchange;v=b3`), so they count only where the type is this one or plain JSON.
pub fn media_type_versions<'r>(of: &str, range: &'r str) -> impl Iterator<Item = &'r str> {
    let mut parts = range.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default();
    let name = essence.rsplit_once('+').map_or(essence, |(name, _suffix)| name);
    let behind = if has_prefix(name, of) { name.get(of.len()..) } else { None };
    let in_name = behind.and_then(|rest| rest.strip_prefix(['.', '-'])).filter(|version| !version.is_empty());
    let is_ours = behind == Some("") || essence.eq_ignore_ascii_case("application/json");
    let in_parameter = parts.filter(move |_| is_ours).filter_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let name = name.trim_end();
        let is_version = name.eq_ignore_ascii_case("version") || name.eq_ignore_ascii_case("v");
        is_version.then(|| value.trim().trim_matches('"'))
    });
    in_name.into_iter().chain(in_parameter)
}

fn bare_version(text: &str) -> &str {
    let text = text.trim();
    match text.strip_prefix(['v', 'V']) {
        Some(rest) if rest.starts_with(|first: char| first.is_ascii_digit()) => rest,
        _ => text,
    }
}

fn has_prefix(text: &str, prefix: &str) -> bool {
    text.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_media_range_names_versions_of_its_own_type_only() {
        for (range, expected) in [
            ("application/vnd.shop.v2+json", vec!["v2"]),
            ("Application/vnd.Shop.V2", vec!["V2"]),
            ("application/vnd.shop-v2+json", vec!["v2"]),
            ("application/vnd.shop.2024-01-01+json", vec!["2024-01-01"]),
            ("application/vnd.shop+json; version=2; q=0.5", vec!["2"]),
            ("application/vnd.shop;v=2", vec!["2"]),
            (" application/json ; version=2 ; q=0.5", vec!["2"]),
            ("application/json;V=\"3\"", vec!["3"]),
            ("application/vnd.shop+json", vec![]),
            ("application/vnd.shop.", vec![]),
            ("application/vnd.shopping.v2+json", vec![]),
            ("application/vnd.other.v2+json", vec![]),
            ("application/vnd.other+json;version=2", vec![]),
            ("application/signed-exchange;v=b3;q=0.7", vec![]),
            ("text/plain;version=0.0.4", vec![]),
            ("application/json", vec![]),
            ("*/*", vec![]),
            ("+json", vec![]),
            ("", vec![]),
        ] {
            let versions: Vec<_> = media_type_versions("application/vnd.shop", range).collect();
            assert_eq!(versions, expected, "{range}");
        }
    }

    #[test]
    fn a_version_is_the_same_with_and_without_its_v() {
        assert!(same_version("v2", "2"));
        assert!(same_version("2", "V2"));
        assert!(same_version("2024-01-01", " 2024-01-01"));
        assert!(!same_version("v2", "v20"));
        assert!(!same_version("v2", "v"));
    }
}
