//! An HTTP/2 client that writes the frames that a scene tells it, right or wrong (RFC 9113), with heads that no encoder
//! would write.

use std::net::SocketAddr;

use serde_json::Value;

use crate::{Ending, Socket};

/// Types of frames.
#[allow(missing_docs)] // each is the type it says
pub mod kind {
    pub const DATA: u8 = 0;
    pub const HEADERS: u8 = 1;
    pub const PRIORITY: u8 = 2;
    pub const RST_STREAM: u8 = 3;
    pub const SETTINGS: u8 = 4;
    pub const PING: u8 = 6;
    pub const GOAWAY: u8 = 7;
    pub const WINDOW_UPDATE: u8 = 8;
    pub const CONTINUATION: u8 = 9;
}

/// The flag that ends a stream; on SETTINGS and PING, the acknowledgement.
pub const END_STREAM: u8 = 0x1;
/// The flag that ends a head.
pub const END_HEADERS: u8 = 0x4;
/// The code of errors by which a connection is told that it asks too much (RFC 9113, section 7).
pub const ENHANCE_YOUR_CALM: u32 = 0xb;

/// The code of a stream that is not wanted any more.
pub const CANCEL: u32 = 0x8;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Bytes of a frame's header.
const HEADER: usize = 9;

/// The bytes of a frame.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap();
    [&length.to_be_bytes()[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A head as HPACK writes it without tables and without Huffman's code (RFC 7541, section 6.2.2): whatever stands in the
/// names and values.
pub fn pack(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            pack_length(text.len(), &mut block);
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}

/// An integer with a prefix of seven bits (RFC 7541, section 5.1).
fn pack_length(length: usize, block: &mut Vec<u8>) {
    if length < 127 {
        return block.push(length as u8);
    }
    block.push(127);
    let mut rest = length - 127;
    while rest >= 128 {
        block.push((rest % 128) as u8 | 0x80);
        rest /= 128;
    }
    block.push(rest as u8);
}

/// The usual head of a GET.
pub fn get(path: &str) -> Vec<u8> {
    pack(&[(":method", "GET"), (":scheme", "http"), (":path", path), (":authority", "a")])
}

/// A frame that came.
#[derive(Debug)]
pub struct Frame {
    /// Its type.
    pub kind: u8,
    /// Its flags.
    pub flags: u8,
    /// Its stream.
    pub stream: u32,
    /// What it holds.
    pub payload: Vec<u8>,
}

fn read_frame(socket: &mut Socket) -> Result<Frame, Ending> {
    let header = socket.take(HEADER).map_err(|broken| broken.ending)?;
    let length = u32::from_be_bytes([0, header[0], header[1], header[2]]);
    let stream = u32::from_be_bytes(header[5..9].try_into().unwrap()) & 0x7fff_ffff;
    let payload = socket.take(length as usize).map_err(|broken| broken.ending)?;
    Ok(Frame { kind: header[3], flags: header[4], stream, payload })
}

/// A service's end of an HTTP/2 connection, which answers what a scene tells it.
pub struct Http2Service<'a> {
    socket: &'a mut Socket,
}

impl<'a> Http2Service<'a> {
    /// Takes the client's preface and begins with these settings: pairs of number and value.
    pub fn accept(socket: &'a mut Socket, settings: &[(u16, u32)]) -> Self {
        socket.take(PREFACE.len()).unwrap();
        socket.send(frame(kind::SETTINGS, 0, 0, &pack_settings(settings)));
        Self { socket }
    }

    /// Writes a frame.
    pub fn send_frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> bool {
        self.socket.send(frame(kind, flags, stream, payload))
    }

    /// The next frame that is about a stream, or nothing when the connection ends. Settings and pings are answered.
    pub fn next_frame(&mut self) -> Option<Frame> {
        loop {
            let frame = read_frame(self.socket).ok()?;
            match frame.kind {
                kind::SETTINGS | kind::PING => {
                    if frame.flags & END_STREAM == 0 {
                        let echo = if frame.kind == kind::PING { &frame.payload[..] } else { &[] };
                        self.send_frame(frame.kind, END_STREAM, 0, echo);
                    }
                }
                kind::WINDOW_UPDATE => {}
                _ => return Some(frame),
            }
        }
    }

    /// The stream of the next request, or nothing when the connection ends.
    pub fn request(&mut self) -> Option<u32> {
        loop {
            let frame = self.next_frame()?;
            if frame.kind == kind::HEADERS {
                return Some(frame.stream);
            }
        }
    }

    /// Answers with 200 and a body.
    pub fn reply(&mut self, stream: u32, body: &str) {
        self.send_frame(kind::HEADERS, END_HEADERS, stream, &pack(&[(":status", "200")]));
        self.send_frame(kind::DATA, END_STREAM, stream, body.as_bytes());
    }

    /// Says that streams above the last one are not processed (RFC 9113, section 6.8).
    pub fn go_away(&mut self, last_stream: u32) {
        let payload = [last_stream.to_be_bytes(), [0; 4]].concat();
        self.send_frame(kind::GOAWAY, 0, 0, &payload);
    }
}

fn pack_settings(settings: &[(u16, u32)]) -> Vec<u8> {
    let entry = |(number, value): &(u16, u32)| [&number.to_be_bytes()[..], &value.to_be_bytes()].concat();
    settings.iter().flat_map(entry).collect()
}

/// What became of a stream.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The packed heads that came.
    pub heads: Vec<Vec<u8>>,
    /// The data that came.
    pub body: Vec<u8>,
    /// The code of `RST_STREAM`, if it was reset.
    pub reset: Option<u32>,
    /// The code of GOAWAY, if the connection ended.
    pub goaway: Option<u32>,
}

