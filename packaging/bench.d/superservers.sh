# shellcheck shell=bash
# Sourced by packaging/bench: servers that start a program for each connection. Each function takes a port and the
# program, serves it there and adds NAME=ADDRESS:PORT to contenders.
# shellcheck disable=SC2154  # the variables are those of packaging/bench

contenders=()

wait_for_contenders() {
    local contender
    for contender in "${contenders[@]}"; do
        wait_for_listener "${contender##*:}" "${contender%=*}"
    done
}

xinetd_service() { # PORT PROGRAM: without limits, as the others
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

xinetd() { # PORT PROGRAM [PORT PROGRAM]: the caller adds to contenders
    local unit=bench-xinetd-$1
    while [ $# -gt 0 ]; do
        xinetd_service "$1" "$2"
        shift 2
    done | put "/etc/$unit.conf"
    background "$unit" xinetd -dontfork -f "/etc/$unit.conf" -pidfile "/run/$unit.pid"
}

tcpserver() { # -H -R -l0: no lookups; -c: the connection limit of the shipped units
    background "tcpserver-$1" tcpserver -H -R -l0 -c 256 127.0.0.1 "$1" "$2"
    contenders+=("tcpserver=127.0.0.1:$1")
}

socat() {
    background "socat-$1" socat "TCP-LISTEN:$1,bind=127.0.0.1,reuseaddr,fork,backlog=4096" "EXEC:$2,nofork"
    contenders+=("socat=127.0.0.1:$1")
}

# Unpacks into /opt/PACKAGE a package that cannot be installed in the image: Debian allows one inetd at a time, and the
# image has xinetd. apt runs with the files of the machine and the network of the host, because the machine has none.
fetch() { # PACKAGE PATTERN: PATTERN matches the dependencies that the image lacks
    # shellcheck disable=SC2094  # one file is on the host and the other in the machine
    put /etc/resolv.conf </etc/resolv.conf
    # shellcheck disable=SC2016  # for the shell in the machine
    run nsenter --mount --root --target "$(packaging/machine pid "$name")" --wdns=/tmp /usr/bin/env -i \
        PATH=/usr/sbin:/usr/bin sh -euc '
            [ -d /var/lib/apt/lists/partial ] && ls /var/lib/apt/lists/*Packages* >/dev/null 2>&1 || apt-get -qq update
            [ ! -d "/opt/$1" ] || exit 0
            mkdir -p "/tmp/fetch-$1" && cd "/tmp/fetch-$1"
            apt-get -qq -o APT::Sandbox::User=root download "$1" $(
                apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces \
                    --no-enhances "$1" | grep -xE "$2" | sort -u)
            for package in *.deb; do dpkg-deb -x "$package" "/opt/$1"; done
            cp -a "/opt/$1"/usr/lib/*/*.so* /usr/local/lib/
            ldconfig' fetch "$1" "$2"
}

inetd() { # -R: starts per minute; 0 does not mean unlimited
    printf '127.0.0.1:%s stream tcp4 nowait _sockunit %s hello\n' "$1" "$2" | put "/etc/bench-inetd-$1.conf"
    background "bench-inetd-$1" /opt/openbsd-inetd/usr/sbin/inetd -i -R 1000000 "/etc/bench-inetd-$1.conf"
    contenders+=("openbsd-inetd=127.0.0.1:$1")
}

s6_tcpserver() {
    if ! inside apt-cache show s6-networking >/dev/null 2>&1 || ! fetch s6-networking '(lib)?(s6|skarnet|execline|nsss|bearssl|tls).*'; then
        say "NOT MEASURED: s6-tcpserver: $release has no package s6-networking, or its download failed"
        return
    fi
    background "s6-tcpserver-$1" /usr/bin/env PATH=/opt/s6-networking/usr/bin:/opt/s6-networking/bin:/usr/bin \
        s6-tcpserver -c 256 127.0.0.1 "$1" "$2"
    contenders+=("s6-tcpserver=127.0.0.1:$1")
}
