//! The words of SQL that matter: what they are to a statement, and which functions there are.

use super::token::Kind;
use crate::detect::list::WordList;

/// What a word in small letters is. Most are names.
pub(super) fn kind(word: &[u8]) -> Kind {
    if !KEYWORDS.has(word) {
        return Kind::Name;
    }
    match word {
        b"and" | b"or" | b"xor" => Kind::Logic,
        b"not" | b"binary" | b"distinct" | b"distinctrow" | b"prior" => Kind::Unary,
        b"like" | b"rlike" | b"regexp" | b"glob" | b"ilike" | b"between" | b"in" | b"is" | b"sounds"
        | b"similar" | b"match" => Kind::Compare,
        b"div" | b"mod" => Kind::Arith,
        b"union" | b"except" | b"intersect" | b"minus" => Kind::Union,
        b"select" => Kind::Select,
        b"from" => Kind::From,
        b"all" | b"any" | b"some" => Kind::Quantifier,
        b"null" | b"true" | b"false" | b"unknown" | b"current_user" | b"current_date"
        | b"current_timestamp" | b"session_user" | b"sysdate" => Kind::Constant,
        b"insert" | b"replace" | b"update" | b"delete" | b"drop" | b"alter" | b"create" | b"truncate"
        | b"exec" | b"execute" | b"declare" | b"set" | b"shutdown" | b"waitfor" | b"grant" | b"revoke"
        | b"merge" | b"call" | b"begin" | b"use" | b"rename" | b"copy" | b"attach" | b"pragma"
        | b"handler" | b"load" | b"prepare" | b"vacuum" | b"if" => Kind::Statement,
        b"where" | b"having" | b"group" | b"order" | b"limit" | b"offset" | b"into" | b"procedure"
        | b"collate" | b"returning" | b"values" | b"join" | b"as" | b"case" | b"when" | b"then" | b"else"
        | b"end" | b"by" | b"isnull" | b"notnull" | b"escape" | b"using" | b"desc" | b"asc" | b"with" => {
            Kind::Clause
        }
        _ => Kind::Name,
    }
}

/// Whether this is a function of a common database.
pub(super) fn is_function(word: &[u8]) -> bool {
    FUNCTIONS.has(word) || is_attack_function(word)
}

/// Functions that hardly anything but an attack calls from a value.
pub(super) fn is_attack_function(word: &[u8]) -> bool {
    ATTACK_FUNCTIONS.has(word)
        || word.starts_with(b"xp_") && word.len() > 5
        || word.starts_with(b"sp_exec")
        || word.starts_with(b"utl_")
        || word.starts_with(b"dbms_")
        || word.starts_with(b"pg_ls_")
        || word.starts_with(b"sqlite_")
}

/// Types that a cast in an attack names.
pub(super) fn is_type(word: &[u8]) -> bool {
    matches!(
        word,
        b"int"
            | b"integer"
            | b"int4"
            | b"int8"
            | b"bigint"
            | b"numeric"
            | b"float"
            | b"bool"
            | b"boolean"
            | b"text"
            | b"varchar"
            | b"char"
            | b"json"
            | b"jsonb"
            | b"regclass"
            | b"bytea"
            | b"date"
            | b"timestamp"
            | b"xml"
    )
}

/// Words after FROM that show it to be prose.
pub(super) fn is_article(word: &[u8]) -> bool {
    matches!(
        word,
        b"a" | b"all"
            | b"an"
            | b"another"
            | b"any"
            | b"each"
            | b"every"
            | b"her"
            | b"here"
            | b"his"
            | b"its"
            | b"my"
            | b"one"
            | b"our"
            | b"that"
            | b"the"
            | b"their"
            | b"there"
            | b"these"
            | b"this"
            | b"those"
            | b"your"
            | b"to"
            | b"of"
            | b"multiple"
            | b"several"
            | b"various"
            | b"some"
            | b"among"
            | b"more"
            | b"two"
            | b"three"
    )
}

/// The words that `kind` knows.
#[rustfmt::skip]
static KEYWORDS: WordList = WordList::new(&[
    "all", "alter", "and", "any", "as", "asc", "attach", "begin", "between", "binary", "by", "call", "case",
    "collate", "copy", "create", "current_date", "current_timestamp", "current_user", "declare", "delete",
    "desc", "distinct", "distinctrow", "div", "drop", "else", "end", "escape", "except", "exec", "execute",
    "false", "from", "glob", "grant", "group", "handler", "having", "if", "ilike", "in", "insert",
    "intersect", "into", "is", "isnull", "join", "like", "limit", "load", "match", "merge", "minus", "mod",
    "not", "notnull", "null", "offset", "or", "order", "pragma", "prepare", "prior", "procedure", "regexp",
    "rename", "replace", "returning", "revoke", "rlike", "select", "session_user", "set", "shutdown",
    "similar", "some", "sounds", "sysdate", "then", "true", "truncate", "union", "unknown", "update", "use",
    "using", "vacuum", "values", "waitfor", "when", "where", "with", "xor",
]);

/// Functions that attacks call.
#[rustfmt::skip]
static ATTACK_FUNCTIONS: WordList = WordList::new(&[
    "benchmark", "compress", "convert_from", "database_to_xml", "db_name", "elt", "extractvalue",
    "from_base64", "gtid_subset", "gtid_subtract", "likelihood", "likely", "lo_export", "lo_get",
    "lo_import", "load_extension", "load_file", "make_set", "name_const", "nvl2", "object_id", "openquery",
    "openrowset", "pg_read_file", "pg_sleep", "query_to_xml", "randomblob", "row_count", "sleep",
    "string_agg", "string_to_array", "sys_eval", "sys_exec", "to_base64", "unhex", "unlikely", "updatexml",
    "xmltype", "zeroblob", "zipfile",
]);

