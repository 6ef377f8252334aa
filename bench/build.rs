//! Finds out whether libuv is installed: if so it takes part, if not the report says so.

fn main() {
    println!("cargo::rustc-check-cfg=cfg(libuv)");
    if pkg_config::Config::new()
        .atleast_version("1.19")
        .probe("libuv")
        .is_ok()
    {
        println!("cargo::rustc-cfg=libuv");
    }
}
