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
    /// In `Accept`: `application/vnd.shop.v2+json` or `application/json;version=2`.
    MediaType,
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
            VersionBy::MediaType => {
                let mut named_one = false;
                for range in named(&head.fields, "accept").flat_map(|accept| accept.split(',')) {
                    for wanted in media_type_versions(range) {
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

/// The versions that one media range of an `Accept` names: its `version` (or `v`) parameter, and those parts
/// of a vendor type (`vnd.shop.v2`) that are a `v` and a number.
pub fn media_type_versions(range: &str) -> impl Iterator<Item = &str> {
    let mut parts = range.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default();
    let subtype = essence.split_once('/').map_or("", |(_, subtype)| subtype);
    let vendor = subtype.split('+').next().filter(|name| has_prefix(name, "vnd.")).unwrap_or_default();
    let in_name = vendor.split(['.', '-']).skip(1).filter(|part| {
        has_prefix(part, "v") && part.len() > 1 && part[1..].bytes().all(|byte| byte.is_ascii_digit())
    });
    let in_parameter = parts.filter_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let name = name.trim_end();
        let is_version = name.eq_ignore_ascii_case("version") || name.eq_ignore_ascii_case("v");
        is_version.then(|| value.trim().trim_matches('"'))
    });
    in_name.chain(in_parameter)
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
    fn a_media_range_names_versions_in_its_vendor_type_or_a_parameter() {
        for (range, expected) in [
            ("application/vnd.shop.v2+json", vec!["v2"]),
            ("application/vnd.shop-v2+json", vec!["v2"]),
            (" application/json ; version=2 ; q=0.5", vec!["2"]),
            ("application/json;V=\"3\"", vec!["3"]),
            ("application/json", vec![]),
            ("application/vnd.v8engine+json", vec![]),
            ("application/v2", vec![]),
            ("*/*", vec![]),
            ("", vec![]),
        ] {
            assert_eq!(media_type_versions(range).collect::<Vec<_>>(), expected, "{range}");
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
