# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034
#
# What a kernel tree says about itself. Sourced after lib.sh.

# tree_config DIR NAME: the value of CONFIG_NAME, without quotes; empty if it is not set.
tree_config() { sed -n "s/^CONFIG_$2=\"\{0,1\}\([^\"]*\)\"\{0,1\}\$/\1/p" "$1/.config"; }

# tree_compiler DIR: the name of the C compiler the tree was configured with, such as gcc-14.
tree_compiler() {
    local text
    text=$(tree_config "$1" CC_VERSION_TEXT)
    text=${text%% *}
    echo "${text#x86_64-linux-gnu-}"
}

# same_rustc VERSION DIR: Rust has no stable ABI: names and layouts agree only if the compiler is the very same one.
same_rustc() {
    local text
    [ -f "$2/.config" ] || die "$2 is not a configured kernel tree: it has no .config"
    [ "$(tree_config "$2" RUST)" = y ] || die "$2 is configured without Rust: it needs CONFIG_RUST=y"
    text=$(tree_config "$2" RUSTC_VERSION_TEXT)
    [ "$1" = "$text" ] || die "the kernel in $2 was built with '$text', but rustc here is '$1': give the same one with RUSTC="
}
