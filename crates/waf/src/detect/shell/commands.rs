//! Names of commands, by how far the name alone tells.

use crate::detect::list::WordList;

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
    // Commands are short, and begin with a letter or digit.
    if word.len() < 2 || word.len() > 20 || !word[0].is_ascii_alphanumeric() {
        return None;
    }
    if STRONG.has(word) || is_versioned(word) {
        Some(Command::Strong)
    } else if WRAPPERS.has(word) {
        Some(Command::Wrapper)
    } else if WEAK.has(word) {
        Some(Command::Weak)
    } else if SURE.has(word)
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
        && matches!(
            &word[..end],
            b"python" | b"perl" | b"php" | b"ruby" | b"gcc" | b"lua" | b"pip" | b"clang" | b"tclsh"
        )
        && word[end..].iter().all(|byte| byte.is_ascii_digit() || *byte == b'.')
}

#[rustfmt::skip]
static SURE: WordList = WordList::new(&[
    "addgroup", "adduser", "bsdcat", "bsdiff", "bsdtar", "chgpasswd", "chgrp", "chpasswd", "cpulimit",
    "crontab", "cscli", "debugfs", "delgroup", "deluser", "dmidecode", "dosbox", "dvips", "expect_unbuffer",
    "getent", "gpasswd", "groupadd", "groupdel", "groupmod", "ifconfig", "kubectl", "lastlog", "lastlogin",
    "ldconfig", "pkexec", "rmt", "setarch", "ssh-keygen", "ssh-keyscan", "strace", "tcpdump", "uconv",
    "useradd", "userdel", "usermod", "visudo",
]);

