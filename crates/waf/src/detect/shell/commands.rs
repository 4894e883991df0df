//! Names of commands, by how far the name alone tells.

/// How a word weighs at a place where a command may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command {
    /// Nothing but a command: with any argument it is one.
    Sure,
    /// A command that prose seldom names.
    Strong,
    /// An English word that is a command too.
    Weak,
    /// Runs the command that follows.
    Wrapper,
}

/// What a word in small letters is.
pub(super) fn command(word: &[u8]) -> Option<Command> {
    let has = |list: &[&str]| list.binary_search_by(|name| name.as_bytes().cmp(word)).is_ok();
    if has(&STRONG) || is_versioned(word) {
        Some(Command::Strong)
    } else if has(&WRAPPERS) {
        Some(Command::Wrapper)
    } else if has(&WEAK) {
        Some(Command::Weak)
    } else if has(&SURE)
        || word.starts_with(b"ansible-") && word.len() > 10
        || word.starts_with(b"chef-")
        || word.starts_with(b"aa-")
        || word.starts_with(b"apt-")
        || word.starts_with(b"dpkg-")
        || word.starts_with(b"lwp-")
    {
        Some(Command::Sure)
    } else {
        None
    }
}

/// `python3.10`, `perl5`, `gcc7.4`, `php8`.
fn is_versioned(word: &[u8]) -> bool {
    let end = word.iter().position(u8::is_ascii_digit).unwrap_or(word.len());
    end < word.len()
        && matches!(&word[..end], b"python" | b"perl" | b"php" | b"ruby" | b"gcc" | b"lua" | b"pip" | b"clang" | b"tclsh")
        && word[end..].iter().all(|byte| byte.is_ascii_digit() || *byte == b'.')
}

/// Sorted, for `binary_search`.
const SURE: [&str; 40] = [
    "addgroup", "adduser", "bsdcat", "bsdiff", "bsdtar", "chgpasswd", "chgrp", "chpasswd", "cpulimit",
    "crontab", "cscli", "debugfs", "delgroup", "deluser", "dmidecode", "dosbox", "dvips", "expect_unbuffer",
    "getent", "gpasswd", "groupadd", "groupdel", "groupmod", "ifconfig", "kubectl", "lastlog", "lastlogin",
    "ldconfig", "pkexec", "rmt", "setarch", "ssh-keygen", "ssh-keyscan", "strace", "tcpdump", "uconv",
    "useradd", "userdel", "usermod", "visudo",
];

