//! The house rules as a test: what a reader of ARCHITECTURE.md may rely on, checked on every file.
//!
//! Each module below holds rules of a kind, with the tables they go by. Each rule carries samples
//! that break it and samples that do not, and `every_rule_can_fail` runs them: a rule that finds
//! nothing any more must not go unnoticed.

mod documents;
mod imports;
mod manifests;
mod privacy;
mod source;
mod style;
mod systems;
mod tree;
mod unsafety;

use std::path::Path;

use crate::tree::{Finding, Tree};

/// A file of a sample: path and text.
pub(crate) type Sample = (&'static str, &'static str);

pub(crate) struct Rule {
    pub(crate) name: &'static str,
    pub(crate) find: fn(&Tree) -> Vec<Finding>,
    /// Each must be found.
    pub(crate) bad: &'static [Sample],
    /// None of them may.
    pub(crate) good: &'static [Sample],
}

const RULES: [&[Rule]; 7] = [
    imports::RULES,
    systems::RULES,
    unsafety::RULES,
    style::RULES,
    privacy::RULES,
    manifests::RULES,
    documents::RULES,
];

#[test]
fn the_house_is_tidy() {
    let tree = Tree::load(Path::new(env!("CARGO_MANIFEST_DIR")));
    assert!(
        tree.files.iter().any(|file| file.path == "src/lib.rs"),
        "the tree was not found"
    );
    let findings: Vec<String> = RULES
        .into_iter()
        .flatten()
        .flat_map(|rule| {
            (rule.find)(&tree)
                .into_iter()
                .map(|f| format!("{f} [{}]", rule.name))
        })
        .collect();
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}

#[test]
fn every_rule_can_fail() {
    for rule in RULES.into_iter().flatten() {
        let find = |sample: &Sample| (rule.find)(&Tree::of(&[*sample]));
        for sample in rule.bad {
            assert!(
                !find(sample).is_empty(),
                "`{}` lets pass: {sample:?}",
                rule.name
            );
        }
        for sample in rule.good {
            let found = find(sample);
            assert!(
                found.is_empty(),
                "`{}` refuses {sample:?}: {}",
                rule.name,
                found[0]
            );
        }
    }
}
