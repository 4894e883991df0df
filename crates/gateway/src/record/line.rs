//! One line of the access log, written by hand into the worker's buffer: no formatting machinery, no allocation.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use super::decimal::{push_decimal, push_ip, push_micros_as_ms, push_padded, three_digits};
use crate::clock::civil_from_days;
use crate::firewall::Findings;
use crate::json_text::is_plain;

/// Bytes of one value that a line takes over; what is longer is cut.
const MAX_VALUE: usize = 8 * 1024;

/// What a line says. Texts that are empty are left out.
#[derive(Debug)]
#[allow(missing_docs)] // each is the member of the same name, described in docs/logs.md
pub struct Line<'a> {
    pub unix_ms: u64,
    pub id: &'a str,
    pub client_ip: IpAddr,
    pub country: &'a str,
    pub client_certificate: &'a str,
    pub app: &'a str,
    pub user: &'a str,
    pub plan: &'a str,
    pub key: &'a str,
    pub auth: &'a str,
    pub method: &'a str,
    pub host: &'a str,
    pub path: &'a str,
    pub query: Option<&'a str>,
    pub protocol: &'static str,
    pub status: u16,
    pub grpc_status: &'a str,
    pub route: &'a str,
    pub api: &'a str,
    pub service: &'a str,
    pub endpoint: &'a str,
    pub code: &'static str,
    pub stage: &'static str,
    pub limit: &'a str,
    pub cause: &'a str,
    pub fallback: &'a str,
    pub violations: usize,
    pub first_violations: &'a str,
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub duration_us: u64,
    pub wait_us: Option<u64>,
    pub connect_us: Option<u64>,
    pub first_byte_us: Option<u64>,
    pub upstream_us: Option<u64>,
    pub attempts: u32,
    pub failed_attempts: &'a [FailedAttempt],
    pub findings: Option<&'a Findings>,
    pub user_agent: &'a [u8],
    pub referer: &'a [u8],
}

/// An attempt at an endpoint after which another was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedAttempt {
    /// The endpoint's URL.
    pub endpoint: Arc<str>,
    /// What went wrong; empty where it was an answer that was not wanted.
    pub code: &'static str,
    /// The status of that answer, or 0.
    pub status: u16,
    /// How long it took.
    pub duration_us: u64,
}

impl Default for Line<'_> {
    /// One that says nothing; 0.0.0.0 is nobody's address.
    fn default() -> Self {
        Self {
            unix_ms: 0,
            id: "",
            client_ip: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            country: "",
            client_certificate: "",
            app: "",
            user: "",
            plan: "",
            key: "",
            auth: "",
            method: "",
            host: "",
            path: "",
            query: None,
            protocol: "",
            status: 0,
            grpc_status: "",
            route: "",
            api: "",
            service: "",
            endpoint: "",
            code: "",
            stage: "",
            limit: "",
            cause: "",
            fallback: "",
            violations: 0,
            first_violations: "",
            bytes_in: 0,
            bytes_out: 0,
            duration_us: 0,
            wait_us: None,
            connect_us: None,
            first_byte_us: None,
            upstream_us: None,
            attempts: 0,
            failed_attempts: &[],
            findings: None,
            user_agent: b"",
            referer: b"",
        }
    }
}

/// How a line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON object.
    Json,
    /// The NCSA common log format.
    Common,
}

/// Writes lines; keeps the text of the current second.
#[derive(Debug)]
pub(super) struct Formatter {
    format: Format,
    second: u64,
    /// What all lines of this second have in common.
    stamp: Vec<u8>,
}

impl Formatter {
    /// A formatter of this format.
    pub(super) fn new(format: Format) -> Self {
        Self { format, second: u64::MAX, stamp: Vec::with_capacity(32) }
    }

    /// Appends a line.
    pub(super) fn write(&mut self, line: &Line<'_>, out: &mut Vec<u8>) {
        let second = line.unix_ms / 1000;
        if second != self.second {
            self.second = second;
            self.stamp.clear();
            match self.format {
                Format::Json => stamp_rfc3339(second, &mut self.stamp),
                Format::Common => stamp_common(second, &mut self.stamp),
            }
        }
        match self.format {
            Format::Json => self.write_json(line, out),
            Format::Common => self.write_common(line, out),
        }
    }

