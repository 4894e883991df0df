//! Reads the files of malformed messages that stand beside this one; their first lines describe the format.
#![allow(clippy::unwrap_used)]

/// One message and the refusal that it must meet.
pub(crate) struct Case {
    /// What is wrong, in a few words.
    pub(crate) name: String,
    /// The status of the refusal.
    pub(crate) status: u16,
    /// The code of the fault.
    pub(crate) code: String,
    /// The message.
    pub(crate) bytes: Vec<u8>,
}

/// The cases of a file.
pub(crate) fn read(text: &str) -> Vec<Case> {
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let parts: Vec<&str> = line.splitn(4, " | ").collect();
            let [name, status, code, bytes] = parts[..] else { panic!("not a case: {line}") };
            let (name, code) = (name.to_owned(), code.to_owned());
            Case { name, status: status.parse().unwrap(), code, bytes: unescape(bytes) }
        })
        .collect()
}

fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        bytes.extend_from_slice(before.as_bytes());
        let (escape, mut tail) = after.split_at(1);
        match escape {
            "r" => bytes.push(b'\r'),
            "n" => bytes.push(b'\n'),
            "t" => bytes.push(b'\t'),
            "0" => bytes.push(0),
            "\\" => bytes.push(b'\\'),
            "x" => {
                bytes.push(u8::from_str_radix(&tail[..2], 16).unwrap());
                tail = &tail[2..];
            }
            "{" => {
                let (repeated, after) = tail.split_once('}').unwrap();
                let (text, count) = repeated.rsplit_once('*').unwrap();
                bytes.extend_from_slice(&unescape(text).repeat(count.parse().unwrap()));
                tail = after;
            }
            _ => panic!("no such escape: {text}"),
        }
        rest = tail;
    }
    bytes.extend_from_slice(rest.as_bytes());
    bytes
}
