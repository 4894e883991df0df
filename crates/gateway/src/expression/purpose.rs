//! What can be told of an expression when it is loaded: that it is of no use where it stands.
//! Far from all of that: only what is of one type whatever comes, and what speaks of no request.

use cel::IdedExpr;
use cel::common::ast::{Expr, LiteralValue, operators};
use cel::common::value::Val;

use super::{Expression, amount_of, count_of};

/// What an expression is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Something happens or it does not.
    Condition,
    /// Requests with one value of it belong together.
    Key,
    /// What a request costs.
    Count,
    /// What it has cost: a text that is a number counts as one.
    Amount,
}

impl Expression {
    /// Whether it may be of use for this; or why it never is.
    pub fn check(&self, purpose: Purpose) -> Result<(), String> {
        if let Some(type_name) = self.type_of(&self.tree).filter(|name| !purpose.takes(name)) {
            return Err(purpose.refuse(type_name));
        }
        if !self.bound.slots.is_empty() {
            return Ok(());
        }
        let told = self.evaluate(None, |value| Ok(purpose.check(value)));
        told.unwrap_or_else(|error| Err(format!("this fails for every request: {error}")))
    }

    /// The type that a part has in every evaluation that does not fail, as far as that can be seen without types of everything.
    fn type_of(&self, part: &IdedExpr) -> Option<&'static str> {
        match &part.expr {
            Expr::Ident(name) => {
                let slot = self.bound.slot_of(name)?;
                if slot.is_test { Some("bool") } else { slot.fact.type_name(!slot.path.is_empty()) }
            }
            Expr::Literal(LiteralValue::String(_)) => Some("string"),
            Expr::Literal(LiteralValue::Boolean(_)) => Some("bool"),
            Expr::Literal(LiteralValue::Int(_)) => Some("int"),
            Expr::Call(call) => match (call.func_name.as_str(), call.args.as_slice()) {
                (operators::CONDITIONAL, [_, then, otherwise]) => {
                    self.type_of(then).filter(|one| self.type_of(otherwise) == Some(*one))
                }
                (name, _) if BOOLS.contains(&name) => Some("bool"),
                ("size" | "int", _) => Some("int"),
                ("string", _) => Some("string"),
                _ => None,
            },
            _ => None,
        }
    }
}

impl Purpose {
    /// Whether what is the same for every request is of use.
    fn check(self, value: &dyn Val) -> Result<(), String> {
        let type_name = value.get_type().name();
        let found = match self {
            _ if !self.takes(type_name) => return Err(self.refuse(type_name)),
            Self::Condition | Self::Key => return Ok(()),
            Self::Count => count_of(value),
            Self::Amount => amount_of(value),
        };
        match found {
            None => Err("a number of 0 or more is needed here".to_owned()),
            // What has cost nothing in the end is another matter: it was counted until then.
            Some(0) if self == Self::Count => Err("with a cost of 0 nothing is ever counted".to_owned()),
            Some(_) => Ok(()),
        }
    }

    /// Whether a value of this type may be of use.
    fn takes(self, type_name: &str) -> bool {
        let is_number = matches!(type_name, "int" | "uint" | "double");
        match self {
            Self::Condition => type_name == "bool",
            Self::Key => is_number || matches!(type_name, "bool" | "string"),
            Self::Count => is_number,
            Self::Amount => is_number || type_name == "string",
        }
    }

    fn refuse(self, type_name: &str) -> String {
        let needed = match self {
            Self::Condition => "true or false",
            Self::Key => "a text, a number, true or false",
            Self::Count | Self::Amount => "a number",
        };
        let make = if self == Self::Count && type_name == "string" {
            "; `int(…)` makes one of a text"
        } else {
            ""
        };
        format!("{needed} is needed here, and this is of the type {type_name}{make}")
    }
}

/// What answers whether something is so.
const BOOLS: &[&str] = &[
    operators::LOGICAL_AND,
    operators::LOGICAL_OR,
    operators::LOGICAL_NOT,
    operators::EQUALS,
    operators::NOT_EQUALS,
    operators::GREATER_EQUALS,
    operators::LESS_EQUALS,
    operators::GREATER,
    operators::LESS,
    operators::IN,
    "startsWith",
    "endsWith",
    "contains",
];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_is_never_of_use_is_told_and_nothing_else() {
        use Purpose::{Amount, Condition, Count, Key};
        for (text, purpose, is_of_use) in [
            ("true", Condition, true),
            ("5", Condition, false),
            ("'yes'", Condition, false),
            ("null", Condition, false),
            ("1 + 1", Condition, false),
            ("[1, 2].exists(n, n > 1)", Condition, true),
            ("'abc'.matches('b')", Condition, true),
            ("request.query.q", Condition, false),
            ("request.query", Condition, false),
            ("identity.claims.beta", Condition, true),
            ("'q' in request.query && request.query.q != ''", Condition, true),
            ("has(request.query.q)", Condition, true),
            ("request.size", Condition, false),
            ("1", Count, true),
            ("2.5", Count, true),
            ("0", Count, false),
            ("-1", Count, false),
            ("0.0 / 0.0", Count, false),
            ("1 / 0", Count, false),
            ("true", Count, false),
            ("'abc'", Count, false),
            ("'7'", Count, false),
            ("int('7')", Count, true),
            ("int('x')", Count, false),
            ("request.headers['x-cost']", Count, false),
            ("int(request.headers['x-cost'])", Count, true),
            ("request.method == 'GET'", Count, false),
            ("request.method == 'GET' ? 1 : 5", Count, true),
            ("request.method == 'GET' ? 'a' : 'b'", Count, false),
            ("request.method == 'GET' ? 0 : 5", Count, true),
            ("has(request.size) ? request.size / 1024 + 1 : 100", Count, true),
            ("size(identity.scopes)", Count, true),
            ("identity.scopes", Count, false),
            ("0", Amount, true),
            ("-1", Amount, false),
            ("'7'", Amount, true),
            ("'abc'", Amount, false),
            ("response.headers['x-tokens']", Amount, true),
            ("response.status >= 500", Amount, false),
            ("request.query.tenant", Key, true),
            ("request.query", Key, false),
            ("request.client_ip == '10.0.0.1'", Key, true),
            ("[1]", Key, false),
        ] {
            let found = Expression::compile(text).unwrap().check(purpose);
            assert_eq!(found.is_ok(), is_of_use, "{text} as {purpose:?}: {found:?}");
        }
    }
}
