//! A document as a tree that knows which bytes each of its values is written with.

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

use super::Unable;
use crate::text::node::MAX_DEPTH;

/// A value and its bytes, without space, line ends and comments around it.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) kind: Kind,
    /// Whether it, or something in it, has a name that others may refer to, or refers to such a name.
    pub(crate) shared: bool,
}

/// What a value is.
#[derive(Debug)]
pub(crate) enum Kind {
    /// Nothing at all is written.
    Nothing,
    Scalar {
        text: String,
        /// Whether it is one of `|` and `>`, which end with a line.
        literal: bool,
        /// Whether it is taken for nothing, as `~` and `null` are.
        null: bool,
    },
    Alias,
    List {
        inline: bool,
        entries: Vec<Item>,
    },
    Map {
        inline: bool,
        fields: Vec<Field>,
    },
}

/// A field of a map.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) key: Item,
    /// Where its colon ends.
    pub(crate) colon: usize,
    pub(crate) value: Item,
}

impl Field {
    pub(crate) fn name(&self) -> &str {
        match &self.key.kind {
            Kind::Scalar { text, .. } => text,
            _ => "",
        }
    }
}

/// Reads the one document of a text.
pub(crate) fn parse(text: &str) -> Result<Item, Unable> {
    let mut reader = Reader { text, offsets: offsets(text), parser: Parser::new_from_str(text), depth: 0 };
    loop {
        match reader.next()? {
            (Event::Nothing | Event::StreamStart | Event::DocumentStart(_), _) => {}
            (event, span) => return reader.item(event, span),
        }
    }
}

/// Where each character begins, if that is not its number.
fn offsets(text: &str) -> Option<Vec<usize>> {
    (!text.is_ascii()).then(|| text.char_indices().map(|(at, _)| at).collect())
}

struct Reader<'t> {
    text: &'t str,
    offsets: Option<Vec<usize>>,
    parser: Parser<'t, saphyr_parser::StrInput<'t>>,
    depth: usize,
}

