//! `hmac`: a request that the caller has signed with the secret of a key.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac::{self, Context, Key};
use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http1::{Framing, RequestHead};

use super::{Authenticator, EXPIRED, Finding, MALFORMED_SIGNATURE, STALE_SIGNATURE, WRONG_SIGNATURE};
use crate::clock;
use crate::config::values::Size;
use crate::config::{self, Config, HmacHash, SignedBody};
use crate::exchange::Exchange;
use crate::hexadecimal;
use crate::identity::{Found, Signers};
use crate::shared::Nonces;

/// The compiled way.
#[derive(Debug)]
pub struct Hmac {
    /// Its place among the ways of the configuration.
    way: u32,
    signers: Signers,
    nonces: Nonces,
    /// Seconds by which clocks may differ.
    window: u64,
    body: SignedBody,
    max_body: u64,
    /// Key, timestamp, nonce and signature.
    headers: [Box<str>; 4],
    algorithm: HmacHash,
    pass: bool,
}

/// What a request says of its signature.
#[derive(Debug, PartialEq)]
struct Sent<'r> {
    key: &'r str,
    timestamp: &'r str,
    /// The same, in seconds since the Unix epoch.
    time: u64,
    nonce: &'r str,
    signature: Vec<u8>,
}

/// Bytes that a nonce may have.
const NONCE: std::ops::RangeInclusive<usize> = 8..=128;

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

impl Hmac {
    /// Compiles the configuration.
    pub fn build(config: &config::Hmac, way: u32, nonces: Nonces, all: &Config) -> Self {
        let algorithm = match config.algorithm {
            HmacHash::Sha256 => hmac::HMAC_SHA256,
            HmacHash::Sha384 => hmac::HMAC_SHA384,
            HmacHash::Sha512 => hmac::HMAC_SHA512,
        };
        Self {
            way,
            signers: Signers::new(all, algorithm),
            nonces,
            window: config.window.as_secs(),
            body: config.body,
            max_body: Size::bytes(config.max_body),
            headers: config.headers.each().map(|name| name.as_str().into()),
            algorithm: config.algorithm,
            pass: config.pass,
        }
    }

    /// What a request says of its signature; nothing where it has none. A header that stands twice is none that counts.
    fn sent<'r>(&self, request: &'r RequestHead) -> Option<Result<Sent<'r>, &'static str>> {
        let one = |name: &str| {
            let mut values = request.fields.get_all_named(name.as_bytes());
            let value = std::str::from_utf8(values.next()?).ok()?;
            values.next().is_none().then_some(value)
        };
        let [key, timestamp, nonce, signature] = &self.headers;
        // A key alone may be meant for another way.
        request.fields.get_named(signature.as_bytes())?;
        let all = || {
            let sent = Sent {
                key: one(key)?,
                timestamp: one(timestamp)?,
                time: seconds(one(timestamp)?)?,
                nonce: one(nonce).filter(|nonce| is_nonce(nonce))?,
                signature: self.signature(one(signature)?)?,
            };
            Some(sent)
        };
        Some(all().ok_or(MALFORMED_SIGNATURE))
    }

    /// Its length tells how it is written.
    fn signature(&self, text: &str) -> Option<Vec<u8>> {
        let length = match self.algorithm {
            HmacHash::Sha256 => 32,
            HmacHash::Sha384 => 48,
            HmacHash::Sha512 => 64,
        };
        let bytes =
            if text.len() == 2 * length { hexadecimal::decode(text)? } else { BASE64.decode(text).ok()? };
        (bytes.len() == length).then_some(bytes)
    }

    /// Whether the key's secret has signed this request.
    fn is_signed(&self, key: &Key, request: &RequestHead, sent: &Sent<'_>, body: &[u8]) -> bool {
        let mut context = Context::with_key(key);
        context.update(request.method.as_str().as_bytes());
        context.update(b"\n");
        context.update(request.path.as_bytes());
        if let Some(query) = request.query() {
            context.update(b"?");
            context.update(query.as_bytes());
        }
        for part in [sent.timestamp, sent.nonce] {
            context.update(b"\n");
            context.update(part.as_bytes());
        }
        context.update(b"\n");
        match self.body {
            SignedBody::Raw => context.update(body),
            SignedBody::Sha256 => {
                let digits = hexadecimal::encode(digest(&SHA256, body).as_ref());
                context.update(digits.as_bytes());
            }
        }
        verify_slices_are_equal(context.sign().as_ref(), &sent.signature).is_ok()
    }
}

