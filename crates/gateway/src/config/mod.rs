//! The configuration language: text to positioned tree to typed model to checks, with every fault at its place.
//!
//! `load` reads a file; `Config::routes` gives what a snapshot is built from. Nothing here knows how a request is served.

mod check;
mod check_access;
mod check_limits;
mod check_tcp;
mod diff;
mod effective;
mod fault;
mod file;
mod interpolate;
mod model;
mod node;
mod outline;
mod path;
mod read;
mod schema;
mod source;
pub mod values;

use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

pub use diff::{Change, ChangeKind, diff};
pub use effective::{Action, EffectiveCall, EffectiveRoute, EffectiveVersion, PlacedLimit};
pub use fault::{Fault, Faults, Severity};
pub use file::{read_bounded, read_named, read_named_text};
pub use interpolate::Surroundings;
pub use model::*;
pub use outline::Outline;
pub use schema::schema;
pub use source::{Located, Source, Span};

/// Reads and checks a configuration file; relative paths in it are relative to it.
///
/// Gives the configuration with its warnings, or all its faults, of which at least one is an error.
pub fn load(path: &Path) -> Result<(Config, Faults), Faults> {
    let directory = path.parent().unwrap_or(Path::new("")).to_owned();
    load_from(path, Surroundings::of_process(directory))
}

/// As `load`, in these surroundings instead of the process's.
pub fn load_from(path: &Path, surroundings: Surroundings) -> Result<(Config, Faults), Faults> {
    let name = path.display().to_string();
    match read_file(path) {
        Ok(text) => load_source(Source::new(name, text), surroundings),
        Err(cause) => {
            let mut faults = Faults::new(Arc::new(Source::new(name, "")));
            faults.push(Fault::error(
                "unreadable_file",
                Span::default(),
                format!("cannot read the file: {cause}"),
            ));
            Err(faults)
        }
    }
}

/// Reads and checks a configuration that is not in a file; relative paths in it are relative to the working directory.
pub fn load_text(text: &str) -> Result<(Config, Faults), Faults> {
    load_source(Source::new("<text>", text), Surroundings::of_process(""))
}

/// Reads and checks a configuration of this name and text, in these surroundings.
pub fn load_source(source: Source, surroundings: Surroundings) -> Result<(Config, Faults), Faults> {
    let source = Arc::new(source);
    let mut reader = read::Reader::new(Arc::clone(&source), surroundings);
    let Some(tree) = reader.tree(&source) else {
        return Err(reader.finish());
    };
    let (mut config, declared) = model::read(&tree, Arc::clone(&source), &mut reader);
    let mut faults = reader.finish();
    config.files.clone_from(faults.files());
    check::check(&config, &declared, &mut faults);
    if faults.has_errors() { Err(faults) } else { Ok((config, faults)) }
}

/// Reads a file with a list of endpoints, as under `endpoints` of a service.
pub fn load_endpoints(path: &Path) -> Result<Vec<Endpoint>, Faults> {
    let name = path.display().to_string();
    let (text, fault) = match read_file(path) {
        Ok(text) => (text, None),
        Err(cause) => {
            let message = format!("cannot read the file: {cause}");
            (String::new(), Some(Fault::error("unreadable_file", Span::default(), message)))
        }
    };
    let source = Arc::new(Source::new(name, text));
    let directory = path.parent().unwrap_or(Path::new("")).to_owned();
    let mut reader = read::Reader::new(Arc::clone(&source), Surroundings::of_process(directory));
    let endpoints = match (fault, reader.tree(&source)) {
        (Some(fault), _) => {
            reader.fault(fault);
            Vec::new()
        }
        (None, Some(tree)) => model::read_endpoints(&tree, Span::default(), &mut reader),
        (None, None) => Vec::new(),
    };
    let faults = reader.finish();
    if faults.has_errors() { Err(faults) } else { Ok(endpoints) }
}

impl Config {
    /// The configuration of `tollgate run --to URL`: everything goes to this one endpoint, from this address; without
    /// one, from loopback only.
    pub fn for_target(url: &str, listen: Option<values::ListenAddress>) -> Result<Self, Faults> {
        // Written out as a file would be, so that it takes the same way and shows the same faults.
        let quoted = |text: &str| serde_json::Value::from(text).to_string().replace("${", "$${");
        let listeners = listen.map(|address| format!("listeners: [ {} ]\n", quoted(&address.to_string())));
        let text = format!(
            "{}services: {{ target: {} }}\nroutes: [ {{ match: \"/{{rest...}}\", to: target, access: public }} ]\n",
            listeners.unwrap_or_default(),
            quoted(url)
        );
        load_source(Source::new("--to", text), Surroundings::of_process("")).map(|(config, _)| config)
    }
}

/// The text of a file; its size is bounded, and what is not UTF-8 is refused.
fn read_file(path: &Path) -> Result<String, String> {
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    file.take(node::MAX_TEXT as u64 + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    String::from_utf8(bytes)
        .map_err(|error| format!("byte {} is not UTF-8", error.utf8_error().valid_up_to()))
}
