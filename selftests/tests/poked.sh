# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh disable=SC2154
# boot: consistency --append log_buf_len=8M --append tsc=reliable
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
    for _ in $(seq "${LOADS:-8}"); do
        load multi
        off multi
    done
    no_poke
}

# In the body of a function that is replaced: an int3 first, a jump once it is optimized. It is none of the function's bytes. Those who
# use it are told that it is not hit while the patch is in force.
test_kprobe_in_the_body() {
    need_config KPROBE_EVENTS
    need_core
    probe cmdline_proc_show
    note "the probe is at $probe_place"
    for form in int3 jump; do
        [ $form = int3 ] || wait_for_jump
        fast lpatch load "$PATCHES/cmdline.lpo" >"$KTAP_TEST/said" 2>&1 || fail "load beside an $form: $(cat "$KTAP_TEST/said")"
        like "what load says" "$(cat "$KTAP_TEST/said")" "^warning: the kprobe at $probe_place \(0x[0-9a-f]+\) is not hit while"
        like "/proc/cmdline" "$(cat /proc/cmdline)" ' lpatch=1$'
        off cmdline
        # An upgrade, while the old body is not executed.
        load lifecycle
        load cumulative
        quiet lpatch unload lifecycle
        quiet lpatch disable cumulative
        like "what enable says" "$(lpatch enable cumulative)" "^warning: the kprobe at $probe_place "
        before=$(probe_hits)
        quiet cat /proc/cmdline
        is "hits while the patch is in force" "$(probe_hits)" "$before"
        off cumulative
        # It was left as it is.
        quiet cat /proc/cmdline
        is "hits without a patch" "$(probe_hits)" $((before + 1))
    done
    wait_for_jump
    like "what verify says" "$(fast lpatch verify "$PATCHES/cmdline.lpo")" 'pre-images could not all be compared; the core does that$'
    no_probe
}

# In a function of a module that comes after the patch: the probe is written before lpatch_core hears of the module.
test_kprobe_in_a_module_that_comes() {
    need_config BINFMT_MISC=m KPROBE_EVENTS
    need_core
    ! grep -q '^binfmt_misc ' /proc/modules || quiet rmmod binfmt_misc
    quiet modprobe binfmt_misc
    probe bm_status_read binfmt_misc
    quiet rmmod binfmt_misc
    load_really module
    at_exit 'umount /proc/sys/fs/binfmt_misc 2>/dev/null || :'
    quiet modprobe binfmt_misc
    probe_is . || fail "the probe has not come with the module"
    like "the log" "$(ktap_log "$KTAP_NAME")" "lpatch_core: the kprobe at $probe_place.* is not hit while the patch is enabled"
    like "the status" "$(lpatch status module)" "^warning: the kprobe at $probe_place \(0x[0-9a-f]+\) is not hit while"
    mount -t binfmt_misc none /proc/sys/fs/binfmt_misc
    is "the status" "$(cat /proc/sys/fs/binfmt_misc/status)" patched
    is "hits while the patch is in force" "$(probe_hits)" 0
    quiet lpatch disable module
    is "the status" "$(cat /proc/sys/fs/binfmt_misc/status)" enabled
    [ "$(probe_hits)" -gt 0 ] || fail "the probe is not hit"
    umount /proc/sys/fs/binfmt_misc
    quiet lpatch unload module
    no_probe
    quiet rmmod binfmt_misc
}
