# shellcheck shell=bash
# Sourced by packaging/bench: the parts memory, start and connect.
# shellcheck disable=SC2154  # the variables are those of packaging/bench

measure_memory() {
    shared celebs 4101 --max-connections 12000
    run packaging/machine exec "$name" -- load memory \
        --pid "$(inside systemctl show --property=MainPID --value shared-celebs.service)" 127.0.0.1:4101
    inside systemctl stop shared-celebs.socket shared-celebs.service
}

measure_start() {
    run packaging/machine exec "$name" -- load start \
        'C, static=/usr/local/bin/hello-c-static' 'C, dynamically linked=/usr/local/bin/hello-c' \
        'hello=/usr/libexec/sockunit/hello' 'shell script=/usr/local/bin/hello.sh'
}

measure_connect() {
    # -N: netcat-openbsd closes its sending half at the end of its input, as the others do.
    run packaging/machine exec "$name" -- load bytes \
        'sockunit connect=sockunit connect 127.0.0.1 PORT' 'netcat-openbsd=nc -N 127.0.0.1 PORT' \
        'ncat=ncat 127.0.0.1 PORT' 'socat=socat - TCP:127.0.0.1:PORT'
    shared celebs 4101
    # The first client in C is linked dynamically, as sockunit is: both need the dynamic loader.
    run packaging/machine exec "$name" -- load sessions --server 127.0.0.1:4101 \
        'C, dynamically linked=celebs-client 4101' 'C, static=celebs-client-static 4101' \
        'sockunit connect=sockunit connect 127.0.0.1 4101' 'netcat-openbsd=nc -N 127.0.0.1 4101' \
        'ncat=ncat 127.0.0.1 4101' 'socat=socat - TCP:127.0.0.1:4101'
    inside systemctl stop shared-celebs.socket shared-celebs.service
}
