//! Which template of the document a path is: concrete segments win over templated ones.

use std::collections::HashMap;

use crate::form::decode_path;

/// A segment of a template: texts and names by turns.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Name(String),
}

#[derive(Debug, Default)]
pub(super) struct Tree {
    concrete: HashMap<String, Tree>,
    /// Those with the most text first.
    templated: Vec<(Vec<Piece>, Tree)>,
    /// The template that ends here, with its names in the order in which they stand.
    end: Option<(usize, Vec<String>)>,
}

impl Tree {
    /// Adds a template. The error is a sentence.
    pub(super) fn add(&mut self, template: &str, index: usize) -> Result<Vec<String>, String> {
        let segments = template.strip_prefix('/').ok_or("does not begin with `/`")?;
        let mut names = Vec::new();
        let mut node = self;
        for segment in segments.split('/') {
            let pieces = pieces(segment).ok_or("has braces that do not fit: a template is `/users/{id}`")?;
            names.extend(pieces.iter().filter_map(|piece| match piece {
                Piece::Name(name) => Some(name.clone()),
                Piece::Text(_) => None,
            }));
            node = match &pieces[..] {
                [] => node.concrete.entry(String::new()).or_default(),
                [Piece::Text(text)] => {
                    node.concrete.entry(decode_path(text).unwrap_or_else(|| text.clone())).or_default()
                }
                _ => node.branch(pieces),
            };
        }
        if (1..names.len()).any(|at| names[..at].contains(&names[at])) {
            return Err("has the same name twice".to_owned());
        }
        if node.end.is_some() {
            return Err("is the same as another path but for its names".to_owned());
        }
        node.end = Some((index, names.clone()));
        Ok(names)
    }

    /// The template of a path that begins behind its first `/`, and the texts of its names, still encoded.
    pub(super) fn find<'p>(&self, path: &'p str) -> Option<(usize, &[String], Vec<&'p str>)> {
        let mut values = Vec::new();
        let (index, names) = self.walk(path.split('/'), &mut values)?;
        Some((index, names, values))
    }

    /// How far this goes is bounded by the depth of the document's own templates.
    fn walk<'p>(
        &self,
        mut segments: std::str::Split<'p, char>,
        values: &mut Vec<&'p str>,
    ) -> Option<(usize, &[String])> {
        let Some(segment) = segments.next() else {
            return self.end.as_ref().map(|(index, names)| (*index, names.as_slice()));
        };
        let found = if segment.contains('%') {
            decode_path(segment).and_then(|decoded| self.concrete.get(&decoded))
        } else {
            self.concrete.get(segment)
        };
        if let Some(found) = found.and_then(|node| node.walk(segments.clone(), values)) {
            return Some(found);
        }
        let length = values.len();
        for (pieces, node) in &self.templated {
            if cut(pieces, segment, values)
                && let Some(found) = node.walk(segments.clone(), values)
            {
                return Some(found);
            }
            values.truncate(length);
        }
        None
    }

    fn branch(&mut self, pieces: Vec<Piece>) -> &mut Tree {
        let shape = |pieces: &[Piece]| -> Vec<Option<String>> {
            pieces
                .iter()
                .map(|piece| if let Piece::Text(text) = piece { Some(text.clone()) } else { None })
                .collect()
        };
        let wanted = shape(&pieces);
        let at = self.templated.iter().position(|(known, _)| shape(known) == wanted).unwrap_or_else(|| {
            let text = |pieces: &[Piece]| -> usize { shape(pieces).iter().flatten().map(String::len).sum() };
            let at = self.templated.iter().position(|(known, _)| text(known) < text(&pieces));
            let at = at.unwrap_or(self.templated.len());
            self.templated.insert(at, (pieces, Tree::default()));
            at
        });
        &mut self.templated[at].1
    }
}

