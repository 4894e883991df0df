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
    } else if WEAK.has(word) || NOUNS.has(word) {
        Some(Command::Weak)
    } else if SURE.has(word) || is_of_family(word) {
        Some(Command::Sure)
    } else {
        None
    }
}

/// `ansible-vault`, `apt-get`, `dpkg-query`.
fn is_of_family(word: &[u8]) -> bool {
    const FAMILIES: [(&[u8], &[&str]); 10] = [
        (
            b"aa-",
            &[
                "audit",
                "autodep",
                "cleanprof",
                "complain",
                "decode",
                "disable",
                "easyprof",
                "enabled",
                "enforce",
                "exec",
                "genprof",
                "logprof",
                "mergeprof",
                "notify",
                "remove-unknown",
                "status",
                "teardown",
                "unconfined",
            ],
        ),
        (
            b"ansible-",
            &["config", "console", "doc", "galaxy", "inventory", "lint", "playbook", "pull", "test", "vault"],
        ),
        (b"apt-", &["cache", "cdrom", "config", "file", "get", "key", "mark"]),
        (
            b"chef-",
            &["apply", "automate", "cli", "client", "run", "server-ctl", "shell", "solo", "vault", "zero"],
        ),
        (
            b"check_",
            &[
                "by_ssh",
                "cups",
                "disk",
                "http",
                "load",
                "log",
                "memory",
                "ping",
                "procs",
                "raid",
                "ssl_cert",
                "statusfile",
            ],
        ),
        (b"docker-", &["compose", "machine"]),
        (b"dpkg-", &["buildpackage", "deb", "divert", "query", "reconfigure", "source", "split", "trigger"]),
        (b"lwp-", &["download", "dump", "mirror", "request"]),
        (
            b"systemd-",
            &[
                "analyze",
                "cat",
                "cgls",
                "creds",
                "detect-virt",
                "escape",
                "id128",
                "inhibit",
                "mount",
                "nspawn",
                "path",
                "resolve",
                "run",
                "tmpfiles",
            ],
        ),
        (b"update-", &["alternatives", "rc.d", "passwd", "grub", "initramfs", "ca-certificates", "locale"]),
    ];
    FAMILIES.iter().any(|(family, members)| {
        word.strip_prefix(*family).is_some_and(|member| members.iter().any(|one| one.as_bytes() == member))
    })
}

/// Of the English words, those that are verbs of a shell: `;echo done` is no list of nouns, as `;date of birth` is.
pub(super) fn is_verb(word: &[u8]) -> bool {
    VERBS.has(word)
}

/// Wrappers that are English words.
pub(super) fn is_english(wrapper: &[u8]) -> bool {
    matches!(
        wrapper,
        b"time" | b"watch" | b"script" | b"command" | b"parallel" | b"nice" | b"timeout" | b"trickle"
    )
}

/// Commands that attackers try first, and no words of a language.
pub(super) fn is_asked(word: &[u8]) -> bool {
    matches!(word, b"id" | b"dir" | b"su" | b"ll" | b"uname")
}

/// Those that tell something without any argument.
pub(super) fn runs_alone(word: &[u8]) -> bool {
    RUN_ALONE.has(word)
}

/// Those that are nouns first.
pub(super) fn is_noun(word: &[u8]) -> bool {
    NOUNS.has(word)
}

