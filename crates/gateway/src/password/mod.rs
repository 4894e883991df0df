//! Passwords of users: files that `htpasswd` writes, and whether a password is the right one, which is meant to take long and
//! therefore never happens on a worker's own thread.

mod hash;
mod turns;

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use aws_lc_rs::digest::{SHA256, digest};

pub use hash::{PasswordHash, Unusable};
pub use turns::Turns;

/// Users of one file, each with the hash of a password.
#[derive(Debug)]
pub struct Users {
    hashes: Vec<PasswordHash>,
    /// Places among the hashes.
    by_name: HashMap<Box<str>, usize>,
}

/// Bytes of a user's name.
const LONGEST_NAME: usize = 255;

impl Users {
    /// Reads the lines of a file: `name:hash`, comments behind `#`, and empty ones. Complaints, none of which shows a hash, come with
    /// the numbers of their lines.
    pub fn parse(text: &str) -> Result<Self, Vec<(usize, Unusable)>> {
        let mut users = Self { hashes: Vec::new(), by_name: HashMap::new() };
        let mut unusable = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if let Err(why) = users.add(line) {
                unusable.push((number, why));
            }
        }
        if unusable.is_empty() && users.hashes.is_empty() {
            unusable.push((1, Unusable::new("it has no user")));
        }
        if unusable.is_empty() { Ok(users) } else { Err(unusable) }
    }

    fn add(&mut self, line: &str) -> Result<(), Unusable> {
        let (name, hash) = line.split_once(':').ok_or(Unusable::new("expected `name:hash`"))?;
        if name.is_empty() || name.len() > LONGEST_NAME || name.contains(char::is_control) {
            return Err(Unusable::new("a name has up to 255 bytes and no control characters"));
        }
        let hash = PasswordHash::parse(hash)?;
        let Entry::Vacant(place) = self.by_name.entry(name.into()) else {
            return Err(Unusable::new("this user stands here twice"));
        };
        place.insert(self.hashes.len());
        self.hashes.push(hash);
        Ok(())
    }

    /// Whether this is the password of that user, if it can be told: there may be no memory for it. For somebody who is no user it takes
    /// as long as for one of them, the same one each time, so that no clock tells names.
    pub fn verify(&self, name: &str, password: &[u8]) -> Option<bool> {
        let known = self.by_name.get(name).copied();
        let hash = self.hashes.get(known.unwrap_or_else(|| self.stand_in(name)))?;
        let is_right = hash.verify(password)?;
        Some(is_right && known.is_some())
    }

    /// How many there are whose hashes give in to whoever has the file and some patience.
    pub fn weak(&self) -> usize {
        self.hashes.iter().filter(|hash| hash.is_weak()).count()
    }

    fn stand_in(&self, name: &str) -> usize {
        let mut number = [0; 8];
        number.copy_from_slice(&digest(&SHA256, name.as_bytes()).as_ref()[..8]);
        (u64::from_le_bytes(number) % self.hashes.len().max(1) as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// The password is `apple`, by `htpasswd -B -C 4`.
    const FILE: &str = "# users\n\nann:$2y$04$wwAJyj/SSOV5WVHdkKZ2uuzVm4mPtMde3HFdnDd7UDMHuPWnwzrMq\n";

    #[test]
    fn a_user_is_a_name_and_a_password_and_nobody_else_is_one() {
        let users = Users::parse(&FILE.replace("\n\n", "\r\n")).unwrap();
        for (name, password, expected) in [
            ("ann", "apple", true),
            ("ann", "Apple", false),
            ("ann", "", false),
            ("Ann", "apple", false),
            ("", "apple", false),
            ("bob", "apple", false),
        ] {
            assert_eq!(users.verify(name, password.as_bytes()), Some(expected), "{name} {password}");
        }
        assert_eq!(users.weak(), 1);
    }

    #[test]
    fn lines_that_name_nobody_are_told_by_their_numbers() {
        let hash = FILE.trim_end().rsplit_once(':').unwrap().1;
        let text = format!("ann:{hash}\nbob\n:{hash}\n# {hash}\nann:{hash}\na\u{1}:{hash}\ncat:plain");
        let unusable = Users::parse(&text).unwrap_err();
        let lines: Vec<usize> = unusable.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [2, 3, 5, 6, 7]);
        assert_eq!(Users::parse("\n# nobody\n").unwrap_err()[0].1.message, "it has no user");
    }

    #[test]
    fn somebody_who_is_no_user_stands_for_the_same_one_each_time() {
        let hash = FILE.trim_end().rsplit_once(':').unwrap().1;
        let lines: Vec<String> = (0..9).map(|number| format!("u{number}:{hash}")).collect();
        let text = lines.join("\n");
        let (one, other) = (Users::parse(&text).unwrap(), Users::parse(&text).unwrap());
        let places: Vec<usize> = ["x", "y", "z", "", "u10"].map(|name| one.stand_in(name)).to_vec();
        assert!(places.iter().all(|place| *place < 9) && places.windows(2).any(|pair| pair[0] != pair[1]));
        assert_eq!(places, ["x", "y", "z", "", "u10"].map(|name| other.stand_in(name)));
    }
}
