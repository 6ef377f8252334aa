//! The handful of C items that the backend needs.
//!
//! On Linux, where the unit tests run, an emulation of our own stands in for the kernel.

use std::ffi::c_int;

#[cfg(target_os = "linux")]
pub(super) use super::emulation::{
    PORT_SOURCE_AIO, PORT_SOURCE_ALERT, PORT_SOURCE_FD, PORT_SOURCE_USER, port_alert,
    port_associate, port_create, port_dissociate, port_event, port_getn, port_send,
};
#[cfg(not(target_os = "linux"))]
pub(super) use libc::{
    PORT_SOURCE_AIO, PORT_SOURCE_ALERT, PORT_SOURCE_FD, PORT_SOURCE_USER, port_associate,
    port_create, port_dissociate, port_event, port_getn, port_send,
};

/// Sets what `port_alert` is given, whether something was set before or not.
pub(super) const PORT_ALERT_SET: c_int = 1;

#[cfg(not(target_os = "linux"))]
// SAFETY: this is its C declaration in <port.h>.
unsafe extern "C" {
    /// port_alert(3C), which the libc crate lacks.
    pub(super) fn port_alert(
        port: c_int,
        flags: c_int,
        events: c_int,
        user: *mut std::ffi::c_void,
    ) -> c_int;
}
