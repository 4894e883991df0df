//! gRPC by another client than grpcio: tonic, which drives HTTP/2 with more streams of one connection at once.

use std::future::Future;
use std::time::Duration;

use bytes::{Buf as _, BufMut as _};
use tokio::task::JoinSet;
use tollgate_tests::{Gateway, front_with, gateway_with, grpc_server};
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::codegen::tokio_stream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

/// Messages are bytes, as the server's.
#[derive(Clone, Copy, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, message: Vec<u8>, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put_slice(&message);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining()).to_vec()))
    }
}

fn run<T>(scene: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(scene)
}

async fn connect(gate: &Gateway) -> Grpc<Channel> {
    let endpoint = Endpoint::from_shared(format!("http://{}", gate.address())).unwrap();
    let mut client = Grpc::new(endpoint.connect().await.unwrap());
    client.ready().await.unwrap();
    client
}

fn method(name: &str) -> PathAndQuery {
    format!("/scenes.Echo/{name}").parse().unwrap()
}

async fn unary(mut client: Grpc<Channel>, name: &str, message: &[u8]) -> Result<Vec<u8>, Status> {
    client.ready().await.map_err(|error| Status::unknown(error.to_string()))?;
    let request = Request::new(message.to_vec());
    client.unary(request, method(name), Raw).await.map(tonic::Response::into_inner)
}

const TO_GRPC: &str = "
    services: { echo: { endpoints: [<echo>], protocol: grpc } }
    routes: [{ match: '/{rest...}', to: echo, access: public }]
    ";

#[test]
fn a_hundred_calls_at_once_share_a_connection() {
    let server = grpc_server();
    let gate = gateway_with(TO_GRPC, &[("echo", &server)]);
    run(async {
        let client = connect(&gate).await;
        let mut calls = JoinSet::new();
        for number in 0..100_u32 {
            let client = client.clone();
            calls.spawn(async move {
                let message = number.to_be_bytes().repeat(1000);
                assert_eq!(unary(client, "Unary", &message).await.unwrap(), message);
            });
        }
        calls.join_all().await;
    });
    let connections = gate.metrics().sum("tollgate_connections_total", &[]);
    assert!((connections - 1.0).abs() < 0.1, "{connections} connections");
}

#[test]
fn streams_of_every_kind_pass_and_a_failure_keeps_its_words() {
    let server = grpc_server();
    let gate = gateway_with(TO_GRPC, &[("echo", &server)]);
    run(async {
        let mut client = connect(&gate).await;
        let request = Request::new(b"3".to_vec());
        let mut numbers =
            client.server_streaming(request, method("ServerStream"), Raw).await.unwrap().into_inner();
        for expected in ["0", "1", "2"] {
            assert_eq!(numbers.message().await.unwrap().unwrap(), expected.as_bytes());
        }
        assert!(numbers.message().await.unwrap().is_none());
        let trailers = numbers.trailers().await.unwrap().unwrap();
        assert_eq!(trailers.get_bin("x-end-bin").unwrap().to_bytes().unwrap(), &b"\0\xff"[..]);
        client.ready().await.unwrap();
        let words = Request::new(stream_of(["one", "two"]));
        let joined = client.client_streaming(words, method("ClientStream"), Raw).await.unwrap();
        assert_eq!(joined.into_inner(), b"one+two");
        let failure = unary(client, "Fail", b"x").await.unwrap_err();
        assert_eq!((failure.code(), failure.message()), (Code::NotFound, "100 % größer"));
    });
}

#[test]
fn a_deadline_is_kept_and_a_refusal_is_a_status() {
    let server = grpc_server();
    let gate = gateway_with(TO_GRPC, &[("echo", &server)]);
    run(async {
        let mut client = connect(&gate).await;
        let mut request = Request::new(b"x".to_vec());
        request.set_timeout(Duration::from_millis(500));
        let failure = client.unary(request, method("Silent"), Raw).await.unwrap_err();
        assert!(matches!(failure.code(), Code::DeadlineExceeded | Code::Cancelled), "{failure:?}");
    });
    server.expect_word("waiting");
    server.expect_word("over");
    let gate = front_with(&"http://127.0.0.1:1", "");
    let failure = run(async { unary(connect(&gate).await, "Unary", b"x").await }).unwrap_err();
    assert_eq!(failure.code(), Code::Unavailable);
    assert_eq!(failure.metadata().get("tollgate-code").unwrap(), "upstream_connect_failed");
}

/// Messages that are all there.
fn stream_of<const N: usize>(
    words: [&'static str; N],
) -> impl tokio_stream::Stream<Item = Vec<u8>> + Send + 'static {
    tokio_stream::iter(words.map(|word| word.as_bytes().to_vec()))
}
