//! The rules that are expressions, for scripts of pages and for the languages, templates and look-ups of a service.

use super::pattern::Row;
use super::traits::{EQUALS, GLOB};
use crate::rules;

#[rustfmt::skip]
pub(super) const CODE_ROWS: &[Row] = &[
    // Scripts in pages, where a tokeniser is not needed.
    Row {
        rule: rules::XSS_SERVER,
        triggers: &["<!--#"],
        needs: 0,
        expression: r"<!--#\s*(?:exec|include|echo|set|config|printenv|fsize|flastmod|if|elif)\b",
    },
    Row {
        rule: rules::XSS_NAMESPACE,
        triggers: &["xmlns", "!entity", "schemalocation", "xi:include", "xinclude", "!doctype", "<?import", "<?xml-stylesheet", "!element", "!attlist"],
        needs: 0,
        expression: r"xmlns(?::\w+)?\s*=|!(?:entity|element|attlist)\s+%?\s*\w+|schemalocation\s*=|<\s*xi:include|<!doctype[^>]*(?:system|public|\[)|<\?(?:import|xml-stylesheet)\b",
    },
    Row {
        rule: rules::XSS_CHARSET,
        triggers: &["+adw-", "+ad4-", "+aciapgbs", "+adw", "\\xbc", "script", "onload", "onerror"],
        needs: 0,
        expression: r"\+adw-?[/a-z]|\+ad4-|(?-u:\xbc)/?\s*script|(?:^|[\x00-\x7f])(?-u:\xbc)\s*/?\s*[a-z]",
    },
    Row {
        rule: rules::XSS_CODE,
        triggers: &["document.", "window.", ".innerhtml", ".outerhtml", "fromcharcode", "appendchild", ".parentnode", "localstorage.", "location.", "document)", "\"cookie", "'cookie"],
        needs: 0,
        expression: r"document\.(?:cookie|domain|location|write(?:ln)?\b|referrer\b|body\.(?:append|inner)\w*|createelement\s*\()|\bwindow\.(?:location|name|onerror|eval|parent|top|document)\s*[=.(\[]|\.(?:inner|outer)html\s*=\s*['\x22\x60]?\s*(?:<|location|document|window|atob)|string\.fromcharcode\s*\(|\.parentnode\b|document[\]\x22')\s]*\[\s*\x22?'?cookie|(?:^|[=;(])\s*(?:top|self|parent|window)?\.?location(?:\.href)?\s*=\s*['\x22j]",
    },
    Row {
        rule: rules::XSS_CODE,
        triggers: &["window", "self", "top", "parent", "frames", "globalthis", "document", "this"],
        needs: GLOB,
        expression: r"(?:^|[^\w.])\(?(?:self|window|top|parent|frames|globalthis|document|this)\s*\)?\s*(?:/\*[^*]*\*/\s*)*\[\s*(?:/\*[^*]*\*/\s*)*(?:['\x22\x60/][^\]]*\]\s*(?:/\*[^*]*\*/\s*)*[(\[\x60=]|['\x22](?:cookie|alert|eval|document|location)|\w+\s*\+)",
    },
    Row {
        rule: rules::XSS_CODE,
        triggers: &["call", "apply", "constructor", "map", "filter", "sort", "find"],
        needs: GLOB,
        expression: r"\[[^\]]*\]\s*\.\s*(?:/\*[^*]*\*/\s*)*(?:map|sort|filter|find\w*|every|some|constructor|reduce|foreach|concat|join|at|flat\w*|fill|values|keys)\s*(?:/\*[^*]*\*/\s*)*(?:\.\s*(?:call|apply)\s*[(\x60]|\.\s*constructor|\x60|\(\s*(?:alert|eval|prompt|confirm)\b)|constructor\s*(?:[(.\[]\s*['\x22\x60]|\.\s*constructor)",
    },
    Row {
        rule: rules::XSS_CODE,
        triggers: &["valueof", "onerror", "location", "name", "' ", "\" "],
        needs: EQUALS,
        expression: r"^['\x22]\s+(?:in\s*)?[a-z$_][\w$]*\.[a-z$_][\w$]*\s*=\s*$|['\x22][\s]*(?:[^a-z0-9~_:'\s,;.<>]|\bin\b)[^<>]{0,60}?\b(?:location|name|onerror|valueof)\s*=",
    },
    Row {
        rule: rules::XSS_CODE,
        triggers: &["document", "window", "location", "open("],
        needs: 0,
        expression: concat!(
            r"\bdocument\s*(?:/\*[^*]*\*/\s*)*\.\s*(?:/\*[^*]*\*/\s*)*(?:cookie|domain\b|write(?:ln)?\s*[(\x60]|queryselector\w*\s*\([^)]*\)\s*\.\s*(?:(?:inner|outer)html|action|src|href|value|submit|click)|execcommand|designmode|forms\s*[\[.]|scripts\s*\[|documentelement\.|head\.\w+child|body\.innerhtml)",
            r"|\bwindow\s*\.\s*(?:open\s*\(\s*['\x22\x60]\s*(?://|https?:|javascript)|name\b\s*[=)\x60;]|location|eval\s*\(|onerror)|\bwindow\.name$|^\W*open\s*\(\s*['\x22\x60]\s*(?://|https?:|javascript)",
            r"|(?:^|[^\w.-])location(?:\.\w+)?\s*=\s*(?:name|window|document|hash|atob|eval|unescape|decodeuri\w*)\b|\blocation\s*\.\s*(?:assign|replace|reload)\s*\(|\blocation\.hash\.(?:slice|substr)",
        ),
    },
    Row {
        rule: rules::XSS_CODE,
        triggers: &["alert", "eval", "prompt", "confirm", "print", "function`", "settimeout", "setinterval", "fetch`", "import`", "atob`"],
        needs: 0,
        expression: concat!(
            r"(?:^|[=(;,+{&|!>'\x22-])(?:alert|confirm|prompt|eval|print|settimeout|setinterval|setimmediate|function|fetch|import|atob)\x60",
            r"|(?:\.\s*(?:map|find\w*|foreach|filter|some|every|sort|reduce\w*|then|catch|finally|replace\w*|flatmap)|\brequestanimationframe|\bqueuemicrotask|\breflect\s*\.\s*\w+|\barray\s*\.\s*from|\bset(?:timeout|interval|immediate))\s*\([^()]{0,40}\b(?:alert|eval|prompt|confirm|print)\s*[,)]",
            r"|\b(?:alert|confirm|prompt|eval)\s*(?:\?\.\s*\(|\.\s*(?:call|apply|bind)\s*[(\x60])|[(,]\s*(?:alert|confirm|prompt|eval)\s*\)(?:[(\x60]|\s+[(\x60]\s*['\x22\x60\d])",
            r"|(?:\{\s*|\bthrow\b.{0,20})\bonerror\s*=\s*(?:alert|eval|prompt|confirm)|=\s*(?:alert|eval|prompt|confirm)\s*[;,}]",
            r"|=>\s*\{?\s*(?:alert|eval|prompt|confirm)\s*[(\x60]|\bfunction\s*\w*\s*\([^)]*\)\s*\{\s*(?:alert|eval|prompt|confirm)\s*[(\x60]",
        ),
    },
    Row {
        rule: rules::XSS_CODE,
        triggers: &["constructor", "with(", "with (", "raw`", "fromcodepoint", "getscript", "globaleval", ".html(", ".append(", "reflect.", "top[", "window[", "self[", "parent[", "frames[", "globalthis["],
        needs: 0,
        expression: concat!(
            r"\.\s*constructor\s*(?:\.\s*constructor\s*[(\x60]|[(\x60]\s*['\x22\x60])|\bwith\s*\(\s*(?:document|window|location|navigator|top|self|parent)\b|\bstring\.raw\x60|\bstring\.fromcodepoint\s*\(",
            r"|\$\.getscript\s*\(|\bjquery\.globaleval\b|\$\([^)]{1,40}\)\.(?:html|append|prepend|after|before)\s*\(\s*['\x22\x60]?\s*<|\breflect\.(?:apply|construct)\s*[.(\x60]",
            r"|(?:^|[^\w.])(?:window|self|top|parent|frames|globalthis)\s*\[[^\]]{1,80}\]\s*[(\x60]",
        ),
    },
    Row {
        rule: rules::XSS_CODE,
        triggers: &["xmlhttprequest", "websocket(", "sendbeacon", "serviceworker", "new image", "postmessage(", "sessionstorage", "localstorage", "decodeuri", "unescape(", "document.cookie", "http-equiv", ".cookie"],
        needs: 0,
        expression: concat!(
            r"^[\s'\x22\x60;)}\]>]*(?:new\s+(?:xmlhttprequest|websocket|image|worker|eventsource)\s*\(|(?:window\.)?(?:session|local)storage\s*[.\[]|navigator\.(?:sendbeacon|serviceworker)|(?:parent\.|top\.|window\.)?postmessage\s*\(|(?:decodeuri(?:component)?|unescape)\s*\(\s*['\x22\x60]%)",
            r"|\bnavigator\.sendbeacon\s*\(|\bnew\s+image\s*(?:\(\s*\))?\s*\.\s*src\s*=|\.cookie\b.{0,80};\s*(?:expires|domain|path|max-age)\s*=|\bhttp-equiv\W+set-cookie",
        ),
    },
    // Properties of a page's objects that are named in brackets or behind a comment.
    Row {
        rule: rules::XSS_CODE,
        triggers: &["window", "document", "globalthis", "frames", "top", "self", "this", "parent"],
        needs: 0,
        expression: concat!(
            r"\b(?:window|document|globalthis|frames|top)\s*\[\s*(?:/\*[^*]*\*/\s*)*['\x22\x60]|\b(?:window|document|globalthis|frames|top|self|this|parent)\s*(?:/\*[^*]*\*/\s*)+[.\[(]",
            r"|\b(?:window|document|globalthis|frames|top|self|this|parent)\s*\)\s*\[\s*['\x22\x60]|^\W*document\.(?:queryselector(?:all)?|body\.appendchild)\W*$",
        ),
    },
    Row {
        rule: rules::XSS_CODE,
        triggers: &[".innerhtml", ".outerhtml", "call`", "call `", "apply`", "apply `", "](", "new function"],
        needs: 0,
        expression: r"^\W*[\w$]*\.(?:inner|outer)html\W*$|\.(?:inner|outer)html=[^=\s]|\.\s*(?:call|apply)\s*\x60|^[^'\x22\s]{0,20}['\x22](?:\w*['\x22])?\s*\[[^\]]*\]\s*\(|^\W*new\s+function\s*\(",
    },
    // Attributes without a tag, as they stand behind what was broken out of.
    Row {
        rule: rules::XSS_HANDLER,
        triggers: &["onload", "onerror", "onclick", "onfocus", "onblur", "onmouse", "ontoggle", "oninput", "onpointer", "onbegin"],
        needs: EQUALS,
        expression: r"^[\s;/]+on[a-z]{4,24}\s*=[^=]|^\s*(?:[a-z-]+=\S*\s+|autofocus\s+){1,3}on(?:load|error|click|focus|blur|mouse\w+|toggle|input|pointer\w+|begin)\s*=[^=]",
    },
    // Attributes that load or run wherever they stand.
    Row {
        rule: rules::XSS_URL,
        triggers: &["xlink:href", "pattern", "@import", "data:;", "data:,"],
        needs: 0,
        expression: r"\bxlink:href\s*=|['\x22][^=]{0,20}\bpattern\s*=|@import\s*(?:url\s*\(|['\x22](?:https?:)?//)|(?:^|[\s='\x22(])data:(?:;[\w=-]+)*,\S",
    },
    // What ends a text of a script, and the call or comment that is put behind it.
    Row {
        rule: rules::XSS_CODE,
        triggers: &["//", ")("],
        needs: 0,
        expression: r"^['\x22]\w*['\x22]?\s*[-+*/^%]\s*\([\w$.]+\)\s*\(\s*[\w$.'\x22]|^[^'\x22\x60\s]{0,40}['\x22\x60][\])}]*[;,+*/^-]\s*[\w$.\[(]+.*[)\x60\]]\s*;?\s*//[\s'\x22]*$",
    },
    Row {
        rule: rules::XSS_OBFUSCATED,
        triggers: &["[]", "[ ]", "~["],
        needs: 0,
        expression: r"!\s?[!+ ]\s?\[\s?\]|^!\[\]\+\[\]|(?:^|[^\w\s)\]])\[\s?\]\[\s*['\x22]|\(\s*!\s*\[\s?\]\s*[+ ]\s*\[\s?\]\s*\)|\[\]\[\[\]\]|\[[+ ]\[\]\]|\$\s*=\s*~\s*\[\]",
    },
    Row {
        rule: rules::XSS_URL,
        triggers: &["data:text/", "data:application/"],
        needs: 0,
        expression: r"(?:^|[\s='\x22(,])data:(?:text/(?:html|xml|javascript|ecmascript|vbscript|x-\w+)|application/(?:xhtml\+xml|xml|(?:x-)?javascript|ecmascript))\s*[;,]",
    },
    // Operators and scripts of document databases. `$filter`, `$top`, `$count` and the like are options of OData and of
    // others, and `$set` and `$add` what clients tell statistics.
    Row {
        rule: rules::NOSQL_OPERATOR,
        triggers: &["$"],
        needs: 0,
        expression: concat!(
            r"(?:^[^\w#]*|[\[{,\x22']\s*)\$(?:",
            "abs|accumulator|acos|acosh|addfields|addtoset|all|allelementstrue|and|anyelementtrue|arrayelemat|arraytoobject",
            "|asin|asinh|atan|atan2|atanh|avg|between|binarysize|bit|bitand|bitnot|bitor|bitsallclear|bitsallset|bitsanyclear",
            "|bitsanyset|bitxor|bottom|bottomn|box|bsonsize|bucket|bucketauto|ceil|center|centersphere|changestream|cmp|collstats",
            "|comment|concat|concatarrays|cond|convert|cos|cosh|covariancepop|covariancesamp|currentdate|currentop|dateadd",
            "|datediff|datefromparts|datefromstring|datesubtract|datetoparts|datetostring|datetrunc|dayofmonth|dayofweek|dayofyear",
            "|degreestoradians|denserank|densify|derivative|divide|documentnumber|each|elemmatch|eq|exists|exp|expmovingavg|expr",
            "|facet|fill|first|firstn|floor|function|geointersects|geometry|geowithin|getfield|graphlookup|group|gt|gte|hint",
            "|hour|ifnull|in|inc|indexofarray|indexofbytes|indexofcp|indexstats|integral|isarray|isnumber|isodayofweek|isoweek",
            "|isoweekyear|jsonschema|last|lastn|let|like|linearfill|listsessions|literal|ln|locf|log|log10|lookup|lt|lte",
            "|ltrim|map|match|max|maxdistance|maxn|median|merge|mergeobjects|meta|millisecond|min|mindistance|minn|minute|mod|month",
            "|mul|multiply|natural|ne|near|nearsphere|nin|nor|not|objecttoarray|options|or|out|percentile|plancachestats|polygon",
            "|pop|position|pow|project|pull|pullall|push|radianstodegrees|rand|range|rank|redact|reduce|regex|regexfind",
            "|regexfindall|regexmatch|rename|replaceall|replaceone|replaceroot|replacewith|reversearray|round|rtrim|sample",
            "|samplerate|second|setdifference|setequals|setfield|setintersection|setissubset|setoninsert|setunion",
            "|setwindowfields|shift|sin|sinh|size|slice|sortarray|sortbycount|split|sqrt|stddevpop|stddevsamp|strcasecmp",
            "|strlenbytes|strlencp|substr|substrbytes|substrcp|subtract|sum|switch|tan|tanh|text|tobool|todate|todecimal|todouble",
            "|tohashedindexkey|toint|tolong|tolower|toobjectid|topn|tostring|toupper|touuid|trim|trunc|tsincrement|tssecond",
            "|unionwith|uniquedocs|unset|unsetfield|unwind|week|where|within|year|zip",
            r")(?:[\])'\x22]|\W*$|\s*:)|\[\$type\]",
        ),
    },
    Row {
        rule: rules::NOSQL_CODE,
        triggers: &["db.", "typeof", "this.", "function", "tojson", "return", "while", "sleep", "do{", "for("],
        needs: 0,
        expression: r"^\W*(?:\|\||&&)\s*typeof\s+\w|\bdb\.(?:\w+\.(?:find|insert|update|remove|drop|aggregate|save|count)(?:one|many)?|getcollectionnames|dropdatabase|injection|eval)\s*\(|['\x22]\s*(?:;|\|\||&&)[^'\x22]{0,40}\b(?:do\s*\{|for\s*\()|['\x22]\s*(?:;|\|\||&&)\s*(?:return\b|this\.\w+|while\s*\(|sleep\s*\()|\|\|\s*this\.\w+|\btojson\(",
    },
    // Look-ups, languages and templates of services.
    Row {
        rule: rules::LOOKUP,
        triggers: &["${", "jndi:"],
        needs: 0,
        expression: r"\{\s*jndi:|\$\{:\w*:|\$\{\s*(?:jndi|lower|upper|env|sys|java|date|ctx|main|log4j|bundle|spring|k8s|docker|web|marker|map|::-|:-|\$\{)[^a-z0-9_}]|\$\{\s*(?:script|dns|url|const|base64(?:de|en)coder|sd|event|jvmrunargs|kubernetes|localhost|xml|file|properties|resourcebundle|url(?:de|en)coder):|\$\{[^}]{0,40}\$\{[^}]{0,60}:-",
    },
    Row {
        rule: rules::PHP,
        triggers: &["<?php", "<?=", "<? ", "<%php", "[php]", "language=", "o:", "c:", "a:", "$_", "$globals", "globals[", "_session[", "invokefunction"],
        needs: 0,
        expression: concat!(
            r"<\?(?:php\b|=)|<\?\s+(?:echo|print|system|eval|include|require|exec|passthru|phpinfo|\$)|<%php\b|\[php\][^(]|<script[^>]*language\s*=\s*['\x22]?php",
            r"|(?:^|[;{])[oc]:\+?\d+:\x22[\w\\]+\x22:\d+:|a:\d+:\{[is]:|\$_(?:get|post|request|server|cookie|files|env|session)\s*\[[^\]]{0,60}\]\s*\(|^\W*\$_(?:session\s*\[[^\]]{0,60}\]\s*=|(?:server|env)\s*\[[^\]]{0,60}\]\W*$)|[(\x60.,]\s*\$_(?:get|post|request|server|cookie|files|env|session)\b|\$globals\b|^(?:globals|_session|_server)\[|think\\\w+/invokefunction",
        ),
    },
    // Functions that run, read or tell something, called as statements are: with a text, a variable or a call.
    Row {
        rule: rules::PHP,
        triggers: &["php", "system", "passthru", "exec", "popen", "proc_", "eval(", "assert", "call_user_func", "file_", "create_function", "preg_replace", "gzinflate", "str_rot13", "base64_decode", "fsockopen", "ini_", "array_", "usort", "function(", "handler(", "ob_start", "iterator_apply", "readfile", "show_source", "highlight_", "include", "require", "move_uploaded", "unlink(", "chmod(", "scandir", "opendir", "symlink", "putenv", "mail(", "dl(", "extract(", "parse_str", "unserialize", "var_dump", "print_r", "getenv", "get_cfg", "get_defined", "posix_", "chr(", "allow_url_include", "auto_prepend", "auto_append", "fopen", "curl_", "simplexml_"],
        needs: 0,
        expression: concat!(
            r"\bphpinfo\s*\(|(?:^|[;{(=.@|\s'\x22])(?:system|passthru|shell_exec|proc_open|popen|pcntl_exec|exec|assert|call_user_func(?:_array)?|create_function)\s*\(\s*(?:['\x22$]|base64|chr\()",
            r"|\b(?:eval|assert|gzinflate|gzuncompress|str_rot13)\s*\(\s*(?:base64_decode|gzinflate|gzuncompress|str_rot13|chr|strrev|\$)",
            r"|\b(?:file_(?:get|put)_contents|fopen|readfile|copy|file|include)(?:_once)?\s*\(?\s*['\x22]?\s*(?:php:|data:|expect:|phar:|https?://|/etc/|/proc/|\.\./|\$_)|\brequire(?:_once)?\s*(?:\(\s*['\x22]?|['\x22])\s*(?:php:|data:|expect:|phar:|https?://|/etc/|/proc/|\$_)|\b(?:auto_(?:pre|ap)pend_file|allow_url_(?:include|fopen)|disable_functions|open_basedir)\s*=",
            r"|\b(?:array_(?:map|filter|walk|reduce|diff_u\w+|intersect_u\w+)|u[ak]?sort|ob_start|register_(?:shutdown|tick)_function|set_(?:error|exception)_handler|iterator_apply|spl_autoload_register|forward_static_call)\s*\([^)]{0,60}['\x22](?:system|assert|exec|eval|passthru|shell_exec|popen|phpinfo)['\x22]",
            r"|\b(?:var_dump|print_r|var_export|extract|parse_str|unserialize|usort|eval|mail|include|require)\s*\(\s*\$(?:_|globals)",
            r"|\b(?:print_r|var_dump)\s*\(\s*get_defined|\b(?:show_source|highlight_file|php_strip_whitespace)\s*\(\s*(?:['\x22$]|__file__)",
            r"|^[\s;'\x22{}@.&|$]*(?:php(?:version|credits|_uname|_sapi_name|_ini_\w+)|get_cfg_var|get_defined_\w+|get_current_user|get_loaded_extensions|getmy\w+|posix_\w+|pcntl_\w+|ini_(?:set|get\w*|alter|restore)|putenv|getenv|dl|mail|unlink|chmod|chown|scandir|opendir|symlink|readlink|move_uploaded_file|unserialize|parse_str|str_rot13|gzinflate|base64_decode|fsockopen|pfsockopen|stream_socket_\w+|curl_(?:init|exec)|simplexml_load_\w+|disk_\w+_space|preg_replace_callback|error_log|escapeshell\w+|highlight_string)\s*\(.*\)[\s;'\x22}.]*$",
            r"|\bpreg_replace\s*\(\s*['\x22][^'\x22]*/\w*e\w*['\x22]|\$\w+\s*=\s*['\x22]\w*['\x22]\s*\.\s*['\x22]\w*['\x22]|\bchr\s*\(\s*\d+\s*\)\s*\.\s*chr\s*\(|^[\s;'\x22.@]*\(\s*['\x22]?\w+['\x22]?\s*(?:\.\s*['\x22]\w+['\x22]\s*)*\)\s*\(\s*['\x22]?\w+['\x22]?\s*\)\s*;|\$\{\s*@?(?:eval|print|system|phpinfo|assert|exec)\s*\(",
        ),
    },
    Row {
        rule: rules::JAVA,
        triggers: &["java.", "javax.", "runtime", "processbuilder", "ro0ab", "aced0005", "ognl", "%{", "#{", "${", "org.apache.", "com.sun.", "class.module", "classloader", "getclass", "springframework", "clojure.", "groovy", "opensymphony", "memberaccess", "ysoserial", "sun.misc", "bsh.", "#context", "dynamic-proxy", "scope", "param.", "pagecontext"],
        needs: 0,
        expression: concat!(
            r"\bjava\.(?:lang\.(?:runtime\b|processbuilder|system\b|class\b|reflect|thread\.[a-z]+\s*\()|io\.(?:file|bufferedreader|inputstreamreader|printwriter)\s*[(;]|io\.\*|net\.url\w*|util\.scanner|beans\.|rmi\.|nio\.file)|\bjavax\.(?:script|naming|management)\b|\bnew\s+java\.\w+\.|runtime(?:\(\))?\s*\.\s*(?:exec|load)\b|\bprocessbuilder\s*\(",
            r"|^\s*ro0ab|^\s*aced0005|@?ognl(?:\.|context)|[%#$]\{\s*\(?\s*#?\s*['\x22]?[\w.@#(]*\s*(?:=|\.getclass|@java)|%\{\s*(?:#\w|\d+\s*[-+*/]\s*\d)|#_memberaccess|\(#\w+\s*=|^(?:action|redirect(?:action)?):\s*[$%]\{",
            r"|\b(?:org\.apache\.(?:commons\.(?:collections|beanutils|fileupload|configuration|dbcp)|xalan|xbean|shiro|tomcat\.dbcp)|com\.sun\.(?:rowset|org\.apache|jndi)|com\.opensymphony|com\.mchange|groovy\.lang|groovyshell|clojure\.(?:core|lang|main)|sun\.misc\.|sun\.reflect\.|ysoserial\.|javassist\.|net\.sf\.cglib|bsh\.interpreter|org\.springframework\.(?:context\.support\.\w*xmlapplicationcontext|expression\.|cglib|beans\.factory\.config\.\w+path))",
            r"|class\.(?:module\.)?classloader|\.getclass\(\)\s*\.\s*for?name|getclass\(\)\.|<sorted-set>|<dynamic-proxy>|<java\s+version=|\bclassloader\.(?:urls|resources)",
            r"|[#$]\{\s*(?:pagecontext|applicationscope|sessionscope|requestscope|initparam|facescontext|param\.|param\[|header\[|cookie\[|externalcontext)|[#$*~]\{[^}]{0,200}(?:\.class\b|\bforname\s*\(|\bnew\s+java|\bt\(\s*java)",
        ),
    },
    Row {
        rule: rules::NODE,
        triggers: &["__proto__", "constructor", "child_process", "require(", "require (", "process", "_$$nd_func$$_", "prototype", "vm.runin", "buffer.from", "fs.", "deno.", "bun.", "new function"],
        needs: 0,
        expression: concat!(
            r"__proto__|constructor\s*(?:\.|\[['\x22]?)prototype|require\s*\(\s*['\x22\x60](?:node:)?(?:child_process|fs|vm|net|http|os|cluster|worker_threads)['\x22\x60]\s*\)\s*\.|\bprocess\s*\.\s*(?:mainmodule\s*[.\[]|binding\s*\([^)]*\)\s*[.\[]|env\.\w+\s*=|kill\s*\(|spawn|dlopen|chdir\s*\()|^\W*process\s*\.\s*(?:exit|abort|binding)\s*\(|\bprocess\s*\[\s*['\x22\x60]|\b(?:global(?:this)?|root)\.process\b",
            r"|_\$\$nd_func\$\$_|child_process['\x22\x60]?\s*\)?\s*\.\s*(?:exec|spawn|fork|then)|\bvm\.runin\w*\s*\(|\bobject\.prototype\s*[.\[][\w'\x22\]]+\s*=[^=]|^\W*buffer\.from\s*\(|^\W*(?:fs\.(?:readfile|writefile|readdir|unlink|createreadstream|appendfile)\w*|(?:deno|bun)\.(?:read|write|run|spawn|command|file|env)\w*(?:\.\w+)?)\s*\(",
            r"|\bnew\s+function\s*\(\s*['\x22\x60]|\bconstructor\s*[(\x60]\s*['\x22\x60]\s*return",
        ),
    },
    Row {
        rule: rules::TEMPLATE,
        triggers: &["{{", "{%", "<%", "#{", "${", "*{", "@{", "%{", "[[${", "@(", "~{", "[#", "<#", "#set", "#foreach", "#include", "#parse", "#evaluate", "$class", ".getclass", "{php}", "{$smarty", "smarty_internal", "{system", "@system.", "?new("],
        needs: 0,
        expression: concat!(
            r"\{\{\s*(?:\d+\s*[-+*/%]\s*['\x22]?\d|['\x22\[({].*(?:__class__|__mro__|constructor|mro|join|filter\s*\(|map\s*\(|attr\s*\()|config\b|self\b|request\.(?:application|environ|args)|[\w.]*__\w+__|cycler|lipsum|namespace|joiner|range\.constructor|(?:this\.)?constructor|_self|dump\(|app\.request|\$on\.|#with\s+['\x22]|lookup\s+\S+\s+['\x22]constructor|[\w.$\[\]]+\s*=[^=]|[^}]*\.(?:call|apply|bind|fromcharcode|prototype)\b)|\{\{\s*[\w.]*\.?constructor\b",
            r"|\{%-?\s*(?:import|include|for\s+\w+\s+in\s+\(?\)?\.?__|set\s+\w+\s*=\s*['\x22]?\w*__|debug|print\s*\()|\{%[^%]{0,200}__\w+__|<%=?\s*(?:\d+\s*[-+*/]|system|\x60|exec|eval|file\.|io\.|dir\.|require|runtime|@\s*(?:page|include|import)|import\s+\w)|<%!",
            r"|[#$*@%]\{\s*(?:['\x22]?\d+['\x22]?\s*[-+*/]\s*['\x22]?\d+|t\(\s*java|.*(?:__class__|__import__|getclass|\bruntime\b|processbuilder|sleep\s*\())|@\(\s*\d+\s*[-+*/]\s*\d+\s*\)|[#$]\{\s*(?:\x60|system\s*\(|exec\s*\(|self\.module)",
            r"|[<\[]#(?:assign|include|import|function|macro|setting|global|local)\b|\?\s*new\s*\(\s*\)|#set\s*\(\s*\$|#foreach\s*\(\s*\$\w+\s+in\b|#(?:include|parse|evaluate)\s*\(\s*['\x22$]|\$!?\{?\w+\.(?:getclass|inspect\s*\(|class\.)",
            r"|\{/?php\}|\{\$smarty\.|smarty_internal_\w+|\{(?:system|exec|passthru|eval|shell_exec)\s*\(|@system\.\w+\.|__\$\{",
        ),
    },
    Row {
        rule: rules::RUBY_PERL_PYTHON,
        triggers: &["__", "os.system", "subprocess", "os.popen", "kernel.", "io.popen", "`id`", "%x(", "open3", "importlib", "pickle.", "globals()", "exec(", "eval(", "open(", "instance_eval", "class_eval", "send(:", "marshal.", "const_get", "file.read", "file.open", "!!", "!ruby", "\nsystem", "\npopen", "\nexec", "\neval", "gasv", "bahv", "bahb", "aaeaaad", "tzo", "objectdataprovider", "typeconfusedelegate", "system.diag", "reflection.assembly", "system.windows.data", "management.automation"],
        needs: 0,
        expression: concat!(
            r"__import__\s*\(\s*[^\s)]|\bos\.(?:system|popen|exec\w*|spawn\w*)\s*\(\s*[^\s)]|\bsubprocess\.(?:popen|call|run|check_output|getoutput)\s*\(\s*['\x22]|^\W*subprocess\.(?:check_output|getoutput|popen)\s*\(|\b(?:kernel|io)\.(?:exec|popen|system|spawn|fork)\b|%x[({\[]|\bopen3\.\w+",
            r"|[.\[|(]\s*['\x22]?__(?:mro|subclasses|globals|builtins|bases?|getattribute)__|\b__builtins__\s*[.\[]|\bimportlib\.import_module\s*\(|^\W*(?:c?pickle|marshal|shelve|yaml|dill)\.(?:loads?|unsafe_load)\s*\(|\bglobals\s*\(\s*\)\s*\[",
            r"|\b(?:exec|eval)\s*\(\s*(?:['\x22]\s*(?:import|puts|print|require|exec|system|open)\b|compile\s*\()|\bopen\s*\(\s*['\x22]/(?:etc|proc|var|root|home)/|\b(?:instance|class|module)_eval\s*[({]\s*['\x22]|\b(?:public_)?send\s*\(\s*:(?:system|exec|eval|instance_eval|open)|\bobject\.const_get\s*\(|\bfile\.(?:read|open|readlines)\s*\(\s*['\x22]/",
            r"|!!(?:python/|javax?\.|org\.|com\.sun|ruby/)|!ruby/(?:object|hash|struct)|(?:^|\n)\(?c(?:os|posix|nt|subprocess|builtins|__builtin__|commands)\n\w+\n",
            r"|^(?:gasv[a-z0-9]{2,8}aaaa|bahv[a-z0-9+/]{8}|aaeaaad/////aq|tzo(?:[0-9]oi|[xyz][a-z0-9]{2}oi))|^objectdataprovider$|^typeconfusedelegate$|\bsystem\.diagnostics\.process(?:\.start|,|\])|\[system\.reflection\.assembly\]|\bsystem\.(?:windows\.data\.objectdataprovider|management\.automation\.pso)",
        ),
    },
];
