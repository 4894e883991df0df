//! Tokens as those make them who may, and as those do who may not.

use std::sync::OnceLock;

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256,
    RSA_PKCS1_SHA384, RSA_PSS_SHA256,
};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::token::{Demands, Verified};
use super::*;
use crate::config::Algorithm;

const NOW: f64 = 1_700_000_000.0;
const SECRET: &[u8] = b"a shared secret that is long enough for HS256";

/// Keys of the issuer, and one of each kind that are an attacker's.
struct Keys {
    rsa: RsaKeyPair,
    ec: EcdsaKeyPair,
    ed: Ed25519KeyPair,
    other_rsa: RsaKeyPair,
    other_ec: EcdsaKeyPair,
    other_ed: Ed25519KeyPair,
}

fn keys() -> &'static Keys {
    static KEYS: OnceLock<Keys> = OnceLock::new();
    let rsa = || RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let ec = || EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let ed = || Ed25519KeyPair::generate().unwrap();
    KEYS.get_or_init(|| Keys {
        rsa: rsa(),
        ec: ec(),
        ed: ed(),
        other_rsa: rsa(),
        other_ec: ec(),
        other_ed: ed(),
    })
}

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn rsa_jwk(id: &str, key: &RsaKeyPair) -> Value {
    // RSAPublicKey (RFC 8017, appendix A.1.1), of 2048 bits and the usual exponent.
    let der = key.public_key().as_ref();
    let modulus = &der[der.len() - 5 - 256..der.len() - 5];
    json!({ "kty": "RSA", "kid": id, "use": "sig", "n": b64(modulus), "e": "AQAB" })
}

fn ec_jwk(id: &str, key: &EcdsaKeyPair) -> Value {
    let point = key.public_key().as_ref();
    json!({ "kty": "EC", "kid": id, "crv": "P-256", "alg": "ES256", "x": b64(&point[1..33]), "y": b64(&point[33..]) })
}

fn ed_jwk(id: &str, key: &Ed25519KeyPair) -> Value {
    json!({ "kty": "OKP", "kid": id, "crv": "Ed25519", "x": b64(key.public_key().as_ref()) })
}

fn set() -> Vec<u8> {
    let keys = keys();
    let set = json!({ "keys": [
        rsa_jwk("r1", &keys.rsa), ec_jwk("e1", &keys.ec), ed_jwk("d1", &keys.ed),
        { "kty": "oct", "kid": "h1", "k": b64(SECRET) },
        { "kty": "RSA", "kid": "enc", "use": "enc", "n": "AQAB", "e": "AQAB" },
        { "kty": "unknown", "kid": "u" },
    ] });
    set.to_string().into_bytes()
}

const USUAL: [Algorithm; 3] = [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA];

fn demands(algorithms: &[Algorithm]) -> Demands {
    Demands {
        algorithms: algorithms.to_vec(),
        issuers: vec!["https://id.example.com/".to_owned()],
        audiences: Some(vec!["api".to_owned(), "other".to_owned()]),
        leeway: 30.0,
        required: vec!["tenant".to_owned()],
    }
}

fn claims() -> Value {
    json!({ "iss": "https://id.example.com/", "aud": "api", "sub": "ann", "exp": NOW + 600.0, "iat": NOW - 10.0, "tenant": "t1" })
}

/// The usual claims but for one; `null` takes it away.
fn with(name: &str, value: Value) -> String {
    let mut claims = claims();
    let map = claims.as_object_mut().unwrap();
    if value.is_null() {
        map.shift_remove(name);
    } else {
        map.insert(name.to_owned(), value);
    }
    claims.to_string()
}

fn sign_rsa(key: &RsaKeyPair, how: &'static dyn aws_lc_rs::signature::RsaEncoding, message: &str) -> Vec<u8> {
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(how, &SystemRandom::new(), message.as_bytes(), &mut signature).unwrap();
    signature
}

fn token(header: &str, claims: &str, sign: impl Fn(&str) -> Vec<u8>) -> String {
    let message = format!("{}.{}", b64(header), b64(claims));
    let signature = b64(sign(&message));
    format!("{message}.{signature}")
}

fn by_rsa(message: &str) -> Vec<u8> {
    sign_rsa(&keys().rsa, &RSA_PKCS1_SHA256, message)
}

fn by_ec(message: &str) -> Vec<u8> {
    keys().ec.sign(&SystemRandom::new(), message.as_bytes()).unwrap().as_ref().to_vec()
}

