//! A file's documents, told apart without parsing them.

/// One document of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chunk<'a> {
    /// Its place among the documents of the file, from 0.
    pub(crate) index: u32,
    /// The line of the file that it begins with, from 1.
    pub(crate) line: u32,
    /// Its text.
    pub(crate) text: &'a str,
}

/// The documents of a YAML stream.
///
/// YAML forbids `---` and `...` at the start of a line inside a document, in block scalars too, so lines tell where
/// documents end. A document whose text is broken therefore leaves its neighbours readable.
pub(crate) fn chunks(text: &str) -> Vec<Chunk<'_>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut found = Vec::new();
    let mut start = Start { offset: 0, line: 1, said: false };
    let mut offset = 0;
    for (number, line) in (1..).zip(text.split_inclusive('\n')) {
        let marker = marker(line);
        if marker == Some("---") {
            // What stands before is a document, unless it is only comments and directives: those belong to this one.
            if start.said {
                push(&mut found, &start, &text[start.offset..offset]);
                start = Start { offset, line: number, said: true };
            }
            start.said = true;
        } else if marker == Some("...") {
            if start.said {
                push(&mut found, &start, &text[start.offset..offset]);
            }
            start = Start { offset: offset + line.len(), line: number + 1, said: false };
        } else if !start.said {
            let content = line.trim();
            start.said = !content.is_empty() && !content.starts_with('#') && !content.starts_with('%');
        }
        offset += line.len();
    }
    if start.said {
        push(&mut found, &start, &text[start.offset..]);
    }
    found
}

struct Start {
    offset: usize,
    line: u32,
    /// Whether there is more than comments and directives.
    said: bool,
}

fn push<'a>(found: &mut Vec<Chunk<'a>>, start: &Start, text: &'a str) {
    let index = u32::try_from(found.len()).unwrap_or(u32::MAX);
    found.push(Chunk { index, line: start.line, text });
}

fn marker(line: &str) -> Option<&str> {
    let (marker, rest) = line.split_at_checked(3)?;
    let alone = rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']);
    (alone && (marker == "---" || marker == "...")).then_some(marker)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[(u32, &str)]) {
        let found: Vec<_> = chunks(text).iter().map(|chunk| (chunk.line, chunk.text)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn documents_are_told_apart() {
        check("", &[]);
        check("# nothing\n\n", &[]);
        check("a: 1\n", &[(1, "a: 1\n")]);
        check("---\na: 1\n---\nb: 2", &[(1, "---\na: 1\n"), (3, "---\nb: 2")]);
        check("# first\n%YAML 1.2\n--- # c\na: 1\n", &[(1, "# first\n%YAML 1.2\n--- # c\na: 1\n")]);
        check("a: 1\n...\nb: 2\n", &[(1, "a: 1\n"), (3, "b: 2\n")]);
        check("a: 1\r\n---\r\nb: 2\r\n", &[(1, "a: 1\r\n"), (2, "---\r\nb: 2\r\n")]);
        check("a: |\n ---\n x\n----\n", &[(1, "a: |\n ---\n x\n----\n")]);
        check("---\n---\nb: 2\n---\n", &[(1, "---\n"), (2, "---\nb: 2\n"), (4, "---\n")]);
    }
}
