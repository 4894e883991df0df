//! The `tollgate` command. Each subcommand is one file of `commands/`; what `run` and `demo` share is `serve`.

mod commands;
mod engine;
mod origin;
mod samples;
mod serve;
mod terminal;
mod upgrade;

use std::process::ExitCode;

use clap::Parser;

use commands::Command;

/// Many small, short-lived pieces on many threads: where mimalloc is at its best.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// An API gateway: one binary in front of many services.
#[derive(Parser)]
#[command(name = "tollgate", version, subcommand_required = true, arg_required_else_help = true)]
struct Tollgate {
    #[command(subcommand)]
    command: Command,
}

fn main() -> ExitCode {
    match Tollgate::parse().command.run() {
        Ok(code) => code,
        Err(failure) => {
            terminal::note(&failure.to_string());
            failure.exit_code()
        }
    }
}
