//! Which object it is, of all that have or had its name.

use std::fmt;

use uuid::Uuid;

/// `metadata.uid`: a UUID in every cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Uid(Uuid);

impl Uid {
    /// Reads one; `None` if it is not written as Kubernetes writes them.
    pub fn read(text: &str) -> Option<Uid> {
        Uuid::try_parse(text).ok().map(Uid)
    }

    /// Reads several, as [`Uid::write_all`] writes them.
    pub fn read_all(text: &str) -> Option<Box<[Uid]>> {
        text.split(' ').map(Uid::read).collect()
    }

    /// Writes several into one text.
    pub fn write_all(uids: &[Uid]) -> String {
        uids.iter().map(Uid::to_string).collect::<Vec<_>>().join(" ")
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uids_read_as_they_were_written() {
        let text = "0d6a1a8e-5c1c-4f6c-9a0b-2a6f6c1d3e4f 7f9c24e8-3b1d-4e2a-8c5f-1b2c3d4e5f60";
        let uids = Uid::read_all(text).expect("two of them");
        assert_eq!((uids.len(), Uid::write_all(&uids)), (2, text.to_owned()));
        assert_eq!(Uid::read("somebody"), None);
        assert_eq!(Uid::read_all("somebody else"), None);
    }
}
