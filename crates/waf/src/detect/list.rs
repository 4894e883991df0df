//! Sorted lists of words, asked for every word of a value: most words are in none, which their first letter and length
//! tell without a comparison.

/// A sorted list, and for each first letter the lengths of its words as bits.
pub(crate) struct WordList {
    words: &'static [&'static str],
    lengths: [u32; 128],
}

impl WordList {
    pub(crate) const fn new(words: &'static [&'static str]) -> Self {
        let mut lengths = [0; 128];
        let mut at = 0;
        while at < words.len() {
            let word = words[at].as_bytes();
            lengths[word[0] as usize] |= 1 << word.len();
            at += 1;
        }
        Self { words, lengths }
    }

    pub(crate) fn has(&self, word: &[u8]) -> bool {
        let Some(lengths) = word.first().and_then(|first| self.lengths.get(*first as usize)) else {
            return false;
        };
        word.len() < 32
            && lengths & (1 << word.len()) != 0
            && self.words.binary_search_by(|own| own.as_bytes().cmp(word)).is_ok()
    }

    #[cfg(test)]
    pub(crate) fn is_sorted(&self) -> bool {
        self.words.is_sorted()
    }
}