/// Those that are given the name of a file and nothing else; `find a.txt` and `open a.txt` people say as well.
pub(super) fn takes_file(word: &[u8]) -> bool {
    TAKE_FILE.has(word)
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
    "aa-exec", "add-apt-repository", "addgroup", "addr2line", "adduser", "aircrack-ng", "aireplay-ng",
    "airodump-ng", "ansible-playbook", "apache2ctl", "apachectl", "arj-register", "arjdisp", "ascii-xfr",
    "auditctl", "aureport", "ausearch", "authconfig", "avahi-browse", "badblocks", "blkdiscard", "blkid",
    "bloodhound-python", "bluetoothctl", "borgbackup", "bsdcat", "bsdiff", "bsdtar", "bzip2recover", "c89-gcc",
    "c99-gcc", "c_rehash", "cachectl", "callgrind_annotate", "captoinfo", "cg_annotate", "cg_diff", "cg_merge",
    "chage", "chattr", "chflags", "chfn", "chgpasswd", "chgrp", "chpass", "chpasswd", "chronyd", "chsh",
    "cloud-init", "clusterdb", "cobcrun", "coredumpctl", "cpulimit", "cpupower", "createlang", "createuser",
    "crontab", "cryptsetup", "cscli", "ctrlaltdel", "cupsfilter", "dbus-daemon", "dbus-send", "debootstrap",
    "deborphan", "debugfs", "delgroup", "deluser", "depmod", "dircolors", "dmesg", "dmeventd", "dmidecode",
    "dnf5", "dnsdomainname", "dnsenum", "dnsrecon", "domainname", "dosbox", "duplicity", "dvips", "e2freefrag",
    "e2mmpstatus", "e2scrub_all", "easy_install", "efibootmgr", "efivar", "env-update", "escapesrc",
    "espeak-ng", "evil-winrm", "exfatlabel", "expect_unbuffer", "exportfs", "fallocate", "fcgistarter", "fdisk",
    "fdmount", "fdumount", "fping6", "fsck.ext4", "ftpstats", "fwupdmgr", "genisoimage", "getenforce", "getent",
    "getfacl", "getsebool", "gettextize", "gobject-query", "gpasswd", "gpg-agent", "gpgcompose", "gpgparsemail",
    "gresource", "groupadd", "groupdel", "groupmems", "groupmod", "grpck", "grpunconv", "grub-install",
    "grub-mkconfig", "gsettings", "gunzip", "hciconfig", "heaptrack", "heaptrack_print", "helpztags",
    "hostnamectl", "htcacheclean", "httpie", "httxt2dbm", "i2cdetect", "iconvconfig", "icuexportdata",
    "ifconfig", "impacket-smbserver", "infotocap", "inotifywait", "insmod", "installkernel", "instmodsh",
    "ip6tables", "ip6tables-save", "iperf3", "ippeveprinter", "ippfind", "ipptool", "iptables", "iptables-save",
    "jarsigner", "jdeprscan", "journalctl", "jrunscript", "json_pp", "kdump", "killall5", "kpartx", "kubectl",
    "kubectx", "kubens", "kustomize", "lastcomm", "lastlog", "lastlogin", "latexmk", "launchctl", "ldapmodify",
    "ldapsearch", "ldapwhoami", "ldconfig", "ldd", "libnetcfg", "localectl", "localedef", "logresolve",
    "losetup", "lsattr", "lsb_release", "lsblk", "lscpu", "lsdev", "lsinitramfs", "lsmod", "lsof", "lspci",
    "lsscsi", "lsusb", "lvdisplay", "lvextend", "lvremove", "lxc-attach", "lzmadec", "macchanger", "md5sum",
    "memusagestat", "mkdirhier", "mkfifo", "mkfs.ext4", "mkhomedir_helper", "mkinitcpio", "mkswap", "modprobe",
    "mongodump", "mongoexport", "mongorestore", "mosquitto", "mountpoint", "ms_print", "msfconsole",
    "msgattrib", "msgfilter", "multipath", "multitime", "mysqladmin", "mysqldump", "mysqldumpslow",
    "mysqlhotcopy", "mysqlimport", "mysqlshow", "nc.openbsd", "nc.traditional", "netdiscover", "netkit-ftp",
    "netstat", "networkctl", "networksetup", "nfsiostat", "nisdomainname", "nm-applet", "nmblookup", "nslookup",
    "objdump", "ocamlfind", "osascript", "pam_getenv", "partprobe", "pcre2grep", "pdb2mb", "pdftotext",
    "perlthanks", "pg_basebackup", "pg_buildext", "pg_config", "pg_conftool", "pg_ctl", "pg_ctlcluster",
    "pg_dropcluster", "pg_dump", "pg_dumpall", "pg_isready", "pg_lsclusters", "pg_receivewal", "pg_receivexlog",
    "pg_recvlogical", "pg_restore", "pg_updatedicts", "pg_virtualenv", "pidof", "pinentry-curses", "pivot_root",
    "pkexec", "pkg-config", "pkttyagent", "plipconfig", "pmset", "pod2usage", "podchecker", "portmaster",
    "postqueue", "proxychains", "pstree", "pvdisplay", "pw-cli", "pwck", "py3compile", "py3versions",
    "pygettext3", "pygmentize", "pyversions", "qemu-system-x86_64", "rabbitmqctl", "rc-service", "readarray",
    "readelf", "readprofile", "redcarpet", "redis-benchmark", "redis-cli", "redis-server", "reindexdb",
    "resize2fs", "resize4fs", "resizepart", "resolvectl", "rmiregistry", "rmmod", "rmt", "rmuser", "rotatelogs",
    "rpcclient", "rpmverify", "rsync-ssl", "run-mailcap", "run-parts", "screenfetch", "scriptlive",
    "scriptreplay", "secretsdump.py", "serialver", "setarch", "setenforce", "setfacl", "setsebool", "setserial",
    "sgdisk", "sha1sum", "sha224sum", "sha256sum", "sha384sum", "sha512sum", "shadowconfig", "showmount",
    "slowhttptest", "smartd", "smbclient", "softlimit", "softwareupdate", "spark-shell", "sqlfluff", "squashfs",
    "ssh-agent", "ssh-copy-id", "ssh-keygen", "ssh-keyscan", "streamzip", "subfinder", "subscription-manager",
    "sudoreplay", "supervisorctl", "sw_vers", "swaplabel", "swaymsg", "switch_root", "sysctl",
    "system_profiler", "systemctl", "systemd-analyze", "systemd-nspawn", "systemd-resolve", "tcpdump",
    "tcpreplay", "tcptraceroute", "testssl.sh", "thin_check", "timedatectl", "timelimit", "tinyproxy",
    "tnscmd10g", "tracepath", "tracepath6", "traceroute", "traceroute6", "uclampset", "uconv", "unix_chkpwd",
    "unix_update", "unsquashfs", "update-alternatives", "update-rc.d", "useradd", "userdel", "usermod",
    "uuidgen", "validlocale", "varnishadm", "varnishhist", "varnishlog", "varnishncsa", "varnishstat",
    "varnishtest", "varnishtop", "vboxmanage", "vgdisplay", "vipw", "virt-install", "visudo", "vmtoolsd",
    "vncserver", "vncviewer", "watchgnupg", "wbinfo", "wkhtmltopdf", "wpa_cli", "wpa_supplicant",
    "xdg-user-dir", "xfs_info", "xfs_repair", "xinput", "xlsclients", "xxd", "ypdomainname", "zipdetails",
    "zipmerge", "ziptool",
]);

