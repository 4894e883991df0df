//! Files that a configuration names.

use std::fs::{File, metadata};
use std::io::Read as _;
use std::path::Path;

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
