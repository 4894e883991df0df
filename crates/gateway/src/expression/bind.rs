//! Binds a parsed expression: every member that it speaks of becomes a slot, every literal pattern a compiled
//! regular expression, every comprehension counts its steps, and what is unknown is a fault.
//!
//! `request.headers['x-tenant'] == params.id` becomes `@0 == @1`. Names that begin with `@` cannot be written.

use cel::IdedExpr;
use cel::common::ast::{CallExpr, EntryExpr, Expr, LiteralValue, SelectExpr, SourceInfo, operators};
use cel::common::types::CelBool;
use regex::RegexBuilder;

use super::context::Pattern;
use super::members::{self, Fact, Shape};
use super::{ExpressionFault, Roots, closest, fault};

/// What binding found out.
#[derive(Debug, Default)]
pub(super) struct Bound {
    pub(super) slots: Vec<Slot>,
    pub(super) patterns: Vec<Pattern>,
}

/// One thing that the expression looks up.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) fact: Fact,
    /// The members of the fact that lead to it.
    pub(super) path: Vec<String>,
    /// Whether the expression asks if it is there, not what it is.
    pub(super) is_test: bool,
}

/// Comprehensions (`all`, `exists`, `map` …) inside each other.
pub const MAX_COMPREHENSIONS: usize = 2;
/// Regular expressions in one expression.
pub const MAX_REGEXES: usize = 16;
/// Bytes that one of them may take.
const MAX_PROGRAM: usize = 256 * 1024;
/// Depth of the tree.
const MAX_DEPTH: usize = 32;

/// The name under which the evaluation counts a step of a comprehension.
pub(super) const STEP: &str = "@step";

/// The functions of the language.
const FUNCTIONS: &[&str] = &[
    "bool",
    "bytes",
    "charAt",
    "contains",
    "double",
    "dyn",
    "endsWith",
    "indexOf",
    "int",
    "join",
    "lastIndexOf",
    "lowerAscii",
    "matches",
    "replace",
    "size",
    "split",
    "startsWith",
    "string",
    "substring",
    "trim",
    "type",
    "uint",
    "upperAscii",
];
const MACROS: &[&str] = &["has", "all", "exists", "exists_one", "map", "filter"];
const OPERATORS: &[&str] = &[
    operators::CONDITIONAL,
    operators::LOGICAL_AND,
    operators::LOGICAL_OR,
    operators::LOGICAL_NOT,
    operators::SUBSTRACT,
    operators::ADD,
    operators::MULTIPLY,
    operators::DIVIDE,
    operators::MODULO,
    operators::EQUALS,
    operators::NOT_EQUALS,
    operators::GREATER_EQUALS,
    operators::LESS_EQUALS,
    operators::GREATER,
    operators::LESS,
    operators::NEGATE,
    operators::INDEX,
    operators::NOT_STRICTLY_FALSE,
    operators::IN,
];
/// Types that an expression may name, as in `type(x) == string`.
const TYPES: &[&str] =
    &["bool", "bytes", "double", "int", "list", "map", "null_type", "string", "type", "uint"];

impl Bound {
    /// Rewrites the tree and returns what it refers to.
    pub(super) fn bind(
        tree: &mut IdedExpr,
        text: &str,
        source: &SourceInfo,
        allowed: Roots,
    ) -> Result<Self, ExpressionFault> {
        let mut binder = Binder {
            text,
            source,
            allowed,
            bound: Self::default(),
            locals: Vec::new(),
            comprehensions: 0,
            depth: 0,
        };
        binder.expression(tree)?;
        Ok(binder.bound)
    }

    pub(super) fn roots(&self) -> Roots {
        self.slots.iter().fold(Roots::NONE, |roots, slot| roots.with(slot.fact.root()))
    }

    pub(super) fn param_names(&self) -> impl Iterator<Item = &str> {
        self.slots
            .iter()
            .filter(|slot| slot.fact == Fact::Params)
            .filter_map(|slot| slot.path.first())
            .map(String::as_str)
    }

