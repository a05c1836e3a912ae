# shellcheck shell=bash
# Sourced by packaging/bench: a program for each connection. The program is the same small static one for all.
# shellcheck disable=SC2154  # the variables are those of packaging/bench

# On a virtual machine most of what such a program costs may be its C library's start: glibc asks the processor for its
# caches with dozens of cpuid instructions, each of which leaves the virtual machine. musl does not, and what the servers
# differ in is seen undiluted.
measure_serve() {
    serve_program 4020 /usr/local/bin/hello-c-musl "linked with musl, which starts at next to no cost"
    serve_program 4030 /usr/local/bin/hello-c-static "linked with glibc"
    inside sockunit add bench-held 4029 --shared --listen 127.0.0.1 --per-source 1100 --max-connections 1100 \
        -- /usr/bin/cat >/dev/null
    run packaging/machine exec "$name" -- load programs \
        --pid "$(main_pid bench-4020)" --held-pid "$(main_pid bench-held)" 127.0.0.1:4020 127.0.0.1:4029
}

serve_program() { # PORT PROGRAM WHAT: by everyone, on this port and those after it
    local port=$1 program=$2 what=$3 clients
    contenders=()
    # As a user has it: the unit and its sandbox are those that sockunit add writes.
    inside sockunit add "bench-$port" "$port" --shared --listen 127.0.0.1 --per-source 1100 --max-connections 1100 \
        -- "$program" >/dev/null
    contenders+=("sockunit serve, sandbox=127.0.0.1:$port")
    background "bench-bare-$port" sockunit serve --listen "127.0.0.1:$((port + 1))" -- "$program"
    contenders+=("sockunit serve, no sandbox=127.0.0.1:$((port + 1))")
    # The limit: processes that do nothing but accept, posix_spawn and wait, as many as there are clients.
    background "spawn-loop-$port" /usr/local/bin/spawn-loop "$((port + 2))" 8 "$program"
    contenders+=("posix_spawn and wait, C=127.0.0.1:$((port + 2))")
    tcpserver "$((port + 3))" "$program"
    s6_tcpserver "$((port + 4))" "$program"
    xinetd "$((port + 5))" "$program"
    contenders+=("xinetd=127.0.0.1:$((port + 5))")
    inetd "$((port + 6))" "$program"
    socat "$((port + 7))" "$program"
    wait_for_contenders
    printf '\nthe program: %s, %s\n' "$program" "$what"
    for clients in 1 8; do
        run packaging/machine exec "$name" -- load hello --clients "$clients" --label serve --data /root/serve \
            --rates-of tcpserver --times-of tcpserver "${contenders[@]}"
    done
}

main_pid() { inside systemctl show --property=MainPID --value "$1.service"; }
