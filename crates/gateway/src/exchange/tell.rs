//! What services are told of who calls, in fields that only the gateway writes.

use std::rc::Rc;
use std::sync::Arc;

use super::Exchange;
use crate::clock;
use crate::signed_identity::FIELD;

impl Exchange {
    /// Tells the service of this name who calls, where that is known.
    pub(super) fn tell_who_calls(&mut self, service: &Arc<str>) {
        let Self { request, live, found, .. } = self;
        if let Some(identity) = found.as_ref().and_then(|found| live.snapshot.callers.identity(found)) {
            if live.snapshot.told.is_plain {
                identity.write_fields(&mut request.fields);
            }
            self.tell_signed(service);
        }
    }

    /// Tells another service in place of the one before: what is signed is for one alone.
    pub fn tell_signed(&mut self, service: &Arc<str>) {
        if let Some(token) = self.signed_identity(service) {
            self.request.fields.set_named(FIELD, token.as_bytes());
        }
    }

    /// What a service is told of who calls, signed.
    pub fn signed_identity(&self, service: &Arc<str>) -> Option<Rc<str>> {
        let signer = self.live.snapshot.told.signer.as_ref()?;
        let caller = (self.found.as_ref()?, self.identity()?);
        let now = clock::unix_ms() as f64 / 1000.0;
        self.live.signed.token(signer, caller, service, now)
    }
}
