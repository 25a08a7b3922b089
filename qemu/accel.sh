# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034
#
# How QEMU runs the guest. Sourced after lib.sh.

# accel_choose ICOUNT KERNEL_DIR THREAD: fills ACCEL and ACCEL_CPU. LPATCH_ACCEL overrides: kvm, or tcg with options.
accel_choose() {
    ACCEL_CPU=max
    if [ -n "$1" ]; then
        ACCEL=(-accel "tcg,thread=single" -icount "shift=0,sleep=off")
    elif [ -n "${LPATCH_ACCEL:-}" ]; then
        ACCEL=(-accel "$LPATCH_ACCEL")
        [ "${LPATCH_ACCEL%%,*}" != kvm ] || ACCEL_CPU=host
    elif kvm_works "$2"; then
        ACCEL=(-accel kvm)
        ACCEL_CPU=host
    else
        ACCEL=(-accel "tcg,thread=$3")
    fi
}

# kvm_works KERNEL_DIR: /dev/kvm can be there and not work (nested, or a device file in a container), so
# a kernel has to boot with it. Asked once in each boot of the host.
kvm_works() {
    local answer
    grep -qwE 'vmx|svm' /proc/cpuinfo && [ -r /dev/kvm ] && [ -w /dev/kvm ] || return 1
    answer=$CACHE/kvm-$(key "$(cat /proc/sys/kernel/random/boot_id)" "$(id -u)")
    if [ ! -f "$answer" ]; then
        rm -f "$CACHE"/kvm-*
        # No file system: the kernel comes up, finds no init and panics, which ends the machine.
        if timeout 20 "$QEMU/toolroot" run -- qemu-system-x86_64 -nodefaults -no-user-config -display none -no-reboot \
            -accel kvm -cpu host -m 512M -kernel "$1/vmlinuz" -serial stdio -append 'console=ttyS0 panic=-1' \
            </dev/null 2>&1 | grep -aq 'Kernel panic'; then
            echo yes >"$answer"
        else
            echo no >"$answer"
        fi
    fi
    [ "$(cat "$answer")" = yes ]
}