    fn write_json(&self, line: &Line<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.stamp);
        out.extend_from_slice(&three_digits(line.unix_ms % 1000));
        out.extend_from_slice(b"Z\",\"request_id\":\"");
        // Checked when it was taken over, or made by us: nothing to escape.
        out.extend_from_slice(line.id.as_bytes());
        out.extend_from_slice(b"\",\"client_ip\":\"");
        push_ip(line.client_ip, out);
        out.push(b'"');
        text(b",\"country\":\"", line.country.as_bytes(), out);
        text(b",\"client_certificate\":\"", line.client_certificate.as_bytes(), out);
        if !line.auth.is_empty() {
            write_caller(line, out);
        }
        text(b",\"method\":\"", line.method.as_bytes(), out);
        text(b",\"host\":\"", line.host.as_bytes(), out);
        text(b",\"path\":\"", line.path.as_bytes(), out);
        text(b",\"query\":\"", line.query.unwrap_or_default().as_bytes(), out);
        out.extend_from_slice(b",\"protocol\":\"");
        out.extend_from_slice(line.protocol.as_bytes());
        out.extend_from_slice(b"\",\"status\":");
        push_decimal(u64::from(line.status), out);
        text(b",\"grpc_status\":\"", line.grpc_status.as_bytes(), out);
        text(b",\"route\":\"", line.route.as_bytes(), out);
        text(b",\"api\":\"", line.api.as_bytes(), out);
        text(b",\"service\":\"", line.service.as_bytes(), out);
        text(b",\"endpoint\":\"", line.endpoint.as_bytes(), out);
        word(b",\"code\":\"", line.code, out);
        word(b",\"stage\":\"", line.stage, out);
        text(b",\"limit\":\"", line.limit.as_bytes(), out);
        text(b",\"cause\":\"", line.cause.as_bytes(), out);
        text(b",\"fallback\":\"", line.fallback.as_bytes(), out);
        if line.violations > 0 {
            write_violations(line, out);
        }
        out.extend_from_slice(b",\"bytes_in\":");
        push_decimal(line.bytes_in, out);
        out.extend_from_slice(b",\"bytes_out\":");
        push_decimal(line.bytes_out, out);
        out.extend_from_slice(b",\"duration_ms\":");
        push_micros_as_ms(line.duration_us, out);
        time(b",\"wait_ms\":", line.wait_us, out);
        time(b",\"connect_ms\":", line.connect_us, out);
        time(b",\"first_byte_ms\":", line.first_byte_us, out);
        time(b",\"upstream_ms\":", line.upstream_us, out);
        if line.attempts > 0 {
            out.extend_from_slice(b",\"attempts\":");
            push_decimal(u64::from(line.attempts), out);
        }
        if !line.failed_attempts.is_empty() {
            write_attempts(line.failed_attempts, out);
        }
        if let Some(findings) = line.findings {
            write_findings(findings, out);
        }
        text(b",\"user_agent\":\"", line.user_agent, out);
        text(b",\"referer\":\"", line.referer, out);
        out.extend_from_slice(b"}\n");
    }

    /// `client - caller [time] "request line" status bytes`; of a connection that is passed on, `- NAME PROTOCOL` for the request
    /// line.
    fn write_common(&self, line: &Line<'_>, out: &mut Vec<u8>) {
        push_ip(line.client_ip, out);
        out.extend_from_slice(b" - ");
        match if line.user.is_empty() { line.app } else { line.user } {
            "" => out.push(b'-'),
            // A space would end it.
            caller => plain(caller.replace(' ', "_").as_bytes(), out),
        }
        out.extend_from_slice(b" [");
        out.extend_from_slice(&self.stamp);
        out.extend_from_slice(b"] \"");
        let (method, path) = match (line.method, line.host) {
            ("", "") => ("-", "-"),
            ("", name) => ("-", name),
            (method, _) => (method, line.path),
        };
        plain(method.as_bytes(), out);
        out.push(b' ');
        plain(path.as_bytes(), out);
        if let Some(query) = line.query {
            out.push(b'?');
            plain(query.as_bytes(), out);
        }
        out.push(b' ');
        out.extend_from_slice(line.protocol.as_bytes());
        out.extend_from_slice(b"\" ");
        push_decimal(u64::from(line.status), out);
        out.push(b' ');
        push_decimal(line.bytes_out, out);
        out.push(b'\n');
    }
}

/// Appends a member with a text, unless the text is empty. The name's length is a constant, so that copying it is a
/// few instructions instead of a call.
fn text<const N: usize>(name: &[u8; N], value: &[u8], out: &mut Vec<u8>) {
    if value.is_empty() {
        return;
    }
    out.extend_from_slice(name);
    if value.len() <= MAX_VALUE && is_plain(value) {
        out.extend_from_slice(value);
    } else {
        escaped(value, out);
    }
    out.push(b'"');
}

/// Appends a member with a word of this program, which has nothing to escape, unless it is empty.
fn word<const N: usize>(name: &[u8; N], value: &'static str, out: &mut Vec<u8>) {
    if !value.is_empty() {
        out.extend_from_slice(name);
        out.extend_from_slice(value.as_bytes());
        out.push(b'"');
    }
}

/// Appends a member with a time, if there is one.
fn time<const N: usize>(name: &[u8; N], micros: Option<u64>, out: &mut Vec<u8>) {
    if let Some(micros) = micros {
        out.extend_from_slice(name);
        push_micros_as_ms(micros, out);
    }
}

/// Who calls, which is only known where a route asks.
fn write_caller(line: &Line<'_>, out: &mut Vec<u8>) {
    text(b",\"app\":\"", line.app.as_bytes(), out);
    text(b",\"user\":\"", line.user.as_bytes(), out);
    text(b",\"plan\":\"", line.plan.as_bytes(), out);
    text(b",\"key\":\"", line.key.as_bytes(), out);
    text(b",\"auth\":\"", line.auth.as_bytes(), out);
}

