//! Stage `route`: which route a request belongs to.
