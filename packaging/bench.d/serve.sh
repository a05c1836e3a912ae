# shellcheck shell=bash
# Sourced by packaging/bench: the part serve. All services start the same small static program for each connection.
# shellcheck disable=SC2154  # the variables are those of packaging/bench

# On a virtual machine the start of glibc can take most of the time of such a program: it executes dozens of cpuid
# instructions, and each leaves the virtual machine. musl does not, so that the differences between the servers show.
measure_serve() {
    serve_program 4020 /usr/local/bin/hello-c-musl "linked with musl, which starts fast"
    serve_program 4030 /usr/local/bin/hello-c-static "linked with glibc"
    inside sockunit add bench-held 4029 --shared --listen 127.0.0.1 --per-source 1100 --max-connections 1100 \
        -- /usr/bin/cat >/dev/null
    run packaging/machine exec "$name" -- load programs \
        --pid "$(main_pid bench-4020)" --held-pid "$(main_pid bench-held)" 127.0.0.1:4020 127.0.0.1:4029
}

serve_program() { # PORT PROGRAM WHAT: serves PROGRAM with each server, on PORT and the ports after it
    local port=$1 program=$2 what=$3 clients
    contenders=()
    # The unit and its sandbox are those of sockunit add.
    inside sockunit add "bench-$port" "$port" --shared --listen 127.0.0.1 --per-source 1100 --max-connections 1100 \
        -- "$program" >/dev/null
    contenders+=("sockunit serve, sandbox=127.0.0.1:$port")
    background "bench-bare-$port" sockunit serve --listen "127.0.0.1:$((port + 1))" -- "$program"
    contenders+=("sockunit serve, no sandbox=127.0.0.1:$((port + 1))")
    # The upper bound: as many processes as clients, which only accept, spawn and wait.
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
