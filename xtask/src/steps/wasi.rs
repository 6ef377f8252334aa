//! The suites as WASI programs, under wasmtime.

use crate::results::Place;
use crate::step::{Context, Note, Stop};
use crate::{toolchain, tools};

/// The sockets of Rust 1.95's standard library for preview 2 have defects that this one has not.
const TOOLCHAIN: &str = "1.97.1";

/// Later ones, up to 50, refuse programs the network.
const WASMTIME: &str = "wasmtime==47.0.1";

/// What WASI, or this wasmtime, cannot do; a program there has to wait for an event where others
/// may try at once.
const NOT_ON_WASI: &[(&str, &[&str])] = &[
    (
        "the first that is sent has to wait for an event",
        &[
            "datagrams::batch_of_another_socket_does_no_harm",
            "datagrams::buffers_may_be_of_any_kind",
            "datagrams::connected_sockets_need_no_destination",
            "datagrams::datagram_larger_than_any_is_an_error_that_the_others_survive",
            "datagrams::fewer_datagrams_than_buffers_are_counted_and_the_next_call_would_block",
            "datagrams::runs_arrive_whole_and_in_order",
            "datagrams::several_runs_go_with_one_call_each_to_its_place",
            "datagrams::what_plain_calls_cannot_do_is_unsupported",
            "datagrams::what_was_not_wanted_is_not_told",
            "readiness::spinning_changes_no_answer",
            "short_transfers::a_short_datagram_re_arms_nothing",
            "tcp::streams_and_listeners_become_std_types_and_back",
            "tcp::try_io_runs_operations_on_the_stream_itself",
            "trigger::operations_work_before_any_registration",
            "udp::a_connected_socket_hears_only_its_peer",
            "udp::a_datagram_that_does_not_fit_is_cut_off",
            "udp::an_empty_datagram_is_readable_and_of_length_zero",
            "udp::datagrams_are_gathered_and_scattered",
            "udp::datagrams_travel_between_connected_sockets",
            "udp::datagrams_travel_between_unconnected_sockets",
            "udp::several_datagrams_can_be_taken_after_one_event",
            "udp::sockets_become_std_types_and_back",
            "udp::try_io_runs_operations_on_the_socket_itself",
            "udp::what_is_longer_than_all_buffers_is_cut",
        ],
    ),
    (
        "no peeking",
        &[
            "closing::data_and_fin_that_arrive_together_are_one_last_event",
            "short_transfers::a_short_peek_re_arms_nothing",
            "tcp::a_peek_sees_what_a_read_then_takes",
            "trigger::a_peek_takes_nothing_away",
            "trigger::each_way_to_read_a_stream_re_arms",
            "trigger::each_way_to_receive_a_datagram_re_arms",
            "trigger::readable_when_data_was_there_before_the_registration",
        ],
    ),
    (
        "no such option of sockets",
        &[
            "closing::a_read_after_a_reset_says_so",
            "closing::a_reset_is_an_error_for_whoever_registered_any_direction",
            "udp::options_are_set_and_read_back",
            "udp::options_of_ipv6_are_set_and_read_back",
        ],
    ),
    (
        "a stream that was read in part is reported once more",
        &[
            "io_source::a_short_transfer_re_arms_and_an_end_does_not",
            "io_source::the_sockets_have_try_io_for_too",
            "modes::a_level_source_is_reported_by_every_poll_while_it_is_ready",
            "short_transfers::a_short_read_re_arms_reading",
        ],
    ),
    (
        "the reason of a failed connection stays",
        &["closing::an_error_is_taken_only_once"],
    ),
    (
        "no duplicates of descriptors",
        &["io_source::into_inner_gives_the_object_back_usable_and_free"],
    ),
    (
        "a refused connection may be told at once",
        &[
            "registration::operations_after_a_reported_hang_up_keep_their_own_errors",
            "tcp::shutting_down_twice_or_unconnected_is_the_systems_answer",
        ],
    ),
    (
        "a buffer takes everything",
        &["short_transfers::a_short_write_re_arms_writing"],
    ),
    (
        "what was sent, or found ready, is there a moment later",
        &[
            "modes::a_level_source_does_not_starve_its_neighbours",
            "polling::a_zero_timeout_still_reports_what_is_ready",
            "polling::sources_outlive_their_poll_and_keep_working",
            "readiness::len_is_what_the_last_poll_reported",
            "readiness::poll_until_an_instant_that_has_passed_asks_and_returns",
            "short_transfers::a_short_vectored_read_counts_the_sum",
            "tcp::empty_buffers_read_and_write_nothing",
            "tcp::ipv6_works_like_ipv4",
            "tcp::shared_references_read_and_write_too",
            "tcp::vectored_reads_fill_one_buffer_after_the_other",
        ],
    ),
];

/// Preview 2, which has poll(2) and sockets. Each test runs in an instance of its own: see the
/// runner.
pub(crate) fn p2(context: &Context) -> Result<Note, Stop> {
    let triple = "wasm32-wasip2";
    toolchain::ensure(context, TOOLCHAIN, &[], &[triple])?;
    let bin = tools::python(context, "wasmtime", &[WASMTIME])?;
    let runner = context.root.join("xtask/src/steps/wasi_runner.py");
    let unable: Vec<_> = NOT_ON_WASI
        .iter()
        .flat_map(|(why, tests)| tests.iter().map(move |test| (*test, *why)))
        .collect();
    let runner = format!(
        "{} {}",
        bin.join("python").to_string_lossy(),
        runner.to_string_lossy()
    );
    let tests = context
        .cargo_on(TOOLCHAIN)
        .args(["test", "-p", "litio", "--lib", "--test", "suite"])
        .args(["--all-features", "--no-fail-fast", "--target", triple])
        .env("CARGO_TARGET_WASM32_WASIP2_RUNNER", runner)
        .env("CARGO_TARGET_DIR", context.target_dir("wasi"));
    let place = Place {
        step: "wasi",
        target: triple,
        system: WASMTIME.replace("==", " "),
        backend: "poll(2)",
        unable,
        otherwise: "did not run",
    };
    place.run(context, tests.clone(), tests, &[])
}
