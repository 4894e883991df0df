//! The parts of a `multipart/form-data` body (RFC 7578), read strictly: what two readers could take for two different
//! forms is refused.

use memchr::memmem;

/// The most parts of one body.
const MAX_PARTS: usize = 1_000;

/// The longest head of one part, in bytes.
const MAX_HEAD: usize = 8 * 1024;

/// The longest boundary (RFC 2046 section 5.1.1).
const MAX_BOUNDARY: usize = 70;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PartOf<'b> {
    pub(crate) name: String,
    pub(crate) is_file: bool,
    /// Without parameters, in lower case; empty where the part names none.
    pub(crate) content_type: String,
    pub(crate) body: &'b [u8],
}

/// The parameter of a `Content-Type` that says where parts end.
pub(crate) fn boundary(content_type: &str) -> Option<String> {
    let mut found = parameters(content_type)?.into_iter().filter(|(name, _)| name == "boundary");
    let (_, boundary) = found.next().filter(|_| found.next().is_none())?;
    let is_char = |b: u8| b.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(&b);
    let is_whole = (1..=MAX_BOUNDARY).contains(&boundary.len())
        && boundary.bytes().all(is_char)
        && !boundary.ends_with(' ');
    is_whole.then_some(boundary)
}

/// Reads all parts. The error is a sentence.
pub(crate) fn parts<'b>(body: &'b [u8], boundary: &str) -> Result<Vec<PartOf<'b>>, String> {
    let opening = format!("--{boundary}");
    let mut rest = body.strip_prefix(opening.as_bytes()).ok_or("does not begin with its boundary")?;
    let delimiter = format!("\r\n--{boundary}");
    let finder = memmem::Finder::new(delimiter.as_bytes());
    let mut list = Vec::new();
    loop {
        if let Some(end) = rest.strip_prefix(b"--") {
            let is_end = end.is_empty() || end == b"\r\n";
            return if is_end { Ok(list) } else { Err("has text behind its last part".to_owned()) };
        }
        if list.len() == MAX_PARTS {
            return Err(format!("has more than {MAX_PARTS} parts"));
        }
        let begun = rest.strip_prefix(b"\r\n").ok_or("has a boundary that does not end its line")?;
        // An empty head is `\r\n` alone; such a part has no name.
        let window = &begun[..begun.len().min(MAX_HEAD)];
        let head = memmem::find(window, b"\r\n\r\n")
            .ok_or("has a part without an end of its head, or with too long a one")?;
        let content = &begun[head + 4..];
        let end = finder.find(content).ok_or("does not end with its boundary")?;
        list.push(part(&begun[..head], &content[..end])?);
        rest = &content[end + delimiter.len()..];
    }
}

fn part<'b>(head: &[u8], body: &'b [u8]) -> Result<PartOf<'b>, String> {
    let head = std::str::from_utf8(head).map_err(|_| "has a part whose head is not UTF-8")?;
    let (mut disposition, mut content_type) = (None, None);
    for line in head.split("\r\n") {
        let (name, value) = line.split_once(':').ok_or("has a part with a line that is no header")?;
        let is_token = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if !is_token || value.contains(['\r', '\n', '\0']) {
            return Err("has a part with a line that is no header".to_owned());
        }
        let place = match name.to_ascii_lowercase().as_str() {
            "content-disposition" => &mut disposition,
            "content-type" => &mut content_type,
            "content-transfer-encoding" if !matches!(value.trim(), "7bit" | "8bit" | "binary") => {
                return Err("has a part with a transfer encoding, which HTTP does not have".to_owned());
            }
            _ => continue,
        };
        if place.replace(value.trim()).is_some() {
            return Err("has a part with a header twice".to_owned());
        }
    }
    let disposition = disposition.ok_or("has a part without a Content-Disposition")?;
    if !disposition.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("form-data") {
        return Err("has a part that is no form-data".to_owned());
    }
    let broken = "has a part with a broken Content-Disposition";
    let parameters = parameters(disposition).ok_or(broken)?;
    let mut names = parameters.iter().filter(|(name, _)| name == "name");
    let (Some((_, name)), None) = (names.next(), names.next()) else { return Err(broken.to_owned()) };
    let is_file = parameters.iter().any(|(name, _)| name == "filename" || name == "filename*");
    let content_type = content_type.unwrap_or_default().split(';').next().unwrap_or_default();
    Ok(PartOf { name: name.clone(), is_file, content_type: content_type.trim().to_ascii_lowercase(), body })
}

