//! The cookies of a way: their names, how large values are cut, and how they are taken out of requests.

use std::borrow::Cow;
use std::fmt::Write as _;

use http1::{Fields, Known, RequestHead, is_token};

use crate::config::{LoginCookie, SameSite};

/// Bytes of a value: with name and attributes a cookie stays below the 4096 that browsers take.
const LONGEST: usize = 3500;
/// Cookies that one session is spread over. Requests with more would be refused for the size of their head.
const MOST: usize = 4;
/// Cookies of ours in a request that are looked at.
const MOST_SEEN: usize = 64;

/// The names and attributes of a way's cookies.
#[derive(Debug)]
pub(super) struct Cookies {
    /// The session's name under https, and without.
    names: (Box<str>, Box<str>),
    /// The name of what the logout needs, and the one path that it is sent to; as that is not `/`, the name cannot begin with `__Host-`.
    hint: Box<str>,
    logout: Option<Box<str>>,
    domain: Option<Box<str>>,
    same_site: SameSite,
}

impl Cookies {
    pub(super) fn new(config: &LoginCookie, logout: Option<&str>) -> Self {
        let (secure, plain) = config.names();
        Self {
            names: (secure.into(), plain.into()),
            hint: format!("{}-hint", plain.strip_prefix("__Host-").unwrap_or(plain)).into(),
            logout: logout.map(Into::into),
            domain: config.domain.as_deref().map(Into::into),
            same_site: config.same_site,
        }
    }

    fn name(&self, is_secure: bool) -> &str {
        if is_secure { &self.names.0 } else { &self.names.1 }
    }