/// Sorted, for `binary_search`.
const STRONG: [&str; 261] = [
    "7z", "7za", "7zr", "agetty", "ansible-playbook", "apache2ctl", "apachectl", "ar", "aria2c", "arp",
    "ash", "awk", "base32", "base64", "bash", "bpftrace", "brctl", "bunzip2", "busctl", "byebug", "bzcat",
    "bzip2", "c89", "c99", "capsh", "cc", "certbot", "chattr", "chmod", "chown", "chroot", "clang", "cmp",
    "comm", "cpan", "cpio", "csh", "csplit", "csvtool", "curl", "dd", "df", "dhclient", "dig", "dmesg",
    "dmsetup", "dnf", "dpkg", "du", "easy_install", "ed", "egrep", "eqn", "espeak", "ethtool", "exiftool",
    "fgrep", "flock", "fmt", "fping", "ftp", "gawk", "gcc", "gcloud", "gcore", "gdb", "gem", "genisoimage",
    "getfacl", "ghc", "ghci", "ginsh", "gnuplot", "grc", "grep", "gtester", "gunzip", "gzcat", "gzip",
    "hexdump", "hg", "hostname", "hping3", "htop", "iconv", "iftop", "ionice", "iostat", "ip6tables",
    "ipconfig", "iptables", "irb", "jjs", "jq", "jrunscript", "ksh", "ksshell", "ldd", "lftp", "lftpget",
    "ln", "loginctl", "logsave", "lp", "ls", "lsb_release", "lscpu", "lshw", "lsmod", "lsof", "lspci",
    "lsusb", "ltrace", "lua", "luajit", "lynx", "lzcat", "lzma", "mawk", "mkfifo", "mknod", "mkpasswd",
    "mktemp", "mlocate", "mosh", "mosquitto", "msgattrib", "msgcat", "mtr", "mv", "mysql", "mysqladmin",
    "mysqldump", "nano", "nasm", "nc", "ncat", "neofetch", "netcat", "netkit-ftp", "netplan", "netstat",
    "nginx", "ngrep", "nmap", "nping", "nroff", "nsenter", "nslookup", "ntpdate", "od", "openrc", "openssl",
    "pacman", "passwd", "pear", "pecl", "perl", "pgrep", "php", "php-cgi", "phpize", "pico", "pidstat",
    "ping", "ping6", "pkg", "pkill", "printenv", "printf", "ps", "psed", "psftp", "psql", "ptx", "pwd",
    "python", "rcp", "readelf", "readlink", "redcarpet", "restic", "rev", "rlogin", "rlwrap", "rm", "rmdir",
    "rpm", "rpmquery", "rsync", "ruby2.7", "run-mailcap", "rview", "rvim", "scp", "sed", "sendmail",
    "setfacl", "sftp", "sh", "shuf", "smbclient", "socat", "sqlite3", "sqlmap", "ssh", "ssmtp",
    "start-stop-daemon", "stty", "svn", "symfony", "sysctl", "systemctl", "tasksh", "tbl", "tclsh", "tcsh",
    "telnet", "tftp", "tmux", "traceroute", "troff", "tsc", "tshark", "ul", "umount", "unlink", "unlzma",
    "unxz", "unzip", "update-alternatives", "uudecode", "uuencode", "valgrind", "vi", "vigr", "vim",
    "vimdiff", "vipw", "w3m", "wall", "wget", "whoami", "whois", "wish", "xelatex", "xetex", "xmodmap",
    "xmore", "xpad", "xterm", "xxd", "xz", "xzcat", "yarn", "yum", "zcat", "zip", "zsh", "zsoelim",
    "zypper",
];

/// Sorted, for `binary_search`.
const WRAPPERS: [&str; 22] = [
    "busybox", "chrt", "command", "doas", "env", "eval", "exec", "ionice", "nice", "nohup", "parallel",
    "script", "setsid", "stdbuf", "strace", "sudo", "time", "timeout", "unbuffer", "unshare", "watch",
    "xargs",
];

/// Sorted, for `binary_search`.
const WEAK: [&str; 111] = [
    "alias", "ansible", "apt", "arch", "at", "atop", "batch", "bc", "break", "cal", "cargo", "cat", "cd",
    "column", "composer", "cp", "cron", "cut", "date", "diff", "dir", "docker", "echo", "expand", "export",
    "expr", "facter", "fetch", "file", "find", "finger", "fold", "free", "git", "go", "groups", "halt",
    "head", "help", "history", "host", "id", "ip", "java", "jobs", "join", "kill", "killall", "last", "ld",
    "less", "ll", "locate", "logger", "login", "logname", "look", "mail", "make", "man", "mkdir", "more",
    "mount", "nl", "nm", "node", "npm", "paste", "patch", "perf", "pip", "pr", "read", "reboot", "rename",
    "route", "ruby", "screen", "service", "set", "shutdown", "sleep", "snap", "sort", "source", "split",
    "stat", "su", "sum", "tac", "tail", "tar", "tee", "test", "tex", "times", "top", "touch", "tr", "trap",
    "type", "ulimit", "umask", "uname", "uniq", "unset", "vi", "view", "wait", "watch", "who",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_sorted() {
        for list in [&SURE[..], &STRONG, &WRAPPERS, &WEAK] {
            assert!(list.is_sorted(), "{:?}", list.windows(2).find(|pair| pair[0] > pair[1]));
        }
    }
}
