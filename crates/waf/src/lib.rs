//! A web application firewall's engine: a request goes in, what in it looks like an attack comes out, with scores.
//!
//! A request is taken apart into leaves (a query argument, a cookie, a string of a JSON body), each is brought to one
//! plain form (`decode`), one pass of Aho-Corasick tells which rules are worth asking (`detect::pattern`), and the
//! detectors tokenise what they read as SQL, HTML or a shell would. Rules have stable numbers, a paranoia level and a
//! score as in the OWASP Core Rule Set; whether the sum blocks is the caller's to say.
//!
//! It knows no configuration, no gateway and no transport. Nothing here panics on any bytes, and no byte is looked at
//! more than a fixed number of times.

mod decode;
mod detect;
mod exclude;
mod inspect;
mod leaf;
mod media;
mod report;
mod request;
mod rule;
mod rules;

pub use exclude::{Exclusion, ExclusionFault};
pub use inspect::{Inspector, Options, Scratch};
pub use media::{FIRST_BYTES, Interest, is_text};
pub use report::{Hit, MOST_HITS, Report};
pub use request::Request;
pub use rule::{Category, Rule, Severity};
pub use rules::{RULES, rule};
