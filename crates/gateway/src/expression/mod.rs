//! CEL expressions, compiled at load: `when`, keys, templates.
//!
//! A compiled expression knows which members of the request it speaks of. Each became a numbered slot, and
//! only those slots that the evaluation really reaches are looked up, borrowed where that is possible.
//! Everything is bounded: the text and its nesting at load, the steps of comprehensions at run time.

mod bind;
mod context;
mod members;
mod purpose;
mod template;

use std::fmt;
use std::panic::catch_unwind;
use std::sync::{Arc, LazyLock};
use std::thread;

use cel::common::types::{CelBool, CelDouble, CelInt, CelString, CelUInt};
use cel::common::value::{CowVal, Val};
use cel::{Env, ExecutionError, IdedExpr, ParseErrors, Value};

pub use bind::{MAX_COMPREHENSIONS, MAX_REGEXES};
pub use context::{Context, IdentityFacts, MAX_STEPS, MAX_VALUES, ResponseFacts};
pub use members::{Root, Roots};
pub use purpose::Purpose;
pub use template::{MAX_PIECES, Template};

use bind::Bound;
use context::Facts;

/// A compiled expression.
#[derive(Debug)]
pub struct Expression {
    text: Box<str>,
    tree: IdedExpr,
    bound: Bound,
}

/// What is wrong with an expression, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ExpressionFault {
    /// Byte offset in the expression's text.
    pub offset: usize,
    /// A sentence for the operator.
    pub message: String,
}

/// Bytes of an expression.
pub const MAX_TEXT: usize = 4096;
/// Punctuation of all kinds, also in quotes: operators, dots and brackets are what makes a tree deep.
pub const MAX_OPERATORS: usize = 384;

/// Up to so many operators an expression is parsed on the thread at hand.
const SHALLOW: usize = 24;
/// Bytes of stack for all others.
const PARSER_STACK: usize = 16 * 1024 * 1024;

/// The language: CEL's standard library and macros, and the string functions `lowerAscii`, `upperAscii`,
/// `trim`, `split`, `substring`, `indexOf`, `lastIndexOf`, `charAt`, `replace`, `join`. Never changes.
static LANGUAGE: LazyLock<Arc<Env>> = LazyLock::new(|| {
    let mut env = Env::stdlib().with_optional_support(false);
    // Fails only for functions that are there already, and these are not.
    let added = env.add_extension(cel::extensions::strings);
    debug_assert!(added.is_ok());
    Arc::new(env)
});

impl Expression {
    /// Compiles an expression that may speak of everything.
    pub fn compile(text: &str) -> Result<Self, ExpressionFault> {
        Self::compile_for(text, Roots::ALL)
    }

    /// Compiles an expression for a place where only some roots have values yet.
    pub fn compile_for(text: &str, allowed: Roots) -> Result<Self, ExpressionFault> {
        // The parser is generated code; should it panic on some text, that text is no expression.
        let parse = || catch_unwind(|| Self::parse(text, allowed));
        let parsed = if check_bounds(text)? <= SHALLOW {
            parse()
        } else {
            // The parser takes a few KiB of stack an operator, which is more than any thread here must have.
            thread::scope(|scope| {
                let thread = thread::Builder::new().stack_size(PARSER_STACK).spawn_scoped(scope, parse);
                thread.map_or_else(
                    |error| Ok(Err(fault(0, error.to_string()))),
                    |thread| thread.join().flatten(),
                )
            })
        };
        parsed.unwrap_or_else(|_| Err(fault(0, "this is not an expression")))
    }

    fn parse(text: &str, allowed: Roots) -> Result<Self, ExpressionFault> {
        let (mut tree, source) =
            LANGUAGE.parser().parse_with_source_info(text).map_err(|errors| syntax_fault(text, &errors))?;
        let bound = Bound::bind(&mut tree, text, &source, allowed)?;
        Ok(Self { text: text.into(), tree, bound })
    }

    /// The text as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The roots that it speaks of.
    pub fn roots(&self) -> Roots {
        self.bound.roots()
    }

    /// The names of the path parameters that it speaks of, for a check against the route's template.
    pub fn param_names(&self) -> impl Iterator<Item = &str> {
        self.bound.param_names()
    }

    /// Whether it needs the request's body.
    pub fn needs_body(&self) -> bool {
        self.bound.needs_body()
    }

    /// Whether it needs the answer's body.
    pub fn needs_answer(&self) -> bool {
        self.bound.needs_answer()
    }

    /// Whether it holds. An error and an answer that is no bool are `Err` with a sentence: for a condition
    /// the caller counts it and treats it as not holding.
    pub fn matches(&self, context: &Context<'_>) -> Result<bool, String> {
        self.evaluate(Some(context), |value| match value.downcast_ref::<CelBool>() {
            Some(answer) => Ok(*answer.inner()),
            None => Err(format!("it is of the type {}, not bool", value.get_type().name())),
        })
    }

    /// Its value as text: a string as it is, numbers and bools as they are written.
    pub fn evaluate_text(&self, context: &Context<'_>) -> Result<String, String> {
        self.evaluate(Some(context), |value| {
            text_of(value).ok_or_else(|| {
                format!("it is of the type {}, not a text, number or bool", value.get_type().name())
            })
        })
    }

    /// Its value as a count: a number that is not negative, rounded up.
    pub fn evaluate_count(&self, context: &Context<'_>) -> Result<u64, String> {
        self.evaluate(Some(context), |value| {
            count_of(value).ok_or_else(|| {
                format!("it is of the type {}, or negative, and not a count", value.get_type().name())
            })
        })
    }

