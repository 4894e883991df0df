//! Which endpoint of a service gets the next request.
