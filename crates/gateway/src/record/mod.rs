//! Stage `record`: access log, metrics, request ids.
