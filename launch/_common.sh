# shellcheck shell=bash
# Functions that scripts of this folder share: messages, installation and the build. Scripts source it.

root=$(dirname "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")")

say() { printf 'lockstep: %s\n' "$*" >&2; }

# die CODE SENTENCE
die() {
    local code=$1
    shift
    say "$*"
    exit "$code"
}

# The Debian packages that building and running need. A script can add its own.
packages=(
    libopenmpi-dev openmpi-bin libssl-dev libcminpack-dev zlib1g-dev libzstd-dev libjs-vega bible-kjv
)

missing_packages() {
    local package
    for package in "${packages[@]}"; do
        dpkg-query -W -f='${db:Status-Abbrev}' "$package" 2>/dev/null | grep -q '^ii' ||
            printf '%s\n' "$package"
    done
}

# Installs missing packages, as root or through sudo. Does not ask for root if none is missing.
install_packages() {
    if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
        die 78 "apt-get: is not in PATH, and this script installs packages with it; on a system other than" \
            "Debian or Ubuntu, install Open MPI, OpenSSL, cminpack, zlib and Zstandard with their headers, and" \
            "run 'swift build -c release'."
    fi
    local missing
    missing=$(missing_packages | tr '\n' ' ')
    [ -n "$missing" ] || return 0
    say "installing $missing"
    local as_root=()
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null ||
            die 78 "sudo: is not in PATH, and only root can install packages; run" \
                "'apt-get install ${missing% }' as root, then this script again."
        as_root=(sudo)
        say "this needs root, so sudo may ask for your password"
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
        die 69 "apt-get: cannot install ${missing% } (its last lines are above); check the network and the" \
            "package sources, then run this script again."
    fi
    rm -f "$log"
}

require_swift() {
    command -v swift >/dev/null ||
        die 78 "swift: is not in PATH; install Swift 6.1 or later from https://swift.org/install, and add it to" \
            "PATH."
    local version
    version=$(swift --version 2>/dev/null | sed -n 's/.*Swift version \([0-9]*\.[0-9]*\).*/\1/p' | head -n 1)
    case $version in
    6.[1-9]* | [7-9].* | [1-9][0-9].*) ;;
    *) die 78 "swift: is version ${version:-unknown}; install 6.1 or later from https://swift.org/install." ;;
    esac
}

# build [SWIFT BUILD OPTION...]: builds for release, and shows the compiler's output only if it fails.
build() {
    local log
    log=$(mktemp)
    say "building for release (the first time takes a few minutes)"
    if ! swift build -c release --package-path "$root" "$@" >"$log" 2>&1; then
        cat "$log" >&2
        rm -f "$log"
        die 70 "swift build: failed; correct the errors above, or check the network if a package cannot be" \
            "fetched."
    fi
    rm -f "$log"
}
