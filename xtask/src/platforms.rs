//! The tables of PLATFORMS.md, written from what the runs on this machine have left in
//! `target/results`.
//!
//! What has not run here keeps the lines that it has, with their dates.

use std::collections::BTreeMap;
use std::fs;

use crate::results;
use crate::step::{Context, Note};
use crate::steps;
use crate::targets;

const FILE: &str = "PLATFORMS.md";
const BEGIN: &str = "<!-- Written by `cargo xtask platforms`. -->\n";
const END: &str = "<!-- So far. -->\n";

/// How long a line of text may be.
const WIDTH: usize = 128;

/// Writes the tables, and says how much of them is new.
pub(crate) fn write(context: &Context) -> Result<Note, String> {
    let path = context.root.join(FILE);
    let text = fs::read_to_string(&path).map_err(|error| format!("{FILE}: {error}"))?;
    let parts = text
        .split_once(BEGIN)
        .and_then(|(head, rest)| rest.split_once(END).map(|(old, foot)| (head, old, foot)));
    let (head, old, foot) = parts.ok_or_else(|| format!("{FILE}: no place for the tables"))?;
    let mut tables = Tables {
        old,
        fresh: 0,
        kept: 0,
        lost: Vec::new(),
    };
    let new = tables.all(context);
    let Tables {
        fresh, kept, lost, ..
    } = tables;
    fs::write(&path, format!("{head}{BEGIN}{new}{END}{foot}"))
        .map_err(|error| format!("{FILE}: {error}"))?;
    let mut note = format!("{fresh} rows from runs here, {kept} as they were");
    if !lost.is_empty() {
        note += &format!("; never run: {}", lost.join(", "));
    }
    Ok(note)
}

struct Tables<'a> {
    /// What stands there now.
    old: &'a str,
    fresh: usize,
    kept: usize,
    lost: Vec<String>,
}

impl Tables<'_> {
    fn all(&mut self, context: &Context) -> String {
        let mut text = String::from(
            "\n| step | target | on | backend | passed | failed | ignored | kqueue | event ports | date |\n\
             |---|---|---|---|---|---|---|---|---|---|\n",
        );
        let mut ignored = String::new();
        for step in steps::RECORDED {
            let key = format!("| `{step}` |");
            let run = results::read(context, step);
            text += &self.row(&key, run.as_deref().and_then(|lines| run_row(step, lines)));
            ignored += &match run {
                Some(lines) => ignored_list(step, &lines),
                None => self.old_items(&format!("- `{step}`, ")),
            };
        }
        text += &format!(
            "\n<details><summary>Each test that was ignored, and why</summary>\n\n{ignored}\n</details>\n\n\
             | target | what was checked | standard library | date |\n|---|---|---|---|\n"
        );
        for target in targets::triples() {
            let key = format!("| {target} |");
            let checked = results::read(context, &format!("checked-{target}"));
            let linked = results::read(context, &format!("linked-{target}"));
            let fields =
                |lines: Option<Vec<Vec<String>>>| lines.and_then(|lines| lines.into_iter().next());
            let row = match (fields(checked).as_deref(), fields(linked).as_deref()) {
                (Some([_, date, std, what]), None) => {
                    Some(format!("{key} {what} | {std} | {date} |\n"))
                }
                (Some([_, date, std, what]), Some(_)) => Some(format!(
                    "{key} {what}; test programs linked | {std} | {date} |\n"
                )),
                (_, Some([_, date])) => Some(format!(
                    "{key} test programs linked | of rustup | {date} |\n"
                )),
                _ => None,
            };
            text += &self.row(&key, row);
        }
        text + "\n"
    }

    /// The new row, or else the old one of that key.
    fn row(&mut self, key: &str, new: Option<String>) -> String {
        if let Some(row) = new {
            self.fresh += 1;
            return row;
        }
        let old = self
            .old
            .split_inclusive('\n')
            .find(|line| line.starts_with(key));
        match old {
            Some(row) => {
                self.kept += 1;
                row.into()
            }
            None => {
                self.lost.push(key.replace(['|', '`', ' '], ""));
                String::new()
            }
        }
    }

    /// The old items of a list that begin so.
    fn old_items(&self, key: &str) -> String {
        let mut items = String::new();
        let mut is_ours = false;
        for line in self.old.split_inclusive('\n') {
            is_ours = if line.starts_with("- ") {
                line.starts_with(key)
            } else {
                is_ours
            };
            is_ours &= !line.trim().is_empty();
            if is_ours {
                items += line;
            }
        }
        items
    }
}

