//! The examples of RFC 9421 (appendix B), and what is not signed as it must be.
#![allow(clippy::unwrap_used)]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Method;

use super::*;
use crate::config::load_text;

const BODY: &[u8] = b"{\"hello\": \"world\"}";

/// Appendix B.2: `test-request`.
fn example(input: &str, signature: &str) -> RequestHead {
    let mut request = RequestHead {
        method: Method::POST,
        path: "/foo".to_owned(),
        query: "param=Value&Pet=dog".to_owned(),
        has_query: true,
        authority: "example.com".to_owned(),
        framing: Framing::Length(18),
        ..RequestHead::default()
    };
    for (name, value) in [
        ("Date", "Tue, 20 Apr 2021 02:07:55 GMT"),
        ("Content-Type", "application/json"),
        (
            "Content-Digest",
            "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:",
        ),
        ("Signature-Input", input),
        ("Signature", signature),
    ] {
        request.fields.append_named(name.as_bytes(), value.as_bytes());
    }
    request
}

fn way(config: &str) -> (Signature, Callers) {
    let text = format!(
        "
auth: {{ signed: {{ signature: {{ {config} }} }} }}
apps: {{ mobile: {{ keys: [ {{ id: m, secret: 'a secret of some length' }} ] }} }}
"
    );
    let (config, _) = load_text(&text).unwrap();
    let mut faults = config.faults();
    let signature = config.auth["signed"].signature.as_ref().unwrap();
    let way = Signature::build(("signed", 0), signature, Nonces::default(), &config, &mut faults).unwrap();
    (way, Callers::new(&config))
}

fn base_of(request: &RequestHead) -> (Sent, Vec<u8>) {
    let (way, _) = way("window: 1h");
    let sent = way.sent(request).unwrap().unwrap();
    let base = View::new(request, true).base(&sent.covered).unwrap();
    (sent, base)
}

#[test]
fn the_example_of_hmac_sha256_is_signed() {
    let request = example(
        r#"sig-b25=("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret""#,
        "sig-b25=:pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=:",
    );
    let secret = "uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ==";
    let key = hmac::Key::new(hmac::HMAC_SHA256, &STANDARD.decode(secret).unwrap());
    let (sent, base) = base_of(&request);
    assert!(hmac::verify(&key, &base, &sent.signature).is_ok(), "{}", String::from_utf8_lossy(&base));
    assert!(is_digest_right(&request, BODY));
    assert!(!is_digest_right(&request, b"{\"hello\": \"World\"}"));
}

#[test]
fn the_example_of_ed25519_is_signed() {
    let request = example(
        r#"sig-b26=("date" "@method" "@path" "@authority" "content-type" "content-length");created=1618884473;keyid="test-key-ed25519""#,
        "sig-b26=:wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==:",
    );
    let der = STANDARD.decode("MCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=").unwrap();
    let (algorithm, key) = parse_key(&der).unwrap();
    assert_eq!(algorithm, SignatureAlgorithm::Ed25519);
    let (sent, base) = base_of(&request);
    assert!(key.verify_sig(&base, &sent.signature).is_ok(), "{}", String::from_utf8_lossy(&base));
    let mut other = example("sig-b26=()", "sig-b26=::");
    other.framing = Framing::Length(19);
    assert_ne!(View::new(&other, true).base(&sent.covered).unwrap(), base);
}