/// A segment of a template in pieces; none where braces do not pair or names touch each other.
fn pieces(segment: &str) -> Option<Vec<Piece>> {
    let mut list = Vec::new();
    let mut rest = segment;
    while !rest.is_empty() {
        let (text, behind) = rest.split_once('{').map_or((rest, None), |(text, behind)| (text, Some(behind)));
        if text.contains('}') {
            return None;
        }
        if !text.is_empty() {
            list.push(Piece::Text(text.to_owned()));
        } else if matches!(list.last(), Some(Piece::Name(_))) {
            return None;
        }
        let Some(behind) = behind else { break };
        let (name, behind) = behind.split_once('}')?;
        if name.is_empty() || name.contains('{') {
            return None;
        }
        list.push(Piece::Name(name.to_owned()));
        rest = behind;
    }
    Some(list)
}

/// Cuts a segment by the pieces of a template; names take at least one character, and as few as they can.
fn cut<'p>(pieces: &[Piece], segment: &'p str, values: &mut Vec<&'p str>) -> bool {
    let mut rest = segment;
    for (index, piece) in pieces.iter().enumerate() {
        match piece {
            Piece::Text(text) => match rest.strip_prefix(text.as_str()) {
                Some(behind) => rest = behind,
                None => return false,
            },
            Piece::Name(_) => {
                let end = match pieces.get(index + 1) {
                    // The last text of a segment is its end, not its first occurrence.
                    Some(Piece::Text(text)) if index + 2 == pieces.len() => {
                        rest.strip_suffix(text.as_str()).map(str::len)
                    }
                    Some(Piece::Text(text)) => {
                        let from = rest.chars().next().map_or(0, char::len_utf8);
                        rest[from..].find(text.as_str()).map(|at| at + from)
                    }
                    _ => Some(rest.len()),
                };
                let Some(end) = end.filter(|end| *end > 0) else { return false };
                values.push(&rest[..end]);
                rest = &rest[end..];
            }
        }
    }
    rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn concrete_segments_win() {
        let templates = [
            "/",
            "/users",
            "/users/{id}",
            "/users/me",
            "/users/{id}/posts/{post}",
            "/users/me/posts/last",
            "/files/{name}.{kind}",
            "/files/{name}",
            "/a b/{x}",
            "/{any}/x",
            "/trailing/",
        ];
        let mut tree = Tree::default();
        for (index, template) in templates.iter().enumerate() {
            tree.add(template, index).unwrap();
        }
        let cases: [(&str, Option<&str>, &[&str]); 17] = [
            ("", Some("/"), &[]),
            ("users", Some("/users"), &[]),
            ("users/7", Some("/users/{id}"), &["7"]),
            ("users/me", Some("/users/me"), &[]),
            ("users/%6de", Some("/users/me"), &[]),
            ("users/me/posts/last", Some("/users/me/posts/last"), &[]),
            ("users/me/posts/1", Some("/users/{id}/posts/{post}"), &["me", "1"]),
            ("users/a%2Fb", Some("/users/{id}"), &["a%2Fb"]),
            ("users/", None, &[]),
            ("users/1/posts", None, &[]),
            ("files/a.b.png", Some("/files/{name}.{kind}"), &["a", "b.png"]),
            ("files/.png", Some("/files/{name}"), &[".png"]),
            ("a%20b/1", Some("/a b/{x}"), &["1"]),
            ("users/x", Some("/users/{id}"), &["x"]),
            ("q/x", Some("/{any}/x"), &["q"]),
            ("trailing/", Some("/trailing/"), &[]),
            ("trailing", None, &[]),
        ];
        for (path, template, values) in cases {
            let found = tree.find(path);
            assert_eq!(found.as_ref().map(|(index, _, _)| templates[*index]), template, "{path}");
            assert_eq!(found.map(|(_, _, values)| values).unwrap_or_default(), values, "{path}");
        }
    }

    #[test]
    fn templates_that_cannot_be_told_apart_are_refused() {
        let mut tree = Tree::default();
        assert_eq!(tree.add("/a/{x}-{y}", 0).unwrap(), ["x", "y"]);
        for wrong in ["/a/{p}-{q}", "a", "/{x", "/x}", "/{}", "/{a}{b}", "/{a}/{a}", "/{a{b}}"] {
            assert!(tree.add(wrong, 1).is_err(), "{wrong}");
        }
    }
}
