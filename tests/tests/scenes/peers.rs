//! Foreign programs at either end, so that we do not only agree with ourselves.

use tollgate_tests::{backend, curl, file_server, front, front_with, nginx};

#[test]
fn curl_gets_what_nginx_serves() {
    let server = nginx("location / { }");
    server.write("a.txt", "from nginx");
    let gate = front(&server);
    let url = |path: &str| format!("http://{}{path}", gate.address());
    assert_eq!(curl(&[&url("/a.txt")]).text(), "from nginx");
    let head = curl(&["-I", &url("/a.txt")]).text();
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("Content-Length: 10"), "{head}");
    let part = curl(&["-i", "-r", "5-9", &url("/a.txt")]).text();
    assert!(part.contains("206") && part.ends_with("nginx"), "{part}");
    let missing = curl(&["-o", "/dev/null", "-w", "%{http_code}", &url("/none")]).text();
    assert_eq!(missing, "404");
}

#[test]
fn curl_reuses_its_connection_for_many_urls() {
    let server = nginx("location / { return 200 ok; }");
    let gate = front(&server);
    let url = format!("http://{}/[1-5]", gate.address());
    let output = curl(&["-w", " %{num_connects}\n", &url]).text();
    assert_eq!(output, "ok 1\nok 0\nok 0\nok 0\nok 0\n");
}

#[test]
fn curl_revalidates_through_the_gateway() {
    let server = nginx("location / { etag on; }");
    server.write("a.txt", "from nginx");
    let gate = front(&server);
    let url = format!("http://{}/a.txt", gate.address());
    let head = curl(&["-I", &url]).text();
    let tag = head.lines().find_map(|line| line.strip_prefix("ETag: ")).unwrap();
    let again = curl(&["-i", "-H", &format!("If-None-Match: {tag}"), &url]).text();
    assert!(again.starts_with("HTTP/1.1 304"), "{again}");
}

#[test]
fn curl_uploads_in_every_way_it_knows() {
    let users = backend(|call| {
        let body = call.body();
        call.reply(200, format!("{} {}", call.seen.method, body.len()));
    });
    let gate = front(&users);
    let url = format!("http://{}/up", gate.address());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("big");
    std::fs::write(&file, vec![b'x'; 3_000_000]).unwrap();
    let file = file.display().to_string();
    assert_eq!(curl(&["-d", "a=b", &url]).text(), "POST 3");
    // Over a megabyte curl asks first: Expect: 100-continue.
    assert_eq!(curl(&["-T", &file, &url]).text(), "PUT 3000000");
    assert_eq!(curl(&["-T", &file, "-H", "Transfer-Encoding: chunked", &url]).text(), "PUT 3000000");
    assert_eq!(curl(&["-T", &file, "-H", "Expect:", &url]).text(), "PUT 3000000");
    let form = curl(&["-F", &format!("file=@{file}"), &url]).text();
    assert!(form.starts_with("POST 30001") || form.starts_with("POST 30002"), "{form}");
}

#[test]
fn curl_speaks_http_1_0_to_us() {
    let server = nginx("location / { return 200 ok; }");
    let gate = front(&server);
    assert_eq!(curl(&["--http1.0", &format!("http://{}/", gate.address())]).text(), "ok");
}

#[test]
fn curl_that_asks_for_http_2_stays_with_http_1_1() {
    let server = nginx("location / { return 200 ok; }");
    let gate = front(&server);
    let url = format!("http://{}/", gate.address());
    assert_eq!(curl(&["--http2", "-w", " %{http_version}", &url]).text(), "ok 1.1");
}

#[test]
fn a_chunked_answer_of_nginx_arrives_whole() {
    let server = nginx("location / { gzip on; gzip_min_length 1; gzip_types text/plain; }");
    let text = "the same words again and again\n".repeat(20_000);
    server.write("long.txt", &text);
    let gate = front(&server);
    let url = format!("http://{}/long.txt", gate.address());
    let output = curl(&["--compressed", &url]).text();
    assert!(output == text, "{} bytes instead of {}", output.len(), text.len());
}

#[test]
fn nginx_sees_one_kept_connection() {
    let server = nginx("location / { return 200 $connection; }");
    let gate = front(&server);
    let first = gate.get("/").expect(200).text();
    for _ in 0..5 {
        assert_eq!(gate.get("/").expect(200).text(), first);
    }
}

#[test]
fn a_closed_keep_alive_connection_of_nginx_costs_no_request() {
    let server = nginx("keepalive_requests 3; location / { return 200 ok; }");
    let gate = front(&server);
    for _ in 0..20 {
        gate.get("/").expect(200).expect_body("ok");
    }
}

#[test]
fn an_upload_to_nginx_and_its_way_back() {
    let server = nginx("location / { dav_methods PUT; create_full_put_path on; }");
    let gate = front(&server);
    let body = "x".repeat(200_000);
    let answer = gate.ask("PUT", "/up.txt").body(body.clone()).send();
    assert!(matches!(answer.status, 201 | 204 | 405), "{answer:?}");
    if answer.status != 405 {
        gate.get("/up.txt").expect(200).expect_body(&body);
    }
}

#[test]
fn python_s_server_is_served_with_its_http_1_0() {
    let server = file_server();
    server.write("a.txt", "from python");
    let gate = front(&server);
    for _ in 0..5 {
        gate.get("/a.txt").expect(200).expect_body("from python");
    }
    gate.get("/none.txt").expect(404);
    let listing = gate.get("/").expect(200).text();
    assert!(listing.contains("a.txt"), "{listing}");
    let mut wire = gate.send("HEAD /a.txt HTTP/1.1\r\nHost: a\r\n\r\n");
    wire.answer_to("HEAD").expect(200).expect_header("Content-Length", "11");
}

#[test]
fn python_s_server_refuses_methods_in_its_own_way() {
    let server = file_server();
    let gate = front_with(&server, "");
    // It answers 501 before the body and closes.
    gate.post("/a.txt", "x".repeat(100_000)).expect(501);
}
