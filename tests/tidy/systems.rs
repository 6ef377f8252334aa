//! Operating systems are named in two lists.

use crate::Rule;
use crate::source::{is_in, test_modules};
use crate::tree::{Finding, Tree};

pub(crate) const RULES: &[Rule] = &[Rule {
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
}];

/// The lists that choose by system: they may name any.
const SYSTEM_LISTS: &[&str] = &[
    "src/sys/selector/mod.rs",
    "src/sys/socket/mod.rs",
    // Where the kernel writes events.
    "src/raw_event.rs",
];

/// Files of `src/sys` that serve several systems, and the ones whose differences they may name. No
/// other file in `src` names a system outside of its test module; families (`unix`, `windows`,
/// `wasi`) are free.
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
