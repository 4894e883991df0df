//! What others wrote, as the operator may read it.

/// Characters of it.
const MOST: usize = 200;

/// Its beginning, without control characters: it could forge a line or move the cursor.
pub(crate) fn plain(text: &str) -> String {
    text.trim().chars().filter(|c| !c.is_control()).take(MOST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_cannot_forge_a_line() {
        assert_eq!(plain(" a\u{1b}[2J\r\ntollgate: b\u{85}\n"), "a[2Jtollgate: b");
        assert_eq!(plain(&"ä".repeat(1000)).chars().count(), MOST);
    }
}
