//! The features and dependencies of the packages that others build.

use crate::Rule;
use crate::source::is_name;
use crate::tree::{File, Finding, Tree};

pub(crate) const RULES: &[Rule] = &[
    Rule {
        name: "the features are these",
        find: other_features,
        bad: &[
            ("Cargo.toml", "[features]\ndefault = []"),
            (
                "Cargo.toml",
                "[features]\ndefault = [\"log\"]\nlog = [\"dep:log\"]\nos-poll = []\n\
                 os-ext = [\"os-poll\"]\nnet = []\nextra = []",
            ),
        ],
        good: &[(
            "Cargo.toml",
            "[features]\n# Words.\ndefault = [\"log\"]\nlog = [\"dep:log\"]\nos-poll = []\n\
             os-ext = [\"os-poll\"]\nnet = []\n\n[dependencies]\nx = \"1\"",
        )],
    },
    Rule {
        name: "published dependencies are these",
        find: other_dependencies,
        bad: &[
            (
                "Cargo.toml",
                "[dependencies]\n# Models.\nloom = { version = \"0.7\", optional = true }",
            ),
            (
                "Cargo.toml",
                "[target.'cfg(litio_loom)'.dependencies]\nloom = \"0.7\"",
            ),
            ("Cargo.toml", "[dependencies.rand]\nversion = \"1\""),
            ("Cargo.toml", "[build-dependencies]\ncc = \"1\""),
            ("crates/mio/Cargo.toml", "[dependencies]\nlog = \"0.4\""),
        ],
        good: &[
            (
                "Cargo.toml",
                "[dependencies]\n# Traces.\nlog = \"0.4\"\n\n[dev-dependencies]\n# Models.\nloom = \"0.7\"\n\n\
                 [target.'cfg(windows)'.dependencies.windows-sys]\n# The system.\nversion = \"1\"",
            ),
            (
                "Cargo.toml",
                "[target.'cfg(litio_loom)'.dev-dependencies]\n# Models.\nloom = \"0.7\"",
            ),
            ("bench/Cargo.toml", "[dependencies]\nmio = \"1\""),
        ],
    },
    Rule {
        name: "dependencies say why they are there",
        find: dependencies_without_reason,
        bad: &[
            ("Cargo.toml", "[dependencies]\nlog = \"0.4\""),
            (
                "Cargo.toml",
                "[dev-dependencies]\n# A.\na = \"1\"\nb = \"1\"",
            ),
            ("Cargo.toml", "[dependencies.log]\nversion = \"0.4\""),
        ],
        good: &[
            ("Cargo.toml", "[dependencies]\n# Traces.\nlog = \"0.4\""),
            (
                "Cargo.toml",
                "[dependencies.log]\n# Traces.\nversion = \"0.4\"",
            ),
            ("xtask/Cargo.toml", "[dependencies]\nclap = \"4\""),
        ],
    },
];

/// The features of the library: the default, the one real switch, and Mio's names.
const FEATURES: &[(&str, &str)] = &[
    ("default", r#"["log"]"#),
    ("log", r#"["dep:log"]"#),
    ("net", "[]"),
    ("os-ext", r#"["os-poll"]"#),
    ("os-poll", "[]"),
];

/// What the packages that others build depend on: manifest, then each dependency with the table
/// that it stands in. What only tests need is free, since cargo shows it to nobody else, as long as
/// it stays in a table of `dev-dependencies`.
const DEPENDENCIES: &[(&str, &[(&str, &str)])] = &[
    (
        "Cargo.toml",
        &[
            ("dependencies", "log"),
            (
                r#"target.'cfg(any(unix, target_os = "hermit", target_os = "wasi"))'.dependencies"#,
                "libc",
            ),
            ("target.'cfg(windows)'.dependencies", "windows-sys"),
        ],
    ),
    ("compat/mio-0.8/Cargo.toml", &[("dependencies", "litio")]),
    ("crates/mio/Cargo.toml", &[("dependencies", "litio")]),
];

fn other_features(tree: &Tree) -> Vec<Finding> {
    let Some(manifest) = tree.files.iter().find(|file| file.path == "Cargo.toml") else {
        return Vec::new();
    };
    let section = manifest
        .text
        .split("[features]\n")
        .nth(1)
        .unwrap_or_default();
    let section = section.split("\n[").next().unwrap_or_default();
    let mut features: Vec<(&str, &str)> = section
        .lines()
        .filter(|l| !l.starts_with('#'))
        .filter_map(|l| l.split_once(" = "))
        .collect();
    features.sort_unstable();
    if features == FEATURES {
        return Vec::new();
    }
    vec![manifest.finding(
        1,
        format!("has the features {features:?}, not {FEATURES:?}"),
    )]
}

fn other_dependencies(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, expected) in DEPENDENCIES {
        let manifest = tree.files.iter().find(|file| file.path == *path);
        for found in manifest.map(dependencies_of).unwrap_or_default() {
            let is_for_tests = found.table.ends_with("dev-dependencies");
            if !is_for_tests && !expected.contains(&(found.table, found.name)) {
                let why = format!(
                    "whoever uses it would build {} too: make it a dev-dependency, or see DEPENDENCIES",
                    found.name
                );
                findings.extend(manifest.map(|file| file.finding(found.line, why)));
            }
        }
    }
    findings
}

fn dependencies_without_reason(tree: &Tree) -> Vec<Finding> {
    let Some(manifest) = tree.files.iter().find(|file| file.path == "Cargo.toml") else {
        return Vec::new();
    };
    let found = dependencies_of(manifest).into_iter();
    found
        .filter(|dependency| !dependency.says_why)
        .map(|dependency| {
            let why = format!("{} needs a comment that says why", dependency.name);
            manifest.finding(dependency.line, why)
        })
        .collect()
}

/// A dependency in a manifest.
struct Dependency<'a> {
    /// As `target.'cfg(windows)'.dependencies`.
    table: &'a str,
    name: &'a str,
    line: usize,
    /// A comment stands above it; if it has a table of its own, below that one's name.
    says_why: bool,
}

fn dependencies_of(manifest: &File) -> Vec<Dependency<'_>> {
    const TABLE: &str = "dependencies";
    let lines: Vec<&str> = manifest.text.lines().collect();
    let is_comment = |line: usize| lines.get(line).is_some_and(|line| line.starts_with('#'));
    let mut found = Vec::new();
    let mut table = "";
    for (index, line) in lines.iter().enumerate() {
        let header = line
            .strip_prefix('[')
            .and_then(|rest| rest.split(']').next());
        let entry = line.split([' ', '.', '=']).next().unwrap_or_default();
        let (name, reason) = if let Some(header) = header {
            table = header;
            let Some((before, name)) = header.rsplit_once("dependencies.") else {
                continue;
            };
            table = &header[..before.len() + TABLE.len()];
            (name, index + 1)
        } else if is_name(entry) && table.ends_with(TABLE) {
            (entry, index.wrapping_sub(1))
        } else {
            continue;
        };
        found.push(Dependency {
            table,
            name,
            line: index + 1,
            says_why: is_comment(reason),
        });
        // What follows are the dependency's own keys.
        if header.is_some() {
            table = "";
        }
    }
    found
}
