//! A service whose every byte the scene decides: a thread for each connection, a script for each request, and a
//! record of exactly what arrived.

use std::fmt;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Instant;

use crate::PATIENCE;
use crate::message::{Fields, Head, read_chunked};
use crate::socket::{Broken, Ending, Socket};

/// A request as the backend saw it.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The method.
    pub method: String,
    /// The target, as on the wire.
    pub target: String,
    /// The version, as on the wire.
    pub version: String,
    /// The fields of the head.
    pub fields: Fields,
    /// The bytes of the head.
    pub head: Vec<u8>,
    /// The body, once the script or the backend has read it.
    pub body: Vec<u8>,
    /// The trailers, once read.
    pub trailers: Fields,
    /// On which connection it came; the first is 0.
    pub connection: usize,
}

impl Seen {
    /// The value of a field.
    #[track_caller]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.fields.get(name)
    }
}

/// A running backend; it and all its connections end when it is dropped.
pub struct Backend {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    stopped: AtomicBool,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    requests: Vec<Seen>,
    connections: Vec<Connection>,
    ended: usize,
}

struct Connection {
    /// A second descriptor of it, to end it from outside; gone when it is over.
    stream: Option<TcpStream>,
    bytes: Arc<Mutex<Vec<u8>>>,
}

struct Ends {
    shared: Arc<Shared>,
    connection: usize,
}

impl Drop for Ends {
    fn drop(&mut self) {
        self.shared.update(|state| {
            if let Some(stream) = state.connections[self.connection].stream.take() {
                stream.shutdown(Shutdown::Both).ok();
            }
            state.ended += 1;
        });
    }
}

/// A backend that runs `script` for each request.
pub fn backend(script: impl Fn(&mut Call) + Send + Sync + 'static) -> Backend {
    Backend::at(0, script)
}

/// A backend at this address, whose port the kernel chooses if it is 0.
pub fn backend_on(
    address: impl Into<SocketAddr>,
    script: impl Fn(&mut Call) + Send + Sync + 'static,
) -> Backend {
    Backend::on(address.into(), script)
}

/// A backend that answers 200 with `hello`.
pub fn hello() -> Backend {
    named("hello")
}

/// A backend that answers 200 with its name.
pub fn named(name: &'static str) -> Backend {
    backend(move |call| call.reply(200, name))
}

/// A backend that runs `script` for each connection, HTTP or not.
pub fn raw_backend(script: impl Fn(&mut Socket) + Send + Sync + 'static) -> Backend {
    Backend::listen((Ipv4Addr::LOCALHOST, 0).into(), move |socket, _, _| script(socket))
}

impl Backend {
    /// A backend on a port of the scene's choice, e.g. one that came back.
    pub fn at(port: u16, script: impl Fn(&mut Call) + Send + Sync + 'static) -> Self {
        Self::on((Ipv4Addr::LOCALHOST, port).into(), script)
    }

    fn on(address: SocketAddr, script: impl Fn(&mut Call) + Send + Sync + 'static) -> Self {
        Self::listen(address, move |socket, shared, connection| {
            while let Ok(mut call) = Call::read(socket, shared, connection) {
                script(&mut call);
                if !call.finish() {
                    break;
                }
            }
        })
    }

