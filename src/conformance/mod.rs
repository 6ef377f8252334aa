//! The conformance suite: the guarantee of [`Backend`](crate::sys::selector::Backend), clause by
//! clause, on every backend that compiles on this target.
//!
//! A *clause* is a function, generic over the backend, whose name says what is promised. It drives
//! the poller, the wakers and the sources as programs get them (`Reactor`, `WakeHandle`,
//! `Attached`), so that what is tested is what is used; that is why the suite stands above all
//! floors and not beside the backends.
//!
//! * A new backend: its table in [`expected`] and one line at the foot of this file.
//! * A new clause: a function in the file of its subject, and its name in the list below. One that
//!   is not listed is dead code, and the compiler says so.
//!
//! Nothing is slept for, but for two things that cannot be waited for: that nothing happens
//! ([`support::QUIET`]), and that another thread has fallen asleep in the system
//! ([`support::let_it_fall_asleep`]). Both are short, and a machine too slow for them tests less
//! without failing.

// A fuzz target has use for the model only.
#![cfg_attr(fuzzing, allow(dead_code, unused_imports, unused_macros))]

mod closing;
mod diagnostics;
mod dropping;
mod expected;
mod model;
mod modes;
mod pacing;
mod readiness;
mod registration;
#[cfg(all(unix, test))]
mod signals;
mod support;
mod timeouts;
mod tokens;
mod transfers;
mod wakes;

use expected::{Expected, Subject};

