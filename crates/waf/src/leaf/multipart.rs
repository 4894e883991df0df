//! `multipart/form-data`: names, names of files, and values of fields. Contents of files are not looked at.

use super::{Kind, Visit};
use crate::detect::head::is_known_charset;

/// Parts read of one body.
const MOST_PARTS: usize = 256;

/// What was wrong with the body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Faults {
    /// It is no such body, or does not end.
    pub(crate) is_malformed: bool,
    /// A name or file name has a delimiter in it.
    pub(crate) has_odd_name: bool,
    /// A part's header is no header, or says that the part is encoded or in another character set.
    pub(crate) has_odd_header: bool,
}

/// The boundary that a Content-Type names.
pub(crate) fn boundary(content_type: &[u8]) -> Option<&[u8]> {
    let low = content_type.to_ascii_lowercase();
    let at = low.windows(9).position(|window| window == b"boundary=")? + 9;
    let rest = &content_type[at..];
    let boundary = match rest.strip_prefix(b"\"") {
        Some(quoted) => quoted.split(|byte| *byte == b'"').next()?,
        None => rest.split(|byte| matches!(byte, b';' | b' ')).next()?,
    };
    (!boundary.is_empty() && boundary.len() <= 200).then_some(boundary)
}

pub(crate) fn read(input: &[u8], boundary: &[u8], visit: &mut dyn Visit) -> Faults {
    let mut faults = Faults::default();
    let mut delimiter = Vec::with_capacity(boundary.len() + 2);
    delimiter.extend_from_slice(b"--");
    delimiter.extend_from_slice(boundary);
    let Some(mut at) = find(input, &delimiter, 0) else {
        faults.is_malformed = true;
        return faults;
    };
    for _ in 0..MOST_PARTS {
        let start = at + delimiter.len();
        if input[start..].starts_with(b"--") {
            return faults;
        }
        let Some(end) = find(input, &delimiter, start) else {
            faults.is_malformed = true;
            part(&input[start..], visit, &mut faults);
            return faults;
        };
        if !part(&input[start..end], visit, &mut faults) {
            return faults;
        }
        at = end;
    }
    faults.is_malformed = true;
    faults
}

/// One part: its head, an empty line, its value.
fn part(part: &[u8], visit: &mut dyn Visit, faults: &mut Faults) -> bool {
    let part = part.strip_prefix(b"\r\n").or_else(|| part.strip_prefix(b"\n")).unwrap_or(part);
    let (head, value) = match (find(part, b"\r\n\r\n", 0), find(part, b"\n\n", 0)) {
        (Some(at), other) if other.is_none_or(|other| at < other) => (&part[..at], &part[at + 4..]),
        (_, Some(at)) => (&part[..at], &part[at + 2..]),
        _ => {
            faults.is_malformed = true;
            (part, &part[part.len()..])
        }
    };
    let value = value.strip_suffix(b"\r\n").or_else(|| value.strip_suffix(b"\n")).unwrap_or(value);
    let mut name: &[u8] = b"";
    let mut file = None;
    for line in head.split(|byte| *byte == b'\n') {
        if !line.to_ascii_lowercase().starts_with(b"content-disposition") {
            faults.has_odd_header |= is_odd_header(line.trim_ascii());
            // Other headers of a part are values, too: what is in them reaches the service.
            if !visit.leaf(b"", line.trim_ascii(), Kind::Plain) {
                return false;
            }
            continue;
        }
        faults.has_odd_name |= has_odd_parameters(line);
        name = parameter(line, b"name").unwrap_or(name);
        file = parameter(line, b"filename").or_else(|| parameter(line, b"filename*")).or(file);
    }
    let is_odd =
        |text: &[u8]| text.iter().any(|byte| matches!(byte, b';' | b'=' | b'"' | b'\'' | b'\r' | b'\0'));
    faults.has_odd_name |= is_odd(name)
        || name.contains(&b'\\')
        || file.is_some_and(|file| file.iter().any(|byte| matches!(byte, b';' | b'=' | b'"' | b'\0')));
    if !name.is_empty() && !visit.leaf(name, name, Kind::PlainName) {
        return false;
    }
    faults.has_odd_header |=
        name == b"_charset_" && !is_known_charset(&value.trim_ascii().to_ascii_lowercase());
    match file {
        Some(file) => file.is_empty() || visit.leaf(name, file, Kind::FileName),
        None => visit.leaf(name, value, Kind::Plain),
    }
}

