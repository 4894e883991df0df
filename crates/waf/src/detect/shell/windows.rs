//! Commands for `cmd.exe` and `PowerShell`, at the same places as those of a Unix shell.

use super::arguments::{Evidence, evidence, is_only_number, talks};
use crate::detect::list::WordList;
use crate::detect::{Cx, Leaf, Part, traits};
use crate::rules;

/// Longest name of a command, with its path.
const LONGEST_NAME: usize = 96;
const LONGEST_ARGUMENTS: usize = 256;

/// A command's name as `cmd.exe` would run it: no path, no ending, no carets.
struct Name {
    bytes: [u8; 40],
    length: usize,
    end: usize,
    has_caret: bool,
    has_path: bool,
    has_ending: bool,
}

impl Name {
    fn read(text: &[u8], at: usize) -> Self {
        let mut name =
            Self { bytes: [0; 40], length: 0, end: at, has_caret: false, has_path: false, has_ending: false };
        for byte in text.get(at..).unwrap_or_default().iter().take(LONGEST_NAME) {
            match byte {
                b'^' => name.has_caret |= name.length > 0,
                b'"' if name.length == 0 => {}
                b'\\' => {
                    name.has_path = true;
                    name.length = 0;
                }
                b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'%' | b':'
                    if name.length < name.bytes.len() =>
                {
                    name.bytes[name.length] = *byte;
                    name.length += 1;
                }
                _ => break,
            }
            name.end += 1;
        }
        for ending in [b".exe".as_slice(), b".com", b".cmd", b".bat"] {
            if name.word().ends_with(ending) {
                name.length -= ending.len();
                name.has_ending = true;
                break;
            }
        }
        name
    }

