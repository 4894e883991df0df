//! Session tickets by keys from a file, which a fleet of gateways shares (RFC 5077, section 4; RFC 8446, section 4.6.1).
//!
//! A ticket is the key's name, a salt, and the session sealed with AES-256-GCM by a key made for this salt alone: with a
//! nonce of twelve bytes a key that is never changed would wear out.

use std::fmt;
use std::path::Path;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hmac;
use rustls::pki_types::UnixTime;
use rustls::server::ProducesTickets;

use super::fault::Flaw;

/// Tickets by keys that others have, too.
pub(super) struct FleetTickets {
    /// The first seals, all open.
    keys: Vec<FleetKey>,
    /// Seconds since the Unix epoch.
    clock: fn() -> u64,
}

struct FleetKey {
    name: [u8; NAME],
    secret: hmac::Key,
}

impl FleetTickets {
    /// Reads the keys of a file.
    pub(super) fn read(path: &Path, bytes: &[u8]) -> Result<Self, Flaw> {
        if bytes.is_empty() || !bytes.len().is_multiple_of(FILE_KEY) || bytes.len() > MAX_KEYS * FILE_KEY {
            let message = format!(
                "{} is {} bytes long; keys for tickets are {FILE_KEY} bytes each, at most {MAX_KEYS} of them",
                path.display(),
                bytes.len()
            );
            let help = format!("make one: openssl rand {FILE_KEY} > {}", path.display());
            return Err(Flaw::new("bad_tickets", message).help(help));
        }
        if let Some(weak) = bytes.chunks(FILE_KEY).position(is_guessable) {
            let message = format!("key {} in {} is not random", weak + 1, path.display());
            return Err(Flaw::new("bad_tickets", message).help("make one: openssl rand 80"));
        }
        Ok(Self::with_clock(bytes, || UnixTime::now().as_secs()))
    }

    fn with_clock(bytes: &[u8], clock: fn() -> u64) -> Self {
        let keys = bytes.chunks_exact(FILE_KEY).map(FleetKey::new).collect();
        Self { keys, clock }
    }
}

impl FleetKey {
    fn new(bytes: &[u8]) -> Self {
        let root = hmac::Key::new(hmac::HMAC_SHA256, bytes);
        let derived = |purpose: &[u8]| hmac::sign(&root, purpose);
        let mut name = [0; NAME];
        name.copy_from_slice(&derived(b"tollgate ticket name 1").as_ref()[..NAME]);
        let secret = hmac::Key::new(hmac::HMAC_SHA256, derived(b"tollgate ticket key 1").as_ref());
        Self { name, secret }
    }

    /// The key for one salt, which is used once: so its nonce may always be the same.
    fn for_salt(&self, salt: &[u8]) -> Option<LessSafeKey> {
        let key = hmac::sign(&self.secret, salt);
        UnboundKey::new(&AES_256_GCM, key.as_ref()).ok().map(LessSafeKey::new)
    }
}

impl ProducesTickets for FleetTickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        LIFETIME as u32
    }

    fn encrypt(&self, session: &[u8]) -> Option<Vec<u8>> {
        let key = self.keys.first()?;
        let mut salt = [0; SALT];
        aws_lc_rs::rand::fill(&mut salt).ok()?;
        let mut ticket = Vec::with_capacity(NAME + SALT + TIME + session.len() + AES_256_GCM.tag_len());
        ticket.extend(key.name);
        ticket.extend(salt);
        let mut sealed = Vec::with_capacity(TIME + session.len());
        sealed.extend((self.clock)().to_be_bytes());
        sealed.extend(session);
        let key = key.for_salt(&salt)?;
        key.seal_in_place_append_tag(nonce(), Aad::from(&ticket), &mut sealed).ok()?;
        ticket.append(&mut sealed);
        Some(ticket)
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let (front, sealed) = ticket.split_at_checked(NAME + SALT)?;
        let key = self.keys.iter().find(|key| front.starts_with(&key.name))?;
        let mut session = sealed.to_vec();
        let length =
            key.for_salt(&front[NAME..])?.open_in_place(nonce(), Aad::from(front), &mut session).ok()?.len();
        session.truncate(length);
        let issued = u64::from_be_bytes(*session.first_chunk::<TIME>()?);
        // The clocks of a fleet are never quite the same: one from the near future is believed.
        let is_fresh = (self.clock)().saturating_sub(issued) <= LIFETIME;
        session.drain(..TIME);
        is_fresh.then_some(session)
    }
}

