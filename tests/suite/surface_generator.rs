//! Makes `surface.rs` out of `mio-api-linux.txt`, the list of mio's public items, and
//! `surface_windows.rs` out of `mio-api-windows.txt`; and proves that the committed files are what
//! the lists say: so every item of mio is asserted, and none by hand.
//!
//! A list is the output of `cargo public-api -s --features os-poll,os-ext,net` (nightly) in the
//! published crate, with `--target x86_64-pc-windows-gnu` for the second; without what a type is
//! *not* (`impl !`), and what only the compiler may name and no program can tell (`Freeze`,
//! `UnsafeUnpin`). After changing one, run
//! `LITIO_BLESS=1 cargo test --test suite surface` on Linux to write the files anew (empty that of
//! Linux first if it does not compile any more).
//!
//! Each inherent function is coerced to its type, each trait implementation and associated type is
//! asserted; a trait's methods come with its implementation. `StructuralPartialEq` means that
//! constants of the type can be matched.

use std::collections::BTreeSet;
use std::fmt::Write;

/// A system's list, and the file that asserts it.
struct Surface {
    system: &'static str,
    list: &'static str,
    file: &'static str,
    committed: &'static str,
    /// What of the system the file names.
    imports: &'static str,
    /// Numbers of modules, functions and implementations: a list cut short would prove less and
    /// look the same.
    items: (usize, usize, usize),
}

const SURFACES: [Surface; 2] = [
    Surface {
        system: "Linux",
        list: include_str!("mio-api-linux.txt"),
        file: "surface.rs",
        committed: include_str!("surface.rs"),
        imports: "\
use std::os::fd::{AsFd, AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::os::unix::net as unix;
",
        items: (7, 290, 237),
    },
    Surface {
        system: "Windows",
        list: include_str!("mio-api-windows.txt"),
        file: "surface_windows.rs",
        committed: include_str!("surface_windows.rs"),
        imports: "\
use std::os::windows::io::{
    AsRawHandle, AsRawSocket, AsSocket, FromRawHandle, FromRawSocket, IntoRawSocket, OwnedSocket,
};
",
        items: (6, 182, 151),
    },
];

#[test]
fn surface_asserts_every_item_of_the_lists() {
    for surface in SURFACES {
        let generated = generate(&surface);
        if std::env::var_os("LITIO_BLESS").is_some() {
            let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/suite");
            std::fs::write(format!("{folder}/{}", surface.file), generated).unwrap();
            continue;
        }
        // A checkout on Windows may have turned the line ends.
        let committed = surface.committed.replace('\r', "");
        assert!(
            generated == committed,
            "{} is stale: run `LITIO_BLESS=1 cargo test --test suite surface`",
            surface.file
        );
    }
}

#[test]
fn surface_lists_are_complete() {
    for surface in SURFACES {
        let lines = || surface.list.lines();
        let count = |start: &str| lines().filter(|line| line.starts_with(start)).count();
        let items = (count("pub mod"), count("pub fn"), count("impl"));
        assert_eq!(items, surface.items, "{}", surface.system);
    }
}

const IMPORTS: &str = "
#![expect(clippy::type_complexity, reason = \"the types of functions are what this is about\")]

use std::io;
use std::marker::PhantomData;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
";

const HELPERS: &str = "\
use std::time::Duration;

/// Compiles if the type implements the trait.
macro_rules! implements {
    ($type:ty: $($bound:tt)+) => {{
        fn check<T: $($bound)+>() {}
        check::<$type>();
    }};
}
";

/// The paths of rustdoc's JSON, some of them private, and how this crate names the same things.
/// In this order: the longer before its own prefix.
const NAMES: &[(&str, &str)] = &[
    ("core::fmt::Result", "std::fmt::Result"),
    ("core::net::socket_addr::", ""),
    ("core::net::ip_addr::", ""),
    ("core::ops::bit::", "std::ops::"),
    ("core::option::", ""),
    ("core::convert::", ""),
    ("core::clone::", ""),
    ("core::cmp::", ""),
    ("core::hash::Hash", "std::hash::Hash"),
    ("core::marker::", ""),
    ("core::panic::unwind_safe::", "std::panic::"),
    ("core::time::", ""),
    ("core::fmt::Debug", "std::fmt::Debug"),
    ("core::iter::traits::collect::", ""),
    ("core::iter::traits::iterator::", ""),
    ("alloc::boxed::", ""),
    ("std::io::error::", "io::"),
    ("std::io::", "io::"),
    ("std::net::tcp::", "std::net::"),
    ("std::net::udp::", "std::net::"),
    ("std::os::fd::owned::", ""),
    ("std::os::fd::raw::", ""),
    ("std::os::unix::net::addr::", "unix::"),
    ("std::os::unix::net::datagram::", "unix::"),
    ("std::os::unix::net::listener::", "unix::"),
    ("std::os::unix::net::stream::", "unix::"),
    ("std::os::windows::io::raw::", ""),
    ("std::os::windows::io::socket::", ""),
    ("mio::", "litio::"),
    ("'a", "'static"),
];

