//! Where a change goes in the text.

use serde_json::{Map, Value as Json};

use super::Unable;
use super::emit::{behind, block, inline, is_tall, key, text as short, yaml};
use super::ops::Op;
use super::path::Step;
use super::span::{Field, Item, Kind, parse};

/// The text after a change, and the line where it was made.
pub(crate) fn apply(text: &str, op: &Op, json: bool) -> Result<(String, u32), Unable> {
    let root = parse(text)?;
    let page = Page { text, json, newline: if text.contains("\r\n") { "\r\n" } else { "\n" } };
    let (last, way) = match op {
        Op::Set(path, _) => (None, path.steps()),
        Op::Unset(path) | Op::Insert(path, _) => match path.steps().split_last() {
            Some((last, way)) => (Some(last), way),
            None => return Err(Unable::Form { line: 1 }),
        },
    };
    let mut place = Place { item: &root, within: Within::Root, inline: json };
    for (depth, step) in way.iter().enumerate() {
        let line = page.line(place.item.start);
        let absent = || Unable::NoSuch { line, path: op.path().to_string() };
        match (&place.item.kind, step) {
            (Kind::Alias, _) => return Err(Unable::Shared { line }),
            (Kind::Map { inline, fields }, Step::Field(name)) => {
                if let Some(index) = fields.iter().position(|field| field.name() == name) {
                    place = place.field(fields, index, *inline);
                } else {
                    let Op::Set(_, value) = op else { return Err(absent()) };
                    let value = wrapped(&way[depth + 1..], value).ok_or_else(absent)?;
                    return page.add_field(&place, name, &value).map(|text| (text, line));
                }
            }
            (Kind::List { inline, entries }, Step::Entry(index)) => match entries.get(*index) {
                Some(_) => place = place.entry(entries, *index, *inline),
                None if *index == entries.len() => {
                    let Op::Set(_, value) = op else { return Err(absent()) };
                    let value = wrapped(&way[depth + 1..], value).ok_or_else(absent)?;
                    return page.add_entry(&place, *index, &value).map(|text| (text, line));
                }
                None => return Err(absent()),
            },
            (Kind::Nothing | Kind::Scalar { null: true, .. }, _) => {
                let Op::Set(_, value) = op else { return Err(absent()) };
                let value = wrapped(&way[depth..], value).ok_or_else(absent)?;
                return page.replace(&place, &value).map(|text| (text, line));
            }
            _ => return Err(absent()),
        }
    }
    let line = page.line(place.item.start);
    let absent = || Unable::NoSuch { line, path: op.path().to_string() };
    let changed = match (op, last, &place.item.kind) {
        (Op::Set(_, value), ..) => page.replace(&place, value),
        (_, _, Kind::Alias) => Err(Unable::Shared { line }),
        (Op::Unset(_), Some(Step::Field(name)), Kind::Map { inline, fields }) => {
            let index = fields.iter().position(|field| field.name() == name).ok_or_else(absent)?;
            page.remove_field(&place, fields, index, *inline)
        }
        (Op::Unset(_), Some(Step::Entry(index)), Kind::List { inline, entries }) if *index < entries.len() => {
            page.remove_entry(&place, entries, *index, *inline)
        }
        (Op::Insert(_, value), Some(Step::Entry(index)), Kind::List { .. }) => page.add_entry(&place, *index, value),
        _ => Err(absent()),
    };
    changed.map(|text| (text, line))
}

/// A value below the steps that lead to it.
fn wrapped(steps: &[Step], value: &Json) -> Option<Json> {
    let Some((step, rest)) = steps.split_first() else { return Some(value.clone()) };
    let below = wrapped(rest, value)?;
    match step {
        Step::Field(name) => Some(Json::Object(Map::from_iter([(name.clone(), below)]))),
        Step::Entry(0) => Some(Json::Array(vec![below])),
        Step::Entry(_) => None,
    }
}

/// A value, and what it is a part of.
struct Place<'i> {
    item: &'i Item,
    within: Within<'i>,
    /// Whether everything has to be on one line, as inside of `{}` and `[]`.
    inline: bool,
}

enum Within<'i> {
    Root,
    Field(&'i Field),
    Entry,
}

impl<'i> Place<'i> {
    fn field(&self, fields: &'i [Field], index: usize, inline: bool) -> Place<'i> {
        let field = &fields[index];
        Place { item: &field.value, within: Within::Field(field), inline: self.inline || inline }
    }

    fn entry(&self, entries: &'i [Item], index: usize, inline: bool) -> Place<'i> {
        Place { item: &entries[index], within: Within::Entry, inline: self.inline || inline }
    }
}

struct Page<'t> {
    text: &'t str,
    json: bool,
    newline: &'static str,
}

impl Page<'_> {
    fn line(&self, at: usize) -> u32 {
        let before = self.text[..at].bytes().filter(|byte| *byte == b'\n').count();
        u32::try_from(before + 1).unwrap_or(u32::MAX)
    }

