//! The hand-written reader: walks the positioned tree once and collects every fault on the way.
//! A value that cannot be read is reported and skipped, so that one mistake never hides another.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::fault::{Fault, Faults};
use super::interpolate::Surroundings;
use super::node::{Key, Node, Value};
use super::source::{Located, Source, Span};
use super::values::{Duration, Percent, Secret, Size};

/// What a kind of map may hold: the reader refuses all else, and the JSON Schema is tested against it.
#[derive(Debug)]
pub(super) struct Keys {
    /// What the map is, as a fault names it: `a listener`.
    pub(super) of: &'static str,
    /// The keys that it takes.
    pub(super) known: &'static [&'static str],
    /// Keys of the language that this version does not serve yet.
    pub(super) later: &'static [&'static str],
    /// Further keys that it shares with other maps.
    pub(super) shared: Option<&'static Keys>,
}

impl Keys {
    /// All keys it takes, with the shared ones.
    pub(super) fn all(&self) -> impl Iterator<Item = &'static str> {
        self.known.iter().chain(self.shared.into_iter().flat_map(|shared| shared.known)).copied()
    }

    /// All keys that are not supported yet, with the shared ones.
    pub(super) fn all_later(&self) -> impl Iterator<Item = &'static str> {
        self.later.iter().chain(self.shared.into_iter().flat_map(|shared| shared.later)).copied()
    }
}

/// Something that can be read from a node; `None` when a fault was reported instead.
pub(super) trait Read: Sized {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self>;
}

/// Reads one file: holds its faults and knows the surroundings it may refer to.
pub(super) struct Reader {
    source: Arc<Source>,
    surroundings: Surroundings,
    faults: Faults,
}

impl Reader {
    pub(super) fn new(source: Arc<Source>, surroundings: Surroundings) -> Self {
        Self { faults: Faults::new(Arc::clone(&source)), source, surroundings }
    }

