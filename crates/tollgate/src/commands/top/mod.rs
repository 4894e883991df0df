//! `tollgate top`: watches a gateway over its admin listener, live in a terminal or as text.
//!
//! A reading ([`client`]) becomes figures with the one before it ([`rates`]), figures become rows ([`table`]), and rows a screen
//! ([`view`]) or lines ([`plain`]). What keys change is in [`state`] and [`keys`]; only [`screen`] touches the terminal.

mod address;
mod client;
mod keys;
mod plain;
mod rates;
mod screen;
mod state;
mod table;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
mod text;
mod view;

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use gateway::config::values;
use gateway::config::values::{EndpointUrl, Secret};
use tokio::runtime::{Builder, Runtime};

use super::Failure;
use crate::terminal;
use address::Address;
use client::Trouble;
use rates::Figures;

/// Watch a gateway: its services, endpoints and routes, live
///
/// Asks the admin listener of a running gateway how it stands, and shows rates and latencies of the time between two answers. In
/// a terminal `?` shows the keys and `q` ends it; elsewhere, and with `--once`, it prints one table.
#[derive(Args)]
pub(crate) struct Top {
    /// The configuration that says where the admin listener is, and its token [default: tollgate.yaml, if it is there]
    file: Option<PathBuf>,
    /// The same, as `run` and `explain` take it
    #[arg(short, long, value_name = "FILE", conflicts_with = "file", hide = true)]
    config: Option<PathBuf>,
    /// The admin listener [default: that of the configuration, else 127.0.0.1:9900]
    #[arg(long, value_name = "URL", value_parser = address::parse)]
    admin: Option<EndpointUrl>,
    /// The admin token; other users of this machine can read it here, but not in the environment
    /// (`TOLLGATE_ADMIN_TOKEN`) [default: that of the configuration]
    #[arg(long, value_name = "TOKEN")]
    token: Option<String>,
    /// How often to ask
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = every)]
    every: Duration,
    /// Print what happened within one `--every` as text, and end
    #[arg(long)]
    once: bool,
}

/// Where the admin token may be.
const TOKEN: &str = "TOLLGATE_ADMIN_TOKEN";

impl Top {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        let token = self.token.or_else(|| std::env::var(TOKEN).ok());
        let token = token.and_then(|token| Secret::parse(&token).ok());
        let address = Address::find(self.file.or(self.config).as_deref(), self.admin, token)?;
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::new(format!("cannot start: {error}")))?;
        if self.once || !io::stdout().is_terminal() || !terminal::can_draw() {
            return once(&runtime, &address, self.every);
        }
        let first = runtime.block_on(client::ask(&address));
        // What waiting does not mend is said at once, where it stays to be read.
        if let Err(trouble) = &first
            && !matches!(trouble, Trouble::Unreachable(_))
        {
            return Err(Failure::new(trouble.told(&address)));
        }
        screen::show(runtime, address, self.every, first)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Prints what happened between two readings.
fn once(runtime: &Runtime, address: &Address, every: Duration) -> Result<ExitCode, Failure> {
    let readings = runtime.block_on(async {
        let before = client::ask(address).await?;
        tokio::time::sleep(every).await;
        Ok((before, client::ask(address).await?))
    });
    let (before, now) = readings.map_err(|trouble: Trouble| Failure::new(trouble.told(address)))?;
    terminal::show(&plain::text(&Figures::between(Some(&before), &now), address));
    Ok(ExitCode::SUCCESS)
}

fn every(text: &str) -> Result<Duration, String> {
    let time = *values::Duration::parse(text)?;
    let is_sane = (Duration::from_millis(100)..=Duration::from_hours(1)).contains(&time);
    if is_sane { Ok(time) } else { Err("from 100ms to 1h".to_owned()) }
}