    fn splice(&self, start: usize, end: usize, new: &str) -> String {
        format!("{}{new}{}", &self.text[..start], &self.text[end..])
    }

    /// Where the line begins that this is on.
    fn line_start(&self, at: usize) -> usize {
        self.text[..at].rfind('\n').map_or(0, |newline| newline + 1)
    }

    /// How far it is from there, in characters, as indentation is counted.
    fn column(&self, at: usize) -> usize {
        self.text[self.line_start(at)..at].trim_start_matches('\u{feff}').chars().count()
    }

    /// Whether nothing but space stands before it on its line.
    fn is_first(&self, at: usize) -> bool {
        self.text[self.line_start(at)..at].chars().all(|c| c == ' ' || c == '\u{feff}')
    }

    /// Where the next line begins behind a value, behind the comment that may follow it too.
    fn line_end(&self, item: &Item) -> Result<usize, Unable> {
        let end = item.end;
        if self.text[..end].ends_with('\n') {
            return Ok(end);
        }
        let rest = &self.text[end..];
        let length = rest.find('\n').map_or(rest.len(), |newline| newline + 1);
        let said = rest[..length].trim();
        if said.is_empty() || said.starts_with('#') {
            Ok(end + length)
        } else {
            Err(Unable::Form { line: self.line(end) })
        }
    }

    /// Puts whole lines, without a line end behind them, where a line begins or the text ends.
    fn put_lines(&self, at: usize, lines: &str) -> String {
        let newline = self.newline;
        if self.text[..at].ends_with('\n') || at == 0 {
            self.splice(at, at, &format!("{lines}{newline}"))
        } else {
            self.splice(at, at, &format!("{newline}{lines}"))
        }
    }

    /// A value on one line.
    fn flat(&self, value: &Json) -> String {
        if self.json { value.to_string() } else { inline(&yaml(value)) }
    }

    fn replace(&self, place: &Place<'_>, value: &Json) -> Result<String, Unable> {
        let item = place.item;
        if item.shared {
            return Err(Unable::Shared { line: self.line(item.start) });
        }
        if place.inline {
            let space = if matches!(item.kind, Kind::Nothing) { " " } else { "" };
            return Ok(self.splice(item.start, item.end, &format!("{space}{}", self.flat(value))));
        }
        let value = &yaml(value);
        let literal = matches!(item.kind, Kind::Scalar { literal: true, .. });
        // A literal text ends with its last line, and whatever comes in its place ends there too.
        let ending = if self.text[..item.end].ends_with('\n') { self.newline } else { "" };
        match place.within {
            Within::Root => Err(Unable::Form { line: self.line(item.start) }),
            Within::Field(field) => {
                let indent = self.column(field.key.start);
                let bare = self.text[field.colon..item.start].trim().is_empty();
                let own_line = self.is_first(item.start) && item.start > field.colon;
                if own_line && is_tall(value) && !literal {
                    // Its lines stay where they are, behind the comment that may stand above them too.
                    let column = self.column(item.start);
                    let column = if column > indent { column } else { indent + 2 };
                    let new = block(value, column, self.newline);
                    return self.put(self.line_start(item.start), item, &format!("{new}{ending}"));
                }
                if !bare {
                    // Between the two stands a comment.
                    let new = if is_tall(value) { return self.form(item) } else { inline(value) };
                    return self.put(item.start, item, &format!("{new}{ending}"));
                }
                let new = behind(value, indent, self.newline);
                self.put(field.colon, item, &format!("{new}{ending}"))
            }
            Within::Entry if matches!(item.kind, Kind::Nothing) => self.form(item),
            Within::Entry => {
                let column = self.column(item.start);
                let new = if is_tall(value) {
                    block(value, column, self.newline).trim_start().to_owned()
                } else {
                    short(value, column, self.newline)
                };
                self.put(item.start, item, &format!("{new}{ending}"))
            }
        }
    }

    /// Puts a value from `start` on in the place of another. What follows that on its line is a comment, which a value of several
    /// lines takes into its first.
    fn put(&self, start: usize, item: &Item, new: &str) -> Result<String, Unable> {
        let Some((first, rest)) = new.split_once(self.newline).filter(|_| !self.text[..item.end].ends_with('\n'))
        else {
            return Ok(self.splice(start, item.end, new));
        };
        let end = self.line_end(item)?;
        let behind = self.text[item.end..end].trim_end();
        let newline = &self.text[item.end + behind.len()..end];
        let newline = newline.trim_start_matches([' ', '\t']);
        Ok(self.splice(start, end, &format!("{first}{behind}{}{rest}{newline}", self.newline)))
    }

    fn form<T>(&self, item: &Item) -> Result<T, Unable> {
        Err(Unable::Form { line: self.line(item.start) })
    }

