//! Paths of fields.

use std::fmt;
use std::str::FromStr;

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// Into the field of this name.
    Field(String),
    /// Into this entry of a list, from 0.
    Entry(usize),
}

/// Which field of a document is meant, such as `spec.limits[0].requests`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldPath(Vec<Step>);

/// A text that is not the path of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the path of a field: expected something like `spec.limits[0].requests`")]
pub struct NotAPath;

impl FieldPath {
    /// The whole document.
    pub fn root() -> FieldPath {
        FieldPath::default()
    }

    /// The field of this name below it. The name may have any characters in it, dots too.
    #[must_use]
    pub fn field(mut self, name: impl Into<String>) -> FieldPath {
        self.0.push(Step::Field(name.into()));
        self
    }

    /// The entry below it, from 0. One past the last is a new one.
    #[must_use]
    pub fn entry(mut self, index: usize) -> FieldPath {
        self.0.push(Step::Entry(index));
        self
    }

    /// Its steps.
    pub fn steps(&self) -> &[Step] {
        &self.0
    }

    /// Whether one of them is the other, or is in it.
    pub(crate) fn overlaps(&self, other: &FieldPath) -> bool {
        self.0.iter().zip(&other.0).all(|(one, other)| one == other)
    }
}

impl FromStr for FieldPath {
    type Err = NotAPath;

    fn from_str(text: &str) -> Result<FieldPath, NotAPath> {
        let mut path = FieldPath::root();
        for part in text.split('.') {
            let (name, mut rest) = part.split_at(part.find('[').unwrap_or(part.len()));
            if name.is_empty() {
                return Err(NotAPath);
            }
            path = path.field(name);
            while !rest.is_empty() {
                let (index, after) = rest.strip_prefix('[').and_then(|rest| rest.split_once(']')).ok_or(NotAPath)?;
                path = path.entry(index.parse().map_err(|_| NotAPath)?);
                rest = after;
            }
        }
        Ok(path)
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, step) in self.0.iter().enumerate() {
            match step {
                Step::Field(name) if number == 0 => f.write_str(name)?,
                Step::Field(name) => write!(f, ".{name}")?,
                Step::Entry(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read_as_they_are_written() {
        for text in ["spec", "spec.limits[0].requests", "a[1][2].b"] {
            assert_eq!(text.parse::<FieldPath>().expect("a path").to_string(), text);
        }
        for text in ["", ".", "a..b", "[0]", "a[", "a[x]", "a[0]b", "a[-1]"] {
            assert_eq!(text.parse::<FieldPath>(), Err(NotAPath), "{text}");
        }
    }
}
