//! What becomes of a connection that is passed on: one line in the access log, and its counts.

use std::time::Instant;

use http::StatusCode;

use crate::accept::Client;
use crate::clock;
use crate::outcome::Outcome;
use crate::record::Line;
use crate::refusal::Stage;
use crate::worker::Worker;

/// A connection that is passed on.
pub(super) struct Relay {
    /// When it began.
    pub(super) started: Instant,
    /// Whether it began with a `ClientHello`.
    pub(super) is_tls: bool,
    /// The name in it.
    pub(super) server_name: Option<Box<str>>,
    /// Whether it ended without a byte: whoever only looks whether the port is open is not worth a line.
    pub(super) is_silent: bool,
    /// What became of it.
    pub(super) outcome: Outcome,
    id: String,
}

impl Relay {
    /// One that begins now.
    pub(super) fn begin(worker: &Worker, client: &Client) -> Self {
        let mut id = String::new();
        worker.write_request_id(&mut id);
        Self {
            started: clock::now(),
            is_tls: client.is_tls(),
            server_name: None,
            is_silent: false,
            outcome: Outcome::default(),
            id,
        }
    }

    /// It leads nowhere.
    pub(super) fn refused(&mut self, stage: Stage, code: &'static str, status: StatusCode) {
        self.outcome.status = Some(status);
        self.outcome.stage = Some(stage.as_str());
        self.outcome.code = Some(code);
    }

    /// What became of it, in HTTP's words.
    pub(super) fn status(&self) -> u16 {
        self.outcome.status.unwrap_or(StatusCode::OK).as_u16()
    }

    /// Counts it and writes its line.
    pub(super) fn end(&self, worker: &Worker, client: &Client) {
        let outcome = &self.outcome;
        if self.is_silent {
            return;
        }
        match (outcome.code, &outcome.service) {
            (Some(code), Some(_)) => worker.shard.refusal("", code),
            (Some(code), None) => worker.shard.connection_refused(code),
            (None, _) => {}
        }
        let duration = clock::refresh().saturating_duration_since(self.started);
        worker.log().write(&Line {
            id: &self.id,
            client_ip: client.peer().ip().to_canonical(),
            client_certificate: client.origin().certificate().map_or("", |certificate| &certificate.subject),
            host: self.server_name.as_deref().unwrap_or_default(),
            protocol: if self.is_tls { "TLS" } else { "TCP" },
            status: self.status(),
            duration_us: duration.as_micros() as u64,
            ..outcome.line(self.started)
        });
    }
}
