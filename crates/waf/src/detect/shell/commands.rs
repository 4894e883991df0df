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
const STRONG: [&str; 404] = [
    "7z", "7za", "7zr", "ab", "adb", "addpart", "agetty", "alpine", "ansible-playbook", "apache2ctl",
    "apachectl", "apk", "ar", "aria2c", "arp", "ash", "aspell", "awk", "axel", "base32", "base64", "basenc",
    "bash", "blkid", "bpftrace", "brctl", "bunzip2", "busctl", "byebug", "byobu", "bzcat", "bzdiff",
    "bzegrep", "bzgrep", "bzip", "bzip2", "bzless", "c89", "c99", "capsh", "cc", "certbot", "chage",
    "chattr", "chfn", "chmod", "choom", "chown", "chroot", "chsh", "clang", "clisp", "cmp", "cobc", "comm",
    "cowsay", "cowthink", "cpan", "cpio", "crictl", "csh", "csplit", "csvtool", "curl", "dc", "dd", "df",
    "dhclient", "dig", "dmesg", "dmsetup", "dnf", "dotnet", "dpkg", "du", "dvips", "easy_install", "ed",
    "efax", "egrep", "elvish", "emerge", "enscript", "eqn", "espeak", "ethtool", "exiftool", "fd", "fdisk",
    "ffind", "ffmpeg", "fgrep", "flatpak", "flock", "fmt", "fping", "ftp", "ftpwho", "gawk", "gcc",
    "gcloud", "gcore", "gdb", "gem", "genisoimage", "getfacl", "ghc", "ghci", "ginsh", "gnuplot", "grc",
    "grep", "gsutil", "gtester", "gunzip", "gzcat", "gzip", "hciconfig", "hd", "helm", "hexdump", "hg",
    "hostname", "hping3", "htop", "hwinfo", "iconv", "iftop", "insmod", "inxi", "ionice", "iostat",
    "ip6tables", "ipconfig", "iptables", "irb", "ispell", "iw", "iwconfig", "jjs", "journalctl", "jq",
    "jrunscript", "julia", "knife", "ksh", "ksshell", "latex", "ldapsearch", "ldd", "lftp", "lftpget", "ln",
    "loginctl", "logsave", "lp", "lpq", "lpr", "ls", "lsattr", "lsb_release", "lsblk", "lscpu", "lshw",
    "lsmod", "lsof", "lspci", "lsusb", "ltrace", "ltx", "lua", "luajit", "lualatex", "lynx", "lzcat",
    "lzgrep", "lzma", "mawk", "mkfifo", "mkfs", "mknod", "mkpasswd", "mksh", "mkswap", "mktemp", "mlocate",
    "modprobe", "mongo", "mongod", "mongodump", "mongosh", "mosh", "mosquitto", "msfconsole", "msgattrib",
    "msgcat", "mtr", "multitime", "mv", "mysql", "mysqladmin", "mysqldump", "nano", "nasm", "nc", "ncat",
    "neofetch", "netcat", "netkit-ftp", "netplan", "netstat", "newgrp", "nft", "nginx", "ngrep", "nmap",
    "nmcli", "nodejs", "nping", "nroff", "nsenter", "nslookup", "ntpdate", "nvim", "ocamlfind", "od",
    "openrc", "openssl", "opkg", "pacman", "pandoc", "passwd", "pax", "pdflatex", "pdksh", "pear", "pecl",
    "perl", "pftp", "pg_dump", "pgrep", "php", "php-cgi", "phpize", "pico", "pidstat", "ping", "ping6",
    "pip3", "pkg", "pkill", "podman", "printenv", "printf", "ps", "psed", "psftp", "psql", "ptx", "puppet",
    "pwd", "python", "rake", "rbash", "rclone", "rcp", "readelf", "readlink", "redcarpet", "redis-cli",
    "restic", "rev", "rksh", "rlogin", "rlwrap", "rm", "rmdir", "rmmod", "rpm", "rpmdb", "rpmquery",
    "rsync", "ruby2.7", "run-mailcap", "run-parts", "rview", "rvim", "sash", "scanmem", "scp", "scrot",
    "sed", "sendmail", "setfacl", "sftp", "sh", "shred", "shuf", "slsh", "smbclient", "smbget", "snobol4",
    "socat", "sqlite3", "sqlmap", "sqlplus", "ss", "ssh", "ssh-add", "ssh-agent", "ssh-copy-id", "sshpass",
    "ssmtp", "start-stop-daemon", "stty", "sulogin", "svn", "swapoff", "swapon", "symfony", "sysctl",
    "systemctl", "systemd-resolve", "tasksh", "tbl", "tclsh", "tcsh", "tdbtool", "telnet", "terraform",
    "tftp", "timedatectl", "timelimit", "tmate", "tmux", "torify", "torsocks", "tput", "traceroute",
    "troff", "tsc", "tshark", "ul", "ulimit", "umount", "unexpand", "unlink", "unlzma", "unxz", "unzip",
    "update-alternatives", "useradd", "uudecode", "uuencode", "uuidgen", "vagrant", "valgrind",
    "varnishncsa", "vi", "vigr", "vim", "vimdiff", "vipw", "virsh", "vlock", "w3m", "wall", "wc", "wget",
    "whatis", "whiptail", "whoami", "whois", "wine", "wish", "xdg-user-dir", "xdotool", "xelatex", "xetex",
    "xmodmap", "xmore", "xpad", "xterm", "xxd", "xz", "xzcat", "xzdec", "xzgrep", "xzless", "yarn", "yash",
    "yelp", "yum", "zathura", "zcat", "zdiff", "zegrep", "zgrep", "zip", "zless", "zmore", "zsh", "zsoelim",
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
