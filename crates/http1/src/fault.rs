//! Why bytes were refused: stable codes for logs and metrics, a sentence for the operator.

use http::StatusCode;

/// Why a request was refused. The connection must be closed after the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RequestFault {
    /// The target is not one that can be routed without guessing.
    #[error("the request target is refused: {0}")]
    Target(#[from] TargetFault),
    // helper: one variant for each refusal of RFC 9112
}

impl RequestFault {
    /// The status of the answer.
    pub fn status(self) -> StatusCode {
        StatusCode::BAD_REQUEST
    }

    /// The stable code, e.g. `request_smuggling`, `header_too_large`, `host_missing`.
    pub fn code(self) -> &'static str {
        todo!()
    }
}

/// Why a target was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TargetFault {
    /// `%` without two hexadecimal digits.
    #[error("a percent sign without two hexadecimal digits")]
    PercentEncoding,
    // helper: the others
}

/// Why an answer of a service was refused. The connection must not be used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ResponseFault {
    /// Not a status line.
    #[error("the status line is malformed")]
    StatusLine,
    // helper: the others
}

impl ResponseFault {
    /// The stable code.
    pub fn code(self) -> &'static str {
        todo!()
    }
}

/// Why a body was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyFault {
    /// The size of a chunk is not hexadecimal, or too large.
    #[error("a chunk's size is malformed")]
    ChunkSize,
    // helper: the others
}

impl BodyFault {
    /// The stable code.
    pub fn code(self) -> &'static str {
        todo!()
    }
}