/// Runs every clause on a backend: `conformance!(name, Backend, EXPECTED)`.
macro_rules! conformance {
    ($name:ident, $backend:ty, $expected:expr) => {
        impl Subject for $backend {
            const EXPECTED: Expected = $expected;
        }

        mod $name {
            tests! { $backend, readiness:
                a_source_that_was_ready_before_register_is_reported
                a_source_that_becomes_ready_after_register_is_reported
                an_empty_stream_is_writable_and_not_readable
                directions_that_were_not_asked_for_are_not_reported
                an_edge_is_reported_once
                a_partial_read_is_no_edge
                a_drained_source_is_reported_again_and_again
                a_full_stream_is_reported_writable_when_it_has_room
                a_blocked_read_does_not_report_writable_again
                a_blocked_write_does_not_report_readable_again
                rearm_reports_what_became_ready_before_it
                rearm_of_what_is_armed_changes_nothing
                reregister_reports_what_is_ready_again
                reregister_replaces_the_interest
                no_more_events_than_fit_and_none_is_lost
                a_small_poll_leaves_what_it_did_not_report_for_a_large_one
                each_poll_replaces_the_events_of_the_last
                many_sources_ready_at_once_are_all_reported
                a_listener_reports_each_connection
                a_connecting_stream_becomes_writable
                a_datagram_socket_reports_each_arrival
                an_error_that_stands_does_not_hide_what_arrives
                urgent_data_shows_as_priority
                @no_wasi "no second thread"
                a_source_that_becomes_ready_during_a_poll_ends_it
                rearm_during_a_poll_takes_effect
                @no_wasi "bytes arrive a moment after they were sent"
                readiness_in_both_directions_is_reported
                no_level_triggered_source_starves_with_room_for_one
                no_edge_triggered_source_starves_with_room_for_one
            }
            tests! { $backend, tokens:
                every_value_of_a_token_comes_back
                sources_that_share_a_token_each_have_their_events
                a_token_never_appears_after_deregister
                old_token_never_appears_after_reregister
                a_deregistered_source_may_be_registered_again
                @no_wasi "no second thread"
                a_token_that_the_backend_uses_too_disturbs_neither
                deregister_by_another_thread_silences_the_token_at_once
                reregister_by_another_thread_silences_the_old_token_at_once
            }
            tests! { $backend, registration:
                registering_twice_is_refused_and_leaves_the_first
                what_is_not_registered_cannot_be_changed
                the_selector_itself_notices_mistakes
                another_registry_is_refused_and_changes_nothing
                another_registry_that_knows_the_descriptor_does_not_give_it_up
                a_register_that_fails_leaves_no_trace
                a_reregister_that_fails_leaves_the_registration
                no_capacity_is_an_error_and_takes_no_event
                @no_wasi "no second thread"
                register_during_a_poll_takes_effect
                reregister_during_a_poll_takes_effect
                deregister_during_a_poll_takes_effect
                dropping_a_source_during_a_poll_takes_effect
                sources_registered_by_many_threads_are_all_reported
                an_object_replaced_while_registered_panics_in_debug_builds
            }
            tests! { $backend, timeouts:
                a_timeout_never_ends_early
                a_short_timeout_is_kept_to_the_systems_resolution
                a_timeout_of_zero_reports_what_is_ready
                a_poll_without_sources_sleeps
                events_end_the_wait
                a_timeout_never_ends_early_with_a_waker_there
                a_timeout_of_zero_never_blocks
                the_spin_budget_counts_against_the_timeout
                @no_wasi "no second thread"
                the_longest_timeouts_wait_for_events
                changes_of_the_set_neither_shorten_nor_restart_the_timeout
                a_late_knock_neither_shortens_nor_restarts_the_timeout
                a_knock_ends_the_select_that_runs_or_the_next_one
                a_spinning_poller_reports_events_and_wakes
                a_spinning_poller_is_not_knocked
            }
            tests! { $backend, modes:
                a_level_triggered_source_is_reported_by_every_poll
                a_level_triggered_source_needs_no_operation_to_be_reported_again
                level_holds_for_both_directions
                a_one_shot_source_is_reported_once
                a_one_shot_source_is_not_reported_with_both_directions_apart
                after_its_event_nothing_re_arms_a_one_shot_source
                a_one_shot_source_is_not_spent_before_its_event
                reregister_changes_the_mode
                sources_of_all_modes_live_together
            }
            tests! { $backend, closing:
                a_peer_that_shuts_down_writing_shows
                a_peer_that_closes_shows
                streams_that_both_sides_have_finished_show
                an_own_shutdown_shows
                a_refused_connection_shows
                a_stream_at_its_end_is_ready_by_level
                an_end_that_was_read_is_not_reported_again
                @no_wasi "no resets"
                a_reset_shows
                an_end_is_reported_whatever_was_asked_for
                @no_wasi "no peeking"
                an_end_that_came_with_data_shows_with_it
            }
            tests! { $backend, transfers:
                a_full_read_re_arms_nothing
                a_full_write_re_arms_nothing
                errors_re_arm_nothing
                an_operation_that_is_no_transfer_re_arms_only_when_it_blocked
                @no_wasi "no second thread"
                a_reader_that_reads_until_it_would_block_gets_everything
                a_reader_that_stops_at_short_reads_gets_everything
                a_reader_on_another_thread_gets_everything
                a_writer_that_waits_for_room_sends_everything
                @no_wasi "a buffer takes everything"
                after_a_short_write_room_is_reported
                @no_wasi "no peeking"
                a_datagram_that_is_received_leaves_the_next_unreported
                @no_wasi "a stream that was read in part is reported once more"
                after_a_short_read_new_data_is_reported
            }
            tests! { $backend, dropping:
                a_dropped_source_is_silent
                a_number_that_is_used_again_starts_afresh
                into_inner_ends_a_tracked_registration
                sources_outlive_the_poller
                a_new_poller_is_not_taken_for_one_that_is_gone
                @no_wasi "no second thread"
                numbers_used_again_by_other_threads_keep_their_registrations
                a_number_used_again_during_a_poll_has_no_stale_event
                @no_wasi "no duplicates of descriptors"
                a_source_dropped_while_a_duplicate_lives_is_silent_where_tracked
                duplicates_are_sources_of_their_own
            }
            tests! { $backend, wakes:
                a_wake_before_the_poll_is_reported
                wakes_coalesce_and_are_reported_once
                each_waker_has_its_own_token
                wakes_that_do_not_fit_come_with_the_next_polls
                busy_sources_do_not_starve_wakes
                wakes_and_io_come_together
                a_dropped_wakers_token_never_appears
                a_wake_after_the_poller_is_gone_is_harmless
                a_poller_that_is_awake_is_not_knocked
                once_the_descriptor_is_handed_out_every_wake_knocks
                @no_wasi "a poll that does not wait finds what is ready a moment later"
                wakers_that_share_a_token_each_have_their_events
                wakes_leave_a_place_for_io
                with_room_for_one_wakes_and_io_alternate
                @no_wasi "no second thread"
                a_wake_ends_the_poll_that_sleeps
                there_may_be_hundreds_of_wakers
                a_waker_dropped_while_the_poller_sleeps_is_heard_or_silent
                the_first_waker_made_while_the_poller_sleeps_is_heard
                a_knock_that_nobody_expects_costs_no_wake_and_no_time
                no_wake_is_lost_when_they_take_turns
                no_wake_is_lost_when_they_take_turns_without_timeouts
                a_storm_of_wakes_loses_none
                no_wake_is_lost_while_sources_are_registered
            }
            tests! { $backend, diagnostics:
                a_poll_that_is_counted_reports_as_much
                polls_are_counted_by_how_they_end
                nothing_is_counted_unless_asked_for
                the_time_that_polls_wait_is_measured_on_request
                an_edge_that_is_not_drained_is_found_once
                what_is_not_an_edge_need_not_be_drained
                a_poll_that_spins_is_found
                a_poll_that_spins_at_the_end_of_a_stream_is_found
                edges_of_news_are_no_spinning
                a_busy_poll_that_gets_somewhere_is_not_found
                registering_twice_is_found_with_both_places
                registering_elsewhere_is_found
                @no_wasi "a stream that was read is reported once more"
                what_was_drained_reregistered_or_removed_is_not_found
                @no_wasi "nothing knocks, and no second thread"
                wakes_are_counted_with_those_that_knocked
                stale_knocks_are_counted
                counting_may_begin_while_the_poller_sleeps
                a_program_that_woke_itself_has_not_forgotten
                tokens_that_are_shared_accuse_nobody
            }
            tests! { $backend, pacing:
                a_paced_source_is_repeated_at_growing_intervals_at_most
                the_directions_of_a_paced_source_do_not_disturb_each_other
                a_direction_that_rests_long_does_not_slow_down_the_other
                a_paced_source_reports_new_data_unasked
                a_paced_source_that_is_not_ready_leaves_the_timeout_alone
                a_paced_source_that_was_removed_is_not_repeated
                a_paced_source_in_both_directions_does_not_spin
            }
            tests! { $backend, model:
                @no_wasi "bytes arrive a moment after they were sent"
                random_operations_leave_nothing_due
            }
            #[cfg(any(unix, windows))]
            tests! { $backend, model:
                @no_wasi "bytes arrive a moment after they were sent"
                scripts_leave_nothing_due
            }
            #[cfg(unix)]
            tests! { $backend, registration:
                a_refusal_of_the_system_leaves_no_trace
            }
            #[cfg(unix)]
            tests! { $backend, signals:
                a_signal_ends_the_poll_with_interrupted
                a_wake_in_a_signal_handler_is_reported
                an_interruption_loses_no_wake
                a_wake_keeps_errno
            }
        }
    };
}

