//! The rules that are expressions, with the words that make them worth asking.

use super::pattern::Row;
use super::traits::{BRACE, BRACKET, EQUALS, GLOB, PERCENT, SLASH};
use crate::rules;

/// Words that make a value worth tokenising as SQL where it has no sign that would.
#[rustfmt::skip]
pub(super) const SQL_WORDS: &[&str] = &[
    "select", "union", "information_schema", "insert", "update", "delete", "drop", "alter", "truncate",
    "exec", "declare", "waitfor", "order by", "group by", "having", "sleep", "benchmark", "xp_", "outfile",
    "rlike", "regexp", "like null", "procedure", "::", "values", " limit", "--",
];

/// Words that make a value worth reading as a script where it has no tag.
#[rustfmt::skip]
pub(super) const XSS_WORDS: &[&str] = &[
    "script", "style", "alert", "eval", "document", "window", "confirm", "prompt", "settimeout",
    "data:", "setinterval", "setimmediate", "atob", "btoa", "behavior", "expression", "binding", "import",
];

#[rustfmt::skip]
pub(super) const ROWS: &[Row] = &[
    // Protocols within values.
    Row {
        rule: rules::SPLIT_REQUEST,
        triggers: &["http/"],
        needs: 0,
        expression: r"[\r\n]\s*[a-z]{3,16}\s+\S+\s+http/\d|^\s*[a-z]{3,16}\s+\S+\s+http/\d(?:\.\d)?\s*(?:$|[\r\n])|\shttp/\d\.\d[ \t]*[\r\n]+[a-z][a-z-]+:",
    },
    Row {
        rule: rules::SPLIT_HEADER,
        triggers: &["http/1", "http/2", "http/0"],
        needs: 0,
        expression: r"[\r\n]+\s*http/\d",
    },
    Row {
        rule: rules::PROXY_PREFIX,
        triggers: &["unix:"],
        needs: 0,
        expression: r"unix:[^|]*\|",
    },
    // Files.
    Row {
        rule: rules::TRAVERSAL_ENCODED,
        triggers: &["0x2e", "%2e%2e", "..%2f", "..%5c", "%252e", "%c0%ae", "..%c0", "%uff0e", "..%u"],
        needs: 0,
        expression: r"(?:\.\.|(?:%(?:25)?|0x)2e(?:\.|(?:%(?:25)?|0x)2e)|%c0%ae|%uff0e)(?:/|\\|(?:%(?:25)?|0x)(?:2f|5c)|%c0%af|%c1%9c|%u)|0x2e\.",
    },
    Row {
        rule: rules::SYSTEM_FILE,
        triggers: &["etc/passwd", "etc/shadow", "etc\\passwd", "/proc/", "boot.ini", "win.ini", "system32", "etc/group", "etc/sudoers", "/dev/tcp", "/dev/udp", "etc/master.passwd", "etc/security/passwd", "system.ini"],
        needs: 0,
        expression: r"etc[/\\]+(?:passwd|shadow|group\b|gshadow|sudoers|master\.passwd|security[/\\]passwd)|(?:[^\s\w(\x60]|\.\.)/proc/(?:self|net|version|cmdline|cpuinfo|mounts|sys|\d+/)|\b(?:boot|win|system)\.ini\b|(?:^\S*|[=\x22'>]\S*)windows[/\\]+system32|/dev/(?:tcp|udp)/",
    },
    Row {
        rule: rules::SYSTEM_FILE,
        triggers: &["etc/", "var/log/", "httpd.conf", "nginx.conf", "usr/local/", "/tmp/", "windows/", "windows\\", "winnt", "inetpub", "root/.", "/var/www", "/usr/bin", "apache2.conf", "my.cnf", "php.ini"],
        needs: 0,
        expression: r"^[\s'\x22>]*(?:(?:\.\.?)?[/\\\w.:]*[/\\])?(?:etc/(?:hosts(?:\.\w+)?|issue(?:\.net)?|fstab|mtab|crontab|cron\.\w+/\S+|anacrontab|bash\.bashrc|environment|exports|ftp\w+|host\.conf|inetd\.conf|xinetd\S*|inittab|ld\.so\.conf|logrotate\S*|networks?(?:/\S+)?|nsswitch\.conf|openldap/\S+|os-release|lsb-release|\w+-release|postgresql/\S+|profile|proftpd\S*|protocols|samba/\S+|security/\S+|services|shells|ssl/\S+|sysctl\.conf|r?syslog\S*|timezone|vsftpd\S*|init\.d/\S+|ssh/\S+|apache2?/\S+|httpd/\S+|nginx/\S+|mysql/\S+|my\.cnf|php\S*|motd|resolv\.conf|hostname|rc\.\S+|pam\S+|letsencrypt/\S+|kubernetes/\S+|docker/\S+)|var/log/\S+|\S*(?:httpd|nginx|apache2|lighttpd)\.conf|my\.cnf|php\.ini|(?:windows|winnt)[/\\](?:win|system|repair|debug|panther)\S*|inetpub[/\\]\S+|root/\.\S+)(?:[\x00%?#]\S*)?[\s'\x22]*$|(?:^|[\s;|&)'\x22\x60])[\w.$*]*>{1,2}\s*/(?:tmp|var|etc|usr|home|root|dev/shm)/\w",
    },
    Row {
        rule: rules::SECRET_FILE,
        triggers: &[".aws", ".ssh", ".docker", ".kube", ".git", ".svn", ".hg", ".env", ".htaccess", ".htpasswd", "history", ".npmrc", ".pypirc", ".netrc", ".pgpass", ".my.cnf", "id_rsa", "wp-config", "web.config", "credentials", ".bashrc", ".profile", ".boto", ".gnupg", ".subversion", ".vscode", ".idea", ".terraform", ".config", ".ds_store", ".vault", ".azure", ".gcloud", ".cargo", ".gem", ".composer", "appsettings", "web-inf", "meta-inf", ".bash", ".zsh", ".mysql_", ".psql_"],
        needs: 0,
        expression: r"(?:^\S*[/\\]|[=>])\.(?:aws/\w+|ssh/\w+|docker/\w+|kube/\w+|git/(?:config|head|index)|svn/\w+|hg/\w+|gnupg/\w+|azure/\w+|gcloud/\w+|cargo/(?:config|cred)|gem/\w+|composer/\w+|htaccess|htpasswd|npmrc|pypirc|netrc|pgpass|my\.cnf|boto|terraform/\w+|vault-token|subversion/\w+|(?:bash_|zsh_|mysql_|psql_|sh_|python_|node_repl_|php_)?history|bash_(?:profile|aliases|logout)|bashrc|zshrc|zprofile|config/gcloud)\b|(?:^|[/\\=])\.env(?:\.\w+)?$|(?:^|[/\\=])(?:id_rsa|id_dsa|id_ed25519|id_ecdsa|wp-config|web\.config|appsettings\.(?:\w+\.)?json)(?:\W|$)|(?:web|meta)-inf/\S+\.(?:xml|mf|properties)",
    },
    Row {
        rule: rules::FILE_SCHEME,
        triggers: &["file:", "php:", "zip:", "phar:", "expect:", "glob:", "data:", "ogg:", "rar:", "zlib:", "compress.", "jar:", "netdoc:", "ssh2.", "view-source:", "local_file:"],
        needs: 0,
        expression: r"(?:^|[=\s'\x22(:])(?:file:/+(?:localhost/)?(?:etc|proc|var|root|home|usr|tmp|opt|dev|sys|(?:c:/+)?windows|(?:c:/+)?boot|[^\s/]+\.ini)\b|php://(?:filter|input|fd|memory|temp|stdin|output)|(?:zip|phar|rar|ogg|glob|expect|zlib|ssh2(?:\.\w+)?)://|compress\.(?:zlib|bzip2)://|netdoc:/|jar:(?:https?|file):|data:application/x-httpd-php|data://|view-source:|local_file:)",
    },
    // A script of another server, to be included: `c99.txt?` makes what is appended a query.
    Row {
        rule: rules::FILE_SCHEME,
        triggers: &[".txt?", ".dat?", ".inc?", ".log?", "%00", "\0", "/c99", "/r57", "/c100", "/wso", "/b374k", "shell", "/cmd", "backdoor", "/alfa", "weevely", "://0", "://1", "://2", "://3", "://4", "://5", "://6", "://7", "://8", "://9", "ftp://", "ftps://", "# @", "#@"],
        needs: SLASH,
        expression: r"^\s*(?:https?|ftps?)://[^\s/?#]+/(?:\S*/)?(?:[\w.-]*\.(?:(?:txt|dat|inc|log)\?+|\w{2,4}(?:%00|\x00))\s*$|(?:c99|r57|c100|wso|b374k|shell|webshell|cmd|backdoor|alfa|weevely)\w*\.(?:txt|php\d?|jsp|aspx?|sh|pl)\b)|^\s*(?:https?|ftps?)://\d+\.\d+\.\d+\.\d+(?::\d+)?/(?:\S*/)?[\w.-]+\.(?:txt|sh|pl|py|exe|dll|hta|ps1|bat|vbs|elf|bin|jsp|war|dtd|xsl|sct)\b|^\s*ftps?://\S+\.(?:php\d?|jsp|sh)\s*$|://[\d.]+\s*&@|@[\w.]+#\s*@",
    },
    Row {
        rule: rules::SPLIT_HEADER,
        triggers: &["<meta", "<html"],
        needs: 0,
        expression: r"[\r\n]\W*?<(?:meta|html)\b",
    },
    // Unix shells, where words and signs are the matter and not a command at its place.
    Row {
        rule: rules::SHELL_SHOCK,
        triggers: &["()"],
        needs: 0,
        expression: r"^[\s'\x22]*\(\s*\)\s*\{",
    },
    Row {
        rule: rules::SHELL_ALIAS,
        triggers: &["alias "],
        needs: EQUALS,
        expression: r"(?:^|[;|&({`\n])[\s+]*alias\s+(?:[-+]\w*\+?\s+)*['\x22]?[\w.]+['\x22]?=",
    },
    Row {
        rule: rules::SHELL_ALIAS,
        triggers: &["&&", ";", "||"],
        needs: EQUALS,
        expression: r"(?:^|[;&|])\s*[a-z_]\w{0,24}=[^\s;&=]+\s*(?:;|&&|\|\|)[\s(]*(?:[\w=`'\x22]*(?:;|&&)\s*)?[\w()<>0-9]*\$\{?[a-z_]",
    },
    Row {
        rule: rules::SHELL_BRACES,
        triggers: &["{"],
        needs: 0,
        expression: r"(?:^|[\s;|&`(=])\{(?:,[\s#'\x22]*[a-z]|[a-z]+,-\w|/[^\s{}:]*,)[^{}:]*\}|(?:^|[^\w}\])])\{,[\w-]+(?:,[\w./-]*)*\}",
    },
    Row {
        rule: rules::SHELL_REDIRECT,
        triggers: &["/dev/", ">&", "<<<", "0>", "1>", "2>"],
        needs: 0,
        expression: r"[0-9&]?>+&?\s*/dev/(?:null|tcp|udp|fd|stdout|tty|sd\w|shm)\S*(?:\s*$|\s*[;|&0-9\x22'\x60)]|\s+\d?[<>])|/dev/(?:tcp|udp)/[\w.]+/|\b[0-2]>&[0-2]\b|<<<\s*[$\x22'\x60\w]",
    },
    Row {
        rule: rules::SHELL_SUBSTITUTION,
        triggers: &["$(", "${", "$[", "$((", "<(", ">("],
        needs: BRACKET | BRACE | GLOB,
        expression: r"^\s*\$\(\s*[a-z][\w./-]*\s*\)\s*$|\$\((?:\(|<|\$?\s*[a-z./][\w./-]*(?:\s+[^=>)]*[-/.$'\x22<][^=>)]*\)|\$?\())|\$\[\s*\d+\s*[-+*/]|\$\{(?:\x60|ifs|bash\w*|@[a-z]|!\w+\}|(?:path|home|pwd|shell|user|hostname|env|\w+)(?:[#%]|//?|:\d)[^}]*\}|gcc)|(?:^|[\s=;|&])[<>]\(\s*[a-z./][\w./-]*(?:\s[\w./ -]*)?\)(?:[^>]|$)",
    },
    Row {
        rule: rules::SHELL_EVASION,
        triggers: &["$ifs", "${ifs", "$_", "$u", "$@", "$*", "$9", "$$", "``", ">()", "<()", "$()", "$?"],
        needs: 0,
        expression: r"\$\{?ifs|[;|&`]\s*[a-z/]*\$[_u][a-z]*\W.{0,24}[a-z/]\$[_u]|[a-z]\$[@*9$]+[a-z]|\w\x60\x60\w|\w[<>]\(\)\w|\w\$\(\)\w|\w\$\?[a-z+]",
    },
    Row {
        rule: rules::SHELL_EVASION,
        triggers: &["$(echo", "base64 -d", "base64 --decode", "xxd -r", "|sh", "| sh", "|bash", "| bash", "|zsh", "| zsh", "|ksh", "| ksh", "|dash", "| dash", "|csh", "| csh", "|/", "| /", "|  "],
        needs: 0,
        expression: r"\$\(echo[^)]*\)|\|\s*(?:/\S*/)?(?:ba|z|da|k|c)?sh\s*(?:$|[#;&|'\x22)])|(?:base64\s+(?:-d|--decode)|xxd\s+-r)\b",
    },
    Row {
        rule: rules::SHELL_CHAIN,
        triggers: &["; do", ";do", "; then", ";then", "do\n", "then\n"],
        needs: 0,
        expression: r"\b(?:for\s+\w+\s+in\s|while\s|until\s)[^;]{1,120};\s*do\s[^;]{1,200};\s*done\b|\bif\s[^;]{1,120};\s*then\s[^;]{1,200};\s*fi\b",
    },
    Row {
        rule: rules::SHELL_GLOB,
        triggers: &[";", "|", "&&", "`", "$("],
        needs: GLOB,
        expression: r"(?:;|\||&&|`|\$\()\s*(?:[a-z]+[?*][a-z?*]+|[a-z]*\[[a-z]\][a-z]+)\s+(?:[/-]\w|[\w/]+\.[a-z]{2,4}\b)",
    },
    Row {
        rule: rules::SHELL_EXACT,
        triggers: &["^"],
        needs: 0,
        expression: r"^\^[a-z]{2,}\^[a-z]{2,}\^?\s*$",
    },
    Row {
        rule: rules::SHELL_HISTORY,
        triggers: &["!"],
        needs: 0,
        expression: r"^!(?:\d|-\d|[a-z]+|\?)\S*$|!-\d|!\d",
    },
    Row {
        rule: rules::SHELL_TILDE,
        triggers: &["~"],
        needs: 0,
        expression: r"^~[+\-\d/\w]",
    },
    Row {
        rule: rules::SHELL_CHAIN,
        triggers: &[".s", ".\\", ".'", ".load", ".import", ".output", ".once", ".excel"],
        needs: 0,
        expression: r";(?:\s|\\[nrt])*\.[\x22'\\]*(?:sh(?:ell)?|system|load|import|output|once|excel)\b",
    },
    Row {
        rule: rules::SHELL_OPTION,
        triggers: &[" -"],
        needs: 0,
        expression: r"^[a-z][a-z0-9_.-]{1,20}\s+(?:[a-z]+\s+)?(?:--[a-z]{2,}[\w-]*(?:[=\s].*)?|-[a-z]{1,2}(?:\s.*)?)$",
    },
    Row {
        rule: rules::SHELL_DIRECT,
        triggers: &["export ", "ps ", "trap ", "kill "],
        needs: 0,
        expression: r"^(?:export\s+\w+=\S|ps\s+-?[a-z]{2,4}$|trap\s+['\x22]|kill\s+-\w+\s+[\d$])",
    },
    Row {
        rule: rules::SHELL_EXACT,
        triggers: &["~+", "~-", "~0", "!"],
        needs: 0,
        expression: r"^(?:~[+-]?\d*|!-\d{1,4}|!-?\d+(?:!-?\d+)+|!\?\w+\??|!\w+:[a-z]|!![:*^$]\w?)\s*$",
    },
    Row {
        rule: rules::SQL_LONE_OPERATOR,
        triggers: &["||", "&&", "->", "<=>", ">>", "<<", "not ", "like ", "rlike", "@>", "<@", "regexp", "sounds like", "xor", "isnull", "notnull", "!~", "~*", "similar to", "#>", "@@"],
        needs: 0,
        expression: r"^\s*(?:\|\||&&|->>?|<=>|>>|<<|rlike|@>|<@|regexp|sounds\s+like|xor|(?:is\s+)?not\s+(?:like|ilike|regexp|rlike|in|between|glob)|isnull|notnull|(?:like|regexp|rlike)\s+binary|like\s+null|not\s*i?like|!~\*?|~\*|similar\s+to|<#>|@@|#>>?)\s*$",
    },
    Row {
        rule: rules::WINDOWS_CHAIN,
        triggers: &["at "],
        needs: 0,
        expression: r"[;&|](?:at\s+(?:\\\\\S+\s+)?\d{1,2}:\d\d|\s+at\s+(?:\\\\\S+\s+)?\d{1,2}:\d\d\s+(?:[/\x22']|cmd|\S+\.(?:exe|bat)))",
    },
    // SQL that needs no tokeniser.
    Row {
        rule: rules::SQL_STACKED,
        triggers: &["begin"],
        needs: 0,
        expression: r"^\s*;\s*begin\s+(?:declare|tran|try)\b",
    },
    Row {
        rule: rules::SQL_CLAUSE,
        triggers: &["from"],
        needs: 0,
        expression: r"(?:^|[\s)\x60'\x22])as\s*[\x22'\x60]?\w*[\x22'\x60]?\s*from\s*$",
    },
    Row {
        rule: rules::SQL_SCIENTIFIC,
        triggers: &[".e"],
        needs: 0,
        expression: r"(?:^|[^\w.])\d+\.e(?:\(|\.\w|\s*(?:[,)]|\+\s*[^\d\s]))",
    },
    Row {
        rule: rules::SQL_SCHEMA,
        triggers: &["information_schema", "performance_schema", "msdasql", "sqloledb", "'dbo'", "'sa'", "sysobjects", "syscolumns", "sysusers", "sysdatabases", "syslogins", "sysxlogins", "sysprocesses", "sysindexes", "syscomments", "sysmessages", "systypes", "pg_", "sqlite_", "mysql.", "all_", "user_", "dba_", "msys", "xp_", "sp_", "northwind", "tempdb", "openrowset", "varchar", "sql_longvarchar", "sql_variant", "autonomous_transaction", "utl_", "dbms_", "msdb", "openquery", "opendatasource", "is_srvrolemember", "tbcreator", "master.", "sys.", "sysaux", "sysibm.", "syscat.", "rdb$", "v$", "schema_name", "owa_util", "model.dbo"],
        needs: 0,
        expression: concat!(
            r"^\W*(?:information_schema(?:\.\w*)?|performance_schema(?:\.\w+)?|sqlite_(?:temp_)?(?:master|schema)|sqlite_(?:sequence|stat\d)|northwind|tempdb|msdb|schema_name|n?varchar2?|sql_(?:longvarchar|variant)|autonomous_transaction|open(?:query|rowset|datasource)|is_srvrolemember|tbcreator|sysaux|owa_util",
            r"|pg_(?:catalog|toast|user|shadow|authid|auth_members|roles|tables|views|class|namespace|attribute|database|proc|language|group|settings|largeobject|stat_\w+|hba_file_rules|indexes|type|trigger|file_settings|locks|matviews|statistic)(?:\.\w+)?",
            r"|(?:all|user|dba)_(?:tables|tab_columns|tab_cols|users|objects|views|source|triggers|constraints|cons_columns|sys_privs|role_privs|tab_privs|catalog|synonyms|db_links|procedures|indexes|tablespaces|data_files|col_comments)|g?v\$\w+|rdb\$\w+|sys(?:ibm|cat)\.\w+",
            r"|mysql\.(?:user|db|host|func|proc|event|plugin|servers|(?:tables|columns|procs)_priv|innodb_\w+|general_log)|master\.(?:\.|dbo\.|sys\.)\w+|model\.dbo\.\w+|sys\.(?:\w+_\w+|objects|tables|columns|databases|schemas|types|procedures|views|indexes|user\$|obj\$)|sys(?:objects|columns|users|databases|x?logins|processes|indexes|comments|messages|types)",
            r"|msys(?:aces|access\w+|modules2?|objects|queries|relationships)|utl_(?:file|http|inaddr|smtp|tcp|raw|url)|dbms_\w+|xp_\w{4,}|sp_(?:\w{4,}))\W*$",
            r"|'(?:msdasql|sqloledb|dbo|sa)'|\b(?:from|join|into)[\s\x60(\[]+(?:information_schema|performance_schema|pg_catalog\.|pg_(?:shadow|user|authid|roles|database)\b|sqlite_(?:temp_)?(?:master|schema)|mysql\.(?:user|db)|sys(?:objects|columns|users|databases|logins)\b|sys\.\w+|sysibm\.|syscat\.|all_(?:tables|tab_columns|users)|user_(?:tables|tab_columns)|dba_(?:users|tables)|v\$\w+|rdb\$\w+|msys(?:aces|access|objects))",
        ),
    },
    Row {
        rule: rules::SQL_STATEMENT,
        triggers: &["char", "group_concat", "load_file"],
        needs: 0,
        expression: r"\b(?:alter|create|truncate|update|rename|delete|desc|drop|insert|select|load)\s+(?:char\s*\(|group_concat\b|load_file\b)",
    },
    Row {
        rule: rules::SQL_CLAUSE,
        triggers: &["case", "merge", ":=", "against", "character set", "immediate", "soname", "returns", "analyse"],
        needs: 0,
        expression: r"\bcase\s+when\s+\S*\s*[=<>(]|@\w*:=|\bmerge\b.{1,80}\busing\s*\(|\bmatch\s*\(?[\w\s,*]{1,80}\)?\s*against\s*\(|\balter\s+\w+\s.{0,80}\bcharacter\s+set\s+\w|\bexecute\s+immediate\s*['\x22]|\bcreate\s+(?:or\s+replace\s+)?function\s+\w+\s*(?:\(\s*\)\s*)?returns\b|\bprocedure\s+analyse\s*\(",
    },
    Row {
        rule: rules::SQL_SCIENTIFIC,
        triggers: &["e-308", "e308", "e309"],
        needs: 0,
        expression: r"^-?(?:2\.22507385850720\d+e-308|1e-?30[89])$",
    },
    // Windows.
    Row {
        rule: rules::WINDOWS_FOR,
        triggers: &["for "],
        needs: PERCENT,
        expression: r"\bfor\s+(?:/[a-z]\s+)*(?:\x22[^\x22]*\x22\s+|[^\s%]+\s+){0,3}%{1,2}\S*\s+in\s*\(",
    },
    Row {
        rule: rules::WINDOWS_IF,
        triggers: &["exist", "defined", "errorlevel", "cmdextversion", " equ ", " neq ", " lss ", " leq ", " gtr ", " geq ", "==", "if /i"],
        needs: 0,
        expression: r"(?:^|[&|;(]\s*)if\s+(?:/i\s+)?(?:(?:not\s+)?(?:exist\s+[\x22(]?[\w%.:\\/*~-]+[\x22)]?|defined\s+[\w%]+|errorlevel\s+\d+|cmdextversion\s+\d+)\s+[\w(@\x22%]|(?:not\s+)?\(?[^\s()]+\s+(?:equ|neq|lss|leq|gtr|geq)\s+[^\s]|(?:not\s+)?[^\s=(]*[%\[{][^=]{0,80}==\s*[^\s=]|/i\s+[^=]{1,80}==|(?:not\s+)?[^\s()={}\x22']+=[=>]=?[^\s():{};]+\s+[\w(@])|\bif\s+/i\s+(?:not\s+)?\S+\s*=",
    },
    Row {
        rule: rules::POWERSHELL,
        triggers: &["powershell", "pwsh", "iex", "iwr", "downloadstring", "downloadfile", "downloaddata", "openread", "frombase64string", "-enc", "new-object", "$env:", "]::", "-executionpolicy", "-noprofile", "-nop ", "-windowstyle", "invoke-", "$executioncontext", "$shellid", "$pshome"],
        needs: 0,
        expression: r"\b(?:powershell|pwsh)(?:_ise)?(?:\.exe)?\s+(?:-\w|\S*[\\/:]|[({$&'\x22]|[a-z]+-[a-z]+\b|(?:ls|dir|iex|iwr|gc|cat|echo|whoami)\b)|(?:^|[\s;|&({'\x22])invoke-(?:expression|webrequest|restmethod|command|wmimethod|mimikatz|shellcode)(?:\s*(?:[-('\x22$&|;{]|https?:|$)|\s+[\w-]*[:.\\/][\w:.\\/]*$)|(?:^|[;|&({]|\s-c\s)\s*(?:iex|iwr)\b\s*[(\x22'$h/-]|\.(?:downloadstring|downloadfile|downloaddata|openread)\s*\(|frombase64string\s*\(|\s-e(?:nc(?:odedcommand)?)?\s+[a-z0-9+/=]{16,}|\bnew-object\s+(?:-\w+\s+)?(?:system\.)?(?:net|io|wscript|shell|text|security|management|xml|data)\.|(?:^|[;|&(=\s])\$env:(?:[a-z]+\s*$|[a-z]+[\\;=])|\[\s*(?:system\.)?(?:convert|net|io|text|reflection|diagnostics|runtime|environment|scriptblock|activator|appdomain|security|management)[\w.]*\s*\]::|\s-(?:executionpolicy|ep|exec)\s+(?:bypass|unrestricted|remotesigned)|\s-(?:noprofile|nop|noninteractive|windowstyle\s+hidden|w\s+hidden)\b.*\s-|\$(?:executioncontext|shellid\[|pshome\[)",
    },
    Row {
        rule: rules::WINDOWS_CHAIN,
        triggers: &["cmd/", "cmd /", "cmd.exe", "comspec", "%systemroot", "%windir", ":~"],
        needs: 0,
        expression: r"\bcmd(?:\.exe)?\s*\x22?\s*/[acdkqrsuv](?::\w+)?\b|%comspec%|%(?:systemroot|windir)%[\\/][\w\\/.]+\.(?:exe|dll|ini|com|bat)|%\w+:~-?\d+(?:,-?\d+)?%",
    },
    Row {
        rule: rules::WINDOWS_LOOSE,
        triggers: &[";", "&", "|"],
        needs: 0,
        expression: r"[;&|]\s*(?:at|cd|dir|del|copy|move|type|echo|md|rd|ren|set|start|ver|vol|path|date|time|label|title|color|cls|exit|call|goto|pause|shift|pushd|popd|assoc|break|erase|mkdir|rmdir|rename|verify|prompt|edit|comp|more|tree|sort|print|recover|format|expand|cipher|shutdown|ping|arp|route|find|fc|ftp|sc|runas|clip|choice|timeout|waitfor|where|logoff|replace|mode)\b(?:\s|$|[/\\.;&|])",
    },
    // Filters and addresses.
    Row {
        rule: rules::LDAP_FILTER,
        triggers: &["objectclass", ")(", ")\t(", ") (", "(|", "(&", "*)", ")|(", ")!(", "*!("],
        needs: 0,
        expression: r"\(\s*[&|!]\s*\(\s*(?:[\w.;-]+\s*[<>~]?=|[&|!]\s*\()|\)\s*\(\s*(?:[|&!]\s*\(|[\w.;-]+(?::[\w.]+)*\s*(?:[<>~:]?=)|[|&!]\s*$)|\)\s*[|!&]\s*\(\s*(?:[\w.;-]+\s*[<>~:]?=|$)|^[^()\s]*\*\)\s*[|&]\s*$|\*\)\s*!?\(\s*(?:[&|!(]|[\w-]+\s*[<>~]?=|$)|\)\)\s*\(\s*(?:[&|!(]|[\w-]+\s*[<>~]?=)|\(\s*objectclass\s*=|\)\([&|](?:[()]|$)",
    },
    Row {
        rule: rules::SSRF_METADATA,
        triggers: &["169.254.", "metadata.google", "metadata.azure", "100.100.100.200", "instance-data", "192.0.0.192", "fd00:ec2", "2852039166", "0xa9fea9fe", "latest/meta-data", "computemetadata"],
        needs: 0,
        expression: r"169\.254\.(?:169\.254|170\.2)|metadata\.(?:google|azure)|100\.100\.100\.200|//instance-data|192\.0\.0\.192|fd00:ec2:|//(?:2852039166|0xa9fea9fe|0251\.0376)|latest/(?:meta-data|user-data|dynamic)|computemetadata/v1",
    },
    Row {
        rule: rules::SSRF_SCHEME,
        triggers: &["gopher:", "dict:", "ldap:", "ldaps:", "ldapi:", "tftp:", "sftp:", "netdoc:", "imap:", "imaps:", "smb:", "rmi:", "pop3:", "pop3s:", "smtp:", "smtps:", "telnet:", "finger:", "iiop:", "corba", "nntp:", "memcached:"],
        needs: 0,
        expression: r"(?:^|[=\s'\x22(])(?:gopher|dict|ldap[si]?|tftp|sftp|netdoc|imaps?|smb|rmi|pop3s?|smtps?|telnet|finger|iiop|corba(?:loc|name)|nntp|memcached)://",
    },
    Row {
        rule: rules::SSRF_LOOPBACK,
        triggers: &["://127.", "://localhost", "://0.0.0.0", "://[::", "://0x7f", "://2130706433", "://0/", "://10.", "://192.168."],
        needs: 0,
        expression: r"^\s*(?:https?|ftp|wss?)://(?:[^@/]*@)?(?:127\.|localhost\b|0\.0\.0\.0|\[::|0x7f|2130706433|0/|10\.\d+\.|192\.168\.)",
    },
    Row {
        rule: rules::MAIL,
        triggers: &["mail from", "rcpt to", "\nehlo", "\nhelo", "\ndata", "\netrn", "\napop", "\nvrfy", "\nauth", "\nretr", "\nstat", "\nuser ", "\npass ", "\ndele", "\ntop ", "\nuidl", "\nlist", "\nstls", "\nexpn", "\r\n", "\n"],
        needs: 0,
        expression: r"[\r\n]+[a-z]{1,4}\d{1,6}\s+(?:append\s+\S+\s*[({]|authenticate\s|capability\b|check\s*$|close\s*$|(?:copy|move)\s+[\d:,*]+\s|(?:create|delete|examine|select|subscribe|unsubscribe|getquotaroot|getquota|getacl|myrights)\s+\S+\s*(?:$|[\r\n])|expunge\b|(?:fetch|store)\s+[\d:,*]+\s|(?:set|delete)acl\s|setquota\s|namespace\s*$|(?:thread|sort)\s+\S+\s+\S+|idle\s*$|(?:list|lsub|xlist)\s+(?:[\x22%*]|\S+\s+[\x22%*])|login\s+\S+\s+\S|logout\b|noop\b|quit\b|rename\s+\S+\s+\S+\s*(?:$|[\r\n])|search\s+(?:all|answered|bcc|before|body|cc|charset|deleted|draft|flagged|from|header|keyword|larger|new|not|old|on|or|recent|seen|sent\w*|since|smaller|subject|text|to|uid|un\w+|\d)\b|starttls\b|status\s+\S+\s+\(|uid\s+(?:fetch|copy|move|store|search|expunge|sort|thread)\b|enable\s+\S|id\s+(?:\(|nil)|xatom\b)|^[\r\n]+\s*(?:quit|noop|rset|stat|capa|stls|help|expn|turn|lsub|list|uidl|data|starttls|logout|capability)\s*$|[\r\n]+\s*(?:(?:mail|send|soml|saml)\s+from\s*:|rcpt\s+to\s*:|bdat\s+\d|(?:ehlo|helo)\s+[\w\[.-]+|vrfy\s+\S|expn\s+\S|auth\s+(?:plain|login|cram|digest|xoauth)|starttls\s*$|data\s*[\r\n])|[\r\n]+(?:retr|dele|uidl|list)\s+\d+\s*(?:$|[\r\n])|[\r\n]+top\s+\d+\s+\d|^\s*[\r\n]+(?:user|pass|etrn)\s+[\w<@.-]+\s*(?:$|[\r\n])|[\r\n]+user\s+\S+\s*[\r\n]+pass\s|[\r\n]+etrn\s+\S+\.\S+|[\r\n]+apop\s+\S+\s+[0-9a-f]{8}",
    },
    Row {
        rule: rules::MAIL_LOOSE,
        triggers: &["\n"],
        needs: 0,
        expression: r"[\r\n]+(?:[a-z]{0,4}\d{0,6}\s+)?(?:quit|noop|rset|stat|help|capa|stls|logout|list|idle|data|top|auth|user|pass)\s*(?:$|[\r\n])",
    },
    // Scanners.
    Row {
        rule: rules::SCANNER_AGENT,
        triggers: &["nikto", "sqlmap", "nessus", "openvas", "acunetix", "netsparker", "nmap", "masscan", "zgrab", "dirbuster", "gobuster", "wfuzz", "ffuf", "wpscan", "w3af", "arachni", "skipfish", "havij", "nuclei", "burp", "zap/", "owasp zap", "feroxbuster", "jaeles", "commix", "xsser", "joomscan", "whatweb", "dirb", "fimap", "paros", "webinspect", "qualys", "detectify", "jorgee", "morfeus", "bsqlbf", "pangolin", "hydra", "vega/", "wapiti", "zmeu", "brutus", "cgichk", "grabber", "metis", "sqlninja", "absinthe", "grendel-scan", "n-stealth", "whisker", "interactsh", "katana", "dalfox", "httpx -", "l9explore", "leakix", "tsunamisecurityscanner", "fuzz faster", "cmsmap", "cmsscan", "testssl", "sslyze", "bbq", "datacha0s", "droopescan", "joomlavs", "kiterunner", "crackmapexec", "xray", "goby", "amass", "subfinder", "patator", "whatwaf", "wafw00f", "nosqlmap", "tplmap", "xsstrike", "sn1per", "golismero", "uniscan", "vega", "webshag", "websploit", "dirsearch", "hakrawler", "appscan", "hailstorm", "cenzic", "metasploit", "nexpose", "n-stealth", "muieblackcat", "libwhisker", "cgiscan", "advanced email extractor", "security scan", "security-scan", "vulnerability scan", "vulnerability-scan", "projectdiscovery"],
        needs: 0,
        expression: r"\b(?:nikto|sqlmap|nessus|openvas|acunetix|netsparker|nmap|masscan|zgrab|dirbuster|gobuster|wfuzz|fuzz faster|ffuf|wpscan|w3af|arachni|skipfish|havij|nuclei|burp|zap/|owasp zap|feroxbuster|jaeles|commix|xsser|joomscan|whatweb|dirb\b|fimap|paros|webinspect|qualys|detectify|jorgee|morfeus|bsqlbf|pangolin|hydra\b|vega/|wapiti|zmeu|brutus/|cgichk|grabber\b|metis\b|sqlninja|absinthe|grendel-scan|n-stealth|whisker|interactsh|dalfox|l9explore|leakix|tsunamisecurityscanner|cmsmap|cmsscan|testssl|sslyze|datacha0s|droopescan|joomlavs|kiterunner|crackmapexec|xray\b|goby\b|amass\b|subfinder|patator|whatwaf|wafw00f|nosqlmap|tplmap|xsstrike|sn1per|golismero|uniscan|bbq/|/vega|webshag|websploit|dirsearch|hakrawler|appscan|hailstorm|cenzic|metasploit|nexpose|muieblackcat|cgiscan|advanced email extractor|(?:security|vulnerability)[ -]scan(?:ner)?\b|projectdiscovery)",
    },
    Row {
        rule: rules::SCRIPTED_AGENT,
        triggers: &["python-requests", "python-urllib", "libwww-perl", "go-http-client", "curl/", "wget/", "java/", "okhttp", "aiohttp", "httpclient", "winhttp", "lwp::", "php/", "ruby"],
        needs: 0,
        expression: r"^(?:python-(?:requests|urllib)|libwww-perl|go-http-client|curl/|wget/|java/|okhttp|apache-httpclient|lwp::|php/|ruby|winhttp)",
    },
];