    fn word(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// A leaf that is a command from its first word on.
pub(super) fn start(leaf: &Leaf<'_>, first: usize, cx: &mut Cx<'_>) {
    let low = leaf.low;
    let telling = traits::SPACE | traits::SLASH | traits::PERCENT | traits::OPERATOR | traits::SEPARATOR;
    if !leaf.class.has(telling) && !low.contains(&b'-') {
        return;
    }
    let first = first
        + low[first..].iter().take(3).take_while(|byte| matches!(byte, b'(' | b'&' | b' ' | b'@')).count();
    let name = Name::read(low, first);
    if name.length < 2 {
        return;
    }
    let rest = &low[name.end..low.len().min(name.end + LONGEST_ARGUMENTS)];
    let is_ended =
        rest.is_empty() || matches!(rest[0], b' ' | b'\t' | b'+' | b'/' | b';' | b'|' | b'"' | b')' | b'&');
    if !is_ended {
        return;
    }
    if is_cmdlet(name.word()) {
        return cmdlet(leaf, first, rest, false, cx);
    }
    let word = name.word();
    let is_program = PROGRAMS.has(word);
    if is_program && (name.has_path || name.has_ending && !rest.trim_ascii().is_empty()) {
        return cx.hit(rules::WINDOWS_CHAIN, leaf, first);
    }
    if name.has_caret && word.len() > 2 && (is_program || WORDS.has(word) || word == b"cmd") {
        return cx.hit(rules::SHELL_EVASION, leaf, first);
    }
    let has_arguments =
        rest.len() > 1 && !rest.starts_with(b"/") || rest.starts_with(b"/") && is_switch(rest);
    let is_run = is_program && has_arguments && (!talks(rest) || has_windows_argument(rest))
        || has_known_first(word, rest);
    if is_run || WORDS.has(word) && has_windows_argument(rest) && !talks(rest) {
        cx.hit(rules::WINDOWS_CHAIN, leaf, first);
    }
}

/// A command behind a separator at `at`.
pub(super) fn behind(leaf: &Leaf<'_>, at: usize, first: usize, cx: &mut Cx<'_>) {
    let low = leaf.low;
    let separator = low[at];
    let name = Name::read(low, first);
    if name.length < 2 {
        return;
    }
    let rest = &low[name.end..low.len().min(name.end + LONGEST_ARGUMENTS)];
    let is_ended = rest.first().is_none_or(|byte| b" \t+/;|&\"'<>()`%.$".contains(byte) || *byte == b'\n');
    if !is_ended {
        return;
    }
    let word = name.word();
    if is_cmdlet(word) {
        return cmdlet(leaf, at, rest, true, cx);
    }
    let trimmed = rest.trim_ascii_start();
    let is_closed = trimmed.first().is_none_or(|byte| b";|&#'\"<>)`".contains(byte));
    let is_table = separator == b'|' && trimmed.starts_with(b"|");
    let is_double = at > 0 && low[at - 1] == separator;
    let is_tight = first == at + 1;
    let is_list = separator == b';' || separator == b'\n';
    let is_hit = if is_table || is_switch_of_url(rest) {
        false
    } else if PROGRAMS.has(word) {
        name.has_path
            || is_closed && !is_list
            || has_windows_argument(rest)
            || !talks(rest) && !is_closed
            || is_tight
    } else if ALIASES.has(word) && !is_list_of_columns(low, separator) {
        let is_told = evidence(word, rest) == Evidence::Certain || has_windows_argument(rest);
        if is_told || separator == b'|' && is_closed && matches!(word, b"iex" | b"irm" | b"iwr") {
            return cx.hit(rules::POWERSHELL, leaf, at);
        }
        false
    } else if WORDS.has(word) {
        let is_asked =
            matches!(word, b"ver" | b"dir" | b"hostname" | b"vol" | b"set" | b"tree" | b"arp" | b"route");
        let is_alone = is_asked && is_closed && (is_tight && !is_list && !is_column(low, at) || is_double);
        let is_timed = matches!(word, b"timeout") && is_only_number(trimmed.trim_ascii_start());
        let is_net = word == b"net"
            && [b"view".as_slice(), b"share", b"use", b"session", b"start", b"config", b"statistics"]
                .iter()
                .any(|first| trimmed.starts_with(first));
        is_alone
            || has_windows_argument(rest) && !talks(rest)
            || has_known_first(word, rest)
            || is_timed
            || is_net && !talks(rest)
    } else {
        false
    };
    if name.has_caret && word.len() > 2 && (PROGRAMS.has(word) || WORDS.has(word)) {
        return cx.hit(rules::SHELL_EVASION, leaf, at);
    }
    if is_hit {
        cx.hit(rules::WINDOWS_CHAIN, leaf, at);
    }
}

/// A cmdlet where one may stand, with what only its callers write behind it.
fn cmdlet(leaf: &Leaf<'_>, at: usize, rest: &[u8], is_behind: bool, cx: &mut Cx<'_>) {
    let start = at + usize::from(is_behind);
    let is_proper = leaf.text.get(start..).is_some_and(|text| {
        let text = text.trim_ascii_start();
        text.first().is_some_and(u8::is_ascii_uppercase)
    });
    let trimmed = rest.trim_ascii();
    let is_bare = trimmed.first().is_none_or(|byte| matches!(byte, b'|' | b';' | b')' | b'}' | b'"' | b'\''));
    let has_option = trimmed.split(|byte| *byte == b' ').any(|word| matches!(word, [b'-', b'a'..=b'z', ..]));
    let is_told = has_option
        || matches!(trimmed.first(), Some(b'(' | b'$' | b'"' | b'\'' | b'{' | b'[' | b'@'))
        || has_windows_argument(rest)
        || evidence(b"", rest) == Evidence::Certain;
    let is_named = is_proper || is_behind;
    let is_in_path = leaf.place.part == Part::Path;
    if is_told || !is_in_path && is_named && (is_bare || !talks(rest)) {
        cx.hit(rules::POWERSHELL, leaf, at);
    }
}

/// An approved verb, a hyphen, and a noun that some module of Windows has.
fn is_cmdlet(word: &[u8]) -> bool {
    let Some(hyphen) = word.iter().position(|byte| *byte == b'-') else { return false };
    let (verb, noun) = (&word[..hyphen], &word[hyphen + 1..]);
    if !VERBS.has(verb) || noun.contains(&b'-') || noun.len() < 3 {
        return false;
    }
    let is_of_module =
        PREFIXES.iter().any(|prefix| noun.len() > prefix.len() + 2 && noun.starts_with(prefix));
    NOUNS.has(noun) || is_of_module
}

/// `/c`, `/s:x`, `c:\`, `%path%`, `hklm\`, a program's file, a redirection into a file.
fn has_windows_argument(rest: &[u8]) -> bool {
    if is_switch(rest) {
        return true;
    }
    rest.split(|byte| byte.is_ascii_whitespace() || *byte == b'+')
        .filter(|word| !word.is_empty())
        .take(5)
        .any(|word| {
            let word = word.strip_prefix(b"\"").unwrap_or(word);
            let drive =
                word.iter().position(|byte| *byte == b':').filter(|at| *at < word.len().saturating_sub(1));
            let has_drive = drive.is_some_and(|at| {
                at > 0
                    && word[at - 1].is_ascii_alphabetic()
                    && word[at + 1] == b'\\'
                    && (at == 1 || !word[at - 2].is_ascii_alphanumeric())
            });
            let is_variable = word.len() > 3 && word[0] == b'%' && word[1..].contains(&b'%');
            let is_program =
                [b".exe".as_slice(), b".dll", b".bat", b".vbs", b".ps1", b".hta", b".msi", b".scr", b".sct"]
                    .iter()
                    .any(|ending| word.ends_with(ending));
            has_drive
                || is_variable
                || is_program
                || is_switch(word)
                || word.starts_with(b"\\\\")
                || word.starts_with(b"hklm")
                || word.starts_with(b"hkcu")
                || word.starts_with(b"hkey_")
        })
}

/// `/a`, `/all`, `/s:x`, but no path of more than one folder.
fn is_switch(word: &[u8]) -> bool {
    let Some(name) = word.strip_prefix(b"/") else { return false };
    let name =
        &name[..name.iter().position(|byte| matches!(byte, b':' | b' ' | b'+' | b'=')).unwrap_or(name.len())];
    !name.is_empty()
        && name.len() <= 2
        && name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'?')
        || matches!(
            name,
            b"all"
                | b"add"
                | b"list"
                | b"create"
                | b"query"
                | b"run"
                | b"delete"
                | b"transfer"
                | b"priv"
                | b"user"
                | b"fo"
                | b"svc"
                | b"domain"
                | b"min"
                | b"wait"
                | b"node"
                | b"flushdns"
                | b"release"
                | b"renew"
                | b"displaydns"
                | b"quiet"
                | b"force"
                | b"grant"
                | b"reset"
                | b"node:"
                | b"upload"
                | b"active"
        )
}

/// `&path/to` in an address is no command with a switch.
fn is_switch_of_url(rest: &[u8]) -> bool {
    rest.starts_with(b"/") && !is_switch(rest)
}

/// Columns divided by bars: `name|gc|x`.
fn is_list_of_columns(low: &[u8], separator: u8) -> bool {
    separator == b'|' && memchr::memchr_iter(b'|', low).count() > 2
}

/// `name|type|dir`, `R&D`: one of several words without anything else.
fn is_column(low: &[u8], at: usize) -> bool {
    at > 0
        && low[..at].iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'|' | b'_'))
        && at > 3
}

