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
    local port=4100 pause
    local off=(--sandbox off --user-name bench)
    local no_serve=(ExecStart= ExecStart=-/usr/local/bin/hello-c-static)
    local no_mounts=(ProtectSystem=no ProtectHome=no TemporaryFileSystem= BindReadOnlyPaths= PrivateMounts=no
        PrivateDevices=no ProtectProc=default ProtectHostname=no)
    # systemd logs a warning for each unit with the user nobody.
    inside useradd --system bench
    contenders=()
    variant 'off, fixed user' "${off[@]}"
    variant 'off, fixed user, without serve' "${off[@]}" -- "${no_serve[@]}"
    variant 'standard, fixed user' --sandbox standard --user-name bench
    variant 'strict, fixed user' --user-name bench
    variant '  without PrivateNetwork=' --user-name bench -- PrivateNetwork=no
    variant '  without PrivateUsers=' --user-name bench -- PrivateUsers=no
    variant '  without SystemCallFilter=' --user-name bench -- SystemCallFilter=
    variant '  without mount options' --user-name bench -- "${no_mounts[@]}"
    variant '  with an empty mount namespace' --user-name bench -- "${no_mounts[@]}" PrivateMounts=yes
    variant '  with LogLevelMax=notice' --user-name bench -- LogLevelMax=notice
    variant 'standard, dynamic user' --sandbox standard
    variant 'strict, dynamic user'
    inside systemctl daemon-reload
    wait_for_contenders
    # systemd moves each process into its control group. Unless it did so a moment before, the kernel waits then.
    for pause in 0 100; do
        run packaging/machine exec "$name" -- load hello --clients 1 --pause "$pause" --label "$release" \
            --data /root/sandbox --rates-of 'off, fixed user' --times-of 'off, fixed user' "${contenders[@]}"
    done
}
