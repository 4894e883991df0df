//! A login on its way: what is remembered in a cookie until the provider sends the browser back.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::route::{decode_query, query_pairs};

/// Seconds that a login may take.
pub(super) const LONGEST: u64 = 600;
/// Bytes of the page's path and query that are remembered.
const LONGEST_PAGE: usize = 2000;
/// Characters of an id, and of a state without it.
const ID: usize = 11;
const SECRET: usize = 43;
/// Bytes of what a provider sends in one parameter.
const LONGEST_PARAMETER: usize = 4096;

/// A login that has begun.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Attempt {
    /// Which of the browser's it is: a part of its cookie's name.
    #[serde(rename = "i")]
    pub(super) id: String,
    /// What proves that an answer belongs to it.
    #[serde(rename = "s")]
    secret: String,
    /// What proves that a token belongs to it.
    #[serde(rename = "n")]
    pub(super) nonce: String,
    /// What proves that the code's owner asks (RFC 7636).
    #[serde(rename = "v")]
    pub(super) verifier: String,
    /// The page that was opened: path and query, never a host.
    #[serde(rename = "p")]
    pub(super) page: String,
    /// Where the provider was told to send the browser back to.
    #[serde(rename = "r")]
    pub(super) redirect: String,
    /// Seconds since the Unix epoch.
    #[serde(rename = "u")]
    pub(super) until: u64,
}

impl Attempt {
    /// One that begins now. Fails only without a source of randomness.
    pub(super) fn begin(path: &str, query: Option<&str>, redirect: String, now: u64) -> Option<Self> {
        let mut page = path.to_owned();
        if let Some(query) = query.filter(|query| path.len() + query.len() < LONGEST_PAGE) {
            page.push('?');
            page.push_str(query);
        }
        if page.len() > LONGEST_PAGE || !page.starts_with('/') {
            "/".clone_into(&mut page);
        }
        Some(Self {
            id: random::<8>()?,
            secret: random::<32>()?,
            nonce: random::<32>()?,
            verifier: random::<32>()?,
            page,
            redirect,
            until: now + LONGEST,
        })
    }

    /// What the provider gives back.
    pub(super) fn state(&self) -> String {
        format!("{}{}", self.id, self.secret)
    }

    /// What the provider compares the verifier with (RFC 7636, section 4.2).
    pub(super) fn challenge(&self) -> String {
        URL_SAFE_NO_PAD.encode(digest(&SHA256, self.verifier.as_bytes()))
    }

    /// Whether an answer with this state is to it, and in time.
    pub(super) fn is_answered_by(&self, state: &str, now: u64) -> bool {
        verify_slices_are_equal(self.state().as_bytes(), state.as_bytes()).is_ok() && now < self.until
    }
}

/// The id within a state.
pub(super) fn id_of(state: &str) -> Option<&str> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (state.len() == ID + SECRET && state.bytes().all(is_plain)).then(|| &state[..ID])
}

/// What the provider says when it sends a browser back (RFC 6749, section 4.1.2, and RFC 9207).
#[derive(Debug, Default, PartialEq)]
pub(super) struct Returned {
    pub(super) state: Option<String>,
    pub(super) code: Option<String>,
    pub(super) error: Option<String>,
    pub(super) issuer: Option<String>,
}

impl Returned {
    /// Reads a query; nothing where something stands there twice (RFC 6749, section 3.1) or is too long.
    pub(super) fn read(query: &str) -> Option<Self> {
        let mut returned = Self::default();
        let mut scratch = Vec::new();
        for (name, value) in query_pairs(query) {
            let place = match name {
                "state" => &mut returned.state,
                "code" => &mut returned.code,
                "error" => &mut returned.error,
                "iss" => &mut returned.issuer,
                _ => continue,
            };
            let value = decode_query(value, &mut scratch);
            if value.len() > LONGEST_PARAMETER || place.replace(value.into_owned()).is_some() {
                return None;
            }
        }
        Some(returned)
    }
}

/// So many random bytes, in letters.
fn random<const N: usize>() -> Option<String> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).ok()?;
    Some(URL_SAFE_NO_PAD.encode(bytes))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const NOW: u64 = 1_700_000_000;

    fn begin(path: &str, query: Option<&str>) -> Attempt {
        Attempt::begin(path, query, "https://app.example.com/callback".into(), NOW).unwrap()
    }

    #[test]
    fn an_answer_belongs_to_one_login_and_comes_in_time() {
        let (one, other) = (begin("/", None), begin("/", None));
        let state = one.state();
        assert_eq!(id_of(&state), Some(one.id.as_str()));
        assert!(one.is_answered_by(&state, NOW + 599));
        assert!(!one.is_answered_by(&state, NOW + 600));
        assert!(!other.is_answered_by(&state, NOW));
        assert!(!one.is_answered_by(&state[..state.len() - 1], NOW));
        assert!(!one.is_answered_by("", NOW));
        assert!(one.challenge() != other.challenge() && one.nonce != other.nonce);
    }

    #[test]
    fn the_challenge_agrees_with_the_rfcs_example() {
        // RFC 7636, appendix B.
        let attempt =
            Attempt { verifier: "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".into(), ..begin("/", None) };
        assert_eq!(attempt.challenge(), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }

    #[test]
    fn a_page_is_a_path_of_some_length() {
        let long = "x".repeat(LONGEST_PAGE);
        for (path, query, page) in [
            ("/a/b", None, "/a/b"),
            ("/a", Some("b=1&c"), "/a?b=1&c"),
            ("/a", Some(""), "/a?"),
            ("/a", Some(long.as_str()), "/a"),
            (&format!("/{long}"), None, "/"),
            ("*", None, "/"),
            ("", None, "/"),
        ] {
            assert_eq!(begin(path, query).page, page);
        }
    }

    #[test]
    fn nothing_is_read_of_a_query_that_says_something_twice() {
        let returned = Returned::read("code=a%2Fb&state=s&x=1&iss=https%3A%2F%2Fid.example.com%2F").unwrap();
        assert_eq!(returned.code.as_deref(), Some("a/b"));
        assert_eq!(returned.issuer.as_deref(), Some("https://id.example.com/"));
        assert_eq!(Returned::read("state=a&state=b"), None);
        assert_eq!(Returned::read(&format!("code={}", "x".repeat(5000))), None);
        for state in ["", "short", &"a".repeat(ID + SECRET + 1), &format!("{};", "a".repeat(ID + SECRET - 1))]
        {
            assert_eq!(id_of(state), None, "{state}");
        }
    }
}
