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

/// A length of time by the calendar, written as `1y`, `6mo`, `30d`, or joined: `1y6mo`, `1mo12h`.
///
/// Years and months are those of the calendar in UTC: a month after January 31st is the last of February, and a year after
/// February 29th is February 28th. What is smaller is exact, as in a [`Span`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Term {
    /// How many months; a year is 12.
    pub months: u16,
    /// What goes beyond them.
    pub rest: Span,
}

impl Term {
    /// 100 years, as with [`Span::MAX`].
    const MAX_MONTHS: u16 = 1200;

    const PATTERN: &str = "^([0-9]{1,3}y)?([0-9]{1,4}mo)?([0-9]{1,5}d)?([0-9]{1,6}h)?([0-9]{1,8}m)?([0-9]{1,10}s)?$";

    /// The moment that is so long after another; the end of time where that is out of range.
    #[must_use]
    pub fn after(self, moment: jiff::Timestamp) -> jiff::Timestamp {
        let rest = i64::try_from(self.rest.seconds).unwrap_or(i64::MAX);
        let months = jiff::Span::new().months(i64::from(self.months));
        let utc = jiff::tz::Offset::UTC;
        let moved = utc
            .to_datetime(moment)
            .checked_add(months)
            .and_then(|moved| utc.to_timestamp(moved)?.checked_add(jiff::SignedDuration::from_secs(rest)));
        moved.unwrap_or(jiff::Timestamp::MAX)
    }
}

impl From<Span> for Term {
    fn from(rest: Span) -> Self {
        Term { months: 0, rest }
    }
}

/// Why a text is not a [`Term`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TermError {
    /// It is not numbers with units.
    #[error(
        "expected numbers with units such as `1y`, `6mo`, `30d` or `1y6mo`, the largest unit first, each at most once"
    )]
    Form,
    /// It is longer than 100 years.
    #[error("the longest term is `100y`")]
    TooLong,
}

impl FromStr for Term {
    type Err = TermError;

    fn from_str(text: &str) -> Result<Term, TermError> {
        let mut rest = text;
        let mut months: u32 = 0;
        for (unit, length) in [("y", 12), ("mo", 1)] {
            let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            let (count, tail) = rest.split_at(digits);
            let Some(tail) = tail.strip_prefix(unit) else { continue };
            let count: u32 = count.parse().map_err(|_| TermError::Form)?;
            months = count.checked_mul(length).and_then(|more| months.checked_add(more)).ok_or(TermError::TooLong)?;
            rest = tail;
        }
        let months = u16::try_from(months).ok().filter(|months| *months <= Term::MAX_MONTHS);
        let months = months.ok_or(TermError::TooLong)?;
        if rest.is_empty() && !text.is_empty() {
            return Ok(Term { months, rest: Span::default() });
        }
        match rest.parse() {
            Ok(rest) => Ok(Term { months, rest }),
            Err(SpanError::TooLong) => Err(TermError::TooLong),
            Err(SpanError::Form | SpanError::Order) => Err(TermError::Form),
        }
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, count) in [("y", self.months / 12), ("mo", self.months % 12)] {
            if count > 0 {
                write!(f, "{count}{unit}")?;
            }
        }
        if self.months == 0 || self.rest != Span::default() { self.rest.fmt(f) } else { Ok(()) }
    }
}

impl Serialize for Term {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Term {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for Term {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Term".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": Term::PATTERN, "minLength": 2, "maxLength": 40})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_are_read_and_written_and_go_by_the_calendar() {
        let after = |from: &str, term: &str| {
            let term: Term = term.parse().unwrap();
            assert_eq!(term.to_string().parse(), Ok(term));
            term.after(from.parse().unwrap()).to_string()
        };
        assert_eq!(after("2028-02-29T12:00:00Z", "1y"), "2029-02-28T12:00:00Z");
        assert_eq!(after("2028-02-29T12:00:00Z", "4y"), "2032-02-29T12:00:00Z");
        assert_eq!(after("2026-01-31T23:59:59Z", "1mo"), "2026-02-28T23:59:59Z");
        assert_eq!(after("2028-01-31T00:00:00Z", "1mo"), "2028-02-29T00:00:00Z");
        assert_eq!(after("2026-01-31T00:00:00Z", "1y1mo1d1s"), "2027-03-01T00:00:01Z");
        assert_eq!(after("2026-01-01T00:00:00Z", "365d"), "2027-01-01T00:00:00Z");
        assert_eq!(after("9990-01-01T00:00:00Z", "100y"), jiff::Timestamp::MAX.to_string());
        for wrong in ["", "1", "mo", "y", "1mo1y", "1d1mo", "1w", "-1y", "1.5y"] {
            assert_eq!(wrong.parse::<Term>(), Err(TermError::Form), "{wrong}");
        }
        assert_eq!("101y".parse::<Term>(), Err(TermError::TooLong));
    }
}
