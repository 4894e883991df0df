//! A hash table that is built once and only read: slots of eight bytes, the keys stay where they are.
//!
//! The keys come from the configuration, so no client can make it slow; a lookup ends at the first empty slot,
//! and at least half of them are.

/// Finds numbers by the hash of a key that the caller compares.
#[derive(Debug, Clone)]
pub(super) struct Table {
    slots: Box<[Slot]>,
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    tag: u32,
    value: u32,
}

const EMPTY: Slot = Slot { tag: 0, value: u32::MAX };

impl Table {
    /// A table of distinct keys, given by their hashes. No value is `u32::MAX`.
    pub(super) fn build(entries: impl ExactSizeIterator<Item = (u64, u32)>) -> Self {
        let mut slots = vec![EMPTY; (entries.len() * 2).next_power_of_two()].into_boxed_slice();
        let mask = slots.len() - 1;
        for (hash, value) in entries {
            let mut at = hash as usize & mask;
            while slots[at].value != EMPTY.value {
                at = (at + 1) & mask;
            }
            slots[at] = Slot { tag: tag(hash), value };
        }
        Self { slots }
    }

    /// The number stored for the key with this hash for which `is_key` holds.
    #[inline]
    pub(super) fn find(&self, hash: u64, is_key: impl Fn(u32) -> bool) -> Option<u32> {
        let mask = self.slots.len() - 1;
        let mut at = hash as usize & mask;
        loop {
            let slot = self.slots[at];
            if slot.value == EMPTY.value {
                return None;
            }
            if slot.tag == tag(hash) && is_key(slot.value) {
                return Some(slot.value);
            }
            at = (at + 1) & mask;
        }
    }
}

fn tag(hash: u64) -> u32 {
    (hash >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_found_and_no_other() {
        for count in [0_u64, 1, 2, 3, 100] {
            // Hashes that collide in their low and in their high bits.
            let hash = |key: u64| (key / 3) << 32 | (key % 5);
            let table = Table::build((0..count as u32).map(|key| (hash(key.into()), key)));
            for key in 0..count {
                assert_eq!(table.find(hash(key), |found| u64::from(found) == key), Some(key as u32));
            }
            assert_eq!(table.find(hash(count + 7), |found| u64::from(found) == count + 7), None);
        }
    }
}