    /// The session that a request brings, as it was closed.
    pub(super) fn session<'f>(&self, fields: &'f Fields, is_secure: bool) -> Option<Cow<'f, [u8]>> {
        let name = self.name(is_secure).as_bytes();
        let first = value(fields, name)?;
        // Cut into pieces it begins with their number: more of them may be left over from a larger one.
        let [digit @ b'2'..=b'9', b'.', piece @ ..] = first else { return Some(Cow::Borrowed(first)) };
        let count = usize::from(digit - b'0').min(MOST);
        let mut whole = piece.to_vec();
        for number in 1..count {
            whole.extend_from_slice(value(fields, format!("{}.{number}", self.name(is_secure)).as_bytes())?);
        }
        Some(Cow::Owned(whole))
    }

    /// What sets the session; nothing where it is too large.
    pub(super) fn set_session(&self, closed: &str, is_secure: bool) -> Option<Vec<String>> {
        let name = self.name(is_secure);
        if closed.len() <= LONGEST {
            return Some(vec![self.set(name, closed, None, self.same_site, is_secure)]);
        }
        let pieces: Vec<&[u8]> = closed.as_bytes().chunks(LONGEST).collect();
        let count = pieces.len();
        (count <= MOST).then(|| {
            let set = |(number, piece): (usize, &&[u8])| {
                let piece = String::from_utf8_lossy(piece);
                let (name, value) = match number {
                    0 => (name.to_owned(), format!("{count}.{piece}")),
                    _ => (format!("{name}.{number}"), piece.into_owned()),
                };
                self.set(&name, &value, None, self.same_site, is_secure)
            };
            pieces.iter().enumerate().map(set).collect()
        })
    }

    /// What a request brings for the login of this id, as it was closed.
    pub(super) fn attempt<'f>(&self, fields: &'f Fields, id: &str, is_secure: bool) -> Option<&'f [u8]> {
        value(fields, self.attempt_name(id, is_secure).as_bytes())
    }

    /// What remembers a login for so many seconds. It has to come along when the provider sends the browser back.
    pub(super) fn set_attempt(&self, id: &str, closed: &str, seconds: u64, is_secure: bool) -> String {
        self.set(&self.attempt_name(id, is_secure), closed, Some(seconds), SameSite::Lax, is_secure)
    }

    /// What forgets it.
    pub(super) fn clear_attempt(&self, id: &str, is_secure: bool) -> String {
        self.set(&self.attempt_name(id, is_secure), "", Some(0), SameSite::Lax, is_secure)
    }

    /// What a request brings to the logout, as it was closed.
    pub(super) fn hint<'f>(&self, fields: &'f Fields) -> Option<&'f [u8]> {
        value(fields, self.hint.as_bytes())
    }

    /// What keeps this for the logout, or forgets what was kept, where there is nothing or too much; nothing without a logout.
    pub(super) fn set_hint(&self, closed: Option<&str>, is_secure: bool) -> Option<String> {
        let path = self.logout.as_deref()?;
        let (value, seconds) = match closed.filter(|closed| closed.len() <= LONGEST) {
            Some(closed) => (closed, None),
            None => ("", Some(0)),
        };
        Some(self.set_at(path, &self.hint, value, seconds, self.same_site, is_secure))
    }

    /// What forgets the logins that a request brings, once they are so many.
    pub(super) fn clear_attempts(&self, fields: &Fields, most: usize, is_secure: bool) -> Vec<String> {
        let prefix = self.attempt_name("", is_secure);
        let begun: Vec<&str> =
            self.seen(fields, is_secure).filter(|name| name.starts_with(&prefix)).collect();
        if begun.len() < most {
            return Vec::new();
        }
        begun.iter().map(|name| self.set(name, "", Some(0), SameSite::Lax, is_secure)).collect()
    }

    /// What forgets all that a request brings of ours.
    pub(super) fn clear_all(&self, fields: &Fields, is_secure: bool) -> Vec<String> {
        let names = self.seen(fields, is_secure);
        let cleared = names.map(|name| self.set(name, "", Some(0), self.same_site, is_secure));
        cleared.chain(self.hint(fields).and_then(|_| self.set_hint(None, is_secure))).collect()
    }

    /// Takes ours out of what the service gets.
    pub(super) fn strip(&self, request: &mut RequestHead) {
        let fields = &mut request.fields;
        let is_there = fields.get_all(Known::Cookie).flat_map(pairs).any(|(name, _)| self.is_any(name));
        if !is_there {
            return;
        }
        let mut rest = Vec::new();
        for pair in fields.get_all(Known::Cookie).flat_map(parts).filter(|pair| !self.is_any(split(pair).0)) {
            if !rest.is_empty() {
                rest.extend_from_slice(b"; ");
            }
            rest.extend_from_slice(pair);
        }
        fields.remove(Known::Cookie);
        if !rest.is_empty() {
            fields.append(Known::Cookie, &rest);
        }
    }

    /// The names of ours in a request.
    fn seen<'f>(&'f self, fields: &'f Fields, is_secure: bool) -> impl Iterator<Item = &'f str> {
        let own = move |name: &&[u8]| is_of(name, self.name(is_secure)) && is_token(name);
        let names = fields.get_all(Known::Cookie).flat_map(pairs).map(|(name, _)| name).filter(own);
        names.filter_map(|name| std::str::from_utf8(name).ok()).take(MOST_SEEN)
    }

    fn is_any(&self, name: &[u8]) -> bool {
        is_of(name, &self.names.0) || is_of(name, &self.names.1) || name == self.hint.as_bytes()
    }

    fn attempt_name(&self, id: &str, is_secure: bool) -> String {
        format!("{}.try.{id}", self.name(is_secure))
    }

    fn set(
        &self,
        name: &str,
        value: &str,
        seconds: Option<u64>,
        same_site: SameSite,
        is_secure: bool,
    ) -> String {
        self.set_at("/", name, value, seconds, same_site, is_secure)
    }

    fn set_at(
        &self,
        path: &str,
        name: &str,
        value: &str,
        seconds: Option<u64>,
        same_site: SameSite,
        is_secure: bool,
    ) -> String {
        let mut set = format!("{name}={value}; Path={path}; HttpOnly");
        if let Some(domain) = &self.domain {
            let _ = write!(set, "; Domain={domain}");
        }
        if let Some(seconds) = seconds {
            let _ = write!(set, "; Max-Age={seconds}");
        }
        set.push_str(match same_site {
            SameSite::Lax => "; SameSite=Lax",
            SameSite::None => "; SameSite=None",
        });
        if is_secure {
            set.push_str("; Secure");
        }
        set
    }
}

/// Whether a cookie is the one of this name, or belongs to it.
fn is_of(cookie: &[u8], name: &str) -> bool {
    cookie.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.is_empty() || rest[0] == b'.')
}

/// The value of the first cookie of this name.
fn value<'f>(fields: &'f Fields, name: &[u8]) -> Option<&'f [u8]> {
    fields.get_all(Known::Cookie).flat_map(pairs).find(|(known, _)| *known == name).map(|(_, value)| value)
}

/// Names and values of cookies (RFC 6265, section 4.2.1).
fn pairs(field: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    parts(field).map(split)
}

fn parts(field: &[u8]) -> impl Iterator<Item = &[u8]> {
    field.split(|byte| *byte == b';').map(<[u8]>::trim_ascii).filter(|pair| !pair.is_empty())
}

