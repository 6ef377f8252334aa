//! The README's program is the one that the examples' check runs.

#[test]
fn readme_shows_the_quickstart_example() {
    // A checkout on Windows may have other line ends.
    let readme = include_str!("../README.md").replace('\r', "");
    let quickstart = include_str!("../examples/quickstart.rs").replace('\r', "");
    assert!(
        readme.contains(&format!("```rust\n{quickstart}```\n")),
        "README.md and examples/quickstart.rs differ: copy the example into the README"
    );
}
