//! The segment trees of all hosts in one arena, and the search through them.
//!
//! A literal child is found by one look into a hash table, however many there are; parameters are tried in the
//! order of their specificity. The search goes back when a branch fails, and visits a node at most once: the
//! depth of a node is the number of the segment that it is compared with.
//!
//! With many routes a search costs what it misses in the processor's caches, so what most nodes need (their text,
//! the one `{name}` below them, the one route that ends at them) stands in the node itself, a cache line long.

use std::collections::HashMap;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::Params;
use super::pattern::{PathPattern, Segment};
use super::segment::{Rank, SegmentRegex};
use super::table::Table;

/// All trees.
#[derive(Debug)]
pub(super) struct Tree {
    /// The texts that are not in their nodes, one after the other.
    text: Box<str>,
    nodes: Box<[Node]>,
    literals: Table,
    patterns: Box<[PatternEdge]>,
    /// The routes of every leaf that has several, leaf by leaf, the one that goes first first.
    leaves: Box<[u32]>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Range {
    start: u32,
    end: u32,
}

#[derive(Debug)]
#[repr(align(64))]
struct Node {
    parent: u32,
    /// Where `{name}`, which takes any segment and so goes last, leads; [`NOWHERE`] without one.
    plain: u32,
    /// The other parameters.
    patterns: Range,
    /// Routes whose template ends here.
    end: LeafPlace,
    /// Routes whose template goes on with `{name...}`.
    rest: LeafPlace,
    /// The one literal child; [`NOWHERE`] without any, [`MANY`] when they are to be found in the table.
    child: u32,
    literal: Label,
}

/// No node.
const NOWHERE: u32 = u32::MAX;
/// Several nodes.
const MANY: u32 = u32::MAX - 1;

/// Where the routes of a leaf are.
#[derive(Debug, Clone, Copy, Default)]
struct LeafPlace {
    /// How many there are.
    count: u32,
    /// The only one, or where several begin in [`Tree::leaves`].
    start: u32,
}

/// A literal's text: in place, unless it is long.
#[derive(Debug, Default)]
struct Label {
    /// [`Label::LONG`] when `bytes` begin with a [`Range`] of [`Tree::text`].
    length: u8,
    bytes: [u8; Label::ROOM],
}

impl Label {
    const ROOM: usize = 27;
    const LONG: u8 = u8::MAX;

    fn new(text: &str, long: &mut String) -> Self {
        let mut bytes = [0; Self::ROOM];
        if let Some(place) = bytes.get_mut(..text.len()) {
            place.copy_from_slice(text.as_bytes());
            return Self { length: text.len() as u8, bytes };
        }
        let range = push(long, text);
        bytes[..4].copy_from_slice(&range.start.to_ne_bytes());
        bytes[4..8].copy_from_slice(&range.end.to_ne_bytes());
        Self { length: Self::LONG, bytes }
    }

    fn is(&self, segment: &[u8], long: &str) -> bool {
        if self.length != Self::LONG {
            return self.bytes[..usize::from(self.length)] == *segment;
        }
        let number = |at: usize| {
            let [a, b, c, d] = [at, at + 1, at + 2, at + 3].map(|at| self.bytes[at]);
            u32::from_ne_bytes([a, b, c, d]) as usize
        };
        long.as_bytes()[number(0)..number(4)] == *segment
    }
}

#[derive(Debug)]
struct PatternEdge {
    prefix: Range,
    suffix: Range,
    regex: Option<SegmentRegex>,
    node: u32,
}

/// The routes of a leaf, as positions in the list that the trees were built from.
pub(super) type Leaf<'t> = &'t [u32];

/// Grows the trees.
#[derive(Debug, Default)]
pub(super) struct Builder<'r> {
    text: String,
    sprouts: Vec<Sprout<'r>>,
    literals: HashMap<(u32, &'r str), u32>,
    patterns: HashMap<(u32, PatternKey<'r>), u32>,
}

type PatternKey<'r> = (&'r str, &'r str, &'r str);

#[derive(Debug)]
struct Sprout<'r> {
    parent: u32,
    literal: &'r str,
    child: u32,
    patterns: Vec<SproutEdge<'r>>,
    end: Vec<u32>,
    rest: Vec<u32>,
}

#[derive(Debug)]
struct SproutEdge<'r> {
    prefix: &'r str,
    suffix: &'r str,
    regex: Option<&'r SegmentRegex>,
    node: u32,
}

