//! The suites built for other Linux systems and run here, mostly under qemu-user.

use crate::command::Command;
use crate::results::Place;
use crate::step::{Context, Note, Stop};
use crate::steps::suites::{FINE_TIMEOUTS, kernel, suites};
use crate::{toolchain, tools};

/// A processor that we are not, with Debian's cross compiler and libc for it.
struct Machine {
    /// The step's name.
    step: &'static str,
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
            step: "s390x",
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
            step: "aarch64",
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
            step: "armv7",
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

/// The kernel runs 32-bit programs natively. Debian's cross packages are used all the same:
/// `gcc-multilib` does not go together with the other cross compilers.
pub(crate) fn i686(context: &Context) -> Result<Note, Stop> {
    run(
        context,
        &Machine {
            step: "i686",
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
    let suites = suites(context.cargo()).args(["--target", triple]);
    let place = Place {
        step: "musl",
        target: triple,
        system: format!("Linux {}", kernel()),
        backend: "epoll",
        unable: Vec::new(),
        otherwise: "did not run",
    };
    place.run(context, suites.clone(), suites, &[])
}

fn run(context: &Context, machine: &Machine) -> Result<Note, Stop> {
    let Machine {
        step,
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
    let mut place = Place {
        step,
        target: triple,
        system: format!("Linux {}", kernel()),
        backend: "epoll",
        unable: Vec::new(),
        otherwise: "did not run",
    };
    let Some(qemu) = qemu else {
        // The loader and libc stand where Debian put them, not where such programs look.
        let flags = format!(
            "-Clink-arg=-Wl,--dynamic-linker=/usr/{gnu}/lib/ld-linux.so.2 \
             -Clink-arg=-Wl,-rpath,/usr/{gnu}/lib"
        );
        let suites = on_this_triple(suites(context.cargo())).env(variable("RUSTFLAGS"), flags);
        return place.run(context, suites.clone(), suites, &[]);
    };
    place.system = format!("qemu-user {}", tools::version(context, qemu)?);
    place.unable = FINE_TIMEOUTS.into_iter().chain(NOT_UNDER_QEMU).collect();
    place.otherwise = "starts itself again, without qemu";
    let under_qemu = |command: Command| {
        on_this_triple(command).env(variable("RUNNER"), format!("{qemu} -L /usr/{gnu}"))
    };
    let tests = context
        .cargo()
        .args(["test", "-p", "litio", "--lib", "--test", "suite"])
        .args(["--all-features", "--no-fail-fast"]);
    let all = under_qemu(suites(context.cargo()));
    place.run(context, under_qemu(tests), all, &[])
}

/// What qemu-user cannot do, although Linux can.
const NOT_UNDER_QEMU: [(&str, &str); 9] = [
    (
        "nothing_leaks_when_descriptors_run_out",
        "starts itself again, without qemu",
    ),
    (
        "multicast_of_ipv4_reaches_members_until_they_leave",
        "no IP_MULTICAST_ALL",
    ),
    (
        "multicast_of_ipv6_is_joined_and_left_for_single_sources",
        "no MCAST_JOIN_SOURCE_GROUP",
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
