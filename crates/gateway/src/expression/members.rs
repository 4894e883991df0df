//! The names that an expression may use, and what each is.

use super::closest;

/// A name at the root of the language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs)] // each is the name it says
pub enum Root {
    Request,
    Params,
    Identity,
    Device,
    Api,
    Route,
    Response,
    /// `request.body`, which is known later than the rest of the request.
    Body,
    Certificate,
}

/// A set of roots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Roots(u16);

/// One thing that is looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fact {
    Method,
    Path,
    Host,
    Scheme,
    Query,
    Headers,
    ClientIp,
    Size,
    Body,
    Subject,
    Sans,
    Fingerprint,
    Params,
    App,
    User,
    Plan,
    Scopes,
    Claims,
    Device,
    Api,
    Route,
    Status,
    ResponseHeaders,
    ResponseBody,
}

/// What a fact is, as far as the check at load needs to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// A text, a number or a list: no members.
    Plain,
    /// Names and texts; names in lower case when they are of headers.
    Texts { lower_case: bool },
    /// Any JSON.
    Json,
}

/// Every root with its members; the empty member is the root itself.
const MEMBERS: &[(&str, Root, &str, Fact)] = &[
    ("request", Root::Request, "method", Fact::Method),
    ("request", Root::Request, "path", Fact::Path),
    ("request", Root::Request, "host", Fact::Host),
    ("request", Root::Request, "scheme", Fact::Scheme),
    ("request", Root::Request, "query", Fact::Query),
    ("request", Root::Request, "headers", Fact::Headers),
    ("request", Root::Request, "client_ip", Fact::ClientIp),
    ("request", Root::Request, "size", Fact::Size),
    ("request", Root::Body, "body", Fact::Body),
    ("certificate", Root::Certificate, "subject", Fact::Subject),
    ("certificate", Root::Certificate, "sans", Fact::Sans),
    ("certificate", Root::Certificate, "fingerprint", Fact::Fingerprint),
    ("params", Root::Params, "", Fact::Params),
    ("identity", Root::Identity, "app", Fact::App),
    ("identity", Root::Identity, "user", Fact::User),
    ("identity", Root::Identity, "plan", Fact::Plan),
    ("identity", Root::Identity, "scopes", Fact::Scopes),
    ("identity", Root::Identity, "claims", Fact::Claims),
    ("device", Root::Device, "", Fact::Device),
    ("api", Root::Api, "", Fact::Api),
    ("route", Root::Route, "", Fact::Route),
    ("response", Root::Response, "status", Fact::Status),
    ("response", Root::Response, "headers", Fact::ResponseHeaders),
    ("response", Root::Response, "body", Fact::ResponseBody),
];

impl Roots {
    /// None.
    pub const NONE: Self = Self(0);
    /// Every root.
    pub const ALL: Self = Self(0x1ff);
    /// What stage `route` knows: the request's head, its path's parameters and its device.
    pub const AT_ROUTE: Self =
        Self::NONE.with(Root::Request).with(Root::Params).with(Root::Device).with(Root::Certificate);
    /// What is known once the caller is: everything but the response.
    pub const BEFORE_RESPONSE: Self = Self::ALL.without(Root::Response);

    /// This set and one more.
    #[must_use]
    pub const fn with(self, root: Root) -> Self {
        Self(self.0 | 1 << root as u8)
    }

    /// This set but for one.
    #[must_use]
    pub const fn without(self, root: Root) -> Self {
        Self(self.0 & !(1 << root as u8))
    }

    /// Whether the root is in the set.
    pub const fn has(self, root: Root) -> bool {
        self.0 >> root as u8 & 1 == 1
    }
}

impl Fact {
    pub(super) fn root(self) -> Root {
        MEMBERS.iter().find(|(.., fact)| *fact == self).map_or(Root::Request, |(_, root, ..)| *root)
    }

    pub(super) fn shape(self) -> Shape {
        match self {
            Self::Headers | Self::ResponseHeaders => Shape::Texts { lower_case: true },
            Self::Query | Self::Params => Shape::Texts { lower_case: false },
            Self::Body | Self::Claims | Self::ResponseBody => Shape::Json,
            _ => Shape::Plain,
        }
    }