/// Appendix B.3.
#[test]
fn the_example_of_ecdsa_p256_sha256_is_signed() {
    const CERTIFICATE: &str = ":MIIBqDCCAU6gAwIBAgIBBzAKBggqhkjOPQQDAjA6MRswGQYDVQQKDBJMZXQncyBBdXRoZW50aWNhdGUxGzAZBgNVBAMMEkxBIEludGVybWVkaWF0ZSBDQTAeFw0yMDAxMTQyMjU1MzNaFw0yMTAxMjMyMjU1MzNaMA0xCzAJBgNVBAMMAkJDMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE8YnXXfaUgmnMtOXU/IncWalRhebrXmckC8vdgJ1p5Be5F/3YC8OthxM4+k1M6aEAEFcGzkJiNy6J84y7uzo9M6NyMHAwCQYDVR0TBAIwADAfBgNVHSMEGDAWgBRm3WjLa38lbEYCuiCPct0ZaSED2DAOBgNVHQ8BAf8EBAMCBsAwEwYDVR0lBAwwCgYIKwYBBQUHAwIwHQYDVR0RAQH/BBMwEYEPYmRjQGV4YW1wbGUuY29tMAoGCCqGSM49BAMCA0gAMEUCIBHda/r1vaL6G3VliL4/Di6YK0Q6bMjeSkC3dFCOOB8TAiEAx/kHSB4urmiZ0NX5r5XarmPk0wmuydBVoU4hBVZ1yhk=:";
    let mut request = example(
        r#"ttrp=("@path" "@query" "@method" "@authority" "client-cert");created=1618884473;keyid="test-key-ecc-p256""#,
        "ttrp=:xVMHVpawaAC/0SbHrKRs9i8I3eOs5RtTMGCWXm/9nvZzoHsIg6Mce9315T6xoklyy0yzhD9ah4JHRwMLOgmizw==:",
    );
    request.authority = "service.internal.example".to_owned();
    request.fields.append_named(b"Client-Cert", CERTIFICATE.as_bytes());
    let key = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEqIVYZVLCrPZHGHjP17CTW0/+D9Lfw0EkjqF7xB4FivAxzic30tMM4GF+hR6Dxh71Z50VGGdldkkDXZCnTNnoXQ==";
    let (algorithm, key) = parse_key(&STANDARD.decode(key).unwrap()).unwrap();
    assert_eq!(algorithm, SignatureAlgorithm::EcdsaP256Sha256);
    let (sent, base) = base_of(&request);
    assert!(key.verify_sig(&base, &sent.signature).is_ok(), "{}", String::from_utf8_lossy(&base));
}

/// Appendix B.4: on the way some of it changes, and what is signed stays the same.
#[test]
fn what_is_not_signed_may_change_on_the_way() {
    let der = STANDARD.decode("MCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=").unwrap();
    let (_, key) = parse_key(&der).unwrap();
    let input =
        r#"transform=("@method" "@path" "@authority" "accept");created=1618884473;keyid="test-key-ed25519""#;
    let signature = "transform=:ZT1kooQsEHpZ0I1IjCqtQppOmIqlJPeo7DHR3SoMn0s5JZ1eRGS0A+vyYP9t/LXlh5QMFFQ6cpLt2m0pmj3NDA==:";
    let is_signed = |method: Method, authority: &str, query: &str, accept: &[&str]| {
        let mut request = example(input, signature);
        request.method = method;
        "/demo".clone_into(&mut request.path);
        query.clone_into(&mut request.query);
        authority.clone_into(&mut request.authority);
        for value in accept {
            request.fields.append_named(b"Accept", value.as_bytes());
        }
        let (sent, base) = base_of(&request);
        key.verify_sig(&base, &sent.signature).is_ok()
    };
    let (get, host, query) = (Method::GET, "example.org", "name1=Value1&Name2=value2");
    assert!(is_signed(get.clone(), host, query, &["application/json", "*/*"]));
    assert!(is_signed(
        get.clone(),
        host,
        "name1=Value1&Name2=value2&param=added",
        &["application/json", "*/*"]
    ));
    assert!(is_signed(get.clone(), host, query, &["application/json, */*"]));
    assert!(!is_signed(get.clone(), host, query, &["*/*", "application/json"]));
    assert!(!is_signed(get, "example.com", query, &["application/json", "*/*"]));
    assert!(!is_signed(Method::POST, host, query, &["application/json", "*/*"]));
}

