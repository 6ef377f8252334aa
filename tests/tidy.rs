//! The house rules as a test: what a reader of ARCHITECTURE.md may rely on, checked on every file.
//!
//! [`RULES`] is the table. Each rule carries samples that break it and samples that do not, and
//! `every_rule_can_fail` runs them: a rule that finds nothing any more must not go unnoticed.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;
use std::{fmt, fs};

// ---------------------------------------------------------------------------------------------------------------------
// The tables
// ---------------------------------------------------------------------------------------------------------------------

/// The floors from the ground up; see ARCHITECTURE.md. Each name is a *room*: the module and all that is below it, unless
/// a longer name gives a part a room of its own. An import stays in its room or goes to a lower floor. Rooms of one floor do
/// not know each other.
const FLOORS: &[&[&str]] = &[
    &["trace"],
    &["token", "interest", "readiness", "busy_poll", "counters"],
    &["raw_event"],
    &["events", "datagram"],
    &["wake_state"],
    // Only what every part of `sys` calls; its parts are rooms of their own.
    &["sys"],
    &["sys::handle"],
    &["sys::selector", "sys::socket", "checker"],
    &["registry"],
    &["poll", "io_source", "waker"],
    &["net"],
    // What all systems with descriptors have, which are more than Unix.
    &["fd"],
    &["unix", "windows", "wasi", "hermit"],
    &["", "guide"],
    &["conformance", "sys::selector::conformance"],
];

/// The lists that choose by system: they may name any.
const SYSTEM_LISTS: &[&str] = &[
    "src/sys/selector/mod.rs",
    "src/sys/socket/mod.rs",
    // Where the kernel writes events.
    "src/raw_event.rs",
];

/// Files of `src/sys` that serve several systems, and the ones whose differences they may name. No other file in `src`
/// names a system outside of its test module; families (`unix`, `windows`, `wasi`) are free.
const SYSTEM_NAMES: &[(&str, &[&str])] = &[
    (
        "src/sys/selector/epoll.rs",
        &["android", "illumos", "linux", "redox"],
    ),
    // Linux has an emulation of it, in tests.
    ("src/sys/selector/kqueue/beside.rs", &["linux"]),
    ("src/sys/selector/kqueue/mod.rs", &["linux"]),
    ("src/sys/selector/kqueue/os.rs", KQUEUE_SYSTEMS),
    ("src/sys/selector/poll.rs", &["android", "linux"]),
    // Linux has an emulation of them, in tests.
    ("src/sys/selector/event_ports/mod.rs", &["linux"]),
    ("src/sys/selector/event_ports/os.rs", &["linux"]),
    ("src/sys/socket/flags.rs", &["android"]),
    // WASI and Hermit are families without a cfg of their own: they have modules as `unix` has.
    ("src/lib.rs", &["hermit", "p1", "wasi"]),
    // On WASI preview 1 a program cannot make sockets, only accept connections.
    ("src/fd/mod.rs", &["p1", "wasi"]),
    ("src/net/mod.rs", &["p1", "wasi"]),
    ("src/net/tcp_listener.rs", &["p1", "wasi"]),
    ("src/net/tcp_stream.rs", &["p1", "wasi"]),
    // Systems of newlib know no `exec`.
    ("src/sys/mod.rs", &["newlib", "p1", "wasi"]),
    ("src/sys/socket/fcntl.rs", &["apple"]),
    // The suite's own lists: which backends run, and what each is expected to show.
    (
        "src/conformance/mod.rs",
        &[
            "android",
            "apple",
            "dragonfly",
            "freebsd",
            "illumos",
            "linux",
            "netbsd",
            "openbsd",
            "solaris",
        ],
    ),
    ("src/conformance/expected.rs", &["android", "linux"]),
];