    fn add_field(&self, place: &Place<'_>, name: &str, value: &Json) -> Result<String, Unable> {
        let Kind::Map { inline: on_line, fields } = &place.item.kind else { return self.form(place.item) };
        let Some(last) = fields.last() else {
            let whole = Json::Object(Map::from_iter([(name.to_owned(), value.clone())]));
            return self.replace(place, &whole);
        };
        if *on_line || place.inline {
            let before = match fields.len().checked_sub(2).and_then(|index| fields.get(index)) {
                Some(before) => before.value.end,
                None => place.item.start,
            };
            let space = self.space_before(before, last.key.start);
            let colon = if self.json && !self.text[last.colon..].starts_with(' ') { ":" } else { ": " };
            let new = format!(",{space}{}{colon}{}", key(name, self.json), self.flat(value));
            return Ok(self.splice(last.value.end, last.value.end, &new));
        }
        let indent = self.column(fields.first().map_or(place.item.start, |first| first.key.start));
        let line = format!("{}{}:{}", " ".repeat(indent), key(name, false), behind(&yaml(value), indent, self.newline));
        Ok(self.put_lines(self.line_end(&last.value)?, &line))
    }

    /// The space between the comma, or the bracket, and what comes after it.
    fn space_before(&self, from: usize, to: usize) -> &str {
        let between = &self.text[from..to];
        let space = &between[between.trim_end().len()..];
        if between.trim_end().ends_with(',') || space.contains('\n') { space } else { " " }
    }

    fn add_entry(&self, place: &Place<'_>, index: usize, value: &Json) -> Result<String, Unable> {
        let Kind::List { inline: on_line, entries } = &place.item.kind else { return self.form(place.item) };
        if entries.is_empty() {
            return self.replace(place, &Json::Array(vec![value.clone()]));
        }
        if *on_line || place.inline {
            let new = self.flat(value);
            return Ok(match index.checked_sub(1).and_then(|before| entries.get(before)) {
                Some(before) => {
                    let from = if index > 1 { entries[index - 2].end } else { place.item.start };
                    let space = self.space_before(from, before.start);
                    self.splice(before.end, before.end, &format!(",{space}{new}"))
                }
                None => self.splice(entries[0].start, entries[0].start, &format!("{new}, ")),
            });
        }
        let indent = self.column(place.item.start);
        let lines = block(&yaml(&Json::Array(vec![value.clone()])), indent, self.newline);
        match index.checked_sub(1).and_then(|before| entries.get(before)) {
            Some(before) => Ok(self.put_lines(self.line_end(before)?, &lines)),
            None if self.is_first(place.item.start) => Ok(self.put_lines(self.line_start(place.item.start), &lines)),
            None => self.form(place.item),
        }
    }

    fn remove_field(&self, place: &Place<'_>, fields: &[Field], index: usize, on_line: bool) -> Result<String, Unable> {
        let field = &fields[index];
        if field.value.shared || field.key.shared {
            return Err(Unable::Shared { line: self.line(field.key.start) });
        }
        if fields.len() == 1 {
            return self.replace(place, &Json::Object(Map::new()));
        }
        if on_line || place.inline {
            return Ok(match index.checked_sub(1).and_then(|before| fields.get(before)) {
                Some(before) => self.splice(before.value.end, field.value.end, ""),
                None => self.splice(field.key.start, fields[1].key.start, ""),
            });
        }
        let end = self.line_end(&field.value)?;
        if self.is_first(field.key.start) {
            return Ok(self.splice(self.line_start(field.key.start), end, ""));
        }
        // The first field stands behind a dash, and the next one takes its place.
        let next = fields.get(index + 1).ok_or(Unable::Form { line: self.line(field.key.start) })?;
        if self.text[end..next.key.start].trim().is_empty() {
            Ok(self.splice(field.key.start, next.key.start, ""))
        } else {
            Ok(self.splice(field.key.start, end, self.newline))
        }
    }

    fn remove_entry(&self, place: &Place<'_>, entries: &[Item], index: usize, on_line: bool) -> Result<String, Unable> {
        let entry = &entries[index];
        if entry.shared {
            return Err(Unable::Shared { line: self.line(entry.start) });
        }
        if entries.len() == 1 {
            return self.replace(place, &Json::Array(Vec::new()));
        }
        if on_line || place.inline {
            return Ok(match index.checked_sub(1).and_then(|before| entries.get(before)) {
                Some(before) => self.splice(before.end, entry.end, ""),
                None => self.splice(entry.start, entries[1].start, ""),
            });
        }
        let start = self.line_start(entry.start);
        if matches!(entry.kind, Kind::Nothing) || self.text[start..entry.start].trim() != "-" {
            return self.form(entry);
        }
        Ok(self.splice(start, self.line_end(entry)?, ""))
    }
}