    fn listen(
        address: SocketAddr,
        serve: impl Fn(&mut Socket, &Arc<Shared>, usize) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        // The standard library's 128 is too few for a burst: what does not fit is tried again after a second.
        socket2::SockRef::from(&listener).listen(4096).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let serve = Arc::new(serve);
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if accepting.stopped.load(Ordering::Acquire) {
                    return;
                }
                let stream = stream.unwrap();
                let mut socket = Socket::new(stream.try_clone().unwrap());
                let connection = accepting.connected(stream, socket.seen());
                let (serve, shared) = (Arc::clone(&serve), Arc::clone(&accepting));
                std::thread::spawn(move || {
                    // Ends the connection also when the script panics.
                    let _ending = Ends { shared: Arc::clone(&shared), connection };
                    serve(&mut socket, &shared, connection);
                });
            }
        });
        Self { address, shared }
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// `127.0.0.1:port`
    pub fn authority(&self) -> String {
        self.address.to_string()
    }

    /// The requests whose heads have arrived so far.
    pub fn requests(&self) -> Vec<Seen> {
        self.shared.state.lock().unwrap().requests.clone()
    }

    /// The request of that number (the first is 0), as soon as its head has arrived.
    #[track_caller]
    pub fn request(&self, number: usize) -> Seen {
        let state = self.shared.wait(|state| state.requests.len() > number);
        state.unwrap_or_else(|| panic!("the backend never got request {number}")).requests[number].clone()
    }

    /// The only request that arrived.
    #[track_caller]
    pub fn only_request(&self) -> Seen {
        let requests = self.requests();
        assert_eq!(requests.len(), 1, "{requests:#?}");
        requests.into_iter().next().unwrap()
    }

    /// How many connections were made to it so far.
    pub fn connections(&self) -> usize {
        self.shared.state.lock().unwrap().connections.len()
    }

    /// Waits until that many connections are over.
    #[track_caller]
    pub fn expect_ended(&self, connections: usize) {
        let over = self.shared.wait(|state| state.ended >= connections).is_some();
        assert!(over, "the gateway keeps its connection to the backend");
    }

    /// The bytes that arrived on that connection (the first MiB of them).
    pub fn bytes(&self, connection: usize) -> Vec<u8> {
        self.shared.state.lock().unwrap().connections[connection].bytes.lock().unwrap().clone()
    }

    /// Ends the connections that are open, in order, and goes on listening.
    pub fn hang_up(&self) {
        let state = self.shared.state.lock().unwrap();
        for stream in state.connections.iter().filter_map(|connection| connection.stream.as_ref()) {
            stream.shutdown(Shutdown::Both).ok();
        }
    }

    /// Stops listening and ends every connection: from now on it refuses.
    pub fn stop(&self) {
        if !self.shared.stopped.swap(true, Ordering::AcqRel) {
            // The accepting thread sees the flag with its next connection, and frees the port.
            TcpStream::connect(self.address).ok();
            crate::eventually("a stopped backend refuses", || {
                TcpStream::connect(self.address)
                    .is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
            });
        }
        self.hang_up();
    }
}

impl fmt::Display for Backend {
    /// Its URL, as the configuration names it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}", self.address)
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        if !self.shared.stopped.swap(true, Ordering::AcqRel) {
            TcpStream::connect(self.address).ok();
        }
        self.hang_up();
    }
}

impl Shared {
    fn update<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.state.lock().unwrap());
        self.changed.notify_all();
        result
    }

    fn connected(&self, stream: TcpStream, bytes: Arc<Mutex<Vec<u8>>>) -> usize {
        self.update(|state| {
            state.connections.push(Connection { stream: Some(stream), bytes });
            state.connections.len() - 1
        })
    }

    fn wait(&self, is_so: impl Fn(&State) -> bool) -> Option<std::sync::MutexGuard<'_, State>> {
        let deadline = Instant::now() + PATIENCE;
        let mut state = self.state.lock().unwrap();
        while !is_so(&state) {
            let left = deadline.checked_duration_since(Instant::now())?;
            state = self.changed.wait_timeout(state, left).unwrap().0;
        }
        Some(state)
    }
}

/// One request at the backend, and the means to answer it in any way, right or wrong.
pub struct Call<'a> {
    /// What arrived: the head at once, the body when it is read.
    pub seen: Seen,
    socket: &'a mut Socket,
    shared: &'a Shared,
    number: usize,
    body_is_read: bool,
    over: bool,
}