    /// The tree of the file, when it is YAML.
    pub(super) fn tree<'s>(&mut self, source: &'s Source) -> Option<Node<'s>> {
        super::node::parse(source, &mut self.faults)
    }

    /// The faults found, with the list of files that were asked for.
    pub(super) fn finish(self) -> Faults {
        self.faults.with_files(self.surroundings.into_files())
    }

    /// Reports a fault.
    pub(super) fn fault(&mut self, fault: Fault) {
        self.faults.push(fault);
    }

    /// Reports a value that is not what its key takes.
    pub(super) fn wrong(&mut self, span: Span, message: impl Into<String>) {
        self.fault(Fault::error("bad_value", span, message));
    }

    /// Reports something that the language has and this version has not.
    pub(super) fn not_yet(&mut self, span: Span, what: &str) {
        self.fault(Fault::error("not_supported_yet", span, format!("{what} is not supported yet")));
    }

    /// The file that is read.
    pub(super) fn source(&self) -> &Source {
        &self.source
    }

    /// The path of a file that the configuration is made from, which is watched.
    pub(super) fn file(&mut self, path: &str) -> std::path::PathBuf {
        self.surroundings.file(path)
    }

    /// A relative path as one relative to the configuration file.
    pub(super) fn path(&self, path: &str) -> std::path::PathBuf {
        self.surroundings.path(path)
    }

    /// The text of a scalar with `${env:…}` and `${file:…}` replaced; `what` names what was expected.
    pub(super) fn text(&mut self, node: &Node, what: &str) -> Option<String> {
        self.wiped_text(node, what).map(|mut text| std::mem::take(&mut *text))
    }

    /// The same, wiped from memory when it is let go: what it stands for may be secret.
    fn wiped_text(&mut self, node: &Node, what: &str) -> Option<Zeroizing<String>> {
        match &node.value {
            Value::Text(text) if !text.contains("${") => Some(Zeroizing::new(text.to_string())),
            Value::Text(text) => {
                let written = Located::new(text.to_string(), node.span);
                let (value, faults) = self.surroundings.interpolate(&written, &self.source);
                for fault in faults {
                    self.faults.push(fault);
                }
                value
            }
            Value::Null => {
                self.fault(Fault::error(
                    "wrong_type",
                    node.span,
                    format!("the value is missing: expected {what}"),
                ));
                None
            }
            Value::List(_) | Value::Map(_) => {
                let message = format!("expected {what}, found {}", node.kind());
                self.fault(Fault::error("wrong_type", node.head(), message));
                None
            }
        }
    }

    /// A scalar read by a function whose complaint says what is wrong without quoting the value.
    pub(super) fn parsed<T>(
        &mut self,
        node: &Node,
        what: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let text = self.wiped_text(node, what)?;
        match parse(&text) {
            Ok(value) => Some(value),
            Err(complaint) => {
                self.wrong(node.span, complaint);
                None
            }
        }
    }

    /// A secret, which no fault shows that points at its line.
    pub(super) fn secret(&mut self, node: &Node, what: &str) -> Option<Secret> {
        self.source.hide(node.span);
        self.parsed(node, what, Secret::parse)
    }

    /// A whole number within bounds.
    pub(super) fn count(&mut self, node: &Node, bounds: RangeInclusive<u32>) -> Option<u32> {
        let (least, most) = (*bounds.start(), *bounds.end());
        let what = format!("a whole number from {least} to {most}");
        self.parsed(node, &what, |text| {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            let number = text.parse().ok().filter(|number| digits && bounds.contains(number));
            number.ok_or_else(|| format!("expected {what}"))
        })
    }

    /// A size within bounds.
    pub(super) fn size(&mut self, node: &Node, bounds: RangeInclusive<u64>) -> Option<Size> {
        let size = Size::read(node, self)?;
        if bounds.contains(&size.bytes()) {
            return Some(size);
        }
        let (least, most) = (Size::from_bytes(*bounds.start()), Size::from_bytes(*bounds.end()));
        self.wrong(node.span, format!("expected a size from {least} to {most}"));
        None
    }

    /// A duration that is more than nothing.
    pub(super) fn positive(&mut self, node: &Node) -> Option<Duration> {
        let duration = Duration::read(node, self)?;
        if duration.is_zero() {
            self.wrong(node.span, "a duration of more than zero is needed here");
            return None;
        }
        Some(duration)
    }

    /// One of a set of words.
    pub(super) fn word<T: Copy>(&mut self, node: &Node, words: &[(&'static str, T)]) -> Option<T> {
        let names: Vec<&'static str> = words.iter().map(|(name, _)| *name).collect();
        let what = match names.as_slice() {
            [only] => format!("`{only}`"),
            _ => format!("one of {}", names.join(", ")),
        };
        let text = self.text(node, &what)?;
        if let Some((_, value)) = words.iter().find(|(name, _)| *name == text) {
            return Some(*value);
        }
        let fault = Fault::error("bad_value", node.span, format!("expected {what}"));
        self.fault(match nearest(&text, &names) {
            Some(name) => fault.help(format!("did you mean `{name}`?")),
            None => fault,
        });
        None
    }

    /// The items of a list; a single value counts as a list of one.
    pub(super) fn items<'n>(&mut self, node: &'n Node<'n>, what: &str) -> &'n [Node<'n>] {
        match &node.value {
            Value::List(items) => items,
            Value::Null => {
                let message = format!("the value is missing: expected {what}");
                self.fault(Fault::error("wrong_type", node.span, message));
                &[]
            }
            Value::Text(_) | Value::Map(_) => std::slice::from_ref(node),
        }
    }

    /// The keys and values of a map whose keys the user chooses.
    pub(super) fn entries<'n>(&mut self, node: &'n Node<'n>, what: &str) -> &'n [(Key<'n>, Node<'n>)] {
        match &node.value {
            Value::Map(entries) => entries,
            Value::Null | Value::Text(_) | Value::List(_) => {
                let message = format!("expected {what}, found {}", node.kind());
                self.fault(Fault::error("wrong_type", node.head(), message));
                &[]
            }
        }
    }

    /// A map with fixed keys.
    pub(super) fn map<'n>(&mut self, node: &'n Node<'n>, keys: &'static Keys) -> Option<MapReader<'n>> {
        if let Value::Map(entries) = &node.value {
            return Some(MapReader { entries, taken: vec![false; entries.len()], keys, head: node.head() });
        }
        let names: Vec<&str> = keys.all().collect();
        let message = match node.value {
            Value::Null => format!("the value is missing: expected {}", keys.of),
            _ => format!("expected {}, which is a map, found {}", keys.of, node.kind()),
        };
        self.fault(
            Fault::error("wrong_type", node.head(), message).help(format!("its keys: {}", names.join(", "))),
        );
        None
    }
}