const KQUEUE_SYSTEMS: &[&str] = &[
    "apple",
    "dragonfly",
    "freebsd",
    "linux",
    "netbsd",
    "openbsd",
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

/// The features of the library: the default, the one real switch, and Mio's names.
const FEATURES: &[(&str, &str)] = &[
    ("default", r#"["log"]"#),
    ("log", r#"["dep:log"]"#),
    ("net", "[]"),
    ("os-ext", r#"["os-poll"]"#),
    ("os-poll", "[]"),
];

/// What the packages that others build depend on: manifest, then each dependency with the table that it stands in. What only
/// tests need is free, since cargo shows it to nobody else, as long as it stays in a table of `dev-dependencies`.
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

const WIDTH_MAX: usize = 100;

const EXAMPLE_LINES_MAX: usize = 149;

/// What a comment says beside an issue's number, at the least.
const WORDS_BESIDE_NUMBER_MIN: usize = 8;

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

/// A file of a sample: path and text.
type Sample = (&'static str, &'static str);

struct Rule {
    name: &'static str,
    find: fn(&Tree) -> Vec<Finding>,
    /// Each must be found.
    bad: &'static [Sample],
    /// None of them may.
    good: &'static [Sample],
}

const RULES: &[Rule] = &[
    Rule {
        name: "imports go down",
        find: imports_that_go_up,
        bad: &[
            ("src/token.rs", "use crate::poll::Poll;"),
            ("src/events.rs", "use crate::{token::Token, registry};"),
            ("src/interest.rs", "use crate::token::Token;"),
            (
                "src/sys/selector/epoll.rs",
                "fn f() { crate::sys::socket::close() }",
            ),
            (
                "src/sys/socket/unix.rs",
                "use super::super::selector::Selector;",
            ),
            (
                "src/sys/handle.rs",
                "mod a { use super::super::socket::x; }",
            ),
            ("src/net/tcp_stream.rs", "use crate::unix::SourceFd;"),
            ("src/registry.rs", "use crate::Poll;"),
            ("src/unheard_of.rs", "use crate::token::Token;"),
        ],
        good: &[
            (
                "src/events.rs",
                "use crate::token::Token;\n// see crate::poll",
            ),
            (
                "src/net/tcp_listener.rs",
                "use super::tcp_stream::TcpStream;\nuse crate::sys;",
            ),
            (
                "src/sys/selector/epoll.rs",
                "use super::backend::Backend;\nuse crate::sys::handle;",
            ),
            (
                "src/token.rs",
                "#[cfg(test)]\nmod tests { use crate::poll::Poll; }",
            ),
            (
                "src/sys/selector/afd/mod.rs",
                "pub(in crate::sys) use self::device::Device;",
            ),
            (
                "src/lib.rs",
                "pub use token::Token;\npub use crate::poll::Poll;",
            ),
        ],
    },
    Rule {
        name: "systems are named in the two lists",
        find: systems_out_of_place,
        bad: &[
            ("src/poll.rs", r#"#[cfg(target_os = "linux")] fn f() {}"#),
            (
                "src/net/mod.rs",
                r#"#[cfg(not(target_vendor = "apple"))] mod x;"#,
            ),
            (
                "src/sys/selector/epoll.rs",
                r#"fn f() { if cfg!(target_os = "macos") {} }"#,
            ),
            ("src/sys/handle.rs", r#"#[cfg(target_env = "p1")] use x;"#),
        ],
        good: &[
            (
                "src/sys/selector/mod.rs",
                r#"#[cfg(target_os = "haiku")] mod poll;"#,
            ),
            (
                "src/sys/selector/epoll.rs",
                r#"#[cfg(target_os = "android")] use x;"#,
            ),
            ("src/poll.rs", "#[cfg(unix)] fn f() {} // not target_os"),
            (
                "src/poll.rs",
                "#[cfg(test)]\nmod tests {\n#[cfg(target_os = \"linux\")] fn f() {} }",
            ),
            (
                "tests/suite/main.rs",
                r#"#[cfg(target_os = "linux")] mod x;"#,
            ),
        ],
    },
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
        name: "lines of src are at most 100 wide",
        find: wide_lines,
        bad: &[("src/poll.rs", WIDE)],
        good: &[("src/poll.rs", "// a\n// b"), ("README.md", WIDE)],
    },
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

// ---------------------------------------------------------------------------------------------------------------------
// The tests
// ---------------------------------------------------------------------------------------------------------------------

#[test]
fn the_house_is_tidy() {
    let tree = Tree::load(Path::new(env!("CARGO_MANIFEST_DIR")));
    assert!(
        tree.files.iter().any(|file| file.path == "src/lib.rs"),
        "the tree was not found"
    );
    let findings: Vec<String> = RULES
        .iter()
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
    for rule in RULES {
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

#[test]
fn imports_through_a_reexport_count_for_where_the_item_lives() {
    let lib = (
        "src/lib.rs",
        "mod token;\npub use token::Token;\npub use crate::poll::{Poll as P};",
    );
    let find = |user: Sample| imports_that_go_up(&Tree::of(&[lib, user, ("src/token.rs", "")]));
    assert!(find(("src/events.rs", "use crate::Token;")).is_empty());
    assert!(!find(("src/events.rs", "use crate::P;")).is_empty());
}

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

// ---------------------------------------------------------------------------------------------------------------------
// The rules
// ---------------------------------------------------------------------------------------------------------------------

fn imports_that_go_up(tree: &Tree) -> Vec<Finding> {
    let reexports: BTreeMap<String, String> = tree.sources().flat_map(reexports_of).collect();
    let modules: BTreeSet<String> = tree.sources().map(File::module).collect();
    let mut findings = Vec::new();
    for file in tree.sources() {
        let Some((from_floor, from_room)) = room(&file.module()) else {
            findings.push(file.finding(1, "stands on no floor: give it one in FLOORS"));
            continue;
        };
        for (line, path) in imports_of(file) {
            let home = home(&path, &reexports, &modules);
            let Some((floor, to_room)) = room(&home) else {
                findings.push(file.finding(line, format!("imports {path}, which has no floor")));
                continue;
            };
            if to_room != from_room && floor >= from_floor {
                let why =
                    format!("`{from_room}` imports `{path}` of `{to_room}`, which is not below");
                findings.push(file.finding(line, why));
            }
        }
    }
    findings
}

/// Floor and room of a module.
fn room(module: &str) -> Option<(usize, &'static str)> {
    let is_in = |room: &str| match module.strip_prefix(room) {
        // The root's own room is its file only, so that every module must be given a floor.
        Some(rest) if room.is_empty() => rest.is_empty(),
        Some(rest) => rest.is_empty() || rest.starts_with("::"),
        None => false,
    };
    let rooms = FLOORS.iter().enumerate().flat_map(|(floor, rooms)| {
        rooms
            .iter()
            .map(move |room| (floor, *room))
            .filter(|(_, room)| is_in(room))
    });
    rooms.max_by_key(|(_, room)| room.len())
}

/// The module that the path's item is written in: re-exports are followed, then what is no module is cut off.
fn home(path: &str, reexports: &BTreeMap<String, String>, modules: &BTreeSet<String>) -> String {
    let mut path = path.to_string();
    // A circle of re-exports does not compile; the bound is for samples.
    for _ in 0..8 {
        let mut ends = (0..=path.len()).filter(|end| path[*end..].starts_with("::"));
        let whole = std::iter::once(path.len());
        let Some((end, target)) = whole
            .chain(ends.by_ref())
            .find_map(|end| reexports.get(&path[..end]).map(|target| (end, target)))
        else {
            break;
        };
        path = format!("{target}{}", &path[end..]);
    }
    // An import of a module that a sample does not hold still names a room.
    let is_module =
        |path: &str| modules.contains(path) || room(path).is_some_and(|(_, r)| r == path);
    while !path.is_empty() && !is_module(&path) {
        path.truncate(path.rfind("::").unwrap_or(0));
    }
    path
}

/// All paths in the file that begin with `crate`, `self` or `super`, made absolute; those in its test modules are left out.
fn imports_of(file: &File) -> Vec<(usize, String)> {
    let mut words = file.words();
    let tests = test_modules(&words);
    words.retain(|word| !is_in(&tests, word.line));
    let mut imports = Vec::new();
    let mut inline: Vec<(String, usize)> = Vec::new();
    let mut depth = 0;
    for (index, word) in words.iter().enumerate() {
        match word.text {
            "{" => {
                depth += 1;
                if index >= 2 && words[index - 2].text == "mod" {
                    inline.push((words[index - 1].text.into(), depth));
                }
            }
            "}" => {
                if inline.last().is_some_and(|(_, opened)| *opened == depth) {
                    inline.pop();
                }
                depth = depth.saturating_sub(1);
            }
            "crate" | "self" | "super" if begins_path(&words, index) => {
                let mut module = file.module();
                for (name, _) in &inline {
                    module = join(&module, name);
                }
                let paths = tree_of_paths(&words[index..], "").0;
                let absolute = paths.into_iter().map(|(path, _)| absolute(&path, &module));
                imports.extend(absolute.map(|path| (word.line, path)));
            }
            _ => {}
        }
    }
    imports
}

/// Whether the word at `index` is the first of a path; that of `pub(in crate::x)` imports nothing.
fn begins_path(words: &[Word<'_>], index: usize) -> bool {
    let before = index.checked_sub(1).map_or("", |before| words[before].text);
    let after = words.get(index + 1).map_or("", |after| after.text);
    before != "::" && before != "in" && after == "::"
}

/// Names that the module passes on: from the name as others write it to the path that it stands for.
fn reexports_of(file: &File) -> Vec<(String, String)> {
    let words = file.words();
    let module = file.module();
    let mut names = Vec::new();
    for (index, word) in words.iter().enumerate() {
        let is_public = index > 0 && matches!(words[index - 1].text, "pub" | ")");
        if word.text != "use" || !is_public {
            continue;
        }
        for (path, name) in tree_of_paths(&words[index + 1..], "").0 {
            if name != "*" {
                names.push((join(&module, &name), absolute(&path, &module)));
            }
        }
    }
    names
}

/// Reads `a::{b, c::d as e}` into paths, each with the name that it gets; answers how many words it took.
fn tree_of_paths(words: &[Word<'_>], prefix: &str) -> (Vec<(String, String)>, usize) {
    let mut path = prefix.to_string();
    let mut name = String::new();
    let mut index = 0;
    while let Some(word) = words.get(index) {
        match word.text {
            "{" => {
                let mut paths = Vec::new();
                index += 1;
                while words.get(index).is_some_and(|word| word.text != "}") {
                    let (inner, length) = tree_of_paths(&words[index..], &path);
                    paths.extend(inner);
                    // At least the comma, so that what is no path cannot stop us.
                    index += length.max(1);
                }
                return (paths, index + 1);
            }
            "*" => return (vec![(path, "*".into())], index + 1),
            text if is_name(text) => {
                // `{self}` is the prefix itself.
                if text != "self" || path.is_empty() {
                    path = join(&path, text);
                    name = text.into();
                } else {
                    name = path.rsplit("::").next().unwrap_or_default().into();
                }
                index += 1;
            }
            _ => return (Vec::new(), index),
        }
        match words.get(index).map(|word| word.text) {
            Some("::") => index += 1,
            Some("as") => {
                name = words.get(index + 1).map_or("", |word| word.text).into();
                return (vec![(path, name)], index + 2);
            }
            _ => break,
        }
    }
    (
        if name.is_empty() {
            Vec::new()
        } else {
            vec![(path, name)]
        },
        index,
    )
}

/// The path from the crate's root, without `crate` itself.
fn absolute(path: &str, module: &str) -> String {
    let mut base: Vec<&str> = module.split("::").filter(|name| !name.is_empty()).collect();
    let mut names = path.split("::").peekable();
    while let Some(name) = names.peek() {
        match *name {
            "crate" => base.clear(),
            "super" => drop(base.pop()),
            "self" => {}
            _ => break,
        }
        names.next();
    }
    base.into_iter().chain(names).collect::<Vec<_>>().join("::")
}

fn join(module: &str, name: &str) -> String {
    if module.is_empty() {
        name.into()
    } else {
        format!("{module}::{name}")
    }
}

/// First and last line of each `#[cfg(test)] mod name { … }`: tests may look at the whole house.
fn test_modules(words: &[Word<'_>]) -> Vec<(usize, usize)> {
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
fn matching_brace(words: &[Word<'_>]) -> usize {
    let mut depth = 0;
    let end = words.iter().position(|word| {
        depth += i32::from(word.text == "{") - i32::from(word.text == "}");
        depth == 0
    });
    end.unwrap_or(words.len() - 1)
}

fn is_in(modules: &[(usize, usize)], line: usize) -> bool {
    modules
        .iter()
        .any(|(first, last)| (*first..=*last).contains(&line))
}

fn systems_out_of_place(tree: &Tree) -> Vec<Finding> {
    const KEYS: [&str; 3] = ["target_os", "target_vendor", "target_env"];
    let mut findings = Vec::new();
    for file in tree
        .sources()
        .filter(|file| !SYSTEM_LISTS.contains(&&*file.path))
    {
        let tests = test_modules(&file.words());
        let own = SYSTEM_NAMES.iter().find(|(path, _)| *path == file.path);
        let own = own.map_or::<&[&str], _>(&[], |(_, names)| names);
        for (line, text) in file.without_comments.lines().enumerate() {
            for rest in KEYS.iter().flat_map(|key| text.split(key).skip(1)) {
                let name = rest.split('"').nth(1).unwrap_or_default();
                if !own.contains(&name) && !is_in(&tests, line + 1) {
                    let why =
                        format!("names the system {name:?}; see SYSTEM_LISTS and SYSTEM_NAMES");
                    findings.push(file.finding(line + 1, why));
                }
            }
        }
    }
    findings
}

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
                // The type of a function's pointer promises nothing, and a trait's method says it in the trait.
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

fn private_names(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    // This file has to spell them.
    for file in tree
        .files
        .iter()
        .filter(|file| file.path != "tests/tidy.rs")
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

fn wide_lines(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.sources() {
        for (line, text) in file.text.lines().enumerate() {
            let width = text.chars().count();
            // A row of a table cannot be broken.
            let is_row = text.trim_start().starts_with("/// |") || text.starts_with("//! |");
            if width > WIDTH_MAX && !is_row {
                findings.push(file.finding(line + 1, format!("is {width} wide")));
            }
        }
    }
    findings
}

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

// ---------------------------------------------------------------------------------------------------------------------
// The tree
// ---------------------------------------------------------------------------------------------------------------------

struct Finding {
    path: String,
    line: usize,
    what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.what)
    }
}

struct Tree {
    files: Vec<File>,
}

impl Tree {
    /// Reads all text files of the project.
    fn load(root: &Path) -> Tree {
        let mut tree = Tree { files: Vec::new() };
        tree.load_folder(root, "");
        tree
    }

    fn load_folder(&mut self, folder: &Path, prefix: &str) {
        const KINDS: [&str; 8] = ["rs", "md", "toml", "yml", "yaml", "py", "sh", "txt"];
        const SKIPPED: [&str; 3] = [".git", "target", "corpus"];
        let entries = fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
        for entry in entries.map(Result::unwrap) {
            let (path, name) = (entry.path(), entry.file_name().into_string().unwrap());
            let relative = format!("{prefix}{name}");
            let is_text = path
                .extension()
                .is_some_and(|kind| KINDS.iter().any(|k| kind == *k));
            if path.is_dir() && !SKIPPED.contains(&&*name) {
                self.load_folder(&path, &format!("{relative}/"));
            } else if is_text || relative == ".ci/run" {
                let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{relative}: {e}"));
                self.files.push(File::new(&relative, &text));
            }
        }
    }

    fn of(samples: &[Sample]) -> Tree {
        Tree {
            files: samples
                .iter()
                .map(|(path, text)| File::new(path, text))
                .collect(),
        }
    }

    fn rust(&self) -> impl Iterator<Item = &File> {
        self.files.iter().filter(|file| file.path.ends_with(".rs"))
    }

    /// The library's own.
    fn sources(&self) -> impl Iterator<Item = &File> {
        self.rust().filter(|file| file.path.starts_with("src/"))
    }
}

/// A file and, for Rust, three views of it in which the rest is blank; lines stay where they are.
struct File {
    path: String,
    text: String,
    /// Neither comments nor literals.
    code: String,
    without_comments: String,
    comments: String,
    /// The words of `code`: line and place.
    words: Vec<(usize, Range<usize>)>,
}

impl File {
    fn new(path: &str, text: &str) -> File {
        let (mut code, mut without_comments, mut comments) = Default::default();
        if path.ends_with(".rs") {
            for (kind, piece) in pieces(text) {
                let blank = "\n".repeat(piece.matches('\n').count()) + " ";
                let pick = |is_seen: bool| if is_seen { piece } else { blank.as_str() };
                String::push_str(&mut code, pick(kind == Kind::Code));
                String::push_str(&mut without_comments, pick(kind != Kind::Comment));
                String::push_str(&mut comments, pick(kind == Kind::Comment));
            }
        }
        let words = words(&code)
            .iter()
            .map(|word| {
                let start = word.text.as_ptr().addr() - code.as_ptr().addr();
                (word.line, start..start + word.text.len())
            })
            .collect();
        File {
            path: path.into(),
            text: text.into(),
            code,
            without_comments,
            comments,
            words,
        }
    }

    fn words(&self) -> Vec<Word<'_>> {
        let words = self.words.iter();
        words
            .map(|(line, place)| Word {
                line: *line,
                text: &self.code[place.clone()],
            })
            .collect()
    }

    /// The module that the file is, as `sys::selector::epoll`; the root is empty.
    fn module(&self) -> String {
        let path = self.path.trim_start_matches("src/").trim_end_matches(".rs");
        let path = path.strip_suffix("/mod").unwrap_or(path);
        if path == "lib" {
            String::new()
        } else {
            path.replace('/', "::")
        }
    }

    fn finding(&self, line: usize, what: impl Into<String>) -> Finding {
        Finding {
            path: self.path.clone(),
            line,
            what: what.into(),
        }
    }

    /// The comments on this line and above the statement or item that it belongs to.
    fn comment_above(&self, line: usize) -> String {
        let code: Vec<&str> = self.code.lines().collect();
        let comments: Vec<&str> = self.comments.lines().collect();
        let mut above = comments[line - 1].to_string();
        let mut is_above_statement = false;
        for index in (0..line - 1).rev() {
            let (code, comment) = (code[index].trim(), comments[index].trim());
            // An earlier statement, or the block that this one is the first of, or a gap.
            let is_end = code.ends_with([';', '{', '}']) || (code.is_empty() && comment.is_empty());
            if is_end || (is_above_statement && !code.is_empty()) {
                break;
            }
            is_above_statement |= code.is_empty();
            above += comment;
        }
        above
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Code,
    Literal,
    Comment,
}

/// Cuts Rust into code, literals and comments.
fn pieces(text: &str) -> Vec<(Kind, &str)> {
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
struct Word<'a> {
    line: usize,
    text: &'a str,
}

fn words(text: &str) -> Vec<Word<'_>> {
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

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphanumeric() || c == '_')
}
