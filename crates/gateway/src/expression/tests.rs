//! The language as users write it, its faults and its bounds.
#![allow(clippy::unwrap_used)]

use std::net::IpAddr;
use std::sync::Arc;

use http1::{Framing, RequestHead};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::route::{Device, Params, PathPattern};

const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 7));

fn head() -> RequestHead {
    RequestHead {
        method: "POST".parse().unwrap(),
        path: "/orders/a%20b".to_owned(),
        query: "debug=1&name=x+y&name=z&empty".to_owned(),
        has_query: true,
        authority: "api.example.com:8080".to_owned(),
        framing: Framing::Length(42),
        ..RequestHead::default()
    }
}

fn with_context<T>(use_it: impl FnOnce(&Context<'_>) -> T) -> T {
    let head = head();
    let pattern = PathPattern::parse("/orders/{id}").unwrap();
    let router = crate::route::Router::build(vec![crate::route::RouteMatch::new(pattern.clone())]).unwrap();
    let mut params = Params::new();
    router.find(&crate::route::RequestView::new(&head, CLIENT), &mut params);
    let body = json!({ "count": 3, "items": [{ "sku": "a", "n": 1 }, { "sku": "b", "n": 2 }], "note": null });
    let claims = json!({ "tenant": "t1", "realm": { "roles": ["admin", "dev"] }, "big": 18_446_744_073_709_551_615_u64 });
    let scopes = ["read".into(), "write".into()];
    use_it(&Context {
        params: Some(params.bind(&pattern, &head.path)),
        body: Some(&body),
        api: "shop",
        route: "orders",
        identity: Some(IdentityFacts {
            app: "mobile",
            user: "ann",
            plan: "",
            scopes: &scopes,
            claims: Some(&claims),
        }),
        ..Context::new(&head, CLIENT)
    })
}

fn answer(text: &str) -> Result<bool, String> {
    let expression = Expression::compile(text).unwrap_or_else(|fault| panic!("{text}: {fault}"));
    with_context(|context| expression.matches(context))
}

#[test]
fn a_count_is_a_number_that_is_not_negative() {
    for (text, expected) in [
        ("7", Some(7)),
        ("7u", Some(7)),
        ("6.1", Some(7)),
        ("0", Some(0)),
        ("-0.5", Some(0)),
        ("1e300", Some(u64::MAX)),
        ("0.0 / 0.0", None),
        ("-1", None),
        ("-1.5", None),
        ("'7'", None),
        ("true", None),
        ("null", None),
        ("size(identity.scopes) * 3", Some(6)),
        ("int(request.path)", None),
    ] {
        let expression = Expression::compile(text).unwrap_or_else(|fault| panic!("{text}: {fault}"));
        let found = with_context(|context| expression.evaluate_count(context));
        assert_eq!(found.clone().ok(), expected, "{text}: {found:?}");
    }
}

#[test]
fn a_text_that_is_a_number_is_an_amount() {
    for (text, expected) in [
        ("7", Some(7)),
        ("'7'", Some(7)),
        ("' 12 '", Some(12)),
        ("'6.1'", Some(7)),
        ("'.5'", Some(1)),
        ("'0'", Some(0)),
        ("'18446744073709551615'", Some(u64::MAX)),
        ("'99999999999999999999'", Some(u64::MAX)),
        ("''", None),
        ("'-1'", None),
        ("'+1'", None),
        ("'7, 8'", None),
        ("'1e3'", None),
        ("'inf'", None),
        ("'.'", None),
        ("-1", None),
        ("true", None),
        ("request.headers['x-none']", None),
    ] {
        let expression = Expression::compile(text).unwrap_or_else(|fault| panic!("{text}: {fault}"));
        let found = with_context(|context| expression.evaluate_amount(context));
        assert_eq!(found.clone().ok(), expected, "{text}: {found:?}");
    }
}

#[test]
fn a_name_with_a_dash_stands_in_brackets() {
    for (text, at, written) in [
        ("response.headers.x-tokens", 19, "response.headers['x-tokens']"),
        ("1 + request.headers.x-rate-limit-left", 22, "request.headers['x-rate-limit-left']"),
        ("request.headers.x-api == 'a'", 18, "request.headers['x-api']"),
        ("request.query.page-size == '1'", 19, "request.query['page-size']"),
        ("params.user-id == 'a'", 12, "params['user-id']"),
        ("identity.claims.realm.tenant-name == 'a'", 29, "identity.claims.realm['tenant-name']"),
    ] {
        let fault = Expression::compile(text).unwrap_err();
        assert!(fault.message.contains(&format!("write `{written}`")), "{text}: {fault}");
        assert_eq!(fault.offset, at, "{text}");
    }
    for text in [
        "request.headers['x-tokens'] == '7'",
        "identity.claims.a-identity.claims.b > 0",
        "identity.claims.n - 1 > 0",
        "identity.scopes.all(c, identity.claims.n-size(c) > 0)",
        "request.size-response.status > 0",
    ] {
        Expression::compile(text).unwrap_or_else(|fault| panic!("{text}: {fault}"));
    }
    let fault = Expression::compile("request.size-tokens").unwrap_err();
    assert!(fault.message.starts_with("`tokens` is unknown"), "{fault}");
}

#[test]
fn every_member_has_its_value() {
    for text in [
        "request.method == 'POST'",
        "request['method'] == 'POST'",
        "request.path == '/orders/a%20b'",
        "request.host == 'api.example.com'",
        "request.client_ip == '10.0.0.7'",
        "request.client_ip.startsWith('10.')",
        "request.size == 42 && request.size < 1000",
        "request.query.debug == '1'",
        "request.query.name == 'x y'",
        "request.query.empty == ''",
        "has(request.query.debug) && !has(request.query.missing)",
        "'debug' in request.query && !('missing' in request.query)",
        "size(request.query) == 3",
        "request.query.exists(k, k == 'name')",
        "request.query[params.id == 'a b' ? 'name' : 'debug'] == 'x y'",
        "params.id == 'a b' && params['id'] == 'a b'",
        "!('x-tenant' in request.headers) && !has(request.headers.x)",
        "request.body.count == 3 && request.body.items[1].n == 2",
        "request.body.items.all(i, i.n > 0) && request.body.items.map(i, i.sku) == ['a', 'b']",
        "request.body.items.filter(i, i.n > 1).size() == 1 && request.body.items.exists_one(i, i.sku == 'a')",
        "request.body.note == null && has(request.body.note) && !has(request.body.none)",
        "int(request.query.debug) + 1 == 2",
        "identity.user == 'ann' && identity.app == 'mobile' && !has(identity.plan)",
        "'read' in identity.scopes && size(identity.scopes) == 2",
        "identity.claims.tenant == 't1' && 'admin' in identity.claims.realm.roles",
        "identity.claims.big == 18446744073709551615u",
        "device == '' && api == 'shop' && route == 'orders'",
        "request.path.matches('^/orders/[a-z%0-9]+$') && !matches(request.path, '^/x')",
        "request.host.lowerAscii().split('.')[0] == 'api'",
        "type(request.size) == int",
        "[1, 2].exists(request, request == 2)",
        "['x'].all(identity, identity.size() == 1 && params.id != '')",
        "request.query.missing == '1' || true",
    ] {
        assert_eq!(answer(text), Ok(true), "{text}");
    }
}

#[test]
fn what_is_absent_or_no_bool_is_no_answer_but_a_sentence() {
    for (text, words) in [
        ("request.query.missing == '1'", "`request.query.missing` is absent"),
        ("request.headers['X-Tenant'] == 'a'", "`request.headers.x-tenant` is absent"),
        ("response.status == 200", "`response.status` is absent"),
        ("identity.plan == ''", "`identity.plan` is absent"),
        ("request.size", "type int, not bool"),
        ("request.size + 'a' == ''", "Unsupported binary operator"),
        ("1 / 0 == 1", "Division by zero"),
        ("request.body.count.matches('3')", "no text"),
        ("[1][7] == 1", "ut of bounds"),
        ("{'a': 1}.b == 1", "there is no `b`"),
    ] {
        let reason = answer(text).unwrap_err();
        assert!(reason.contains(words), "{text}: {reason}");
    }
}

#[test]
fn faults_point_at_their_byte_and_suggest_names() {
    for (text, offset, words) in [
        ("", 0, "missing"),
        ("  ", 0, "missing"),
        ("reqest.path == ''", 0, "did you mean `request`?"),
        ("true && request.pth == ''", 15, "did you mean `path`?"),
        ("request.zzzzzz == ''", 7, "it has `method`"),
        ("method == 'GET'", 0, "did you mean `request.method`?"),
        ("zzzzzz == 'GET'", 0, "an expression speaks of"),
        ("request == 1", 0, "name a member"),
        ("has(identity.usr)", 3, "did you mean `user`?"),
        ("request.method.foo == ''", 14, "has no members"),
        ("request.headers.a.b == ''", 17, "has no members"),
        ("request.path.startWith('/')", 22, "did you mean `startsWith`?"),
        ("request.path.has('/')", 16, "other arguments"),
        ("request.path.matches(request.host)", 28, "written out"),
        ("request.path.matches('(')", 21, "not a regular expression"),
        ("'\u{e9}\u{e9}' == reqest.path", 10, "did you mean `request`?"),
        ("'\u{e9}\u{e9}' == = 1", 10, "not an expression"),
        ("request.path ==", 15, "not an expression"),
        ("\n\nrequest.path == = 1", 18, "not an expression"),
        ("a.b{c: 1}", 3, "messages"),
        ("[1].all(a, [1].all(b, [1].all(c, true)))", 29, "nest"),
        ("request.?path == ''", 7, "not an expression"),
    ] {
        let fault = Expression::compile(text).unwrap_err();
        assert!(fault.message.contains(words), "{text}: {fault}");
        assert_eq!(fault.offset, offset, "{text}: {fault}");
    }
}

#[test]
fn a_place_may_know_less_than_everything() {
    assert!(Expression::compile_for("request.path == params.x", Roots::AT_ROUTE).is_ok());
    let fault = Expression::compile_for("identity.user == ''", Roots::AT_ROUTE).unwrap_err();
    assert_eq!(fault.message, "`identity.user` is not known yet where this is evaluated");
    assert!(Expression::compile_for("request.body.x == 1", Roots::AT_ROUTE).is_err());
    assert!(Expression::compile_for("request.body.x == 1", Roots::BEFORE_RESPONSE).is_ok());
    assert!(Expression::compile_for("response.status == 1", Roots::BEFORE_RESPONSE).is_err());
}

#[test]
fn an_expression_tells_what_it_needs() {
    let expression = Expression::compile("params.id == identity.user && has(params.x)").unwrap();
    assert_eq!(expression.roots(), Roots::NONE.with(Root::Params).with(Root::Identity));
    assert_eq!(expression.param_names().collect::<Vec<_>>(), ["id", "x"]);
    assert!(!expression.needs_body());
    assert!(Expression::compile("size(request.body.items) > 0").unwrap().needs_body());
}

#[test]
fn a_body_of_unknown_size_is_under_no_bound() {
    let mut head = head();
    head.framing = Framing::Chunked;
    let expression = Expression::compile("request.size < 1000").unwrap();
    assert!(expression.matches(&Context::new(&head, CLIENT)).is_err());
    head.framing = Framing::None;
    assert_eq!(expression.matches(&Context::new(&head, CLIENT)), Ok(true));
}

#[test]
fn a_device_is_detected_only_in_the_order_of_the_configuration() {
    let mut head = head();
    let devices = [Arc::new(Device::new("iot", None, Some("x-device-id")).unwrap())];
    let context = Context { devices: &devices, ..Context::new(&head, CLIENT) };
    assert_eq!(Expression::compile("device == ''").unwrap().matches(&context), Ok(true));
    head.fields.append_named(b"X-Device-Id", b"7");
    let context = Context { devices: &devices, ..Context::new(&head, CLIENT) };
    assert_eq!(Expression::compile("device == 'iot'").unwrap().matches(&context), Ok(true));
}

#[test]
fn headers_are_found_in_any_case_and_several_are_one_list() {
    let mut head = head();
    head.fields.append_named(b"X-Tenant", b"a");
    head.fields.append_named(b"x-tenant", b"b");
    head.fields.append_named(b"X-One", b"1");
    head.fields.append_named(b"X-Bytes", b"\xff");
    let answer_fields = head.fields.clone();
    let response = ResponseFacts { status: 201, fields: &answer_fields, body: None };
    let context = Context { response: Some(response), ..Context::new(&head, CLIENT) };
    for text in [
        "request.headers['X-Tenant'] == 'a, b'",
        "request.headers['x-one'] == '1' && 'X-One' in request.headers",
        "size(request.headers) == 3 && request.headers.all(name, name == name.lowerAscii())",
        "request.headers[request.query.debug == '1' ? 'x-one' : ''] == '1'",
        "request.headers['x-bytes'] == '\u{fffd}'",
        "response.status == 201 && response.headers['x-one'] == '1' && 'X-One' in response.headers",
        "!has(request.headers.none) && !('none' in response.headers) && !has(response.body)",
    ] {
        assert_eq!(Expression::compile(text).unwrap().matches(&context), Ok(true), "{text}");
    }
}

#[test]
fn comprehensions_over_much_end_early() {
    let head = head();
    let many = json!({ "a": (0..200).collect::<Vec<_>>(), "b": (0..=MAX_VALUES).collect::<Vec<_>>() });
    let context = Context { body: Some(&many), ..Context::new(&head, CLIENT) };
    for (text, fits) in [
        ("request.body.a.all(x, x >= 0)", true),
        ("request.body.a.all(x, request.body.a.exists(y, y == -1) || true)", false),
        ("request.body.a.map(x, request.body.a.map(y, x + y)).size() == 200", false),
        ("request.body.a.filter(x, request.body.a.filter(y, y > x).size() > 0).size() == 199", false),
        ("request.body.a.exists_one(x, request.body.a.exists_one(y, y == x) && x == 250)", false),
        ("request.body.b.size() > 0", false),
    ] {
        let result = Expression::compile(text).unwrap().matches(&context);
        if fits {
            assert_eq!(result, Ok(true), "{text}");
        } else {
            assert!(result.unwrap_err().contains("more than 10000 steps"), "{text}");
        }
    }
}

#[test]
fn texts_that_are_too_long_or_too_deep_are_refused_before_they_are_parsed() {
    for text in [
        "a".repeat(MAX_TEXT + 1),
        format!("{}1{}", "(".repeat(2000), ")".repeat(2000)),
        "!".repeat(2000) + "true",
        "-".repeat(2000) + "1",
        "1 + ".repeat(1000) + "1",
        "a.".repeat(1500) + "b",
        "true ? ".repeat(500) + "1",
        "[".repeat(2000),
        vec!["true"; 700].join("&&"),
    ] {
        assert!(Expression::compile(&text).is_err(), "{}", &text[..20]);
    }
    for text in [
        "-".repeat(MAX_OPERATORS) + "1 == 1",
        "1 + ".repeat(MAX_OPERATORS - 3) + "1 == 0",
        "!".repeat(MAX_OPERATORS) + "true",
        format!("identity.claims.{}b == 1", "a.".repeat(MAX_OPERATORS / 2 - 4)),
        format!("identity.claims{} == 1", "[0]".repeat(MAX_OPERATORS / 3)),
        format!("{}true{}", "(".repeat(MAX_OPERATORS / 2), ")".repeat(MAX_OPERATORS / 2)),
        format!("{}1{}", "[".repeat(MAX_OPERATORS / 2), "]".repeat(MAX_OPERATORS / 2)),
        format!("{}1{}", "size(".repeat(MAX_OPERATORS / 2), ")".repeat(MAX_OPERATORS / 2)),
        "(".repeat(MAX_OPERATORS),
        "{1:".repeat(MAX_OPERATORS / 2),
        "true ? ".repeat(MAX_OPERATORS / 2) + "true" + &": false".repeat(MAX_OPERATORS / 2),
        format!("{}true{}", "(".repeat(20), ")".repeat(20)),
        "true ? ".repeat(20) + "true" + &": false".repeat(20),
        "1 + ".repeat(44) + "1 == 45",
        vec!["true"; MAX_OPERATORS / 2].join("&&"),
    ] {
        if let Ok(expression) = Expression::compile(&text) {
            let _ = with_context(|context| expression.matches(context));
        }
    }
}

#[test]
fn templates_put_values_between_their_text() {
    for (text, expected) in [
        ("Hello ${{ identity.user }}!", "Hello ann!"),
        ("${{ request.size }}${{ 1.5 }} ${{ true }}", "421.5 true"),
        ("${{ {'a': {'b': '}}'}}.a.b }}", "}}"),
        ("plain $ {{ }}", "plain $ {{ }}"),
        ("", ""),
    ] {
        let template = Template::compile(text).unwrap();
        let mut out = String::new();
        with_context(|context| template.render(context, &mut out)).unwrap();
        assert_eq!(out, expected);
        assert_eq!(template.literal().is_some(), template.expressions().next().is_none());
    }
    for (text, offset) in [("a ${{ x", 2), ("a ${{ reqest.path }}", 6), ("${{ }}", 3)] {
        assert_eq!(Template::compile(text).unwrap_err().offset, offset, "{text}");
    }
    let list = Template::compile("${{ identity.scopes }}").unwrap();
    assert!(with_context(|context| list.render(context, &mut String::new())).is_err());
}

/// Pieces of the language in any order: more often nearly an expression than random text is.
fn near_expressions() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("request"),
        Just(".path"),
        Just(".headers"),
        Just("['a']"),
        Just("params.id"),
        Just(" == "),
        Just(" && "),
        Just("("),
        Just(")"),
        Just("["),
        Just("]"),
        Just("{"),
        Just("}"),
        Just("'"),
        Just("\""),
        Just("!"),
        Just("-"),
        Just("?"),
        Just(":"),
        Just(","),
        Just("1"),
        Just("0x"),
        Just("1e9"),
        Just("u"),
        Just(".all(x, "),
        Just(".map("),
        Just("has("),
        Just(" in "),
        Just("r'"),
        Just("b'"),
        Just("\\"),
        Just("'''"),
        Just("//"),
        Just("\n"),
        Just("`"),
        Just("\u{e9}"),
        Just("9223372036854775808"),
        Just("."),
        Just("null"),
        Just("true"),
        Just(".matches('a')"),
        Just("size("),
        Just("\\u12"),
        Just(".exists_one("),
    ];
    prop::collection::vec(piece, 0..16).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_text_makes_compiling_or_evaluating_panic(
        text in prop_oneof![near_expressions(), r"\PC{0,40}", r"[ -~]{0,40}"],
    ) {
        match Expression::compile(&text) {
            Ok(expression) => {
                let _ = with_context(|context| expression.matches(context));
                let _ = with_context(|context| expression.evaluate_text(context));
                let _ = with_context(|context| expression.evaluate_count(context));
            }
            Err(fault) => prop_assert!(fault.offset <= text.len()),
        }
        let _ = Template::compile(&format!("${{{{{text}}}}}"));
    }
}