/// Commands of two words.
fn has_known_first(word: &[u8], rest: &[u8]) -> bool {
    if !matches!(word, b"net" | b"sc" | b"reg" | b"route" | b"cmd" | b"query") {
        return false;
    }
    let mut words =
        rest.split(|byte| byte.is_ascii_whitespace() || *byte == b'+').filter(|word| !word.is_empty());
    let first = words.next().unwrap_or_default();
    let is_known = match word {
        b"net" => matches!(first, b"user" | b"localgroup" | b"group" | b"accounts"),
        b"sc" => matches!(first, b"query" | b"queryex" | b"qc" | b"create" | b"sdshow"),
        b"reg" => matches!(first, b"query" | b"add" | b"save" | b"export" | b"delete"),
        b"route" => matches!(first, b"print"),
        b"cmd" => is_switch(first),
        b"query" => matches!(first, b"user" | b"session" | b"process"),
        _ => return false,
    };
    let second = words.next();
    is_known
        && (second.is_none() || !talks(rest) || has_windows_argument(rest))
        && !(word == b"net" && first == b"group" && second.is_none())
}

#[rustfmt::skip]
static PROGRAMS: WordList = WordList::new(&[
    "appcmd", "arp.exe", "atbroker", "auditpol", "bcdboot", "bcdedit", "bginfo", "bitsadmin", "bootcfg", "bootrec", "bootsect",
    "cacls", "cdb", "certoc", "certreq", "certutil", "chkdsk", "chkntfs", "cipher.exe", "clip.exe", "cmdkey", "cmdl32", "cmstp",
    "compmgmt", "cscript", "csvde", "dcdiag", "defrag", "devcon", "dfsvc", "diantz", "diskpart", "diskshadow", "dism", "djoin",
    "dnscmd", "doskey", "driverquery", "dsacls", "dsadd", "dsget", "dsmod", "dsquery", "dsrm", "dxdiag", "esentutl",
    "eventcreate", "eventvwr", "extexport", "extrac32", "findstr", "fltmc", "fodhelper", "forfiles", "fsutil", "ftype",
    "getmac", "gpresult", "gpupdate", "hh.exe", "icacls", "ieexec", "infdefaultinstall", "installutil", "ipconfig", "klist",
    "ldifde", "lodctr", "makecab", "manage-bde", "mavinject", "mmc.exe", "mpcmdrun", "msbuild", "msdt", "mshta", "msiexec",
    "mspub", "mstsc", "nbtstat", "netdom", "netsh", "nltest", "ntdsutil", "odbcconf", "pathping", "pcalua", "perfmon",
    "pktmon", "pnputil", "powercfg", "presentationhost", "procdump", "psexec", "pubprn", "qprocess", "quser", "qwinsta",
    "rasdial", "reagentc", "recover.exe", "regasm", "regedit", "regini", "register-cimprovider", "regsvcs", "regsvr32", "repadmin",
    "robocopy", "runas", "rundll32", "runonce", "rwinsta", "schtasks", "scriptrunner", "secedit", "setspn", "setx", "sfc",
    "shadow.exe", "spoolsv", "subst", "syncappvpublishingserver", "systeminfo", "takeown", "taskkill", "tasklist", "tracert",
    "tskill", "typeperf", "vssadmin", "w32tm", "wbadmin", "wecutil", "wevtutil", "wfp", "whoami", "winget", "winrm", "winrs",
    "wmic", "wscript", "wsl", "wsreset", "wuauclt", "xcopy", "xwizard", "cmd.exe", "hostname", "adplus", "regdllviewer",
]);

