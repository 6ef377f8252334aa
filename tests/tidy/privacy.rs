//! Nobody's machine or network is named.

use crate::Rule;
use crate::tree::{Finding, Tree};

pub(crate) const RULES: &[Rule] = &[Rule {
    name: "nobody's machine is named",
    find: private_names,
    bad: &[
        ("README.md", "Built in /home/me/litio."),
        ("src/poll.rs", "// see /root/x"),
        ("Cargo.toml", "index = \"https://crates.corp/index\""),
        ("xtask/src/main.rs", "fetch(\"http://10.1.2.3/x\")"),
        ("xtask/src/main.rs", "fetch(\"http://mirror:8080/x\")"),
    ],
    good: &[
        (
            "README.md",
            "https://docs.rs/litio, http://localhost:80/, target/home/x",
        ),
        ("src/poll.rs", "// `http://[::1]:80`, /dev/tty"),
    ],
}];

/// Beginnings of paths that exist on somebody's machine only.
const PRIVATE_PATHS: &[&str] = &["/home/", "/root/", "/Users/", "/work/", r"C:\Users\"];

/// Ends of host names that only a private network resolves.
const PRIVATE_HOSTS: &[&str] = &[
    ".internal",
    ".local",
    ".lan",
    ".corp",
    ".intranet",
    ".home.arpa",
];

fn private_names(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    // This file has to spell them.
    for file in tree
        .files
        .iter()
        .filter(|file| file.path != "tests/tidy/privacy.rs")
    {
        for (line, text) in file.text.lines().enumerate() {
            let is_path = |path: &&&str| {
                let mut found = text.match_indices(**path);
                // `target/home/x` is no such path.
                found.any(|(at, _)| {
                    !text[..at].ends_with(|c: char| c.is_alphanumeric() || "/.}>_-".contains(c))
                })
            };
            if let Some(path) = PRIVATE_PATHS.iter().find(is_path) {
                findings.push(file.finding(line + 1, format!("{path} is on one machine only")));
            }
            if let Some(host) = hosts(text).find(|host| is_private(host)) {
                findings.push(file.finding(line + 1, format!("{host} is in one network only")));
            }
        }
    }
    findings
}

/// The hosts of the URLs in the line.
fn hosts(text: &str) -> impl Iterator<Item = &str> {
    let urls = ["http://", "https://", "ssh://", "git://"];
    urls.into_iter()
        .flat_map(|scheme| text.split(scheme).skip(1))
        .map(|rest| {
            let end = rest.find(|c: char| !c.is_alphanumeric() && !"-.@".contains(c));
            let authority = &rest[..end.unwrap_or(rest.len())];
            authority.rsplit('@').next().unwrap_or_default()
        })
}

/// Loopback is everybody's; so is what is filled in later, as in `http://{address}`.
fn is_private(host: &str) -> bool {
    let is_loopback = host == "localhost" || host.starts_with("127.");
    let is_address = !host.is_empty() && host.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let is_one_word = !host.is_empty() && !host.contains('.');
    !is_loopback
        && (is_address || is_one_word || PRIVATE_HOSTS.iter().any(|end| host.ends_with(end)))
}
