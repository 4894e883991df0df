//! A value as a database would read it: tokens, from outside of quotes or from within a quoted text.

/// Tokens read of one value; what comes later is not looked at. Injected SQL begins where the value begins.
const MOST_TOKENS: usize = 160;

/// What a token is to a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Number,
    /// A quoted text with its end.
    Text,
    /// A quoted text that is still open at the end: the query's own quote closes it.
    Open,
    Name,
    /// `@x`, `@@x`, `:x`.
    Variable,
    /// NULL, TRUE and other words that stand for a value.
    Constant,
    /// A known function's name before its bracket.
    Function,
    Compare,
    Arith,
    Logic,
    /// NOT, BINARY and others before a value.
    Unary,
    Union,
    Select,
    From,
    Quantifier,
    Statement,
    Clause,
    Left,
    Right,
    Comma,
    Semicolon,
    Dot,
    /// `::`.
    Cast,
    /// `--`, `#`, `/*` without its end.
    Comment,
    /// `[`, `]`, `{`, `}`.
    Bracket,
    Other,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// All tokens of a value, and what was noticed between them.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    pub(super) list: Vec<Token>,
    /// Comments that stood between words, where a space would do.
    pub(super) inline_comments: usize,
    /// `/*!`, whose content `MySQL` executes.
    pub(super) has_executed_comment: bool,
}

impl Tokens {
    /// Reads `text`, in small letters, from `start`.
    pub(super) fn read(&mut self, text: &[u8], start: usize) {
        self.list.clear();
        self.inline_comments = 0;
        self.has_executed_comment = false;
        let mut at = start;
        while at < text.len() && self.list.len() < MOST_TOKENS {
            at = self.token(text, at).max(at + 1);
        }
        for index in 0..self.list.len() {
            let token = self.list[index];
            let is_called = self.list.get(index + 1).is_some_and(|next| next.kind == Kind::Left);
            let is_word = matches!(
                token.kind,
                Kind::Name | Kind::Constant | Kind::Statement | Kind::Clause | Kind::Compare | Kind::Arith
            );
            if is_called && is_word && super::words::is_function(&text[token.start..token.end]) {
                self.list[index].kind = Kind::Function;
            }
        }
    }

    fn token(&mut self, text: &[u8], at: usize) -> usize {
        let next = text.get(at + 1).copied().unwrap_or(0);
        match text[at] {
            0..=b' ' | 0x7f => at + 1,
            b'\'' | b'"' | b'`' => self.quoted(text, at),
            b'0' if next == b'x' => {
                self.add(Kind::Number, at, at + 2 + count(&text[at + 2..], u8::is_ascii_hexdigit))
            }
            b'0'..=b'9' => self.number(text, at),
            b'.' if next.is_ascii_digit() => self.number(text, at),
            b'.' => self.add(Kind::Dot, at, at + 1),
            b'(' => self.add(Kind::Left, at, at + 1),
            b')' => self.add(Kind::Right, at, at + 1),
            b',' => self.add(Kind::Comma, at, at + 1),
            b';' => self.add(Kind::Semicolon, at, at + 1),
            b'[' | b']' | b'{' | b'}' => self.add(Kind::Bracket, at, at + 1),
            b'-' if next == b'-' => self.add(Kind::Comment, at, line_end(text, at)),
            b'#' if matches!(next, b'>' | b'-') => self.add(Kind::Compare, at, at + 2),
            b'#' => self.add(Kind::Comment, at, line_end(text, at)),
            b'/' if next == b'*' => self.comment(text, at),
            // The end of a comment that MySQL executes.
            b'*' if next == b'/' => at + 2,
            b'&' if next == b'&' => self.add(Kind::Logic, at, at + 2),
            b'|' if next == b'|' => self.add(Kind::Logic, at, at + 2),
            b'@' if matches!(next, b'>' | b'?') => self.add(Kind::Compare, at, at + 2),
            b'@' => self.variable(text, at),
            b':' if next == b':' => self.add(Kind::Cast, at, at + 2),
            b'-' if next == b'>' => {
                self.add(Kind::Compare, at, at + 2 + usize::from(text.get(at + 2) == Some(&b'>')))
            }
            b'<' | b'>' | b'=' | b'!' | b'~' | b'?' => self.operator(text, at),
            b'+' | b'-' | b'*' | b'/' | b'%' | b'^' | b'&' | b'|' => self.add(Kind::Arith, at, at + 1),
            b'a'..=b'z' | b'A'..=b'Z' | b'_' | b'$' | 0x80.. => self.word(text, at),
            _ => self.add(Kind::Other, at, at + 1),
        }
    }

    fn add(&mut self, kind: Kind, start: usize, end: usize) -> usize {
        self.list.push(Token { kind, start, end });
        end
    }

    /// A quoted text. Doubled quotes and those after a backslash belong to it; long runs of quotes are no SQL.
    fn quoted(&mut self, text: &[u8], start: usize) -> usize {
        let quote = text[start];
        if count(&text[start..], |byte| *byte == quote) > 4 {
            return self.add(Kind::Other, start, start + count(&text[start..], |byte| *byte == quote));
        }
        match closing(text, start + 1, quote) {
            Some(end) => {
                let is_name = quote == b'`';
                self.add(if is_name { Kind::Name } else { Kind::Text }, start, end + 1)
            }
            None => self.add(Kind::Open, start, text.len()),
        }
    }

