//! Where a configuration comes from: a file, the command line, or this binary.

use std::fmt;
use std::path::{Path, PathBuf};

use gateway::config::{self, Config, Faults, Source, Surroundings};

use crate::commands::Failure;
use crate::engine;
use crate::terminal;

/// The file that is meant when none is named.
pub(crate) const DEFAULT_FILE: &str = "tollgate.yaml";

/// Where a configuration comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A file, which may change.
    File(PathBuf),
    /// `--to URL`: everything goes there.
    Target(String),
    /// A text in this binary.
    Embedded {
        /// Its name in messages.
        name: &'static str,
        /// The configuration.
        text: &'static str,
    },
}

impl Origin {
    /// The named file, or the default one.
    pub(crate) fn file(path: Option<PathBuf>) -> Self {
        Self::File(path.unwrap_or_else(|| PathBuf::from(DEFAULT_FILE)))
    }

    /// Reads and checks it; nothing is shown. With the configuration come its warnings.
    pub(crate) fn load(&self) -> Result<(Config, Faults), Faults> {
        let (config, mut warnings) = match self {
            Self::File(path) => config::load(path)?,
            Self::Target(url) => {
                let config = Config::for_target(url)?;
                let warnings = config.faults();
                (config, warnings)
            }
            Self::Embedded { name, text } => {
                config::load_source(Source::new(*name, *text), Surroundings::of_process(""))?
            }
        };
        warnings.extend(engine::check(&config)?);
        Ok((config, warnings))
    }

    /// Reads and checks it, shows every fault, and explains what to do when there is no file at all.
    pub(crate) fn load_and_show(&self) -> Result<Config, Failure> {
        if let Self::File(path) = self {
            refuse_missing(path)?;
        }
        match self.load() {
            Ok((config, warnings)) => {
                terminal::complain(&warnings.render(terminal::is_colored()));
                Ok(config)
            }
            Err(faults) => {
                terminal::complain(&faults.render(terminal::is_colored()));
                Err(Failure::new(format!("{self} is refused: {}", faults.summary())))
            }
        }
    }

    /// Its file, where it can change.
    pub(crate) fn path(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Target(_) | Self::Embedded { .. } => None,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Target(url) => write!(f, "--to {url}"),
            Self::Embedded { name, .. } => f.write_str(name),
        }
    }
}

/// A file that is not there is the first thing a new user meets; say what to do instead of only what failed.
fn refuse_missing(path: &Path) -> Result<(), Failure> {
    // Anything else that is wrong with it (no permission, a directory) is told by the load.
    if path.try_exists().unwrap_or(true) {
        return Ok(());
    }
    let path = path.display();
    Err(Failure::new(format!(
        "there is no file {path}\n\
         \n  Name another:     tollgate run -c FILE, tollgate check FILE\n  \
         Serve one URL:    tollgate run --to http://localhost:3000\n  \
         See it work:      tollgate demo\n  \
         Or write these lines into it:\n\n    \
         services: {{ web: http://127.0.0.1:3000 }}\n    \
         routes: [ {{ match: \"/{{path...}}\", to: web, access: public }} ]"
    )))
}
