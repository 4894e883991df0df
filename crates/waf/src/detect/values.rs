//! Values that are the path of a file which no client is meant to name: of the operating system, or with secrets.

use super::list::WordList;
use super::{Cx, Leaf, Part, traits};
use crate::rules;

/// Longest value that can be a path.
const LONGEST_PATH: usize = 320;
/// Folders of a path that are looked at.
const MOST_FOLDERS: usize = 24;

pub(crate) fn detect(leaf: &Leaf<'_>, cx: &mut Cx<'_>) {
    let value = leaf.low.trim_ascii();
    if value.len() > LONGEST_PATH || leaf.place.part == Part::Path {
        return;
    }
    // Without a slash it is the name of a file at most, and a price is none.
    let is_path = leaf.class.has(traits::SLASH)
        || !leaf.class.has(traits::SPACE)
            && value.last().is_some_and(u8::is_ascii_alphabetic)
            && memchr::memchr(b'.', value).is_some();
    if !is_path {
        return;
    }
    let value = value.strip_prefix(b"'").or_else(|| value.strip_prefix(b"\"")).unwrap_or(value);
    let end = value
        .iter()
        .position(|byte| matches!(byte, b'\0' | b'?' | b'#' | b'\'' | b'"'))
        .unwrap_or(value.len());
    let path = &value[..end];
    if is_of_windows(path) {
        return cx.hit(rules::SYSTEM_FILE, leaf, 0);
    }
    if leaf.class.has(traits::SPACE) {
        return;
    }
    if is_of_unix(path) {
        return cx.hit(rules::SYSTEM_FILE, leaf, 0);
    }
    if is_secret(path) {
        cx.hit(rules::SECRET_FILE, leaf, 0);
    }
}

fn parts(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|byte| matches!(byte, b'/' | b'\\'))
        .filter(|part| !part.is_empty() && *part != b".")
        .take(MOST_FOLDERS)
}

/// Places of the hierarchy of Unix that hold settings, secrets, logs and devices.
fn is_of_unix(path: &[u8]) -> bool {
    let path = path.strip_prefix(b"file:").unwrap_or(path);
    let is_absolute = path.starts_with(b"/") || path.starts_with(b"../") || path.starts_with(b"..\\");
    if !is_absolute {
        return false;
    }
    let mut parts = parts(path).skip_while(|part| matches!(*part, b".." | b"localhost" | b"private"));
    let (Some(top), Some(second)) = (parts.next(), parts.next()) else { return false };
    let last = parts.last().unwrap_or(second);
    match top {
        b"etc" | b"proc" | b"root" => true,
        b"dev" => [
            b"null".as_slice(),
            b"zero",
            b"random",
            b"urandom",
            b"tcp",
            b"udp",
            b"shm",
            b"mem",
            b"kmem",
            b"fd",
            b"stdin",
            b"tty",
        ]
        .contains(&second),
        b"sys" => {
            [b"class".as_slice(), b"kernel", b"module", b"devices", b"firmware", b"block", b"fs", b"power"]
                .contains(&second)
        }
        b"var" => {
            [b"log".as_slice(), b"mail", b"spool", b"backups", b"adm", b"run", b"db"].contains(&second)
                && last != second
                || second == b"lib" && last.contains(&b'.')
                || second == b"lib" && (last.starts_with(b"sess_") || last == b"shadow")
                || is_setting(last)
        }
        b"run" => second == b"secrets" || last.ends_with(b".sock"),
        b"boot" => second.starts_with(b"grub") || second.starts_with(b"vmlinuz"),
        b"tmp" => second.starts_with(b"sess_"),
        b"library" => second == b"preferences",
        b"home" | b"users" => last.starts_with(b".") || is_setting(last),
        b"usr" | b"opt" | b"srv" | b"lib" => is_setting(last) || last == b"passwd",
        _ => false,
    }
}

/// Files of a server's settings, wherever they lie.
fn is_setting(file: &[u8]) -> bool {
    [
        b".conf".as_slice(),
        b".cnf",
        b".ini",
        b"-users.xml",
        b"server.xml",
        b"config.php",
        b".htaccess",
        b".htpasswd",
    ]
    .iter()
    .any(|ending| file.ends_with(ending))
}

fn is_of_windows(path: &[u8]) -> bool {
    let is_drive = matches!(path, [b'a'..=b'z', b':', b'/' | b'\\', ..]);
    let path = if is_drive {
        &path[2..]
    } else if path.starts_with(b"..\\") || path.starts_with(b"\\..") || path.starts_with(b"../") {
        path
    } else {
        return false;
    };
    let mut parts = parts(path).skip_while(|part| *part == b"..");
    let Some(top) = parts.next() else { return false };
    let second = parts.next().unwrap_or_default();
    let last = parts.last().unwrap_or(second);
    match top {
        b"windows" | b"winnt" => {
            [
                b"system32".as_slice(),
                b"syswow64",
                b"repair",
                b"panther",
                b"debug",
                b"system",
                b"sysprep",
                b"ntds",
                b"servicing",
            ]
            .contains(&second)
                || second.ends_with(b".ini")
                || second.ends_with(b".log")
        }
        b"boot.ini" | b"pagefile.sys" | b"hiberfil.sys" | b"autoexec.bat" | b"config.sys" | b"ntldr"
        | b"bootmgr" | b"unattend.xml" | b"unattend.txt" | b"sysprep.inf" | b"inetpub" => true,
        b"documents and settings" | b"users" => last == b"ntuser.dat" || last.starts_with(b"."),
        b"xampp"
        | b"wamp"
        | b"wamp64"
        | b"apache"
        | b"apache24"
        | b"mysql"
        | b"php"
        | b"nginx"
        | b"tomcat"
        | b"program files"
        | b"program files (x86)"
        | b"programdata" => is_setting(last),
        _ => false,
    }
}

