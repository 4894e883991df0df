//! `tollgate key new`: a key for an application, and its line for the configuration.

use std::process::ExitCode;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::{Args, Subcommand};
use gateway::config::values::{Date, KeyHash, KeyId, Scope, check_name};

use super::Failure;
use crate::terminal;

/// Make keys for applications
#[derive(Args)]
pub(crate) struct Key {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    New(New),
}

/// Make a key: print it, and the line with its hash for the configuration
#[derive(Args)]
struct New {
    /// The name of the application, as under `apps`
    #[arg(long, value_name = "NAME", value_parser = app_name)]
    app: String,
    /// What the key is for, separated by commas
    #[arg(long, value_delimiter = ',', value_name = "SCOPE", value_parser = Scope::parse)]
    scopes: Vec<Scope>,
    /// The key's id [default: the application's name and six random characters]
    #[arg(long, value_parser = KeyId::parse)]
    id: Option<KeyId>,
    /// The day from whose beginning (UTC) it is refused [default: never]
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = Date::parse)]
    expires: Option<Date>,
}

impl Key {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        let What::New(new) = self.what;
        let mut random = [0; SECRET + ID];
        getrandom::fill(&mut random)
            .map_err(|error| Failure::new(format!("the system has no random numbers: {error}")))?;
        terminal::show(&new.text(&random)?);
        Ok(ExitCode::SUCCESS)
    }
}

impl New {
    fn text(&self, random: &[u8; SECRET + ID]) -> Result<String, Failure> {
        let (secret, rest) = random.split_at(SECRET);
        let secret = URL_SAFE_NO_PAD.encode(secret);
        let id = match &self.id {
            Some(id) => id.clone(),
            None => id_for(&self.app, rest)?,
        };
        let (app, id) = (&self.app, id.as_str());
        let hash = KeyHash::of(&secret);
        let scopes: Vec<&str> = self.scopes.iter().map(Scope::as_str).collect();
        // In quotes: YAML gives a meaning to some of what a scope may be made of.
        let scopes: Vec<String> =
            scopes.iter().map(|scope| format!("'{}'", scope.replace('\'', "''"))).collect();
        let scopes =
            if scopes.is_empty() { String::new() } else { format!(", scopes: [{}]", scopes.join(", ")) };
        let expires = self.expires.map(|date| format!(", expires: {date}")).unwrap_or_default();
        Ok(format!(
            "# The key. It is shown this once: give it to whoever calls.\n\
             {id}.{secret}\n\
             # Its line, under `keys` of `apps.{app}`:\n\
             - {{ id: '{id}', hash: '{hash}'{scopes}{expires} }}\n"
        ))
    }
}

fn app_name(text: &str) -> Result<String, String> {
    check_name(text).map(|()| text.to_owned())
}

/// An id that tells whose key it is.
fn id_for(app: &str, random: &[u8]) -> Result<KeyId, Failure> {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
    let app: String = app.chars().map(plain).take(48).collect();
    let tail: String = random.iter().map(|byte| char::from(LETTERS[usize::from(byte % 32)])).collect();
    KeyId::parse(&format!("{app}-{tail}")).map_err(Failure::misuse)
}

/// Bytes of a secret: nobody guesses 256 bits.
const SECRET: usize = 32;
/// Characters by which the ids of an application differ.
const ID: usize = 6;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_line_belongs_to_the_key() {
        let new = New {
            app: "mobile.app".to_owned(),
            scopes: vec![Scope::parse("read").unwrap(), Scope::parse("it's").unwrap()],
            id: None,
            expires: Some(Date::parse("2027-06-30").unwrap()),
        };
        let text = new.text(&[7; SECRET + ID]).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let (id, secret) = lines[1].split_once('.').unwrap();
        assert_eq!((id, secret.len()), ("mobile-app-hhhhhh", 43));
        let hash = KeyHash::of(secret);
        let expected =
            format!("- {{ id: '{id}', hash: '{hash}', scopes: ['read', 'it''s'], expires: 2027-06-30 }}");
        assert_eq!(lines[3], expected);
    }
}
