//! The lines of a head: where it ends, and what is wrong with it when it is refused.
//!
//! `httparse` decides what the lines say; it takes a bare LF for a line's end, so what it accepted is checked
//! again here, and what it refused is named here.

use std::mem::MaybeUninit;
use std::ops::Range;

use httparse::Header;
use memchr::memchr;

use crate::fields::{is_space, is_token_byte};
use crate::head::MOST_FIELDS;
use crate::{Limits, SyntaxFault, is_field_value};

/// Room for the fields of one head, on the stack.
pub(crate) type HeaderRoom<'a> = [MaybeUninit<Header<'a>>; MOST_FIELDS];

/// Finds the end of the head whose first line begins at `start`: the index after the empty line. `None` when
/// it has not come; then `scanned` says how far it was searched. Refuses on the way what can never become a
/// head.
pub(crate) fn find_end(
    bytes: &[u8],
    start: usize,
    scanned: &mut usize,
    limits: &Limits,
) -> Result<Option<usize>, SyntaxFault> {
    let reach = &bytes[start..bytes.len().min(start.saturating_add(limits.line).saturating_add(2))];
    if memchr(b'\n', reach).is_none() && reach.len() >= limits.line.saturating_add(2) {
        return Err(SyntaxFault::LineTooLong);
    }
    let from = start.max(*scanned);
    let mut lines = None;
    for position in from..bytes.len().min(limits.head) {
        let before = if position > start { bytes[position - 1] } else { 0 };
        match bytes[position] {
            b'\n' if before != b'\r' => return Err(SyntaxFault::BareLineFeed),
            // The CR before this LF directly follows the LF of the line before.
            b'\n' if position >= start + 2 && bytes[position - 2] == b'\n' => return Ok(Some(position + 1)),
            b'\n' => {
                let lines =
                    lines.get_or_insert_with(|| memchr::memchr_iter(b'\n', &bytes[start..from]).count());
                *lines += 1;
                // The first line is not a field.
                if *lines > limits.fields() + 1 {
                    return Err(SyntaxFault::TooManyFields);
                }
            }
            _ if before == b'\r' => return Err(SyntaxFault::BareCarriageReturn),
            0 => return Err(SyntaxFault::Nul),
            _ => {}
        }
    }
    if bytes.len() >= limits.head {
        return Err(SyntaxFault::HeadTooLarge);
    }
    *scanned = bytes.len();
    Ok(None)
}

/// Whether the field lines that `httparse` found make up `text` together with the empty line, and each ends
/// in CRLF.
pub(crate) fn ends_are_strict(text: &[u8], headers: &[Header<'_>]) -> bool {
    let mut line_start = 0;
    for header in headers {
        // That each line begins where the one before ended also shows that httparse skipped nothing.
        if offset(text, header.name.as_bytes()) != line_start {
            return false;
        }
        let value = range(text, header.value);
        let mut end = value.end;
        while text.get(end).is_some_and(|byte| is_space(*byte)) {
            end += 1;
        }
        if text.get(end..end + 2) != Some(b"\r\n") {
            return false;
        }
        line_start = end + 2;
    }
    text.get(line_start..) == Some(b"\r\n")
}

/// Where `part`, which is a piece of `text`, stands in it.
pub(crate) fn range(text: &[u8], part: &[u8]) -> Range<usize> {
    let start = offset(text, part);
    start..start + part.len()
}

fn offset(text: &[u8], part: &[u8]) -> usize {
    part.as_ptr().addr() - text.as_ptr().addr()
}

/// What is wrong with the field lines of a head whose line ends are right; `None` if nothing is.
pub(crate) fn find_fault(field_lines: &[u8]) -> Option<SyntaxFault> {
    lines(field_lines).find_map(|line| {
        let colon = memchr(b':', line);
        let name = &line[..colon.unwrap_or(line.len())];
        let fault = match line.first() {
            Some(byte) if is_space(*byte) => SyntaxFault::Folding,
            _ if colon.is_some() && name.last().is_some_and(|byte| is_space(*byte)) => {
                SyntaxFault::SpaceBeforeColon
            }
            _ if name.is_empty() || !name.iter().all(|byte| is_token_byte(*byte)) => match colon {
                Some(_) => SyntaxFault::FieldName,
                None => SyntaxFault::ColonMissing,
            },
            _ if colon.is_none() => SyntaxFault::ColonMissing,
            _ if !is_field_value(&line[name.len() + 1..]) => SyntaxFault::FieldValue,
            _ => return None,
        };
        Some(fault)
    })
}

/// The lines before the empty one, without their ends.
pub(crate) fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let end = memchr(b'\n', rest)?;
        let line = rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]);
        rest = &rest[end + 1..];
        (!line.is_empty()).then_some(line)
    })
}
