//! The compiled configuration.
