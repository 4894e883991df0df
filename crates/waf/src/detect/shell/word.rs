//! Words as a shell sees them.

/// Longest word that can be a command.
const LONGEST_WORD: usize = 40;
/// Bytes read for one word.
const MOST_BYTES: usize = 512;

/// A word as a shell would see it once quotes and empty expansions are gone.
pub(super) struct Word {
    bytes: [u8; LONGEST_WORD],
    pub(super) length: usize,
    /// Where it ends in the text.
    pub(super) end: usize,
    /// Something within it was taken away.
    pub(super) is_hidden: bool,
    /// It stood in quotes as a whole.
    pub(super) is_quoted: bool,
    /// It had the path of a folder of programs before it.
    pub(super) has_path: bool,
}

impl Word {
    /// The word at `at`.
    pub(super) fn read(text: &[u8], at: usize) -> Self {
        let mut word = Self {
            bytes: [0; LONGEST_WORD],
            length: 0,
            end: at,
            is_hidden: false,
            is_quoted: false,
            has_path: false,
        };
        let start = at;
        let mut at = at;
        let mut quote_at = None;
        while let Some(&byte) = text.get(at).filter(|_| at - start < MOST_BYTES) {
            let next = text.get(at + 1).copied().unwrap_or(0);
            match byte {
                // `Group's`: a genitive.
                b'\'' if word.length > 0 && next == b's' && is_genitive(&text[at + 2..]) => break,
                b'\'' | b'"' => {
                    let is_edge = at == start || !is_command_byte(next);
                    if at == start {
                        quote_at = Some(byte);
                    }
                    // Between letters, or after another quote, it hides; at both ends it quotes.
                    let closes_early = quote_at == Some(byte) && at > start && is_command_byte(next);
                    word.is_hidden |= word.length > 0 && (!is_edge || closes_early);
                    at += 1;
                }
                b'\\' if is_command_byte(next) || next == b'\n' || next == b'\\' => {
                    word.is_hidden |= at > start || is_command_byte(next);
                    at += 1;
                }
                b'`' if next == b'`' => {
                    word.is_hidden = true;
                    at += 2;
                }
                b'$' if matches!(next, b'@' | b'*' | b'?' | b'$' | b'!' | b'_' | b'0'..=b'9')
                    && word.length > 0 =>
                {
                    word.is_hidden = true;
                    at += 2;
                }
                b'$' if next == b'{' || next == b'(' => {
                    let close = if next == b'{' { b'}' } else { b')' };
                    match text[at..].iter().take(24).position(|byte| *byte == close) {
                        Some(length) if word.length > 0 || length > 2 => {
                            word.is_hidden = true;
                            at += length + 1;
                        }
                        _ => break,
                    }
                }
                b'$' if next.is_ascii_alphabetic() && word.length > 0 => {
                    word.is_hidden = true;
                    at += 2;
                }
                b'[' if word.length > 0 && text.get(at + 2) == Some(&b']') => {
                    word.is_hidden = true;
                    word.push(next);
                    at += 3;
                }
                b'/' => {
                    let folder = word.word();
                    word.has_path = matches!(folder, b"bin" | b"sbin") || word.has_path;
                    word.length = 0;
                    at += 1;
                }
                byte if is_command_byte(byte) => {
                    if word.length == LONGEST_WORD {
                        break;
                    }
                    word.push(byte);
                    at += 1;
                }
                _ => break,
            }
        }
        word.end = at;
        word.is_quoted = quote_at.is_some() && !word.is_hidden;
        word
    }

    fn push(&mut self, byte: u8) {
        if self.length < LONGEST_WORD {
            self.bytes[self.length] = byte;
            self.length += 1;
        }
    }

    pub(super) fn word(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// Nothing but a blank or the end of a clause follows the `s`.
fn is_genitive(rest: &[u8]) -> bool {
    rest.first().is_none_or(|byte| byte.is_ascii_whitespace() || matches!(byte, b'.' | b',' | b'?'))
}

pub(super) fn is_command_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')
}
