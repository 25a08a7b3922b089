// SPDX-License-Identifier: GPL-2.0

//! Functions that a CPU may execute while it is offline.
//!
//! RCU does not watch such a CPU, an interrupt does not reach it, and nobody hears of it. So nobody can wait until its calls have left
//! the ftrace handler, nor until it has left a function of a patch: in the innermost of these loops it stays until it is
//! woken, which a stray interrupt can do as well. For what it executes as it goes, up to its report that it is dead, and as it comes,
//! others wait with `cpu_hotplug_lock` held; there is no need to refuse those (`lp_synchronize()` in `shim/redirect.c`).

/// By name: where they are differs from one kernel to another, and which of them a CPU comes through depends on the machine.
const NAMES: [&[u8]; 17] = [
    b"acpi_idle_play_dead",
    b"acpi_mp_play_dead",
    b"acpi_processor_ffh_play_dead",
    // It reports that the CPU is dead, and has a few instructions behind that.
    b"cpuhp_ap_report_dead",
    b"cpuidle_get_cpu_driver",
    b"cpuidle_play_dead",
    b"hlt_play_dead",
    b"intel_idle_enter_dead",
    // A CPU that took too long to come may come there when nobody waits for it any more.
    b"load_ucode_ap",
    b"mwait_play_dead",
    b"native_play_dead",
    b"play_dead_common",
    b"resume_play_dead",
    b"sev_es_play_dead",
    b"tboot_shutdown",
    b"xen_pv_play_dead",
    b"xen_cpu_bringup_again",
];

/// Whether a function of this name is one of them.
pub fn may_execute(name: &[u8]) -> bool {
    NAMES.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_names_count() {
        assert!(may_execute(b"native_play_dead"));
        for other in [&b"native_play"[..], b"native_play_dead_", b"do_idle", b""] {
            assert!(!may_execute(other));
        }
    }
}
