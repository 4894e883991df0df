//! Where records are kept.

use std::fmt;
use std::path::{Path, PathBuf};

/// A store: `sqlite:` and the path of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreUrl {
    path: PathBuf,
}

impl StoreUrl {
    /// Reads `sqlite:tollgate.db`.
    pub fn parse(text: &str) -> Result<Self, String> {
        const WHAT: &str = "expected a store, such as sqlite:tollgate.db";
        if text.starts_with("postgres:") || text.starts_with("postgresql:") {
            return Err("a store in PostgreSQL is not supported yet: write sqlite:tollgate.db".to_owned());
        }
        let path = text.strip_prefix("sqlite:").ok_or(WHAT)?;
        if path.is_empty() || path.starts_with("//") || path.ends_with('/') || path.contains(['\0', '?']) {
            return Err(WHAT.to_owned());
        }
        if path == ":memory:" {
            return Err("a store in memory keeps nothing: name a file".to_owned());
        }
        Ok(Self { path: path.into() })
    }

    /// Its file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A store in this file.
    pub fn at(path: PathBuf) -> Self {
        Self { path }
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sqlite:{}", self.path.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_a_file() {
        for text in ["sqlite:tollgate.db", "sqlite:/var/lib/tollgate/tollgate.db", "sqlite:../a.db"] {
            assert_eq!(StoreUrl::parse(text).map(|store| store.to_string()), Ok(text.to_owned()));
        }
        for text in [
            "",
            "sqlite:",
            "sqlite://a.db",
            "sqlite::memory:",
            "sqlite:a/",
            "sqlite:a?mode=ro",
            "postgres://a/b",
            "a.db",
        ] {
            assert!(StoreUrl::parse(text).is_err(), "{text}");
        }
    }
}
