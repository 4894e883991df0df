//! Hashes of passwords that are worth the name: bcrypt, and Argon2 (RFC 9106) in the notation of PHC strings.

use std::fmt;
use std::str::FromStr;

use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use zeroize::Zeroizing;

/// The hash of a password.
pub enum PasswordHash {
    /// bcrypt in its usual notation, and its cost.
    Bcrypt(Box<str>, u32),
    /// Argon2.
    Argon2(Box<Memory>),
}

/// Argon2 with all that it takes.
pub struct Memory {
    argon2: Argon2<'static>,
    salt: Box<[u8]>,
    expected: Box<[u8]>,
}

/// Why a hash is not taken, and what to do about it. It shows nothing of the hash.
#[derive(Debug, PartialEq, Eq)]
pub struct Unusable {
    /// What is wrong.
    pub message: &'static str,
    /// What to do.
    pub help: &'static str,
}

/// The most that bcrypt may cost: some three seconds for each guess, and for each caller.
const MOST_COST: u32 = 15;
/// Below it, guessing is cheap (OWASP).
const GOOD_COST: u32 = 10;
/// KiB of memory for one password.
const MOST_MEMORY: u32 = 256 * 1024;
/// KiB that are filled for one password, all passes together: about a second.
const MOST_FILLED: u64 = 1024 * 1024;
const MOST_LANES: u32 = 16;
/// Bytes of a hash.
const MOST_OUTPUT: usize = 64;

const MAKE_BCRYPT: &str = "`htpasswd -B -C 12 FILE NAME` makes one that is taken";

impl Unusable {
    /// A complaint with the usual advice.
    pub fn new(message: &'static str) -> Self {
        Self { message, help: MAKE_BCRYPT }
    }
}

impl PasswordHash {
    /// Reads a hash, if it is one that protects its password and that does not cost too much to compare.
    pub fn parse(text: &str) -> Result<Self, Unusable> {
        match text.split_once('$').map(|(front, rest)| (front, rest.split('$').next().unwrap_or_default())) {
            Some(("", "2a" | "2b" | "2y")) => bcrypt(text),
            Some(("", "argon2id")) => argon2(text, Algorithm::Argon2id),
            Some(("", "argon2i")) => argon2(text, Algorithm::Argon2i),
            Some(("", "argon2d")) => Err(Unusable {
                message: "argon2d gives its password away to who can watch the processor",
                help: "use argon2id",
            }),
            Some(("", "apr1" | "1")) => {
                Err(Unusable::new("MD5 protects no password: whoever has the file guesses millions a second"))
            }
            Some(("", "5" | "6")) => {
                Err(Unusable::new("SHA-crypt is not taken: it is cheap to guess on many cores"))
            }
            _ if text.starts_with("{SHA}") => Err(Unusable::new("SHA-1 without a salt protects no password")),
            _ => Err(Unusable::new("this is no hash that protects a password: neither bcrypt nor Argon2")),
        }
    }

    /// Whether this is the password, if there is memory to find out.
    pub fn verify(&self, password: &[u8]) -> Option<bool> {
        match self {
            Self::Bcrypt(hash, _) => bcrypt::verify(password, hash).ok(),
            Self::Argon2(memory) => {
                let mut found = Zeroizing::new(vec![0; memory.expected.len()]);
                memory.argon2.hash_password_into(password, &memory.salt, &mut found).ok()?;
                Some(verify_slices_are_equal(&found, &memory.expected).is_ok())
            }
        }
    }