    pub(super) fn needs_body(&self) -> bool {
        self.slots.iter().any(|slot| slot.fact == Fact::Body)
    }

    pub(super) fn needs_answer(&self) -> bool {
        self.slots.iter().any(|slot| slot.fact == Fact::ResponseBody)
    }

    /// What the evaluation calls `name`.
    pub(super) fn slot_of(&self, name: &str) -> Option<&Slot> {
        self.slots.get(name.strip_prefix('@')?.parse::<usize>().ok()?)
    }

    /// How the expression's author writes what the evaluation calls `name`.
    pub(super) fn written(&self, name: &str) -> Option<String> {
        let slot = self.slot_of(name)?;
        let mut text = members::written(slot.fact);
        for member in &slot.path {
            text.push('.');
            text.push_str(member);
        }
        Some(text)
    }

    fn slot(&mut self, slot: Slot) -> Expr {
        let at = self.slots.iter().position(|known| *known == slot).unwrap_or_else(|| {
            self.slots.push(slot);
            self.slots.len() - 1
        });
        Expr::Ident(format!("@{at}"))
    }
}

struct Binder<'a> {
    text: &'a str,
    source: &'a SourceInfo,
    allowed: Roots,
    bound: Bound,
    /// Variables of the macros around.
    locals: Vec<String>,
    comprehensions: usize,
    depth: usize,
}

/// A root and the members after it, as far as they are constant.
struct Chain {
    root: String,
    members: Vec<(String, u64)>,
    id: u64,
}

