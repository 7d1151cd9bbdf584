//! Sealing what a browser keeps for us: it can neither read nor change it.

use std::fmt;

use cookie::{Cookie, CookieJar, Key};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The key that cookies are sealed with. Whoever has it can sign in as anybody.
#[derive(Clone)]
pub struct SealingKey(Key);

impl SealingKey {
    /// How many random bytes it takes.
    pub const LENGTH: usize = 64;

    /// A key of random bytes.
    pub fn new(bytes: &[u8; Self::LENGTH]) -> Self {
        SealingKey(Key::from(bytes))
    }

    /// A value as a cookie keeps it. It opens under this name only.
    pub(crate) fn seal<T: Serialize>(&self, name: &str, value: &T) -> Option<String> {
        let text = serde_json::to_string(value).ok()?;
        let mut jar = CookieJar::new();
        jar.private_mut(&self.0).add(Cookie::new(name.to_owned(), text));
        jar.get(name).map(|cookie| cookie.value().to_owned())
    }

    /// What was sealed under this name; `None` for whatever was not.
    pub(crate) fn open<T: DeserializeOwned>(&self, name: &str, sealed: &str) -> Option<T> {
        let cookie = Cookie::new(name.to_owned(), sealed.to_owned());
        let opened = CookieJar::new().private(&self.0).decrypt(cookie)?;
        serde_json::from_str(opened.value()).ok()
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_changed_does_not_open() {
        let key = SealingKey::new(&[7; 64]);
        let sealed = key.seal("one", &"text").unwrap();
        assert!(!sealed.contains("text"));
        assert_eq!(key.open::<String>("one", &sealed).as_deref(), Some("text"));
        assert_eq!(key.open::<String>("other", &sealed), None, "another name");
        assert_eq!(SealingKey::new(&[8; 64]).open::<String>("one", &sealed), None, "another key");
        let mut bytes = sealed.clone().into_bytes();
        bytes[20] = if bytes[20] == b'A' { b'B' } else { b'A' };
        assert_eq!(key.open::<String>("one", &String::from_utf8(bytes).unwrap()), None);
        assert_eq!(key.open::<String>("one", ""), None);
    }
}
