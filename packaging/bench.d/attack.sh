# shellcheck shell=bash
# Sourced by packaging/bench: the part attack.
# shellcheck disable=SC2154  # the variables are those of packaging/bench

measure_attack() {
    local celebs=/usr/libexec/sockunit/celebs
    shared celebs 4200
    inside sockunit add --shared all 4201 -- "$celebs" >/dev/null
    inside sockunit add each 4202 -- "$celebs" >/dev/null
    run packaging/machine exec "$name" -- load attack 'one process for all connections: celebs=127.0.0.1:4200'
    run packaging/machine exec "$name" -- load attack 'a program for each connection: sockunit add --shared=127.0.0.1:4201'
    run packaging/machine exec "$name" -- load attack 'a unit for each connection: sockunit add=127.0.0.1:4202'
    [ -z "$(inside systemctl --failed --plain --no-legend)" ] || die "a unit has failed"
    inside systemctl is-active --quiet shared-celebs.socket all.socket each.socket || die "a socket does not listen"
    inside journalctl --sync
    printf '\nno unit has failed, all sockets listen; the journal has %s\n' "$(inside journalctl --disk-usage | grep -oE '[0-9.]+[BKMG]')"
}