#[test]
fn components_are_what_the_request_says() {
    let request = example("s=()", "s=::");
    let value = |component: &str, request: &RequestHead, is_tls: bool| {
        let list = inner_lists(format!("s=({component})").as_bytes()).unwrap().remove(0).1;
        let base = View::new(request, is_tls).base(&list)?;
        let text = String::from_utf8(base).unwrap();
        Some(text.lines().next()?.split_once("\": ").or(text.split_once(": "))?.1.lines().next()?.to_owned())
    };
    for (component, expected) in [
        (r#""@method""#, "POST"),
        (r#""@target-uri""#, "https://example.com/foo?param=Value&Pet=dog"),
        (r#""@authority""#, "example.com"),
        (r#""@scheme""#, "https"),
        (r#""@request-target""#, "/foo?param=Value&Pet=dog"),
        (r#""@path""#, "/foo"),
        (r#""@query""#, "?param=Value&Pet=dog"),
        (r#""content-length""#, "18"),
        (r#""host""#, "example.com"),
    ] {
        assert_eq!(value(component, &request, true).as_deref(), Some(expected), "{component}");
    }
    let mut other = example("s=()", "s=::");
    other.authority = "example.com:443".to_owned();
    assert_eq!(value(r#""@authority""#, &other, true).as_deref(), Some("example.com"));
    assert_eq!(value(r#""@authority""#, &other, false).as_deref(), Some("example.com:443"));
    other.fields.append_named(b"X-Two", b" a ");
    other.fields.append_named(b"x-two", b"b");
    assert_eq!(value(r#""x-two""#, &other, false).as_deref(), Some("a, b"));
    other.query = "param=value&foo=bar&baz=batman&qux=&var=this%20is%20a%20big%0Amultiline%20value&bar=with+plus+whitespace&fa%C3%A7ade%22%3A%20=something&two=1&two=2&bad=%ff".to_owned();
    // Section 2.2.8.
    for (name, expected) in [
        ("baz", Some("batman")),
        ("qux", Some("")),
        ("param", Some("value")),
        ("var", Some("this%20is%20a%20big%0Amultiline%20value")),
        ("bar", Some("with%20plus%20whitespace")),
        ("fa%C3%A7ade%22%3A%20", Some("something")),
        ("two", None),
        ("none", None),
        ("bad", None),
    ] {
        let list =
            inner_lists(format!("s=(\"@query-param\";name=\"{name}\")").as_bytes()).unwrap().remove(0).1;
        let base = View::new(&other, false).base(&list).map(|base| String::from_utf8(base).unwrap());
        let line =
            base.as_deref().and_then(|base| base.lines().next()?.rsplit_once(": ")).map(|(_, value)| value);
        assert_eq!(line, expected, "{name}");
    }
    for wrong in [
        r#""@status""#,
        r#""x-none""#,
        r#""Date""#,
        r#""date";sf"#,
        r#""date";bs"#,
        r#""date";key="a""#,
        r#""date";tr"#,
        r#""date";req"#,
        r#""@method";req"#,
        r#""@query-param""#,
        r#""@query-param";name=param"#,
        r#""@signature-params""#,
        r#""date" "date""#,
    ] {
        assert_eq!(value(wrong, &request, true), None, "{wrong}");
    }
}

#[test]
fn a_signature_covers_what_it_must() {
    let list = |covered: &str| inner_lists(format!("s=({covered})").as_bytes()).unwrap().remove(0).1;
    let (way, _) = way("window: 300s");
    for (covered, has_body, is_complete) in [
        (r#""@method" "@authority" "@path" "@query""#, false, true),
        (r#""@method" "@authority" "@path" "@query""#, true, false),
        (r#""@method" "@authority" "@path" "@query" "content-digest""#, true, true),
        (r#""@method" "@target-uri""#, false, true),
        (r#""@method" "@authority" "@request-target""#, false, true),
        (r#""@method" "@request-target""#, false, false),
        (r#""@method" "@authority" "@path""#, false, false),
        (r#""@method" "@authority" "@path" "@query";req"#, false, false),
        ("", false, false),
    ] {
        assert_eq!(way.is_complete(&list(covered), has_body), is_complete, "{covered}");
    }
}

#[test]
fn a_signature_says_when_and_by_whom_it_was_made() {
    let (way, _) = way("window: 300s, tag: shop");
    let said = |parameters: &str| {
        let request = example(&format!("s=(){parameters}"), "s=:AA==:");
        match way.sent(&request)? {
            Err(code) => Some(Err(code)),
            Ok(sent) => Some(way.terms(&sent, 1000).map(|terms| terms.until)),
        }
    };
    let rest = ";keyid=\"k\";nonce=\"0123456789\";tag=\"shop\"";
    for (parameters, expected) in [
        (format!(";created=1000{rest}"), Some(Ok(1301))),
        (format!(";created=700{rest}"), Some(Ok(1001))),
        (format!(";created=1300{rest}"), Some(Ok(1601))),
        (format!(";created=1000;expires=1001{rest}"), Some(Ok(1001))),
        (format!(";created=699{rest}"), Some(Err(STALE_SIGNATURE))),
        (format!(";created=1301{rest}"), Some(Err(STALE_SIGNATURE))),
        (format!(";created=1000;expires=1000{rest}"), Some(Err(STALE_SIGNATURE))),
        (format!(";created=-1000{rest}"), Some(Err(MALFORMED_SIGNATURE))),
        (format!(";created=\"1000\"{rest}"), Some(Err(MALFORMED_SIGNATURE))),
        (format!(";created=1000;expires=tomorrow{rest}"), Some(Err(MALFORMED_SIGNATURE))),
        (rest.to_owned(), Some(Err(MALFORMED_SIGNATURE))),
        (";created=1000;keyid=\"k\";tag=\"shop\"".to_owned(), Some(Err(MALFORMED_SIGNATURE))),
        (";created=1000;keyid=\"k\";nonce=\"short\";tag=\"shop\"".to_owned(), Some(Err(MALFORMED_SIGNATURE))),
        (";created=1000;nonce=\"0123456789\";tag=\"shop\"".to_owned(), Some(Err(MALFORMED_SIGNATURE))),
        (";created=1000;keyid=\"k\";nonce=\"0123456789\";tag=\"other\"".to_owned(), None),
        (";created=1000;keyid=\"k\";nonce=\"0123456789\"".to_owned(), None),
    ] {
        assert_eq!(said(&parameters), expected, "{parameters}");
    }
}

#[test]
fn of_several_signatures_the_one_that_is_meant_is_looked_at() {
    let inputs = "a=(), b=()";
    let (any, _) = way("window: 300s");
    assert_eq!(any.sent(&example(inputs, "a=:AA==:")).unwrap().unwrap_err(), MALFORMED_SIGNATURE);
    let (one, _) = way("label: b");
    assert_eq!(one.sent(&example(inputs, "a=:AA==:, b=:AQ==:")).unwrap().unwrap().signature, [1]);
    assert_eq!(one.sent(&example(inputs, "a=:AA==:")).unwrap().unwrap_err(), MALFORMED_SIGNATURE);
    assert!(one.sent(&example("a=()", "a=:AA==:")).is_none());
    assert!(any.sent(&RequestHead::default()).is_none());
}

#[test]
fn a_key_signs_in_its_own_way_alone() {
    let (way, callers) = way("algorithms: [hmac-sha256]");
    let secret = hmac::Key::new(hmac::HMAC_SHA256, b"a secret of some length");
    let signed = |parameters: &str, key_id: &str| {
        let mut request = example(&format!("s=(\"date\"){parameters}"), "s=::");
        let (_, base) = base_of(&request);
        let tag = STANDARD.encode(hmac::sign(&secret, &base));
        request.fields.set_named(b"signature", format!("s=:{tag}:").as_bytes());
        let (sent, base) = base_of(&request);
        way.verify(&callers, &sent, key_id, &base).is_some()
    };
    assert!(signed("", "m"));
    assert!(signed(";alg=\"hmac-sha256\"", "m"));
    for alg in ["\"ed25519\"", "\"HMAC-SHA256\"", "hmac-sha256", "\"none\"", "\"\""] {
        assert!(!signed(&format!(";alg={alg}"), "m"), "{alg}");
    }
    assert!(!signed("", "n"));
}
