//! Files that a configuration names.

use std::fs::{File, metadata};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::fault::Fault;
use super::source::Located;

/// The whole of a file that a configuration names, of at most this many bytes; or a fault at the place that names it.
pub fn read_named(file: &Located<PathBuf>, most: u64) -> Result<Vec<u8>, Fault> {
    read_bounded(&file.value, most).map_err(|why| unreadable(file, &why))
}

/// The same of a file of text.
pub fn read_named_text(file: &Located<PathBuf>, most: u64) -> Result<String, Fault> {
    let bytes = read_named(file, most)?;
    String::from_utf8(bytes).map_err(|_| unreadable(file, "it is not UTF-8 text"))
}

fn unreadable(file: &Located<PathBuf>, why: &str) -> Fault {
    Fault::error("unreadable_file", file.span, format!("cannot read {}: {why}", file.value.display()))
}

/// The whole of a file of at most this many bytes, whole KiB; the text says why not. Pipes and devices are refused: reading one
/// might never end.
pub fn read_bounded(path: &Path, most: u64) -> Result<Vec<u8>, String> {
    let kind = metadata(path).map_err(|error| error.to_string())?;
    if !kind.is_file() {
        return Err("it is not a regular file".to_owned());
    }
    let file = File::open(path).map_err(|error| error.to_string())?;
    // In one piece, so that what is read for a secret leaves no copy behind that nobody wipes.
    let mut bytes = Vec::with_capacity(kind.len().min(most) as usize + 1);
    file.take(most + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 <= most {
        return Ok(bytes);
    }
    Err(match (most >> 20, most >> 10) {
        (0, kib) => format!("it is larger than {kib} KiB"),
        (mib, _) => format!("it is larger than {mib} MiB"),
    })
}
