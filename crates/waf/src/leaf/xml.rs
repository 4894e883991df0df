//! XML: texts, values of attributes, and what a document type declares. No entity is ever expanded.

use super::{Kind, Visit};

/// What of a document is a matter by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// It declares entities or names a document type elsewhere.
    pub(crate) has_doctype: bool,
}

pub(crate) fn read(input: &[u8], visit: &mut dyn Visit) -> Seen {
    let mut seen = Seen::default();
    let mut name: &[u8] = b"";
    let mut at = 0;
    while at < input.len() {
        let end = input[at..].iter().position(|byte| *byte == b'<').map_or(input.len(), |length| at + length);
        let text = input[at..end].trim_ascii();
        if !text.is_empty() && !visit.leaf(name, text, Kind::Plain) {
            return seen;
        }
        if end == input.len() {
            break;
        }
        let tag = &input[end..];
        at = end
            + if tag.starts_with(b"<!--") {
                section(tag, 4, b"-->", name, visit)
            } else if tag.starts_with(b"<![CDATA[") {
                section(tag, 9, b"]]>", name, visit)
            } else if tag.starts_with(b"<?") {
                section(tag, tag.len().min(2), b"?>", b"", &mut Nobody)
            } else if tag.starts_with(b"<!") {
                seen.has_doctype |= is_declaring(tag);
                declaration_end(tag)
            } else {
                let length = element(tag, visit);
                let end = tag[1..]
                    .iter()
                    .take_while(|byte| !byte.is_ascii_whitespace() && !matches!(byte, b'>' | b'/'))
                    .count();
                name = &tag[1..=end];
                length
            };
    }
    seen
}

/// A comment, a section of text: one leaf.
fn section(tag: &[u8], start: usize, end: &[u8], name: &[u8], visit: &mut dyn Visit) -> usize {
    let found = memchr::memmem::find(&tag[start..], end);
    let length = found.map_or(tag.len(), |length| start + length);
    let text = tag[start..length].trim_ascii();
    if !text.is_empty() {
        visit.leaf(name, text, Kind::Plain);
    }
    (length + end.len()).min(tag.len())
}

/// A document type with entities or an address.
fn is_declaring(tag: &[u8]) -> bool {
    let head = tag[..tag.len().min(1024)].to_ascii_lowercase();
    let has = |word: &[u8]| memchr::memmem::find(&head, word).is_some();
    head.starts_with(b"<!doctype") && (has(b"<!entity") || has(b"system") || has(b"public"))
}

fn declaration_end(tag: &[u8]) -> usize {
    let mut depth = 0_usize;
    for (at, byte) in tag.iter().enumerate() {
        match byte {
            b'<' => depth += 1,
            b'>' if depth <= 1 => return at + 1,
            b'>' => depth -= 1,
            _ => {}
        }
    }
    tag.len()
}

/// A tag: the values of its attributes. Gives back its length.
fn element(tag: &[u8], visit: &mut dyn Visit) -> usize {
    let mut at = 1;
    let mut name_start = 1;
    while let Some(&byte) = tag.get(at) {
        match byte {
            b'>' => return at + 1,
            b'<' if at > 1 => return at,
            b'"' | b'\'' => {
                let end = tag[at + 1..]
                    .iter()
                    .position(|other| *other == byte)
                    .map_or(tag.len(), |length| at + 1 + length);
                let name = tag[name_start..at].trim_ascii();
                let name = name.strip_suffix(b"=").unwrap_or(name).trim_ascii();
                let value = &tag[at + 1..end];
                if !value.is_empty() && !name.starts_with(b"xmlns") && !visit.leaf(name, value, Kind::Plain) {
                    return tag.len();
                }
                at = (end + 1).min(tag.len());
                name_start = at;
            }
            byte => {
                at += 1;
                if byte.is_ascii_whitespace() {
                    name_start = at;
                }
            }
        }
    }
    tag.len()
}

struct Nobody;

impl Visit for Nobody {
    fn leaf(&mut self, _name: &[u8], _value: &[u8], _kind: Kind) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Leaves(Vec<String>);

    impl Visit for Leaves {
        fn leaf(&mut self, name: &[u8], value: &[u8], _kind: Kind) -> bool {
            self.0.push(format!("{}={}", String::from_utf8_lossy(name), String::from_utf8_lossy(value)));
            true
        }
    }

    #[test]
    fn texts_and_attributes_are_leaves() {
        let mut leaves = Leaves::default();
        let xml =
            b"<?xml version=\"1.0\"?><r><a b=\"1 > 0\" c='2'>text</a><!-- note --><d><![CDATA[<x>]]></d></r>";
        assert_eq!(read(xml, &mut leaves), Seen::default());
        assert_eq!(leaves.0, ["b=1 > 0", "c=2", "a=text", "=note", "d=<x>"]);
    }

    #[test]
    fn entities_are_seen() {
        let xml = b"<!DOCTYPE r [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><r>&x;</r>";
        assert!(read(xml, &mut Leaves::default()).has_doctype);
        for text in ["<", "<!", "<a", "<a b=\"", "<![CDATA[", "<!--", "</"] {
            read(text.as_bytes(), &mut Leaves::default());
        }
    }
}
