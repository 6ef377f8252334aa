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

mod expected;
mod readiness;
mod support;
mod timeouts;
mod tokens;

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
                a_source_that_becomes_ready_during_a_poll_ends_it
                an_empty_stream_is_writable_and_not_readable
                directions_that_were_not_asked_for_are_not_reported
                readiness_in_both_directions_is_reported
                an_edge_is_reported_once
                a_partial_read_is_no_edge
                a_drained_source_is_reported_again_and_again
                a_full_stream_is_reported_writable_when_it_has_room
                a_blocked_read_does_not_report_writable_again
                a_blocked_write_does_not_report_readable_again
                rearm_reports_what_became_ready_before_it
                rearm_during_a_poll_takes_effect
                rearm_of_what_is_armed_changes_nothing
                reregister_reports_what_is_ready_again
                reregister_replaces_the_interest
                no_more_events_than_fit_and_none_is_lost
                a_small_poll_leaves_what_it_did_not_report_for_a_large_one
                no_level_triggered_source_starves_with_room_for_one
                no_edge_triggered_source_starves_with_room_for_one
                each_poll_replaces_the_events_of_the_last
                many_sources_ready_at_once_are_all_reported
                a_listener_reports_each_connection
                a_connecting_stream_becomes_writable
                a_datagram_socket_reports_each_arrival
            }
            tests! { $backend, tokens:
                every_value_of_a_token_comes_back
                a_token_that_the_backend_uses_too_disturbs_neither
                sources_that_share_a_token_each_have_their_events
                a_token_never_appears_after_deregister
                old_token_never_appears_after_reregister
                a_deregistered_source_may_be_registered_again
                deregister_by_another_thread_silences_the_token_at_once
                reregister_by_another_thread_silences_the_old_token_at_once
            }
            tests! { $backend, timeouts:
                a_timeout_never_ends_early
                a_timeout_never_ends_early_with_a_waker_there
                a_short_timeout_is_kept_to_the_systems_resolution
                a_timeout_of_zero_never_blocks
                a_timeout_of_zero_reports_what_is_ready
                the_longest_timeouts_wait_for_events
                a_poll_without_sources_sleeps
                events_end_the_wait
                changes_of_the_set_neither_shorten_nor_restart_the_timeout
                a_late_knock_neither_shortens_nor_restarts_the_timeout
                a_knock_ends_the_select_that_runs_or_the_next_one
                the_spin_budget_counts_against_the_timeout
                a_spinning_poller_reports_events_and_wakes
            }
        }
    };
}

/// Makes a test of each clause.
macro_rules! tests {
    ($backend:ty, $subject:ident: $($clause:ident)*) => {
        $(
            #[test]
            fn $clause() {
                super::$subject::$clause::<$backend>();
            }
        )*
    };
}

// The backends.

#[cfg(any(target_os = "linux", target_os = "android"))]
conformance!(epoll, crate::sys::selector::epoll::Epoll, expected::EPOLL);
#[cfg(any(target_os = "linux", target_os = "android"))]
conformance!(
    poll,
    crate::sys::selector::poll::Poll<crate::sys::selector::eventfd::Eventfd>,
    expected::POLL
);
#[cfg(any(target_os = "linux", target_os = "android"))]
conformance!(
    poll_with_a_pipe,
    crate::sys::selector::poll::Poll<crate::sys::selector::pipe::Pipe>,
    expected::POLL
);