#[rustfmt::skip]
static STRONG: WordList = WordList::new(&[
    "7z", "7za", "7zr", "7zx", "ab", "accessdb", "adb", "addpart", "agetty", "aircrack", "airmon", "amass",
    "aoss", "apk", "appres", "apropos", "aptitude", "ar", "aria2c", "arj", "arp", "arpd", "arpspoof", "ascii85",
    "ash", "aspell", "atobm", "atq", "atrm", "awk", "axel", "b2sum", "base32", "base64", "basename", "basenc",
    "bash", "bashbug", "bconsole", "bettercap", "bg", "blkzone", "blockdev", "bpftool", "bpftrace", "bpkg",
    "brctl", "bteq", "btrfs", "bunx", "bunzip2", "busctl", "byebug", "byobu", "bzcat", "bzcmp", "bzdiff",
    "bzegrep", "bzexe", "bzfgrep", "bzgrep", "bzip", "bzip2", "bzless", "bzmore", "bzz", "c89", "c99", "cabal",
    "capsh", "catman", "cbt", "cc", "cdist", "certbot", "certutil", "chcon", "chcpu", "checkgid", "chmem",
    "chmod", "choom", "chown", "chronyc", "chroot", "cksum", "clang", "clisp", "cmp", "cobc", "codesign",
    "colcrt", "colrm", "compgen", "containerd", "coproc", "corelist", "corepack", "cowsay", "cowthink", "cpan",
    "cpgr", "cpio", "cpp", "cppw", "crackmapexec", "createdb", "crictl", "cscope", "csh", "csplit", "csrutil",
    "csvtool", "ctags", "ctstat", "curl", "dash", "dc", "dcb", "dd", "ddrescue", "debconf", "delpart", "derb",
    "devlink", "devmem", "devmem2", "df", "dhclient", "diff3", "dig", "dirb", "dirmngr", "dirname", "diskutil",
    "disown", "dmsetup", "dmstats", "dnf", "dnscat", "dnsmasq", "dos2unix", "dotnet", "dpkg", "dracut",
    "dropbear", "dropdb", "droplang", "dropuser", "dscl", "dsymutil", "du", "dumpe2fs", "dumpsexp", "dwp",
    "e2fsck", "e2image", "e2label", "e2scrub", "e2undo", "e4crypt", "e4defrag", "easyrsa", "ebtables", "efax",
    "egrep", "elfedit", "elvish", "emacs", "emerge", "enc2xs", "encguess", "enscript", "enum4linux", "envsubst",
    "eqn", "esh", "espeak", "esxcli", "etags", "etcd", "etcdctl", "ethtool", "ettercap", "evilginx", "exiftool",
    "exim", "exim4", "exiv2", "faillock", "faillog", "fatlabel", "fc-cache", "fc-list", "fd", "fdfind",
    "feroxbuster", "ffind", "ffmpeg", "ffprobe", "ffuf", "fgrep", "filefrag", "filetest", "fincore", "findfs",
    "findmnt", "flatpak", "fping", "fsadm", "fsck", "fsfreeze", "fstrim", "ftp", "ftpd", "ftpwho", "funzip",
    "fuser", "gawk", "gcc", "gcloud", "gcore", "gcov", "gdb", "gdbtui", "gdbus", "genbrk", "gencat", "genccode",
    "gencfu", "gencmn", "gencnval", "gendict", "genl", "gennorm2", "genrb", "gensprep", "geqn", "getcap",
    "getconf", "getopt", "getopts", "getpcaps", "gettext", "getty", "ghc", "ghci", "ghostscript", "ginsh",
    "gio", "gmake", "gnuplot", "gobuster", "gpg", "gpg2", "gpgconf", "gpgsm", "gpgsplit", "gpgtar", "gpgv",
    "gpic", "gprof", "gprofng", "grc", "grcat", "grep", "groff", "grops", "grotty", "grpconv", "gs", "gsutil",
    "gtbl", "gtester", "gunicorn", "gzcat", "gzexe", "gzip", "h2load", "h2ph", "h2xs", "hadoop", "haproxy",
    "hashcat", "hd", "hdfs", "hexdump", "hexedit", "hg", "hmac256", "hostid", "hostname", "hping", "hping3",
    "htdbm", "htdigest", "htop", "htpasswd", "hwclock", "hwinfo", "hydra", "iconv", "icuinfo", "icupkg",
    "id3v2", "idle3", "ifdown", "ifquery", "iftop", "ifup", "infocmp", "initctl", "inxi", "iostat", "iotop",
    "ip6calc", "ipcalc", "ipcmk", "ipconfig", "ipcrm", "ipcs", "ipmaddr", "ipset", "iptunnel", "ipython",
    "ipython3", "irb", "ischroot", "iscsiadm", "isosize", "ispell", "isql", "istioctl", "iw", "iwconfig",
    "iwlist", "javap", "jcmd", "jconsole", "jdb", "jdeps", "jexec", "jfr", "jhsdb", "jimage", "jinfo", "jjs",
    "jlink", "jmap", "jmod", "jpackage", "jps", "jq", "jshell", "jstack", "jstat", "jstatd", "jtag", "k3s",
    "k9s", "kbxutil", "kcat", "kerbrute", "kexec", "kextload", "kextstat", "keytool", "kinit", "klist", "kpt",
    "ksh", "ksh93", "ksplice", "ksshell", "kubeadm", "lastb", "lbzip2", "lcf", "ldapadd", "ldattach",
    "lessecho", "lessfile", "lesskey", "lesspipe", "lexgrog", "lftp", "lftpget", "ligolo", "linpeas", "listres",
    "llc", "lli", "ln", "lnstat", "loginctl", "logsave", "lp", "lpadmin", "lpq", "lpr", "lpstat", "lrzip", "ls",
    "lsfd", "lshw", "lsipc", "lsirq", "lslocks", "lslogins", "lsmem", "lsnrctl", "lsns", "lspgpot", "ltx",
    "lua", "luajit", "lualatex", "luatex", "luit", "lvcreate", "lvs", "lxc", "lxd", "lz4", "lz4c", "lz4cat",
    "lzcat", "lzcmp", "lzdiff", "lzegrep", "lzfgrep", "lzgrep", "lzless", "lzma", "lzmainfo", "lzmore", "mailq",
    "mailx", "makeconv", "makepkg", "mandb", "mapfile", "masscan", "mawk", "mcedit", "mcookie", "mdadm",
    "memusage", "mii-tool", "mimikatz", "minicom", "minikube", "mkdosfs", "mke2fs", "mkfs", "mknod", "mkpasswd",
    "mksh", "mktemp", "mlocate", "modinfo", "mogrify", "mongo", "mongod", "mongosh", "mosh", "mpicalc", "mpv",
    "msfvenom", "msgcat", "msgcmp", "msgcomm", "msgconv", "msgen", "msgexec", "msgfmt", "msggrep", "msginit",
    "msgmerge", "msgunfmt", "msguniq", "mtr", "mtrace", "mtree", "mutt", "mv", "mvn", "mysql", "mysqld",
    "namei", "nameif", "nasm", "nawk", "nc", "ncat", "ncdu", "neofetch", "neqn", "netcat", "netexec", "nethogs",
    "netplan", "newgrp", "newusers", "nfsstat", "nft", "ngettext", "nghttp", "nginx", "ngrep", "nikto", "nmap",
    "nmbd", "nmcli", "nodejs", "nodetool", "nologin", "nping", "nproc", "npx", "nroff", "nsenter", "nstat",
    "nsupdate", "ntfs-3g", "ntfsfix", "ntpdate", "ntpq", "nuclei", "numfmt", "nvim", "nvm", "nvram", "obj2yaml",
    "objcopy", "ocs", "od", "odbcinst", "openrc", "openssl", "openvpn", "openvt", "opkg", "osql", "pandoc",
    "parted", "partx", "passwd", "pathchk", "pax", "pbcopy", "pbpaste", "pdb3", "pdflatex", "pdftex", "pdftk",
    "pdksh", "pdsh", "pecl", "peekfd", "perl", "perlbug", "perldoc", "perlivp", "perlsh", "pexec", "pftp",
    "pgbench", "pgrep", "php", "php-cgi", "php-fpm", "phpenv", "phpize", "picocom", "piconv", "pidstat",
    "pidwait", "pigz", "pinentry", "ping", "ping6", "pinky", "pip2", "pip3", "pipx", "pkaction", "pkcheck",
    "pkcon", "pkg", "pkg_add", "pkg_delete", "pkg_info", "pkgconf", "pkgdata", "pkginfo", "pkgutil", "pkill",
    "pkmon", "pl2pm", "pldd", "plutil", "plymouth", "pm2", "pmap", "pngfix", "pnpm", "pod2html", "pod2man",
    "pod2text", "podman", "popd", "postconf", "postmap", "poweroff", "preconv", "printenv", "printf", "prlimit",
    "procmail", "prtstat", "ps", "pscp", "psed", "psftp", "pslog", "pspy", "psql", "ptar", "ptardiff",
    "ptargrep", "ptx", "pushd", "pvcreate", "pvs", "pwconv", "pwd", "pwdx", "pwgen", "pwncat", "pwunconv",
    "pxz", "py3clean", "pydoc3", "pyenv", "pyspark", "python", "python3", "pzstd", "qemu-img", "raku", "ranlib",
    "rar", "rarp", "rbash", "rbenv", "rclone", "rcp", "rdma", "readlink", "readtags", "realpath", "renice",
    "restic", "rexec", "rgrep", "rkhunter", "rksh", "rlogin", "rlwrap", "rm", "rman", "rmdir", "rnano",
    "rpcbind", "rpcgen", "rpcinfo", "rpm", "rpm2cpio", "rpmdb", "rpmquery", "rrdtool", "rsh", "rsync",
    "rsyslogd", "rtacct", "rtcwake", "rtmon", "rtorrent", "rtstat", "rubeus", "ruby2.7", "runc", "runcon",
    "runit", "runlevel", "runsv", "runsvdir", "rustc", "rustup", "rview", "rvim", "sar", "sash", "savelog",
    "scanmem", "scp", "scrot", "scutil", "sdiff", "sed", "semanage", "sendmail", "sestatus", "setcap", "setenv",
    "setlock", "setterm", "sfdisk", "sftp", "sh", "shasum", "shopt", "shuf", "skopeo", "slabtop", "slattach",
    "slogin", "slsh", "smartctl", "smbd", "smbget", "smbmap", "snice", "snmpget", "snmpset", "snmpwalk",
    "snobol4", "socat", "socklog", "soelim", "sotruss", "sox", "spctl", "sprof", "sqlcmd", "sqlite3", "sqlldr",
    "sqlmap", "sqlplus", "sqsh", "squidclient", "ss", "ssh", "ssh-add", "sshd", "sshfs", "sshpass", "sshuttle",
    "sslscan", "sslyze", "ssmtp", "steghide", "strings", "stty", "stunnel", "sudoedit", "sulogin", "svn",
    "svnadmin", "svnauthz", "svnbench", "svndumpfilter", "svnfsfs", "svnlook", "svnmucc", "svnrdump",
    "svnserve", "svnsync", "svnversion", "svscan", "swaks", "swapoff", "swapon", "syslogd", "tailf", "tarcat",
    "tasksh", "tbl", "tc", "tclsh", "tcpflow", "tcpick", "tcping", "tcpkill", "tcsh", "tdbtool", "tdnf",
    "telinit", "telnet", "tempfile", "terraform", "tftp", "tftpd", "tload", "tlp", "tmate", "tmutil", "tmux",
    "tomlq", "torsocks", "tput", "troff", "ts-node", "tsc", "tset", "tshark", "tsort", "tty", "ttyd", "tune2fs",
    "typeset", "tzselect", "ucf", "ucfq", "ucfr", "udevadm", "ufw", "uglifyjs", "ul", "ulimit", "umount",
    "unalias", "uncompress", "unexpand", "unlz4", "unlzma", "unpigz", "unrar", "unxz", "unzip", "unzipsfx",
    "unzstd", "up2date", "usbip", "utmpdump", "uudecode", "uuencode", "uvicorn", "uwsgi", "vacuumdb",
    "vacuumlo", "varnishd", "vdir", "vdpa", "vgcreate", "vgdb", "vgs", "vi", "viewres", "vigr", "vim",
    "vimdiff", "vimtutor", "vinagre", "virsh", "virtualenv", "vmstat", "w3m", "wafw00f", "wc", "wdctl", "wfuzz",
    "wg", "wg-quick", "wget", "whatis", "whatweb", "whereis", "whiptail", "whoami", "whois", "wipefs",
    "wireshark", "wpscan", "wscat", "xauth", "xclip", "xdg-open", "xdotool", "xdpyinfo", "xdriinfo", "xelatex",
    "xetex", "xev", "xfd", "xfontsel", "xfreerdp", "xgettext", "xkill", "xlsatoms", "xlsfonts", "xmessage",
    "xmllint", "xmodmap", "xmore", "xpad", "xprop", "xrandr", "xrdp", "xsel", "xsltproc", "xsubpp", "xterm",
    "xvinfo", "xwininfo", "xz", "xzcat", "xzcmp", "xzdec", "xzdiff", "xzegrep", "xzfgrep", "xzgrep", "xzless",
    "xzmore", "yaml2obj", "yarnpkg", "yash", "yay", "yelp", "ykman", "ypcat", "yum", "zathura", "zcat", "zcmp",
    "zdiff", "zdump", "zegrep", "zenity", "zfgrep", "zforce", "zfs", "zgrep", "zic", "zipcloak", "zipcmp",
    "zipgrep", "zipinfo", "zipnote", "zipsplit", "zless", "zmore", "znew", "zpool", "zramctl", "zrun", "zsh",
    "zsoelim", "zstd", "zstdcat", "zstdgrep", "zstdless", "zstdmt", "zypper",
]);