/// Reads the keys of one map; whoever reads must `finish`, which refuses what is left over.
pub(super) struct MapReader<'n> {
    entries: &'n [(Key<'n>, Node<'n>)],
    taken: Vec<bool>,
    keys: &'static Keys,
    head: Span,
}

impl<'n> MapReader<'n> {
    /// The value of a key, which then counts as read.
    pub(super) fn take(&mut self, key: &'static str) -> Option<&'n Node<'n>> {
        debug_assert!(
            self.keys.all().any(|known| known == key),
            "{key} is not among the keys of {}",
            self.keys.of
        );
        let index = self.entries.iter().position(|(entry, _)| entry.text == key)?;
        self.taken[index] = true;
        Some(&self.entries[index].1)
    }

    /// The value of a key that may be left out.
    pub(super) fn optional<T: Read>(&mut self, key: &'static str, reader: &mut Reader) -> Option<T> {
        self.take(key).and_then(|node| T::read(node, reader))
    }

    /// The value of a key that has a default.
    pub(super) fn or<T: Read>(&mut self, key: &'static str, default: T, reader: &mut Reader) -> T {
        self.optional(key, reader).unwrap_or(default)
    }

    /// A whole number within bounds.
    pub(super) fn count(
        &mut self,
        key: &'static str,
        default: u32,
        bounds: RangeInclusive<u32>,
        reader: &mut Reader,
    ) -> u32 {
        self.take(key).and_then(|node| reader.count(node, bounds)).unwrap_or(default)
    }

    /// A duration that is more than nothing.
    pub(super) fn positive(&mut self, key: &'static str, default: Duration, reader: &mut Reader) -> Duration {
        self.take(key).and_then(|node| reader.positive(node)).unwrap_or(default)
    }

    /// A share that is more than nothing.
    pub(super) fn share(&mut self, key: &'static str, reader: &mut Reader) -> Option<Percent> {
        let node = self.take(key)?;
        let share = Percent::read(node, reader)?;
        if share.millionths() == 0 {
            reader.wrong(node.span, "a share of more than 0% is needed here");
            return None;
        }
        Some(share)
    }

    /// A size within bounds.
    pub(super) fn size(
        &mut self,
        key: &'static str,
        default: Size,
        bounds: RangeInclusive<u64>,
        reader: &mut Reader,
    ) -> Size {
        self.take(key).and_then(|node| reader.size(node, bounds)).unwrap_or(default)
    }

    /// The value of a key that must be there.
    pub(super) fn required<T: Read>(&mut self, key: &'static str, reader: &mut Reader) -> Option<T> {
        self.demand(key, reader).and_then(|node| T::read(node, reader))
    }

    /// The node of a key that must be there.
    pub(super) fn demand(&mut self, key: &'static str, reader: &mut Reader) -> Option<&'n Node<'n>> {
        let node = self.take(key);
        if node.is_none() {
            self.missing(key, reader);
        }
        node
    }

    /// Whether there is an unknown key that was probably meant to be this one.
    pub(super) fn misspelled(&self, key: &str) -> bool {
        let known = |word: &str| self.keys.all().chain(self.keys.all_later()).any(|known| known == word);
        self.entries.iter().any(|(entry, _)| !known(&entry.text) && nearest(&entry.text, &[key]).is_some())
    }

    /// Reports a key that should be there, unless a misspelled one is about to be reported.
    pub(super) fn missing(&self, key: &str, reader: &mut Reader) {
        if self.misspelled(key) {
            return;
        }
        let message = format!("{} needs the key `{key}`", self.keys.of);
        reader.fault(Fault::error("missing_key", self.head, message));
    }

