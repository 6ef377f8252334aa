//! The suites built for other Linux systems and run here, mostly under qemu-user.

use crate::command::Command;
use crate::step::{Context, Note, Stop};
use crate::steps::suites::{FINE_TIMEOUTS, skip, suites};
use crate::{toolchain, tools};

/// A processor that we are not, with Debian's cross compiler and libc for it.
struct Machine {
    triple: &'static str,
    /// Debian's name of the system: prefix of its compiler, folder of its libraries.
    gnu: &'static str,
    /// The emulator; none where this processor runs the programs itself.
    qemu: Option<&'static str>,
    packages: &'static [&'static str],
}

pub(crate) fn s390x(context: &Context) -> Result<Note, Stop> {
    run(
        context,
        &Machine {
            triple: "s390x-unknown-linux-gnu",
            gnu: "s390x-linux-gnu",
            qemu: Some("qemu-s390x"),
            packages: &["qemu-user", "gcc-s390x-linux-gnu", "libc6-dev-s390x-cross"],
        },
    )
}

pub(crate) fn aarch64(context: &Context) -> Result<Note, Stop> {
    run(
        context,
        &Machine {
            triple: "aarch64-unknown-linux-gnu",
            gnu: "aarch64-linux-gnu",
            qemu: Some("qemu-aarch64"),
            packages: &[
                "qemu-user",
                "gcc-aarch64-linux-gnu",
                "libc6-dev-arm64-cross",
            ],
        },
    )
}

pub(crate) fn armv7(context: &Context) -> Result<Note, Stop> {
    run(
        context,
        &Machine {
            triple: "armv7-unknown-linux-gnueabihf",
            gnu: "arm-linux-gnueabihf",
            qemu: Some("qemu-arm"),
            packages: &[
                "qemu-user",
                "gcc-arm-linux-gnueabihf",
                "libc6-dev-armhf-cross",
            ],
        },
    )
}

/// The kernel runs 32-bit programs natively. Debian's cross packages are used all the same: `gcc-multilib` does not go
/// together with the other cross compilers.
pub(crate) fn i686(context: &Context) -> Result<Note, Stop> {
    run(
        context,
        &Machine {
            triple: "i686-unknown-linux-gnu",
            gnu: "i686-linux-gnu",
            qemu: None,
            packages: &["gcc-i686-linux-gnu", "libc6-dev-i386-cross"],
        },
    )
}

/// rustc brings what musl needs, except a linker.
pub(crate) fn musl(context: &Context) -> Result<Note, Stop> {
    let triple = "x86_64-unknown-linux-musl";
    toolchain::ensure_targets(context, &[triple])?;
    suites(context.cargo())
        .args(["--target", triple])
        .run_tests()
}

fn run(context: &Context, machine: &Machine) -> Result<Note, Stop> {
    let Machine {
        triple,
        gnu,
        qemu,
        packages,
    } = machine;
    let linker = format!("{gnu}-gcc");
    let programs: Vec<&str> = qemu.iter().copied().chain([linker.as_str()]).collect();
    tools::debian(context, &programs, packages)?;
    toolchain::ensure_targets(context, &[triple])?;
    let variable = |what: &str| {
        format!(
            "CARGO_TARGET_{}_{what}",
            triple.replace('-', "_").to_uppercase()
        )
    };
    let on_this_triple = |command: Command| {
        command
            .args(["--target", triple])
            .env(variable("LINKER"), &linker)
    };
    let Some(qemu) = qemu else {
        // The loader and libc stand where Debian put them, not where such programs look.
        let flags = format!(
            "-Clink-arg=-Wl,--dynamic-linker=/usr/{gnu}/lib/ld-linux.so.2 \
             -Clink-arg=-Wl,-rpath,/usr/{gnu}/lib"
        );
        return on_this_triple(suites(context.cargo()))
            .env(variable("RUSTFLAGS"), flags)
            .run_tests();
    };
    println!("!!! tests/process is NOT RUN: it starts itself again, without qemu");
    let tests = context
        .cargo()
        .args(["test", "-p", "litio", "--lib", "--test", "suite"]);
    on_this_triple(tests.args(["--all-features", "--no-fail-fast"]))
        .env(variable("RUNNER"), format!("{qemu} -L /usr/{gnu}"))
        .arg("--")
        .args(skip(&FINE_TIMEOUTS))
        .args(skip(&NOT_UNDER_QEMU))
        .run_tests()
}

/// What qemu-user cannot do, although Linux can.
const NOT_UNDER_QEMU: [(&str, &str); 8] = [
    (
        "nothing_leaks_when_descriptors_run_out",
        "starts itself again, without qemu",
    ),
    (
        "multicast_of_ipv4_reaches_members_until_they_leave",
        "no IP_MULTICAST_ALL",
    ),
    // It hands control messages that it does not know through as they are, in the wrong byte order:
    // UDP_SEGMENT among them, and the kernel's timestamps and drop counters.
    ("datagrams::", "no control messages of UDP offload"),
    ("socket::batch::", "no control messages of UDP offload"),
    (
        "a_loop_of_batches_allocates_nothing",
        "no control messages of UDP offload",
    ),
    ("unix::ancillary::", "no credentials, no truncated rights"),
    // An emulation on an emulation proves nothing: qemu's select ends at FD_SETSIZE, and ends the
    // program with it, and its signals come when they like.
    ("kqueue", "emulated"),
    ("event_ports", "emulated"),
];