/// What stands behind the first `;`: names in lower case, texts without quotes.
fn parameters(value: &str) -> Option<Vec<(String, String)>> {
    let mut list = Vec::new();
    let mut rest = value.split_once(';').map_or("", |(_, rest)| rest).trim();
    while !rest.is_empty() {
        let (name, behind) = rest.split_once('=')?;
        let name = name.trim().to_ascii_lowercase();
        let text;
        if let Some(quoted) = behind.strip_prefix('"') {
            let end = closing_quote(quoted)?;
            text = quoted[..end].replace("\\\"", "\"").replace("\\\\", "\\");
            rest = quoted[end + 1..].trim_start();
            if !rest.is_empty() && !rest.starts_with(';') {
                return None;
            }
        } else {
            let end = behind.find(';').unwrap_or(behind.len());
            text = behind[..end].trim().to_owned();
            rest = &behind[end..];
        }
        list.push((name, text));
        rest = rest.strip_prefix(';').unwrap_or(rest).trim_start();
    }
    Some(list)
}

/// The place of the first quote that is not escaped.
fn closing_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|b| {
        let is_end = b == b'"' && !escaped;
        escaped = b == b'\\' && !escaped;
        is_end
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "Content-Disposition: form-data; name=";

    #[test]
    fn parts_are_read() {
        let body = format!(
            "--x\r\n{HEAD}\"a\"\r\n\r\n1\r\n--x\r\n{HEAD}b; filename=\"c;d.png\"\r\nContent-Type: Image/PNG; q=1\r\n\r\n\r\n-\r\n\r\n--x--\r\n"
        );
        let read = parts(body.as_bytes(), "x").unwrap();
        assert_eq!(read.len(), 2);
        assert_eq!((read[0].name.as_str(), read[0].is_file, read[0].body), ("a", false, &b"1"[..]));
        assert_eq!((read[1].name.as_str(), read[1].is_file, read[1].body), ("b", true, &b"\r\n-\r\n"[..]));
        assert_eq!(read[1].content_type, "image/png");
        assert_eq!(parts(b"--x--", "x").unwrap(), []);
    }

    #[test]
    fn what_is_not_clearly_a_form_is_refused() {
        let whole = format!("--x\r\n{HEAD}\"a\"\r\n\r\n1\r\n--x--");
        assert!(parts(whole.as_bytes(), "x").is_ok());
        let cases = [
            String::new(),
            "preamble\r\n--x--".to_owned(),
            whole.replace("--x--", "--x"),
            whole.replace("--x--", "--x--tail"),
            whole.replace("--x\r\n", "--x \r\n"),
            whole.replace("\r\n", "\n"),
            whole.replace("form-data", "attachment"),
            whole.replace("name=\"a\"", "name=\"a\"; name=\"b\""),
            whole.replace("name=\"a\"", "name=\"a"),
            whole.replace("name=\"a\"", "name=\"a\"b"),
            whole.replace("name=\"a\"", "filename=a"),
            whole.replace("Content-Disposition", "Content Disposition"),
            whole.replace("\r\n\r\n1", "\r\nContent-Disposition: form-data; name=b\r\n\r\n1"),
            whole.replace("\r\n\r\n1", "\r\nContent-Transfer-Encoding: base64\r\n\r\n1"),
            whole.replace("\r\n\r\n1", &format!("\r\nX: {}\r\n\r\n1", "x".repeat(MAX_HEAD))),
            format!("--x\r\n{HEAD}\"a\"\r\n\r\n1\r\n").repeat(MAX_PARTS + 1) + "--x--",
        ];
        for case in cases {
            assert!(parts(case.as_bytes(), "x").is_err(), "{case}");
        }
    }

    #[test]
    fn the_boundary_comes_from_the_type() {
        let cases = [
            ("multipart/form-data; boundary=abc", Some("abc")),
            ("multipart/form-data; charset=utf-8; BOUNDARY=\"a b:c\"", Some("a b:c")),
            ("multipart/form-data", None),
            ("multipart/form-data; boundary=", None),
            ("multipart/form-data; boundary=a; boundary=b", None),
            ("multipart/form-data; boundary=\"a", None),
            ("multipart/form-data; boundary=a@b", None),
        ];
        for (value, expected) in cases {
            assert_eq!(boundary(value).as_deref(), expected, "{value}");
        }
        assert_eq!(boundary(&format!("a; boundary={}", "x".repeat(71))), None);
    }
}
