# shellcheck shell=bash
# Sourced by packaging/bench: the part sandbox. Services of sockunit add at every level, and strict ones with parts left out.
# shellcheck disable=SC2154  # the variables are those of packaging/bench

# variant NAME ADD-OPTION... [-- LINE...]: attaches the static C program on the next port. The lines go into a drop-in.
variant() {
    local title=$1 options=()
    shift
    while [ $# -gt 0 ] && [ "$1" != -- ]; do
        options+=("$1")
        shift
    done
    [ $# -eq 0 ] || shift # --
    port=$((port + 1))
    inside sockunit add --no-services "${options[@]}" "v$port" "$port" -- /usr/local/bin/hello-c-static >/dev/null
    if [ $# -gt 0 ]; then
        printf '%s\n' '[Service]' "$@" | put "/etc/systemd/system/v$port@.service.d/bench.conf"
    fi
    contenders+=("$title=127.0.0.1:$port")
}

measure_sandbox() {
    local port=4100
    local no_serve=(ExecStart= ExecStart=-/usr/local/bin/hello-c-static)
    local no_mounts=(ProtectSystem=no ProtectHome=no TemporaryFileSystem= BindReadOnlyPaths= PrivateMounts=no
        PrivateDevices=no ProtectProc=default ProtectHostname=no)
    contenders=()
    variant 'off, fixed user' --sandbox off --user-name nobody
    variant 'off, fixed user, without serve' --sandbox off --user-name nobody -- "${no_serve[@]}"
    variant 'standard, fixed user' --sandbox standard --user-name nobody
    variant 'strict, fixed user' --user-name nobody
    variant 'standard, dynamic user' --sandbox standard
    variant 'strict, dynamic user'
    variant '  without serve' -- "${no_serve[@]}"
    variant '  without PrivateNetwork=' -- PrivateNetwork=no
    variant '  without SystemCallFilter=' -- SystemCallFilter=
    variant '  without PrivateUsers=' -- PrivateUsers=no
    variant '  with LogLevelMax=notice' -- LogLevelMax=notice
    variant 'strict, fixed user, without mount options' --user-name nobody -- "${no_mounts[@]}"
    variant '  with an empty mount namespace' --user-name nobody -- "${no_mounts[@]}" PrivateMounts=yes
    inside systemctl daemon-reload
    wait_for_contenders
    run packaging/machine exec "$name" -- load hello --clients 1 --label "$release" --data /root/sandbox \
        --rates-of 'off, fixed user' --times-of 'off, fixed user, without serve' "${contenders[@]}"
}
