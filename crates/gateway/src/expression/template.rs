//! Text with expressions in it: `Hello ${{ identity.user }}`.

use super::{Context, Expression, ExpressionFault, Roots, fault};

/// A compiled text.
#[derive(Debug)]
pub struct Template {
    pieces: Box<[Piece]>,
}

#[derive(Debug)]
enum Piece {
    Literal(Box<str>),
    Expression(Expression),
}

/// Expressions in one template.
pub const MAX_PIECES: usize = 64;

const OPEN: &str = "${{";
const CLOSE: &str = "}}";

impl Template {
    /// Compiles a text in which every `${{ … }}` is an expression.
    pub fn compile(text: &str) -> Result<Self, ExpressionFault> {
        Self::compile_for(text, Roots::ALL)
    }

    /// Compiles a text for a place where only some roots have values yet.
    pub fn compile_for(text: &str, allowed: Roots) -> Result<Self, ExpressionFault> {
        let mut pieces = Vec::new();
        let mut at = 0;
        while let Some(open) = text[at..].find(OPEN).map(|offset| at + offset) {
            if open > at {
                pieces.push(Piece::Literal(text[at..open].into()));
            }
            let start = open + OPEN.len();
            let Some(end) = expression_end(&text[start..]).map(|offset| start + offset) else {
                return Err(fault(open, "this `${{` is never closed by `}}`"));
            };
            if pieces.len() >= 2 * MAX_PIECES {
                return Err(fault(open, format!("a text has at most {MAX_PIECES} expressions")));
            }
            let expression = Expression::compile_for(&text[start..end], allowed)
                .map_err(|inner| fault(start + inner.offset, inner.message))?;
            pieces.push(Piece::Expression(expression));
            at = end + CLOSE.len();
        }
        if at < text.len() {
            pieces.push(Piece::Literal(text[at..].into()));
        }
        Ok(Self { pieces: pieces.into() })
    }

    /// The text itself, when there is no expression in it.
    pub fn literal(&self) -> Option<&str> {
        match &*self.pieces {
            [] => Some(""),
            [Piece::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// The expressions in it.
    pub fn expressions(&self) -> impl Iterator<Item = &Expression> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Literal(_) => None,
            Piece::Expression(expression) => Some(expression),
        })
    }

    /// Appends the text with every expression's value in its place. After an error `out` holds a part of it.
    pub fn render(&self, context: &Context<'_>, out: &mut String) -> Result<(), String> {
        for piece in &self.pieces {
            match piece {
                Piece::Literal(text) => out.push_str(text),
                Piece::Expression(expression) => out.push_str(&expression.evaluate_text(context)?),
            }
        }
        Ok(())
    }
}

/// Where the `}}` is that ends an expression: outside of its quotes and of its own braces.
fn expression_end(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut quote = None;
    let mut braces = 0_usize;
    let mut at = 0;
    while at < bytes.len() {
        match (bytes[at], quote) {
            (b'\\', Some(_)) => at += 1,
            (byte, Some(open)) if byte == open => quote = None,
            (byte @ (b'\'' | b'"'), None) => quote = Some(byte),
            (b'{', None) => braces += 1,
            (b'}', None) if braces > 0 => braces -= 1,
            (b'}', None) if bytes.get(at + 1) == Some(&b'}') => return Some(at),
            _ => {}
        }
        at += 1;
    }
    None
}
