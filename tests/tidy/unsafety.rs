//! Unsafe code stays below, and says why it is sound.

use crate::Rule;
use crate::source::Word;
use crate::tree::{File, Finding, Tree};

pub(crate) const RULES: &[Rule] = &[
    Rule {
        name: "unsafe stays below",
        find: unsafe_out_of_place,
        bad: &[
            ("src/poll.rs", "fn f() { unsafe { g() } }"),
            ("src/net/mod.rs", "unsafe impl Send for X {}"),
        ],
        good: &[
            ("src/sys/handle.rs", "unsafe fn f() {}"),
            ("src/poll.rs", "#![deny(unsafe_code)] // unsafe"),
        ],
    },
    Rule {
        name: "unsafe says why it is sound",
        find: unsafe_without_reason,
        bad: &[
            (
                "src/sys/handle.rs",
                "fn f() {\n    let x = unsafe { g() };\n}",
            ),
            ("src/sys/handle.rs", "unsafe impl Send for X {}"),
            (
                "src/sys/handle.rs",
                "// SAFETY: old\nf();\n\nunsafe { g() }",
            ),
            ("src/sys/handle.rs", "/// Does.\nunsafe fn f() {}"),
            ("src/sys/handle.rs", "impl B {\n    pub unsafe fn f() {}\n}"),
            (
                "src/unix/pipe.rs",
                "// why not\nunsafe extern \"C\" { fn f(); }",
            ),
        ],
        good: &[
            (
                "src/sys/handle.rs",
                "// SAFETY: the caller\n// promised.\nlet x = unsafe { g() };",
            ),
            (
                "src/sys/handle.rs",
                "// SAFETY: yes.\nlet x = g(1)\n    .map(|y| unsafe { h(y) });",
            ),
            (
                "src/sys/handle.rs",
                "// SAFETY: yes.\n#[cfg(unix)]\nunsafe impl Send for X {}",
            ),
            (
                "src/sys/handle.rs",
                "/// # Safety\n/// - much\npub(crate) unsafe fn f() {}",
            ),
            (
                "src/sys/handle.rs",
                "impl<T> A for B {\n    fn g() {}\n    unsafe fn f() {}\n}",
            ),
            ("src/sys/handle.rs", "type F = unsafe extern \"C\" fn(i32);"),
            ("src/sys/handle.rs", "f(unsafe { /* SAFETY: yes. */ g() })"),
        ],
    },
];

/// The places where `unsafe` is allowed.
const UNSAFE_PLACES: &[&str] = &[
    "src/fd/",
    "src/sys/",
    "src/unix/",
    "src/unix.rs",
    "src/windows/",
    "src/windows.rs",
];

fn unsafe_out_of_place(tree: &Tree) -> Vec<Finding> {
    let is_above = |file: &&File| {
        !UNSAFE_PLACES
            .iter()
            .any(|place| file.path.starts_with(place))
    };
    let mut findings = Vec::new();
    for file in tree.sources().filter(is_above) {
        for word in file.words().iter().filter(|word| word.text == "unsafe") {
            findings.push(file.finding(
                word.line,
                "unsafe code; it belongs below, see UNSAFE_PLACES",
            ));
        }
    }
    findings
}

fn unsafe_without_reason(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.sources() {
        let words = file.words();
        for (index, word) in words
            .iter()
            .enumerate()
            .filter(|(_, word)| word.text == "unsafe")
        {
            // The ABI's name is a literal and therefore blank, as are its quotes.
            let mut next = words[index + 1..].iter().map(|word| word.text);
            let mut kind = next.next();
            if kind == Some("extern") {
                kind = next.next();
            }
            let wanted = match (kind, next.next()) {
                // The type of a function's pointer promises nothing, and a trait's method says it
                // in the trait.
                (Some("fn"), Some("(")) => continue,
                (Some("fn"), _) if is_in_impl_of_trait(&words[..index]) => continue,
                (Some("fn" | "trait"), _) => "# Safety",
                _ => "SAFETY:",
            };
            if !file.comment_above(word.line).contains(wanted) {
                findings
                    .push(file.finding(word.line, format!("unsafe without `{wanted}` above it")));
            }
        }
    }
    findings
}

/// Whether the innermost block that is open after these words is an `impl Trait for Type`.
fn is_in_impl_of_trait(words: &[Word<'_>]) -> bool {
    let mut depth = 0;
    let open = words.iter().rposition(|word| {
        depth += i32::from(word.text == "{") - i32::from(word.text == "}");
        depth == 1
    });
    let header = &words[..open.unwrap_or(0)];
    let mut header = header
        .iter()
        .rev()
        .take_while(|word| !matches!(word.text, ";" | "{" | "}"));
    header.any(|word| word.text == "for") && header.any(|word| word.text == "impl")
}
