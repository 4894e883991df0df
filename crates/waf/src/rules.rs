//! All rules, by number. `docs/waf.md` has this table; a test compares.

use crate::Category::{Code, File, Ldap, Nosql, Protocol, Scanner, Shell, Sql, Ssrf, Windows, Xss};
use crate::Rule;
use crate::Severity::{Critical, Notice, Warning};

/// A rule by its number.
pub fn rule(id: u16) -> Option<&'static Rule> {
    RULES.binary_search_by_key(&id, |rule| rule.id).ok().map(|at| &RULES[at])
}

macro_rules! rules {
    ($($constant:ident $id:literal $category:ident $paranoia:literal $severity:ident $name:literal)*) => {
        $(pub(crate) static $constant: &Rule = &Rule {
            id: $id, category: $category, paranoia: $paranoia, severity: $severity, name: $name,
        };)*
        /// Every rule, sorted by its number.
        pub static RULES: &[Rule] = &[$(Rule {
            id: $id, category: $category, paranoia: $paranoia, severity: $severity, name: $name,
        }),*];
    };
}

rules! {
    NUL 1001 Protocol 1 Critical "NUL in a value"
    CONTROL 1002 Protocol 1 Critical "control character in a value"
    BARE_CR 1003 Protocol 1 Critical "carriage return without line feed in a value"
    OVERLONG 1004 Protocol 1 Critical "overlong UTF-8"
    PERCENT_U 1005 Protocol 1 Critical "%uXXXX encoding"
    BAD_PERCENT 1006 Protocol 1 Critical "percent sign before letters that are no number"
    TWICE 1007 Protocol 1 Critical "letters percent-encoded twice"
    ESCAPED_LETTER 1008 Protocol 1 Critical "letters or quotes escaped outside of JSON"
    NOT_UTF8 1009 Protocol 2 Critical "bytes that are not UTF-8"
    SPLIT_HEADER 1010 Protocol 1 Critical "line break and header in a value"
    SPLIT_REQUEST 1011 Protocol 1 Critical "request line in a value"
    NEWLINE_IN_NAME 1012 Protocol 1 Critical "line break in the name of an argument or in the path"
    NEWLINE 1013 Protocol 2 Critical "line break in a query argument"
    MANY_RANGES 1020 Protocol 1 Critical "too many ranges"
    BAD_RANGE 1021 Protocol 1 Critical "range without unit or bounds"
    RANGE 1022 Protocol 4 Warning "range asked for"
    REQUEST_RANGE 1023 Protocol 1 Critical "obsolete Request-Range header"
    CONNECTION_CONFLICT 1024 Protocol 1 Critical "options of Connection repeated or at odds"
    BODY_UNEXPECTED 1025 Protocol 1 Critical "body with a method that has none"
    CONTENT_TYPE_SYNTAX 1026 Protocol 1 Critical "malformed Content-Type"
    CHARSET 1027 Protocol 1 Critical "character set that cannot be inspected"
    CONTENT_TYPE_INSIDE 1028 Protocol 1 Critical "media type inside a parameter of Content-Type"
    ACCEPT_ENCODING 1029 Protocol 1 Critical "malformed Accept-Encoding"
    ACCEPT 1030 Protocol 1 Critical "malformed Accept"
    METHOD_OVERRIDE 1031 Protocol 1 Critical "method overridden in the query"
    METHOD_HEADER 1032 Protocol 2 Critical "method overridden by a header"
    HEADER_FORBIDDEN 1033 Protocol 1 Critical "header that no client sends with this method"
    COOKIE_VERSION 1034 Protocol 1 Critical "obsolete cookie syntax that splits differently"
    MULTIPART_NAME 1035 Protocol 1 Critical "multipart name or file name with a delimiter in it"
    MULTIPART_SYNTAX 1036 Protocol 2 Critical "malformed multipart body"
    BODY_SYNTAX 1037 Protocol 2 Critical "body is not what its Content-Type says"
    PROXY_PREFIX 1038 Protocol 1 Critical "unix: socket or proxy address in the query"
    FRAGMENT 1039 Protocol 1 Critical "fragment of an address sent along"
    NO_ACCEPT 1040 Protocol 3 Notice "no Accept header"
    NO_USER_AGENT 1041 Protocol 2 Notice "no User-Agent header"
    NUMERIC_HOST 1042 Protocol 2 Warning "host is an address"
    NO_CONTENT_TYPE 1043 Protocol 2 Notice "body without Content-Type"
    CACHE_CONTROL 1044 Protocol 3 Critical "unknown directive in Cache-Control"
    UNKNOWN_CODING 1045 Protocol 3 Critical "unknown coding in Accept-Encoding"
    MANY_ARGUMENTS 1046 Protocol 1 Critical "more arguments than are inspected"
    LONG_ARGUMENT 1047 Protocol 3 Critical "very long argument"
    MEDIA_TYPE_UNKNOWN 1048 Protocol 2 Critical "media type that cannot be inspected"
    UNPRINTABLE 1049 Protocol 3 Critical "characters outside of printable ASCII"
    UNUSUAL 1050 Protocol 4 Critical "characters outside of a small set"
    METHOD_OF_POST 1051 Protocol 2 Critical "method of a POST overridden"
    EMPTY_HEADER 1052 Protocol 1 Critical "empty Host, Accept or User-Agent"
    LENGTH 1053 Protocol 1 Critical "Content-Length that is no number, or beside Transfer-Encoding"
    QUOTE_EATEN 1054 Protocol 1 Critical "byte that swallows the quote behind it"
    RAW_PATH 1055 Protocol 1 Critical "raw character in the path that no client sends"
    PART_HEADER 1056 Protocol 1 Critical "header of a part that is malformed or hides its body"
    CODED_BODY 1057 Protocol 1 Critical "body in a content coding, which is not looked into"
    BROWSER_HEADER 1058 Protocol 1 Critical "header of browsers with a value that none sends"
    SCANNER_AGENT 1101 Scanner 1 Critical "security scanner"
    SCRIPTED_AGENT 1102 Scanner 3 Warning "scripting library"

    TRAVERSAL 2001 File 1 Critical "path traversal"
    TRAVERSAL_ENCODED 2002 File 1 Critical "encoded path traversal"
    SYSTEM_FILE 2003 File 1 Critical "operating system file"
    SECRET_FILE 2004 File 1 Critical "file with secrets or settings"
    DOT_FILE 2005 File 1 Critical "hidden file or folder in the path"
    BACKUP_FILE 2006 File 1 Critical "backup, dump, key or log asked for"
    UPLOAD_NAME 2007 File 1 Critical "name of an upload that is a script or a setting"
    FILE_SCHEME 2008 File 1 Critical "wrapper or file address"

    SHELL_CHAIN 3001 Shell 1 Critical "command after a separator"
    SHELL_DIRECT 3002 Shell 1 Critical "command with its arguments"
    SHELL_SUBSTITUTION 3003 Shell 1 Critical "command or parameter substitution"
    SHELL_EVASION 3004 Shell 1 Critical "command hidden by quotes or expansions"
    SHELL_GLOB 3005 Shell 1 Critical "path hidden by wildcards"
    SHELL_ALIAS 3006 Shell 1 Critical "alias or assignment before a command"
    SHELL_BRACES 3007 Shell 1 Critical "command in braces"
    SHELL_SHOCK 3008 Shell 1 Critical "function definition for a shell"
    SHELL_BOMB 3009 Shell 1 Critical "fork bomb"
    SHELL_REDIRECT 3010 Shell 1 Critical "redirection to a device, file or shell"
    SHELL_HISTORY 3011 Shell 2 Critical "history expansion"
    SHELL_WORD 3012 Shell 2 Critical "name of a command alone"
    SHELL_AGENT 3013 Shell 1 Critical "command in a header"
    SHELL_LOOSE 3014 Shell 2 Critical "word of a shell after a separator"
    SHELL_QUOTED 3015 Shell 3 Critical "quotes inside words"
    SHELL_TILDE 3016 Shell 2 Critical "tilde expansion"
    SHELL_EXACT 3017 Shell 1 Critical "history or tilde expansion alone"
    SHELL_LEADING 3018 Shell 1 Critical "separator and command first"
    SHELL_OPTION 3019 Shell 2 Critical "word with options of a command"
    WINDOWS_FOR 3101 Windows 1 Critical "FOR of cmd.exe"
    WINDOWS_IF 3102 Windows 1 Critical "IF of cmd.exe"
    WINDOWS_CHAIN 3103 Windows 1 Critical "Windows command after a separator"
    POWERSHELL 3104 Windows 1 Critical "PowerShell command"
    WINDOWS_LOOSE 3105 Windows 2 Critical "short Windows command after a separator"

    XSS_TAG 4001 Xss 1 Critical "tag that runs or loads something"
    XSS_HANDLER 4002 Xss 1 Critical "event handler attribute"
    XSS_URL 4003 Xss 1 Critical "script address"
    XSS_STYLE 4004 Xss 1 Critical "script in a style"
    XSS_NAMESPACE 4005 Xss 1 Critical "namespace, entity or inclusion in markup"
    XSS_CODE 4006 Xss 1 Critical "script call or property of a page"
    XSS_OBFUSCATED 4007 Xss 1 Critical "script written in symbols"
    XSS_CHARSET 4008 Xss 1 Critical "markup in a foreign character set"
    XSS_SERVER 4009 Xss 1 Critical "server-side include"
    XSS_BROKEN 4010 Xss 1 Critical "attribute broken out of"
    XSS_ANY_TAG 4011 Xss 2 Critical "markup"
    XSS_LOOSE 4012 Xss 2 Critical "end of a comment, or an attribute alone"

    SQL_TAUTOLOGY 5001 Sql 1 Critical "condition added to a query"
    SQL_BREAK 5002 Sql 1 Critical "quoted text broken out of"
    SQL_UNION 5003 Sql 1 Critical "UNION or another set operator with SELECT"
    SQL_STATEMENT 5004 Sql 1 Critical "SQL statement"
    SQL_STACKED 5005 Sql 1 Critical "second statement"
    SQL_FUNCTION 5006 Sql 1 Critical "function used in attacks"
    SQL_FRAGMENT 5007 Sql 1 Critical "call of an SQL function that is not closed"
    SQL_SUBSELECT 5008 Sql 1 Critical "SELECT within an expression"
    SQL_COMMENT 5009 Sql 1 Critical "SQL hidden by comments"
    SQL_SCHEMA 5010 Sql 1 Critical "catalogue or system variable of a database"
    SQL_CLAUSE 5011 Sql 1 Critical "clause added to a query"
    SQL_CAST 5012 Sql 1 Critical "cast or JSON operator"
    SQL_LONE_STATEMENT 5013 Sql 1 Warning "complete, ordinary SQL statement"
    SQL_OPERATOR 5014 Sql 2 Critical "comparison operator alone"
    SQL_LOOSE_FUNCTION 5015 Sql 2 Critical "SQL function called"
    SQL_LOOSE_LOGIC 5016 Sql 2 Critical "AND or OR with a comparison"
    SQL_LOOSE_QUOTE 5017 Sql 2 Critical "quote followed by SQL"
    SQL_LOOSE_COMMENT 5018 Sql 2 Critical "SQL comment"
    SQL_LOOSE_KEYWORD 5019 Sql 2 Critical "SQL keywords together"
    SQL_HEX 5020 Sql 2 Critical "hexadecimal number of SQL"
    SQL_SYMBOLS 5021 Sql 2 Critical "many symbols"
    SQL_MANY_SYMBOLS 5022 Sql 3 Critical "several symbols"
    SQL_ANY_QUOTE 5023 Sql 3 Critical "quote between words"
    SQL_FEW_SYMBOLS 5024 Sql 4 Critical "more than a symbol or two"

    SQL_SCIENTIFIC 5025 Sql 1 Critical "number that hides a name"
    SQL_LONE_OPERATOR 5026 Sql 1 Critical "operator that only SQL has, alone"
    SQL_SIGNS 5027 Sql 1 Critical "nothing but signs, as are tried to see what breaks"
    NOSQL_OPERATOR 5101 Nosql 1 Critical "operator of a document database"
    NOSQL_CODE 5102 Nosql 1 Critical "script for a document database"
    LDAP_FILTER 5201 Ldap 1 Critical "LDAP filter broken out of"
    SSRF_METADATA 5301 Ssrf 1 Critical "address of a cloud's metadata"
    SSRF_SCHEME 5302 Ssrf 1 Critical "address with a scheme for other protocols"
    SSRF_LOOPBACK 5303 Ssrf 2 Critical "address of the service itself"
    SSRF_DISGUISED 5304 Ssrf 1 Critical "address disguised, or of a service for testers"
    LOOKUP 5401 Code 1 Critical "log4j look-up"
    PHP 5402 Code 1 Critical "PHP code or object"
    JAVA 5403 Code 1 Critical "Java class or expression"
    NODE 5404 Code 1 Critical "Node.js code or prototype"
    TEMPLATE 5405 Code 1 Critical "template expression"
    MAIL 5406 Code 1 Critical "command of a mail protocol"
    MAIL_LOOSE 5407 Code 2 Critical "line that a mail server would obey"
    RUBY_PERL_PYTHON 5408 Code 1 Critical "Ruby, Perl or Python code"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_unique_sorted_and_stand_by_category() {
        assert!(RULES.is_sorted_by(|one, next| one.id < next.id && one.category <= next.category));
        assert!(RULES.iter().all(|rule| (1..=4).contains(&rule.paranoia)));
        assert_eq!(rule(5001), Some(SQL_TAUTOLOGY));
        assert_eq!(rule(1), None);
    }
}