impl<'a> Call<'a> {
    fn read(socket: &'a mut Socket, shared: &'a Shared, connection: usize) -> Result<Self, Broken> {
        // A pooled connection stays idle for as long as the gateway likes.
        let Head { first: [method, target, version], fields, bytes } = loop {
            match Head::read(socket) {
                Err(broken) if broken.ending == Ending::Silent && broken.received.is_empty() => {}
                other => break other?,
            }
        };
        let seen = Seen {
            method,
            target,
            version,
            fields,
            head: bytes,
            body: Vec::new(),
            trailers: Fields::default(),
            connection,
        };
        let number = shared.update(|state| {
            state.requests.push(seen.clone());
            state.requests.len() - 1
        });
        Ok(Self { seen, socket, shared, number, body_is_read: false, over: false })
    }

    /// The path and query.
    pub fn target(&self) -> &str {
        &self.seen.target
    }

    /// Reads the whole body; the script ends when it breaks off.
    pub fn body(&mut self) -> Vec<u8> {
        self.try_body().unwrap_or_else(|broken| panic!("the body broke off: {broken:?}"))
    }

    /// Reads the whole body, or what there was of it.
    pub fn try_body(&mut self) -> Result<Vec<u8>, Broken> {
        if self.body_is_read {
            return Ok(self.seen.body.clone());
        }
        self.body_is_read = true;
        let length = self.seen.header("Content-Length").map(|value| value.parse().unwrap());
        let (body, trailers) = match (self.seen.header("Transfer-Encoding"), length) {
            (Some(_), Some(_)) => panic!("both framings: {:?}", self.seen),
            (Some(_), None) => read_chunked(self.socket)?,
            (None, Some(length)) => (self.socket.take(length)?, Fields::default()),
            (None, None) => (Vec::new(), Fields::default()),
        };
        (self.seen.body, self.seen.trailers) = (body.clone(), trailers);
        let seen = self.seen.clone();
        self.shared.update(|state| state.requests[self.number] = seen);
        Ok(body)
    }

    /// The connection, where the script needs more than a message: to read slowly, to count, to tunnel.
    pub fn socket(&mut self) -> &mut Socket {
        self.body_is_read = true;
        self.socket
    }

    /// Sends these bytes, whatever they are; says whether they were still taken.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.socket.send(bytes)
    }

    /// Reads the body and answers with this status and body.
    pub fn reply(&mut self, status: u16, body: impl AsRef<[u8]>) {
        self.reply_with(status, "", body);
    }

    /// Reads the body and answers, with more header lines (each ends with CRLF).
    pub fn reply_with(&mut self, status: u16, lines: &str, body: impl AsRef<[u8]>) {
        self.body();
        let body = body.as_ref();
        let head = format!("HTTP/1.1 {status} Said\r\n{lines}Content-Length: {}\r\n\r\n", body.len());
        let shown = if self.seen.method == "HEAD" { &[] } else { body };
        self.send([head.as_bytes(), shown].concat());
    }

    /// Sends the head of a chunked answer.
    pub fn begin_chunked(&mut self, lines: &str) {
        self.send(format!("HTTP/1.1 200 OK\r\n{lines}Transfer-Encoding: chunked\r\n\r\n"));
    }

    /// Sends one chunk.
    pub fn chunk(&mut self, data: &str) -> bool {
        self.send(format!("{:x}\r\n{data}\r\n", data.len()))
    }

    /// Sends the last chunk.
    pub fn end_chunked(&mut self) {
        self.send("0\r\n\r\n");
    }

    /// Ends the connection in order.
    pub fn close(&mut self) {
        self.over = true;
        self.socket.close();
    }

    /// Tears the connection down, at once.
    pub fn reset(&mut self) {
        self.over = true;
        let connection = self.seen.connection;
        self.shared.update(|state| state.connections[connection].stream = None);
        self.socket.reset();
    }

    /// Waits until the gateway gives the connection up; how it did, or `Silent` when it never does.
    pub fn wait_end(&mut self) -> Ending {
        self.over = true;
        self.socket.take_rest().1
    }

    /// Reads what the script left of the body; says whether the connection goes on.
    fn finish(&mut self) -> bool {
        if self.over {
            return false;
        }
        self.try_body().is_ok()
    }
}
