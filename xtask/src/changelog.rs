//! CHANGELOG.md: its form, and what stands under *Unreleased*.

use std::path::Path;

/// The headings inside a release, in this order.
const KINDS: [&str; 6] = [
    "Added",
    "Changed",
    "Deprecated",
    "Removed",
    "Fixed",
    "Security",
];

/// Checks the file and answers the text under *Unreleased*.
pub(crate) fn check(root: &Path) -> Result<String, String> {
    let path = root.join("CHANGELOG.md");
    let text = std::fs::read_to_string(&path).map_err(|error| format!("CHANGELOG.md: {error}"))?;
    unreleased(&text).map_err(|why| format!("CHANGELOG.md: {why}"))
}

fn unreleased(text: &str) -> Result<String, String> {
    if !text.starts_with("# Changelog\n") {
        return Err("the first line is not `# Changelog`".into());
    }
    let releases: Vec<&str> = text.split("\n## ").skip(1).collect();
    match releases.first() {
        Some(first) if first.lines().next() == Some("Unreleased") => {}
        _ => return Err("the first release is not `## Unreleased`".into()),
    }
    for release in &releases {
        check_release(release)?;
    }
    let body = releases[0]
        .split_once('\n')
        .map_or("", |(_, body)| body)
        .trim();
    Ok(body.to_string())
}

fn check_release(release: &str) -> Result<(), String> {
    let heading = release.lines().next().unwrap_or_default();
    let is_dated = heading.split_once(" - ").is_some_and(|(version, date)| {
        is_numbers(version, '.', &[1, 1, 1]) && is_numbers(date, '-', &[4, 2, 2])
    });
    if heading != "Unreleased" && !is_dated {
        return Err(format!(
            "`## {heading}` is not like `## 1.2.3 - 2026-01-31`"
        ));
    }
    let mut last = None;
    for kind in release.split("\n### ").skip(1) {
        let name = kind.lines().next().unwrap_or_default();
        let place = KINDS.iter().position(|known| *known == name);
        let place = place.ok_or_else(|| format!("{heading}: `### {name}` is none of {KINDS:?}"))?;
        if last.is_some_and(|last| last >= place) {
            return Err(format!(
                "{heading}: `### {name}` stands twice or out of order"
            ));
        }
        last = Some(place);
        if !kind.lines().any(|line| line.starts_with("- ")) {
            return Err(format!("{heading}: nothing stands under `### {name}`"));
        }
    }
    Ok(())
}

/// Whether the text is numbers of at least these many digits.
fn is_numbers(text: &str, separator: char, digits: &[usize]) -> bool {
    let parts: Vec<&str> = text.split(separator).collect();
    parts.len() == digits.len()
        && parts.iter().zip(digits).all(|(part, digits)| {
            part.len() >= *digits && part.bytes().all(|byte| byte.is_ascii_digit())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "# Changelog\n\nWords.\n\n## Unreleased\n\nTwo sentences.\n\n### Added\n\n- A thing.\n\n\
                        ## 0.1.0 - 2026-01-31\n\n### Added\n\n- All.\n\n### Fixed\n\n- None.\n";

    #[test]
    fn the_text_under_unreleased_is_answered() {
        assert_eq!(
            unreleased(GOOD).unwrap(),
            "Two sentences.\n\n### Added\n\n- A thing."
        );
    }

    #[test]
    fn each_fault_is_found() {
        for (good, bad, word) in [
            ("# Changelog", "# History", "first line"),
            ("## Unreleased", "## Next", "Unreleased"),
            ("0.1.0 - 2026-01-31", "0.1 - 2026-01-31", "0.1 -"),
            ("0.1.0 - 2026-01-31", "0.1.0", "0.1.0"),
            ("### Added\n\n- All", "### News\n\n- All", "News"),
            ("### Fixed", "### Added", "twice"),
            ("- A thing.", "A thing.", "nothing stands"),
        ] {
            let text = GOOD.replacen(good, bad, 1);
            assert!(
                unreleased(&text).is_err_and(|why| why.contains(word)),
                "{bad}"
            );
        }
    }
}