    /// Its value as a count, where a text that is a number counts as one: what fields of a message say is text.
    pub fn evaluate_amount(&self, context: &Context<'_>) -> Result<u64, String> {
        self.evaluate(Some(context), |value| {
            amount_of(value).ok_or_else(|| {
                format!("it is of the type {}, or negative, and not an amount", value.get_type().name())
            })
        })
    }

    /// Without a context nothing has a value but what the expression itself spells.
    fn evaluate<T>(
        &self,
        context: Option<&Context<'_>>,
        read: impl FnOnce(&dyn Val) -> Result<T, String>,
    ) -> Result<T, String> {
        let facts = Facts::new(&self.bound, context);
        let mut cel = cel::Context::with_env(LANGUAGE.clone());
        cel.set_variable_resolver(&facts);
        match Value::resolve_val(&self.tree, &cel) {
            Ok(CowVal::Borrowed(value)) => read(value),
            Ok(CowVal::Owned(value)) => read(&*value),
            Err(error) => Err(self.explain(&error, &facts)),
        }
    }

    /// The error in the words of the expression's own text.
    fn explain(&self, error: &ExecutionError, facts: &Facts<'_>) -> String {
        if facts.ran_out() {
            return format!("it took more than {MAX_STEPS} steps");
        }
        match error {
            ExecutionError::UndeclaredReference(name) => match self.bound.written(name) {
                Some(written) => format!("`{written}` is absent"),
                None => format!("`{name}` is unknown"),
            },
            ExecutionError::NoSuchKey(name) => format!("there is no `{name}`"),
            other => bounded(&other.to_string()),
        }
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

/// The known name nearest to a misspelt one, when it is near enough to be meant.
pub(crate) fn closest<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let near =
        |other: &str| strsim::damerau_levenshtein(&name.to_ascii_lowercase(), &other.to_ascii_lowercase());
    known
        .map(|other| (near(other), other))
        .filter(|(distance, other)| *distance <= 1 + other.len().min(name.len()) / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, other)| other)
}

fn fault(offset: usize, message: impl Into<String>) -> ExpressionFault {
    ExpressionFault { offset, message: message.into() }
}

/// Counts what can make a tree deep, and refuses too much of it before anything recursive sees the text. What
/// stands in quotes counts too: to know what is quoted would take a parser.
fn check_bounds(text: &str) -> Result<usize, ExpressionFault> {
    if text.len() > MAX_TEXT {
        return Err(fault(MAX_TEXT, format!("an expression has at most {MAX_TEXT} bytes")));
    }
    if text.trim().is_empty() {
        return Err(fault(0, "an expression is missing"));
    }
    let mut operators =
        text.bytes().enumerate().filter(|(_, byte)| byte.is_ascii_punctuation() && *byte != b'_');
    let count = operators.by_ref().take(MAX_OPERATORS).count();
    match operators.next() {
        Some((at, _)) => Err(fault(at, format!("an expression has at most {MAX_OPERATORS} operators"))),
        None => Ok(count),
    }
}

fn syntax_fault(text: &str, errors: &ParseErrors) -> ExpressionFault {
    let Some(error) = errors.errors.first() else { return fault(0, "this is not an expression") };
    let (line, column) = error.pos;
    let line = usize::try_from(line - 1).unwrap_or(0);
    let column = usize::try_from(column - 1).unwrap_or(0);
    let line_start: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
    let rest = text.get(line_start..).unwrap_or_default();
    let offset = line_start + rest.char_indices().nth(column).map_or(rest.len(), |(at, _)| at);
    let reason = bounded(error.msg.trim().trim_start_matches("Syntax error: "));
    fault(offset, format!("this is not an expression: {reason}"))
}

/// A message that holds a value of the request, cut to what a log line bears.
fn bounded(message: &str) -> String {
    const MAX_MESSAGE: usize = 200;
    match message.char_indices().nth(MAX_MESSAGE) {
        Some((end, _)) => format!("{}…", &message[..end]),
        None => message.to_owned(),
    }
}

fn text_of(value: &dyn Val) -> Option<String> {
    if let Some(text) = value.downcast_ref::<CelString<'_>>() {
        return Some(text.inner().to_owned());
    }
    if let Some(number) = value.downcast_ref::<CelInt>() {
        return Some(number.inner().to_string());
    }
    if let Some(number) = value.downcast_ref::<CelUInt>() {
        return Some(number.inner().to_string());
    }
    if let Some(number) = value.downcast_ref::<CelDouble>() {
        return Some(number.inner().to_string());
    }
    value.downcast_ref::<CelBool>().map(|answer| answer.inner().to_string())
}

fn count_of(value: &dyn Val) -> Option<u64> {
    if let Some(number) = value.downcast_ref::<CelInt>() {
        return u64::try_from(*number.inner()).ok();
    }
    if let Some(number) = value.downcast_ref::<CelDouble>() {
        let number = number.inner().ceil();
        return (number >= 0.0).then_some(number as u64);
    }
    value.downcast_ref::<CelUInt>().map(|number| *number.inner())
}

fn amount_of(value: &dyn Val) -> Option<u64> {
    let written = || value.downcast_ref::<CelString<'_>>().and_then(|text| amount(text.inner()));
    count_of(value).or_else(written)
}

/// A number as people write it, rounded up: digits, and perhaps a fraction.
fn amount(text: &str) -> Option<u64> {
    let text = text.trim();
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let number: f64 = text.parse().ok().filter(|_| is_plain)?;
    text.parse().ok().or(Some(number.ceil() as u64))
}

#[cfg(test)]
mod tests;