const ERASED: &str = "(dyn litio::event::Source + 'static)";
const SELECTOR_HAS_FD: &str =
    "    #[cfg(not(any(litio_backend = \"poll\", mio_unsupported_force_poll_poll)))]";

fn generate(surface: &Surface) -> String {
    let mut out = format!(
        "//! Mio's public API on {}, item by item: generated by `surface_generator.rs`, do not edit.\n",
        surface.system
    );
    out += IMPORTS;
    out += surface.imports;
    out += HELPERS;
    let mut seen = BTreeSet::new();
    // The implementation whose items are being listed: its trait, if any, and its type.
    let mut block = (None, String::new());
    let mut is_open = false;
    for line in surface.list.lines() {
        let line = line.strip_prefix("#[repr(transparent)] ").unwrap_or(line);
        let heads_block = ["pub struct", "pub trait", "pub mod", "impl"];
        let is_head = heads_block.iter().any(|head| line.starts_with(head));
        if let Some(implementation) = line.strip_prefix("impl") {
            block = parse_block(implementation);
        }
        if !seen.insert((block.clone(), line)) && !is_head {
            continue; // `Events` is listed under both its paths
        }
        if let Some(module) = line.strip_prefix("pub mod ") {
            if module != "mio" {
                close(&mut out, &mut is_open);
                let module = translate(module);
                writeln!(
                    out,
                    "\n#[expect(unused_imports, reason = \"only that it is there\")]"
                )
                .unwrap();
                writeln!(out, "use {module} as _;").unwrap();
            }
        } else if let Some(item) = line
            .strip_prefix("pub struct ")
            .or_else(|| line.strip_prefix("pub trait "))
        {
            close(&mut out, &mut is_open);
            open(&mut out, item);
            is_open = true;
            writeln!(out, "{}", assert_type(line, item)).unwrap();
            block = (None, item.to_owned());
        } else if let Some(assertion) = assert_item(line, &block) {
            writeln!(out, "{assertion}").unwrap();
        }
    }
    close(&mut out, &mut is_open);
    out
}

/// Starts the test of one type, which gets its name from the path.
fn open(out: &mut String, item: &str) {
    let path = item.split(['(', '<']).next().unwrap();
    let mut name = String::new();
    for c in path.replace("::", "_").chars() {
        if c.is_uppercase() && !name.ends_with('_') {
            name.push('_');
        }
        name.extend(c.to_lowercase());
    }
    write!(
        out,
        "\n#[test]\nfn {name}_is_here_with_all_its_items() {{\n"
    )
    .unwrap();
}

fn close(out: &mut String, is_open: &mut bool) {
    if std::mem::take(is_open) {
        out.push_str("}\n");
    }
}

/// `<'a> core::fmt::Debug for mio::unix::SourceFd<'a>` to its trait and its type.
fn parse_block(implementation: &str) -> (Option<String>, String) {
    let mut header = implementation.split(" where ").next().unwrap().trim();
    if header.starts_with('<') {
        header = header.split_once("> ").unwrap().1;
    }
    match header.split_once(" for ") {
        Some((implemented, subject)) => (Some(implemented.to_owned()), subject.to_owned()),
        None => (None, header.to_owned()),
    }
}

fn assert_type(line: &str, item: &str) -> String {
    if line.starts_with("pub trait") {
        // Object safe, too.
        return format!("    let _: PhantomData<dyn {}>;", translate(item));
    }
    match item.split_once("(pub ") {
        Some((path, field)) => {
            let (path, field) = (translate(path), translate(field.trim_end_matches(')')));
            let constructor = path.split('<').next().unwrap();
            format!("    let _: fn({field}) -> {path} = {constructor};")
        }
        None => format!(
            "    let _: PhantomData<{}>;",
            translate(item.trim_end_matches("(_)"))
        ),
    }
}