    /// Whether whoever has it may guess at leisure.
    pub fn is_weak(&self) -> bool {
        matches!(self, Self::Bcrypt(_, cost) if *cost < GOOD_COST)
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

fn bcrypt(text: &str) -> Result<PasswordHash, Unusable> {
    let parts =
        bcrypt::HashParts::from_str(text).map_err(|_| Unusable::new("this is not written as bcrypt is"))?;
    if parts.get_cost() > MOST_COST {
        return Err(Unusable {
            message: "bcrypt with a cost above 15 takes longer than a request may wait",
            help: "`htpasswd -B -C 12 FILE NAME` makes one that costs a fifth of a second",
        });
    }
    Ok(PasswordHash::Bcrypt(text.into(), parts.get_cost()))
}

/// `$argon2id$v=19$m=65536,t=3,p=4$SALT$HASH`, base64 without padding.
fn argon2(text: &str, algorithm: Algorithm) -> Result<PasswordHash, Unusable> {
    const MALFORMED: Unusable = Unusable {
        message: "this is not written as Argon2 is: $argon2id$v=19$m=65536,t=3,p=4$SALT$HASH",
        help: "`argon2 SALT -id -e` and the libraries of most languages write it so",
    };
    let parts: Vec<&str> = text.split('$').collect();
    let [_, _, version, costs, salt, hash] = parts.as_slice() else { return Err(MALFORMED) };
    if *version != "v=19" {
        return Err(Unusable { message: "of Argon2, version 19 is taken", help: MALFORMED.help });
    }
    let mut costs = ["m=", "t=", "p="].into_iter().zip(costs.split(',')).map(|(name, cost)| {
        let digits = cost.strip_prefix(name)?;
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse::<u32>().ok())?
    });
    let (Some(Some(memory)), Some(Some(passes)), Some(Some(lanes))) =
        (costs.next(), costs.next(), costs.next())
    else {
        return Err(MALFORMED);
    };
    let decode = |text: &str| STANDARD_NO_PAD.decode(text).map_err(|_| MALFORMED);
    let (salt, expected) = (decode(salt)?, decode(hash)?);
    if parts[3].split(',').count() != 3 || expected.len() > MOST_OUTPUT || salt.len() > MOST_OUTPUT {
        return Err(MALFORMED);
    }
    if memory > MOST_MEMORY || u64::from(memory) * u64::from(passes) > MOST_FILLED || lanes > MOST_LANES {
        return Err(Unusable {
            message: "Argon2 with more than 256 MiB, 16 lanes, or 1 GiB filled in all its passes costs too much for a request",
            help: "m=65536,t=3,p=4 is a good measure (RFC 9106)",
        });
    }
    let params = Params::new(memory, passes, lanes, Some(expected.len())).map_err(|_| MALFORMED)?;
    if salt.len() < 8 || expected.len() < 16 {
        return Err(Unusable {
            message: "a salt has at least 8 bytes, and a hash 16",
            help: "make it anew with the usual lengths: 16 and 32 bytes",
        });
    }
    let argon2 = Argon2::new(algorithm, Version::V0x13, params);
    Ok(PasswordHash::Argon2(Box::new(Memory { argon2, salt: salt.into(), expected: expected.into() })))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// Of `apple`, by OpenSSL.
    const ARGON2: &str =
        "$argon2id$v=19$m=64,t=1,p=2$c29tZXNhbHRzb21lc2FsdA$TxsY09oKaRXxp9Czo6M1R8aJcTfqqush1mHctZwxEPs";
    /// The same, by `htpasswd`.
    const BCRYPT: &str = "$2y$04$wwAJyj/SSOV5WVHdkKZ2uuzVm4mPtMde3HFdnDd7UDMHuPWnwzrMq";

    #[test]
    fn good_hashes_know_their_password_and_show_in_no_debug_output() {
        for text in [ARGON2, BCRYPT, &BCRYPT.replacen("2y", "2b", 1), &BCRYPT.replacen("2y", "2a", 1)] {
            let hash = PasswordHash::parse(text).unwrap();
            for (password, expected) in [("apple", true), ("Apple", false), ("apple ", false), ("", false)] {
                assert_eq!(hash.verify(password.as_bytes()), Some(expected), "{text} {password}");
            }
            assert_eq!(format!("{hash:?}"), "PasswordHash(…)");
        }
        assert!(PasswordHash::parse(BCRYPT).unwrap().is_weak());
        assert!(!PasswordHash::parse(&BCRYPT.replacen("04", "10", 1)).unwrap().is_weak());
    }

    #[test]
    fn weak_hashes_costly_ones_and_what_is_none_are_refused() {
        for (text, why) in [
            ("", "no hash"),
            ("apple", "no hash"),
            ("rqXexS6ZhobKA", "no hash"),
            ("{SHA}0L6Db5Hn2L0g5P6Rpe1Wj6rRvQE=", "SHA-1"),
            ("$apr1$Lp1oCUY8$aj7i0Vhj8hr6adbq3jViS.", "MD5"),
            ("$1$Lp1oCUY8$aj7i0Vhj8hr6adbq3jViS.", "MD5"),
            ("$6$salt$hash", "SHA-crypt"),
            ("$2x$04$wwAJyj/SSOV5WVHdkKZ2uuzVm4mPtMde3HFdnDd7UDMHuPWnwzrMq", "no hash"),
            (&BCRYPT[..59], "bcrypt"),
            (&BCRYPT.replacen("04", "16", 1), "above 15"),
            (&BCRYPT.replacen("04", "x", 1), "bcrypt"),
            ("$argon2id$", "as Argon2"),
            (&ARGON2.replacen("argon2id", "argon2d", 1), "argon2d"),
            (&ARGON2.replacen("v=19", "v=16", 1), "version 19"),
            (&ARGON2.replacen("m=64", "m=262145", 1), "256 MiB"),
            (&ARGON2.replacen("m=64,t=1", "m=65536,t=17", 1), "256 MiB"),
            (&ARGON2.replacen("p=2", "p=17", 1), "16 lanes"),
            (&ARGON2.replacen("p=2", "p=0", 1), "as Argon2"),
            (&ARGON2.replacen("t=1,", "", 1), "as Argon2"),
            (&ARGON2.replacen("p=2", "p=2,q=1", 1), "as Argon2"),
            (&ARGON2.replacen("m=64", "m=+64", 1), "as Argon2"),
            (&ARGON2.replacen("c29tZXNhbHRzb21lc2FsdA", "c29t", 1), "8 bytes"),
            (&format!("{ARGON2}$"), "as Argon2"),
            (&format!("{ARGON2}="), "as Argon2"),
        ] {
            let unusable = PasswordHash::parse(text).unwrap_err();
            assert!(unusable.message.contains(why), "{text}: {unusable:?}");
            assert!(!unusable.help.is_empty());
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\$?(2y|argon2id|argon2i)?\\$?(v=19)?\\$?(m=[0-9]{0,11},t=[0-9]{0,11},p=[0-9]{0,11})?\\$?[ -~]{0,60}") {
            let _ = PasswordHash::parse(&text);
        }
    }
}
