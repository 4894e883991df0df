//! What a signature is over: the components that it covers, a line each (RFC 9421, section 2.5).

use std::fmt::Write as _;

use http1::{Framing, RequestHead};

use super::structured::{Bare, InnerList, Item};
use crate::route::{decode_query, query_pairs};

/// A request, as signatures see it.
#[derive(Debug, Clone, Copy)]
pub(super) struct View<'r> {
    pub(super) request: &'r RequestHead,
    pub(super) is_tls: bool,
    /// Bytes of body, where they are known in advance.
    pub(super) length: Option<u64>,
}

impl<'r> View<'r> {
    pub(super) fn new(request: &'r RequestHead, is_tls: bool) -> Self {
        let length = match request.framing {
            Framing::Length(length) => Some(length),
            _ => None,
        };
        Self { request, is_tls, length }
    }

    /// The text that is signed; nothing where the request lacks a component, or where one is none that is known here.
    pub(super) fn base(&self, covered: &InnerList) -> Option<Vec<u8>> {
        let mut base = Vec::with_capacity(512);
        let mut name = String::new();
        for (place, item) in covered.items.iter().enumerate() {
            if covered.items[..place].contains(item) {
                return None;
            }
            name.clear();
            item.write(&mut name);
            base.extend_from_slice(name.as_bytes());
            base.extend_from_slice(b": ");
            self.write(item, &mut base)?;
            base.push(b'\n');
        }
        name.clear();
        covered.write(&mut name);
        base.extend_from_slice(b"\"@signature-params\": ");
        base.extend_from_slice(name.as_bytes());
        Some(base)
    }

    fn write(&self, item: &Item, out: &mut Vec<u8>) -> Option<()> {
        let request = self.request;
        if item.text == "@query-param" {
            return self.write_parameter(item, out);
        }
        // Of a field, parts and other forms are not looked at; what is signed of another message is not there.
        if !item.parameters.0.is_empty() {
            return None;
        }
        let scheme = if self.is_tls { "https" } else { "http" };
        let query = request.query();
        match item.text.as_str() {
            "@method" => out.extend_from_slice(request.method.as_str().as_bytes()),
            "@authority" => out.extend_from_slice(self.authority()?.as_bytes()),
            "@scheme" => out.extend_from_slice(scheme.as_bytes()),
            "@path" => out.extend_from_slice(request.path.as_bytes()),
            "@query" => {
                out.push(b'?');
                out.extend_from_slice(query.unwrap_or_default().as_bytes());
            }
            target @ ("@target-uri" | "@request-target") => {
                if target == "@target-uri" {
                    out.extend_from_slice(scheme.as_bytes());
                    out.extend_from_slice(b"://");
                    out.extend_from_slice(self.authority()?.as_bytes());
                }
                out.extend_from_slice(request.path.as_bytes());
                if let Some(query) = query {
                    out.push(b'?');
                    out.extend_from_slice(query.as_bytes());
                }
            }
            derived if derived.starts_with('@') => return None,
            // The head keeps what these said in members of its own.
            "host" => out.extend_from_slice(some(&request.authority)?.as_bytes()),
            "content-length" => out.extend_from_slice(self.length?.to_string().as_bytes()),
            name => self.write_field(name, out)?,
        }
        Some(())
    }

    /// All lines of a field as one (RFC 9421, section 2.1).
    fn write_field(&self, name: &str, out: &mut Vec<u8>) -> Option<()> {
        if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return None;
        }
        let mut values =
            self.request.fields.get_all_named(name.as_bytes()).map(<[u8]>::trim_ascii).peekable();
        values.peek()?;
        for (place, value) in values.enumerate() {
            if place > 0 {
                out.extend_from_slice(b", ");
            }
            out.extend_from_slice(value);
        }
        Some(())
    }

    /// A parameter of the query, which must be there once (RFC 9421, section 2.2.8).
    fn write_parameter(&self, item: &Item, out: &mut Vec<u8>) -> Option<()> {
        let [(key, Bare::Text(wanted))] = item.parameters.0.as_slice() else { return None };
        if key != "name" {
            return None;
        }
        let (mut scratch, mut found) = (Vec::new(), None);
        for (name, value) in query_pairs(self.request.query()?) {
            if encoded(&decode_query(name, &mut scratch)) == *wanted {
                if found.is_some() {
                    return None;
                }
                let value = decode_query(value, &mut scratch);
                // Several values that are no text would be signed as one.
                if value.contains(char::REPLACEMENT_CHARACTER) {
                    return None;
                }
                found = Some(encoded(&value));
            }
        }
        out.extend_from_slice(found?.as_bytes());
        Some(())
    }

    /// The authority without the port that its scheme means anyway (RFC 9421, section 2.2.3).
    fn authority(&self) -> Option<&'r str> {
        let usual = if self.is_tls { ":443" } else { ":80" };
        let authority = some(&self.request.authority)?;
        Some(authority.strip_suffix(usual).unwrap_or(authority))
    }
}

fn some(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

/// A decoded text, encoded in the one way of forms with spaces as `%20`.
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"*-._".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}
