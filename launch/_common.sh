# shellcheck shell=bash
# Functions that the scripts in this folder share: messages, installation of packages, and the build.
# This file is sourced, not executed.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

say() { printf 'lockstep: %s\n' "$*" >&2; }

# die CODE SENTENCE
die() {
    local code=$1
    shift
    say "$*"
    exit "$code"
}

# Debian packages that building and running need; `packages` may be extended by the caller.
packages=(libopenmpi-dev openmpi-bin libssl-dev libcminpack-dev libjs-vega bible-kjv)

missing_packages() {
    local package
    for package in "${packages[@]}"; do
        dpkg-query -W -f='${db:Status-Abbrev}' "$package" 2>/dev/null | grep -q '^ii' ||
            printf '%s\n' "$package"
    done
}

# Installs missing packages, as root or with sudo. Does nothing if no package is missing.
install_packages() {
    command -v dpkg-query >/dev/null && command -v apt-get >/dev/null ||
        die 78 "This script installs packages with apt, which this system does not have; install" \
            "Open MPI, OpenSSL and cminpack with their headers, and run 'swift build -c release'."
    local missing
    missing=$(missing_packages | tr '\n' ' ')
    [ -n "$missing" ] || return 0
    say "installing $missing"
    local as_root=()
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null ||
            die 78 "Installing ${missing}needs root; run 'apt-get install ${missing% }' as root," \
                "then this script again."
        as_root=(sudo)
        say "root is needed for that; sudo may ask for your password"
    fi
    local log
    log=$(mktemp)
    # An old package list may name versions that are gone, so refresh it first.
    # shellcheck disable=SC2086
    if ! { "${as_root[@]}" apt-get update &&
        "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y \
            --no-install-recommends $missing; } >"$log" 2>&1; then
        tail -n 5 "$log" >&2
        rm -f "$log"
        die 69 "apt could not install ${missing% }; check the network and the package sources" \
            "(the end of its output is above), then run this script again."
    fi
    rm -f "$log"
}

require_swift() {
    command -v swift >/dev/null ||
        die 78 "Swift is not installed; get Swift 6.1 or later from https://swift.org/install, put" \
            "it in PATH and run this script again."
    local version
    version=$(swift --version 2>/dev/null | sed -n 's/.*Swift version \([0-9]*\.[0-9]*\).*/\1/p' | head -n 1)
    case $version in
    6.[1-9]* | [7-9].* | [1-9][0-9].*) ;;
    *) die 78 "Swift ${version:-of an unknown version} is too old; get 6.1 or later from https://swift.org/install." ;;
    esac
}

# build [SWIFT BUILD OPTION...]: builds for release, and shows the output only if the build fails.
build() {
    local log
    log=$(mktemp)
    say "building for release (the first time takes a few minutes)"
    if ! swift build -c release --package-path "$root" "$@" >"$log" 2>&1; then
        cat "$log" >&2
        rm -f "$log"
        die 70 "The build failed (the compiler's output is above); correct the error, or check the" \
            "network if a package could not be fetched."
    fi
    rm -f "$log"
}
