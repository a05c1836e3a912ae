# shellcheck shell=bash
# Functions that the scripts of this repository share. The scripts source this file.

say() { printf '==> %s\n' "$*" >&2; }

die() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

# Prints a usage error with a pointer to --help, and exits with status 2.
usage_error() {
    printf '%s: %s; see %s --help\n' "${0##*/}" "$*" "$0" >&2
    exit 2
}

need_root() {
    [ "$(id -u)" -eq 0 ] || die "$1 needs root; run it as root, for example with sudo"
}

# need PACKAGE...: installs the Debian packages that are not installed yet, and prints their names.
need() {
    local package missing=()
    for package; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)" = installed ] ||
            missing+=("$package")
    done
    [ "${#missing[@]}" -gt 0 ] || return 0
    command -v apt-get >/dev/null || die "missing Debian packages: ${missing[*]}: there is no apt-get to install them"
    need_root "installing the Debian packages ${missing[*]}"
    say "installing Debian packages: ${missing[*]}"
    # apt-get writes to standard error, because some scripts print their result on standard output.
    apt-get -qq -o DPkg::Lock::Timeout=300 update >&2
    DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 \
        install --yes --no-install-recommends "${missing[@]}" </dev/null >&2
}