#[rustfmt::skip]
static WRAPPERS: WordList = WordList::new(&[
    "builtin", "busybox", "catchsegv", "chpst", "chrt", "command", "daemonize", "doas", "eatmydata", "env",
    "eval", "exec", "fakeroot", "firejail", "flock", "gosu", "ionice", "ltrace", "nice", "nohup", "numactl",
    "parallel", "proxychains4", "runuser", "script", "sem", "setpriv", "setsid", "start-stop-daemon", "stdbuf",
    "strace", "sudo", "systemd-run", "taskset", "time", "timeout", "tini", "torify", "trickle", "unbuffer",
    "unshare", "valgrind", "watch", "xargs",
]);

#[rustfmt::skip]
static WEAK: WordList = WordList::new(&[
    "alias", "alpine", "ansible", "apt", "arch", "as", "atop", "aws", "batch", "bc", "beeline", "bind", "break",
    "brew", "bun", "cal", "cargo", "cat", "cd", "chef", "chisel", "clear", "column", "comm", "composer",
    "consul", "convert", "cp", "cron", "cut", "date", "diff", "dir", "dirs", "docker", "echo", "ed", "ex",
    "expand", "export", "expr", "facter", "factor", "fetch", "fg", "file", "find", "finger", "fish", "fmt",
    "fold", "free", "gem", "git", "go", "groups", "halt", "hash", "head", "helm", "help", "history", "host",
    "id", "idle", "init", "install", "ip", "jar", "java", "jobs", "john", "join", "julia", "kill", "killall",
    "kind", "knife", "last", "latex", "ld", "less", "link", "ll", "local", "locale", "locate", "logger",
    "login", "logname", "logout", "look", "lynx", "mail", "make", "man", "medusa", "mkdir", "more", "mount",
    "nano", "nl", "nm", "node", "nomad", "npm", "open", "pacman", "paste", "patch", "pear", "perf", "pico",
    "pip", "poetry", "postfix", "pr", "puppet", "rake", "rc", "read", "reboot", "rename", "rev", "route",
    "ruby", "screen", "select", "seq", "service", "set", "shift", "shred", "shutdown", "skill", "sleep", "snap",
    "sort", "source", "split", "squid", "stat", "strip", "su", "sum", "suspend", "symfony", "sync", "tac",
    "tail", "tar", "tee", "test", "tex", "times", "tipc", "tomcat", "top", "touch", "tr", "trap", "tree",
    "truncate", "type", "umask", "uname", "uniq", "unlink", "unset", "uptime", "vagrant", "vault", "view",
    "vlock", "wait", "wall", "which", "who", "wine", "wish", "write", "yarn", "yes", "zip",
]);

