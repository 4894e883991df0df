//! YAML as a tree in which every key and value knows its place.
//! Scalars keep their text: what a text means is for the key it belongs to, not for YAML to guess.
//! Depth, number of nodes and expansion of aliases are bounded.

use std::borrow::Cow;
use std::collections::HashMap;

use granit_parser::{Event, Options, Parser, ScalarStyle};

use super::fault::{Fault, Faults};
use super::source::{Source, Span};

/// A value and its place. Text is the file's own wherever it stands there as it is.
#[derive(Clone, Debug)]
pub(super) struct Node<'s> {
    pub(super) value: Value<'s>,
    pub(super) span: Span,
}

/// What a node is.
#[derive(Clone, Debug)]
pub(super) enum Value<'s> {
    /// Nothing: an empty value, `~` or `null`.
    Null,
    /// Any scalar, as text.
    Text(Cow<'s, str>),
    /// A sequence.
    List(Vec<Node<'s>>),
    /// A mapping, in the order of the file, each key once.
    Map(Vec<(Key<'s>, Node<'s>)>),
}

/// A key of a map and its place.
#[derive(Clone, Debug)]
pub(super) struct Key<'s> {
    pub(super) text: Cow<'s, str>,
    pub(super) span: Span,
}

impl Node<'_> {
    /// What this is, for a fault that expected something else.
    pub(super) fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Text(_) => "a text",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        }
    }

    /// A place that is short enough to point at: the first key of a map, the first item of a list.
    pub(super) fn head(&self) -> Span {
        match &self.value {
            Value::Map(entries) => entries.first().map_or(self.span, |(key, _)| key.span),
            Value::List(items) => items.first().map_or(self.span, Node::head),
            Value::Null | Value::Text(_) => self.span,
        }
    }

    /// Levels below this one.
    fn height(&self) -> usize {
        match &self.value {
            Value::Null | Value::Text(_) => 0,
            Value::List(items) => 1 + items.iter().map(Node::height).max().unwrap_or_default(),
            Value::Map(entries) => {
                1 + entries.iter().map(|(_, node)| node.height()).max().unwrap_or_default()
            }
        }
    }

    /// Whether this is exactly this word.
    pub(super) fn is(&self, word: &str) -> bool {
        matches!(&self.value, Value::Text(text) if text == word)
    }
}

/// Reads the one document of a file. After a syntax error nothing of it can be trusted: then there is no tree.
pub(super) fn parse<'s>(source: &'s Source, faults: &mut Faults) -> Option<Node<'s>> {
    if source.text().len() > MAX_TEXT {
        let message = format!("the file is larger than {} MiB", MAX_TEXT >> 20);
        faults.push(Fault::error("too_large", Span::default(), message));
        return None;
    }
    let mut options = Options::default();
    options.set_emit_comments(false);
    let parser = Parser::new_from_str_with_options(source.text(), options);
    let mut builder = Builder { source, parser, faults, anchors: HashMap::new(), nodes: 0, expanded: 0 };
    match builder.document() {
        Ok(node) => Some(node),
        Err(fault) => {
            faults.push(*fault);
            None
        }
    }
}

struct Builder<'s, 'f> {
    source: &'s Source,
    parser: Parser<'s, granit_parser::StrInput<'s>>,
    faults: &'f mut Faults,
    anchors: HashMap<usize, Anchored<'s>>,
    nodes: usize,
    expanded: usize,
}

/// A finished value that aliases may repeat.
struct Anchored<'s> {
    node: Node<'s>,
    /// Values in it, itself counted.
    size: usize,
    /// Levels below it.
    height: usize,
}

type Built<T> = Result<T, Box<Fault>>;

