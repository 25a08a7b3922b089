# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034
#
# What a kernel tree says about itself. Sourced after lib.sh.

# tree_config DIR NAME: the value of CONFIG_NAME, without quotes; empty if it is not set.
tree_config() { sed -n "s/^CONFIG_$2=\"\{0,1\}\([^\"]*\)\"\{0,1\}\$/\1/p" "$1/.config"; }

# tree_compiler DIR: the name of the C compiler the tree was configured with, such as gcc-14 or clang-19.
tree_compiler() {
    local text
    text=$(tree_config "$1" CC_VERSION_TEXT)
    # "Debian clang version 19.1.7 (3)" has its maker in front.
    case $text in
        *clang*) echo "clang-$(($(tree_config "$1" CLANG_VERSION) / 10000))" ;;
        *) text=${text%% *} && echo "${text#x86_64-linux-gnu-}" ;;
    esac
}

# tree_tools DIR: the arguments of make that name these compilers, a line each. To be run where they are. CC= and LLVM= override.
tree_tools() {
    local cc
    cc=$(tree_compiler "$1")
    if [ "$(tree_config "$1" CC_IS_CLANG)" != y ]; then
        command -v "$cc" >/dev/null || cc=gcc
        echo "CC=${CC:-$cc}"
    elif [ -n "${LLVM:-}" ]; then
        echo "LLVM=$LLVM"
    elif command -v "$cc" >/dev/null; then
        echo "LLVM=${cc#clang}"
    else
        echo LLVM=1
    fi
}

# config_lacks DIR FILE…: the lines of these files, as merge_config.sh takes them, that the configuration of the tree does not have. What is
# built as a module has what is to be built in, but for a test that wants it so.
config_lacks() {
    awk -v OFS=, '
        FNR == NR { have[$0] = 1; next }
        /^CONFIG_[A-Z0-9_]*=/ {
            other = $0; sub(/=[ym]$/, "", other)
            if (!($0 in have) && !(/=y$/ && (other "=m") in have)) print
        }
        /^# CONFIG_[A-Z0-9_]* is not set$/ { if (($2 "=y") in have || ($2 "=m") in have) print }' "$1/.config" "${@:2}"
}

# need_options DIR FILE WHAT: ends with WHAT and the options of the file that the tree does not have.
need_options() {
    local lacks
    lacks=$(config_lacks "$1" "$2")
    [ -z "$lacks" ] || die "$3: the configuration of $1 has not
$(sed 's/^/    /' <<<"$lacks")
  have them with scripts/kconfig/merge_config.sh .config $2 (there), then build it again"
}

# same_rustc VERSION DIR: Rust has no stable ABI: names and layouts agree only if the compiler is the very same one.
same_rustc() {
    local text
    [ -f "$2/.config" ] || die "$2 is not a configured kernel tree: it has no .config"
    [ "$(tree_config "$2" RUST)" = y ] || die "$2 is configured without Rust: it needs CONFIG_RUST=y"
    text=$(tree_config "$2" RUSTC_VERSION_TEXT)
    [ "$1" = "$text" ] || die "the kernel in $2 was built with '$text', but rustc here is '$1': give the same one with RUSTC="
}

# kernel_slow DIR: how many times as long as usual everything takes with this kernel: one that checks itself is slow. SLOW overrides.
kernel_slow() {
    if [ -n "${SLOW:-}" ]; then
        echo "$SLOW"
    elif grep -qE '^CONFIG_(KASAN|KCSAN|PROVE_LOCKING)=y' "$1/config"; then
        echo 6
    else
        echo 1
    fi
}
