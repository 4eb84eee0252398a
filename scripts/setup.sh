#!/usr/bin/env bash
# Installs what a build needs beyond Rust: make, a C compiler (for the linker), and OpenBLAS.
# Says what it installs and why; says nothing when all is there.
set -euo pipefail

say() { echo "setup: $1" >&2; }

# Whether a program that uses OpenBLAS can be linked, as core/build.rs will do it.
links_openblas() {
    local out status=0
    out=$(mktemp)
    echo 'int main(void) { return 0; }' |
        cc -x c - -o "$out" ${OPENBLAS_LIB_DIR:+-L"$OPENBLAS_LIB_DIR"} -lopenblas 2>/dev/null || status=1
    rm -f "$out"
    return $status
}

export PATH="$PATH:${CARGO_HOME:-${HOME:-/root}/.cargo}/bin"
if ! command -v cargo >/dev/null; then
    say "cargo was not found. Install Rust with rustup (see rustup.rs), then run this again."
    exit 1
fi

apt=() dnf=() pacman=() apk=()
if ! command -v make >/dev/null; then
    say "make is missing: the project's commands are in its Makefile"
    apt+=(make) dnf+=(make) pacman+=(make) apk+=(make)
fi
if ! command -v cc >/dev/null; then
    say "a C compiler is missing: Rust links programs with it"
    apt+=(gcc libc6-dev) dnf+=(gcc) pacman+=(gcc) apk+=(gcc musl-dev)
fi
if ! command -v cc >/dev/null || ! links_openblas; then
    say "OpenBLAS is missing: matrix products are computed with it"
    apt+=(libopenblas-dev) dnf+=(openblas-devel) pacman+=(openblas) apk+=(openblas-dev)
fi
[ ${#apt[@]} -gt 0 ] || exit 0

# Ends with the command that a person with the right to install can run.
by_hand() {
    say "$1. Install it with:"
    if command -v apt-get >/dev/null; then
        echo "    apt-get update && apt-get install ${apt[*]}" >&2
    elif command -v dnf >/dev/null; then
        echo "    dnf install ${dnf[*]}" >&2
    elif command -v pacman >/dev/null; then
        echo "    pacman -S ${pacman[*]}" >&2
    elif command -v apk >/dev/null; then
        echo "    apk add ${apk[*]}" >&2
    else
        cat >&2 <<END
    Debian, Ubuntu:  apt-get update && apt-get install ${apt[*]}
    Fedora, RHEL:    dnf install ${dnf[*]}
    Arch:            pacman -S ${pacman[*]}
    Alpine:          apk add ${apk[*]}
END
    fi
    say "(as root; set OPENBLAS_LIB_DIR if OpenBLAS is in a folder of its own)"
    exit 1
}

command -v apt-get >/dev/null || by_hand "this script installs with apt-get only, which this system lacks"

as_root=()
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || by_hand "that needs root, and there is no sudo"
    as_root=(sudo)
fi

update() { "${as_root[@]}" apt-get update -q >&2; }
install() {
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -q -y --no-install-recommends "${apt[@]}" >&2
}

say "installing with ${as_root[*]:+${as_root[*]} }apt-get: ${apt[*]}"
# A fresh image has no package lists, and old lists name versions that are gone.
if ! apt-cache show "${apt[@]}" >/dev/null 2>&1; then
    update || by_hand "apt-get update failed"
fi
install || { update && install; } || by_hand "apt-get could not install it"

command -v cc >/dev/null && links_openblas || by_hand "a program with OpenBLAS still cannot be linked"
say "done"
