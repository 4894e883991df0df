//! Answers that the gateway makes itself (RFC 9457).
