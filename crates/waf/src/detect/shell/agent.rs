//! Commands in headers: which of them are the names of clients all the same.

/// A header that is a command and nothing else; no client is called that.
pub(super) fn is_agent(word: &[u8], rest: &[u8]) -> bool {
    !matches!(
        word,
        b"test"
            | b"node"
            | b"java"
            | b"go"
            | b"mail"
            | b"git"
            | b"host"
            | b"top"
            | b"date"
            | b"service"
            | b"ruby"
            | b"pip"
            | b"npm"
            | b"composer"
            | b"cargo"
            | b"docker"
            | b"aws"
            | b"bun"
            | b"tomcat"
    ) && !rest.contains(&b'/')
        && (rest.trim_ascii().is_empty()
            || rest.trim_ascii().starts_with(b"-")
            || rest.windows(3).any(|three| three == b" -m" || three == b" -c"))
}

/// Commands that send requests and give their own name.
pub(super) fn is_client(word: &[u8]) -> bool {
    const CLIENTS: [&[u8]; 34] = [
        b"curl",
        b"wget",
        b"python",
        b"python3",
        b"perl",
        b"php",
        b"nodejs",
        b"lua",
        b"w3m",
        b"aria2c",
        b"axel",
        b"lftp",
        b"podman",
        b"rclone",
        b"restic",
        b"rsync",
        b"certbot",
        b"ffmpeg",
        b"ffprobe",
        b"mpv",
        b"dnf",
        b"yum",
        b"apk",
        b"svn",
        b"hg",
        b"openssl",
        b"terraform",
        b"mosquitto",
        b"wkhtmltopdf",
        b"pandoc",
        b"pnpm",
        b"nginx",
        b"varnishd",
        b"haproxy",
    ];
    CLIENTS.contains(&word)
}

/// Whether it begins with the name and the version of a program (RFC 9110, section 10.1.5).
pub(super) fn is_product(rest: &[u8]) -> bool {
    let word = rest.split(u8::is_ascii_whitespace).next().unwrap_or_default();
    let mut halves = word.splitn(2, |byte| *byte == b'/');
    let (name, version) = (halves.next().unwrap_or_default(), halves.next().unwrap_or_default());
    let is_name = name.first().is_some_and(u8::is_ascii_alphabetic)
        && name.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
    let is_version =
        version.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
    is_name && is_version && version.first().is_some_and(u8::is_ascii_digit)
}
