//! The form of the API keys that Portico makes.
//!
//! `ptk_` + 32 random characters + 7 characters of checksum. The alphabet is Crockford's base 32 in lower case: no
//! letters that look like others, five bits a character, so 160 random bits. The prefix and the checksum (CRC-32 of
//! what stands before it) let scanners tell a leaked key from a look-alike without asking anyone.
//!
//! The first two random characters choose the shard in which gateways look the key up. Keys from elsewhere, which may
//! look like anything, have one of their own.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use arcstr::ArcStr;
use sha2::{Digest as _, Sha256};

/// What every key begins with.
pub const PREFIX: &str = "ptk_";

/// Matches every key and nothing else of note; for secret scanners.
pub const PATTERN: &str = "ptk_[0-9a-hjkmnp-tv-z]{39}";

/// The shard of keys from elsewhere.
pub const FOREIGN: &str = "foreign";

/// How long a key from elsewhere is.
const FOREIGN_LENGTH: std::ops::RangeInclusive<usize> = 16..=256;

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const RANDOM: usize = 32;
const CHECKSUM: usize = 7;
const SHARD: usize = 2;

/// A key. It prints as `[redacted]`; only [`ApiKey::expose`] tells it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ApiKey(ArcStr);

/// Not a key that Portico made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotAKey {
    /// The prefix, the length or the alphabet is off.
    Form,
    /// The form is right, the checksum is not: a typing error, or a made-up key.
    Checksum,
}

/// Why a text cannot be a key from elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotImportable {
    /// It is too short to be a secret, or longer than headers should be.
    Length,
    /// It cannot stand in a header as it is.
    Characters,
    /// It begins like those that Portico makes.
    Prefix,
}

impl fmt::Display for NotImportable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NotImportable::Length => "a key has 16 to 256 characters",
            NotImportable::Characters => "a key has printable ASCII characters only, and no spaces",
            NotImportable::Prefix => "it begins with `ptk_`, as only keys do that Portico makes",
        })
    }
}

impl ApiKey {
    /// A key from elsewhere.
    ///
    /// # Errors
    ///
    /// See [`NotImportable`].
    pub fn import(text: &str) -> Result<Self, NotImportable> {
        if text.starts_with(PREFIX) {
            return Err(NotImportable::Prefix);
        }
        if !FOREIGN_LENGTH.contains(&text.len()) {
            return Err(NotImportable::Length);
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(NotImportable::Characters);
        }
        Ok(ApiKey(text.into()))
    }

    /// A key that was written down: one that Portico made, or one from elsewhere.
    pub fn stored(text: &str) -> Option<Self> {
        text.parse().ok().or_else(|| ApiKey::import(text).ok())
    }

    /// Whether Portico did not make it.
    pub fn is_foreign(&self) -> bool {
        self.shard() == FOREIGN
    }

    /// The key that 20 random bytes make.
    pub fn from_random(bytes: [u8; 20]) -> Self {
        ApiKey(spell(PREFIX, &bytes).into())
    }

    /// The key itself. Every caller is a place where a key leaves Portico.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Tells keys apart without giving them away: the first 16 hexadecimal digits of the SHA-256 of the key.
    pub fn fingerprint(&self) -> Arc<str> {
        let digest = Sha256::digest(self.0.as_bytes());
        let first = digest.first_chunk().copied().unwrap_or_default();
        format!("{:016x}", u64::from_be_bytes(first)).into()
    }

    /// The characters that choose the shard: what [`shards`] lists; or [`FOREIGN`].
    pub fn shard(&self) -> &str {
        self.0.strip_prefix(PREFIX).and_then(|random| random.get(..SHARD)).unwrap_or(FOREIGN)
    }
}

impl FromStr for ApiKey {
    type Err = NotAKey;