/// Makes a test of each clause. Those after `@no_wasi` need what WASI does not have.
macro_rules! tests {
    (
        $backend:ty, $subject:ident: $($clause:ident)*
        $(@no_wasi $lack:literal $($more:ident)*)*
    ) => {
        $(
            #[test]
            fn $clause() {
                super::$subject::$clause::<$backend>();
            }
        )*
        $($(
            #[test]
            #[cfg_attr(target_family = "wasm", ignore = $lack)]
            fn $more() {
                super::$subject::$more::<$backend>();
            }
        )*)*
    };
}

// The backends.

#[cfg(any(target_os = "linux", target_os = "android"))]
conformance!(epoll, crate::sys::selector::epoll::Epoll, expected::EPOLL);
#[cfg(not(windows))]
conformance!(
    poll,
    crate::sys::selector::poll::Poll<crate::sys::selector::PollKnocker>,
    expected::POLL
);
// Elsewhere it is the one above.
#[cfg(any(target_os = "linux", target_os = "android"))]
conformance!(
    poll_with_a_pipe,
    crate::sys::selector::poll::Poll<crate::sys::selector::pipe::Pipe>,
    expected::POLL
);
// As on systems that have nothing to interrupt a sleep with.
#[cfg(target_os = "linux")]
conformance!(
    poll_without_a_knocker,
    crate::sys::selector::poll::Poll<crate::sys::selector::Silent>,
    expected::POLL
);

#[cfg(any(
    target_os = "illumos",
    target_os = "solaris",
    all(target_os = "linux", not(miri)), // over the emulation
))]
conformance!(
    event_ports,
    crate::sys::selector::event_ports::EventPorts,
    expected::EVENT_PORTS
);
#[cfg(any(
    target_vendor = "apple",
    target_os = "freebsd",
    target_os = "dragonfly",
    target_os = "netbsd",
    target_os = "openbsd",
    all(target_os = "linux", not(miri)), // over the emulation
))]
conformance!(
    kqueue,
    crate::sys::selector::kqueue::Kqueue,
    expected::KQUEUE
);
#[cfg(all(target_os = "linux", not(miri)))]
conformance!(
    kqueue_without_user_events,
    crate::sys::selector::kqueue::WithoutUserEvents,
    expected::KQUEUE
);
#[cfg(windows)]
conformance!(afd, crate::sys::selector::afd::Afd, expected::AFD);

/// Plays a script of the [model](model) on every backend that runs here.
///
/// # Panics
///
/// If what is due does not come, or comes what must not.
#[cfg(all(fuzzing, target_os = "linux"))]
pub fn play_everywhere(script: &[[u8; 4]]) {
    use crate::sys::selector::{PollKnocker, epoll, event_ports, kqueue, pipe, poll};

    model::play::<epoll::Epoll>(script);
    model::play::<poll::Poll<PollKnocker>>(script);
    model::play::<poll::Poll<pipe::Pipe>>(script);
    model::play::<event_ports::EventPorts>(script);
    model::play::<kqueue::Kqueue>(script);
    model::play::<kqueue::WithoutUserEvents>(script);
}
