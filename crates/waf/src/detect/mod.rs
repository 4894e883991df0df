//! The detectors, and what they are given: a leaf in its plain form, and a place to put hits.

mod address;
mod code;
pub(crate) mod files;
pub(crate) mod head;
pub(crate) mod list;
pub(crate) mod pattern;
pub(crate) mod protocol;
mod rows;
pub(crate) mod shell;
pub(crate) mod sql;
mod values;
pub(crate) mod xss;

use crate::decode::Signs;
use crate::inspect::Scratch;
use crate::{Exclusion, Report, Rule};

/// A part of a request, in its plain form.
pub(crate) struct Leaf<'a> {
    pub(crate) place: Place<'a>,
    /// As the service would read it after decoding once.
    pub(crate) decoded: &'a [u8],
    /// With every encoding undone.
    pub(crate) text: &'a [u8],
    /// `text` in small letters, byte for byte.
    pub(crate) low: &'a [u8],
    pub(crate) signs: Signs,
    pub(crate) class: traits::Class,
    pub(crate) triggers: pattern::Triggers,
}

/// Where a leaf stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    pub(crate) part: Part,
    pub(crate) name: &'a [u8],
    /// The leaf is the name, not what stands under it.
    pub(crate) is_name: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Path,
    Query,
    Header,
    Cookie,
    /// A value of a body.
    Body,
    /// The name of an uploaded file.
    Upload,
}

/// Longest name kept of a place.
const LONGEST_NAME: usize = 128;

impl Place<'_> {
    pub(crate) fn to_text(self) -> String {
        let part = match self.part {
            Part::Path => return "path".to_owned(),
            Part::Query => "query",
            Part::Header => "header",
            Part::Cookie => "cookie",
            Part::Body | Part::Upload => "body",
        };
        let name = String::from_utf8_lossy(&self.name[..self.name.len().min(LONGEST_NAME)]);
        let dot = if name.is_empty() || name.starts_with('[') { "" } else { "." };
        let kind = match (self.part, self.is_name) {
            (Part::Upload, _) => "(filename)",
            (_, true) => "(name)",
            _ => "",
        };
        format!("{part}{dot}{name}{kind}")
    }
}

/// What a detector needs beside the leaf.
pub(crate) struct Cx<'a> {
    pub(crate) paranoia: u8,
    pub(crate) exclusions: &'a [Exclusion],
    pub(crate) scratch: &'a mut Scratch,
    pub(crate) report: &'a mut Report,
}

impl Cx<'_> {
    pub(crate) fn level(&self) -> u8 {
        self.paranoia
    }

    /// Records a rule's match at `at` in the leaf, unless it belongs to a higher level or is excluded.
    pub(crate) fn hit(&mut self, rule: &'static Rule, leaf: &Leaf<'_>, at: usize) {
        self.hit_at(rule, leaf.place, leaf.text, at);
    }

    pub(crate) fn hit_at(&mut self, rule: &'static Rule, place: Place<'_>, text: &[u8], at: usize) {
        if rule.paranoia > self.paranoia || self.report.is_full() {
            return;
        }
        let place = place.to_text();
        if self.exclusions.iter().any(|exclusion| exclusion.covers(rule, &place)) {
            return;
        }
        // A little before the match helps a reader, and shows what was broken out of.
        let start = at.min(text.len()).saturating_sub(12);
        self.report.add(rule, place, &text[start..]);
    }
}

/// Asks every detector about a leaf.
pub(crate) fn detect(leaf: &Leaf<'_>, cx: &mut Cx<'_>) {
    protocol::detect(leaf, cx);
    if leaf.text.len() < 2 {
        return;
    }
    pattern::detect(leaf, cx);
    files::detect(leaf, cx);
    values::detect(leaf, cx);
    if leaf.class.has(traits::SLASH) {
        address::detect(leaf, cx);
    }
    shell::detect(leaf, cx);
    sql::detect(leaf, cx);
    xss::detect(leaf, cx);
}

/// Which kinds of bytes a leaf has, found in one pass.
pub(crate) mod traits {
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub(crate) struct Class(u16);

    pub(crate) const QUOTE: u16 = 1;
    /// `= < > | & ! ~ ^ * + / % -` and others between operands.
    pub(crate) const OPERATOR: u16 = 1 << 1;
    pub(crate) const BRACKET: u16 = 1 << 2;
    pub(crate) const HASH: u16 = 1 << 3;
    pub(crate) const ANGLE: u16 = 1 << 4;
    pub(crate) const DOLLAR: u16 = 1 << 5;
    pub(crate) const SLASH: u16 = 1 << 6;
    pub(crate) const SEPARATOR: u16 = 1 << 7;
    pub(crate) const BACKSLASH: u16 = 1 << 8;
    pub(crate) const EQUALS: u16 = 1 << 9;
    pub(crate) const BRACE: u16 = 1 << 10;
    pub(crate) const NEWLINE: u16 = 1 << 11;
    pub(crate) const COLON: u16 = 1 << 12;
    pub(crate) const SPACE: u16 = 1 << 13;
    pub(crate) const GLOB: u16 = 1 << 14;
    pub(crate) const PERCENT: u16 = 1 << 15;

    impl Class {
        pub(crate) fn of(text: &[u8]) -> Self {
            Self(text.iter().fold(0, |bits, byte| bits | TABLE[*byte as usize]))
        }

        pub(crate) fn has(self, bits: u16) -> bool {
            self.0 & bits != 0
        }
    }

    static TABLE: [u16; 256] = {
        let mut table = [0; 256];
        let mut byte = 0;
        while byte < 256 {
            table[byte] = match byte as u8 {
                b'\'' | b'"' => QUOTE,
                b'`' => QUOTE | SEPARATOR,
                b'=' => OPERATOR | EQUALS,
                b'<' | b'>' => OPERATOR | ANGLE,
                b'|' | b'&' => OPERATOR | SEPARATOR,
                b'!' | b'~' | b'^' => OPERATOR,
                b'*' | b'?' => OPERATOR | GLOB,
                b'%' => PERCENT,
                b'(' | b')' => BRACKET,
                b'[' | b']' => GLOB,
                b'{' | b'}' => BRACE,
                b'#' | b'@' => HASH,
                b'$' => DOLLAR,
                b'/' => SLASH,
                b'\\' => BACKSLASH | SLASH,
                b';' => SEPARATOR | HASH,
                b':' => COLON,
                b'\n' | b'\r' => NEWLINE | SPACE,
                b' ' | b'\t' | 0x0b | 0x0c => SPACE,
                _ => 0,
            };
            byte += 1;
        }
        table
    };
}
