//! Switches on what the library has for fuzzing, whatever it is compiled for: `cargo fuzz` does so
//! itself.

fn main() {
    println!("cargo::rustc-cfg=fuzzing");
}
