//! What was found out lately, each until its time: the latest thousand or two of them are known.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::Hash;

/// Things of one kind, known by a key. It is of one worker.
#[derive(Debug)]
pub struct Recent<K, T>(RefCell<Generations<K, T>>);

/// When the young are too many they become the old, and the old are forgotten: one that is used stays.
#[derive(Debug)]
struct Generations<K, T> {
    young: HashMap<K, Kept<T>>,
    old: HashMap<K, Kept<T>>,
}

#[derive(Debug)]
struct Kept<T> {
    /// Seconds since the Unix epoch.
    until: f64,
    value: T,
}

/// Things of one generation.
const MOST: usize = 1000;

impl<K, T> Default for Recent<K, T> {
    fn default() -> Self {
        Self(RefCell::new(Generations { young: HashMap::new(), old: HashMap::new() }))
    }
}

impl<K: Eq + Hash + Clone, T: Clone> Recent<K, T> {
    /// What is known under this key and still holds.
    pub fn get(&self, key: &K, now: f64) -> Option<T> {
        let mut generations = self.0.borrow_mut();
        if let Some(known) = generations.young.get(key) {
            return (now < known.until).then(|| known.value.clone());
        }
        let known = generations.old.remove(key).filter(|known| now < known.until)?;
        let value = known.value.clone();
        generations.add(key.clone(), known);
        Some(value)
    }

    /// Keeps it until then.
    pub fn keep(&self, key: K, until: f64, value: T) {
        self.0.borrow_mut().add(key, Kept { until, value });
    }
}

impl<K: Eq + Hash, T> Generations<K, T> {
    fn add(&mut self, key: K, kept: Kept<T>) {
        if self.young.len() >= MOST {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, kept);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thing_is_known_until_it_ends_or_too_many_others_came() {
        let recent = Recent::default();
        recent.keep(0, 10.0, ());
        assert!(recent.get(&0, 9.9).is_some());
        assert!(recent.get(&0, 10.0).is_none());
        assert!(recent.get(&1, 9.0).is_none());
        for number in 1..10 * MOST {
            recent.keep(number, 10.0, ());
            // One that is used stays.
            assert!(recent.get(&0, 9.0).is_some(), "{number}");
        }
        assert!(recent.get(&1, 9.0).is_none());
        let generations = recent.0.borrow();
        assert!(generations.young.len() + generations.old.len() <= 2 * MOST);
    }
}