#[rustfmt::skip]
static STRONG: WordList = WordList::new(&[
    "7z", "7za", "7zr", "ab", "accessdb", "adb", "addpart", "addr2line", "agetty", "aircrack", "airmon",
    "alpine", "ansible-playbook", "apache2ctl", "apachectl", "apk", "apropos", "ar", "aria2c", "arp",
    "arpd", "arpspoof", "ash", "aspell", "atq", "atrm", "awk", "axel", "b2sum", "badblocks", "base32",
    "base64", "basename", "basenc", "bash", "bashbug", "beeline", "bettercap", "blkdiscard", "blkid",
    "blkzone", "blockdev", "bpftool", "bpftrace", "brctl", "bteq", "bunzip2", "busctl", "byebug", "byobu",
    "bzcat", "bzcmp", "bzdiff", "bzegrep", "bzexe", "bzfgrep", "bzgrep", "bzip", "bzip2", "bzip2recover",
    "bzless", "bzmore", "c89", "c99", "c_rehash", "capsh", "captoinfo", "catman", "cbt", "cc", "certbot",
    "cg_annotate", "cg_diff", "cg_merge", "chage", "chattr", "chcon", "chcpu", "checkgid", "chfn", "chisel",
    "chmem", "chmod", "choom", "chown", "chroot", "chsh", "cksum", "clang", "clisp", "clusterdb", "cmp",
    "cobc", "colcrt", "colrm", "comm", "corelist", "corepack", "cowsay", "cowthink", "cpan", "cpgr", "cpio",
    "cpp", "cppw", "createdb", "createlang", "createuser", "crictl", "cscope", "csh", "csplit", "csvtool",
    "ctags", "ctrlaltdel", "ctstat", "curl", "dc", "dcb", "dd", "debconf", "delpart", "derb", "devlink",
    "df", "dhclient", "diff3", "dig", "dircolors", "dirmngr", "dirname", "dmesg", "dmsetup", "dmstats",
    "dnf", "dnsdomainname", "dnsmasq", "domainname", "dotnet", "dpkg", "dropdb", "droplang", "dropuser",
    "dsymutil", "du", "dumpe2fs", "dumpsexp", "dvips", "dwp", "e2freefrag", "e2fsck", "e2image", "e2label",
    "e2mmpstatus", "e2scrub", "e2scrub_all", "e2undo", "e4crypt", "e4defrag", "easy_install", "ed", "efax",
    "egrep", "elfedit", "elvish", "emerge", "enc2xs", "encguess", "enscript", "enum4linux", "envsubst",
    "eqn", "escapesrc", "espeak", "espeak-ng", "etags", "etcdctl", "ethtool", "ettercap", "exiftool",
    "exiv2", "faillock", "faillog", "fakeroot", "fallocate", "fcgistarter", "fd", "fdisk", "ffind",
    "ffmpeg", "fgrep", "filefrag", "fincore", "findfs", "findmnt", "flatpak", "flock", "fmt", "fping",
    "fsck", "fsfreeze", "fstrim", "ftp", "ftpd", "ftpwho", "funzip", "fuser", "gawk", "gcc", "gcloud",
    "gcore", "gcov", "gdb", "gdbtui", "gdbus", "gem", "genbrk", "gencat", "genccode", "gencfu", "gencmn",
    "gencnval", "gendict", "genisoimage", "genl", "gennorm2", "genrb", "gensprep", "geqn", "getcap",
    "getconf", "getfacl", "getopt", "getpcaps", "gettext", "gettextize", "getty", "ghc", "ghci",
    "ghostscript", "ginsh", "gio", "gmake", "gnuplot", "gobuster", "gpg", "gpgcompose", "gpgconf",
    "gpgparsemail", "gpgsm", "gpgsplit", "gpgtar", "gpgv", "gpic", "gprof", "gprofng", "grc", "grep",
    "gresource", "groff", "grops", "grotty", "groupmems", "grpck", "grpconv", "grpunconv", "gs",
    "gsettings", "gsutil", "gtbl", "gtester", "gunzip", "gzcat", "gzexe", "gzip", "h2load", "h2ph", "h2xs",
    "hadoop", "hashcat", "hciconfig", "hd", "hdfs", "heaptrack", "heaptrack_print", "helm", "helpztags",
    "hexdump", "hg", "hmac256", "hostid", "hostname", "hostnamectl", "hping3", "htcacheclean", "htdbm",
    "htdigest", "htop", "htpasswd", "httxt2dbm", "hwclock", "hwinfo", "iconv", "iconvconfig",
    "icuexportdata", "icuinfo", "icupkg", "id3v2", "ifdown", "iftop", "ifup", "infocmp", "infotocap",
    "insmod", "installkernel", "instmodsh", "inxi", "ionice", "iostat", "ip6tables", "ipcmk", "ipconfig",
    "ipcrm", "ipcs", "ipmaddr", "iptables", "iptunnel", "irb", "ischroot", "isosize", "ispell", "isql",
    "istioctl", "iw", "iwconfig", "jar", "jarsigner", "javap", "jcmd", "jconsole", "jdb", "jdeprscan",
    "jdeps", "jexec", "jfr", "jhsdb", "jimage", "jinfo", "jjs", "jlink", "jmap", "jmod", "journalctl",
    "jpackage", "jps", "jq", "jrunscript", "jshell", "json_pp", "jstack", "jstat", "jstatd", "julia", "k9s",
    "kbxutil", "keytool", "killall5", "knife", "kpt", "ksh", "ksh93", "ksshell", "kubeadm", "lastb",
    "latex", "lbzip2", "lcf", "ldapsearch", "ldattach", "ldd", "lessecho", "lessfile", "lesskey",
    "lesspipe", "lexgrog", "lftp", "lftpget", "libnetcfg", "linpeas", "listres", "llc", "lli", "ln",
    "lnstat", "localectl", "localedef", "loginctl", "logresolve", "logsave", "losetup", "lp", "lpq", "lpr",
    "lrzip", "ls", "lsattr", "lsb_release", "lsblk", "lscpu", "lsfd", "lshw", "lsipc", "lsirq", "lslocks",
    "lslogins", "lsmem", "lsmod", "lsnrctl", "lsns", "lsof", "lspci", "lspgpot", "lsusb", "ltrace", "ltx",
    "lua", "luajit", "lualatex", "luit", "lynx", "lz4", "lz4c", "lz4cat", "lzcat", "lzcmp", "lzdiff",
    "lzegrep", "lzfgrep", "lzgrep", "lzless", "lzma", "lzmainfo", "lzmore", "macchanger", "makeconv",
    "mandb", "mawk", "mcookie", "md5sum", "memusage", "memusagestat", "minikube", "mke2fs", "mkfifo",
    "mkfs", "mknod", "mkpasswd", "mksh", "mkswap", "mktemp", "mlocate", "modprobe", "mogrify", "mongo",
    "mongod", "mongodump", "mongosh", "mosh", "mosquitto", "mpicalc", "ms_print", "msfconsole", "msfvenom",
    "msgattrib", "msgcat", "msgcmp", "msgcomm", "msgconv", "msgen", "msgexec", "msgfilter", "msgfmt",
    "msggrep", "msginit", "msgmerge", "msgunfmt", "msguniq", "mtr", "mtrace", "multitime", "mv", "mvn",
    "mysql", "mysqladmin", "mysqldump", "namei", "nameif", "nano", "nasm", "nawk", "nc", "ncat", "neofetch",
    "neqn", "netcat", "netkit-ftp", "netplan", "netstat", "networkctl", "newgrp", "newusers", "nft",
    "ngettext", "nghttp", "nginx", "ngrep", "nikto", "nisdomainname", "nmap", "nmbd", "nmcli", "nodejs",
    "nologin", "nping", "nproc", "npx", "nroff", "nsenter", "nslookup", "nstat", "ntpdate", "numfmt",
    "nvim", "obj2yaml", "objcopy", "objdump", "ocamlfind", "ocs", "od", "openrc", "openssl", "opkg", "osql",
    "pacman", "pam_getenv", "pandoc", "partx", "passwd", "pathchk", "pax", "pdb3", "pdflatex", "pdftk",
    "pdftotext", "pdksh", "pear", "pecl", "peekfd", "perl", "perlbug", "perldoc", "perlivp", "perlthanks",
    "pftp", "pg_basebackup", "pg_buildext", "pg_config", "pg_conftool", "pg_ctlcluster", "pg_dropcluster",
    "pg_dump", "pg_dumpall", "pg_isready", "pg_lsclusters", "pg_receivewal", "pg_receivexlog",
    "pg_recvlogical", "pg_restore", "pg_updatedicts", "pg_virtualenv", "pgbench", "pgrep", "php", "php-cgi",
    "phpize", "pico", "piconv", "pidstat", "pidwait", "pigz", "pinentry", "ping", "ping6", "pinky", "pip3",
    "pivot_root", "pkaction", "pkcheck", "pkcon", "pkg", "pkgconf", "pkgdata", "pkill", "pkmon",
    "pkttyagent", "pl2pm", "pldd", "plipconfig", "pmap", "pngfix", "pod2html", "pod2man", "pod2text",
    "pod2usage", "podchecker", "podman", "poweroff", "preconv", "printenv", "printf", "prlimit", "prtstat",
    "ps", "psed", "psftp", "pslog", "pspy", "psql", "pstree", "ptar", "ptardiff", "ptargrep", "ptx",
    "puppet", "pwck", "pwconv", "pwd", "pwdx", "pwunconv", "py3clean", "py3compile", "py3versions",
    "pydoc3", "pygettext3", "pygmentize", "pyspark", "python", "python3", "pzstd", "rake", "ranlib", "rarp",
    "rbash", "rclone", "rcp", "rdma", "readelf", "readlink", "readprofile", "readtags", "realpath",
    "redcarpet", "redis-cli", "reindexdb", "renice", "resize2fs", "resizepart", "restic", "rev", "rexec",
    "rgrep", "rksh", "rlogin", "rlwrap", "rm", "rman", "rmdir", "rmiregistry", "rmmod", "rotatelogs",
    "rpcclient", "rpcgen", "rpm", "rpmdb", "rpmquery", "rsh", "rsync", "rtacct", "rtcwake", "rtmon",
    "rtstat", "ruby2.7", "run-mailcap", "run-parts", "runcon", "runuser", "rview", "rvim", "sash",
    "savelog", "scanmem", "scp", "scriptlive", "scriptreplay", "scrot", "sdiff", "sed", "sendmail",
    "serialver", "setcap", "setfacl", "setpriv", "setterm", "sftp", "sh", "sha1sum", "sha224sum",
    "sha256sum", "sha384sum", "sha512sum", "shadowconfig", "shasum", "shred", "shuf", "slabtop", "slattach",
    "slogin", "slowhttptest", "slsh", "smbclient", "smbd", "smbget", "smbmap", "snice", "snobol4", "socat",
    "soelim", "sotruss", "sox", "spark-shell", "sprof", "sqlite3", "sqlldr", "sqlmap", "sqlplus", "ss",
    "ssh", "ssh-add", "ssh-agent", "ssh-copy-id", "sshpass", "ssmtp", "start-stop-daemon", "streamzip",
    "stty", "sulogin", "supervisorctl", "svn", "swaplabel", "swapoff", "swapon", "switch_root", "symfony",
    "sysctl", "systemctl", "systemd-resolve", "systemd-run", "tarcat", "taskset", "tasksh", "tbl", "tclsh",
    "tcpflow", "tcpkill", "tcpreplay", "tcsh", "tdbtool", "telinit", "telnet", "tempfile", "terraform",
    "tftp", "tftpd", "timedatectl", "timelimit", "tipc", "tload", "tmate", "tmux", "tomlq", "torify",
    "torsocks", "tput", "traceroute", "troff", "tsc", "tset", "tshark", "tsort", "tty", "tune2fs",
    "tzselect", "ucf", "ucfq", "ucfr", "uclampset", "ul", "ulimit", "umount", "unexpand", "unix_chkpwd",
    "unix_update", "unlink", "unlz4", "unlzma", "unrar", "unxz", "unzip", "unzipsfx", "unzstd",
    "update-alternatives", "useradd", "utmpdump", "uudecode", "uuencode", "uuidgen", "vacuumdb", "vacuumlo",
    "vagrant", "valgrind", "validlocale", "varnishadm", "varnishd", "varnishhist", "varnishlog",
    "varnishncsa", "varnishstat", "varnishtest", "varnishtop", "vdir", "vdpa", "vgdb", "vi", "viewres",
    "vigr", "vim", "vimdiff", "vimtutor", "vipw", "virsh", "vlock", "vmstat", "w3m", "wall", "watchgnupg",
    "wc", "wdctl", "wget", "whatis", "whereis", "whiptail", "whoami", "whois", "wine", "wipefs",
    "wireshark", "wish", "wkhtmltopdf", "wpa_cli", "wpa_supplicant", "xauth", "xdg-user-dir", "xdotool",
    "xdpyinfo", "xdriinfo", "xelatex", "xetex", "xev", "xfd", "xfontsel", "xgettext", "xkill", "xlsatoms",
    "xlsclients", "xlsfonts", "xmessage", "xmodmap", "xmore", "xpad", "xprop", "xsubpp", "xterm", "xvinfo",
    "xwininfo", "xxd", "xz", "xzcat", "xzcmp", "xzdec", "xzdiff", "xzegrep", "xzfgrep", "xzgrep", "xzless",
    "xzmore", "yaml2obj", "yarn", "yarnpkg", "yash", "yelp", "ypdomainname", "yum", "zathura", "zcat",
    "zcmp", "zdiff", "zdump", "zegrep", "zfgrep", "zforce", "zgrep", "zic", "zip", "zipcloak", "zipdetails",
    "zipgrep", "zipinfo", "zipnote", "zipsplit", "zless", "zmore", "znew", "zramctl", "zsh", "zsoelim",
    "zstd", "zstdcat", "zstdgrep", "zstdless", "zstdmt", "zypper",
]);

