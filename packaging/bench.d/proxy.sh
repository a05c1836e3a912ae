# shellcheck shell=bash
# Sourced by packaging/bench: the part proxy.
# shellcheck disable=SC2154  # the variables are those of packaging/bench

measure_proxy() {
    local clients program=/usr/local/bin/hello-c-musl input='no header, but 28 bytes'
    # What a client sends costs something by itself, so that one service gets the header as its input.
    contenders=('no header=127.0.0.1:4300' "$input=127.0.0.1:4300")
    contenders+=('version 1=127.0.0.1:4301' 'version 2=127.0.0.1:4301')
    inside sockunit add --shared --listen 127.0.0.1 --per-source 200 without 4300 -- "$program" >/dev/null
    inside sockunit add --shared --listen 127.0.0.1 --per-source 200 --accept-proxy 127.0.0.1 header 4301 \
        -- "$program" >/dev/null
    wait_for_contenders
    for clients in 1 8; do
        run packaging/machine exec "$name" -- load hello --clients "$clients" --label proxy --data /root/proxy \
            --rounds 200 --turn 100 --header "$input=2" --header 'version 1=1' --header 'version 2=2' \
            --rates-of "$input" --times-of "$input" "${contenders[@]}"
    done
}
