//! A strict HTTP/1.1 engine (RFC 9112), both ends, without I/O of its own.
//!
//! Bytes go in, heads and body pieces come out, and back. What is ambiguous is refused, never repaired: a
//! gateway that guesses differently from the service behind it is how requests are smuggled. The message
//! types (`RequestHead`, `ResponseHead`, `Fields`) know nothing of the transport, so HTTP/2 fills the same
//! ones.

mod assemble;
mod authority;
mod body;
mod control;
mod encode;
mod fault;
mod fields;
mod head;
mod known;
mod lines;
mod prepared;
mod request;
mod response;
mod target;

pub use assemble::{Incoming, assemble_request, assemble_response, assemble_trailers};
pub use body::{BodyDecoder, LARGEST_EXTENSIONS, LARGEST_TRAILERS, MOST_TRAILERS, Piece};
pub use encode::{
    Outgoing, encode_chunk_head, encode_interim, encode_last_chunk, encode_request, encode_response,
};
pub use fault::{BodyFault, FramingFault, RequestFault, ResponseFault, SyntaxFault, TargetFault};
pub use fields::{Field, Fields, is_field_value, is_token, list};
pub use head::{Framing, Limits, MOST_FIELDS, RequestHead, ResponseHead, TargetForm};
pub use known::Known;
pub use prepared::PreparedField;
pub use request::{parse_request, salvage_request};
pub use response::parse_response;
pub use target::{has_dot_segment, normalise_path, normalise_query};
