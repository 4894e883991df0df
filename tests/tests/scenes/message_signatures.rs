//! HTTP Message Signatures, made by http-message-signatures, before two gateways of one fleet.

use std::fs;

use serde_json::{Value, json};
use tollgate_tests::{Gateway, redis};

use crate::signatures::{SECRET, fleet, nonce, partners, send_by_curl, service, sign_messages};

/// Sends what was signed.
fn send(
    gate: &Gateway,
    method: &str,
    target: &str,
    fields: &[(String, String)],
    body: &str,
) -> (u16, String) {
    let to = format!("api.example.com:80:{}", gate.address());
    send_by_curl(method, &format!("http://api.example.com{target}"), fields, body, &["--connect-to", &to])
}

#[test]
fn http_message_signatures_of_a_foreign_signer_are_taken_once_and_unchanged() {
    const TARGET: &str = "/partners/new?x=a%20b&y=2";
    const BODY: &str = "{\"sku\":\"a-7\"}";
    let (folder, orders, store) = (partners(), service(), redis());
    let fleet = fleet(&folder, &orders, &store);
    let url = format!("http://api.example.com{TARGET}");
    let job = |key: &str, algorithm: &str, change: Value| {
        let mut job = json!({
            "method": "POST", "url": url, "body": BODY, "key": key, "algorithm": algorithm, "secret": SECRET,
            "covered": ["@method", "@authority", "@path", "@query"], "nonce": nonce(),
        });
        job.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        job
    };
    let kinds = [("bank-1", "hmac-sha256"), ("ed", "ed25519"), ("ec", "ecdsa-p256-sha256")];
    for (key, algorithm) in kinds {
        let with = |change: Value| job(key, algorithm, change);
        let jobs = json!([
            with(json!({})),
            with(
                json!({ "covered": ["@method", "@target-uri", "\"@query-param\";name=\"y\"", "x-more"], "headers": { "X-More": "a, b" } })
            ),
            with(json!({})),
            with(json!({ "age": 400 })),
            with(json!({ "age": -400 })),
            with(json!({ "nonce": null })),
            with(json!({ "covered": ["@method", "@authority", "@path"] })),
            with(json!({ "body": null })),
            with(json!({ "key": "nobody" })),
            with(json!({ "method": "PUT" })),
            with(json!({ "url": "http://api.example.com/partners/old?x=a%20b&y=2" })),
            with(json!({ "url": "http://api.example.com/partners/new?x=a%20b&y=3" })),
            with(json!({ "url": "http://other.example.com/partners/new?x=a%20b&y=2" })),
            with(json!({ "covered": ["@method", "@target-uri", "x-more"], "headers": { "X-More": "a" } })),
        ]);
        let signed = sign_messages(&folder, &jobs);
        for fields in &signed[..2] {
            assert_eq!(send(&fleet[0], "POST", TARGET, fields, BODY), (200, String::new()), "{fields:?}");
            for gate in &fleet {
                assert_eq!(send(gate, "POST", TARGET, fields, BODY), (401, "signature_replayed".to_owned()));
            }
        }
        let seen = orders.request(orders.requests().len() - 1);
        let app = if key == "bank-1" { "bank" } else { "partner" };
        assert_eq!(seen.header("x-tollgate-app"), Some(app));
        assert_eq!(seen.header("signature").or(seen.header("signature-input")), None);
        assert!(seen.header("content-digest").is_some());
        let refused = |number: usize, body: &str, code: &str| {
            let fields = &signed[number];
            let (status, found) = send(&fleet[1], "POST", TARGET, fields, body);
            assert_eq!((status, found.as_str()), (401, code), "{algorithm}: {number} {fields:?}");
        };
        refused(2, "{\"sku\":\"a-8\"}", "digest_wrong");
        refused(3, BODY, "signature_stale");
        refused(4, BODY, "signature_stale");
        refused(5, BODY, "signature_malformed");
        refused(6, BODY, "signature_incomplete");
        refused(7, BODY, "signature_incomplete");
        for number in 8..=12 {
            refused(number, BODY, "signature_wrong");
        }
        // A field that is signed becomes another, or is no longer there; and so the signature itself.
        let change = |number: usize, name: &str, of: &dyn Fn(&str) -> Vec<String>| {
            let mut fields = Vec::new();
            for (known, value) in &signed[number] {
                let values = if known == name { of(value) } else { vec![value.clone()] };
                fields.extend(values.into_iter().map(|value| (known.clone(), value)));
            }
            send(&fleet[1], "POST", TARGET, &fields, BODY).1
        };
        assert_eq!(change(13, "X-More", &|_| vec!["b".to_owned()]), "signature_wrong");
        assert_eq!(change(13, "X-More", &|value| vec![value.to_owned(), "b".to_owned()]), "signature_wrong");
        assert_eq!(change(13, "X-More", &|_| Vec::new()), "signature_malformed");
        assert_eq!(change(2, "Signature", &|_| Vec::new()), "signature_malformed");
        assert_eq!(
            change(2, "Signature", &|value| vec![value.to_owned(), value.to_owned()]),
            "signature_malformed"
        );
        assert_eq!(
            change(2, "Signature-Input", &|value| vec![value.replace("nonce=\"", "nonce=\"x")]),
            "signature_wrong"
        );
        assert_eq!(
            change(2, "Signature-Input", &|value| vec![value.replace("alg=\"", "alg=\"x")]),
            "signature_wrong"
        );
        assert_eq!(
            change(2, "Signature-Input", &|value| vec![value.replace("created=", "created=-")]),
            "signature_malformed"
        );
        assert_eq!(change(2, "Signature-Input", &|_| Vec::new()), "credentials_missing");
        // Nothing of that has used the nonce.
        assert_eq!(send(&fleet[1], "POST", TARGET, &signed[2], BODY).0, 200);
    }
    // A public key is no secret.
    let public = fs::read_to_string(folder.path().join("ed25519.pem")).unwrap();
    let forged = sign_messages(&folder, &json!([job("ed", "hmac-sha256", json!({ "secret": public }))]));
    assert_eq!(send(&fleet[0], "POST", TARGET, &forged[0], BODY), (401, "signature_wrong".to_owned()));
    let line = fleet[0].log(3).into_iter().find(|line| line["key"] == "ed");
    assert!(line.is_none_or(|line| line["auth"] == "partners"));
}
