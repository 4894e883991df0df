//! Pieces of SQL's grammar over tokens: operands, comparisons, what ends a value.

use super::token::{Kind, Token};
use super::words;

/// A value's tokens beside its text in small letters.
#[derive(Clone, Copy)]
pub(super) struct Sql<'a> {
    pub(super) text: &'a [u8],
    pub(super) list: &'a [Token],
}

/// What an operand was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operand {
    /// A word, which prose has too.
    Word,
    /// A number, a text, a variable, a call: prose has these seldom.
    Solid,
    /// A call or a bracket.
    Call,
    /// A text that is still open.
    Open,
}

impl<'a> Sql<'a> {
    pub(super) fn kind(&self, at: usize) -> Option<Kind> {
        self.list.get(at).map(|token| token.kind)
    }

    pub(super) fn is(&self, at: usize, kind: Kind) -> bool {
        self.kind(at) == Some(kind)
    }

    pub(super) fn word(&self, at: usize) -> &'a [u8] {
        self.list.get(at).map_or(b"", |token| &self.text[token.start..token.end])
    }

    /// An operand from `at`, and where it ends.
    pub(super) fn operand(&self, mut at: usize) -> Option<(Operand, usize)> {
        let first = at;
        // Signs and negations before it; each is consumed once.
        while at < first + 8
            && (self.is(at, Kind::Unary)
                || self.is(at, Kind::Quantifier)
                || self.is(at, Kind::Arith) && matches!(self.word(at), b"-" | b"+" | b"~" | b"*"))
        {
            at += 1;
        }
        let (what, mut end) = match self.kind(at)? {
            Kind::Number | Kind::Text | Kind::Variable | Kind::Constant => (Operand::Solid, at + 1),
            Kind::Open => (Operand::Open, at + 1),
            Kind::Function => (Operand::Call, self.closed(at + 1)),
            Kind::Left => (Operand::Call, self.closed(at)),
            Kind::Name => {
                let mut end = at + 1;
                while self.is(end, Kind::Dot)
                    && matches!(self.kind(end + 1), Some(Kind::Name | Kind::Function))
                {
                    end += 2;
                }
                if self.is(end, Kind::Left) && self.list[end].start == self.list[end - 1].end {
                    (Operand::Call, self.closed(end))
                } else {
                    (Operand::Word, end)
                }
            }
            Kind::Statement if self.is(at + 1, Kind::Left) => (Operand::Call, self.closed(at + 1)),
            Kind::Clause if self.word(at) == b"case" => (Operand::Call, self.list.len()),
            Kind::Bracket => (Operand::Word, at + 1),
            _ => return None,
        };
        let uncast = end;
        while self.is(end, Kind::Cast) && matches!(self.kind(end + 1), Some(Kind::Name | Kind::Function)) {
            end += 2;
        }
        Some((if end > uncast { Operand::Solid } else { what }, end))
    }

    /// Behind the bracket that closes the one at `at`, or the end.
    fn closed(&self, at: usize) -> usize {
        let mut depth = 0_usize;
        for (index, token) in self.list.iter().enumerate().skip(at) {
            match token.kind {
                Kind::Left => depth += 1,
                Kind::Right if depth <= 1 => return index + 1,
                Kind::Right => depth -= 1,
                _ => {}
            }
        }
        self.list.len()
    }

    /// Two operands with a comparison between; the second may be missing at the very end. Where it ends, and whether
    /// both are more than words.
    pub(super) fn comparison(&self, at: usize) -> Option<(Operand, Option<Operand>, usize)> {
        let (left, mut end) = self.operand(at)?;
        while self.is(end, Kind::Arith) {
            end = self.operand(end + 1)?.1;
        }
        let mut next = end;
        while matches!(self.kind(next), Some(Kind::Unary)) {
            next += 1;
        }
        if !self.is(next, Kind::Compare) {
            return None;
        }
        let mut after = next + 1;
        // `sounds like`, `is not`, `= =`.
        while matches!(self.kind(after), Some(Kind::Compare | Kind::Unary)) {
            after += 1;
        }
        match self.operand(after) {
            Some((right, end)) => Some((left, Some(right), end)),
            None => Some((left, None, after)),
        }
    }

    /// The same within any number of brackets that open before it.
    pub(super) fn inner_comparison(&self, at: usize) -> Option<(Operand, Option<Operand>, usize)> {
        let inner = at
            + self.list[at.min(self.list.len())..]
                .iter()
                .take_while(|token| token.kind == Kind::Left)
                .count();
        self.comparison(at).or_else(|| self.comparison(inner))
    }

    /// Whether the comparison operator at or after `at` is a sign, not a word such as LIKE or IN.
    pub(super) fn has_sign(&self, from: usize, to: usize) -> bool {
        (from..to.min(self.list.len())).any(|at| {
            self.is(at, Kind::Compare) && !self.word(at).first().is_some_and(u8::is_ascii_alphabetic)
        })
    }

    /// Whether a comparison by a word stands at `at` that prose would not have: `2 between 1 and 3`, `'a' like 'a'`,
    /// `f(x) is null`, `1 in (1)`.
    pub(super) fn is_word_comparison(&self, at: usize) -> bool {
        let Some((left, Some(right), end)) = self.inner_comparison(at) else { return false };
        let start = (at..self.list.len()).find(|at| !self.is(*at, Kind::Left)).unwrap_or(at);
        let is_call = left == Operand::Call && self.is(start, Kind::Function);
        // `name like char(37)`: text in numbers, which is not compared in prose.
        if left == Operand::Word && self.word(start + 1) == b"like" && self.is(start + 2, Kind::Function) {
            return self.list.get(start + 3).is_some_and(|bracket| bracket.start == self.list[start + 2].end);
        }
        if left != Operand::Solid && !is_call {
            return false;
        }
        let is_closed = matches!(right, Operand::Solid | Operand::Open);
        (start..end).filter(|at| self.is(*at, Kind::Compare)).any(|operator| match self.word(operator) {
            b"between" => {
                is_closed
                    && self.is(end, Kind::Logic)
                    && self.operand(end + 1).is_some_and(|(what, _)| what != Operand::Word)
            }
            b"in" => {
                self.is(operator + 1, Kind::Left)
                    && matches!(self.kind(operator + 2), Some(Kind::Number | Kind::Text | Kind::Select))
            }
            b"is" => self.is(end - 1, Kind::Constant) || is_closed && is_call,
            b"like" | b"rlike" | b"regexp" | b"glob" | b"ilike" | b"match" => {
                is_closed || right == Operand::Call
            }
            _ => false,
        })
    }

    /// Nothing more, but for brackets and semicolons.
    pub(super) fn is_end(&self, at: usize) -> bool {
        self.list[at.min(self.list.len())..]
            .iter()
            .all(|token| matches!(token.kind, Kind::Right | Kind::Semicolon))
    }

    /// Nothing more, or a comment that hides the rest of the query.
    pub(super) fn is_cut_or_end(&self, at: usize) -> bool {
        self.is_end(at) || self.is_cut(at)
    }

    /// A comment that hides the rest of the query: it is empty or begins the way that people write them there.
    pub(super) fn is_cut(&self, at: usize) -> bool {
        let mut at = at;
        while matches!(self.kind(at), Some(Kind::Right | Kind::Semicolon)) {
            at += 1;
        }
        if !self.is(at, Kind::Comment) {
            return false;
        }
        let body = self.word(at);
        let rest = if body.starts_with(b"#") { &body[1..] } else { &body[2..] };
        let rest = rest.trim_ascii();
        // `---` is a line.
        rest.len() <= 2 && !body.starts_with(b"---")
            || body.starts_with(b"/*")
            || rest.starts_with(b"/")
            || rest.starts_with(b"'")
    }

    /// Whether the very last token is such a comment.
    pub(super) fn ends_cut(&self) -> bool {
        self.list.len().checked_sub(1).is_some_and(|last| self.is(last, Kind::Comment) && self.is_cut(last))
    }

    /// SELECT with something behind it that is a list of columns, not prose. Where it stands is the caller's matter.
    pub(super) fn is_select(&self, at: usize) -> bool {
        let mut at = at + 1;
        while matches!(self.kind(at), Some(Kind::Unary | Kind::Quantifier)) {
            at += 1;
        }
        // TOP and how many.
        if self.word(at) == b"top" && self.is(at + 1, Kind::Number) {
            at += 2;
            if self.kind(at).is_none() {
                return true;
            }
        }
        let start = at;
        // Columns: each is an operand, perhaps with arithmetic and a name.
        for _ in 0..64 {
            if self.is(at, Kind::Arith) && self.word(at) == b"*" {
                at += 1;
            } else if let Some((what, end)) = self.operand(at) {
                if what == Operand::Call && self.is(at, Kind::Function) {
                    return true;
                }
                if self.is(at, Kind::Variable) && self.word(at).starts_with(b"@@") {
                    return true;
                }
                at = end;
            } else {
                return false;
            }
            if self.word(at) == b"as" || self.is(at, Kind::Name) {
                at += 1 + usize::from(self.word(at) == b"as");
            }
            if matches!(self.kind(at), Some(Kind::Comma | Kind::Arith)) || self.word(at) == b"||" {
                at += 1;
            } else {
                break;
            }
        }
        match self.kind(at) {
            Some(Kind::From) => self.is_table(at + 1) || self.kind(at + 1).is_none(),
            None | Some(Kind::Comment) => {
                let is_remark = self.is(start, Kind::Left)
                    && (start + 1..at.saturating_sub(1)).all(|at| self.is(at, Kind::Name));
                at > start + 1 && !is_remark
                    || matches!(self.kind(start), Some(Kind::Variable | Kind::Constant))
            }
            Some(Kind::Right) => self.list[start..at].iter().any(|token| token.kind != Kind::Name),
            _ => false,
        }
    }

    /// A table's name that prose would not have.
    pub(super) fn is_table(&self, at: usize) -> bool {
        match self.kind(at) {
            Some(Kind::Name) => !words::is_article(self.word(at)),
            Some(Kind::Left | Kind::Text | Kind::Function) => true,
            _ => false,
        }
    }
}
