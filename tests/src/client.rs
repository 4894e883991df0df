//! The client's side: one request in a line, or a connection on which the scene writes every byte.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::ops::{Deref, DerefMut};

use crate::message::Answer;
use crate::socket::{Broken, Socket};

/// A request being said.
#[must_use = "a request is sent by `send`"]
pub struct Ask {
    address: SocketAddr,
    method: String,
    target: String,
    host: String,
    fields: Vec<(String, String)>,
    body: Option<Vec<u8>>,
}

impl Ask {
    /// A request to whoever listens there.
    pub fn new(address: SocketAddr, method: &str, target: &str) -> Self {
        Self {
            address,
            method: method.to_owned(),
            target: target.to_owned(),
            host: "gate.test".to_owned(),
            fields: Vec::new(),
            body: None,
        }
    }

    /// With this `Host`.
    pub fn host(mut self, host: &str) -> Self {
        host.clone_into(&mut self.host);
        self
    }

    /// With one more field.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With a body, delimited by `Content-Length`.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// The bytes of the request.
    pub fn bytes(&self) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\nHost: {}\r\n", self.method, self.target, self.host);
        for (name, value) in &self.fields {
            write!(head, "{name}: {value}\r\n").unwrap();
        }
        if let Some(body) = &self.body {
            write!(head, "Content-Length: {}\r\n", body.len()).unwrap();
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend(self.body.iter().flatten());
        bytes
    }

    /// Sends it on a connection of its own and waits for the whole answer.
    #[track_caller]
    pub fn send(self) -> Answer {
        let what = format!("{} {}", self.method, self.target);
        self.try_send().unwrap_or_else(|broken| panic!("no answer to {what}: {broken:?}"))
    }

    /// Sends it on a connection of its own; an answer that does not come whole is not an end of the scene.
    pub fn try_send(self) -> Result<Answer, Broken> {
        let mut wire = Wire::connect(self.address);
        wire.send(self.bytes());
        wire.try_answer(&self.method)
    }
}

/// A connection to the gateway on which the scene writes every byte.
pub struct Wire(Socket);

impl Wire {
    /// Connects.
    pub fn connect(address: SocketAddr) -> Self {
        Self(Socket::connect(address))
    }

    /// Takes over a connected socket.
    pub fn over(socket: Socket) -> Self {
        Self(socket)
    }

    /// The next answer, to a request of `method`.
    pub fn try_answer(&mut self, method: &str) -> Result<Answer, Broken> {
        Answer::read(&mut self.0, method)
    }

    /// The next answer, to a GET or any other method whose answer may have a body.
    #[track_caller]
    pub fn answer(&mut self) -> Answer {
        self.answer_to("GET")
    }

    /// The next answer, to a request of `method`.
    #[track_caller]
    pub fn answer_to(&mut self, method: &str) -> Answer {
        self.try_answer(method).unwrap_or_else(|broken| panic!("no whole answer: {broken:?}"))
    }

    /// The head of the next final answer; its body stays to be read.
    #[track_caller]
    pub fn head(&mut self) -> Answer {
        Answer::read_head(&mut self.0).unwrap_or_else(|broken| panic!("no head: {broken:?}"))
    }

    /// The connection must end now, without another byte.
    #[track_caller]
    pub fn expect_end(&mut self) {
        let (rest, ending) = self.0.take_rest();
        assert!(rest.is_empty(), "more came: {}", crate::socket::show(&rest));
        assert_ne!(ending, crate::Ending::Silent, "the connection stays open");
    }

    /// The connection torn down by a reset.
    pub fn reset(mut self) {
        self.0.reset();
    }
}

impl Deref for Wire {
    type Target = Socket;

    fn deref(&self) -> &Socket {
        &self.0
    }
}

impl DerefMut for Wire {
    fn deref_mut(&mut self) -> &mut Socket {
        &mut self.0
    }
}
