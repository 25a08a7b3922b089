# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034
#
# The Debian archive, as seen through the host's apt with directories of our own: no root needed, and
# nothing of the host's package state is read or changed. Sourced after lib.sh.

# The mirror: LPATCH_MIRROR, else the first Debian archive among the host's own apt sources (its proxy and
# certificate settings fit that one), else nothing, which leaves the choice to mmdebstrap.
mirror() {
    if [ -n "${LPATCH_MIRROR:-}" ]; then
        echo "$LPATCH_MIRROR"
        return
    fi
    {
        sed -n 's/^[Uu][Rr][Ii]s:[[:space:]]*//p' /etc/apt/sources.list.d/*.sources 2>/dev/null | tr -s ' \t' '\n\n'
        sed -n 's/^deb[[:space:]]\{1,\}\(\[[^]]*\][[:space:]]*\)\{0,1\}\([^[:space:]]*\).*/\2/p' \
            /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null
    } | grep -E '^[a-z+]+:.*/debian/?$' | head -n 1 || true
}

# The keyring that signs Debian, where the host has it outside of apt's trusted set.
keyring() {
    local f
    for f in /usr/share/keyrings/debian-archive-keyring.gpg /usr/share/keyrings/debian-archive-keyring.pgp; do
        if [ -e "$f" ]; then
            echo "$f"
            return
        fi
    done
}

# apt_opts SUITE: fills APT_OPTS with the options that make apt use our directories.
apt_opts() {
    APT_DIR=$CACHE/apt/$1
    APT_OPTS=(
        -qq
        -o "Dir::Etc::sourcelist=$APT_DIR/sources.list" -o Dir::Etc::sourceparts=/dev/null
        -o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts=/dev/null
        -o "Dir::State=$APT_DIR/state" -o "Dir::State::status=$APT_DIR/status"
        -o "Dir::Cache=$APT_DIR/cache"
        -o APT::Architecture=amd64 -o APT::Architectures=amd64
        -o APT::Sandbox::User=root -o Acquire::GzipIndexes=false -o Acquire::Languages=none
        -o Acquire::Retries=3
        # The host may clean its archive after each run; ours must not be touched by its hooks.
        -o DPkg::Post-Invoke= -o APT::Update::Post-Invoke= -o APT::Update::Post-Invoke-Success=
    )
}

# apt_update SUITE MIRROR: fetch the package lists of one suite.
apt_update() {
    local ring
    apt_opts "$1"
    mkdir -p "$APT_DIR/state/lists/partial" "$APT_DIR/cache/archives/partial"
    : >"$APT_DIR/status"
    ring=$(keyring)
    echo "deb [arch=amd64${ring:+ signed-by=$ring}] $2 $1 main" >"$APT_DIR/sources.list"
    # Without Error-Mode a mirror that cannot be reached is only a warning.
    apt-get "${APT_OPTS[@]}" -o APT::Update::Error-Mode=any update
}

# apt_table SUITE: "package version" of all kernel packages in the suite's lists, every version.
apt_table() {
    apt_opts "$1"
    cat "$APT_DIR"/state/lists/*_Packages | awk '
        /^Package: /  { p = $2 }
        /^Version: /  { v = $2 }
        /^$/          { if (p ~ /^linux-(headers|binary|modules|source)-[0-9]/) print p, v; p = v = "" }
        END           { if (p ~ /^linux-(headers|binary|modules|source)-[0-9]/) print p, v }'
}

# apt_kernels SUITE: one line for each amd64 kernel, newest first: "ABI VERSION STATE", where STATE is
# "complete" or "lacks:…". A kernel can be used when its headers, image, modules and source are all there
# at one version: the archive publishes (and drops) them one by one.
apt_kernels() {
    apt_table "$1" | awk '
        { have[$1 " " $2] = 1 }
        $1 ~ /^linux-headers-.*-amd64$/ { abi = $1; sub(/^linux-headers-/, "", abi); want[abi " " $2] = 1 }
        END {
            for (w in want) {
                split(w, a, " "); split(a[1], n, /[.+-]/)
                lacks = ""
                if (!(("linux-binary-" a[1] " " a[2]) in have)) lacks = lacks ",linux-binary"
                if (!(("linux-modules-" a[1] " " a[2]) in have)) lacks = lacks ",linux-modules"
                if (!(("linux-source-" n[1] "." n[2] " " a[2]) in have)) lacks = lacks ",linux-source"
                sub(/^,/, "", lacks)
                print a[1], a[2], lacks == "" ? "complete" : "lacks:" lacks
            }
        }' | sort -rV
}
