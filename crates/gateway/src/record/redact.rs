//! Queries as logs may show them.

use std::borrow::Cow;

use memchr::memchr;

use crate::route::is_named;

/// What stands in the place of a credential.
const HIDDEN: &str = "***";

/// A query without the values of these parameters; borrowed where it has none of them, which costs next to nothing where none
/// are configured.
pub fn redact<'q>(query: &'q str, secret: &[Box<str>]) -> Cow<'q, str> {
    let is_secret = |name: &str| secret.iter().any(|known| is_named(name, known));
    if secret.is_empty() || !query.split('&').any(|part| is_secret(name_of(part))) {
        return Cow::Borrowed(query);
    }
    let parts = query.split('&').map(|part| match name_of(part) {
        name if is_secret(name) => Cow::Owned(format!("{name}={HIDDEN}")),
        _ => Cow::Borrowed(part),
    });
    Cow::Owned(parts.collect::<Vec<_>>().join("&"))
}

/// The same for an address that somebody was led here by.
pub fn redact_reference<'r>(reference: &'r [u8], secret: &[Box<str>]) -> Cow<'r, [u8]> {
    let Some(place) = memchr(b'?', reference).filter(|_| !secret.is_empty()) else {
        return Cow::Borrowed(reference);
    };
    // What cannot be read may hold anything.
    let Ok(query) = std::str::from_utf8(&reference[place + 1..]) else {
        return Cow::Borrowed(&reference[..place]);
    };
    match redact(query, secret) {
        Cow::Borrowed(_) => Cow::Borrowed(reference),
        Cow::Owned(query) => Cow::Owned([&reference[..=place], query.as_bytes()].concat()),
    }
}

fn name_of(part: &str) -> &str {
    part.split('=').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_parameters_keep_their_names_alone() {
        let secret = ["api_key".into(), "token".into()];
        for (query, shown) in [
            ("", ""),
            ("a=1&b", "a=1&b"),
            ("api_key=x.y", "api_key=***"),
            ("a=1&token=x&api%5Fkey=y=z&&b=2", "a=1&token=***&api%5Fkey=***&&b=2"),
            ("a=api_key", "a=api_key"),
        ] {
            assert_eq!(redact(query, &secret), shown);
            assert_eq!(redact(query, &[]), query);
            let reference = format!("https://a.example/x?{query}");
            let shown = format!("https://a.example/x?{shown}");
            assert_eq!(redact_reference(reference.as_bytes(), &secret), shown.as_bytes());
        }
        assert_eq!(
            *redact_reference(b"https://a.example/api_key=1", &secret),
            *b"https://a.example/api_key=1"
        );
        assert_eq!(*redact_reference(b"/x?api_key=\xff", &secret), *b"/x");
    }
}
