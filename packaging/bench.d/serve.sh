# shellcheck shell=bash
# Sourced by packaging/bench: a program for each connection. The program is the same small static one for all.
# shellcheck disable=SC2154  # the variables are those of packaging/bench

measure_serve() {
    local program=/usr/local/bin/hello-c-static clients
    contenders=()
    # As a user has it: the unit and its sandbox are those that sockunit add writes.
    inside sockunit add bench-serve 4020 --shared --listen 127.0.0.1 --per-source 1100 --max-connections 1100 \
        -- "$program" >/dev/null
    contenders+=('sockunit serve, sandbox=127.0.0.1:4020')
    background bench-serve-bare sockunit serve --listen 127.0.0.1:4021 -- "$program"
    contenders+=('sockunit serve, no sandbox=127.0.0.1:4021')
    # The limit: processes that do nothing but accept, posix_spawn and wait, as many as there are clients.
    background spawn-loop /usr/local/bin/spawn-loop 4022 8 "$program"
    contenders+=('posix_spawn and wait, C=127.0.0.1:4022')
    tcpserver 4023 "$program"
    s6_tcpserver 4024 "$program"
    xinetd 4025 "$program"
    contenders+=('xinetd=127.0.0.1:4025')
    inetd 4026 "$program"
    socat 4027 "$program"
    wait_for_contenders
    for clients in 1 8; do
        run packaging/machine exec "$name" -- load hello --clients "$clients" --label serve --data /root/serve \
            --rates-of tcpserver --times-of tcpserver "${contenders[@]}"
    done
    inside sockunit add bench-held 4028 --shared --listen 127.0.0.1 --per-source 1100 --max-connections 1100 \
        -- /usr/bin/cat >/dev/null
    run packaging/machine exec "$name" -- load programs \
        --pid "$(main_pid bench-serve)" --held-pid "$(main_pid bench-held)" 127.0.0.1:4020 127.0.0.1:4028
}

main_pid() { inside systemctl show --property=MainPID --value "$1.service"; }
