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
        || is_package(word)
        || word.starts_with(b"pg_ls_")
        || word.starts_with(b"pg_logdir_")
        || word.starts_with(b"sqlite_")
}

/// Packages of Oracle that reach out of the database.
pub(super) fn is_package(word: &[u8]) -> bool {
    word.starts_with(b"utl_") || word.starts_with(b"dbms_")
}

/// Functions that only SQL has, by their names.
pub(super) fn is_sql_function(word: &[u8]) -> bool {
    word.contains(&b'_') && FUNCTIONS.has(word)
}

/// Variables of `MySQL` and SQL Server that tell about the server, without their `@@`.
pub(super) fn is_system_variable(name: &[u8]) -> bool {
    SYSTEM_VARIABLES.has(name)
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
            | b"int2"
            | b"oid"
            | b"real"
            | b"money"
            | b"double"
            | b"decimal"
            | b"smallint"
            | b"nvarchar"
            | b"varbinary"
            | b"inet"
            | b"uuid"
            | b"interval"
            | b"regtype"
            | b"regproc"
            | b"regrole"
            | b"name"
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

/// Variables of servers.
#[rustfmt::skip]
static SYSTEM_VARIABLES: WordList = WordList::new(&[
    "basedir", "big_tables", "connections", "cpu_busy", "cursor_rows", "datadir", "datefirst", "dbts", "error",
    "fetch_status", "hostname", "identity", "langid", "language", "lc_messages_dir", "license", "lock_timeout",
    "lower_case_table_names", "max_allowed_packet", "max_connections", "nestlevel", "packet_errors", "pid_file",
    "plugin_dir", "port", "procid", "protocol_version", "remserver", "rowcount", "servername", "servicename",
    "socket", "spid", "sql_mode", "system_time_zone", "textsize", "time_zone", "timeticks", "tmpdir", "total_errors",
    "total_read", "total_write", "trancount", "tx_isolation", "version",
]);

/// Functions that attacks call.
#[rustfmt::skip]
static ATTACK_FUNCTIONS: WordList = WordList::new(&[
    "benchmark", "compress", "convert_from", "cursor_to_xml", "database_to_xml", "databasepropertyex",
    "db_name", "dblink_connect", "dblink_exec", "dblink_send_query", "elt", "extractvalue",
    "fn_listextendedproperty", "fn_my_permissions", "from_base64", "fts3_tokenizer", "getpgusername",
    "gtid_subset", "gtid_subtract", "has_perms_by_name", "httpuritype", "inet6_aton", "is_rolemember",
    "is_srvrolemember", "likelihood", "likely", "lo_create", "lo_export", "lo_from_bytea", "lo_get",
    "lo_import", "lo_put", "lo_unlink", "load_extension", "load_file", "make_set", "master_pos_wait",
    "name_const", "nvl2", "object_definition", "object_id", "opendatasource", "openquery", "openrowset",
    "openxml", "pg_read_binary_file", "pg_read_file", "pg_reload_conf", "pg_sleep", "pg_sleep_for",
    "pg_sleep_until", "pg_stat_file", "pg_terminate_backend", "procedure_analyse", "query_to_xml", "randomblob",
    "row_count", "schema_to_xml", "sleep", "string_agg", "string_to_array", "suser_id", "suser_name",
    "suser_sid", "suser_sname", "sys_context", "sys_eval", "sys_exec", "sys_get", "sys_set", "table_to_xml",
    "to_base64", "unhex", "unlikely", "updatexml", "writefile", "xmltype", "zeroblob", "zipfile",
]);

/// Functions of common databases.
#[rustfmt::skip]
static FUNCTIONS: WordList = WordList::new(&[
    "abs", "acos", "acosh", "adddate", "addtime", "aes_decrypt", "aes_encrypt", "age", "any_value",
    "approx_count_distinct", "array_agg", "array_append", "array_cat", "array_dims", "array_length",
    "array_lower", "array_ndims", "array_position", "array_prepend", "array_remove", "array_replace",
    "array_to_json", "array_to_string", "array_upper", "ascii", "asciistr", "asin", "asinh", "atan", "atan2",
    "atanh", "atn2", "avg", "bin", "bin_to_num", "bin_to_uuid", "binary", "bit_and", "bit_count", "bit_get",
    "bit_length", "bit_or", "bit_xor", "bitand", "btrim", "cast", "cbrt", "ceil", "ceiling", "changes", "char",
    "char_length", "character_length", "charindex", "charset", "chartorowid", "checksum", "checksum_agg", "chr",
    "clock_timestamp", "coalesce", "coercibility", "col_length", "col_name", "collation", "concat", "concat_ws",
    "connection_id", "connectionproperty", "conv", "convert", "convert_to", "convert_tz", "corr", "cos", "cosh",
    "cot", "count", "covar_pop", "covar_samp", "crc32", "cuberoot", "cume_dist", "curdate", "current_catalog",
    "current_database", "current_date", "current_query", "current_role", "current_schema", "current_schemas",
    "current_setting", "current_time", "current_timestamp", "current_user", "currval", "cursor_status",
    "curtime", "database", "datalength", "date", "date_add", "date_format", "date_sub", "date_trunc", "dateadd",
    "datediff", "datediff_big", "datefromparts", "datename", "datepart", "datetimefromparts", "day", "day_name",
    "dayname", "dayofmonth", "dayofweek", "dayofyear", "db_id", "dblink", "dbtimezone", "decode", "decrypt",
    "default", "degrees", "dense_rank", "des_decrypt", "des_encrypt", "difference", "dump", "empty_blob",
    "empty_clob", "encode", "encrypt", "ends_with", "eomonth", "exists", "existsnode", "exp", "export_set",
    "extract", "factorial", "field", "file_id", "file_name", "filegroup_id", "filepropertyex", "find_in_set",
    "first_day", "first_value", "floor", "format", "format_bytes", "format_pico_time", "format_type",
    "formatmessage", "found_rows", "from_days", "from_tz", "from_unixtime", "fulltextcatalogproperty", "gcd",
    "gen_random_bytes", "gen_random_uuid", "generate_series", "geohash", "geomcollection", "geometrycollection",
    "geometryfromtext", "geomfromtext", "geomfromwkb", "get_bit", "get_byte", "get_current_ts_config",
    "get_format", "get_lock", "getansinull", "getdate", "gettimeofday", "getutcdate", "glob", "greatest",
    "group_concat", "grouping", "grouping_id", "has_column_privilege", "has_database_privilege", "has_dbaccess",
    "has_schema_privilege", "has_table_privilege", "hash_md5", "hashbytes", "hex", "hextonum", "hextoraw",
    "host_name", "hour", "icu_version", "ident_current", "ident_incr", "ident_seed", "if", "ifnull", "iif",
    "inet6_ntoa", "inet_aton", "inet_client_addr", "inet_client_port", "inet_ntoa", "inet_server_addr",
    "inet_server_port", "initcap", "insert", "instr", "instrb", "interval", "is_free_lock", "is_ipv4",
    "is_ipv4_compat", "is_ipv4_mapped", "is_ipv6", "is_member", "is_not_null", "is_null", "is_used_lock",
    "is_uuid", "isdate", "isfinite", "isjson", "isnull", "isnumeric", "jaro_winkler", "json", "json_agg",
    "json_array", "json_array_append", "json_array_elements", "json_array_elements_text", "json_array_insert",
    "json_array_length", "json_arrayagg", "json_build_object", "json_contains", "json_contains_path",
    "json_depth", "json_each", "json_each_text", "json_exists", "json_extract", "json_extract_path",
    "json_extract_path_text", "json_group_array", "json_group_object", "json_insert", "json_keys",
    "json_length", "json_merge", "json_merge_patch", "json_merge_preserve", "json_modify", "json_object",
    "json_object_agg", "json_object_keys", "json_objectagg", "json_overlaps", "json_patch", "json_path_exists",
    "json_populate_record", "json_populate_recordset", "json_pretty", "json_query", "json_quote", "json_remove",
    "json_replace", "json_schema_valid", "json_search", "json_set", "json_storage_free", "json_storage_size",
    "json_strip_nulls", "json_table", "json_to_record", "json_to_recordset", "json_transform", "json_tree",
    "json_type", "json_typeof", "json_unquote", "json_valid", "json_value", "jsonb", "jsonb_agg",
    "jsonb_array_elements", "jsonb_array_elements_text", "jsonb_array_length", "jsonb_build_array",
    "jsonb_build_object", "jsonb_each", "jsonb_each_text", "jsonb_extract_path", "jsonb_extract_path_text",
    "jsonb_insert", "jsonb_object", "jsonb_object_agg", "jsonb_object_keys", "jsonb_path_exists",
    "jsonb_path_match", "jsonb_path_query", "jsonb_path_query_array", "jsonb_path_query_first",
    "jsonb_populate_record", "jsonb_populate_recordset", "jsonb_pretty", "jsonb_set", "jsonb_set_lax",
    "jsonb_strip_nulls", "jsonb_to_record", "jsonb_to_recordset", "jsonb_typeof", "julianday", "justify_days",
    "justify_hours", "justify_interval", "kurtosis", "lag", "last_day", "last_inser_id", "last_insert_id",
    "last_insert_rowid", "last_value", "lastval", "lcase", "lcm", "lead", "least", "left", "len", "length",
    "lengthb", "levenshtein", "linefromtext", "linestring", "listagg", "ln", "lnnvl", "localtime",
    "localtimestamp", "locate", "log", "log10", "log2", "log_bin", "lower", "lower_inf", "lpad", "lseg",
    "ltrim", "make_date", "make_interval", "make_time", "make_timestamp", "make_timestamptz", "makedate",
    "maketime", "masklen", "match", "max", "md5", "metaphone", "microsecond", "mid", "min", "minute",
    "mlinefromtext", "mod", "month", "monthname", "months_between", "mpointfromtext", "multilinestring",
    "multipoint", "multipolygon", "multirange", "nanvl", "nchar", "nchr", "netmask", "new_time", "newid",
    "newsequentialid", "next_day", "nextval", "nls_charset_id", "nls_charset_name", "nls_initcap", "nls_lower",
    "nls_upper", "nlssort", "not_in", "notnull", "now", "nth_value", "ntile", "nullif", "num_nonnulls",
    "num_nulls", "numnode", "numtodsinterval", "numtoyminterval", "nvl", "obj_description", "object_name",
    "object_schema_name", "objectproperty", "oct", "octet_length", "oid", "old_password", "openjson",
    "ora_hash", "ord", "original_db_name", "original_login", "overlay", "parse_ident", "parsename", "password",
    "patindex", "percent_rank", "percentile_cont", "percentile_disc", "period_add", "period_diff",
    "pg_backend_pid", "pg_client_encoding", "pg_conf_load_time", "pg_current_xact_id", "pg_database_size",
    "pg_get_constraintdef", "pg_get_functiondef", "pg_get_userbyid", "pg_get_viewdef", "pg_has_role",
    "pg_is_in_recovery", "pg_my_temp_schema", "pg_postmaster_start_time", "pg_relation_size", "pg_size_pretty",
    "pg_table_size", "pg_tablespace_size", "pg_total_relation_size", "pg_typeof", "phraseto_tsquery", "pi",
    "plainto_tsquery", "point", "pointfromtext", "polyfromtext", "polygon", "polygonfromtext", "position",
    "pow", "power", "powermultiset", "printf", "ps_current_thread_id", "pwdcompare", "pwdencrypt", "quarter",
    "quote", "quote_ident", "quote_literal", "quote_nullable", "quotename", "radians", "rand", "random",
    "random_bytes", "random_normal", "rank", "ratio_to_report", "raw", "rawtohex", "rawtonhex", "regexp_count",
    "regexp_instr", "regexp_like", "regexp_matches", "regexp_replace", "regexp_split_to_array",
    "regexp_split_to_table", "regexp_substr", "regr_slope", "release_lock", "repeat", "replace", "replicate",
    "reverse", "right", "round", "row", "row_number", "row_security_active", "row_to_json", "rowidtochar",
    "rowidtonchar", "rpad", "rtrim", "schema", "schema_id", "schema_name", "scn_to_timestamp", "scope_identity",
    "sec_to_time", "second", "serverproperty", "session_context", "session_id", "session_user",
    "sessiontimezone", "set_bit", "set_byte", "set_config", "setseed", "sha", "sha1", "sha2", "sha224",
    "sha256", "sha384", "sha512", "shobj_description", "sign", "sin", "sinh", "skewness",
    "smalldatetimefromparts", "sortkey", "soundex", "space", "split_part", "sql_variant_property",
    "sqlite_compileoption_get", "sqlite_compileoption_used", "sqlite_offset", "sqlite_source_id",
    "sqlite_version", "sqrt", "squareroot", "st_area", "st_asbinary", "st_asgeojson", "st_astext", "st_buffer",
    "st_contains", "st_distance", "st_geometryfromtext", "st_geomfromtext", "st_intersects", "st_length",
    "st_pointfromgeohash", "st_within", "st_x", "st_y", "starts_with", "statement_digest",
    "statement_timestamp", "stats_mode", "std", "stddev", "stddev_pop", "stddev_samp", "stdev", "stdevp", "str",
    "str_to_date", "strcmp", "strftime", "string_escape", "string_split", "strpos", "stuff", "subdate",
    "substr", "substring", "substring_index", "subtime", "sum", "switchoffset", "sys_connect_by_path",
    "sys_extract_utc", "sys_guid", "sys_typeid", "sys_xmlgen", "sysdate", "sysdatetime", "sysdatetimeoffset",
    "system_user", "systimestamp", "sysutcdatetime", "tan", "tanh", "tertiary_weights", "textcat", "textptr",
    "textvalid", "time", "time_bucket", "time_format", "time_to_sec", "timediff", "timefromparts", "timeofday",
    "timestamp", "timestamp_diff", "timestamp_to_scn", "timestampadd", "timestampdiff", "to_ascii",
    "to_binary_double", "to_binary_float", "to_blob", "to_bytes", "to_char", "to_clob", "to_date", "to_days",
    "to_dsinterval", "to_hex", "to_json", "to_jsonb", "to_lob", "to_multi_byte", "to_nchar", "to_number",
    "to_regclass", "to_seconds", "to_single_byte", "to_timestamp", "to_timestamp_tz", "to_tsquery",
    "to_tsvector", "to_yminterval", "tochar", "todate", "todatetimeoffset", "total_changes", "tounixdate",
    "transaction_timestamp", "treat", "trigger_nestlevel", "trim", "trim_array", "trim_scale", "trunc",
    "truncate", "try_cast", "try_convert", "try_parse", "ts_headline", "ts_rank", "tsvector_to_array",
    "txid_current", "type_id", "type_name", "typeof", "typeproperty", "tz_offset", "ucase", "uncompress",
    "uncompressed_length", "unicode", "unistr", "unix_timestamp", "unnest", "upper", "use_json_null", "user",
    "user_id", "user_name", "userenv", "utc_date", "utc_time", "utc_timestamp", "uuid", "uuid_generate_v1",
    "uuid_generate_v4", "uuid_nil", "uuid_short", "uuid_to_bin", "validate_password_strength", "values",
    "var_pop", "var_samp", "varchar_format", "variance", "varp", "verify_sha", "version", "version_num",
    "vsize", "week", "weekday", "weekofyear", "weight_string", "width_bucket", "wm_concat", "xmin", "xml", "xmlagg",
    "xmlattributes", "xmlcast", "xmlcomment", "xmlconcat", "xmldata", "xmlelement", "xmlexists", "xmlforest",
    "xmlisvalid", "xmlparse", "xmlpatch", "xmlpi", "xmlquery", "xmlroot", "xmlsequence", "xmlserialize",
    "xmltable", "xmltransform", "xpath", "xpath_exists", "year", "years_between", "yearweek", "zeroifnull",
]);