impl Binder<'_> {
    fn expression(&mut self, node: &mut IdedExpr) -> Result<(), ExpressionFault> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(fault(self.offset(node.id), format!("an expression nests at most {MAX_DEPTH} deep")));
        }
        if let Some(chain) = self.chain(node) {
            let is_test = matches!(&node.expr, Expr::Select(select) if select.test);
            node.expr = self.member(chain, is_test)?;
        } else {
            self.inside(node)?;
        }
        self.depth -= 1;
        Ok(())
    }

    fn inside(&mut self, node: &mut IdedExpr) -> Result<(), ExpressionFault> {
        let id = node.id;
        match &mut node.expr {
            Expr::Call(call) => {
                self.call(id, call)?;
                if call.func_name == "matches" {
                    node.expr = self.pattern(id, call)?;
                } else if call.func_name == operators::IN
                    && let Some(test) = self.key_test(call)
                {
                    node.expr = test;
                }
            }
            Expr::Comprehension(comprehension) => {
                if self.comprehensions == MAX_COMPREHENSIONS {
                    let message = format!("at most {MAX_COMPREHENSIONS} of `all`, `exists`, `map` … nest");
                    return Err(fault(self.offset(id), message));
                }
                self.expression(&mut comprehension.iter_range)?;
                self.expression(&mut comprehension.accu_init)?;
                let outer = self.locals.len();
                self.locals.push(comprehension.accu_var.clone());
                self.locals.push(comprehension.iter_var.clone());
                self.locals.extend(comprehension.iter_var2.clone());
                self.comprehensions += 1;
                self.expression(&mut comprehension.loop_cond)?;
                self.expression(&mut comprehension.loop_step)?;
                self.expression(&mut comprehension.result)?;
                self.comprehensions -= 1;
                self.locals.truncate(outer);
                let accumulator = comprehension.accu_var.clone();
                count_steps(&mut comprehension.loop_cond, &mut comprehension.loop_step, &accumulator);
            }
            Expr::Ident(name) => {
                if !self.locals.contains(name) && !TYPES.contains(&name.as_str()) {
                    let message =
                        self.dashed(id).unwrap_or_else(|| members::unknown_root(name, &self.locals));
                    return Err(fault(self.offset(id), message));
                }
            }
            Expr::Select(select) => self.expression(&mut select.operand)?,
            Expr::List(list) => list.elements.iter_mut().try_for_each(|element| self.expression(element))?,
            Expr::Map(map) => {
                for entry in &mut map.entries {
                    if let EntryExpr::MapEntry(entry) = &mut entry.expr {
                        self.expression(&mut entry.key)?;
                        self.expression(&mut entry.value)?;
                    }
                }
            }
            Expr::Struct(_) => {
                return Err(fault(self.offset(id), "messages cannot be made in an expression"));
            }
            Expr::Literal(_) => {}
            Expr::Unspecified => return Err(fault(self.offset(id), "this is not an expression")),
        }
        Ok(())
    }

    fn call(&mut self, id: u64, call: &mut CallExpr) -> Result<(), ExpressionFault> {
        let name = call.func_name.as_str();
        if !OPERATORS.contains(&name) && !FUNCTIONS.contains(&name) {
            let message = if MACROS.contains(&name) {
                format!("`{name}` is used with other arguments than it takes")
            } else {
                match closest(name, FUNCTIONS.iter().chain(MACROS).copied()) {
                    Some(near) => format!("there is no function `{name}`; did you mean `{near}`?"),
                    None => format!("there is no function `{name}`"),
                }
            };
            return Err(fault(self.offset(id), message));
        }
        if let Some(target) = &mut call.target {
            self.expression(target)?;
        }
        call.args.iter_mut().try_for_each(|argument| self.expression(argument))
    }

    /// The root and the constant members that a node spells, when it spells any.
    fn chain(&self, node: &IdedExpr) -> Option<Chain> {
        let mut members = Vec::new();
        let mut at = node;
        loop {
            match &at.expr {
                Expr::Ident(name) => {
                    if !members::is_root(name) || self.locals.contains(name) {
                        return None;
                    }
                    members.reverse();
                    return Some(Chain { root: name.clone(), members, id: at.id });
                }
                // Only the last member can be a test: `has(a.b).c` is none.
                Expr::Select(SelectExpr { operand, field, test }) if !test || std::ptr::eq(at, node) => {
                    members.push((field.clone(), at.id));
                    at = operand;
                }
                Expr::Call(CallExpr { func_name, target: None, args }) if func_name == operators::INDEX => {
                    let [operand, index] = args.as_slice() else { return None };
                    members.push((literal_text(index)?.to_owned(), at.id));
                    at = operand;
                }
                _ => return None,
            }
        }
    }

    /// The slot of a chain.
    fn member(&mut self, chain: Chain, is_test: bool) -> Result<Expr, ExpressionFault> {
        let Chain { root, mut members, id } = chain;
        if let Some(message) = self.dashed(id) {
            return Err(fault(self.offset(id), message));
        }
        let fact = match Fact::of_root(&root) {
            Some(fact) => fact,
            None if members.is_empty() => return Err(fault(self.offset(id), members::bare_root(&root))),
            None => {
                let (member, member_id) = members.remove(0);
                Fact::of_member(&root, &member)
                    .ok_or_else(|| fault(self.offset(member_id), members::unknown_member(&root, &member)))?
            }
        };
        if !self.allowed.has(fact.root()) {
            let message = format!("`{}` is not known yet where this is evaluated", members::written(fact));
            return Err(fault(self.offset(id), message));
        }
        let shape = fact.shape();
        let too_deep = match shape {
            Shape::Plain => members.first(),
            Shape::Texts { .. } => members.get(1),
            Shape::Json => None,
        };
        if let Some((member, member_id)) = too_deep {
            let message = format!("`{}` has no members, so there is no `{member}`", members::written(fact));
            return Err(fault(self.offset(*member_id), message));
        }
        let lower_case = shape == Shape::Texts { lower_case: true };
        let path = members
            .into_iter()
            .map(|(member, _)| if lower_case { member.to_ascii_lowercase() } else { member })
            .collect();
        Ok(self.bound.slot(Slot { fact, path, is_test }))
    }

    /// `'x' in request.headers` asks about one header, so the whole map is not needed.
    fn key_test(&mut self, call: &CallExpr) -> Option<Expr> {
        let [key, container] = call.args.as_slice() else { return None };
        let key = literal_text(key)?;
        let Expr::Ident(name) = &container.expr else { return None };
        let slot = self.bound.slot_of(name)?;
        let Shape::Texts { lower_case } = slot.fact.shape() else { return None };
        if slot.is_test || !slot.path.is_empty() {
            return None;
        }
        let key = if lower_case { key.to_ascii_lowercase() } else { key.to_owned() };
        let test = Slot { fact: slot.fact, path: vec![key], is_test: true };
        Some(self.bound.slot(test))
    }

    /// `text.matches('…')` becomes `text in @p0`, whose pattern is compiled here and now.
    fn pattern(&mut self, id: u64, call: &mut CallExpr) -> Result<Expr, ExpressionFault> {
        let text = match (call.target.take(), call.args.len()) {
            (Some(target), 1) => *target,
            (None, 2) => call.args.remove(0),
            _ => return Err(fault(self.offset(id), "`matches` takes a text and a pattern")),
        };
        let Some(mut argument) = call.args.pop() else {
            return Err(fault(self.offset(id), "`matches` takes a text and a pattern"));
        };
        let Some(written) = literal_text(&argument) else {
            let message = "the pattern of `matches` is written out: it cannot come from a value";
            return Err(fault(self.offset(argument.id), message));
        };
        if self.bound.patterns.len() == MAX_REGEXES {
            let message = format!("an expression has at most {MAX_REGEXES} patterns");
            return Err(fault(self.offset(argument.id), message));
        }
        let regex =
            RegexBuilder::new(written).size_limit(MAX_PROGRAM).dfa_size_limit(MAX_PROGRAM).build().map_err(
                |_| fault(self.offset(argument.id), "this is not a regular expression, or too big a one"),
            )?;
        argument.expr = Expr::Ident(format!("@p{}", self.bound.patterns.len()));
        self.bound.patterns.push(Pattern(regex));
        Ok(Expr::Call(CallExpr {
            func_name: operators::IN.to_owned(),
            target: None,
            args: vec![text, argument],
        }))
    }

    /// The complaint about a name that begins behind a `-` which belongs to a longer one.
    fn dashed(&self, id: u64) -> Option<String> {
        members::dashed(self.text, self.offset(id))
    }

    /// Where a node begins in the text.
    fn offset(&self, id: u64) -> usize {
        let start = self.source.offset_for(id).map_or(0, |(start, _)| start as usize);
        start.min(self.text.len())
    }
}