fn run_row(step: &str, lines: &[Vec<String>]) -> Option<String> {
    let find = |word: &str| lines.iter().find(|line| line[0] == word);
    let [_, target, system, backend] = find("run")?.as_slice() else {
        return None;
    };
    let date = find("date")?.get(1)?;
    let counts: Vec<(u32, u32)> = lines
        .iter()
        .filter(|line| line[0] == "count")
        .map(|line| (number(&line[2]), number(&line[3])))
        .collect();
    let [(passed, failed), emulated @ ..] = counts.as_slice() else {
        return None;
    };
    let ignored = lines.iter().filter(|line| line[0] == "ignored").count();
    let emulated: String = emulated
        .iter()
        .map(|count| match count {
            (0, 0) => " |".into(),
            (passed, 0) => format!(" {passed} |"),
            (passed, failed) => format!(" {passed}, {failed} failed |"),
        })
        .collect();
    Some(format!(
        "| `{step}` | {target} | {system} | {backend} | {passed} | {failed} | {ignored} |{emulated} {date} |\n"
    ))
}

fn number(text: &str) -> u32 {
    text.parse().unwrap_or(0)
}

/// So many tests that share a reason are named one by one; of more, only their modules are.
const NAMED: usize = 12;

/// An item for each reason, with the tests.
fn ignored_list(step: &str, lines: &[Vec<String>]) -> String {
    let mut by_reason = BTreeMap::<&str, Vec<&str>>::new();
    for line in lines.iter().filter(|line| line[0] == "ignored") {
        by_reason.entry(&line[2]).or_default().push(&line[1]);
    }
    let item = |(reason, tests): (&str, Vec<&str>)| {
        let names: Vec<String> = if tests.len() > NAMED {
            modules(&tests)
        } else {
            tests.iter().map(|name| format!("`{name}`")).collect()
        };
        let names = names.join(", ");
        wrap(&format!(
            "- `{step}`, *{reason}* ({}): {names}",
            tests.len()
        ))
    };
    by_reason.into_iter().map(item).collect()
}

/// The modules of these tests, and how many each has.
fn modules(tests: &[&str]) -> Vec<String> {
    let mut counts = BTreeMap::<&str, usize>::new();
    for test in tests {
        let module = test.rsplit_once("::").map_or("", |(module, _)| module);
        *counts
            .entry(module.trim_end_matches("::tests"))
            .or_default() += 1;
    }
    let count = |(module, count)| match module {
        "" => format!("{count} of the root"),
        module => format!("{count} of `{module}`"),
    };
    counts.into_iter().map(count).collect()
}

/// Breaks an item of a list into lines.
fn wrap(item: &str) -> String {
    let mut text = String::new();
    let mut column = 0;
    for word in item.split(' ') {
        let length = word.chars().count();
        if column > 0 && column + 1 + length > WIDTH {
            text += "\n  ";
            column = 2;
        } else if column > 0 {
            text.push(' ');
            column += 1;
        }
        text += word;
        column += length;
    }
    text + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_did_not_run_here_keeps_its_lines() {
        let old = "| `a` | one |\n| `b` | two |\n\n- `a`, *x* (1): `t`,\n  `u`\n- `b`, *y* (1): `v`\n\nend\n";
        let mut tables = Tables {
            old,
            fresh: 0,
            kept: 0,
            lost: Vec::new(),
        };
        assert_eq!(tables.row("| `a` |", None), "| `a` | one |\n");
        assert_eq!(tables.row("| `b` |", Some("new\n".into())), "new\n");
        assert_eq!(tables.row("| `c` |", None), "");
        assert_eq!(
            (tables.fresh, tables.kept, tables.lost),
            (1, 1, vec!["c".into()])
        );
        let tables = Tables {
            old,
            fresh: 0,
            kept: 0,
            lost: Vec::new(),
        };
        assert_eq!(tables.old_items("- `a`, "), "- `a`, *x* (1): `t`,\n  `u`\n");
        assert_eq!(tables.old_items("- `b`, "), "- `b`, *y* (1): `v`\n");
    }

    #[test]
    fn a_run_is_a_row_and_its_ignored_tests_are_items_by_reason() {
        let line = |text: &str| text.split('\t').map(String::from).collect::<Vec<_>>();
        let lines = [
            "run\tt\tLinux 1.2\tepoll",
            "date\t2026-01-31",
            "count\tepoll\t7\t0",
            "count\tkqueue\t3\t1",
            "count\tevent ports\t0\t0",
            "ignored\ta::b\tno UDP",
            "ignored\ta::c\tno UDP",
        ]
        .map(line);
        assert_eq!(
            run_row("s", &lines).unwrap(),
            "| `s` | t | Linux 1.2 | epoll | 7 | 0 | 2 | 3, 1 failed | | 2026-01-31 |\n"
        );
        assert_eq!(
            ignored_list("s", &lines),
            "- `s`, *no UDP* (2): `a::b`, `a::c`\n"
        );
        let many: Vec<String> = (0..=NAMED).map(|n| format!("a::b::tests::t{n}")).collect();
        let lines = many.iter().map(|name| line(&format!("ignored\t{name}\tx")));
        assert_eq!(
            ignored_list("s", &lines.collect::<Vec<_>>()),
            "- `s`, *x* (13): 13 of `a::b`\n"
        );
        let long = wrap(&format!("- {}", ["word"; 60].join(" ")));
        assert!(long.lines().all(|line| line.len() <= WIDTH), "{long}");
    }
}