impl Authenticator for Hmac {
    fn identify<'w>(&'w self, exchange: &Exchange, body: Option<&[u8]>) -> Finding<'w> {
        let request = &exchange.request;
        let sent = match self.sent(request) {
            None => return Finding::Nothing,
            Some(Err(code)) => return Finding::Refused(code),
            Some(Ok(sent)) => sent,
        };
        let now = clock::unix_seconds();
        if now.abs_diff(sent.time) > self.window {
            return Finding::Refused(STALE_SIGNATURE);
        }
        let body = match body {
            Some(body) => body,
            None if request.framing == Framing::None => b"",
            None => return Finding::Body(self.max_body),
        };
        let callers = &exchange.live.snapshot.callers;
        // As much is done for a key that nobody has.
        let signer = self.signers.of(callers.place(sent.key));
        let is_right = self.is_signed(signer.key, request, &sent, body);
        let Some(key) = signer.place.filter(|_| is_right) else { return Finding::Refused(WRONG_SIGNATURE) };
        if callers.has_expired(key) {
            return Finding::Refused(EXPIRED);
        }
        let until = sent.time + self.window + 1;
        let found = Found::Key { key, way: self.way };
        super::once(self.nonces.spend(sent.key, sent.nonce.as_bytes(), until, now), found)
    }

    fn strip(&self, request: &mut RequestHead) {
        // A key without a signature is another way's to remove.
        if self.pass || request.fields.get_named(self.headers[3].as_bytes()).is_none() {
            return;
        }
        for name in &self.headers {
            request.fields.remove_named(name.as_bytes());
        }
    }

    fn challenge(&self, realm: &str, _: bool) -> Vec<String> {
        // There is no registered scheme for this.
        vec![format!("Hmac realm=\"{realm}\", algorithm=\"{}\"", self.algorithm.as_str())]
    }

    fn explain(&self) -> String {
        let [key, timestamp, nonce, signature] = &self.headers;
        let hash = self.algorithm.as_str();
        format!("a signature by HMAC with {hash} in the headers {key}, {timestamp}, {nonce} and {signature}")
    }
}

/// Seconds since the Unix epoch, written in one way only.
fn seconds(text: &str) -> Option<u64> {
    let is_plain = (1..=11).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    (is_plain && !text.starts_with('0')).then(|| text.parse().ok())?
}

