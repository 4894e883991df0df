//! A core's thread.