fn assert_item(line: &str, (implemented, subject): &(Option<String>, String)) -> Option<String> {
    let type_name = translate(&subject.replace("Box<T>", "Box<dyn mio::event::Source>"));
    if line.starts_with("impl") {
        let implemented = translate(implemented.as_ref()?);
        match implemented.as_str() {
            "StructuralPartialEq" => return Some(assert_matching(&type_name)),
            // Every type can be dropped, and none need say how.
            "core::ops::drop::Drop" => return None,
            _ => {}
        }
        let assertion = format!("    implements!({type_name}: {implemented});");
        let is_of_selector = ["litio::Poll", "litio::Registry"].contains(&type_name.as_str());
        return Some(if is_of_selector && implemented.ends_with("Fd") {
            format!("{SELECTOR_HAS_FD}\n{assertion}")
        } else {
            assertion
        });
    }
    if let Some(constant) = line.strip_prefix("pub const mio") {
        if let Some((name, of)) = constant.split_once(": ") {
            return Some(format!("    let _: {} = litio{name};", translate(of)));
        }
    }
    if let Some(associated) = line.strip_prefix("pub type ") {
        let (path, is) = associated.split_once(" = ").unwrap();
        let name = path.rsplit("::").next().unwrap();
        let implemented = translate(implemented.as_ref().unwrap());
        let is = translate(is);
        return Some(format!(
            "    let _: PhantomData<<{type_name} as {implemented}>::{name}> = PhantomData::<{is}>;"
        ));
    }
    let function = line
        .split_once("fn ")
        .unwrap_or_else(|| panic!("what is this? {line}"))
        .1;
    let is_of_block = function
        .strip_prefix(subject.as_str())
        .is_some_and(|r| r.starts_with("::"));
    if implemented.is_some() && is_of_block {
        return None;
    }
    Some(assert_function(
        function,
        line.starts_with("pub const fn"),
        &type_name,
    ))
}

/// Matches a constant of the type.
fn assert_matching(type_name: &str) -> String {
    let example = match type_name {
        "litio::Interest" => "litio::Interest::READABLE",
        "litio::Token" => "litio::Token(1)",
        _ => panic!("no example of {type_name}"),
    };
    format!(
        "    const EXAMPLE: {type_name} = {example};\n    \
         assert!(matches!({example}, EXAMPLE));"
    )
}

/// Coerces a function to its type. `mio::Poll::new() -> std::io::error::Result<mio::Poll>` becomes
/// `let _: fn() -> io::Result<litio::Poll> = litio::Poll::new;`
fn assert_function(function: &str, is_const: bool, type_name: &str) -> String {
    let signature = function.split(" where ").next().unwrap();
    let open = signature.find('(').unwrap();
    let close = signature.find(") -> ").map_or(signature.len() - 1, |at| at);
    let (path, generics) = match signature[..open].split_once('<') {
        Some((path, generics)) => (path, generics.split(", ").collect()),
        None => (&signature[..open], Vec::new()),
    };
    let mut arguments = translate(&signature[open + 1..close]);
    let mut returned = translate(&signature[close + 1..]);
    let mut path = translate(path);

    // A type for each parameter, which is also given explicitly: their number and order is API.
    let mut given = Vec::new();
    for generic in generics {
        let name = generic.split([':', '>']).next().unwrap();
        let stand_in = match name {
            "A" | "P" => "&'static str",
            "F" => "fn() -> io::Result<u8>",
            "T" => "u8",
            "S" => ERASED,
            _ => panic!("no type to stand in for {name} of {function}"),
        };
        arguments = replace_word(&arguments, name, stand_in);
        returned = replace_word(&returned, name, stand_in);
        given.push(
            stand_in
                .strip_prefix("(dyn")
                .map_or(stand_in.to_owned(), |rest| {
                    format!("dyn{}", rest.trim_end_matches(')'))
                }),
        );
    }
    if !given.is_empty() {
        path = format!("{path}::<{}>", given.join(", "));
    }
    let mut receiver = type_name;
    if type_name == "litio::event::Source" {
        receiver = ERASED;
        path = path.replace(type_name, &format!("<dyn {type_name}>"));
    }
    for (written, meant) in [("&mut self", "&mut "), ("&self", "&"), ("self", "")] {
        if arguments.starts_with(written) {
            arguments = arguments.replacen(written, &format!("{meant}{receiver}"), 1);
            break;
        }
    }
    // Only what is const can be called in a constant, and all of mio's are `Interest`'s.
    let check = match (is_const, arguments.contains(',')) {
        (false, _) => String::new(),
        (true, false) => format!("\n    const {{ {path}(litio::Interest::READABLE) }};"),
        (true, true) => format!(
            "\n    const {{ {path}(litio::Interest::READABLE, litio::Interest::WRITABLE) }};"
        ),
    };
    format!("    let _: fn({arguments}){returned} = {path};{check}")
}

fn translate(text: &str) -> String {
    let mut text = text.to_owned();
    for (theirs, ours) in NAMES {
        text = text.replace(theirs, ours);
    }
    text
}

/// Replaces `word` where it is no part of a longer name.
fn replace_word(text: &str, word: &str, with: &str) -> String {
    let is_name = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(word) {
        let (before, after) = (&rest[..at], &rest[at + word.len()..]);
        out.push_str(before);
        let is_part = is_name(out.chars().last()) || is_name(after.chars().next());
        out.push_str(if is_part { word } else { with });
        rest = after;
    }
    out + rest
}