/// A hidden file that holds secrets or tells of a user, or the settings of a framework.
fn is_secret(path: &[u8]) -> bool {
    let mut all = parts(path).peekable();
    let has_folder = path.contains(&b'/') || path.contains(&b'\\');
    while let Some(part) = all.next() {
        let is_last = all.peek().is_none();
        if let Some(name) = part.strip_prefix(b".") {
            let is_hidden =
                HIDDEN.has(name) || name.starts_with(b"env.") && name.len() < 24 || name == b"env";
            if is_hidden && is_last || !is_last && HIDDEN_FOLDERS.has(name) {
                return true;
            }
        } else if is_last {
            let is_named = SECRETS.has(part)
                || part.starts_with(b"wp-config.php")
                || part.starts_with(b"appsettings.") && part.ends_with(b".json");
            return is_named || has_folder && SECRETS_IN_FOLDERS.has(part);
        }
    }
    false
}

#[rustfmt::skip]
static HIDDEN: WordList = WordList::new(&[
    "ash_history", "bash_aliases", "bash_history", "bash_logout", "bash_profile", "bashrc", "boto", "cshrc", "curlrc", "cvspass",
    "dockercfg", "dockerconfigjson", "dockerenv", "esmtprc", "fetchmailrc", "fish_history", "ftpconfig", "ftppass", "gemrc",
    "git-credentials", "gitconfig", "gtkrc", "hgrc", "history", "htaccess", "htdigest", "htpasswd", "htusers", "irb_history", "jupyter_history",
    "kshrc", "lesshst", "lftprc", "login_conf", "mailrc", "msmtprc", "muttrc", "my.cnf", "mylogin.cnf", "mysql_history", "netrc",
    "node_repl_history", "npmrc", "passwd-s3fs", "pgpass", "php_history", "pinerc", "profile", "proxychains.conf", "psql_history", "pypirc",
    "python_history", "rediscli_history", "remote-sync.json", "rhosts", "s3cfg", "sftp-config.json", "sh_history", "shosts", "sqlite_history", "tcshrc",
    "terraformrc", "user.ini", "vault-token", "viminfo", "wgetrc", "xauthority", "xinitrc", "yarnrc", "zhistory", "zlogin", "zprofile",
    "zsh_history", "zshenv", "zshrc", "ds_store",
]);

#[rustfmt::skip]
static HIDDEN_FOLDERS: WordList = WordList::new(&[
    "aws", "azure", "bzr", "docker", "elasticbeanstalk", "gcloud", "git", "gnupg", "hg", "kube", "ssh", "subversion", "svn", "terraform.d",
]);

#[rustfmt::skip]
static SECRETS: WordList = WordList::new(&[
    "appsettings.json", "authorized_keys", "config.inc.php", "configuration.php", "credentials.db", "id_dsa", "id_ecdsa", "id_ed25519",
    "id_rsa", "id_rsa.pub", "localsettings.php", "master.key", "ntuser.dat", "settings.inc.php", "terraform.tfstate", "tomcat-users.xml",
    "web.config", "web.xml", "wp-config", "wp-config.bak", "htpasswd", "dbconfig.php", "db_config.php", "sftp-config.json", "application.properties",
]);

/// Names that are ordinary alone.
#[rustfmt::skip]
static SECRETS_IN_FOLDERS: WordList = WordList::new(&[
    "access_log", "config.php", "context.xml", "credentials", "credentials.yml.enc", "database.php", "database.yml", "db.php", "env.php",
    "error_log", "httpd.conf", "local.xml", "manifest.mf", "my.cnf", "my.ini", "nginx.conf", "parameters.yml", "passwd",
    "php.ini", "secret_token.rb", "secrets.yml", "server.key", "server.xml", "settings.php", "sftp.json", "shadow",
    "datasources.xml",
]);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_of_systems_are_known() {
        for path in [
            "/etc/x/y.conf",
            "../../etc/hosts",
            "/proc/9/maps",
            "/home/ann/.netrc",
            "file:///root/x",
            "/var/log/a",
        ] {
            assert!(is_of_unix(path.as_bytes()), "{path}");
        }
        for path in ["/", "/home/ann/a.txt", "/usr/share/doc/a.txt", "etc/x", "/var", "../a/b", "/etc"] {
            assert!(!is_of_unix(path.as_bytes()), "{path}");
        }
        assert!(is_of_windows(b"c:\\windows\\win.ini"));
        assert!(!is_of_windows(b"c:\\users\\ann\\a.txt"));
        assert!(is_secret(b"a/.env.local") && is_secret(b".ssh/config") && is_secret(b"config/database.yml"));
        assert!(!is_secret(b".gitignore") && !is_secret(b"database.yml") && !is_secret(b"repo.git"));
    }
}
