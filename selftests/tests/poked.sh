# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# Patches of functions whose code somebody else writes: sites that ftrace is writing at the moment at which they are looked at.

# poke FUNCTION…: their sites are written all the time from now on. no_poke.
poke() {
    fast true
    poke_addrs=''
    for function in "$@"; do
        addr=$(sed -n "s/^\([0-9a-f]*\) [tT] $function\$/0x\1/p" /tmp/kallsyms)
        poke_addrs=$poke_addrs${poke_addrs:+,}$addr
    done
    at_exit 'rmmod poked 2>/dev/null || :'
    quiet insmod $MODULES/poked.ko "addrs=$poke_addrs"
    wait_for "poke" is_poked
}
no_poke() {
    is "what ftrace said" "$(cat /sys/module/poked/parameters/error)" 0
    note "sites written $(turns) times back and forth"
    quiet rmmod poked
}
is_poked() { [ "$(turns)" -gt 0 ]; }
turns() { cat /sys/module/poked/parameters/turns; }

# Whether a function has a site is never told from what a look finds there; `LOADS=2000 TIMEOUT=7200 make selftest T=poked.sites` for more.
test_sites() {
    need_core
    poke version_proc_show filesystems_proc_show execdomains_proc_show fscaps_show
    for _ in $(seq "${LOADS:-12}"); do
        load multi
        off multi
    done
    no_poke
}