impl Outcome {
    /// The status, of those that HPACK's table has.
    pub fn status(&self) -> Option<u16> {
        let byte = self.heads.last()?.first()?;
        [200, 204, 206, 304, 400, 404, 500].get(usize::from(byte.checked_sub(0x88)?)).copied()
    }

    /// The code of a refusal; empty if there is none.
    pub fn code(&self) -> String {
        let problem: Option<Value> = serde_json::from_slice(&self.body).ok();
        problem.and_then(|problem| Some(problem["code"].as_str()?.to_owned())).unwrap_or_default()
    }
}

/// A connection.
pub struct Http2 {
    socket: Socket,
    last_stream: u32,
}

impl Http2 {
    /// Connects and begins with these settings: pairs of number and value.
    pub fn connect(address: SocketAddr, settings: &[(u16, u32)]) -> Self {
        let mut socket = Socket::connect(address);
        socket.send([PREFACE, &frame(kind::SETTINGS, 0, 0, &pack_settings(settings))].concat());
        Self { socket, last_stream: 0 }
    }

    /// Writes bytes; false when the other side takes no more.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.socket.send(bytes)
    }

    /// Writes a frame.
    pub fn send_frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> bool {
        self.send(frame(kind, flags, stream, payload))
    }

    /// Opens a stream with a packed head and says which.
    pub fn open(&mut self, head: &[u8], flags: u8) -> u32 {
        self.last_stream = if self.last_stream == 0 { 1 } else { self.last_stream + 2 };
        self.send_frame(kind::HEADERS, flags | END_HEADERS, self.last_stream, head);
        self.last_stream
    }

    /// The next frame, or how the connection ended.
    pub fn next_frame(&mut self) -> Result<Frame, Ending> {
        read_frame(&mut self.socket)
    }

    /// Reads until the stream or the connection has ended. Settings and pings are answered; window is granted for what
    /// comes.
    pub fn outcome(&mut self, stream: u32) -> Outcome {
        let mut outcome = Outcome::default();
        while let Ok(frame) = self.next_frame() {
            let code = |at: usize| Some(u32::from_be_bytes(frame.payload.get(at..at + 4)?.try_into().ok()?));
            match frame.kind {
                kind::SETTINGS | kind::PING if frame.flags & END_STREAM == 0 => {
                    let echo = if frame.kind == kind::PING { &frame.payload[..] } else { &[] };
                    self.send_frame(frame.kind, END_STREAM, 0, echo);
                }
                kind::GOAWAY => outcome.goaway = code(4),
                kind::DATA if !frame.payload.is_empty() => {
                    let grant = u32::try_from(frame.payload.len()).unwrap().to_be_bytes();
                    self.send_frame(kind::WINDOW_UPDATE, 0, 0, &grant);
                    if frame.flags & END_STREAM == 0 {
                        self.send_frame(kind::WINDOW_UPDATE, 0, frame.stream, &grant);
                    }
                }
                _ => {}
            }
            if frame.stream != stream {
                continue;
            }
            match frame.kind {
                kind::DATA => outcome.body.extend_from_slice(&frame.payload),
                kind::HEADERS => outcome.heads.push(frame.payload.clone()),
                kind::RST_STREAM => outcome.reset = code(0),
                _ => {}
            }
            let has_ended = matches!(frame.kind, kind::DATA | kind::HEADERS) && frame.flags & END_STREAM != 0;
            if has_ended || frame.kind == kind::RST_STREAM {
                break;
            }
        }
        outcome
    }

    /// Sends a request with this head and reads its answer.
    pub fn ask(&mut self, head: &[u8]) -> Outcome {
        let stream = self.open(head, END_STREAM);
        self.outcome(stream)
    }

    /// Reads to the end of the connection; the code of the GOAWAY that came last.
    pub fn expect_goaway(&mut self) -> Option<u32> {
        let mut code = None;
        loop {
            match self.next_frame() {
                Ok(frame) if frame.kind == kind::GOAWAY => {
                    code = frame
                        .payload
                        .get(4..8)
                        .and_then(|code| Some(u32::from_be_bytes(code.try_into().ok()?)));
                }
                Ok(_) => {}
                Err(Ending::Silent) => panic!("the connection did not end"),
                Err(_) => return code,
            }
        }
    }
}