fn is_nonce(text: &str) -> bool {
    NONCE.contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::config::load_text;

    fn way(body: &str) -> Hmac {
        let text = format!(
            "
auth: {{ signed: {{ hmac: {{ {body} }} }} }}
apps: {{ mobile: {{ keys: [ {{ id: m, secret: 'a secret of some length' }} ] }} }}
"
        );
        let (config, _) = load_text(&text).unwrap();
        Hmac::build(config.auth["signed"].hmac.as_ref().unwrap(), 0, Nonces::default(), &config)
    }

    type Change = fn(&mut RequestHead);

    /// `printf 'POST\n/a/b?c=d%%20e\n1700000000\n0123456789\n{"x":1}' | openssl dgst -sha256 -hmac 'a secret of some length'`
    const OF_OPENSSL: &str = "ded45e55f7f49eeba5d955010f6688adaeb22bb2f1a8b481fe9a6ca7aec8e057";

    fn request(fields: &[(&str, &str)]) -> RequestHead {
        let mut request = RequestHead {
            method: http::Method::POST,
            path: "/a/b".to_owned(),
            query: "c=d%20e".to_owned(),
            has_query: true,
            ..RequestHead::default()
        };
        for (name, value) in fields {
            request.fields.append_named(name.as_bytes(), value.as_bytes());
        }
        request
    }

    fn signed(signature: &str) -> RequestHead {
        request(&[
            ("X-API-Key", "m"),
            ("X-Timestamp", "1700000000"),
            ("x-nonce", "0123456789"),
            ("X-Signature", signature),
        ])
    }

    #[test]
    fn what_openssl_signs_is_signed_in_whatever_way_it_is_written() {
        let way = way("");
        let key = way.signers.of(Some(0)).key;
        let base64 = BASE64.encode(hexadecimal::decode(OF_OPENSSL).unwrap());
        for text in [OF_OPENSSL, &OF_OPENSSL.to_uppercase(), &base64, base64.trim_end_matches('=')] {
            let request = signed(text);
            let sent = way.sent(&request).unwrap().unwrap();
            assert!(way.is_signed(key, &request, &sent, b"{\"x\":1}"), "{text}");
            for body in [&b"{\"x\":2}"[..], b"", b"{\"x\":1} "] {
                assert!(!way.is_signed(key, &request, &sent, body));
            }
            let nobody = way.signers.of(None);
            assert!(!way.is_signed(nobody.key, &request, &sent, b"{\"x\":1}") && nobody.place.is_none());
        }
        let changes: [Change; 6] = [
            |request| request.method = http::Method::PUT,
            |request| request.path.push('/'),
            |request| request.query.push('x'),
            |request| request.has_query = false,
            |request| request.fields.set_named(b"x-timestamp", b"1700000001"),
            |request| request.fields.set_named(b"X-Nonce", b"01234567890"),
        ];
        for (number, change) in changes.iter().enumerate() {
            let mut request = signed(OF_OPENSSL);
            change(&mut request);
            let sent = way.sent(&request).unwrap().unwrap();
            assert!(!way.is_signed(key, &request, &sent, b"{\"x\":1}"), "change {number}");
        }
    }

    #[test]
    fn what_is_not_written_to_the_letter_is_no_signature() {
        let way = way("");
        assert_eq!(way.sent(&request(&[("x-api-key", "m")])), None);
        let good = [
            ("x-api-key", "m"),
            ("x-timestamp", "1700000000"),
            ("x-nonce", "0123456789"),
            ("x-signature", OF_OPENSSL),
        ];
        assert!(way.sent(&request(&good)).unwrap().is_ok());
        let long = "a".repeat(129);
        for (place, wrong) in [
            (1, "01700000000"),
            (1, "+1700000000"),
            (1, "1700000000.0"),
            (1, "170000000000"),
            (1, "-1"),
            (1, ""),
            (2, "0123456"),
            (2, "01234 56789"),
            (2, "0123456789\u{e9}"),
            (2, &long),
            (3, ""),
            (3, &OF_OPENSSL[1..]),
            (3, "zz"),
            (3, &format!("{OF_OPENSSL}00")),
        ] {
            let mut fields = good;
            fields[place].1 = wrong;
            assert_eq!(way.sent(&request(&fields)), Some(Err(MALFORMED_SIGNATURE)), "{wrong}");
        }
        for place in 0..4 {
            let twice = [&good[..], &[good[place]]].concat();
            assert_eq!(way.sent(&request(&twice)), Some(Err(MALFORMED_SIGNATURE)), "{place} twice");
            if place < 3 {
                let without: Vec<_> = good.iter().copied().filter(|field| *field != good[place]).collect();
                assert_eq!(way.sent(&request(&without)), Some(Err(MALFORMED_SIGNATURE)), "without {place}");
            }
        }
    }
}