fn literal_text(node: &IdedExpr) -> Option<&str> {
    match &node.expr {
        Expr::Literal(LiteralValue::String(text)) => Some(text.inner()),
        _ => None,
    }
}

/// Makes every step of a comprehension count. Loops that gather a list (`map`, `filter`) are recognised by
/// the evaluation by their shape, which is kept: `@result + [x]`, bare or as a conditional's first branch.
fn count_steps(condition: &mut IdedExpr, step: &mut IdedExpr, accumulator: &str) {
    let counter = || node(Expr::Ident(STEP.to_owned()));
    let conditional = |test: IdedExpr, then: IdedExpr, otherwise: IdedExpr| {
        let args = vec![test, then, otherwise];
        node(Expr::Call(CallExpr { func_name: operators::CONDITIONAL.to_owned(), target: None, args }))
    };
    let never = || node(Expr::Literal(LiteralValue::Boolean(CelBool::from(false))));
    if !matches!(condition.expr, Expr::Literal(_)) {
        let inner = std::mem::take(condition);
        *condition = conditional(counter(), inner, never());
        return;
    }
    match &mut step.expr {
        Expr::Call(CallExpr { func_name, target: None, args }) if func_name == operators::CONDITIONAL => {
            let guard = std::mem::take(&mut args[0]);
            args[0] = conditional(counter(), guard, never());
        }
        _ => {
            let inner = std::mem::take(step);
            *step = conditional(counter(), inner, node(Expr::Ident(accumulator.to_owned())));
        }
    }
}

fn node(expr: Expr) -> IdedExpr {
    IdedExpr { id: 0, expr }
}
