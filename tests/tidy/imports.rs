//! An import goes down or it does not exist.

use std::collections::{BTreeMap, BTreeSet};

use crate::Rule;
use crate::source::{Word, is_in, is_name, test_modules};
use crate::tree::{File, Finding, Tree};

pub(crate) const RULES: &[Rule] = &[Rule {
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
}];

/// The floors from the ground up; see ARCHITECTURE.md. Each name is a *room*: the module and all
/// that is below it, unless a longer name gives a part a room of its own. An import stays in its
/// room or goes to a lower floor. Rooms of one floor do not know each other.
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

/// The module that the path's item is written in: re-exports are followed, then what is no module
/// is cut off.
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

/// All paths in the file that begin with `crate`, `self` or `super`, made absolute; those in its
/// test modules are left out.
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

/// Names that the module passes on: from the name as others write it to the path that it stands
/// for.
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

/// Reads `a::{b, c::d as e}` into paths, each with the name that it gets; answers how many words it
/// took.
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

mod tests {
    use super::*;
    use crate::Sample;

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
}
