//! Paths with wildcards, fork bombs, and quotes within words.

/// An absolute path whose folders have wildcards in their names: `/e?c/p*wd`.
pub(super) fn has_glob_path(text: &[u8]) -> bool {
    let is_glob = |byte: &u8| matches!(byte, b'?' | b'*' | b'[');
    let is_part = |byte: &u8| {
        byte.is_ascii_alphanumeric()
            || matches!(
                byte,
                b'?' | b'*'
                    | b'['
                    | b']'
                    | b'!'
                    | b'/'
                    | b'.'
                    | b'-'
                    | b'_'
                    | b'\''
                    | b'\\'
                    | b'$'
                    | b'('
                    | b')'
            )
    };
    text.iter().enumerate().take(2048).filter(|(_, byte)| **byte == b'/').any(|(at, _)| {
        let leads = at == 0
            || matches!(
                text[at - 1],
                b' ' | b'+' | b'=' | b';' | b'|' | b'&' | b'<' | b'>' | b'\'' | b'"' | b'(' | b'{'
            );
        if !leads {
            return false;
        }
        let path =
            &text[at + 1..at + 1 + text[at + 1..].iter().take(48).take_while(|byte| is_part(byte)).count()];
        let mut folders = path.split(|byte| *byte == b'/');
        let (Some(top), Some(file)) = (folders.next(), folders.next()) else { return false };
        let is_known = matches!(
            top,
            b"etc" | b"bin" | b"usr" | b"var" | b"proc" | b"home" | b"root" | b"dev" | b"tmp" | b"sbin"
        );
        let is_hidden =
            |part: &[u8]| part.iter().any(is_glob) && part != b"*" && part != b"**" && part.len() <= 16;
        let is_word = |part: &[u8]| part.iter().any(u8::is_ascii_alphabetic) || part.starts_with(b"??");
        is_known && is_hidden(file)
            || is_hidden(top) && is_word(top) && (is_hidden(file) || path.len() <= 12) && !file.is_empty()
            || is_known && path.split(|byte| *byte == b'/').any(is_hidden)
            || is_hidden(top) && path.contains(&b']')
    })
}

/// `:(){ :|:& };:` and `f() { f & f; }; f`.
pub(super) fn is_bomb(text: &[u8]) -> bool {
    let Some(at) = text.windows(2).position(|two| two == b"()") else { return false };
    let before = text[..at].trim_ascii_end();
    let name_length = before
        .iter()
        .rev()
        .take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b':' | b'_'))
        .count();
    let name = &before[before.len() - name_length..];
    let body = text[at + 2..].trim_ascii_start();
    let Some(body) = body.strip_prefix(b"{") else { return false };
    let body = body.trim_ascii_start();
    let end = body.iter().position(|byte| *byte == b'}').unwrap_or(body.len());
    !name.is_empty() && body.starts_with(name) && body[..end].iter().any(|byte| matches!(byte, b'&' | b'|'))
}

/// Quotes with letters on both sides.
pub(super) fn has_inner_quote(text: &[u8]) -> bool {
    text.windows(3).any(|three| {
        three[0].is_ascii_alphanumeric()
            && matches!(three[1], b'\'' | b'"' | b'\\')
            && three[2].is_ascii_alphanumeric()
    })
}