#[rustfmt::skip]
static WORDS: WordList = WordList::new(&[
    "arp", "assoc", "at", "attrib", "break", "call", "cd", "chdir", "choice", "cipher", "clip", "cls", "cmd", "color", "comp", "compact",
    "control", "convert", "copy", "curl", "date", "del", "dir", "echo", "erase", "exit", "expand", "explorer", "fc", "find", "format",
    "ftp", "goto", "label", "logoff", "md", "mkdir", "mklink", "mode", "more", "move", "net", "netstat", "nslookup", "path", "ping", "popd",
    "print", "prompt", "pushd", "query", "rd", "recover", "reg", "ren", "rename", "replace", "rmdir", "route", "sc", "set", "shutdown",
    "sort", "start", "tar", "time", "timeout", "title", "tree", "type", "ver", "verify", "vol", "waitfor", "where",
]);

#[rustfmt::skip]
static ALIASES: WordList = WordList::new(&[
    "cat", "cli", "clv", "compare", "copy", "cp", "cpi", "cvpa", "dir", "epal", "epcsv", "fhx", "gal", "gbp", "gc", "gci", "gcim", "gcm",
    "gcs", "gdr", "ghy", "gip", "gjb", "gl", "gm", "gmo", "gp", "gps", "gpv", "gsv", "gtz", "gu", "gv", "gwmi", "icm", "iex", "ihy", "ii",
    "ipal", "ipcsv", "ipmo", "irm", "iwmi", "iwr", "kill", "mi", "mount", "mv", "nal", "ndr", "ni", "nmo", "nsn", "nv", "ogv", "rbp", "rcjb",
    "rdr", "rjb", "rmo", "rnp", "rsn", "rvpa", "sajb", "sal", "saps", "sasv", "sbp", "shcm", "si", "sls", "sp", "spjb", "spps", "spsv",
    "start", "swmi", "trcm", "wget", "wjb",
]);