impl<'r> Builder<'r> {
    /// A new tree's root.
    pub(super) fn root(&mut self) -> u32 {
        self.sprout(NOWHERE, "")
    }

    /// Puts a route under a root.
    pub(super) fn insert(&mut self, root: u32, pattern: &'r PathPattern, route: u32) {
        let mut node = root;
        for segment in pattern.segments() {
            node = match segment {
                Segment::Literal(text) => self.literal_child(node, pattern.part(*text)),
                Segment::Param { prefix, suffix, regex, .. } => {
                    self.pattern_child(node, pattern.part(*prefix), pattern.part(*suffix), regex.as_ref())
                }
                Segment::Rest { .. } => {
                    self.sprouts[node as usize].rest.push(route);
                    return;
                }
            };
        }
        self.sprouts[node as usize].end.push(route);
    }

    /// The trees. `sort` puts the routes of one leaf into the order in which they are tried.
    pub(super) fn build(mut self, mut sort: impl FnMut(&mut [u32])) -> Tree {
        let mut nodes = Vec::with_capacity(self.sprouts.len());
        let mut patterns = Vec::with_capacity(self.patterns.len());
        let mut leaves = Vec::new();
        let mut leaf = |routes: &mut Vec<u32>| {
            sort(routes);
            if let [only] = routes[..] {
                return LeafPlace { count: 1, start: only };
            }
            let start = leaves.len() as u32;
            leaves.append(routes);
            LeafPlace { count: leaves.len() as u32 - start, start }
        };
        for sprout in &mut self.sprouts {
            sprout.patterns.sort_by(|left, right| left.rank().cmp(&right.rank()));
            let plain = sprout.patterns.pop_if(|edge| edge.is_plain()).map_or(NOWHERE, |edge| edge.node);
            let start = patterns.len() as u32;
            patterns.extend(sprout.patterns.iter().map(|edge| PatternEdge {
                prefix: push(&mut self.text, edge.prefix),
                suffix: push(&mut self.text, edge.suffix),
                regex: edge.regex.cloned(),
                node: edge.node,
            }));
            nodes.push(Node {
                parent: sprout.parent,
                plain,
                patterns: Range { start, end: patterns.len() as u32 },
                child: sprout.child,
                literal: Label::new(sprout.literal, &mut self.text),
                end: leaf(&mut sprout.end),
                rest: leaf(&mut sprout.rest),
            });
        }
        let literals =
            Table::build(self.literals.iter().map(|((parent, text), node)| (hash(*parent, text), *node)));
        Tree {
            text: self.text.into(),
            nodes: nodes.into(),
            literals,
            patterns: patterns.into(),
            leaves: leaves.into(),
        }
    }

    fn literal_child(&mut self, parent: u32, text: &'r str) -> u32 {
        if let Some(node) = self.literals.get(&(parent, text)) {
            return *node;
        }
        let node = self.sprout(parent, text);
        let child = &mut self.sprouts[parent as usize].child;
        *child = if *child == NOWHERE { node } else { MANY };
        self.literals.insert((parent, text), node);
        node
    }

    fn pattern_child(
        &mut self,
        parent: u32,
        prefix: &'r str,
        suffix: &'r str,
        regex: Option<&'r SegmentRegex>,
    ) -> u32 {
        let key = (parent, (prefix, suffix, regex.map_or("", SegmentRegex::as_str)));
        if let Some(node) = self.patterns.get(&key) {
            return *node;
        }
        let node = self.sprout(parent, "");
        self.sprouts[parent as usize].patterns.push(SproutEdge { prefix, suffix, regex, node });
        self.patterns.insert(key, node);
        node
    }

    fn sprout(&mut self, parent: u32, literal: &'r str) -> u32 {
        let (patterns, end, rest) = Default::default();
        self.sprouts.push(Sprout { parent, literal, child: NOWHERE, patterns, end, rest });
        (self.sprouts.len() - 1) as u32
    }
}

impl SproutEdge<'_> {
    fn is_plain(&self) -> bool {
        self.prefix.is_empty() && self.suffix.is_empty() && self.regex.is_none()
    }

    fn rank(&self) -> Rank<'_> {
        Rank::param(self.prefix, self.suffix, self.regex)
    }
}

