//! `rewrite:` makes the path that the service sees from what the route's template took.

use super::{Params, PathPattern};

/// A parsed path to write, such as `/static/{rest}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rewrite {
    pieces: Box<[Piece]>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Literal(Box<str>),
    /// The parameter at this position of the template.
    Param(usize),
}

/// What is wrong with a rewrite, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct RewriteFault {
    /// Byte offset in the rewrite's text.
    pub offset: usize,
    /// A sentence for the operator.
    pub message: String,
}

/// The written path would hold a dot segment, which a service resolves to somewhere else: answer 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the rewritten path would hold a dot segment")]
pub struct UnsafePath;

impl Rewrite {
    /// Parses the text; every `{name}` in it is a parameter of the route's template.
    pub fn parse(text: &str, pattern: &PathPattern) -> Result<Self, RewriteFault> {
        let fault = |offset: usize, message: String| RewriteFault { offset, message };
        if !text.starts_with('/') {
            return Err(fault(0, "a rewritten path begins with `/`".to_owned()));
        }
        let mut offset = 0;
        for segment in text.split('/') {
            if segment == "." || segment == ".." {
                return Err(fault(offset, "a rewritten path has no dot segments".to_owned()));
            }
            offset += segment.len() + 1;
        }
        let mut pieces = Vec::new();
        let mut at = 0;
        while at < text.len() {
            let Some(open) = text[at..].find(['{', '}']).map(|offset| at + offset) else {
                pieces.push(literal(text, at, text.len())?);
                break;
            };
            if open > at {
                pieces.push(literal(text, at, open)?);
            }
            if text.as_bytes()[open] == b'}' {
                return Err(fault(open, "this `}` closes nothing".to_owned()));
            }
            let Some(close) = text[open..].find('}').map(|offset| open + offset) else {
                return Err(fault(open, "this `{` is never closed".to_owned()));
            };
            let written = &text[open + 1..close];
            let name = written.strip_suffix("...").unwrap_or(written);
            let Some(position) = pattern.position_of(name) else {
                return Err(fault(open + 1, unknown(name, pattern)));
            };
            pieces.push(Piece::Param(position));
            at = close + 1;
        }
        Ok(Self { pieces: pieces.into() })
    }

    /// Replaces `out` by the rewritten path of a request, percent-encoded as the request's own. Slashes that
    /// meet where an empty rest was put are made one. The query is the caller's.
    pub fn apply(&self, path: &str, params: &Params, out: &mut String) -> Result<(), UnsafePath> {
        out.clear();
        for piece in &self.pieces {
            let text = match piece {
                Piece::Literal(text) => text,
                Piece::Param(position) => params.at(*position, path).unwrap_or_default(),
            };
            let doubled = out.ends_with('/') && text.starts_with('/');
            out.push_str(&text[usize::from(doubled)..]);
        }
        // A parameter beside literal text may have taken dots: `/v{x}` takes `..` of `/v..`.
        // And `..%2Fx` of `/v..%2Fx`, which some services take for one.
        if http1::has_dot_segment(out) { Err(UnsafePath) } else { Ok(()) }
    }
}

/// A literal piece, which must be a piece of a path as it is.
fn literal(text: &str, start: usize, end: usize) -> Result<Piece, RewriteFault> {
    let piece = &text[start..end];
    for (at, byte) in piece.bytes().enumerate() {
        let message = match byte {
            b'?' | b'#' => "the request's query is kept, so a rewrite has none of its own",
            b'%' if !is_encoded(&piece.as_bytes()[at..]) => "`%` begins a percent-encoded byte such as `%20`",
            b'%' | b'/' => continue,
            _ if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&byte) => continue,
            _ => "this character stands in a path only percent-encoded",
        };
        return Err(RewriteFault { offset: start + at, message: message.to_owned() });
    }
    if let Some(at) = piece.find("//") {
        return Err(RewriteFault { offset: start + at, message: "an empty segment".to_owned() });
    }
    Ok(Piece::Literal(piece.into()))
}

fn is_encoded(bytes: &[u8]) -> bool {
    bytes.len() > 2 && bytes[1..3].iter().all(u8::is_ascii_hexdigit)
}

fn unknown(name: &str, pattern: &PathPattern) -> String {
    match crate::expression::closest(name, pattern.names()) {
        Some(known) => format!("the path has no parameter `{name}`; did you mean `{known}`?"),
        None if pattern.names().next().is_none() => {
            format!("the path has no parameter `{name}`: it has none")
        }
        None => {
            let names: Vec<_> = pattern.names().collect();
            format!("the path has no parameter `{name}`; it has `{}`", names.join("`, `"))
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_written_from_what_the_template_took() {
        for (pattern, spans, path, rewrite, expected) in [
            ("/public/{rest...}", vec![(8, 11)], "/public/x/y", "/static/{rest}", Ok("/static/x/y")),
            ("/public/{rest...}", vec![(7, 7)], "/public", "/static/{rest...}", Ok("/static/")),
            ("/public/{rest...}", vec![(8, 10)], "/public/x/", "/{rest}/index", Ok("/x/index")),
            ("/public/{rest...}", vec![(7, 7)], "/public", "/a/{rest}/b", Ok("/a/b")),
            ("/{a}/{b}", vec![(1, 2), (3, 6)], "/x/%20", "/{b}-{a}.json", Ok("/%20-x.json")),
            ("/v{x}", vec![(2, 4)], "/v..", "/{x}/secret", Err(UnsafePath)),
            ("/v{x}", vec![(2, 4)], "/v..", "/a{x}", Ok("/a..")),
            ("/v{x}", vec![(2, 3)], "/v.", "/{x}{x}", Err(UnsafePath)),
            ("/v{x}", vec![(2, 12)], "/v..%2Fadmin", "/{x}", Err(UnsafePath)),
            ("/v{x}", vec![(2, 6)], "/v..;a", "/{x}", Err(UnsafePath)),
            ("/v{x}", vec![(2, 8)], "/va%2F..", "/{x}", Err(UnsafePath)),
            ("/v{x}", vec![(2, 7)], "/va%2Fb", "/{x}", Ok("/a%2Fb")),
        ] {
            let pattern = PathPattern::parse(pattern).unwrap();
            let rewrite = Rewrite::parse(rewrite, &pattern).unwrap();
            let mut params = Params::new();
            for (start, end) in spans {
                params.push(start, end);
            }
            let mut out = "left over".to_owned();
            let result = rewrite.apply(path, &params, &mut out).map(|()| out.as_str());
            assert_eq!(result, expected, "{path}");
        }
    }

    #[test]
    fn faults_point_at_their_byte_and_suggest_names() {
        let pattern = PathPattern::parse("/a/{tenant}/{rest...}").unwrap();
        for (text, offset, words) in [
            ("", 0, "begins with `/`"),
            ("x", 0, "begins with `/`"),
            ("/{tennant}", 2, "did you mean `tenant`?"),
            ("/{zzz}", 2, "it has `tenant`, `rest`"),
            ("/{", 1, "never closed"),
            ("/}", 1, "closes nothing"),
            ("/a?x=1", 2, "query is kept"),
            ("/a//b", 2, "empty segment"),
            ("/a/../b", 3, "dot segments"),
            ("/.", 1, "dot segments"),
            ("/a b", 2, "percent-encoded"),
            ("/a%2", 2, "percent-encoded"),
        ] {
            let fault = Rewrite::parse(text, &pattern).unwrap_err();
            assert!(fault.message.contains(words), "{text}: {fault}");
            assert_eq!(fault.offset, offset, "{text}");
        }
    }
}
