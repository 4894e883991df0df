//! Stickiness: the cookie that names an endpoint without telling its address.
//!
//! The id is SipHash-2-4 (Aumasson and Bernstein, 2012) of the endpoint's key under a secret: xxh3 is quicker, but
//! its ids could be tried out against guessed addresses.

/// An endpoint's id: 16 lower-case hexadecimal digits.
pub type StickyId = [u8; 16];

/// The id of the endpoint with this key under `secret`.
pub fn sticky_id(secret: &[u8; 16], key: &str) -> StickyId {
    let hash = siphash(secret, key.as_bytes());
    std::array::from_fn(|place| b"0123456789abcdef"[(hash >> (60 - 4 * place)) as usize & 15])
}

/// The value of the first cookie called `name` in a `Cookie` field's value (RFC 6265, section 4.2.1), without the
/// quotes that it may stand in. Names differ by case.
pub fn find_cookie<'a>(field: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    field.split(|&byte| byte == b';').find_map(|pair| {
        let value = pair.trim_ascii().strip_prefix(name)?.strip_prefix(b"=")?;
        Some(value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value))
    })
}

/// The value of the `Set-Cookie` field that makes a client stick to the endpoint with this id, or to what these ids stand for,
/// until its browser closes. `secure` says that the client came over TLS.
pub fn set_cookie(name: &str, id: &[u8], secure: bool) -> String {
    const ATTRIBUTES: &str = "; Path=/; HttpOnly; SameSite=Lax";
    const SECURE: &str = "; Secure";
    let mut value = String::with_capacity(name.len() + 1 + id.len() + ATTRIBUTES.len() + SECURE.len());
    value.push_str(name);
    value.push('=');
    value.extend(id.iter().map(|&digit| char::from(digit)));
    value.push_str(ATTRIBUTES);
    if secure {
        value.push_str(SECURE);
    }
    value
}

/// The ids of a balancer's candidates, to be found by id and by position.
#[derive(Debug)]
pub(super) struct StickyIds {
    by_position: Box<[StickyId]>,
    /// Positions, sorted by id.
    by_id: Box<[u16]>,
}

impl StickyIds {
    pub(super) fn new<'a>(secret: &[u8; 16], keys: impl Iterator<Item = &'a str>) -> Self {
        let by_position: Box<[StickyId]> = keys.map(|key| sticky_id(secret, key)).collect();
        let mut by_id: Box<[u16]> = (0..by_position.len() as u16).collect();
        by_id.sort_by_key(|&position| by_position[usize::from(position)]);
        Self { by_position, by_id }
    }

    pub(super) fn at(&self, position: usize) -> Option<&StickyId> {
        self.by_position.get(position)
    }

    pub(super) fn position(&self, id: &[u8]) -> Option<usize> {
        let id_at = |&position: &u16| &self.by_position[usize::from(position)][..];
        let place = self.by_id.binary_search_by(|position| id_at(position).cmp(id)).ok()?;
        Some(usize::from(self.by_id[place]))
    }
}

fn siphash(key: &[u8; 16], message: &[u8]) -> u64 {
    let [low, high] = [&key[..8], &key[8..]].map(word);
    let mut state = [
        low ^ 0x736f_6d65_7073_6575,
        high ^ 0x646f_7261_6e64_6f6d,
        low ^ 0x6c79_6765_6e65_7261,
        high ^ 0x7465_6462_7974_6573,
    ];
    let chunks = message.chunks_exact(8);
    // What is left over, with the length in the topmost byte.
    let last = word(chunks.remainder()) | (message.len() as u64) << 56;
    for block in chunks.map(word).chain([last]) {
        state[3] ^= block;
        rounds(&mut state, 2);
        state[0] ^= block;
    }
    state[2] ^= 0xff;
    rounds(&mut state, 4);
    state[0] ^ state[1] ^ state[2] ^ state[3]
}

/// Up to eight bytes as a little-endian number.
fn word(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte))
}

fn rounds([a, b, c, d]: &mut [u64; 4], count: usize) {
    for _ in 0..count {
        *a = a.wrapping_add(*b);
        *c = c.wrapping_add(*d);
        *b = b.rotate_left(13) ^ *a;
        *d = d.rotate_left(16) ^ *c;
        *a = a.rotate_left(32);
        *c = c.wrapping_add(*b);
        *a = a.wrapping_add(*d);
        *b = b.rotate_left(17) ^ *c;
        *d = d.rotate_left(21) ^ *a;
        *c = c.rotate_left(32);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn siphash_agrees_with_its_papers_example() {
        let key = std::array::from_fn(|place| place as u8);
        let message: [u8; 15] = std::array::from_fn(|place| place as u8);
        assert_eq!(siphash(&key, &message), 0xa129_ca61_49be_45e5);
    }

    #[test]
    fn an_id_is_hexadecimal_and_depends_on_the_key_and_the_secret() {
        let id = sticky_id(&[1; 16], "http://10.0.0.7:8080");
        assert!(id.iter().all(u8::is_ascii_hexdigit), "{id:?}");
        assert_eq!(id, sticky_id(&[1; 16], "http://10.0.0.7:8080"));
        assert_ne!(id, sticky_id(&[1; 16], "http://10.0.0.8:8080"));
        assert_ne!(id, sticky_id(&[2; 16], "http://10.0.0.7:8080"));
    }

    #[test]
    fn cookies_are_found_by_their_whole_name() {
        const CASES: &[(&str, Option<&str>)] = &[
            ("tg=abc", Some("abc")),
            ("a=1; tg=abc; b=2", Some("abc")),
            ("a=1;tg=abc", Some("abc")),
            ("  tg=abc  ", Some("abc")),
            ("tg=\"abc\"", Some("abc")),
            ("tg=\"", Some("\"")),
            ("tg=", Some("")),
            ("tg=a=b", Some("a=b")),
            ("tg=first; tg=second", Some("first")),
            ("xtg=abc", None),
            ("tgx=abc", None),
            ("TG=abc", None),
            ("tg", None),
            ("a=tg=abc", None),
            ("", None),
            (";;;", None),
        ];
        for &(field, expected) in CASES {
            assert_eq!(find_cookie(field.as_bytes(), b"tg"), expected.map(str::as_bytes), "{field:?}");
        }
    }

    #[test]
    fn the_cookie_is_out_of_reach_for_scripts_and_secure_over_tls() {
        let id = *b"0123456789abcdef";
        assert_eq!(set_cookie("tg", &id, false), "tg=0123456789abcdef; Path=/; HttpOnly; SameSite=Lax");
        assert_eq!(
            set_cookie("tg", &id, true),
            "tg=0123456789abcdef; Path=/; HttpOnly; SameSite=Lax; Secure"
        );
    }

    #[test]
    fn every_id_leads_to_its_position_and_foreign_values_nowhere() {
        let keys: Vec<String> = (0..50).map(|number| format!("http://10.0.0.{number}")).collect();
        let ids = StickyIds::new(&[7; 16], keys.iter().map(String::as_str));
        for position in 0..keys.len() {
            assert_eq!(ids.position(ids.at(position).unwrap()), Some(position));
        }
        for foreign in [&b""[..], b"0", b"0000000000000000", b"0000000000000000000000", &[0xff; 16]] {
            assert_eq!(ids.position(foreign), None, "{foreign:?}");
        }
    }
}
