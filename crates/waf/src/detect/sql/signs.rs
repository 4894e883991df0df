//! Values of signs with few letters or none: pieces that were cut from a query around its quotes, and fillings that are
//! tried to see what breaks.

/// A piece around one quote: `'=`, `'),1`, `'\\2x`, `>x##'.`.
pub(super) fn is_broken(text: &[u8]) -> bool {
    // All of these are short.
    if text.len() > 24 {
        return false;
    }
    is_quote_and_sign(text)
        || is_quote_and_number(text)
        || is_escape_behind_quote(text)
        || is_sign_before_quote(text)
        || matches!(text, [b'\'' | b'"', rest @ ..] if rest.len() > 1 && rest.trim_ascii_start() == b"-" && rest != b"-")
}

/// `^'`, `"'`, `'=`: nothing but signs with a quote among them, and no face.
fn is_quote_and_sign(text: &[u8]) -> bool {
    let is_quote = |byte: &&u8| b"'\"`".contains(byte);
    let Some(first) = text.iter().find(is_quote) else { return false };
    let is_mixed = text.iter().filter(is_quote).any(|quote| quote != first);
    let is_single = text.iter().filter(is_quote).count() == 1;
    // `>'<` is a face.
    let is_at_edge = [text.first(), text.last()].into_iter().flatten().any(|byte| is_quote(&byte));
    (2..=6).contains(&text.len())
        && is_at_edge
        && (is_mixed || is_single && text.iter().any(|byte| b"^=&|#%+\\*!<>{}@$".contains(byte)))
        && text.iter().all(|byte| b"'\"`^=&|#%+\\/*!<>{}@$".contains(byte))
}

/// `')1`, `'),(1`, `"!7`: a quote, signs that prose does not put there, and digits. Tables write `'+49`, `'-5`, `'12`.
fn is_quote_and_number(text: &[u8]) -> bool {
    let [quote @ (b'\'' | b'"'), first, rest @ ..] = text else { return false };
    let is_part = |byte: &u8| byte.is_ascii_digit() || (byte.is_ascii_punctuation() && byte != quote);
    let has_digit = rest.iter().any(u8::is_ascii_digit);
    b")~!@[{?;".contains(first) && text.len() <= 12 && has_digit && rest.iter().all(is_part)
}

/// `'\\2nq5`: what follows the quote is escaped, and nothing closes it.
fn is_escape_behind_quote(text: &[u8]) -> bool {
    let [b'\'' | b'"', b'\\', rest @ ..] = text else { return false };
    (1..=14).contains(&rest.len()) && rest.iter().all(u8::is_ascii_alphanumeric)
}

/// `>x##'.`: a sign, a word, signs and a quote.
fn is_sign_before_quote(text: &[u8]) -> bool {
    let [b'<' | b'>' | b'*' | b'%', rest @ ..] = text else { return false };
    let word = rest.iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
    let rest = &rest[word..];
    let signs = rest.iter().take_while(|byte| b"#;&|~^$@!=*%".contains(byte)).count();
    (1..=16).contains(&word)
        && (1..=4).contains(&signs)
        && matches!(rest[signs..], [b'\'' | b'"' | b'`', last] if !last.is_ascii_whitespace() && last != b'>')
}

/// Signs alone that no person and no program sends: several kinds of quotes mixed, or brackets within brackets.
pub(super) fn is_filling(text: &[u8]) -> bool {
    if text.len() < 6 || text.iter().any(|byte| !byte.is_ascii_punctuation()) {
        return false;
    }
    let count = |sign: u8| memchr::memchr_iter(sign, text).count();
    let (single, double, back) = (count(b'\''), count(b'"'), count(b'`'));
    let kinds = [single, double, back].iter().filter(|count| **count > 1).count();
    let (open, close) = (count(b'('), count(b')'));
    kinds > 1 && single + double + back > 4 || open > 3 && close > 3 && open + close == text.len()
}

/// A cookie of signs: servers set none such.
pub(super) fn is_odd_cookie(text: &[u8]) -> bool {
    let is_sign = |byte: &u8| b"!@#$%^&*~<>?".contains(byte);
    let is_run = |eight: &[u8]| b"~@#!$^*".contains(&eight[0]) && eight.iter().all(|byte| *byte == eight[0]);
    text.len() >= 3 && text.iter().all(is_sign) || text.windows(8).any(is_run)
}