    fn from_str(text: &str) -> Result<Self, NotAKey> {
        read(PREFIX, RANDOM, text)?;
        Ok(ApiKey(text.into()))
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// Random bytes, a multiple of five, in the form that keys have: a prefix, the bytes, and the checksum of both.
pub fn spell(prefix: &str, random: &[u8]) -> String {
    let mut text = prefix.to_owned();
    for chunk in random.chunks_exact(5) {
        let bits = chunk.iter().fold(0u64, |bits, byte| bits << 8 | u64::from(*byte));
        push_symbols(&mut text, bits, 8);
    }
    let checksum = crc32(text.as_bytes());
    push_symbols(&mut text, u64::from(checksum), CHECKSUM);
    text
}

/// Whether a text has the form that [`spell`] gives it, with so many characters between the prefix and the checksum.
///
/// # Errors
///
/// See [`NotAKey`].
pub fn read(prefix: &str, random: usize, text: &str) -> Result<(), NotAKey> {
    let body = text.strip_prefix(prefix).ok_or(NotAKey::Form)?;
    if body.len() != random + CHECKSUM || !body.bytes().all(|byte| ALPHABET.contains(&byte)) {
        return Err(NotAKey::Form);
    }
    let (checked, checksum) = text.split_at(prefix.len() + random);
    let mut expected = String::with_capacity(CHECKSUM);
    push_symbols(&mut expected, u64::from(crc32(checked.as_bytes())), CHECKSUM);
    if checksum == expected { Ok(()) } else { Err(NotAKey::Checksum) }
}

/// Every value that [`ApiKey::shard`] can have for keys that Portico makes, in order.
pub fn shards() -> impl Iterator<Item = String> {
    ALPHABET
        .iter()
        .flat_map(|first| ALPHABET.iter().map(|second| [char::from(*first), char::from(*second)].iter().collect()))
}

fn push_symbols(text: &mut String, bits: u64, count: usize) {
    for place in (0..count).rev() {
        let symbol = bits >> (5 * place) & 31;
        text.push(char::from(ALPHABET[usize::try_from(symbol).unwrap_or_default()]));
    }
}

/// CRC-32 as in IEEE 802.3, the one of zip and PNG.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crc_is_the_standard_one() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn a_key_reads_back_and_a_changed_one_does_not() {
        let key = ApiKey::from_random(*b"twenty bytes of test");
        assert_eq!(key.expose().len(), 43);
        assert_eq!(key.expose().parse(), Ok(key.clone()));
        assert_eq!(format!("{key:?}"), "[redacted]");
        for place in PREFIX.len()..key.expose().len() {
            let mut bytes = key.expose().as_bytes().to_vec();
            bytes[place] = if bytes[place] == b'0' { b'1' } else { b'0' };
            let changed = String::from_utf8(bytes).expect("ASCII");
            assert_eq!(changed.parse::<ApiKey>(), Err(NotAKey::Checksum), "{place}");
        }
        assert_eq!("ptk_short".parse::<ApiKey>(), Err(NotAKey::Form));
    }

    #[test]
    fn a_key_from_elsewhere_is_no_guess_and_fits_a_header() {
        let key = ApiKey::import("old-gateway/2019#kd82h").expect("it fits");
        assert_eq!((key.shard(), key.expose(), key.is_foreign()), (FOREIGN, "old-gateway/2019#kd82h", true));
        let own = ApiKey::from_random([7; 20]);
        assert!(!own.is_foreign());
        assert_eq!((ApiKey::stored(own.expose()), ApiKey::stored(key.expose())), (Some(own.clone()), Some(key)));
        assert_eq!(ApiKey::stored(&own.expose()[..42]), None);
        for (text, why) in [
            ("fifteen-letters", NotImportable::Length),
            (&*"x".repeat(257), NotImportable::Length),
            ("a space is in here", NotImportable::Characters),
            ("sixteen-l\u{e4}tters", NotImportable::Characters),
            (own.expose(), NotImportable::Prefix),
        ] {
            assert_eq!(ApiKey::import(text), Err(why), "{text}");
        }
    }

    #[test]
    fn shards_are_all_there() {
        let all: Vec<_> = shards().collect();
        assert_eq!(all.len(), 1024);
        assert!(all.is_sorted());
        assert!(all.iter().any(|shard| shard == ApiKey::from_random([7; 20]).shard()));
    }
}