fn split(pair: &[u8]) -> (&[u8], &[u8]) {
    let mut parts = pair.splitn(2, |byte| *byte == b'=');
    (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn cookies(config: &LoginCookie) -> Cookies {
        Cookies::new(config, Some("/logout"))
    }

    fn request(cookies: &[&str]) -> RequestHead {
        let mut request = RequestHead::default();
        for field in cookies {
            request.fields.append(Known::Cookie, field.as_bytes());
        }
        request
    }

    /// What a browser sends back.
    fn sent_back(set: &[String]) -> String {
        set.iter().map(|one| one.split(';').next().unwrap()).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn a_session_of_any_size_comes_back_or_is_too_large() {
        let cookies = cookies(&LoginCookie::default());
        for (size, count) in [(10, 1), (LONGEST, 1), (LONGEST + 1, 2), (4 * LONGEST, 4)] {
            let closed: String = (0..size).map(|place| char::from(b'a' + (place % 26) as u8)).collect();
            let set = cookies.set_session(&closed, true).unwrap();
            assert_eq!(set.len(), count);
            assert!(set.iter().all(|one| one.len() < 4096 && one.starts_with("__Host-tg_login")));
            let request = request(&[&format!("a=1; {}", sent_back(&set)), "__Host-tg_login.3=left-over"]);
            assert_eq!(cookies.session(&request.fields, true).unwrap(), closed.as_bytes());
            assert!(cookies.session(&request.fields, false).is_none());
        }
        assert!(cookies.set_session(&"x".repeat(4 * LONGEST + 1), true).is_none());
    }

    #[test]
    fn a_piece_that_is_missing_is_no_session() {
        let cookies = cookies(&LoginCookie::default());
        for sent in ["tg_login=3.a; tg_login.1=b", "tg_login.1=b", "other=x", "", ";;=;"] {
            assert!(cookies.session(&request(&[sent]).fields, false).is_none(), "{sent}");
        }
        let whole = request(&["tg_login.1=b;tg_login=3.a", "tg_login.2=c"]);
        assert_eq!(cookies.session(&whole.fields, false).unwrap(), &b"abc"[..]);
    }

    #[test]
    fn services_get_all_cookies_but_ours() {
        let cookies = cookies(&LoginCookie::default());
        for (sent, left) in [
            (&["a=1; tg_login=x; b=2"][..], Some("a=1; b=2")),
            (&["tg_login=x; __Host-tg_login.2=y", "tg_login.try.abc=1"], None),
            (&["tg_logins=x;  b"], Some("tg_logins=x;  b")),
            (&["a=\"x\"; tg_login=1", "c=3"], Some("a=\"x\"; c=3")),
            (&[], None),
        ] {
            let mut request = request(sent);
            cookies.strip(&mut request);
            let rest =
                request.fields.get(Known::Cookie).map(|rest| String::from_utf8_lossy(rest).into_owned());
            assert_eq!(rest.as_deref(), left, "{sent:?}");
        }
    }

    #[test]
    fn cookies_are_out_of_reach_for_scripts_and_secure_over_https() {
        let plain = cookies(&LoginCookie::default());
        assert_eq!(plain.set_session("x", false).unwrap(), ["tg_login=x; Path=/; HttpOnly; SameSite=Lax"]);
        assert_eq!(
            plain.set_attempt("id", "x", 600, true),
            "__Host-tg_login.try.id=x; Path=/; HttpOnly; Max-Age=600; SameSite=Lax; Secure"
        );
        let config = LoginCookie {
            same_site: SameSite::None,
            domain: Some("example.com".into()),
            ..LoginCookie::default()
        };
        assert_eq!(
            cookies(&config).set_session("x", true).unwrap(),
            ["tg_login=x; Path=/; HttpOnly; Domain=example.com; SameSite=None; Secure"]
        );
    }

    #[test]
    fn what_the_logout_needs_is_sent_there_alone_and_forgotten_with_the_session() {
        let config = LoginCookie::default();
        let cookies = cookies(&config);
        let set = cookies.set_hint(Some("x"), true).unwrap();
        assert_eq!(set, "tg_login-hint=x; Path=/logout; HttpOnly; SameSite=Lax; Secure");
        let cleared = "tg_login-hint=; Path=/logout; HttpOnly; Max-Age=0; SameSite=Lax; Secure";
        assert_eq!(cookies.set_hint(Some(&"x".repeat(LONGEST + 1)), true).unwrap(), cleared);
        let mut request = request(&["tg_login-hint=x; __Host-tg_login=s"]);
        assert_eq!(cookies.hint(&request.fields), Some(&b"x"[..]));
        assert_eq!(cookies.clear_all(&request.fields, true)[1..], [cleared]);
        cookies.strip(&mut request);
        assert_eq!(request.fields.get(Known::Cookie), None);
        assert_eq!(Cookies::new(&config, None).set_hint(Some("x"), true), None);
    }

    #[test]
    fn too_many_logins_that_have_begun_are_forgotten() {
        let cookies = cookies(&LoginCookie::default());
        let request = request(&["tg_login.try.a=1; tg_login=s; tg_login.try.b=2"]);
        assert!(cookies.clear_attempts(&request.fields, 3, false).is_empty());
        assert_eq!(cookies.clear_attempts(&request.fields, 2, false).len(), 2);
        assert_eq!(cookies.clear_all(&request.fields, false).len(), 3);
    }
}
