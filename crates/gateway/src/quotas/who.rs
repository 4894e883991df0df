//! Whose account it is.

use std::hash::{Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use papaya::Equivalent;

use crate::limit_by::WAYS;

/// Whose account it is: what tells the caller, and in which way. An app is not the user of the same name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Who {
    way: u8,
    text: Box<[u8]>,
}

/// The same, as a request has it.
pub(super) struct AsWho<'w> {
    pub(super) way: u8,
    pub(super) text: &'w [u8],
}

impl Who {
    pub(super) fn new(way: u8, text: &[u8]) -> Self {
        Self { way, text: text.into() }
    }

    pub(super) fn parts(&self) -> (u8, &[u8]) {
        (self.way, &self.text)
    }

    /// What kind of thing it is: `app`, `user`, `ip`.
    pub fn kind(&self) -> &'static str {
        WAYS.get(usize::from(self.way)).copied().unwrap_or_default()
    }

    /// Its name, or its address; nothing for what there is one of.
    pub fn name(&self) -> String {
        match (self.kind(), &*self.text) {
            ("ip", text) => match (<[u8; 4]>::try_from(text), <[u8; 16]>::try_from(text)) {
                (Ok(octets), _) => Ipv4Addr::from(octets).to_string(),
                (_, Ok(octets)) => Ipv6Addr::from(octets).to_string(),
                _ => String::new(),
            },
            (_, text) => String::from_utf8_lossy(text).into_owned(),
        }
    }

    /// Whose account has this kind and name; nothing for kinds that nobody knows.
    pub fn named(kind: &str, name: &str) -> Option<Self> {
        let way = u8::try_from(WAYS.iter().position(|way| *way == kind)?).ok()?;
        Some(match kind {
            "ip" => match name.parse().ok()? {
                IpAddr::V4(address) => Self::new(way, &address.octets()),
                IpAddr::V6(address) => Self::new(way, &address.octets()),
            },
            _ => Self::new(way, name.as_bytes()),
        })
    }
}

impl Hash for Who {
    fn hash<H: Hasher>(&self, state: &mut H) {
        AsWho { way: self.way, text: &self.text }.hash(state);
    }
}

impl Hash for AsWho<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u8(self.way);
        state.write(self.text);
    }
}

impl Equivalent<Who> for AsWho<'_> {
    fn equivalent(&self, other: &Who) -> bool {
        self.way == other.way && *self.text == *other.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_is_found_again_by_what_was_written_down() {
        for (way, text, name) in [
            (0, &[192, 0, 2, 1][..], "192.0.2.1"),
            (0, &[0x20, 1, 0xd, 0xb8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0], "2001:db8:0:1::"),
            (1, b"mobile", "mobile"),
            (2, "Zoë".as_bytes(), "Zoë"),
            (6, b"", ""),
        ] {
            let who = Who::new(way, text);
            assert_eq!(who.name(), name);
            assert_eq!(Who::named(who.kind(), name), Some(who));
        }
        assert_eq!(Who::named("colour", "red"), None);
        assert_eq!(Who::named("ip", "mobile"), None);
    }
}