/// What is wrong with a service's answer.
#[cold]
fn write_violations(line: &Line<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"violations\":");
    push_decimal(line.violations as u64, out);
    text(b",\"first_violations\":\"", line.first_violations.as_bytes(), out);
}

#[cold]
fn write_attempts(attempts: &[FailedAttempt], out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"failed_attempts\":[");
    for (place, attempt) in attempts.iter().enumerate() {
        out.extend_from_slice(if place == 0 { b"{" } else { b",{" });
        out.extend_from_slice(b"\"duration_ms\":");
        push_micros_as_ms(attempt.duration_us, out);
        text(b",\"endpoint\":\"", attempt.endpoint.as_bytes(), out);
        text(b",\"code\":\"", attempt.code.as_bytes(), out);
        if attempt.status > 0 {
            out.extend_from_slice(b",\"status\":");
            push_decimal(u64::from(attempt.status), out);
        }
        out.push(b'}');
    }
    out.push(b']');
}

/// What the firewall found.
#[cold]
fn write_findings(findings: &Findings, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"waf\":{\"score\":");
    push_decimal(u64::from(findings.score()), out);
    let blocked: &[u8] = if findings.is_blocked { b"true" } else { b"false" };
    out.extend_from_slice(b",\"blocked\":");
    out.extend_from_slice(blocked);
    out.extend_from_slice(b",\"hits\":[");
    for (place, hit) in findings.hits().iter().enumerate() {
        out.extend_from_slice(if place == 0 { b"{" } else { b",{" });
        out.extend_from_slice(b"\"rule\":");
        push_decimal(u64::from(hit.rule.id), out);
        text(b",\"category\":\"", hit.rule.category.as_str().as_bytes(), out);
        text(b",\"place\":\"", hit.place.as_bytes(), out);
        text(b",\"matched\":\"", findings.shown(hit).unwrap_or(b"***"), out);
        out.push(b'}');
    }
    out.extend_from_slice(b"]}");
}

/// JSON's escapes (RFC 8259, section 7); what is not UTF-8 becomes U+FFFD. Overlong values are cut.
#[cold]
fn escaped(value: &[u8], out: &mut Vec<u8>) {
    let cut = &value[..value.len().min(MAX_VALUE)];
    for chunk in cut.utf8_chunks() {
        let mut rest = chunk.valid().as_bytes();
        while let Some(at) = rest.iter().position(|byte| matches!(byte, 0..=0x1f | 0x7f | b'"' | b'\\')) {
            out.extend_from_slice(&rest[..at]);
            match rest[at] {
                byte @ (b'"' | b'\\') => out.extend_from_slice(&[b'\\', byte]),
                byte => {
                    let [high, low] = hexadecimal(byte, b"0123456789abcdef");
                    out.extend_from_slice(&[b'\\', b'u', b'0', b'0', high, low]);
                }
            }
            rest = &rest[at + 1..];
        }
        out.extend_from_slice(rest);
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
}

/// Text between quotes of a common line: what could end it, or the line, becomes `\xHH`.
fn plain(value: &[u8], out: &mut Vec<u8>) {
    if is_plain(value) {
        out.extend_from_slice(value);
        return;
    }
    for &byte in value {
        if is_plain(&[byte]) {
            out.push(byte);
        } else {
            let [high, low] = hexadecimal(byte, b"0123456789ABCDEF");
            out.extend_from_slice(&[b'\\', b'x', high, low]);
        }
    }
}

fn hexadecimal(byte: u8, digits: &[u8; 16]) -> [u8; 2] {
    [digits[usize::from(byte >> 4)], digits[usize::from(byte & 15)]]
}

/// A line's beginning up to the seconds' fraction: `{"time":"2026-11-21T06:20:55.`.
fn stamp_rfc3339(second: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"time\":\"");
    let (year, month, day) = civil_from_days(second / 86_400);
    for (number, width, end) in [(year, 4, b'-'), (month, 2, b'-'), (day, 2, b'T')] {
        push_padded(number, width, out);
        out.push(end);
    }
    push_clock(second, out);
    out.push(b'.');
}

/// `21/Nov/2026:06:20:55 +0000`.
fn stamp_common(second: u64, out: &mut Vec<u8>) {
    const MONTHS: [&[u8; 3]; 12] =
        [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];
    let (year, month, day) = civil_from_days(second / 86_400);
    push_padded(day, 2, out);
    out.push(b'/');
    out.extend_from_slice(MONTHS[month as usize - 1]);
    out.push(b'/');
    push_padded(year, 4, out);
    out.push(b':');
    push_clock(second, out);
    out.extend_from_slice(b" +0000");
}

fn push_clock(second: u64, out: &mut Vec<u8>) {
    push_padded(second / 3600 % 24, 2, out);
    out.push(b':');
    push_padded(second / 60 % 60, 2, out);
    out.push(b':');
    push_padded(second % 60, 2, out);
}

#[cfg(test)]
mod tests;
