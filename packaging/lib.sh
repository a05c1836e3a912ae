# shellcheck shell=bash
# Sourced by the scripts of this repository; what they have in common.

say() { printf '==> %s\n' "$*" >&2; }

die() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

# A usage error: one sentence that names the way out, exit status 2.
usage_error() {
    printf '%s: %s; see %s --help\n' "${0##*/}" "$*" "$0" >&2
    exit 2
}

need_root() {
    [ "$(id -u)" -eq 0 ] || die "$1 needs root; run it as root, for example with sudo"
}

# need PACKAGE...: installs the Debian packages that are not there yet, and says which.
need() {
    local package missing=()
    for package; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)" = installed ] ||
            missing+=("$package")
    done
    [ "${#missing[@]}" -gt 0 ] || return 0
    command -v apt-get >/dev/null || die "this needs the Debian packages ${missing[*]}, and there is no apt-get here"
    need_root "installing the Debian packages ${missing[*]}"
    say "installing Debian packages: ${missing[*]}"
    # Standard output is left to the caller: some of these scripts answer on it.
    apt-get -qq -o DPkg::Lock::Timeout=300 update >&2
    DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 \
        install --yes --no-install-recommends "${missing[@]}" </dev/null >&2
}
