//! Rust as text: what in it is code, what a literal and what a comment, and the words of the code.

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Code,
    Literal,
    Comment,
}

/// Cuts Rust into code, literals and comments.
pub(crate) fn pieces(text: &str) -> Vec<(Kind, &str)> {
    let mut pieces = Vec::new();
    let mut code_start = 0;
    let mut at = 0;
    // All that can begin one is ASCII.
    while let Some(distance) = text[at..].find(['/', '"', '\'', 'r']) {
        at += distance;
        let Some((kind, length)) = piece(&text[..at], &text[at..]) else {
            at += 1;
            continue;
        };
        pieces.push((Kind::Code, &text[code_start..at]));
        pieces.push((kind, &text[at..at + length]));
        at += length;
        code_start = at;
    }
    pieces.push((Kind::Code, &text[code_start..]));
    pieces
}

/// The literal or comment that `rest` begins with, if it does, and its length.
fn piece(before: &str, rest: &str) -> Option<(Kind, usize)> {
    if rest.starts_with("//") {
        return Some((Kind::Comment, rest.find('\n').unwrap_or(rest.len())));
    }
    if rest.starts_with("/*") {
        return Some((Kind::Comment, block_comment(rest)));
    }
    if rest.starts_with('"') {
        return Some((Kind::Literal, quoted(rest, '"')));
    }
    if rest.starts_with('\'') {
        // Else it is a lifetime.
        let mut next = rest.chars().skip(1);
        let is_char = next.next() == Some('\\') || next.next() == Some('\'');
        return is_char.then(|| (Kind::Literal, quoted(rest, '\'')));
    }
    // The last letter of a name begins no literal, but for `br"…"`.
    let is_inside_name = before.ends_with(|c: char| c.is_alphanumeric() || c == '_');
    if rest.starts_with('r') && (!is_inside_name || before.ends_with('b')) {
        return raw_string(rest).map(|length| (Kind::Literal, length));
    }
    None
}

/// The length of the block comment; such comments nest.
fn block_comment(text: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < text.len() {
        if text[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if text[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// The length of the literal from quote to quote.
fn quoted(text: &str, quote: char) -> usize {
    let mut is_escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        if c == quote && !is_escaped {
            return at + 1;
        }
        is_escaped = c == '\\' && !is_escaped;
    }
    text.len()
}

/// The length of the raw string, if it is one and not a raw name.
fn raw_string(text: &str) -> Option<usize> {
    let hashes = text[1..].bytes().take_while(|byte| *byte == b'#').count();
    let body = 1 + hashes + 1;
    if text.as_bytes().get(body - 1) != Some(&b'"') {
        return None;
    }
    let end = format!("\"{}", "#".repeat(hashes));
    Some(
        text[body..]
            .find(&end)
            .map_or(text.len(), |at| body + at + end.len()),
    )
}

/// A name, `::`, or a single sign.
#[derive(Clone, Copy)]
pub(crate) struct Word<'a> {
    pub(crate) line: usize,
    pub(crate) text: &'a str,
}

pub(crate) fn words(text: &str) -> Vec<Word<'_>> {
    let mut words = Vec::new();
    for (line, mut text) in text
        .lines()
        .enumerate()
        .map(|(line, text)| (line + 1, text))
    {
        while let Some(first) = text.chars().next() {
            let length = if is_name(text) {
                text.find(|c: char| !c.is_alphanumeric() && c != '_')
                    .unwrap_or(text.len())
            } else if text.starts_with("::") {
                2
            } else {
                first.len_utf8()
            };
            if !first.is_whitespace() {
                words.push(Word {
                    line,
                    text: &text[..length],
                });
            }
            text = &text[length..];
        }
    }
    words
}

pub(crate) fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphanumeric() || c == '_')
}

/// First and last line of each `#[cfg(test)] mod name { … }`: tests may look at the whole house.
pub(crate) fn test_modules(words: &[Word<'_>]) -> Vec<(usize, usize)> {
    const MARK: [&str; 8] = ["#", "[", "cfg", "(", "test", ")", "]", "mod"];
    let mut modules = Vec::new();
    let mut rest = words;
    while let Some(word) = rest.first() {
        let is_mark = rest.len() > MARK.len() + 1
            && rest.iter().zip(MARK).all(|(word, mark)| word.text == mark)
            && rest[MARK.len() + 1].text == "{";
        if is_mark {
            rest = &rest[MARK.len() + 1..];
            let end = matching_brace(rest);
            modules.push((word.line, rest[end].line));
            rest = &rest[end..];
        }
        rest = &rest[1..];
    }
    modules
}

/// Where the brace is closed that the first word opens; the last word if it is not.
pub(crate) fn matching_brace(words: &[Word<'_>]) -> usize {
    let mut depth = 0;
    let end = words.iter().position(|word| {
        depth += i32::from(word.text == "{") - i32::from(word.text == "}");
        depth == 0
    });
    end.unwrap_or(words.len() - 1)
}

pub(crate) fn is_in(modules: &[(usize, usize)], line: usize) -> bool {
    modules
        .iter()
        .any(|(first, last)| (*first..=*last).contains(&line))
}

mod tests {
    use crate::tree::File;

    #[test]
    fn code_is_told_from_comments_and_literals() {
        let source = r##"a /* b /* c */ d */ "e \" // f" 'g' '\'' &'h x r#"i " j"# b"k" // l"##;
        let file = File::new("src/x.rs", source);
        let words = |text: &str| {
            text.split(|c: char| !c.is_alphanumeric())
                .collect::<String>()
        };
        assert_eq!(words(&file.code), "ahxb");
        assert_eq!(words(&file.comments), "bcdl");
        assert_eq!(words(&file.without_comments), "aefghxrijbk");
    }
}
