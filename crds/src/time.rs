//! Moments and lengths of time as users write them.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A moment, written as RFC 3339: `2026-07-01T00:00:00Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub jiff::Timestamp);

impl Deref for Timestamp {
    type Target = jiff::Timestamp;

    fn deref(&self) -> &jiff::Timestamp {
        &self.0
    }
}

impl From<jiff::Timestamp> for Timestamp {
    fn from(moment: jiff::Timestamp) -> Self {
        Timestamp(moment)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Timestamp {
    type Err = jiff::Error;

    fn from_str(text: &str) -> Result<Self, jiff::Error> {
        text.parse().map(Timestamp)
    }
}

impl JsonSchema for Timestamp {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Timestamp".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "format": "date-time"})
    }
}

const SECOND: u64 = 1;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// Units, largest first.
const UNITS: [(char, u64); 4] = [('d', DAY), ('h', HOUR), ('m', MINUTE), ('s', SECOND)];

/// A length of time in whole seconds, written as `90s`, `15m`, `24h`, `30d`, or joined: `1h30m`.
///
/// A day is exactly 24 hours. The longest is [`Span::MAX`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// How many seconds.
    pub seconds: u64,
}

impl Span {
    /// 36,500 days, so that a moment and a span add up without leaving the calendar.
    pub const MAX: Span = Span { seconds: 36_500 * DAY };

    const PATTERN: &str = "^([0-9]{1,5}d)?([0-9]{1,6}h)?([0-9]{1,8}m)?([0-9]{1,10}s)?$";

    /// A span of so many seconds.
    #[must_use]
    pub const fn from_secs(seconds: u64) -> Span {
        Span { seconds }
    }
}

impl From<Span> for std::time::Duration {
    fn from(span: Span) -> Self {
        std::time::Duration::from_secs(span.seconds)
    }
}

/// Why a text is not a [`Span`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpanError {
    /// It is not numbers with units.
    #[error("expected numbers with units such as `90s`, `15m`, `24h`, `30d` or `1h30m`")]
    Form,
    /// A unit stands twice, or after a smaller one.
    #[error("units go from the largest to the smallest, each at most once: `1d12h30m10s`")]
    Order,
    /// It is longer than [`Span::MAX`].
    #[error("the longest span is `36500d`")]
    TooLong,
}

impl FromStr for Span {
    type Err = SpanError;

    fn from_str(text: &str) -> Result<Span, SpanError> {
        if text.is_empty() {
            return Err(SpanError::Form);
        }
        let mut units = UNITS.iter();
        let mut seconds: u64 = 0;
        let mut rest = text;
        while !rest.is_empty() {
            let end = rest.find(|c: char| !c.is_ascii_digit()).ok_or(SpanError::Form)?;
            let (digits, tail) = rest.split_at(end);
            let mut tail = tail.chars();
            let unit = tail.next().ok_or(SpanError::Form)?;
            if digits.is_empty() || !UNITS.iter().any(|(name, _)| *name == unit) {
                return Err(SpanError::Form);
            }
            let (_, length) = units.find(|(name, _)| *name == unit).ok_or(SpanError::Order)?;
            seconds = digits
                .parse::<u64>()
                .ok()
                .and_then(|count| count.checked_mul(*length))
                .and_then(|part| seconds.checked_add(part))
                .filter(|seconds| *seconds <= Span::MAX.seconds)
                .ok_or(SpanError::TooLong)?;
            rest = tail.as_str();
        }
        Ok(Span { seconds })
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.seconds == 0 {
            return f.write_str("0s");
        }
        let mut rest = self.seconds;
        for (name, length) in UNITS {
            if rest >= length {
                write!(f, "{}{name}", rest / length)?;
                rest %= length;
            }
        }
        Ok(())
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl Visitor<'_> for Text {
            type Value = Span;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a span such as `90s`, `15m`, `24h`, `30d` or `1h30m`")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Span, E> {
                text.parse().map_err(E::custom)
            }
        }

        deserializer.deserialize_str(Text)
    }
}

impl JsonSchema for Span {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Span".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": Span::PATTERN, "minLength": 2, "maxLength": 40})
    }
}