    /// Whether a key is written, without reading it.
    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|(entry, _)| entry.text == key)
    }

    /// Whether a key has a list without anything in it.
    pub(super) fn is_empty_list(&self, key: &str) -> bool {
        let is_empty = |node: &Node| matches!(&node.value, Value::List(items) if items.is_empty());
        self.entries.iter().any(|(entry, node)| entry.text == key && is_empty(node))
    }

    /// A place to point at when the map as a whole is meant.
    pub(super) fn head(&self) -> Span {
        self.head
    }

    /// Where the value of a key stands, if the key is there.
    pub(super) fn value_span(&self, key: &str) -> Option<Span> {
        self.entries.iter().find(|(entry, _)| entry.text == key).map(|(_, node)| node.span)
    }

    /// The place of a key, or of the map when the key is not written.
    pub(super) fn key_span(&self, key: &str) -> Span {
        self.entries.iter().find(|(entry, _)| entry.text == key).map_or(self.head, |(entry, _)| entry.span)
    }

    /// The entries whose keys were not read; they count as read then.
    pub(super) fn rest(&mut self) -> Vec<&'n (Key<'n>, Node<'n>)> {
        let keys = self.keys;
        let mut rest = Vec::new();
        for (entry, taken) in self.entries.iter().zip(&mut self.taken) {
            if !*taken && !keys.all_later().any(|later| later == entry.0.text) {
                *taken = true;
                rest.push(entry);
            }
        }
        rest
    }

    /// As `finish` for a map whose later keys each begin a kind of its own: only that kind is reported then.
    pub(super) fn finish_kind(self, reader: &mut Reader) {
        let kind = self.entries.iter().find(|(key, _)| self.keys.all_later().any(|later| later == key.text));
        match kind {
            Some((key, _)) => reader.not_yet(key.span, &format!("`{}` in {}", key.text, self.keys.of)),
            None => self.finish(reader),
        }
    }

    /// Reports every key that was not read: unknown, or not supported yet.
    pub(super) fn finish(self, reader: &mut Reader) {
        for ((key, _), taken) in self.entries.iter().zip(self.taken) {
            if taken {
                continue;
            }
            if self.keys.all_later().any(|later| later == key.text) {
                reader.not_yet(key.span, &format!("`{}` in {}", key.text, self.keys.of));
                continue;
            }
            debug_assert!(
                !self.keys.all().any(|known| known == key.text),
                "{} of {} is never read",
                key.text,
                self.keys.of
            );
            let names: Vec<&str> = self.keys.all().chain(self.keys.all_later()).collect();
            let message = format!("unknown key `{}` in {}", key.text, self.keys.of);
            let help = match nearest(&key.text, &names) {
                Some(name) => format!("did you mean `{name}`?"),
                None => format!("its keys: {}", self.keys.all().collect::<Vec<_>>().join(", ")),
            };
            reader.fault(Fault::error("unknown_key", key.span, message).help(help));
        }
    }
}

/// The known word that was most likely meant by another, if any is near enough.
pub(super) fn nearest<'w>(word: &str, known: &[&'w str]) -> Option<&'w str> {
    if word.len() > MAX_COMPARED {
        return None;
    }
    let allowed = (word.chars().count() / 3).clamp(1, 3);
    known
        .iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), *candidate))
        .filter(|(distance, candidate)| *distance <= allowed && *distance < candidate.chars().count())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Words longer than this are not compared: the cost grows with the square.
const MAX_COMPARED: usize = 64;

impl Read for String {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        reader.text(node, "a text")
    }
}

impl Read for bool {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        reader.word(node, &[("true", true), ("false", false)])
    }
}

impl<T: Read> Read for Located<T> {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        T::read(node, reader).map(|value| Self::new(value, node.span))
    }
}

impl<T: Read> Read for Box<T> {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        T::read(node, reader).map(Self::new)
    }
}

impl<T: Read> Read for Vec<T> {
    /// A list; a single value counts as a list of one.
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        if let Value::List(items) = &node.value {
            let mut read = Vec::with_capacity(items.len());
            read.extend(items.iter().filter_map(|item| T::read(item, reader)));
            return Some(read);
        }
        T::read(node, reader).map(|value| vec![value])
    }
}

/// Values under names that the user chooses, such as services.
pub(super) fn named<T>(
    node: &Node,
    what: &str,
    reader: &mut Reader,
    mut read: impl FnMut(&Key, &Node, &mut Reader) -> Option<T>,
) -> BTreeMap<String, T> {
    let mut found = BTreeMap::new();
    for (key, value) in reader.entries(node, what) {
        if let Err(complaint) = super::values::check_name(&key.text) {
            reader.wrong(key.span, complaint);
        }
        if let Some(value) = read(key, value, reader) {
            found.insert(key.text.to_string(), value);
        }
    }
    found
}
