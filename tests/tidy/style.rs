//! What the style asks of every file.

use crate::Rule;
use crate::source::Word;
use crate::tree::{Finding, Tree};

pub(crate) const RULES: &[Rule] = &[
    Rule {
        name: "nothing is left unfinished",
        find: leftovers,
        bad: &[
            ("src/poll.rs", "fn f() { todo!() }"),
            ("tests/suite/main.rs", "fn f() { unimplemented!(\"x\") }"),
            ("xtask/src/main.rs", "dbg!(x);"),
            ("examples/a.rs", "// FIXME: later"),
            ("src/poll.rs", "/* XXX */"),
            ("src/poll.rs", "// TODO later"),
        ],
        good: &[("src/poll.rs", r#"fn dbg() { print("todo!() FIXME") }"#)],
    },
    Rule {
        name: "ignored tests say why",
        find: ignored_without_reason,
        bad: &[
            ("src/poll.rs", "#[test]\n#[ignore]\nfn f() {}"),
            ("tests/suite/a.rs", "#[cfg_attr(miri, ignore)]\nfn f() {}"),
        ],
        good: &[
            ("src/poll.rs", "#[ignore = \"takes an hour\"]\nfn f() {}"),
            (
                "src/poll.rs",
                "#[cfg_attr(miri, ignore = \"no sockets\")]\nfn f() { ignore(x, ignore) }",
            ),
        ],
    },
    Rule {
        name: "issue numbers come with words",
        find: bare_issue_numbers,
        bad: &[
            ("src/poll.rs", "// See #1234."),
            ("src/poll.rs", "f(); // tokio-rs/mio#1234"),
            ("src/poll.rs", "#[test]\nfn issue_1205() {}"),
        ],
        good: &[
            (
                "src/poll.rs",
                "// The kernel forgets the edge when a\n// dup of it was closed first (#1234).",
            ),
            ("src/poll.rs", "// `{:#?}`, #[cfg], #1 of two"),
        ],
    },
    Rule {
        name: "files say what they are",
        find: files_without_comment,
        bad: &[
            ("src/poll.rs", "use std::io;"),
            ("examples/a.rs", "// A.\nfn main() {}"),
        ],
        good: &[("src/poll.rs", "//! Waits.\n"), ("README.md", "Litio")],
    },
    Rule {
        name: "examples are short",
        find: long_examples,
        bad: &[("examples/long.rs", LONG)],
        good: &[("examples/short.rs", "//! Short.\n"), ("src/poll.rs", LONG)],
    },
    Rule {
        name: "tests are named by what they show",
        find: test_prefixes,
        bad: &[("src/poll.rs", "#[test]\nfn test_poll() {}")],
        good: &[(
            "src/poll.rs",
            "#[test]\nfn poll_returns() {} // not fn test_poll",
        )],
    },
    Rule {
        name: "lines of src and comments are at most 100 wide",
        find: wide_lines,
        bad: &[("src/poll.rs", WIDE), ("xtask/src/main.rs", WIDE)],
        good: &[("src/poll.rs", "// a\n// b"), ("README.md", WIDE)],
    },
];

const WIDTH_MAX: usize = 100;

const EXAMPLE_LINES_MAX: usize = 149;

/// What a comment says beside an issue's number, at the least.
const WORDS_BESIDE_NUMBER_MIN: usize = 8;

const LONG: &str = {
    const LINES: [u8; EXAMPLE_LINES_MAX + 1] = [b'\n'; EXAMPLE_LINES_MAX + 1];
    match std::str::from_utf8(&LINES) {
        Ok(text) => text,
        Err(_) => unreachable!(),
    }
};

const WIDE: &str = {
    const LETTERS: [u8; WIDTH_MAX + 1] = [b'/'; WIDTH_MAX + 1];
    match std::str::from_utf8(&LETTERS) {
        Ok(text) => text,
        Err(_) => unreachable!(),
    }
};

fn leftovers(tree: &Tree) -> Vec<Finding> {
    const MACROS: [&str; 3] = ["todo", "unimplemented", "dbg"];
    const MARKS: [&str; 3] = ["TODO", "FIXME", "XXX"];
    let mut findings = Vec::new();
    for file in tree.rust() {
        let code = file.words();
        let calls = code.windows(2).filter(|pair| pair[1].text == "!");
        let calls = calls
            .map(|pair| pair[0])
            .filter(|word| MACROS.contains(&word.text));
        let lines = file.comments.lines().enumerate();
        let marks = lines.flat_map(|(line, text)| {
            let found = MARKS.into_iter().filter(move |mark| text.contains(mark));
            found.map(move |mark| Word {
                line: line + 1,
                text: mark,
            })
        });
        for word in calls.chain(marks) {
            findings.push(file.finding(word.line, format!("`{}` is left over", word.text)));
        }
    }
    findings
}

fn ignored_without_reason(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.rust() {
        let words = file.words();
        for (index, word) in words
            .iter()
            .enumerate()
            .filter(|(_, word)| word.text == "ignore")
        {
            let before = |n: usize| index.checked_sub(n).map_or("", |at| words[at].text);
            let after = words.get(index + 1).map_or("", |after| after.text);
            let is_plain = before(1) == "[" && before(2) == "#";
            let is_conditional = before(1) == "," && {
                let attribute = words[..index].iter().rposition(|word| word.text == "#");
                let closed = words[..index].iter().rposition(|word| word.text == "]");
                attribute > closed
            };
            if (is_plain || is_conditional) && after != "=" {
                findings.push(file.finding(word.line, "ignored without a reason"));
            }
        }
    }
    findings
}

fn bare_issue_numbers(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.rust() {
        for (line, text) in blocks(&file.comments) {
            let is_number = |rest: &str| rest.bytes().take_while(u8::is_ascii_digit).count() >= 2;
            let is_bare = text.split('#').skip(1).any(is_number)
                && text
                    .split_whitespace()
                    .filter(|word| word.len() > 1)
                    .count()
                    <= WORDS_BESIDE_NUMBER_MIN;
            if is_bare {
                findings
                    .push(file.finding(line, "an issue's number says nothing: give the reason"));
            }
        }
        for pair in file.words().windows(2).filter(|pair| pair[0].text == "fn") {
            let number = pair[1].text.split("issue").nth(1).unwrap_or_default();
            if number
                .trim_start_matches('_')
                .starts_with(|c: char| c.is_ascii_digit())
            {
                findings.push(file.finding(pair[1].line, "a test is named by what it shows"));
            }
        }
    }
    findings
}

/// The text in lines that follow each other without a blank one, each with its first line.
fn blocks(text: &str) -> Vec<(usize, String)> {
    let mut blocks: Vec<(usize, String)> = Vec::new();
    let mut is_inside = false;
    for (line, text) in text.lines().enumerate() {
        let text = text.trim();
        match blocks.last_mut() {
            Some((_, block)) if is_inside => block.extend([" ", text]),
            _ if text.is_empty() => {}
            _ => blocks.push((line + 1, text.into())),
        }
        is_inside = !text.is_empty();
    }
    blocks
}

fn files_without_comment(tree: &Tree) -> Vec<Finding> {
    let silent = tree.rust().filter(|file| !file.text.starts_with("//! "));
    silent
        .map(|file| file.finding(1, "does not begin with `//! ` and what it is"))
        .collect()
}

fn long_examples(tree: &Tree) -> Vec<Finding> {
    let examples = tree
        .files
        .iter()
        .filter(|file| file.path.starts_with("examples/"));
    let long = examples.filter(|file| file.text.lines().count() > EXAMPLE_LINES_MAX);
    long.map(|file| file.finding(EXAMPLE_LINES_MAX + 1, "is too long for an example"))
        .collect()
}

fn test_prefixes(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.rust() {
        let mut is_test = false;
        for words in file.words().windows(3) {
            let [first, second, third] = [words[0], words[1], words[2]].map(|word| word.text);
            is_test |= (first, second, third) == ("[", "test", "]");
            is_test &= first != "}";
            if is_test && first == "fn" && second.starts_with("test_") {
                findings.push(file.finding(words[1].line, "a test is named by what it shows"));
            }
        }
    }
    findings
}

/// rustfmt breaks code where it can, and leaves comments alone.
fn wide_lines(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.rust() {
        let is_source = file.path.starts_with("src/");
        for (line, text) in file.text.lines().enumerate() {
            let width = text.chars().count();
            let comment = text.trim_start();
            // A row of a table cannot be broken.
            let is_row = comment.starts_with("/// |") || comment.starts_with("//! |");
            let counts = (is_source || comment.starts_with("//")) && !is_row;
            if width > WIDTH_MAX && counts {
                findings.push(file.finding(line + 1, format!("is {width} wide")));
            }
        }
    }
    findings
}