fn by_ed(message: &str) -> Vec<u8> {
    keys().ed.sign(message.as_bytes()).as_ref().to_vec()
}

fn by_secret(secret: &[u8], message: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message.as_bytes()).as_ref().to_vec()
}

/// A token of the issuer with this payload.
fn good(claims: &str) -> String {
    token(r#"{"alg":"RS256","kid":"r1","typ":"JWT"}"#, claims, by_rsa)
}

fn verify(demands: &Demands, token: &str) -> Result<Verified, &'static str> {
    let keys = key::read_set(&set(), &demands.algorithms).unwrap();
    demands.verify(token.as_bytes(), &keys, NOW)
}

#[test]
fn tokens_of_the_issuer_are_taken_however_it_signs() {
    let usual = claims().to_string();
    let pss = |message: &str| sign_rsa(&keys().rsa, &RSA_PSS_SHA256, message);
    let all = [Algorithm::RS256, Algorithm::PS256, Algorithm::ES256, Algorithm::EdDSA, Algorithm::HS256];
    let demands = demands(&all);
    for token in [
        good(&usual),
        token(r#"{"alg":"RS256"}"#, &usual, by_rsa),
        token(r#"{"alg":"PS256","kid":"r1","typ":"at+jwt"}"#, &usual, pss),
        token(r#"{"alg":"ES256","kid":"e1","typ":"application/at+JWT"}"#, &usual, by_ec),
        token(r#"{"alg":"EdDSA","kid":"d1","jku":"https://evil.example/"}"#, &usual, by_ed),
        token(r#"{"alg":"HS256","kid":"h1"}"#, &usual, |message| by_secret(SECRET, message)),
        good(&with("aud", json!(["x", "other"]))),
        good(&with("exp", json!(NOW - 29.0))),
        good(&with("nbf", json!(NOW + 29.5))),
        good(&with("exp", json!(1_700_000_000.5))),
    ] {
        let verified = verify(&demands, &token).unwrap_or_else(|code| panic!("{code}: {token}"));
        assert_eq!(verified.claims["sub"], "ann");
    }
    assert!((verify(&demands, &good(&usual)).unwrap().until - (NOW + 630.0)).abs() < 1e-6);
}

#[test]
#[allow(clippy::too_many_lines)] // a table
fn hostile_tokens_are_refused() {
    let usual = claims().to_string();
    let keys = keys();
    let rs = r#"{"alg":"RS256","kid":"r1"}"#;
    let none = |_: &str| Vec::new();
    let public_pem = b64(keys.rsa.public_key().as_ref());
    let public_der = keys.rsa.public_key().as_ref().to_vec();
    let real = good(&usual);
    let parts: Vec<&str> = real.split('.').collect();
    let (head, body, signature) = (parts[0], parts[1], parts[2]);
    let other_rsa = |message: &str| sign_rsa(&keys.other_rsa, &RSA_PKCS1_SHA256, message);
    let other_ec = |message: &str| {
        keys.other_ec.sign(&SystemRandom::new(), message.as_bytes()).unwrap().as_ref().to_vec()
    };
    let jwk = rsa_jwk("r1", &keys.other_rsa);
    let cases: Vec<(&str, String, &str)> = vec![
        // No signature at all.
        ("alg none", token(r#"{"alg":"none"}"#, &usual, none), "token_algorithm"),
        ("alg None", token(r#"{"alg":"None","kid":"r1"}"#, &usual, none), "token_algorithm"),
        ("alg NONE", token(r#"{"alg":"NONE"}"#, &usual, none), "token_algorithm"),
        (
            "alg none with a signature",
            token(r#"{"alg":"none","kid":"r1"}"#, &usual, by_rsa),
            "token_algorithm",
        ),
        ("no alg", token(r#"{"kid":"r1"}"#, &usual, by_rsa), "token_algorithm"),
        ("alg empty", token(r#"{"alg":"","kid":"r1"}"#, &usual, by_rsa), "token_algorithm"),
        ("alg null", token(r#"{"alg":null,"kid":"r1"}"#, &usual, by_rsa), "token_algorithm"),
        ("alg a list", token(r#"{"alg":["RS256"],"kid":"r1"}"#, &usual, by_rsa), "token_algorithm"),
        ("alg a number", token(r#"{"alg":256,"kid":"r1"}"#, &usual, by_rsa), "token_algorithm"),
        ("alg rs256", token(r#"{"alg":"rs256","kid":"r1"}"#, &usual, by_rsa), "token_algorithm"),
        ("alg with a space", token(r#"{"alg":"RS256 ","kid":"r1"}"#, &usual, by_rsa), "token_algorithm"),
        ("empty signature", format!("{head}.{body}."), "token_signature"),
        ("zero signature", token(rs, &usual, |_| vec![0; 256]), "token_signature"),
        ("short signature", format!("{head}.{body}.{}", &signature[..100]), "token_signature"),
        (
            "zero signature of a curve",
            token(r#"{"alg":"ES256","kid":"e1"}"#, &usual, |_| vec![0; 64]),
            "token_signature",
        ),
        // Another algorithm than the key is for.
        (
            "HS256 by the public key",
            token(r#"{"alg":"HS256","kid":"r1"}"#, &usual, |m| by_secret(&public_der, m)),
            "token_algorithm",
        ),
        (
            "HS256 by the public key's text",
            token(r#"{"alg":"HS256","kid":"r1"}"#, &usual, |m| by_secret(public_pem.as_bytes(), m)),
            "token_algorithm",
        ),
        (
            "HS256 by the real secret",
            token(r#"{"alg":"HS256","kid":"h1"}"#, &usual, |m| by_secret(SECRET, m)),
            "token_algorithm",
        ),
        (
            "RS384",
            token(r#"{"alg":"RS384","kid":"r1"}"#, &usual, |m| sign_rsa(&keys.rsa, &RSA_PKCS1_SHA384, m)),
            "token_algorithm",
        ),
        (
            "PS256",
            token(r#"{"alg":"PS256","kid":"r1"}"#, &usual, |m| sign_rsa(&keys.rsa, &RSA_PSS_SHA256, m)),
            "token_algorithm",
        ),
        ("RS256 by PSS", token(rs, &usual, |m| sign_rsa(&keys.rsa, &RSA_PSS_SHA256, m)), "token_signature"),
        (
            "RS256 by SHA-384",
            token(rs, &usual, |m| sign_rsa(&keys.rsa, &RSA_PKCS1_SHA384, m)),
            "token_signature",
        ),
        ("ES256 by a key of RSA", token(r#"{"alg":"ES256","kid":"r1"}"#, &usual, by_ec), "token_key_unknown"),
        ("EdDSA by a key of RSA", token(r#"{"alg":"EdDSA","kid":"r1"}"#, &usual, by_ed), "token_key_unknown"),
        ("RS256 by a curve", token(r#"{"alg":"RS256","kid":"e1"}"#, &usual, by_ec), "token_key_unknown"),
        ("ES256K", token(r#"{"alg":"ES256K","kid":"e1"}"#, &usual, by_ec), "token_algorithm"),
        (
            "RSA-OAEP",
            token(r#"{"alg":"RSA-OAEP","enc":"A256GCM","kid":"r1"}"#, &usual, by_rsa),
            "token_algorithm",
        ),
        // Another key, or tricks with its name.
        ("another key", token(rs, &usual, other_rsa), "token_signature"),
        ("another curve's key", token(r#"{"alg":"ES256","kid":"e1"}"#, &usual, other_ec), "token_signature"),
        (
            "another key of Ed25519",
            token(r#"{"alg":"EdDSA","kid":"d1"}"#, &usual, |m| {
                keys.other_ed.sign(m.as_bytes()).as_ref().to_vec()
            }),
            "token_signature",
        ),
        ("another key without a name", token(r#"{"alg":"RS256"}"#, &usual, other_rsa), "token_signature"),
        ("unknown kid", token(r#"{"alg":"RS256","kid":"r2"}"#, &usual, by_rsa), "token_key_unknown"),
        ("empty kid", token(r#"{"alg":"RS256","kid":""}"#, &usual, by_rsa), "token_key_unknown"),
        (
            "kid of a key for encryption",
            token(r#"{"alg":"RS256","kid":"enc"}"#, &usual, by_rsa),
            "token_key_unknown",
        ),
        (
            "kid a path",
            token(r#"{"alg":"RS256","kid":"../../../dev/null"}"#, &usual, |m| by_secret(b"", m)),
            "token_key_unknown",
        ),
        (
            "kid SQL",
            token(r#"{"alg":"RS256","kid":"x' UNION SELECT 'k"}"#, &usual, other_rsa),
            "token_key_unknown",
        ),
        (
            "kid a URL",
            token(r#"{"alg":"RS256","kid":"https://evil.example/k"}"#, &usual, other_rsa),
            "token_key_unknown",
        ),
        (
            "kid with NUL",
            token("{\"alg\":\"RS256\",\"kid\":\"r1\\u0000\"}", &usual, other_rsa),
            "token_key_unknown",
        ),
        ("kid a number", token(r#"{"alg":"RS256","kid":1}"#, &usual, by_rsa), "token_malformed"),
        ("kid null", token(r#"{"alg":"RS256","kid":null}"#, &usual, by_rsa), "token_malformed"),
        (
            "jku",
            token(r#"{"alg":"RS256","kid":"r1","jku":"https://evil.example/jwks"}"#, &usual, other_rsa),
            "token_signature",
        ),
        (
            "x5u",
            token(r#"{"alg":"RS256","kid":"r1","x5u":"https://evil.example/x"}"#, &usual, other_rsa),
            "token_signature",
        ),
        (
            "jwk",
            token(&format!(r#"{{"alg":"RS256","kid":"r1","jwk":{jwk}}}"#), &usual, other_rsa),
            "token_signature",
        ),
        (
            "jwk alone",
            token(&format!(r#"{{"alg":"RS256","jwk":{jwk}}}"#), &usual, other_rsa),
            "token_signature",
        ),
        ("x5c", token(r#"{"alg":"RS256","kid":"r1","x5c":["MIIB"]}"#, &usual, other_rsa), "token_signature"),
        // What must be understood, and other purposes.
        ("crit", token(r#"{"alg":"RS256","kid":"r1","crit":["exp"]}"#, &usual, by_rsa), "token_critical"),
        ("crit empty", token(r#"{"alg":"RS256","kid":"r1","crit":[]}"#, &usual, by_rsa), "token_critical"),
        (
            "b64",
            token(r#"{"alg":"RS256","kid":"r1","b64":false,"crit":["b64"]}"#, &usual, by_rsa),
            "token_critical",
        ),
        (
            "a token of log-out",
            token(r#"{"alg":"RS256","kid":"r1","typ":"logout+jwt"}"#, &usual, by_rsa),
            "token_type",
        ),
        (
            "a token of DPoP",
            token(r#"{"alg":"RS256","kid":"r1","typ":"dpop+jwt"}"#, &usual, by_rsa),
            "token_type",
        ),
        ("typ a list", token(r#"{"alg":"RS256","kid":"r1","typ":["JWT"]}"#, &usual, by_rsa), "token_type"),
        // Times.
        ("expired", good(&with("exp", json!(NOW - 30.0))), "token_expired"),
        ("expired long ago", good(&with("exp", json!(0))), "token_expired"),
        ("expires before time", good(&with("exp", json!(-1e300))), "token_expired"),
        ("no exp", good(&with("exp", Value::Null)), "token_claims"),
        ("exp a text", good(&with("exp", json!("1800000000"))), "token_claims"),
        (
            "exp without bounds",
            good(&usual.replace("\"exp\":1700000600.0", "\"exp\":1e999")),
            "token_malformed",
        ),
        ("exp true", good(&with("exp", json!(true))), "token_claims"),
        ("nbf in the future", good(&with("nbf", json!(NOW + 31.0))), "token_too_early"),
        ("nbf a text", good(&with("nbf", json!("now"))), "token_claims"),
        ("iat in the future", good(&with("iat", json!(NOW + 31.0))), "token_too_early"),
        // Who says it, and to whom.
        ("another issuer", good(&with("iss", json!("https://evil.example/"))), "token_issuer"),
        ("an issuer without its slash", good(&with("iss", json!("https://id.example.com"))), "token_issuer"),
        ("an issuer in a list", good(&with("iss", json!(["https://id.example.com/"]))), "token_issuer"),
        ("no issuer", good(&with("iss", Value::Null)), "token_issuer"),
        ("another audience", good(&with("aud", json!("billing"))), "token_audience"),
        ("an audience that begins alike", good(&with("aud", json!("api2"))), "token_audience"),
        ("an empty audience", good(&with("aud", json!([]))), "token_audience"),
        ("an audience in a list in a list", good(&with("aud", json!([["api"]]))), "token_audience"),
        ("an audience beside what is none", good(&with("aud", json!(["api", 1]))), "token_audience"),
        ("no audience", good(&with("aud", Value::Null)), "token_audience"),
        ("a claim that is required", good(&with("tenant", Value::Null)), "token_claims"),
        // Names that stand twice.
        ("alg twice", token(r#"{"alg":"none","alg":"RS256","kid":"r1"}"#, &usual, by_rsa), "token_malformed"),
        (
            "exp twice",
            good(&format!("{},\"exp\":9999999999}}", &usual[..usual.len() - 1])),
            "token_malformed",
        ),
        (
            "sub twice",
            good(&format!("{},\"s\\u0075b\":\"root\"}}", &usual[..usual.len() - 1])),
            "token_malformed",
        ),
        // No token.
        ("nothing", String::new(), "token_malformed"),
        ("dots", "..".to_owned(), "token_malformed"),
        ("two parts", format!("{head}.{body}"), "token_malformed"),
        ("four parts", format!("{real}.{signature}"), "token_malformed"),
        ("five parts", format!("{real}.a.b"), "token_malformed"),
        ("padded", format!("{}.{body}.{signature}", URL_SAFE.encode(rs)), "token_malformed"),
        ("the other alphabet", format!("{head}.{body}.{}", STANDARD.encode([0xfb; 256])), "token_malformed"),
        ("white space within", real.replacen('.', ". ", 1), "token_malformed"),
        ("a line break within", format!("{head}.\n{body}.{signature}"), "token_malformed"),
        ("a header that is a list", token(r#"["RS256"]"#, &usual, by_rsa), "token_malformed"),
        ("a header that is no JSON", token("RS256", &usual, by_rsa), "token_malformed"),
        ("claims that are a list", good("[]"), "token_malformed"),
        ("claims that are a text", good("\"ann\""), "token_malformed"),
        ("claims with something behind them", good(&format!("{usual}{{}}")), "token_malformed"),
        ("claims of one NUL", token(rs, "\u{0}", by_rsa), "token_malformed"),
        (
            "claims of many levels",
            good(&format!("{{\"a\":{}1{}}}", "[".repeat(1000), "]".repeat(1000))),
            "token_malformed",
        ),
        ("huge", good(&with("tenant", json!("x".repeat(20_000)))), "token_malformed"),
        (
            "claims of another token",
            format!("{head}.{}.{signature}", b64(with("sub", json!("root")))),
            "token_signature",
        ),
        (
            "the header of another token",
            format!("{}.{body}.{signature}", b64(r#"{"alg":"RS256","kid":"r1","a":1}"#)),
            "token_signature",
        ),
    ];
    assert!(cases.len() >= 60, "{}", cases.len());
    let demands = demands(&USUAL);
    verify(&demands, &real).unwrap();
    for (what, token, code) in cases {
        let refused = verify(&demands, &token).map(|verified| verified.claims);
        assert_eq!(refused, Err(code), "{what}");
    }
}

#[test]
fn a_set_has_keys_that_can_be_used_or_is_none() {
    let weak = json!({ "keys": [{ "kty": "oct", "kid": "h", "k": b64("short") }] }).to_string();
    let small = json!({ "keys": [{ "kty": "RSA", "n": b64([0xff; 128]), "e": "AQAB" }] }).to_string();
    let idle = json!({ "keys": [{ "kty": "RSA", "n": b64([0xff; 256]), "e": "AQ" }] }).to_string();
    let off_curve =
        json!({ "keys": [{ "kty": "EC", "crv": "P-256", "x": b64([1; 32]), "y": b64([1; 32]) }] })
            .to_string();
    let all = [Algorithm::HS256, Algorithm::RS256, Algorithm::ES256];
    for (text, why) in [
        ("", "not a JSON object"),
        ("[]", "not a JSON object"),
        ("{}", "no list"),
        (r#"{"keys":[]}"#, "no key that can be used"),
        (r#"{"keys":[1,"x",{}]}"#, "no key that can be used"),
        (r#"{"keys":[],"keys":[]}"#, "not a JSON object"),
        (weak.as_str(), "no key that can be used"),
        (small.as_str(), "no key that can be used"),
        (idle.as_str(), "no key that can be used"),
        (off_curve.as_str(), "no key that can be used"),
    ] {
        let refused = key::read_set(text.as_bytes(), &all).unwrap_err();
        assert!(refused.contains(why), "{text}: {refused}");
    }
    assert_eq!(key::read_set(&set(), &USUAL).unwrap().len(), 3, "the secret is for HS256 alone");
}
