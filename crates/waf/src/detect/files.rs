//! Ways out of a folder, and files that no client is meant to have.

use super::{Cx, Leaf, Part, traits};
use crate::rules;

/// Endings that a path asks for only to find what was left behind.
#[rustfmt::skip]
const LEFT_BEHIND: [&[u8]; 115] = [
    b"bak", b"backup", b"old", b"orig", b"swp", b"swo", b"save", b"tmp", b"sql", b"sqlite", b"sqlite3", b"db",
    b"mdb", b"dump", b"rdb", b"pem", b"key", b"p12", b"pfx", b"jks", b"keystore", b"ppk", b"log", b"ini",
    b"conf", b"config", b"cfg", b"properties", b"env", b"inc", b"sh", b"bat", b"dll", b"asa", b"axd", b"cs",
    b"tfstate", b"asax", b"ascx", b"bck", b"bk", b"bkp", b"cer", b"cmd", b"cnf", b"crt", b"csproj", b"csr",
    b"dbf", b"dist", b"hta", b"ida", b"idc", b"idq", b"inf", b"jse", b"lnk", b"pass", b"pdb", b"pol", b"prf",
    b"pwd", b"rdp", b"reg", b"resx", b"scr", b"sys", b"vb", b"vbe", b"vbs", b"wsf", b"wsh", b"hprof", b"pcap",
    b"kdbx", b"ovpn", b"psql", b"phps", b"back", b"cdx", b"compiled", b"copy", b"drv", b"exclude", b"htgroup",
    b"htr", b"htw", b"ldf", b"licx", b"mdf", b"msc", b"ocx", b"pif", b"printer", b"refresh", b"resources",
    b"rpmnew", b"rpmsave", b"sav", b"sct", b"shs", b"skin", b"temp", b"tlb", b"vbproj", b"vsdisco", b"vxd",
    b"webinfo", b"ws", b"wsc", b"bash_history", b"dpkg-dist", b"dpkg-old", b"dos", b"xsx",
];

/// Files of a project or a server that a service does not hand out.
#[rustfmt::skip]
const SETTINGS: [&[u8]; 55] = [
    b"composer.json", b"composer.lock", b"package.json", b"package-lock.json", b"yarn.lock",
    b"gruntfile.js", b"gulpfile.js", b"dockerfile", b"docker-compose.yml", b"docker-compose.yaml",
    b"localsettings.php", b"web.config", b"error_log", b"access_log", b"settings.php", b"tsconfig.json",
    b"webpack.config.js", b"vagrantfile", b"gemfile", b"gemfile.lock", b"rakefile", b"makefile",
    b"procfile", b"jenkinsfile", b"phpinfo.php", b"credentials", b"id_rsa", b"id_dsa", b"id_ed25519",
    b"authorized_keys", b"known_hosts", b"claude.md", b"agents.md", b"gemini.md", b"mcp.json",
    b"copilot-instructions.md", b"claude_desktop_config.json", b"skill.md", b"wp-config.php", b"config.php",
    b"configuration.php", b"local.settings.json", b"appsettings.json", b"secrets.json", b"secrets.yml",
    b"secrets.yaml", b"database.yml", b"parameters.yml", b"settings.py", b"requirements.txt", b"pipfile",
    b"cargo.toml", b"go.sum", b"server-status", b"server-info",
];

/// What scanners ask for to see how a service answers to what is not there.
#[rustfmt::skip]
const MARKS: [&[u8]; 8] = [
    b"nessus_is_probing", b"nikto-test", b"acunetix", b"appscan_fingerprint", b"netsparker-", b"w3af", b"openvas", b"qualys_",
];

/// Endings of files that a service might run.
#[rustfmt::skip]
const SCRIPTS: [&[u8]; 20] = [
    b"php", b"php3", b"php4", b"php5", b"php7", b"phtml", b"phar", b"jsp", b"jspx", b"asp", b"aspx",
    b"ashx", b"asmx", b"cgi", b"pl", b"py", b"rb", b"sh", b"cfm", b"shtml",
];

pub(crate) fn detect(leaf: &Leaf<'_>, cx: &mut Cx<'_>) {
    if leaf.class.has(traits::SLASH) {
        traversal(leaf, cx);
    }
    match leaf.place.part {
        Part::Path => path(leaf, cx),
        Part::Upload => upload(leaf, cx),
        Part::Header
            if matches!(leaf.place.name, b"x-filename" | b"x-file-name" | b"x_filename" | b"x.filename") =>
        {
            upload(leaf, cx);
        }
        _ => {}
    }
}