#[rustfmt::skip]
static VERBS: WordList = WordList::new(&[
    "add", "approve", "assert", "backup", "block", "checkpoint", "clear", "close", "compare", "complete", "compress", "confirm", "connect",
    "convert", "convertfrom", "convertto", "copy", "debug", "deny", "disable", "disconnect", "dismount", "edit", "enable", "enter", "exit",
    "expand", "export", "find", "foreach", "format", "get", "grant", "group", "hide", "import", "initialize", "install", "invoke", "join",
    "limit", "lock", "measure", "merge", "mount", "move", "new", "open", "optimize", "out", "ping", "pop", "protect", "publish", "push", "read",
    "receive", "redo", "register", "remove", "rename", "repair", "request", "reset", "resize", "resolve", "restart", "restore", "resume",
    "revoke", "save", "search", "select", "send", "set", "show", "skip", "sort", "split", "start", "step", "stop", "submit", "suspend",
    "switch", "sync", "tee", "test", "trace", "unblock", "undo", "uninstall", "unlock", "unprotect", "unpublish", "unregister", "update",
    "use", "wait", "watch", "where", "write",
]);

/// Nouns of the modules that every Windows has.
#[rustfmt::skip]
static NOUNS: WordList = WordList::new(&[
    "acl", "aduser", "adcomputer", "addomain", "adforest", "adgroup", "adgroupmember", "adobject", "alias", "appxpackage", "archive", "authenticodesignature", "bitstransfer", "childitem", "cimclass", "ciminstance", "cimmethod",
    "cimsession", "clipboard", "command", "comobject", "computer", "computerinfo", "computerrestore", "content", "controlpanelitem", "counter",
    "credential", "csv", "culture", "custom", "date", "debug", "dscconfiguration", "error", "event", "eventlog", "executionpolicy",
    "expression", "file", "filehash", "firewall", "gridview", "help", "history", "host", "hotfix", "html", "information", "item",
    "itemproperty", "itempropertyvalue", "itemtype", "job", "json", "jsonpath", "list", "localgroup", "localgroupmember", "localuser", "location",
    "mailmessage", "member", "mimikatz", "module", "modulemember", "mpcomputerstatus", "mppreference", "mpthreat", "netfirewallprofile", "netfirewallrule", "netipaddress", "netipconfiguration",
    "netneighbor", "netroute", "nettcpconnection", "netudpendpoint", "null", "object", "output", "package", "packageprovider",
    "passthru", "path", "pfxcertificate", "powershelldatafile", "printer", "process", "progress", "psbreakpoint", "psdrive", "psprovider",
    "psremoting", "psrepository", "psscript", "pssession", "pssessionconfiguration", "pssnapin", "psreadlineoption", "random", "recyclebin",
    "restmethod", "runspace", "scheduledjob", "scheduledtask", "scheduledtaskaction", "scheduledtasktrigger", "script", "scriptblock", "securestring",
    "service", "smbmapping", "smbshare", "string", "stringdata", "table", "timezone", "transcript", "type", "typedata", "uiculture", "unique",
    "uri", "variable", "verbose", "volume", "vm", "warning", "webrequest", "webserviceproxy", "wide", "windowscapability", "windowsfeature",
    "windowsoptionalfeature", "wmievent", "wmimethod", "wmiobject", "wsman", "wsmaninstance", "xml", "clixml", "disk", "partition", "netadapter",
    "connection", "netconnection", "dnsname", "certificate", "selfsignedcertificate", "secret", "hashtable", "eventsubscriber", "guid", "temporaryfile",
    "windowsupdate", "tpm", "bitlockervolume", "markdown", "base64string", "shellcode", "dllinjection", "kerberoast", "sharefinder", "portscan",
]);

/// What nouns of larger modules begin with.
const PREFIXES: [&[u8]; 5] = [b"netfirewall", b"smb", b"wmi", b"cim", b"dnsclient"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbs_and_nouns_make_cmdlets() {
        for word in ["get-childitem", "set-mppreference", "invoke-expression", "get-aduser", "new-object"] {
            assert!(is_cmdlet(word.as_bytes()), "{word}");
        }
        for word in ["get-started", "add-on", "read-only", "new-york", "check-in", "sign-up", "get"] {
            assert!(!is_cmdlet(word.as_bytes()), "{word}");
        }
    }
}