    /// The type of its value, or of a member of it, where that is always the same.
    pub(super) fn type_name(self, is_member: bool) -> Option<&'static str> {
        match self {
            Self::Size | Self::Status => Some("int"),
            Self::Sans | Self::Scopes => Some("list"),
            _ => match self.shape() {
                Shape::Plain => Some("string"),
                Shape::Texts { .. } => Some(if is_member { "string" } else { "map" }),
                Shape::Json => None,
            },
        }
    }

    /// The fact that a root is by itself.
    pub(super) fn of_root(root: &str) -> Option<Self> {
        Self::of_member(root, "")
    }

    /// The fact that a root's member is.
    pub(super) fn of_member(root: &str, member: &str) -> Option<Self> {
        MEMBERS.iter().find(|(known, _, name, _)| *known == root && *name == member).map(|(.., fact)| *fact)
    }
}

/// Whether a name is a root.
pub(super) fn is_root(name: &str) -> bool {
    MEMBERS.iter().any(|(root, ..)| *root == name)
}

/// The complaint about a name that is no root. `locals` are those that a macro has bound around it.
pub(super) fn unknown_root(name: &str, locals: &[String]) -> String {
    let known = MEMBERS.iter().map(|(root, ..)| *root).chain(locals.iter().map(String::as_str));
    if let Some(near) = closest(name, known) {
        return format!("`{name}` is unknown; did you mean `{near}`?");
    }
    if let Some((root, _, member, _)) = MEMBERS.iter().find(|(.., member, _)| *member == name) {
        return format!("`{name}` is unknown; did you mean `{root}.{member}`?");
    }
    let mut roots: Vec<_> = MEMBERS.iter().map(|(root, ..)| *root).collect();
    roots.dedup();
    format!("`{name}` is unknown; an expression speaks of `{}`", roots.join("`, `"))
}

/// The complaint about a name that is no member of a root.
pub(super) fn unknown_member(root: &str, member: &str) -> String {
    let members = || MEMBERS.iter().filter(|(known, ..)| *known == root).map(|(_, _, name, _)| *name);
    if let Some(near) = closest(member, members()) {
        return format!("`{root}` has no `{member}`; did you mean `{near}`?");
    }
    format!("`{root}` has no `{member}`; it has `{}`", members().collect::<Vec<_>>().join("`, `"))
}

/// The complaint about a name at this place, where it is the end of one that holds a `-`: `x-tokens` after a dot is `x` less `tokens`.
pub(super) fn dashed(text: &str, at: usize) -> Option<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let (before, rest) = text.split_at_checked(at)?;
    let start = before.trim_end_matches(is_part).len();
    let end = at + rest.find(|c| !is_part(c)).unwrap_or(rest.len());
    let (of, name) = text[start..end].rsplit_once('.')?;
    if !name.contains('-') || at <= start + of.len() + 1 {
        return None;
    }
    let mut members = of.split('.');
    let root = members.next()?;
    let fact = Fact::of_root(root).or_else(|| Fact::of_member(root, members.next()?))?;
    let message = || format!("what has a `-` in its name stands in brackets: write `{of}['{name}']`");
    (fact.shape() != Shape::Plain).then(message)
}

/// A fact as an expression spells it.
pub(super) fn written(fact: Fact) -> String {
    let found = MEMBERS.iter().find(|(.., known)| *known == fact);
    match found {
        Some((root, _, "", _)) => (*root).to_owned(),
        Some((root, _, member, _)) => format!("{root}.{member}"),
        None => String::new(),
    }
}

/// The complaint about a root without a member.
pub(super) fn bare_root(root: &str) -> String {
    let members: Vec<_> =
        MEMBERS.iter().filter(|(known, ..)| *known == root).map(|(_, _, name, _)| *name).collect();
    format!("name a member of `{root}`: it has `{}`", members.join("`, `"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_of_roots_hold_what_was_put_into_them() {
        assert!(Roots::AT_ROUTE.has(Root::Params));
        assert!(!Roots::AT_ROUTE.has(Root::Identity));
        assert!(!Roots::AT_ROUTE.has(Root::Body));
        assert!(Roots::BEFORE_RESPONSE.has(Root::Identity));
        assert!(!Roots::BEFORE_RESPONSE.has(Root::Response));
        assert!(MEMBERS.iter().all(|(_, root, ..)| Roots::ALL.has(*root)));
        assert_eq!(MEMBERS.iter().fold(Roots::NONE, |all, (_, root, ..)| all.with(*root)), Roots::ALL);
    }
}
