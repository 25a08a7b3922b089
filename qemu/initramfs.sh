# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034
#
# Makes the guest's file system: one cpio archive of busybox, init and what this run brings along. Sourced after lib.sh.

# stage_file STAGE SRC [DST]: DST is absolute in the guest, or relative to /lpatch; a directory goes with all it holds.
stage_file() {
    local dst=${3:-$(basename "$2")}
    [ -e "$2" ] || die "no such file: $2"
    case $dst in /*) ;; *) dst=/lpatch/$dst ;; esac
    mkdir -p "$1$(dirname "$dst")"
    cp -rLp "$2" "$1$dst"
}

# stage_core STAGE: the module without debug information, which is two thirds of it and which no guest reads: unpacking and
# loading it takes time under emulation. Made once for each build of the module.
stage_core() {
    local built=$REPO/lpatch_core.ko small=$REPO/build/guest/lpatch_core.ko
    if [ ! "$small" -nt "$built" ]; then
        mkdir -p "${small%/*}"
        # Two guests may start at the same time.
        "$QEMU/toolroot" run -- strip --strip-debug -o "$small.$$" "$built"
        mv "$small.$$" "$small"
    fi
    stage_file "$1" "$small"
}

# stage_modules STAGE KERNEL_DIR NAME…: stock modules and what they depend on, decompressed, with a modules.dep of their own.
stage_modules() {
    local stage=$1 kernel=$2 abi name paths path
    shift 2
    abi=$(cat "$kernel/release")
    for name in "$@"; do
        # A line of modules.dep: "path: dependency…". A name may be written with - or _.
        paths=$(awk -v want="${name//-/_}" '
            { path = $1; sub(/:$/, "", path); n = path; sub(/.*\//, "", n); sub(/\.ko.*/, "", n); gsub(/-/, "_", n) }
            n == want { $1 = ""; print path, $0; exit }' "$kernel/modules/modules.dep")
        if [ -z "$paths" ]; then
            die "kernel $abi has no module $name"
        fi
        for path in $paths; do
            mkdir -p "$stage/lib/modules/$abi/$(dirname "$path")"
            cp "$kernel/modules/$path" "$stage/lib/modules/$abi/$path"
        done
    done
    cp "$kernel"/modules/modules.{order,builtin,builtin.modinfo} "$stage/lib/modules/$abi/"
    # shellcheck disable=SC2016
    "$QEMU/toolroot" run -- sh -eu -c '
        cd "$1/lib/modules/$2"
        find . -name "*.ko.xz" -exec xz -d {} +
        find . -name "*.ko.zst" -exec zstd -qd --rm {} +
        find . -name "*.ko.gz" -exec gzip -d {} +
        [ ! -f modules.order ] || sed -i "s/\.ko\.[a-z]*$/.ko/" modules.order
        depmod -b "$1" "$2"' sh "$stage" "$abi"
}

# stage_base STAGE: what every guest has.
stage_base() {
    local root
    root=$("$QEMU/toolroot" path)
    mkdir -p "$1/bin" "$1/dev" "$1/lpatch"
    cp "$root/usr/bin/busybox" "$1/bin/busybox"
    cp "$QEMU/init" "$1/init"
    cp "$QEMU/expect-warn" "$QEMU/verdict.patterns" "$1/lpatch/"
    chmod 755 "$1/init" "$1/lpatch/expect-warn"
}

# pack STAGE OUT: all of it as root's, whoever we are. The kernel makes /dev/console itself when it unpacks no such node.
pack() {
    # shellcheck disable=SC2016
    "$QEMU/toolroot" run -- sh -eu -c 'cd "$1"; find . -print0 | sort -z | cpio -0 -o -H newc -R 0:0 --quiet >"$2"' sh "$1" "$2"
}
