//! Header fields, whoever keeps them.

use http::HeaderMap;

/// The header fields of a message.
pub trait Headers {
    /// Calls for every value of a field, whose name is given in lower case.
    fn each<'h>(&'h self, name: &str, call: &mut dyn FnMut(&'h [u8]));
}

impl Headers for HeaderMap {
    fn each<'h>(&'h self, name: &str, call: &mut dyn FnMut(&'h [u8])) {
        self.get_all(name).iter().for_each(|value| call(value.as_bytes()));
    }
}

/// Fields of which only the type of the body is kept.
pub(super) struct ContentType<'t>(pub(super) &'t str);

impl Headers for ContentType<'_> {
    fn each<'h>(&'h self, name: &str, call: &mut dyn FnMut(&'h [u8])) {
        if name == "content-type" {
            call(self.0.as_bytes());
        }
    }
}
