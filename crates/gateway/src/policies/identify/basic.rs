//! `basic`: a name and a password (RFC 7617), looked up in a file that `htpasswd` writes.
//!
//! Comparing a password takes long, and is meant to: it happens away from the worker, a few at once in the whole process, and what came
//! of it is known for a while. A flood of guesses finds the turns taken, and everything else as quick as before.

use std::rc::Rc;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http1::RequestHead;
use zeroize::Zeroizing;

use super::{Authenticator, Finding};
use crate::clock;
use crate::config::values::Scope;
use crate::config::{self, Config, Fault, Faults, read_named_text};
use crate::exchange::Exchange;
use crate::identity::{self, Identity, Own, Verdict};
use crate::password::{Turns, Users};

/// Bytes of a file of users.
const MAX_FILE: u64 = 16 * 1024 * 1024;
/// Bytes of credentials as they are sent.
const LONGEST: usize = 1024;

const SCHEME: &[u8] = b"Basic ";
/// Which of the two is wrong is nobody's business.
const WRONG: &str = "credentials_wrong";
const BUSY: &str = "basic_busy";

/// The compiled way.
#[derive(Debug)]
pub struct Basic {
    name: Box<str>,
    users: Arc<Users>,
    turns: Arc<Turns>,
    /// Seconds.
    cache: f64,
    app: Box<str>,
    plan: Box<str>,
    scopes: Box<[Box<str>]>,
    pass: bool,
}

impl Basic {
    /// Compiles the configuration and reads the file; what is wrong with that is reported. A name of an app that is none has been refused
    /// before.
    pub fn build(
        name: &str,
        basic: &config::Basic,
        config: &Config,
        turns: &Arc<Turns>,
        faults: &mut Faults,
    ) -> Option<Self> {
        let users = read_users(basic, faults)?;
        let app = basic.app.as_ref().and_then(|app| config.apps.get(&app.value));
        Some(Self {
            name: name.into(),
            users: Arc::new(users),
            turns: Arc::clone(turns),
            cache: basic.cache.as_secs_f64(),
            app: app.map_or("", |app| &app.name.value).into(),
            plan: app.map_or("", config::App::plan_name).into(),
            scopes: basic.scopes.iter().map(Scope::as_str).map(Into::into).collect(),
            pass: basic.pass,
        })
    }

    fn identity(&self, user: &str) -> Identity {
        let mut identity = Identity::with_scopes(self.scopes.to_vec());
        identity.user = user.into();
        (identity.app, identity.plan) = (self.app.clone(), self.plan.clone());
        identity
    }

    /// Whose the credentials are, once it was their turn.
    async fn verify(&self, sent: Credentials, until: f64) -> Result<(Verdict, f64), &'static str> {
        let (users, user) = (Arc::clone(&self.users), sent.name().to_owned());
        let verified =
            self.turns.compute(move || users.verify(sent.name(), sent.password().as_bytes())).await;
        match verified.flatten() {
            Some(true) => Ok((Ok(Rc::new(Own::new(self.identity(&user), &self.name))), until)),
            Some(false) => Ok((Err(WRONG), until)),
            None => Err(BUSY),
        }
    }
}

/// `name:password`, wiped when it is let go.
struct Credentials(Zeroizing<String>, usize);

impl Credentials {
    /// Reads what stands behind the scheme (RFC 7617, section 2): a name has no colon, and neither part control characters.
    fn read(sent: &[u8]) -> Option<Self> {
        if sent.len() > LONGEST {
            return None;
        }
        let mut bytes = Zeroizing::new(Vec::with_capacity(LONGEST));
        STANDARD.decode_vec(sent, &mut bytes).ok()?;
        let text = Zeroizing::new(String::from_utf8(std::mem::take(&mut *bytes)).ok()?);
        let colon = text.find(':')?;
        (!text.contains(char::is_control)).then_some(Self(text, colon))
    }

    fn name(&self) -> &str {
        &self.0[..self.1]
    }

    fn password(&self) -> &str {
        &self.0[self.1 + 1..]
    }
}

impl Authenticator for Basic {
    fn identify<'w>(&'w self, exchange: &Exchange, _body: Option<&[u8]>) -> Finding<'w> {
        let Some(sent) = super::of_scheme(&exchange.request, SCHEME) else { return Finding::Nothing };
        let proof = identity::digest(&self.name, 0, sent);
        let now = clock::unix_ms() as f64 / 1000.0;
        if let Some(known) = exchange.live.proofs.known(&proof, now) {
            return known.into();
        }
        let Some(sent) = Credentials::read(sent) else { return Finding::Refused(WRONG) };
        let proofs = Rc::clone(&exchange.live.proofs);
        Finding::Wait(Box::pin(async move {
            match proofs.found_once(proof, self.verify(sent, now + self.cache)).await {
                Ok(verdict) => verdict.into(),
                Err(code) => Finding::Unavailable(code),
            }
        }))
    }

    fn strip(&self, request: &mut RequestHead) {
        if !self.pass {
            super::strip_scheme(request, SCHEME);
        }
    }

    fn challenge(&self, realm: &str, _: bool) -> Vec<String> {
        vec![format!("Basic realm=\"{realm}\", charset=\"UTF-8\"")]
    }

    fn explain(&self) -> String {
        "a user's name and password".to_owned()
    }
}

fn read_users(basic: &config::Basic, faults: &mut Faults) -> Option<Users> {
    let text = faults.take(read_named_text(&basic.users, MAX_FILE))?;
    let (shown, span) = (basic.users.value.display(), basic.users.span);
    match Users::parse(&text) {
        Ok(users) => {
            if users.weak() > 0 {
                let message = format!(
                    "{shown}: passwords that are cheap to guess for whoever has the file: {}",
                    users.weak()
                );
                let fault = Fault::warning("weak_hash", span, message);
                faults.push(fault.help("bcrypt has a cost of at least 10: `htpasswd -B -C 12 FILE NAME`"));
            }
            Some(users)
        }
        Err(unusable) => {
            let more = match unusable.len() {
                1 => String::new(),
                many => format!("; {} more lines are not taken either", many - 1),
            };
            if let Some((line, why)) = unusable.first() {
                let message = format!("{shown}, line {line}: {}{more}", why.message);
                faults.push(Fault::error("bad_users", span, message).help(why.help));
            }
            None
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn credentials_are_a_name_and_a_password_in_base64() {
        for (sent, expected) in [
            (&b"YW5uOmFwcGxl"[..], Some(("ann", "apple"))),
            (b"QWxhZGRpbjpvcGVuIHNlc2FtZQ==", Some(("Aladdin", "open sesame"))),
            // RFC 7617, section 2.1
            ("dGVzdDoxMjPCow==".as_bytes(), Some(("test", "123\u{a3}"))),
            (b"Og==", Some(("", ""))),
            (b"YTpiOmM=", Some(("a", "b:c"))),
            (b"", None),
            (b"YW5u", None),
            (b"YTpi\x00", None),
            (b"Og", None),
            // a line break, and Latin-1
            (b"YTpiCg==", None),
            (b"YTqj", None),
        ] {
            let read = Credentials::read(sent);
            assert_eq!(read.as_ref().map(|read| (read.name(), read.password())), expected, "{sent:?}");
        }
        assert!(
            Credentials::read(STANDARD.encode(format!("a:{}", "b".repeat(LONGEST))).as_bytes()).is_none()
        );
    }
}
