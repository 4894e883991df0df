//! What a rule is: a number that stays, what it finds, from which paranoia level on, and how bad that is.

use std::fmt;

/// Something that is looked for.
#[derive(Debug, PartialEq, Eq)]
pub struct Rule {
    /// Never given to another rule.
    pub id: u16,
    /// What it belongs to.
    pub category: Category,
    /// The lowest paranoia level that asks it, 1 to 4.
    pub paranoia: u8,
    /// How bad it is.
    pub severity: Severity,
    /// What was found, for a log.
    pub name: &'static str,
}

/// What an attack is after. Scores are also summed by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Category {
    /// Requests that are not as HTTP means them, and encodings that hide something.
    Protocol,
    /// Tools that look for holes.
    Scanner,
    /// Files that are not meant for clients, and the way out of a folder.
    File,
    /// Commands for a Unix shell.
    Shell,
    /// Commands for `cmd.exe` and `PowerShell`.
    Windows,
    /// Scripts for a browser.
    Xss,
    /// SQL.
    Sql,
    /// Operators of document databases.
    Nosql,
    /// LDAP filters.
    Ldap,
    /// Addresses that a service is to call for the attacker.
    Ssrf,
    /// Code, templates and look-ups for the language that a service is written in.
    Code,
}

impl Category {
    /// All of them, in the order of their rules' numbers.
    pub const ALL: [Self; 11] = [
        Self::Protocol,
        Self::Scanner,
        Self::File,
        Self::Shell,
        Self::Windows,
        Self::Xss,
        Self::Sql,
        Self::Nosql,
        Self::Ldap,
        Self::Ssrf,
        Self::Code,
    ];

    /// How it is spelt in configuration and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Protocol => "protocol",
            Self::Scanner => "scanner",
            Self::File => "file",
            Self::Shell => "shell",
            Self::Windows => "windows",
            Self::Xss => "xss",
            Self::Sql => "sql",
            Self::Nosql => "nosql",
            Self::Ldap => "ldap",
            Self::Ssrf => "ssrf",
            Self::Code => "code",
        }
    }
}

impl fmt::Display for Category {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How bad it is; the points are those of the OWASP Core Rule Set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Odd, and harmless by itself.
    Notice,
    /// A hint.
    Warning,
    /// Probably an attack.
    Error,
    /// An attack.
    Critical,
}

impl Severity {
    /// What a hit adds to the scores.
    pub fn points(self) -> u32 {
        match self {
            Self::Notice => 2,
            Self::Warning => 3,
            Self::Error => 4,
            Self::Critical => 5,
        }
    }
}
