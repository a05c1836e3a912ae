# shellcheck shell=bash
# Sourced by packaging/bench: the part hello. Each function serves hello on a port and adds NAME=ADDRESS:PORT to
# contenders. The functions for other super-servers are in superservers.sh.
# shellcheck disable=SC2154  # the variables are those of packaging/bench

hello=/usr/libexec/sockunit/hello

shipped() {
    inside systemctl start hello.socket
    contenders+=('systemd, as shipped=127.0.0.1:3333')
}

bare_unit() { # the cost of a connection under systemd without a sandbox
    put /run/systemd/system/bare.socket <<'UNIT'
[Socket]
ListenStream=127.0.0.1:4001
Accept=yes
MaxConnections=256
TriggerLimitIntervalSec=0
UNIT
    # As in the shipped units: older versions of systemd warn about the setting.
    if inside test -d /run/systemd/generator/hello.socket.d; then
        printf '[Socket]\nPollLimitIntervalSec=0\n' | put /run/systemd/system/bare.socket.d/poll-limit.conf
    fi
    put /run/systemd/system/bare@.service <<UNIT
[Unit]
CollectMode=inactive-or-failed
[Service]
ExecStart=-$hello
StandardInput=socket
StandardError=journal
SyslogIdentifier=bare
LogExtraFields=CONNECTION=%i
LogLevelMax=notice
UNIT
    inside systemctl daemon-reload
    inside systemctl start bare.socket
    contenders+=('systemd, bare unit=127.0.0.1:4001')
}

one_process() { # hello.service as shipped, with its log entries
    shared hello 4002
    contenders+=('systemd, one process=127.0.0.1:4002')
}

one_process_unlogged() { # without log entries and sandbox
    background unlogged --property=StandardError=null "$hello" --listen 127.0.0.1:4003
    contenders+=('one process, no log=127.0.0.1:4003')
}

c_loop() { # the upper bound
    background accept-loop /usr/local/bin/accept-loop 4004
    contenders+=('accept loop in C, no log=127.0.0.1:4004')
}

socket_activate() {
    background socket-activate systemd-socket-activate --accept --inetd --listen 127.0.0.1:4009 "$hello"
    contenders+=('systemd-socket-activate=127.0.0.1:4009')
}

measure_hello() {
    local label clients
    contenders=()
    shipped
    bare_unit
    one_process
    one_process_unlogged
    c_loop
    xinetd 4005 "$hello" 4006 /usr/local/bin/hello.sh
    contenders+=('xinetd=127.0.0.1:4005' 'xinetd, shell script=127.0.0.1:4006')
    inetd 4010 "$hello"
    tcpserver 4007 "$hello"
    socat 4008 "$hello"
    socket_activate
    wait_for_contenders
    label="Debian $release, systemd $(inside systemctl --version | sed -n '1s/^systemd \([0-9]*\).*/\1/p')"
    for clients in 1 8; do
        run packaging/machine exec "$name" -- load hello --clients "$clients" --label "$label" --data /root/hello \
            --rates-of xinetd --times-of 'systemd, bare unit' "${contenders[@]}"
    done
    inside cat /root/hello >>"$scratch/chart-data"
}