/// Of these a search may exclude what follows a hyphen: `red -shoes`.
#[rustfmt::skip]
static NOUNS: WordList = WordList::new(&[
    "bridge", "bundle", "bundler", "cancel", "chdir", "compress", "crash", "dialog", "eb", "expect", "fc",
    "genie", "gimp", "group", "highlight", "hup", "joe", "links", "lz", "net", "octave", "pdb", "pf", "pg",
    "pic", "posh", "pry", "red", "repeat", "replace", "sched", "sg", "task", "tcp", "tic", "udp", "volatility",
]);

#[rustfmt::skip]
static VERBS: WordList = WordList::new(&[
    "cp", "docker", "echo", "git", "kill", "killall", "mkdir", "npm", "su", "touch", "tar", "uname", "uniq",
    "unset", "umask", "ulimit", "cargo", "composer", "pip", "ll", "nl", "tac", "tee", "tr", "expr", "ld", "nm",
    "reboot", "seq", "truncate",
]);

#[rustfmt::skip]
static RUN_ALONE: WordList = WordList::new(&[
    "aptitude", "df", "dir", "env", "history", "hostname", "htop", "id", "iostat", "last", "ls", "mysql", "ps", "psql", "pwd",
    "reboot", "set", "shutdown", "su", "top", "uname", "vmstat", "who", "whoami", "whois",
]);

#[rustfmt::skip]
static TAKE_FILE: WordList = WordList::new(&[
    "cat", "head", "less", "ll", "more", "nl", "rc", "rev", "tac", "tail", "tar", "tee", "touch", "cp", "diff",
    "uniq", "xargs", "zip", "unlink", "shred", "chmod", "source", "strip", "truncate", "sum",
]);