#[rustfmt::skip]
static WRAPPERS: WordList = WordList::new(&[
    "busybox", "chrt", "command", "doas", "env", "eval", "exec", "ionice", "nice", "nohup", "parallel",
    "script", "setsid", "stdbuf", "strace", "sudo", "time", "timeout", "unbuffer", "unshare", "watch",
    "xargs",
]);

#[rustfmt::skip]
static WEAK: WordList = WordList::new(&[
    "alias", "ansible", "apt", "arch", "at", "atop", "batch", "bc", "break", "cal", "cargo", "cat", "cd",
    "column", "composer", "cp", "cron", "cut", "date", "diff", "dir", "docker", "echo", "expand", "export",
    "expr", "facter", "fetch", "file", "find", "finger", "fold", "free", "git", "go", "groups", "halt",
    "head", "help", "history", "host", "id", "ip", "java", "jobs", "join", "kill", "killall", "last", "ld",
    "less", "ll", "locate", "logger", "login", "logname", "look", "mail", "make", "man", "mkdir", "more",
    "mount", "nl", "nm", "node", "npm", "paste", "patch", "perf", "pip", "pr", "read", "reboot", "rename",
    "route", "ruby", "screen", "service", "set", "shutdown", "sleep", "snap", "sort", "source", "split",
    "stat", "su", "sum", "tac", "tail", "tar", "tee", "test", "tex", "times", "top", "touch", "tr", "trap",
    "type", "ulimit", "umask", "uname", "uniq", "unset", "vi", "view", "wait", "watch", "who",
]);