impl fmt::Debug for FleetTickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FleetTickets").field("keys", &self.keys.len()).finish_non_exhaustive()
    }
}

fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; NONCE_LEN])
}

/// Whether a key is one byte repeated, or text where random bytes belong.
fn is_guessable(key: &[u8]) -> bool {
    let printable = |byte: &u8| byte.is_ascii_graphic() || byte.is_ascii_whitespace();
    key.iter().all(|byte| *byte == key[0]) || key.iter().all(printable)
}

/// Bytes of one key in a file.
const FILE_KEY: usize = 80;

/// Keys in one file: each is compared with every ticket.
const MAX_KEYS: usize = 16;

/// Bytes of a key's name, a salt and a time in a ticket.
const NAME: usize = 16;
const SALT: usize = 16;
const TIME: usize = 8;

/// Seconds for which a ticket is believed, as those of the process's own keys at most.
const LIFETIME: u64 = 12 * 3600;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn tickets(keys: &[u8], clock: fn() -> u64) -> FleetTickets {
        let bytes: Vec<u8> = keys.iter().flat_map(|key| (0..80).map(move |at| key ^ at)).collect();
        FleetTickets::with_clock(&bytes, clock)
    }

    #[test]
    fn a_ticket_opens_where_its_key_is_known_and_nowhere_else() {
        for (sealing, opening, opens) in [
            (tickets(&[1], || 0), tickets(&[1], || 0), true),
            (tickets(&[1], || 0), tickets(&[2, 1], || 0), true),
            (tickets(&[2, 1], || 0), tickets(&[1], || 0), false),
            (tickets(&[1], || 0), tickets(&[2], || 0), false),
            (tickets(&[1], || 100), tickets(&[1], || 100 + LIFETIME), true),
            (tickets(&[1], || 100), tickets(&[1], || 101 + LIFETIME), false),
            (tickets(&[1], || 100), tickets(&[1], || 90), true),
        ] {
            let ticket = sealing.encrypt(b"a session").unwrap();
            let expected = opens.then(|| b"a session".to_vec());
            assert_eq!(opening.decrypt(&ticket), expected);
        }
    }

    #[test]
    fn a_ticket_that_was_touched_does_not_open() {
        let tickets = tickets(&[1], || 0);
        let ticket = tickets.encrypt(b"a session").unwrap();
        assert_ne!(tickets.encrypt(b"a session").unwrap(), ticket, "the salt is new each time");
        for at in 0..ticket.len() {
            let mut touched = ticket.clone();
            touched[at] ^= 1;
            assert_eq!(tickets.decrypt(&touched), None, "byte {at}");
            assert_eq!(tickets.decrypt(&ticket[..at]), None, "cut at {at}");
        }
    }

    #[test]
    fn a_file_that_holds_no_keys_is_refused() {
        let path = Path::new("ticket.key");
        for (bytes, good) in [
            (vec![], false),
            (vec![7; 79], false),
            (vec![7; 80], false),
            (b"0123456789abcdef".repeat(5), false),
            ((0..80).collect(), true),
            ((0..160).collect(), true),
            ((0..16u8).flat_map(|key| (0..80).map(move |at| key ^ at)).collect(), true),
            ((0..17u8).flat_map(|key| (0..80).map(move |at| key ^ at)).collect(), false),
        ] {
            assert_eq!(FleetTickets::read(path, &bytes).is_ok(), good, "{bytes:?}");
        }
    }
}