/// RFC 7578, 4.7: no part is encoded; and what is in another character set cannot be read.
fn is_odd_header(line: &[u8]) -> bool {
    if line.is_empty() {
        return false;
    }
    let Some(colon) = line.iter().position(|byte| *byte == b':') else { return true };
    let low = line.to_ascii_lowercase();
    let (name, value) = (&low[..colon], low[colon + 1..].trim_ascii());
    if name.is_empty() || !name.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    {
        return true;
    }
    match name {
        b"content-transfer-encoding" => !matches!(value, b"binary" | b"8bit" | b"7bit"),
        b"content-type" => value.split(|byte| *byte == b';').skip(1).any(|parameter| {
            let charset = parameter.trim_ascii().strip_prefix(b"charset=");
            charset.is_some_and(|charset| {
                let bare =
                    charset.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or(charset);
                !is_known_charset(bare)
            })
        }),
        _ => false,
    }
}

/// A name twice, or something behind the quote that closes one: readers differ in which they take.
fn has_odd_parameters(line: &[u8]) -> bool {
    let low = line.trim_ascii().to_ascii_lowercase();
    let (mut names, mut files, mut is_quoted) = (0, 0, false);
    for (at, byte) in low.iter().enumerate() {
        if *byte == b'"' && (at == 0 || low[at - 1] != b'\\') {
            is_quoted = !is_quoted;
            let next = low.get(at + 1);
            if !is_quoted && next.is_some_and(|next| !matches!(next, b';' | b' ' | b'\t')) {
                return true;
            }
        }
        if *byte == b';' && !is_quoted {
            let rest = low[at + 1..].trim_ascii_start();
            names += usize::from(rest.starts_with(b"name="));
            files += usize::from(rest.starts_with(b"filename="));
        }
    }
    names > 1 || files > 1 || is_quoted
}

/// `; name="value"` of a header's line. A quote after a backslash does not end it.
fn parameter<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let mut at = 0;
    while let Some(found) = line[at..].iter().position(|byte| *byte == b';') {
        at += found + 1;
        let rest = line[at..].trim_ascii_start();
        let start = line.len() - rest.len();
        if rest.len() > name.len()
            && rest[..name.len()].eq_ignore_ascii_case(name)
            && rest[name.len()] == b'='
        {
            let value = rest[name.len() + 1..].trim_ascii_end();
            return Some(match value.strip_prefix(b"\"") {
                Some(quoted) => {
                    let mut end = 0;
                    while end < quoted.len() && quoted[end] != b'"' {
                        end += 1 + usize::from(quoted[end] == b'\\');
                    }
                    &quoted[..end.min(quoted.len())]
                }
                None => value.split(|byte| *byte == b';').next().unwrap_or(value),
            });
        }
        // A quoted value before it is passed over whole.
        if let Some(open) =
            rest.iter().position(|byte| matches!(byte, b'"' | b';')).filter(|open| rest[*open] == b'"')
        {
            let close = rest[open + 1..]
                .iter()
                .position(|byte| *byte == b'"')
                .map_or(rest.len(), |close| open + 1 + close);
            at = (start + close).min(line.len());
        }
    }
    None
}

fn find(text: &[u8], needle: &[u8], from: usize) -> Option<usize> {
    memchr::memmem::find(text.get(from..)?, needle).map(|at| from + at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Leaves(Vec<(String, String, Kind)>);

    impl Visit for Leaves {
        fn leaf(&mut self, name: &[u8], value: &[u8], kind: Kind) -> bool {
            let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
            self.0.push((text(name), text(value), kind));
            true
        }
    }

    #[test]
    fn fields_and_files_are_told_apart() {
        let body = b"--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\none\r\n--b\r\nContent-Disposition: form-data; \
            name=\"f\"; filename=\"x;y.png\"\r\nContent-Type: image/png\r\n\r\n<script>\r\n--b--\r\n";
        let mut leaves = Leaves::default();
        let faults = read(body, boundary(b"multipart/form-data; boundary=b").unwrap(), &mut leaves);
        assert_eq!(faults, Faults { has_odd_name: true, ..Faults::default() });
        let values: Vec<&str> = leaves.0.iter().map(|(_, value, _)| value.as_str()).collect();
        assert_eq!(values, ["a", "one", "Content-Type: image/png", "f", "x;y.png"]);
    }

    #[test]
    fn a_body_without_end_is_malformed() {
        for body in ["", "--b", "--b\r\nx", "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\none"] {
            assert!(read(body.as_bytes(), b"b", &mut Leaves::default()).is_malformed, "{body}");
        }
    }
}