impl Tree {
    /// Visits the leaves below `root` that match the path, the most specific first, until `visit` returns
    /// something. `params` holds the spans of the leaf that is visited, and after `Some` still does.
    pub(super) fn search<T>(
        &self,
        root: u32,
        path: &str,
        params: &mut Params,
        visit: &mut impl FnMut(Leaf<'_>, &mut Params) -> Option<T>,
    ) -> Option<T> {
        // An empty path (CONNECT) is compared like `/`; another without a slash in front is none at all.
        if !path.is_empty() && !path.starts_with('/') {
            return None;
        }
        self.descend(root, path, 1.min(path.len()), params, visit)
    }

    /// Compares what `node` leads to with the path from `at`: the byte after a slash, or one past the path's
    /// end when all segments are taken. Goes as deep as the longest template, `MAX_SEGMENTS`.
    fn descend<T>(
        &self,
        node: u32,
        path: &str,
        at: usize,
        params: &mut Params,
        visit: &mut impl FnMut(Leaf<'_>, &mut Params) -> Option<T>,
    ) -> Option<T> {
        let here = &self.nodes[node as usize];
        if at > path.len() {
            if let found @ Some(_) = self.visit(here.end, params, visit) {
                return found;
            }
            return self.visit_rest(here, path.len(), path.len(), params, visit);
        }
        let end = memchr::memchr(b'/', &path.as_bytes()[at..]).map_or(path.len(), |length| at + length);
        let segment = &path[at..end];
        let is_child = |child: u32| {
            let child = &self.nodes[child as usize];
            child.parent == node && child.literal.is(segment.as_bytes(), &self.text)
        };
        let child = match here.child {
            NOWHERE => None,
            MANY => self.literals.find(hash(node, segment), is_child),
            only => is_child(only).then_some(only),
        };
        if let Some(child) = child
            && let found @ Some(_) = self.descend(child, path, end + 1, params, visit)
        {
            return found;
        }
        for edge in &self.patterns[here.patterns.start as usize..here.patterns.end as usize] {
            let Some(value) = self.value(edge, segment) else { continue };
            let start = at + (edge.prefix.end - edge.prefix.start) as usize;
            params.push(start, start + value.len());
            if let found @ Some(_) = self.descend(edge.node, path, end + 1, params, visit) {
                return found;
            }
            params.pop();
        }
        if here.plain != NOWHERE && !segment.is_empty() {
            params.push(at, end);
            if let found @ Some(_) = self.descend(here.plain, path, end + 1, params, visit) {
                return found;
            }
            params.pop();
        }
        self.visit_rest(here, at, path.len(), params, visit)
    }

    /// What the parameter of this edge takes of the segment: at least a byte.
    fn value<'p>(&self, edge: &PatternEdge, segment: &'p str) -> Option<&'p str> {
        let value = segment.strip_prefix(self.text(edge.prefix))?.strip_suffix(self.text(edge.suffix))?;
        let fits = !value.is_empty() && edge.regex.as_ref().is_none_or(|regex| regex.is_match(value));
        fits.then_some(value)
    }

    fn visit_rest<T>(
        &self,
        node: &Node,
        start: usize,
        end: usize,
        params: &mut Params,
        visit: &mut impl FnMut(Leaf<'_>, &mut Params) -> Option<T>,
    ) -> Option<T> {
        if node.rest.count == 0 {
            return None;
        }
        params.push(start, end);
        let found = self.visit(node.rest, params, visit);
        if found.is_none() {
            params.pop();
        }
        found
    }

    fn visit<T>(
        &self,
        leaf: LeafPlace,
        params: &mut Params,
        visit: &mut impl FnMut(Leaf<'_>, &mut Params) -> Option<T>,
    ) -> Option<T> {
        if leaf.count == 0 { None } else { visit(self.leaf(&leaf), params) }
    }

    fn leaf<'t>(&'t self, place: &'t LeafPlace) -> Leaf<'t> {
        match place.count {
            1 => std::slice::from_ref(&place.start),
            count => &self.leaves[place.start as usize..(place.start + count) as usize],
        }
    }

    /// Every leaf that has routes.
    pub(super) fn leaves(&self) -> impl Iterator<Item = Leaf<'_>> {
        self.nodes
            .iter()
            .flat_map(|node| [&node.end, &node.rest])
            .filter(|leaf| leaf.count > 0)
            .map(|leaf| self.leaf(leaf))
    }

    fn text(&self, range: Range) -> &str {
        &self.text[range.start as usize..range.end as usize]
    }
}

fn push(text: &mut String, piece: &str) -> Range {
    let start = text.len() as u32;
    text.push_str(piece);
    Range { start, end: text.len() as u32 }
}

fn hash(parent: u32, segment: &str) -> u64 {
    xxh3_64_with_seed(segment.as_bytes(), u64::from(parent))
}