impl<'t> Reader<'t> {
    fn next(&mut self) -> Result<(Event<'t>, Span), Unable> {
        match self.parser.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => {
                Err(Unable::Broken { line: number(error.marker().line()), message: error.info().to_owned() })
            }
            None => Err(Unable::Broken { line: 1, message: "there is nothing here".to_owned() }),
        }
    }

    fn byte(&self, index: usize) -> usize {
        match &self.offsets {
            None => index.min(self.text.len()),
            Some(offsets) => offsets.get(index).copied().unwrap_or(self.text.len()),
        }
    }

    fn item(&mut self, event: Event<'t>, span: Span) -> Result<Item, Unable> {
        let start = self.byte(span.start.index());
        let end = self.byte(span.end.index());
        let line = number(span.start.line());
        match event {
            Event::Alias(_) => Ok(Item { start, end, kind: Kind::Alias, shared: true }),
            Event::Scalar(text, style, anchor, tag) => {
                let bare = anchor == 0 && tag.is_none();
                if text.is_empty() && style == ScalarStyle::Plain && bare {
                    return Ok(Item { start, end: start, kind: Kind::Nothing, shared: false });
                }
                let literal = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
                let start = if literal && bare { self.header(start).ok_or(Unable::Form { line })? } else { start };
                let end = match style {
                    _ if !bare => self.trimmed(start, end),
                    ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => self.closed(start, line)?,
                    ScalarStyle::Literal | ScalarStyle::Folded => self.literal_end(start, end),
                    ScalarStyle::Plain => self.trimmed(start, end),
                };
                let null = bare && style == ScalarStyle::Plain && matches!(&*text, "~" | "null" | "Null" | "NULL");
                let kind = Kind::Scalar { text: text.into_owned(), literal, null };
                Ok(Item { start, end, kind, shared: anchor != 0 })
            }
            Event::SequenceStart(anchor, _) => self.nested(line, |reader| reader.list(start, end, anchor != 0)),
            Event::MappingStart(anchor, _) => self.nested(line, |reader| reader.map((start, end), line, anchor != 0)),
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd
            | Event::SequenceEnd
            | Event::MappingEnd => Err(Unable::Form { line }),
        }
    }

    fn nested(&mut self, line: u32, read: impl FnOnce(&mut Self) -> Result<Item, Unable>) -> Result<Item, Unable> {
        if self.depth >= MAX_DEPTH {
            return Err(Unable::Form { line });
        }
        self.depth += 1;
        let item = read(self);
        self.depth -= 1;
        item
    }

    fn list(&mut self, start: usize, opened: usize, anchored: bool) -> Result<Item, Unable> {
        let inline = self.text[..opened].ends_with('[');
        let mut entries: Vec<Item> = Vec::new();
        let end = loop {
            match self.next()? {
                (Event::SequenceEnd, span) => break self.byte(span.end.index()),
                (event, span) => {
                    let entry = self.item(event, span)?;
                    entries.push(entry);
                }
            }
        };
        let end = if inline { end } else { entries.last().map_or(start, |entry| entry.end.max(start)) };
        // Of a list that is not indented the parser tells where its first entry begins, behind the dash.
        let behind = !inline && entries.first().is_some_and(|entry| entry.start <= start);
        let dash = self.text[..start].trim_end().strip_suffix('-').map(str::len);
        let start = dash.filter(|_| behind).unwrap_or(start);
        let shared = anchored || entries.iter().any(|entry| entry.shared);
        Ok(Item { start, end, kind: Kind::List { inline, entries }, shared })
    }

    fn map(&mut self, (start, opened): (usize, usize), line: u32, anchored: bool) -> Result<Item, Unable> {
        let inline = self.text[..opened].ends_with('{');
        let mut fields: Vec<Field> = Vec::new();
        let end = loop {
            let (event, span) = match self.next()? {
                (Event::MappingEnd, span) => break self.byte(span.end.index()),
                next => next,
            };
            let key = self.item(event, span)?;
            let between = self.text[key.end..].find(|c: char| !c.is_whitespace()).map(|at| key.end + at);
            let Some(colon) = between.filter(|at| self.text[*at..].starts_with(':')).map(|at| at + 1) else {
                return Err(Unable::Form { line });
            };
            let (event, span) = self.next()?;
            let mut value = self.item(event, span)?;
            if matches!(value.kind, Kind::Nothing) {
                (value.start, value.end) = (colon, colon);
            }
            fields.push(Field { key, colon, value });
        };
        let end = if inline { end } else { fields.last().map_or(start, |field| field.value.end) };
        let shared = anchored || fields.iter().any(|field| field.key.shared || field.value.shared);
        Ok(Item { start, end, kind: Kind::Map { inline, fields }, shared })
    }

    /// Without the space at its end.
    fn trimmed(&self, start: usize, end: usize) -> usize {
        start + self.text[start..end].trim_end().len()
    }

    /// Where the quotes end that begin here: what the parser calls the end is behind the comment that follows.
    fn closed(&self, start: usize, line: u32) -> Result<usize, Unable> {
        let text = &self.text[start..];
        let mut chars = text.char_indices().peekable();
        let quote = chars.next().map(|(_, quote)| quote);
        while let Some((at, c)) = chars.next() {
            match (quote, c) {
                (Some('"'), '\\') => drop(chars.next()),
                (Some('\''), '\'') if chars.peek().is_some_and(|(_, next)| *next == '\'') => drop(chars.next()),
                _ if Some(c) == quote => return Ok(start + at + 1),
                _ => {}
            }
        }
        Err(Unable::Form { line })
    }

    /// Where a literal text begins whose content does so here: at the mark on the line before it.
    fn header(&self, content: usize) -> Option<usize> {
        let before = self.text[..content].trim_end();
        let line = before.rfind('\n').map_or(0, |newline| newline + 1);
        let mark = before[line..].find(" #").map_or(&before[line..], |comment| &before[line..line + comment]);
        let mark = mark.trim_end().trim_end_matches(|c: char| c.is_ascii_digit() || c == '+' || c == '-');
        mark.ends_with(['|', '>']).then(|| line + mark.len() - 1)
    }

    /// Where the last line ends that is in it, or all lines where it keeps the empty ones at its end.
    fn literal_end(&self, start: usize, end: usize) -> usize {
        let text = &self.text[start..end];
        let header = text.lines().next().unwrap_or_default();
        let keeps = header.split('#').next().is_some_and(|mark| mark.contains('+'));
        if keeps {
            // What stands before the next thing on its line is not of this one.
            return start + text.rfind('\n').map_or(text.len(), |at| at + 1);
        }
        let said = text.trim_end().len();
        start + text[said..].find('\n').map_or(text.len(), |at| said + at + 1)
    }
}

fn number(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
