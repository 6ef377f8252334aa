//! What documents say can be looked up.

use std::collections::BTreeSet;

use crate::Rule;
use crate::tree::{Finding, Tree};

pub(crate) const RULES: &[Rule] = &[
    Rule {
        name: "the tests that show something exist",
        find: unknown_tests,
        bad: &[("compat/README.md", "| a | b | suite `no_such_test`; more |")],
        good: &[
            ("compat/README.md", "| `a_b` | nothing yet, `once` |\n`c_d`"),
            ("src/README.md", "| a | `no_such_test` |"),
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

/// The last column of the tables in `compat/README.md` names what shows something.
fn unknown_tests(tree: &Tree) -> Vec<Finding> {
    let Some(file) = tree
        .files
        .iter()
        .find(|file| file.path == "compat/README.md")
    else {
        return Vec::new();
    };
    let mut known = BTreeSet::new();
    for file in tree.rust() {
        let words = file.words();
        let functions = words.windows(2).filter(|pair| pair[0].text == "fn");
        known.extend(functions.map(|pair| pair[1].text.to_string()));
    }
    let mut findings = Vec::new();
    for (line, text) in file.text.lines().enumerate() {
        let cell = text
            .strip_suffix(" |")
            .and_then(|row| row.rsplit(" | ").next());
        let names = cell.unwrap_or_default().split('`').skip(1).step_by(2);
        let is_test = |name: &&str| {
            name.contains('_') && name.chars().all(|c| c.is_alphanumeric() || c == '_')
        };
        for name in names.filter(is_test) {
            if !known.contains(name) {
                findings.push(file.finding(line + 1, format!("there is no test `{name}`")));
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