impl<'s> Builder<'s, '_> {
    fn document(&mut self) -> Built<Node<'s>> {
        let mut root = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => return Ok(root.unwrap_or(Node { value: Value::Null, span })),
                Event::DocumentStart(..) if root.is_some() => {
                    return refuse("syntax", span, "a second document begins here; a configuration is one");
                }
                Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd => {}
                other => root = Some(self.node(other, span, 0)?),
            }
        }
    }

    fn next(&mut self) -> Built<(Event<'s>, Span)> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => {
                let range = span.byte_range().unwrap_or_default();
                Ok((event, Span::new(range.start, range.end)))
            }
            Some(Err(error)) => {
                let offset = error.marker().byte_offset().unwrap_or_default();
                let message = format!("not valid YAML: {}", error.kind());
                let help = if message.contains("flow") {
                    Some("inside `{…}` and `[…]`, quote a text that has braces, brackets or commas in it")
                } else if message.contains("tab") {
                    Some("indent with spaces")
                } else {
                    None
                };
                let fault = Fault::error("syntax", Span::new(offset, offset), message);
                Err(Box::new(match help {
                    Some(help) => fault.help(help),
                    None => fault,
                }))
            }
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn node(&mut self, event: Event<'s>, span: Span, depth: usize) -> Built<Node<'s>> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return refuse("too_large", span, format!("more than {MAX_NODES} values"));
        }
        if depth > MAX_DEPTH {
            return refuse("too_deep", span, format!("nested deeper than {MAX_DEPTH} levels"));
        }
        let before = self.nodes;
        let (node, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                if tag.is_some() {
                    self.no_tag(span);
                }
                let empty =
                    style == ScalarStyle::Plain && matches!(&*text, "" | "~" | "null" | "Null" | "NULL");
                let value = if empty { Value::Null } else { Value::Text(text) };
                (Node { value, span }, anchor)
            }
            Event::SequenceStart(_, anchor, tag) => {
                if tag.is_some() {
                    self.no_tag(span);
                }
                (self.list(span, depth)?, anchor)
            }
            Event::MappingStart(_, anchor, tag) => {
                if tag.is_some() {
                    self.no_tag(span);
                }
                (self.map(span, depth)?, anchor)
            }
            Event::Alias(id) => return self.alias(id, span, depth),
            _ => return refuse("syntax", span, "not valid YAML: a value was expected here"),
        };
        if anchor != 0 {
            let (size, height) = (self.nodes - before + 1, node.height());
            self.anchors.insert(anchor, Anchored { node: node.clone(), size, height });
        }
        Ok(node)
    }

    fn list(&mut self, start: Span, depth: usize) -> Built<Node<'s>> {
        let mut items = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::SequenceEnd) {
                return Ok(Node { value: Value::List(items), span: Span::new(start.start(), span.end()) });
            }
            items.push(self.node(event, span, depth + 1)?);
        }
    }

    fn map(&mut self, start: Span, depth: usize) -> Built<Node<'s>> {
        let mut entries: Vec<(Key<'s>, Node<'s>)> = Vec::new();
        // Most maps are small; only a large one is worth a table of its keys.
        let mut seen: HashMap<Cow<'s, str>, Span> = HashMap::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                return Ok(Node { value: Value::Map(entries), span: Span::new(start.start(), span.end()) });
            }
            let key = self.node(event, span, depth + 1)?;
            let (event, span) = self.next()?;
            let value = self.node(event, span, depth + 1)?;
            let Value::Text(text) = key.value else {
                self.faults.push(Fault::error("syntax", key.head(), "a key must be a text"));
                continue;
            };
            let first = if entries.len() < SMALL_MAP {
                entries.iter().find(|(earlier, _)| earlier.text == text).map(|(earlier, _)| earlier.span)
            } else {
                if seen.is_empty() {
                    seen.extend(entries.iter().map(|(earlier, _)| (earlier.text.clone(), earlier.span)));
                }
                seen.insert(text.clone(), key.span)
            };
            if let Some(first) = first {
                let (line, _) = self.source.position(first.start());
                self.faults.push(
                    Fault::error("duplicate_key", key.span, format!("the key `{text}` stands here twice"))
                        .help(format!("the first one is on line {line}")),
                );
                continue;
            }
            entries.push((Key { text, span: key.span }, value));
        }
    }

    fn alias(&mut self, id: usize, span: Span, depth: usize) -> Built<Node<'s>> {
        let Some(Anchored { node, size, height }) = self.anchors.get(&id) else {
            return refuse("syntax", span, "this alias stands inside the value that it names");
        };
        self.expanded += size;
        if self.expanded > MAX_ALIASED {
            return refuse("too_large", span, format!("aliases expand to more than {MAX_ALIASED} values"));
        }
        if depth + height > MAX_DEPTH {
            return refuse("too_deep", span, format!("nested deeper than {MAX_DEPTH} levels"));
        }
        self.nodes += size;
        Ok(node.clone())
    }

    fn no_tag(&mut self, span: Span) {
        self.faults.push(
            Fault::error("syntax", span, "YAML tags (`!…`) have no meaning here")
                .help("write the value without its tag"),
        );
    }
}

fn refuse<T>(code: &'static str, span: Span, message: impl Into<String>) -> Built<T> {
    Err(Box::new(Fault::error(code, span, message)))
}

/// The largest file that is read, in bytes: room for 100,000 routes several times over.
pub(super) const MAX_TEXT: usize = 64 << 20;

/// Maps and lists inside one another.
const MAX_DEPTH: usize = 64;

/// Keys of a map up to which each new one is compared with all.
const SMALL_MAP: usize = 16;

/// Values in one file.
const MAX_NODES: usize = 8_000_000;

/// Values that aliases may add: a few kilobytes of YAML could otherwise expand to gigabytes.
const MAX_ALIASED: usize = 200_000;