/// `../` where a path begins or goes on, `..;/`, `..\`, more dots than two.
fn traversal(leaf: &Leaf<'_>, cx: &mut Cx<'_>) {
    let low = leaf.low;
    let (mut at, mut steps, mut last_end, mut leads) = (0, 0, usize::MAX, false);
    while let Some(found) = low[at..].windows(2).position(|two| two == b"..") {
        let start = at + found;
        let mut end = start;
        while low.get(end) == Some(&b'.') {
            end += 1;
        }
        let dots = end - start;
        if low.get(end) == Some(&b';') {
            end += 1;
        }
        let is_step = low.get(end).is_some_and(|byte| matches!(byte, b'/' | b'\\')) && dots <= 4;
        let is_last = end == low.len() && start > 0 && matches!(low[start - 1], b'/' | b'\\') && steps > 0;
        if is_step || is_last {
            while low.get(end).is_some_and(|byte| matches!(byte, b'/' | b'\\')) {
                end += 1;
            }
            let follows = start == last_end;
            steps = if follows { steps + 1 } else { 1 };
            last_end = end;
            let before = if start == 0 { None } else { Some(low[start - 1]) };
            if !follows {
                leads = start == 0 || matches!(before, Some(b'/' | b'\\' | b'=' | b':' | b'>' | b'|'));
            }
            // In a text, `"../"` is part of what somebody writes about; alone or in a row it is a way out.
            let is_back = low[end - 1] == b'\\' || leaf.place.part == Part::Upload;
            let goes_on =
                low.get(end).is_some_and(|byte| is_back && byte.is_ascii_alphanumeric() || *byte == b'.');
            let is_alone = !leaf.class.has(traits::SPACE | traits::ANGLE);
            let is_way_out = steps >= 2 || is_alone && (goes_on || leaf.place.part == Part::Path);
            if leads && is_way_out || steps >= if is_alone { 3 } else { 4 } {
                return cx.hit(rules::TRAVERSAL, leaf, start);
            }
        }
        at = end.max(start + 2);
        if at >= low.len() {
            break;
        }
    }
}

/// The path of the request itself.
fn path(leaf: &Leaf<'_>, cx: &mut Cx<'_>) {
    for segment in leaf.low.split(|byte| *byte == b'/') {
        if MARKS.iter().any(|mark| segment.starts_with(mark)) {
            cx.hit(rules::SCANNER_AGENT, leaf, 0);
        }
        // `/static../secret`: a folder that is joined to another one without a slash.
        let is_joined = segment.len() > 2
            && segment.ends_with(b"..")
            && segment[segment.len() - 3].is_ascii_alphanumeric();
        if is_joined && !leaf.low.ends_with(segment) {
            cx.hit(rules::TRAVERSAL, leaf, 0);
        }
        if segment.len() > 2 && segment.ends_with(b"~") && segment.contains(&b'.') {
            cx.hit(rules::BACKUP_FILE, leaf, 0);
        }
        let is_hidden = segment.len() > 1 && segment[0] == b'.' && segment[1].is_ascii_alphanumeric();
        if is_hidden && segment != b".well-known" {
            cx.hit(rules::DOT_FILE, leaf, 0);
        }
    }
    let file = leaf.low.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    if is_packed_backup(file) || ending(file).is_some_and(|ending| LEFT_BEHIND.contains(&ending)) {
        cx.hit(rules::BACKUP_FILE, leaf, leaf.low.len() - file.len());
    }
    if SETTINGS.contains(&file) || file.starts_with(b"wp-config") || file.starts_with(b"docker-compose") {
        cx.hit(rules::SECRET_FILE, leaf, leaf.low.len() - file.len());
    }
    let is_system = [b"/sys/class".as_slice(), b"/proc/self", b"/dev/shm", b"/etc/"]
        .iter()
        .any(|folder| leaf.low.windows(folder.len()).any(|window| window == *folder));
    if is_system {
        cx.hit(rules::SYSTEM_FILE, leaf, 0);
    }
}

/// What an upload is to be called.
fn upload(leaf: &Leaf<'_>, cx: &mut Cx<'_>) {
    let name = leaf.low.rsplit(|byte| matches!(byte, b'/' | b'\\')).next().unwrap_or_default();
    let is_script = name.split(|byte| *byte == b'.').skip(1).any(|part| SCRIPTS.contains(&part.trim_ascii()));
    let is_hidden = name.len() > 1 && name[0] == b'.';
    let is_setting = [b"wp-config".as_slice(), b"web.config", b"config.php", b"authorized_keys", b"id_rsa"]
        .iter()
        .any(|setting| name.starts_with(setting));
    if is_script || is_hidden || is_setting {
        cx.hit(rules::UPLOAD_NAME, leaf, 0);
    }
}

/// `dump.sql.gz`, `site.bak.zip`.
fn is_packed_backup(file: &[u8]) -> bool {
    let mut endings = file.rsplit(|byte| *byte == b'.');
    let is_packed = matches!(endings.next(), Some(b"gz" | b"zip" | b"bz2" | b"xz" | b"7z" | b"rar" | b"tgz"));
    is_packed
        && endings
            .next()
            .is_some_and(|ending| matches!(ending, b"sql" | b"bak" | b"old" | b"backup" | b"dump" | b"db"))
}

fn ending(file: &[u8]) -> Option<&[u8]> {
    let dot = file.iter().rposition(|byte| *byte == b'.')?;
    Some(&file[dot + 1..])
}
