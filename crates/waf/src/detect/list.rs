//! Lists of words, asked for every word of a value: most words are in none, which their first letter and length tell
//! without a comparison; the rest are found by a hash that is built with the program.

/// Slots of the hash; the longest list fills less than half.
const SLOTS: usize = 2048;
const EMPTY: u16 = u16::MAX;

/// A list, and for each first letter the lengths of its words as bits.
pub(crate) struct WordList {
    words: &'static [&'static str],
    lengths: [u32; 128],
    slots: [u16; SLOTS],
}

impl WordList {
    /// Words are two to 31 ASCII characters long.
    pub(crate) const fn new(words: &'static [&'static str]) -> Self {
        let mut list = Self { words, lengths: [0; 128], slots: [EMPTY; SLOTS] };
        let mut at = 0;
        while at < words.len() {
            let word = words[at].as_bytes();
            list.lengths[word[0] as usize] |= 1 << word.len();
            let mut slot = hash(word);
            while list.slots[slot] != EMPTY {
                slot = (slot + 1) % SLOTS;
            }
            list.slots[slot] = at as u16;
            at += 1;
        }
        list
    }

    pub(crate) fn has(&self, word: &[u8]) -> bool {
        let Some(lengths) = word.first().and_then(|first| self.lengths.get(*first as usize)) else {
            return false;
        };
        if !(2..32).contains(&word.len()) || lengths & (1 << word.len()) == 0 {
            return false;
        }
        let mut slot = hash(word);
        while self.slots[slot] != EMPTY {
            if self.words[self.slots[slot] as usize].as_bytes() == word {
                return true;
            }
            slot = (slot + 1) % SLOTS;
        }
        false
    }
}

/// Of two letters at both ends and the length.
const fn hash(word: &[u8]) -> usize {
    let length = word.len();
    let ends = [word[0], word[1], word[length - 1], word[length / 2]];
    let mixed = (u32::from_le_bytes(ends) ^ (length as u32) << 13).wrapping_mul(0x9e37_79b1);
    (mixed >> 21) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_list_are_found_and_no_others() {
        static LIST: WordList = WordList::new(&["ab", "ba", "abc", "select", "sleep"]);
        for word in LIST.words {
            assert!(LIST.has(word.as_bytes()));
        }
        for word in ["", "a", "aa", "selecd", "\u{e9}\u{e9}", "abcdefghijklmnopqrstuvwxyzabcdefghijkl"] {
            assert!(!LIST.has(word.as_bytes()));
        }
    }
}
