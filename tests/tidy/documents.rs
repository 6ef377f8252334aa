//! What documents say can be looked up, and where they point there is something.

use std::collections::BTreeSet;
use std::path::Path;

use crate::Rule;
use crate::tree::{Finding, Tree};

pub(crate) const RULES: &[Rule] = &[
    Rule {
        name: "the tests that show something exist",
        find: unknown_tests,
        bad: &[
            ("compat/README.md", "| a | b | suite `no_such_test`; more |"),
            ("RELIABILITY.md", "| a | `there_is_no_such_test` | 7 |"),
            ("README.md", "As `there::is_no_such_test` shows."),
        ],
        good: &[
            ("compat/README.md", "| `a_b` | nothing yet, `once` |\n`c_d`"),
            ("src/README.md", "| a | `no_such_test` |"),
            (
                "RELIABILITY.md",
                "| `epoll_pwait2` | `tests/no_such_test_x` |",
            ),
        ],
    },
    Rule {
        name: "links from page to page lead somewhere",
        find: broken_links,
        bad: &[
            ("README.md", "The [map](no/such/page.md)."),
            ("compat/README.md", "![a chart](bench/results/around.svg)"),
        ],
        good: &[
            (
                "README.md",
                "[a](LICENSE), [b](src/net/mod.rs#x), [c](bench)",
            ),
            (
                "compat/README.md",
                "[a](#part), [b](../README.md), [c](https://example.com/)",
            ),
        ],
    },
    Rule {
        name: "changelogs have an Unreleased",
        find: changelogs_without_unreleased,
        bad: &[(
            "crates/mio/CHANGELOG.md",
            "# Changelog\n\n## 1.0.0 - 2026-01-31\n",
        )],
        good: &[("CHANGELOG.md", "# Changelog\n\n## Unreleased\n")],
    },
];

/// The last column of the tables in `compat/README.md` names what shows something; so does every
/// name that is a sentence, on the pages that promise.
fn unknown_tests(tree: &Tree) -> Vec<Finding> {
    let is_name = |name: &str| name.chars().all(|c| c.is_alphanumeric() || c == '_');
    let mut known = BTreeSet::new();
    for file in tree.rust() {
        let words = file.words();
        let functions = words.windows(2).filter(|pair| pair[0].text == "fn");
        known.extend(functions.map(|pair| pair[1].text.to_string()));
    }
    let mut findings = Vec::new();
    for file in &tree.files {
        let (is_table, underscores_min) = match file.path.as_str() {
            "compat/README.md" => (true, 1),
            "README.md" | "RELIABILITY.md" => (false, 3),
            _ => continue,
        };
        for (line, text) in file.text.lines().enumerate() {
            let cell = text
                .strip_suffix(" |")
                .and_then(|row| row.rsplit(" | ").next());
            let place = if is_table {
                cell.unwrap_or_default()
            } else {
                text
            };
            let names = place.split('`').skip(1).step_by(2);
            let names = names.map(|name| name.rsplit("::").next().unwrap_or(name));
            let is_test =
                |name: &&str| name.matches('_').count() >= underscores_min && is_name(name);
            for name in names.filter(is_test) {
                if !known.contains(name) {
                    findings.push(file.finding(line + 1, format!("there is no test `{name}`")));
                }
            }
        }
    }
    findings
}

/// Whether what a page links to within the project exists.
fn broken_links(tree: &Tree) -> Vec<Finding> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut findings = Vec::new();
    for file in tree.files.iter().filter(|file| file.path.ends_with(".md")) {
        let folder = root.join(&file.path);
        let folder = folder.parent().unwrap_or(root);
        for (line, text) in file.text.lines().enumerate() {
            let targets = text
                .split("](")
                .skip(1)
                .filter_map(|rest| rest.split(')').next());
            for target in targets {
                let path = target.split('#').next().unwrap_or_default();
                if !target.contains("://") && !folder.join(path).exists() {
                    findings.push(file.finding(line + 1, format!("`{target}` leads nowhere")));
                }
            }
        }
    }
    findings
}

fn changelogs_without_unreleased(tree: &Tree) -> Vec<Finding> {
    let logs = tree
        .files
        .iter()
        .filter(|file| file.path.ends_with("CHANGELOG.md"));
    let without = logs.filter(|file| !file.text.lines().any(|line| line == "## Unreleased"));
    without
        .map(|file| file.finding(1, "has no `## Unreleased`"))
        .collect()
}
