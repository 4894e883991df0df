//! Just enough HTTP/1.1 to read what the gateway sends, to either side; strict, because the gateway must be.

use std::fmt;

use serde_json::Value;

use crate::socket::{Broken, Ending, Socket, show};

/// The fields of a head or of trailers, in order, as sent.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Fields(pub Vec<(String, String)>);

impl Fields {
    /// The value of the only field of that name; several are a fault of the scene.
    pub fn get(&self, name: &str) -> Option<&str> {
        let all = self.all(name);
        assert!(all.len() < 2, "{name} stands {} times: {all:?}", all.len());
        all.first().copied()
    }

    /// All values of that name.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let named = self.0.iter().filter(|(field, _)| field.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str()).collect()
    }

    /// Whether a field has that name.
    pub fn has(&self, name: &str) -> bool {
        !self.all(name).is_empty()
    }

    fn parse(lines: &str) -> Self {
        let fields = lines.split("\r\n").filter(|line| !line.is_empty()).map(|line| {
            let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("not a field: {line:?}"));
            assert!(!name.is_empty() && !name.contains(' '), "not a field name: {line:?}");
            (name.to_owned(), value.trim().to_owned())
        });
        Self(fields.collect())
    }
}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(name, value)| writeln!(f, "{name}: {value}"))
    }
}

/// A request or status line with its fields.
pub(crate) struct Head {
    /// The first line, in its three parts.
    pub(crate) first: [String; 3],
    /// The fields.
    pub(crate) fields: Fields,
    /// The bytes as they came.
    pub(crate) bytes: Vec<u8>,
}

impl Head {
    /// The next head on this connection.
    pub(crate) fn read(socket: &mut Socket) -> Result<Self, Broken> {
        let bytes = socket.take_until(b"\r\n\r\n")?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let (line, rest) = text.split_once("\r\n").unwrap();
        let mut parts = line.splitn(3, ' ').map(str::to_owned);
        let mut part = || parts.next().unwrap_or_default();
        Ok(Self { first: [part(), part(), part()], fields: Fields::parse(rest), bytes })
    }
}

/// The data of a chunked body and its trailers.
pub(crate) fn read_chunked(socket: &mut Socket) -> Result<(Vec<u8>, Fields), Broken> {
    let mut body = Vec::new();
    let partial =
        |body: &[u8], broken: Broken| Broken { received: [body, &broken.received].concat(), ..broken };
    loop {
        let line = socket.take_until(b"\r\n").map_err(|broken| partial(&body, broken))?;
        let line = String::from_utf8_lossy(&line).into_owned();
        let digits = line.trim_end().split(';').next().unwrap_or_default().trim().to_owned();
        let size =
            usize::from_str_radix(&digits, 16).unwrap_or_else(|_| panic!("not a chunk size: {line:?}"));
        if size == 0 {
            break;
        }
        body.extend(socket.take(size).map_err(|broken| partial(&body, broken))?);
        let end = socket.take(2).map_err(|broken| partial(&body, broken))?;
        assert_eq!(end, b"\r\n", "a chunk must end with CRLF");
    }
    let mut trailers = String::new();
    loop {
        let line = socket.take_until(b"\r\n").map_err(|broken| partial(&body, broken))?;
        if line == b"\r\n" {
            return Ok((body, Fields::parse(&trailers)));
        }
        trailers.push_str(&String::from_utf8_lossy(&line));
    }
}

/// A 1xx answer that came before the final one.
#[derive(Debug, Clone)]
pub struct Interim {
    /// 100 to 199.
    pub status: u16,
    /// Its fields.
    pub fields: Fields,
}

/// One final answer, whole.
#[derive(Clone)]
pub struct Answer {
    /// `HTTP/1.1`
    pub version: String,
    /// The status.
    pub status: u16,
    /// The fields of its head.
    pub fields: Fields,
    /// The body, chunks joined.
    pub body: Vec<u8>,
    /// What followed the last chunk.
    pub trailers: Fields,
    /// What came before it.
    pub interim: Vec<Interim>,
    /// Whether the body ended because the connection did.
    pub until_close: bool,
}

impl Answer {
    /// The next final answer on this connection, to a request of `method`.
    pub(crate) fn read(socket: &mut Socket, method: &str) -> Result<Self, Broken> {
        let mut answer = Self::read_head(socket)?;
        let bodiless = method == "HEAD"
            || matches!(answer.status, 101 | 204 | 304)
            || (method == "CONNECT" && answer.status / 100 == 2);
        if bodiless {
            return Ok(answer);
        }
        if answer.fields.get("Transfer-Encoding").is_some() {
            assert!(!answer.fields.has("Content-Length"), "both framings: {answer:?}");
            (answer.body, answer.trailers) = read_chunked(socket)?;
        } else if let Some(length) = answer.fields.get("Content-Length") {
            answer.body = socket.take(length.parse().unwrap())?;
        } else {
            let (body, ending) = socket.take_rest();
            if ending != Ending::Closed {
                return Err(Broken { ending, received: body });
            }
            answer.body = body;
            answer.until_close = true;
        }
        Ok(answer)
    }

    /// The next final head, its interim ones collected; the body stays on the connection.
    pub(crate) fn read_head(socket: &mut Socket) -> Result<Self, Broken> {
        let mut interim = Vec::new();
        loop {
            let Head { first: [version, status, _], fields, .. } = Head::read(socket)?;
            assert!(version.starts_with("HTTP/1."), "not a status line: {version} {status}");
            let status = status.parse().unwrap();
            if status < 200 && status != 101 {
                interim.push(Interim { status, fields });
                continue;
            }
            return Ok(Self {
                version,
                status,
                fields,
                body: Vec::new(),
                trailers: Fields::default(),
                interim,
                until_close: false,
            });
        }
    }

    /// The status must be this one.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "unexpected status in {self:?}");
        self
    }

    /// The body must be this one.
    #[track_caller]
    pub fn expect_body(self, body: impl AsRef<[u8]>) -> Self {
        assert!(self.body == body.as_ref(), "unexpected body in {self:?}");
        self
    }

    /// The field must have this value.
    #[track_caller]
    pub fn expect_header(self, name: &str, value: &str) -> Self {
        assert_eq!(self.header(name), Some(value), "unexpected {name} in {self:?}");
        self
    }

    /// The value of a field.
    #[track_caller]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.fields.get(name)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("not JSON ({error}): {self:?}"))
    }

    /// The answer must be a refusal: a problem document (RFC 9457) of this code, whole in all its members.
    #[track_caller]
    pub fn expect_refusal(&self, code: &str) -> Value {
        assert_eq!(self.header("Content-Type"), Some("application/problem+json"), "{self:?}");
        let problem = self.json();
        assert_eq!(problem["code"], code, "{self:?}");
        assert_eq!(problem["status"], self.status, "{self:?}");
        for member in ["type", "title", "detail", "request_id", "stage"] {
            let text = problem[member].as_str().unwrap_or_default();
            assert!(!text.is_empty(), "the problem has no {member}: {self:?}");
        }
        problem
    }

    /// Whether the gateway says that it closes the connection after this answer.
    pub fn closes(&self) -> bool {
        let says = |value: &str| value.to_ascii_lowercase().contains("close");
        self.until_close || self.fields.all("Connection").into_iter().any(says)
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for interim in &self.interim {
            writeln!(f, "\n{} {:?}", interim.status, interim.fields)?;
        }
        writeln!(f, "\n{} {}\n{:?}", self.version, self.status, self.fields)?;
        writeln!(f, "{}", show(&self.body[..self.body.len().min(2000)]))?;
        write!(f, "{:?}", self.trailers)
    }
}