/// Functions of common databases.
#[rustfmt::skip]
static FUNCTIONS: WordList = WordList::new(&[
    "abs", "acos", "adddate", "addtime", "aes_decrypt", "aes_encrypt", "age", "any_value", "array_agg",
    "array_length", "array_to_string", "ascii", "asciistr", "asin", "atan", "atan2", "avg", "bin",
    "bin_to_num", "binary", "bit_and", "bit_count", "bit_get", "bit_length", "bit_or", "bit_xor", "bitand",
    "cast", "ceil", "ceiling", "changes", "char", "char_length", "character_length", "charindex", "charset",
    "checksum", "chr", "clock_timestamp", "coalesce", "coercibility", "col_length", "col_name", "collation",
    "concat", "concat_ws", "connection_id", "conv", "convert", "convert_tz", "cos", "cot", "count", "crc32",
    "cume_dist", "curdate", "current_database", "current_date", "current_schema", "current_setting",
    "current_time", "current_timestamp", "current_user", "currval", "curtime", "database", "datalength",
    "date", "date_add", "date_format", "date_sub", "date_trunc", "dateadd", "datediff", "datename",
    "datepart", "day", "dayname", "dayofmonth", "dayofweek", "dayofyear", "db_id", "decode", "default",
    "degrees", "dense_rank", "des_decrypt", "des_encrypt", "difference", "dump", "encode", "encrypt",
    "exists", "exp", "export_set", "extract", "field", "find_in_set", "first_value", "floor", "format",
    "found_rows", "from_days", "from_unixtime", "generate_series", "get_format", "get_lock", "getdate",
    "getutcdate", "glob", "greatest", "group_concat", "grouping", "has_dbaccess", "hex", "hextoraw",
    "host_name", "hour", "if", "ifnull", "iif", "inet6_aton", "inet6_ntoa", "inet_aton", "inet_ntoa",
    "inet_server_addr", "initcap", "insert", "instr", "instrb", "interval", "is_free_lock", "is_member",
    "is_srvrolemember", "is_used_lock", "isdate", "isfinite", "isnull", "isnumeric", "json", "json_array",
    "json_arrayagg", "json_build_object", "json_contains", "json_depth", "json_each", "json_extract",
    "json_insert", "json_keys", "json_length", "json_merge", "json_object", "json_pretty", "json_quote",
    "json_remove", "json_search", "json_set", "json_table", "json_tree", "json_type", "json_unquote",
    "json_valid", "jsonb_each", "jsonb_path_query", "julianday", "justify_days", "lag", "last_day",
    "last_insert_id", "last_insert_rowid", "last_value", "lastval", "lcase", "lead", "least", "left", "len",
    "length", "listagg", "ln", "localtime", "localtimestamp", "locate", "log", "log10", "log2", "lower",
    "lpad", "ltrim", "make_date", "make_interval", "makedate", "maketime", "master_pos_wait", "match",
    "max", "md5", "microsecond", "mid", "min", "minute", "mod", "month", "monthname", "nchar", "nchr",
    "newid", "next_day", "nextval", "now", "ntile", "nullif", "numtodsinterval", "nvl", "object_name",
    "oct", "octet_length", "old_password", "ora_hash", "ord", "password", "patindex", "period_add",
    "period_diff", "pg_client_encoding", "pg_typeof", "pi", "point", "polygon", "position", "pow", "power",
    "printf", "quarter", "quote", "quote_ident", "quote_literal", "quotename", "radians", "rand", "random",
    "rank", "raw", "rawtohex", "rawtonhex", "regexp_instr", "regexp_like", "regexp_matches",
    "regexp_replace", "regexp_substr", "release_lock", "repeat", "replace", "replicate", "reverse", "right",
    "round", "row", "row_number", "row_to_json", "rpad", "rtrim", "schema", "sec_to_time", "second",
    "serverproperty", "session_user", "sessiontimezone", "set_config", "sha", "sha1", "sha2", "sign", "sin",
    "sleep", "soundex", "space", "split_part", "sqrt", "st_astext", "statement_timestamp", "std", "stddev",
    "stddev_pop", "stddev_samp", "stdev", "str", "str_to_date", "strcmp", "strftime", "strpos", "stuff",
    "subdate", "substr", "substring", "substring_index", "subtime", "sum", "suser_id", "suser_name",
    "sys_context", "sysdate", "system_user", "tan", "time", "time_format", "time_to_sec", "timediff",
    "timestamp", "timestampadd", "timestampdiff", "to_ascii", "to_char", "to_clob", "to_date", "to_days",
    "to_hex", "to_json", "to_lob", "to_nchar", "to_number", "to_seconds", "to_timestamp", "to_tsquery",
    "to_tsvector", "tochar", "todate", "total_changes", "tounixdate", "trim", "trunc", "typeof", "ucase",
    "uncompress", "unicode", "unistr", "unix_timestamp", "unnest", "upper", "user", "user_id", "user_name",
    "utc_date", "utc_time", "utc_timestamp", "uuid", "uuid_short", "values", "var_pop", "var_samp",
    "variance", "version", "version_num", "weekday", "weekofyear", "weight_string", "wm_concat", "xmlagg",
    "xmlelement", "year", "yearweek",
]);
