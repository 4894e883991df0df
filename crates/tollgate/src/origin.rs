//! Where a configuration comes from: a file, the command line, or this binary.

use std::fmt;
use std::path::{Path, PathBuf};

use gateway::config::values::ListenAddress;
use gateway::config::{self, Config, Faults, Source, Surroundings};
use gateway::snapshot::Snapshot;

use crate::commands::Failure;
use crate::terminal;

/// The file that is meant when none is named.
pub(crate) const DEFAULT_FILE: &str = "tollgate.yaml";

/// Where a configuration comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A file, which may change.
    File(PathBuf),
    /// `--to URL`: everything goes there, from this address or the usual one.
    Target { url: String, listen: Option<ListenAddress> },
    /// A text in this binary.
    Embedded {
        /// Its name in messages.
        name: &'static str,
        /// The configuration.
        text: &'static str,
    },
}

/// A configuration that may be served.
pub(crate) struct Compiled {
    /// What it says.
    pub(crate) config: Config,
    /// What is served.
    pub(crate) snapshot: Snapshot,
    /// What is doubtful about it.
    pub(crate) warnings: Faults,
}

impl Origin {
    /// The named file, or the default one.
    pub(crate) fn file(path: Option<PathBuf>) -> Self {
        Self::File(path.unwrap_or_else(|| PathBuf::from(DEFAULT_FILE)))
    }

    /// Reads, checks and compiles it; nothing is shown. What can be kept of the snapshot `before` is kept.
    pub(crate) fn compile(&self, before: Option<&Snapshot>) -> Result<Compiled, Faults> {
        let (config, mut warnings) = match self {
            Self::File(path) => config::load(path)?,
            Self::Target { url, listen } => {
                let config = Config::for_target(url, listen.clone())?;
                let warnings = config.faults();
                (config, warnings)
            }
            Self::Embedded { name, text } => {
                config::load_source(Source::new(*name, *text), Surroundings::of_process(""))?
            }
        };
        let (snapshot, more) = Snapshot::build(&config, before)?;
        warnings.extend(more);
        Ok(Compiled { config, snapshot, warnings })
    }

    /// Compiles it, shows every fault, and explains what to do when there is no file at all.
    pub(crate) fn compile_and_show(&self) -> Result<Compiled, Failure> {
        if let Self::File(path) = self {
            refuse_missing(path)?;
        }
        match self.compile(None) {
            Ok(compiled) => {
                terminal::complain(&compiled.warnings.render(terminal::is_colored()));
                Ok(compiled)
            }
            Err(faults) => {
                terminal::complain(&faults.render(terminal::is_colored()));
                Err(Failure::new(format!("{self} is refused: {}", faults.counted())))
            }
        }
    }

    /// Its file, where it can change.
    pub(crate) fn path(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Target { .. } | Self::Embedded { .. } => None,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Target { url, .. } => write!(f, "--to {url}"),
            Self::Embedded { name, .. } => f.write_str(name),
        }
    }
}

/// That there is no default file is the first thing a new user meets; say what to do instead of only what failed.
fn refuse_missing(path: &Path) -> Result<(), Failure> {
    // Anything else that is wrong with it (no permission, a directory) is told by the load.
    if path.try_exists().unwrap_or(true) {
        return Ok(());
    }
    if path != Path::new(DEFAULT_FILE) {
        return Err(Failure::new(format!("there is no file {}", path.display())));
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
