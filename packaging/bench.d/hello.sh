# shellcheck shell=bash
# Sourced by packaging/bench: ways to serve hello. A contender is a function that serves it on a port and adds
# NAME=ADDRESS:PORT to the list, and is called by measure_hello.
# shellcheck disable=SC2154  # the variables are those of packaging/bench

contenders=()
hello=/usr/libexec/sockunit/hello

shipped() {
    inside systemctl start hello.socket
    contenders+=('systemd, as shipped=127.0.0.1:3333')
}

bare_unit() { # what a connection costs under systemd before any sandbox
    put /run/systemd/system/bare.socket <<'UNIT'
[Socket]
ListenStream=127.0.0.1:4001
Accept=yes
MaxConnections=256
TriggerLimitIntervalSec=0
UNIT
    # As for the units as shipped: only a systemd that knows the setting is given it.
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

one_process() { # hello.service as shipped, with its records in the journal
    shared hello 4002
    contenders+=('systemd, one process=127.0.0.1:4002')
}

one_process_unlogged() { # what the records and the sandbox cost it
    background unlogged --property=StandardError=null "$hello" --listen 127.0.0.1:4003
    contenders+=('one process, no log=127.0.0.1:4003')
}

c_loop() { # the limit
    background accept-loop /usr/local/bin/accept-loop 4004
    contenders+=('accept loop in C, no log=127.0.0.1:4004')
}

xinetd_service() { # PORT PROGRAM: limits out of the way, as they are with the others
    cat <<CONF
service bench-$1
{
    type = UNLISTED
    socket_type = stream
    protocol = tcp
    bind = 127.0.0.1
    port = $1
    wait = no
    user = _sockunit
    server = $2
    instances = UNLIMITED
    per_source = UNLIMITED
    cps = 100000 1
}
CONF
}

xinetd() { # the same program, and the shell script that it replaces
    {
        xinetd_service 4005 "$hello"
        xinetd_service 4006 /usr/local/bin/hello.sh
    } | put /etc/bench-xinetd.conf
    background bench-xinetd xinetd -dontfork -f /etc/bench-xinetd.conf
    contenders+=('xinetd=127.0.0.1:4005' 'xinetd, shell script=127.0.0.1:4006')
}

tcpserver() { # -H -R -l0: looks nothing up; -c: as many at once as the units as shipped
    background tcpserver tcpserver -H -R -l0 -c 256 127.0.0.1 4007 "$hello"
    contenders+=('tcpserver=127.0.0.1:4007')
}

socat() {
    background socat socat TCP-LISTEN:4008,bind=127.0.0.1,reuseaddr,fork,backlog=4096 "EXEC:$hello,nofork"
    contenders+=('socat=127.0.0.1:4008')
}

socket_activate() {
    background socket-activate systemd-socket-activate --accept --inetd --listen 127.0.0.1:4009 "$hello"
    contenders+=('systemd-socket-activate=127.0.0.1:4009')
}

# Debian has one inetd at a time, and the image's is xinetd. So this one is unpacked by hand, with the libraries that the
# image lacks; apt works in the machine's files, but with this machine's network, as the other has none.
fetch_inetd() {
    # shellcheck disable=SC2094  # one is here and the other in the machine
    put /etc/resolv.conf </etc/resolv.conf
    # shellcheck disable=SC2016  # for the shell in the machine
    run nsenter --mount --root --target "$(packaging/machine pid "$name")" --wdns=/tmp /usr/bin/env -i \
        PATH=/usr/sbin:/usr/bin sh -euc '
            apt-get -qq update
            apt-get -qq -o APT::Sandbox::User=root download openbsd-inetd $(
                apt-cache depends openbsd-inetd | sed -nE "s/^ *Depends: (lib(event|tirpc)[^ ]*)$/\1/p")
            for package in *.deb; do dpkg-deb -x "$package" /opt/inetd; done
            cp -a /opt/inetd/usr/lib/*/*.so* /usr/local/lib/
            ldconfig'
}

inetd() { # -R: so many starts a minute, where 0 would not do
    if ! fetch_inetd; then
        say "openbsd-inetd is NOT MEASURED: it could not be downloaded (above)"
        return
    fi
    printf '127.0.0.1:4010 stream tcp4 nowait _sockunit %s hello\n' "$hello" | put /etc/bench-inetd.conf
    background bench-inetd /opt/inetd/usr/sbin/inetd -i -R 1000000 /etc/bench-inetd.conf
    contenders+=('openbsd-inetd=127.0.0.1:4010')
}

measure_hello() {
    local contender label clients
    contenders=()
    shipped
    bare_unit
    one_process
    one_process_unlogged
    c_loop
    xinetd
    inetd
    tcpserver
    socat
    socket_activate
    for contender in "${contenders[@]}"; do
        wait_for_listener "${contender##*:}" "${contender%=*}"
    done
    label="Debian $release, systemd $(inside systemctl --version | sed -n '1s/^systemd \([0-9]*\).*/\1/p')"
    for clients in 1 8; do
        run packaging/machine exec "$name" -- load hello --clients "$clients" --label "$label" --data /root/hello \
            --rates-of xinetd --times-of 'systemd, bare unit' "${contenders[@]}"
    done
    inside cat /root/hello >>"$scratch/chart-data"
}
