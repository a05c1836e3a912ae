# shellcheck shell=bash
# Sourced by packaging/bench: the measured machine and its files.
# shellcheck disable=SC2154  # the variables are those of packaging/bench

load=${CARGO_TARGET_DIR:-target}/release/examples/load

inside() { packaging/machine exec "$name" -- "$@"; }

put() { # FILE: writes standard input to a file in the machine
    # shellcheck disable=SC2016  # "$1" is for the shell in the machine
    inside sh -c 'mkdir -p "${1%/*}" && cat >"$1"' put "$1"
}

put_program() { # FILE PATH
    put "$2" <"$1"
    inside chmod 755 "$2"
}

compile() { # the programs in C
    local source
    for source in accept-loop hello spawn-loop celebs-client; do
        gcc -O2 -Wall -Wextra -Werror -static -o "$scratch/$source-static" "packaging/bench.d/$source.c"
        gcc -O2 -Wall -Wextra -Werror -o "$scratch/$source" "packaging/bench.d/$source.c"
    done
    musl-gcc -O2 -Wall -Wextra -Werror -static -o "$scratch/hello-musl" packaging/bench.d/hello.c
}

set_up() { # RELEASE
    packaging/machine start "$name" "$1" >/dev/null
    put /root/sockunit.deb <"$deb"
    inside apt-get -qq install --yes /root/sockunit.deb >/dev/null
    # systemd sets up a mount namespace from all mounts of the system. Without those of systemd-nspawn, it has about as
    # many as an ordinary one.
    inside sh -c "findmnt --noheadings --raw --output TARGET | grep -E '^/(proc/[^/]+|run/host)\$' | sort -u | xargs umount --lazy"
    put_program "$load" /usr/local/bin/load
    put_program "$scratch/accept-loop-static" /usr/local/bin/accept-loop
    put_program "$scratch/spawn-loop-static" /usr/local/bin/spawn-loop
    put_program "$scratch/hello-static" /usr/local/bin/hello-c-static
    put_program "$scratch/hello-musl" /usr/local/bin/hello-c-musl
    put_program "$scratch/hello" /usr/local/bin/hello-c
    put_program "$scratch/celebs-client-static" /usr/local/bin/celebs-client-static
    put_program "$scratch/celebs-client" /usr/local/bin/celebs-client
    put_program tests/reference/hello.sh /usr/local/bin/hello.sh
}

background() { # UNIT CMD...: runs CMD in the cgroup of the machine, so that its processor time counts
    local unit=$1
    shift
    inside systemd-run --quiet --unit="$unit" --property=LimitNOFILE=16384 "$@"
}

# shared PROGRAM PORT [ARGUMENT...]: starts PROGRAM as a shared service, in copies of the installed units
shared() {
    local program=$1 port=$2 units
    shift 2
    units=$(inside systemctl show --property=FragmentPath --value "$program.service")
    units=${units%/*}
    inside cat "$units/$program.service" |
        sed -e "s/$program\.socket/shared-$program.socket/" -e "/^ExecStart=/s|\$|${*:+ $*}|" |
        put "/run/systemd/system/shared-$program.service"
    inside cat "$units/$program.socket" |
        sed -e '/^ListenStream=/d' -e "s/^Accept=yes/ListenStream=127.0.0.1:$port\nAccept=no/" |
        put "/run/systemd/system/shared-$program.socket"
    inside systemctl daemon-reload
    inside systemctl start "shared-$program.socket" "shared-$program.service"
}

wait_for_listener() { # PORT WHAT
    local until=$((SECONDS + 10))
    until inside ss --no-header --listening --tcp --numeric "sport = $1" | grep -q .; do
        [ "$SECONDS" -lt "$until" ] || die "nothing listens for '$2' on port $1"
        sleep 0.05
    done
}
