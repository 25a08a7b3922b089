# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034
#
# Reads verdict.patterns into two expressions, CRASH and WARN. Sourced by what watches a log line by line.

verdict_load() {
    local class pattern stamp='\[ *[0-9]+\.[0-9]+\](\[ *[TC][0-9]+\])? '
    CRASH='' WARN=''
    while IFS= read -r pattern; do
        class=${pattern%% *}
        pattern=${pattern#* }
        case $class in
            crash) CRASH=${CRASH:+$CRASH|}$pattern ;;
            warn) WARN=${WARN:+$WARN|}$pattern ;;
        esac
    done <"${BASH_SOURCE[0]%/*}/verdict.patterns"
    CRASH="$stamp($CRASH)"
    WARN="$stamp($WARN)"
}

# verdict_line LINE [REGEX…]: prints crash, warn, expected (a warning that one of the expressions allows) or nothing.
verdict_line() {
    local line=$1 regex
    shift
    if [[ $line =~ $CRASH ]]; then
        echo crash
    elif [[ $line =~ $WARN ]]; then
        for regex in "$@"; do
            if [[ $line =~ $regex ]]; then
                echo expected
                return
            fi
        done
        echo warn
    fi
}
