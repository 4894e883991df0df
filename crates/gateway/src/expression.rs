//! CEL expressions, compiled at load.