    fn number(&mut self, text: &[u8], start: usize) -> usize {
        let mut end = start + count(&text[start..], |b| b.is_ascii_digit() || *b == b'.' || *b == b'_');
        if text.get(end) == Some(&b'e') {
            let sign = usize::from(matches!(text.get(end + 1), Some(b'+' | b'-')));
            let digits = count(&text[end + 1 + sign..], u8::is_ascii_digit);
            if digits > 0 || text[end - 1] == b'.' {
                end += 1 + if digits > 0 { sign + digits } else { 0 };
            }
        }
        // `10k`, `3d` and `2nd` are words of prose, not numbers before one.
        let letters = count(&text[end..], |b| b.is_ascii_alphabetic() || *b == b'_' || *b >= 0x80);
        let tail = &text[end..end + letters];
        if letters == 0
            || matches!(tail, b"or" | b"and" | b"union" | b"xor" | b"div" | b"mod" | b"like" | b"from")
        {
            return self.add(Kind::Number, start, end);
        }
        self.add(Kind::Name, start, end + letters + count(&text[end + letters..], |byte| is_word(*byte)))
    }

    fn word(&mut self, text: &[u8], start: usize) -> usize {
        let end = start + count(&text[start..], |byte| is_word(*byte));
        // A prefix before a quoted text: N'x', X'41', U&'x', _utf8'x'.
        let quote = text.get(end).is_some_and(|byte| matches!(byte, b'\'' | b'"'));
        if quote && end - start == 1 && matches!(text[start], b'n' | b'x' | b'b' | b'e' | b'q') {
            return end;
        }
        self.add(super::words::kind(&text[start..end]), start, end)
    }

    fn variable(&mut self, text: &[u8], start: usize) -> usize {
        let at = start + count(&text[start..], |byte| *byte == b'@').min(2);
        let length = count(&text[at..], |byte| is_word(*byte) || *byte == b'.');
        self.add(if length > 0 { Kind::Variable } else { Kind::Other }, start, at + length)
    }

    fn operator(&mut self, text: &[u8], start: usize) -> usize {
        let length = count(&text[start..], |b| {
            matches!(b, b'<' | b'>' | b'=' | b'!' | b'~' | b'?' | b'@' | b'&' | b'|')
        });
        let operator = &text[start..start + length.min(3)];
        // A question mark right behind a word asks something.
        if operator.starts_with(b"?") && (start == 0 || !text[start - 1].is_ascii_whitespace()) {
            return self.add(Kind::Other, start, start + 1);
        }
        match operator {
            b"~" => self.add(Kind::Arith, start, start + 1),
            b"!" | [b'!', b'!' | b'~', ..] => self.add(Kind::Unary, start, start + 1),
            b"<<" | b">>" => self.add(Kind::Arith, start, start + 2),
            // `=!x`, `=~x`.
            [b'=', b'!' | b'~' | b'@', ..] => self.add(Kind::Compare, start, start + 1),
            _ => self.add(Kind::Compare, start, start + operator.len()),
        }
    }

    fn comment(&mut self, text: &[u8], start: usize) -> usize {
        if matches!(text.get(start + 2), Some(b'!' | b'+')) {
            self.has_executed_comment = true;
            return start + 3 + count(&text[start + 3..], u8::is_ascii_digit);
        }
        match text[start + 2..].windows(2).position(|pair| pair == b"*/") {
            Some(length) => {
                let end = start + 2 + length + 2;
                let follows_word =
                    start > 0 && (is_word(text[start - 1]) || matches!(text[start - 1], b'\'' | b')'));
                if follows_word || text.get(end).copied().is_some_and(is_word) {
                    self.inline_comments += 1;
                }
                end
            }
            None => self.add(Kind::Comment, start, text.len()),
        }
    }
}

/// Where a quoted text that begins at `start` ends.
pub(super) fn closing(text: &[u8], start: usize, quote: u8) -> Option<usize> {
    let mut at = start;
    while at < text.len() {
        match text[at] {
            b'\\' => at += 2,
            byte if byte == quote && text.get(at + 1) == Some(&quote) => at += 2,
            byte if byte == quote => return Some(at),
            _ => at += 1,
        }
    }
    None
}

pub(super) fn count(text: &[u8], is_part: impl Fn(&u8) -> bool) -> usize {
    text.iter().take_while(|byte| is_part(byte)).count()
}

pub(super) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || byte >= 0x80
}

fn line_end(text: &[u8], start: usize) -> usize {
    start + count(&text[start..], |byte| *byte != b'\n')
}

#[cfg(test)]
mod tests {
    use super::Kind::{
        Arith, Comma, Comment, Compare, From, Function, Left, Logic, Name, Number, Open, Right, Select, Text,
        Union, Variable,
    };
    use super::*;

    #[test]
    fn values_are_read_as_a_database_would() {
        const CASES: [(&str, &[Kind]); 8] = [
            ("1 or 1=1", &[Number, Logic, Number, Compare, Number]),
            ("1or 1", &[Number, Logic, Number]),
            ("union/**/select", &[Union, Select]),
            ("'a' || @@version", &[Text, Logic, Variable]),
            ("char (113),'open", &[Function, Left, Number, Right, Comma, Open]),
            ("/*!50000select*/ 1 from", &[Select, Number, From]),
            ("a<=>b - 0x1f -- x", &[Name, Compare, Name, Arith, Number, Comment]),
            ("'it''s' '\\''", &[Text, Text]),
        ];
        let mut tokens = Tokens::default();
        for (text, expected) in CASES {
            tokens.read(text.as_bytes(), 0);
            let kinds: Vec<Kind> = tokens.list.iter().map(|token| token.kind).collect();
            assert_eq!(kinds, expected, "{text}");
        }
    }
}
